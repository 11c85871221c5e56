"""obstore fetching ranges with several threads, as a whole program.

obstore has no "download to a file", so this is the program one would write with it: each thread fetches a
range and writes it where it belongs, or an object and writes its file. The interpreter lock is free both
while obstore waits and while the kernel copies. Whole ranges or streamed ones, 2 to 8 threads: of nine shapes
tried on two cores over loopback, three runs each or fewer, this one was among the fastest, and more threads
were slower.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import obstore
from obstore.store import S3Store


def main() -> None:
    """Download BUCKET/KEY from ENDPOINT to PATH; settings: threads, part_mib."""
    endpoint, bucket, key, destination = sys.argv[1:5]
    settings = {name: int(number) for name, _, number in (pair.partition("=") for pair in sys.argv[5:])}
    threads, part_size_bytes = settings.get("threads", 4), settings.get("part_mib", 8) << 20
    store = S3Store(bucket, endpoint=endpoint, virtual_hosted_style_request=False, client_options={"allow_http": True})
    if key.endswith("/"):
        fetch_all(store, key, destination, threads)
        return
    size_bytes = obstore.head(store, key)["size"]
    file = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    if size_bytes:
        os.posix_fallocate(file, 0, size_bytes)

    def fetch(start: int) -> None:
        end = min(start + part_size_bytes, size_bytes)
        written = os.pwrite(file, obstore.get_range(store, key, start=start, end=end), start)
        if written != end - start:
            raise SystemExit(f"range {start}-{end - 1}: {written} bytes written")

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(fetch, range(0, size_bytes, part_size_bytes)):
            pass
    os.close(file)


def fetch_all(store: S3Store, prefix: str, destination: str, threads: int) -> None:
    """Download all objects below a prefix into a folder."""
    os.makedirs(destination, exist_ok=True)

    def fetch(key: str) -> None:
        with open(f"{destination}/{key.removeprefix(prefix)}", "wb") as file:
            file.write(obstore.get(store, key).bytes())

    with ThreadPoolExecutor(threads) as pool:
        for page in obstore.list(store, prefix):
            for _ in pool.map(fetch, [stored["path"] for stored in page]):
                pass


if __name__ == "__main__":
    main()
