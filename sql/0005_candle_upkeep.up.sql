-- Candles by month, and roll-ups that know by themselves what they still have to do.
--
--   a 5min row is written ─trigger─▶ candle_stale (its hour, its day) ─roll_up_stale()─▶ 1hour, 1day
--
-- A late trade revises a row of five minutes, and so its hour and day become stale again. Readers take stale buckets
-- from the finer rows (`candle_rolled`), so what they see never depends on when the last roll-up was.

CREATE TEMP TABLE kept_5min (LIKE price_history_5min INCLUDING ALL) ON COMMIT DROP;
CREATE TEMP TABLE kept_1hour (LIKE price_history_1hour INCLUDING ALL) ON COMMIT DROP;
INSERT INTO kept_5min OVERRIDING SYSTEM VALUE SELECT * FROM price_history_5min;
INSERT INTO kept_1hour OVERRIDING SYSTEM VALUE SELECT * FROM price_history_1hour;
DROP TABLE price_history_5min, price_history_1hour;

CREATE TABLE price_history_5min (
    LIKE kept_5min INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY,
    PRIMARY KEY (id, "timestamp"),
    UNIQUE (pair, "timestamp")
) PARTITION BY RANGE ("timestamp");
CREATE TABLE price_history_1hour (
    LIKE kept_1hour INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY,
    PRIMARY KEY (id, "timestamp"),
    UNIQUE (pair, "timestamp")
) PARTITION BY RANGE ("timestamp");

COMMENT ON TABLE price_history_5min IS 'Candles of five minutes';
COMMENT ON TABLE price_history_1hour IS 'Candles of an hour, rolled up from five minutes';

