"""Local files. Nothing in here knows S3."""
