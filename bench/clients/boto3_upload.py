"""boto3's ``upload_file`` with its default TransferConfig, as a whole program.

A folder goes through one transfer manager of the same configuration, which is what ``upload_file`` makes
for each file: its 10 threads are then shared by all files instead of waiting for one.
"""

import sys
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager


def main() -> None:
    """Upload SOURCE to BUCKET/KEY at ENDPOINT; the files of a folder to KEY/NAME."""
    endpoint, bucket, key, source = sys.argv[1:]
    client = boto3.client("s3", endpoint_url=endpoint)
    if not Path(source).is_dir():
        client.upload_file(source, bucket, key)
        return
    with create_transfer_manager(client, TransferConfig()) as manager:
        uploads = [manager.upload(str(path), bucket, f"{key}/{path.name}") for path in Path(source).iterdir()]
        for upload in uploads:
            upload.result()


if __name__ == "__main__":
    main()
