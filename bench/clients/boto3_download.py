"""boto3's ``download_file`` with its default TransferConfig, as a whole program."""

import sys

import boto3


def main() -> None:
    """Download BUCKET/KEY from ENDPOINT to DEST, as the boto3 guide says."""
    endpoint, bucket, key, destination = sys.argv[1:]
    boto3.client("s3", endpoint_url=endpoint).download_file(bucket, key, destination)


if __name__ == "__main__":
    main()
