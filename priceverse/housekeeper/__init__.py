"""The child that keeps the database in shape: partitions ahead of time, old ones dropped."""
