"""obstore's ``put`` of a file with its defaults, as a whole program; a folder by several threads."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
from obstore.store import S3Store

THREADS = 8


def main() -> None:
    """Upload SOURCE to BUCKET/KEY at ENDPOINT; the files of a folder to KEY/NAME."""
    endpoint, bucket, key, source = sys.argv[1:]
    store = S3Store(bucket, endpoint=endpoint, virtual_hosted_style_request=False, client_options={"allow_http": True})
    path = Path(source)
    if not path.is_dir():
        obstore.put(store, key, path)
        return

    def put(file: Path) -> None:
        obstore.put(store, f"{key}/{file.name}", file)

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(put, path.iterdir()):
            pass


if __name__ == "__main__":
    main()
