-- Why a price is what it is, stored with it: the part of every venue, what was left out and why, the rate. Rows of a pair
-- derived through a rate name the pair that they come from, and explain only the rate. Null: written before this.
ALTER TABLE price_history ADD COLUMN explanation jsonb CHECK (jsonb_typeof(explanation) = 'object');

-- Which trade of a candle's first and last millisecond opened and closed it, so that merging a late trade does not depend
-- on the order in which trades came.
ALTER TABLE price_history_5min
    ADD COLUMN open_key text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN close_key text COLLATE "C" NOT NULL DEFAULT '';
