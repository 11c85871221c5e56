"""obstore's ``put`` of a file, with its defaults or what is set, as a whole program; a folder by several threads."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
from obstore.store import S3Store


def main() -> None:
    """Upload PATH to BUCKET/KEY at ENDPOINT, a folder's files to KEY/NAME; settings: threads, part_mib."""
    endpoint, bucket, key, source = sys.argv[1:5]
    settings = {name: int(number) for name, _, number in (pair.partition("=") for pair in sys.argv[5:])}
    store = S3Store(bucket, endpoint=endpoint, virtual_hosted_style_request=False, client_options={"allow_http": True})
    path = Path(source)
    if not path.is_dir():
        if settings:
            obstore.put(
                store, key, path, max_concurrency=settings["threads"], chunk_size=settings.get("part_mib", 5) << 20
            )
        else:
            obstore.put(store, key, path)
        return
    prefix = key.removesuffix("/")

    def put(file: Path) -> None:
        obstore.put(store, f"{prefix}/{file.name}", file)

    with ThreadPoolExecutor(settings.get("threads", 8)) as threads:
        for _ in threads.map(put, path.iterdir()):
            pass


if __name__ == "__main__":
    main()
