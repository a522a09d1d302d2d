DROP TABLE gap;
DROP TABLE usd_rub_rate;
DROP TABLE checkpoint;
