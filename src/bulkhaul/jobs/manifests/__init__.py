"""Lists of objects that others made, read as rows: JSON Lines, CSV, S3 Inventory, Parquet, ORC, and our own reports."""
