"""The child that keeps the database in shape: partitions, roll-ups of candles, their holes where that is wanted."""
