"""boto3's paginator over ``list_objects_v2``, as a whole program: one line a key, or their total."""

import sys

import boto3


def main() -> None:
    """Do VERB (``ls`` or ``du``) for the keys of BUCKET at ENDPOINT that begin with PREFIX."""
    verb, endpoint, bucket, prefix = sys.argv[1:]
    client = boto3.client("s3", endpoint_url=endpoint)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    objects = size_bytes = 0
    for page in pages:
        for stored in page.get("Contents", ()):
            if verb == "ls":
                print(f"{stored['LastModified']:%Y-%m-%d %H:%M:%S} {stored['Size']:>12} {stored['Key']}")
            else:
                objects += 1
                size_bytes += stored["Size"]
    if verb == "du":
        print(f"{size_bytes} bytes in {objects} objects")


if __name__ == "__main__":
    main()
