-- How far the stream of a pair is worked in. Committed with the rows that it made; `epoch` is the owner's fencing
-- number: a lower one than stored is an owner that lost the pair and must not write.
CREATE TABLE checkpoint (
    pair       pair_symbol PRIMARY KEY,
    stream_id  text        NOT NULL CHECK (stream_id ~ '^[0-9]+-[0-9]+$'),
    epoch      bigint      NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Official roubles per US dollar, by the date (Europe/Moscow) from which they are in force.
CREATE TABLE usd_rub_rate (
    date       date           PRIMARY KEY,
    rate       numeric(24, 8) NOT NULL CHECK (rate > 0),
    fetched_at timestamptz    NOT NULL
);

-- Times for which trades of an exchange are known to be missing.
CREATE TABLE gap (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange text        NOT NULL,
    pair     pair_symbol NOT NULL,
    "from"   timestamptz NOT NULL,
    "to"     timestamptz NOT NULL,
    reason   text        NOT NULL,
    UNIQUE (exchange, pair, "from"),
    CHECK ("from" < "to")
);
