-- A volume beyond numeric(24, 8) stops at its end, in an hour and a day as in five minutes: one absurd bucket must not
-- hold up the roll-up of all others.
CREATE OR REPLACE FUNCTION candle_rolled(wanted pair_symbol, coarse text, since timestamptz, until timestamptz)
RETURNS TABLE (
    pair pair_symbol, "timestamp" timestamptz, open numeric, high numeric, low numeric, close numeric, volume numeric,
    vwap numeric, trade_count integer, open_time timestamptz, close_time timestamptz, quote_volume numeric, source text
)
LANGUAGE sql STABLE AS $$
    WITH fine AS (
        SELECT c."timestamp", c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trade_count, c.open_time,
            c.close_time, c.source
        FROM price_history_5min AS c WHERE c.pair = $1 AND c."timestamp" >= $3 AND c."timestamp" < $4
    ), hours AS (
        SELECT c."timestamp", c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trade_count, c.open_time,
            c.close_time, c.source
        FROM price_history_1hour AS c
        WHERE $2 = '1day' AND c.pair = $1 AND c."timestamp" >= $3 AND c."timestamp" < $4
            AND c."timestamp" NOT IN (SELECT candle_bucket('1hour', fine."timestamp") FROM fine)
    )
    SELECT
        $1,
        candle_bucket($2, part."timestamp") AS start,
        (array_agg(part.open ORDER BY part."timestamp"))[1],
        max(part.high),
        min(part.low),
        (array_agg(part.close ORDER BY part."timestamp" DESC))[1],
        least(sum(part.volume), 9999999999999999.99999999),
        CASE WHEN sum(part.volume) > 0 THEN round(sum(part.quote_volume) / sum(part.volume), 8) END,
        sum(part.trade_count)::integer,
        min(part.open_time),
        max(part.close_time),
        sum(part.quote_volume),
        CASE WHEN bool_or(part.source = 'backfill') THEN 'backfill' ELSE 'trades' END
    FROM (SELECT * FROM fine UNION ALL SELECT * FROM hours) AS part
    GROUP BY start
$$;
