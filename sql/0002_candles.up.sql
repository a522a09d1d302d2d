-- Candles from trades, UTC-aligned buckets. `timestamp` is the bucket's start. A late trade revises its bucket, hence
-- the times of its first and last trade and the exact sum of price × volume (`vwap` is that over `volume`).

CREATE TABLE price_history_5min (
    id           bigint         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pair         pair_symbol    NOT NULL,
    "timestamp"  timestamptz    NOT NULL,
    open         numeric(24, 8) NOT NULL,
    high         numeric(24, 8) NOT NULL,
    low          numeric(24, 8) NOT NULL CHECK (low > 0),
    close        numeric(24, 8) NOT NULL,
    volume       numeric(24, 8) NOT NULL CHECK (volume >= 0),
    vwap         numeric(24, 8),
    trade_count  integer        NOT NULL DEFAULT 0 CHECK (trade_count >= 0),
    created_at   timestamptz    NOT NULL DEFAULT now(),
    open_time    timestamptz,
    close_time   timestamptz,
    quote_volume numeric        CHECK (quote_volume >= 0),
    source       text           NOT NULL DEFAULT 'trades' CHECK (source IN ('trades', 'backfill')),
    UNIQUE (pair, "timestamp"),
    CHECK (low <= least(open, close) AND high >= greatest(open, close)),
    CHECK (open_time <= close_time)
);

CREATE TABLE price_history_1hour (LIKE price_history_5min INCLUDING ALL);

CREATE TABLE price_history_1day (LIKE price_history_5min INCLUDING ALL);

COMMENT ON TABLE price_history_5min IS 'Candles of five minutes';
COMMENT ON TABLE price_history_1hour IS 'Candles of an hour, rolled up from five minutes';
COMMENT ON TABLE price_history_1day IS 'Candles of a UTC day, rolled up from five minutes';
