ALTER TABLE price_history_5min DROP COLUMN open_key, DROP COLUMN close_key;
ALTER TABLE price_history DROP COLUMN explanation;
