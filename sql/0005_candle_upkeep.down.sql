CREATE TEMP TABLE kept_5min (LIKE price_history_5min INCLUDING ALL) ON COMMIT DROP;
CREATE TEMP TABLE kept_1hour (LIKE price_history_1hour INCLUDING ALL) ON COMMIT DROP;
INSERT INTO kept_5min OVERRIDING SYSTEM VALUE SELECT * FROM price_history_5min;
INSERT INTO kept_1hour OVERRIDING SYSTEM VALUE SELECT * FROM price_history_1hour;

DROP FUNCTION roll_up_stale(integer);
DROP FUNCTION roll_up(pair_symbol, text, timestamptz, timestamptz);
DROP FUNCTION candle_rolled(pair_symbol, text, timestamptz, timestamptz);
DROP TABLE candle_stale;
DROP TABLE price_history_5min, price_history_1hour;
DROP FUNCTION note_stale_candles();
DROP FUNCTION candle_bucket(text, timestamptz);
DROP FUNCTION candle_width(text);
DROP FUNCTION drop_candle_partitions(text, date);

-- As 0001 has it.
CREATE OR REPLACE FUNCTION ensure_price_history_partitions(first date, days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    day  date;
    name text;
    made integer := 0;
BEGIN
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

DROP FUNCTION ensure_candle_partitions(date, date);

CREATE TABLE price_history_5min (
    LIKE kept_5min INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY,
    PRIMARY KEY (id),
    UNIQUE (pair, "timestamp")
);
CREATE TABLE price_history_1hour (
    LIKE kept_1hour INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY,
    PRIMARY KEY (id),
    UNIQUE (pair, "timestamp")
);

COMMENT ON TABLE price_history_5min IS 'Candles of five minutes';
COMMENT ON TABLE price_history_1hour IS 'Candles of an hour, rolled up from five minutes';

INSERT INTO price_history_5min OVERRIDING SYSTEM VALUE SELECT * FROM kept_5min;
INSERT INTO price_history_1hour OVERRIDING SYSTEM VALUE SELECT * FROM kept_1hour;
SELECT setval(pg_get_serial_sequence('price_history_5min', 'id'), max(id)) FROM price_history_5min HAVING count(*) > 0;
SELECT setval(pg_get_serial_sequence('price_history_1hour', 'id'), max(id)) FROM price_history_1hour HAVING count(*) > 0;
