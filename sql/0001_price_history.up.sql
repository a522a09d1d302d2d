-- Prices on the grid of aggregation.interval: one row per pair and instant, one partition per UTC day.

CREATE TYPE pair_symbol AS ENUM ('btc-usd', 'xmr-usd', 'btc-rub', 'xmr-rub', 'eth-usd', 'eth-rub');

CREATE TYPE aggregation_method AS ENUM ('vwap', 'median', 'mean');

CREATE TABLE price_history (
    id          bigint             GENERATED ALWAYS AS IDENTITY,
    pair        pair_symbol        NOT NULL,
    price       numeric(24, 8)     NOT NULL CHECK (price > 0),
    "timestamp" timestamptz        NOT NULL,
    method      aggregation_method NOT NULL,
    sources     jsonb              NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(sources) = 'array'),
    volume      numeric(24, 8)     CHECK (volume >= 0),
    created_at  timestamptz        NOT NULL DEFAULT now(),
    PRIMARY KEY (id, "timestamp"),
    UNIQUE (pair, "timestamp")
) PARTITION BY RANGE ("timestamp");

COMMENT ON TABLE price_history IS 'Price of a pair at a grid instant, from the trades before it';

-- Make the partitions of `days` UTC days from `first` on that are missing; return how many were made.
-- Writers may call it without owning the table. A partition is made first and attached then, which takes no lock that
-- readers and writers of other days would wait for.
CREATE FUNCTION ensure_price_history_partitions(first date, days integer) RETURNS integer
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

-- Retention: drop the partitions of all UTC days before `before`; return how many were dropped. No row is deleted one
-- by one. Gives up after lock_timeout rather than queue everybody behind it; the next call finds the rest.
CREATE FUNCTION drop_price_history_partitions(before date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    name    text;
    dropped integer := 0;
BEGIN
    FOR name IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'price_history'::regclass AND to_date(right(relname, 8), 'YYYYMMDD') < before
        ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

REVOKE EXECUTE ON FUNCTION ensure_price_history_partitions(date, integer) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION drop_price_history_partitions(date) FROM PUBLIC;
