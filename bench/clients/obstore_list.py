"""obstore's stream of a listing, as a whole program: one line a key, or their total."""

import sys

import obstore
from obstore.store import S3Store


def main() -> None:
    """Do VERB (``ls`` or ``du``) for the keys of BUCKET at ENDPOINT that begin with PREFIX."""
    verb, endpoint, bucket, prefix = sys.argv[1:]
    store = S3Store(bucket, endpoint=endpoint, virtual_hosted_style_request=False, client_options={"allow_http": True})
    objects = size_bytes = 0
    for page in obstore.list(store, prefix, chunk_size=1000):
        for stored in page:
            if verb == "ls":
                print(f"{stored['last_modified']:%Y-%m-%d %H:%M:%S} {stored['size']:>12} {stored['path']}")
            else:
                objects += 1
                size_bytes += stored["size"]
    if verb == "du":
        print(f"{size_bytes} bytes in {objects} objects")


if __name__ == "__main__":
    main()
