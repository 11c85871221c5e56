"""Everything that goes through boto3; the only importer of boto3 and botocore."""
