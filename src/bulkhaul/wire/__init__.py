"""S3 over the network. Nothing in here knows a file."""
