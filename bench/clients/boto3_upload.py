"""boto3's ``upload_file`` as a whole program, with its default TransferConfig or what is set.

A folder goes through one transfer manager of the same configuration, which is what ``upload_file`` makes
for each file: its threads are then shared by all files instead of waiting for one.
"""

import sys
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config


def main() -> None:
    """Upload PATH to BUCKET/KEY at ENDPOINT, a folder's files to KEY/NAME; settings: concurrency, part_mib."""
    endpoint, bucket, key, source = sys.argv[1:5]
    settings = {name: int(number) for name, _, number in (pair.partition("=") for pair in sys.argv[5:])}
    chosen = TransferConfig()
    pool = None
    if settings:
        threads = settings["concurrency"]
        chosen = TransferConfig(max_concurrency=threads, multipart_chunksize=settings.get("part_mib", 8) << 20)
        pool = Config(max_pool_connections=threads)
    client = boto3.client("s3", endpoint_url=endpoint, config=pool)
    if not Path(source).is_dir():
        client.upload_file(source, bucket, key, Config=chosen)
        return
    prefix = key.removesuffix("/")
    with create_transfer_manager(client, chosen) as manager:
        uploads = [manager.upload(str(path), bucket, f"{prefix}/{path.name}") for path in Path(source).iterdir()]
        for upload in uploads:
            upload.result()


if __name__ == "__main__":
    main()
