"""S3 over the network. Nothing in here knows files on disk; only ``sdk`` knows boto3."""
