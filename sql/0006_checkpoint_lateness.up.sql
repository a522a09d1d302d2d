-- A checkpoint says which entries are worked in; it says now of what age their trades had to be for that, too. So a change
-- of the lateness, or of the grid, neither doubles nor loses a trade. Null: stored before this, with the lateness that is
-- configured.
ALTER TABLE checkpoint ADD COLUMN lateness_ms integer CHECK (lateness_ms >= 0);

COMMENT ON COLUMN checkpoint.lateness_ms IS 'Trades so much older than stream_id are in candles; younger ones are not yet';
