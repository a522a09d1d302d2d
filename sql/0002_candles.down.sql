DROP TABLE price_history_1day;
DROP TABLE price_history_1hour;
DROP TABLE price_history_5min;
