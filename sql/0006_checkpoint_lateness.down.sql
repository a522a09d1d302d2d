ALTER TABLE checkpoint DROP COLUMN lateness_ms;
