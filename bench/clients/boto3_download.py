"""boto3's ``download_file`` as a whole program, with its default TransferConfig or what is set.

A prefix goes through one transfer manager of the same configuration, which is what ``download_file`` makes
for each object: its threads are then shared by all objects instead of waiting for one.
"""

import os
import sys

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config


def main() -> None:
    """Download BUCKET/KEY from ENDPOINT to PATH, as the boto3 guide says; settings: concurrency, part_mib."""
    endpoint, bucket, key, destination = sys.argv[1:5]
    settings = {name: int(number) for name, _, number in (pair.partition("=") for pair in sys.argv[5:])}
    chosen = TransferConfig()
    pool = None
    if settings:
        threads = settings["concurrency"]
        chosen = TransferConfig(max_concurrency=threads, multipart_chunksize=settings.get("part_mib", 8) << 20)
        pool = Config(max_pool_connections=threads)
    client = boto3.client("s3", endpoint_url=endpoint, config=pool)
    if not key.endswith("/"):
        client.download_file(bucket, key, destination, Config=chosen)
        return
    os.makedirs(destination, exist_ok=True)
    with create_transfer_manager(client, chosen) as manager:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        names = [stored["Key"] for page in pages for stored in page.get("Contents", ())]
        downloads = [manager.download(bucket, name, f"{destination}/{name.removeprefix(key)}") for name in names]
        for download in downloads:
            download.result()


if __name__ == "__main__":
    main()
