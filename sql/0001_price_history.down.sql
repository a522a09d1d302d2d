DROP FUNCTION drop_price_history_partitions(date);
DROP FUNCTION ensure_price_history_partitions(date, integer);
DROP TABLE price_history;
DROP TYPE aggregation_method;
DROP TYPE pair_symbol;