-- Make the missing monthly partitions of both tables that `first` to `last` need; return how many were made.
CREATE FUNCTION ensure_candle_partitions(first date, last date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    parent text;
    month  date;
    name   text;
    made   integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('candle partitions'));
    FOR parent, month IN
        SELECT format('price_history_%s', width), start::date
        FROM unnest(ARRAY['5min', '1hour']) AS width,
            generate_series(date_trunc('month', first::timestamp), last::timestamp, '1 month') AS start
    LOOP
        name := parent || '_' || to_char(month, 'YYYYMM');
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_inherits WHERE inhparent = parent::regclass AND inhrelid = to_regclass(name)
        );
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, parent);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            parent, name, month || ' 00:00:00+00', (month + interval '1 month')::date || ' 00:00:00+00'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Retention: drop the partitions of `width` ('5min' or '1hour') that end at or before `before`; return how many.
CREATE FUNCTION drop_candle_partitions(width text, before date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    name    text;
    dropped integer := 0;
BEGIN
    IF width NOT IN ('5min', '1hour') THEN
        RAISE invalid_parameter_value USING MESSAGE = format('candles of %s are kept for ever', width);
    END IF;
    FOR name IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = format('price_history_%s', width)::regclass
            AND to_date(right(relname, 6), 'YYYYMM') + interval '1 month' <= before
        ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- Whoever makes days makes the months of their candles too, and of late ones.
CREATE OR REPLACE FUNCTION ensure_price_history_partitions(first date, days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    day  date;
    name text;
    made integer := 0;
BEGIN
    PERFORM ensure_candle_partitions(first - 1, first + days);
    PERFORM pg_advisory_xact_lock(hashtext('price_history partitions'));
    FOR day IN SELECT first + n FROM generate_series(0, days - 1) AS n LOOP
        name := 'price_history_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_inherits WHERE inhparent = 'price_history'::regclass AND inhrelid = to_regclass(name)
        );
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I (LIKE price_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
        EXECUTE format(
            'ALTER TABLE price_history ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

SELECT ensure_candle_partitions((min("timestamp") AT TIME ZONE 'UTC')::date, (max("timestamp") AT TIME ZONE 'UTC')::date)
FROM (SELECT "timestamp" FROM kept_5min UNION ALL SELECT "timestamp" FROM kept_1hour) AS kept
HAVING count(*) > 0;
INSERT INTO price_history_5min OVERRIDING SYSTEM VALUE SELECT * FROM kept_5min;
INSERT INTO price_history_1hour OVERRIDING SYSTEM VALUE SELECT * FROM kept_1hour;
SELECT setval(pg_get_serial_sequence('price_history_5min', 'id'), max(id)) FROM price_history_5min HAVING count(*) > 0;
SELECT setval(pg_get_serial_sequence('price_history_1hour', 'id'), max(id)) FROM price_history_1hour HAVING count(*) > 0;

-- Hours and days whose finer rows were written since they were rolled up. What of a pair and interval is older than its
-- oldest entry here is rolled up: the watermark.
CREATE TABLE candle_stale (
    pair        pair_symbol NOT NULL,
    "interval"  text        NOT NULL CHECK ("interval" IN ('1hour', '1day')),
    "timestamp" timestamptz NOT NULL,
    since       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pair, "interval", "timestamp")
);

COMMENT ON TABLE candle_stale IS 'Hours and days to be rolled up anew';

CREATE FUNCTION candle_width("interval" text) RETURNS interval
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE $1 WHEN '5min' THEN interval '5 minutes' WHEN '1hour' THEN interval '1 hour' WHEN '1day' THEN interval '1 day' END
$$;

CREATE FUNCTION candle_bucket("interval" text, instant timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT date_bin(candle_width($1), $2, timestamptz '1970-01-01 00:00:00+00')
$$;

-- In the transaction of the writer. The update takes the row's lock although it changes nothing: a roll-up that is just
-- deleting the row then waits for this transaction, or this one for it, and neither misses the other.
CREATE FUNCTION note_stale_candles() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO candle_stale AS noted (pair, "interval", "timestamp")
    SELECT DISTINCT pair, coarse, candle_bucket(coarse, "timestamp") AS start
    FROM written, unnest(ARRAY['1hour', '1day']) AS coarse
    ORDER BY pair, coarse, start
    ON CONFLICT (pair, "interval", "timestamp") DO UPDATE SET since = noted.since;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_inserted AFTER INSERT ON price_history_5min REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION note_stale_candles();
CREATE TRIGGER note_updated AFTER UPDATE ON price_history_5min REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION note_stale_candles();

-- The candles of `coarse` ('1hour' or '1day') in [since, until), from the finest rows there are: five minutes, and for
-- a day the hours of which none are left or ever were.
CREATE FUNCTION candle_rolled(wanted pair_symbol, coarse text, since timestamptz, until timestamptz)
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
        sum(part.volume),
        CASE WHEN sum(part.volume) > 0 THEN round(sum(part.quote_volume) / sum(part.volume), 8) END,
        sum(part.trade_count)::integer,
        min(part.open_time),
        max(part.close_time),
        sum(part.quote_volume),
        CASE WHEN bool_or(part.source = 'backfill') THEN 'backfill' ELSE 'trades' END
    FROM (SELECT * FROM fine UNION ALL SELECT * FROM hours) AS part
    GROUP BY start
$$;

-- Roll up the buckets of [since, until) that have finer rows; return how many rows are new or changed. Doing it again
-- changes nothing.
CREATE FUNCTION roll_up(wanted pair_symbol, coarse text, since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    changed integer;
BEGIN
    IF coarse = '1hour' THEN
        PERFORM ensure_candle_partitions((since AT TIME ZONE 'UTC')::date, (until AT TIME ZONE 'UTC')::date);
    ELSIF coarse IS DISTINCT FROM '1day' THEN
        RAISE invalid_parameter_value USING MESSAGE = format('nothing is rolled up to %s', coarse);
    END IF;
    EXECUTE format($upsert$
        INSERT INTO %I AS mine (
            pair, "timestamp", open, high, low, close, volume, vwap, trade_count, open_time, close_time, quote_volume, source
        )
        SELECT * FROM candle_rolled($1, $2, $3, $4) ORDER BY "timestamp"
        ON CONFLICT (pair, "timestamp") DO UPDATE SET
            open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
            volume = excluded.volume, vwap = excluded.vwap, trade_count = excluded.trade_count,
            open_time = excluded.open_time, close_time = excluded.close_time,
            quote_volume = excluded.quote_volume, source = excluded.source
        WHERE (mine.open, mine.high, mine.low, mine.close, mine.volume, mine.vwap, mine.trade_count, mine.open_time,
                mine.close_time, mine.quote_volume, mine.source)
            IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.vwap,
                excluded.trade_count, excluded.open_time, excluded.close_time, excluded.quote_volume, excluded.source)
    $upsert$, 'price_history_' || coarse) USING wanted, coarse, since, until;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

-- Roll up at most `most` stale buckets, the longest waiting first; return how many. Any number of processes may call it:
-- each bucket is done once, and one that its writer still holds is left to the next call.
CREATE FUNCTION roll_up_stale(most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    taken candle_stale[];
    each  candle_stale;
BEGIN
    WITH oldest AS (
        SELECT pair, "interval", "timestamp" FROM candle_stale ORDER BY since LIMIT most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM candle_stale AS stale USING oldest
        WHERE (stale.pair, stale."interval", stale."timestamp") = (oldest.pair, oldest."interval", oldest."timestamp")
        RETURNING stale
    )
    SELECT array_agg(stale ORDER BY (stale).pair, (stale)."interval", (stale)."timestamp") INTO taken FROM gone;
    -- A statement of its own: it sees what the writers had committed when the rows above were free.
    FOREACH each IN ARRAY coalesce(taken, '{}') LOOP
        PERFORM roll_up(each.pair, each."interval", each."timestamp", each."timestamp" + candle_width(each."interval"));
    END LOOP;
    RETURN coalesce(cardinality(taken), 0);
END
$$;

INSERT INTO candle_stale (pair, "interval", "timestamp")
SELECT DISTINCT pair, coarse, candle_bucket(coarse, "timestamp")
FROM price_history_5min, unnest(ARRAY['1hour', '1day']) AS coarse
ON CONFLICT DO NOTHING;

REVOKE EXECUTE ON FUNCTION ensure_candle_partitions(date, date) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION drop_candle_partitions(text, date) FROM PUBLIC;
