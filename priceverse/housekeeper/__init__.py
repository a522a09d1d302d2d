"""The child that keeps the database in shape: partitions, roll-ups, what collectors lost, holes in candles filled."""
