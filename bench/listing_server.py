"""An S3 server that only lists: computed keys, each page a while after it was asked for.

    python -m bench.listing_server --port 9000 --keys 10000,1000000 --latency 0.03

Bucket ``bench`` holds so many keys of each shape of ``listed_keys``, below a prefix each: ``hashed-1000000/…``; bucket
``bench-too`` holds the same. It knows ListObjectsV2 and ListObjects, and looks at no signature. A page costs it less
than any client takes to read it: all objects have one size, one ETag and one time, so a page is its keys joined by a
constant. ``--latency`` is of one request; requests do not wait for each other.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import cast
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

from bench.listed_keys import SHAPES, Keys
from bench.own_servers import own_server

BUCKET = "bench"
OTHER_BUCKET = "bench-too"
PAGE_KEYS = 1000
OBJECT_BYTES = 4096
OBJECT_TIME = datetime(2024, 5, 17, 12, 34, 56, tzinfo=UTC)
_BEFORE = b"<Contents><Key>"
_AFTER = (
    f"</Key><LastModified>{OBJECT_TIME:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
    f"<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>{OBJECT_BYTES}</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
).encode()
_BETWEEN = (_AFTER + _BEFORE).decode()


def listing_prefix(shape: str, keys: int) -> str:
    """Return what so many keys of a shape are below."""
    return f"{shape}-{keys}/"


class Listings:
    """What the bucket holds, as pages."""

    def __init__(self, counts: Sequence[int]) -> None:
        self._shapes = {
            listing_prefix(name, count): make(count) for name, make in sorted(SHAPES.items()) for count in counts
        }

    def page(self, query: dict[str, str], bucket: str = BUCKET) -> bytes:
        """Return the XML of the page that a query of a listing asks for; the prefix begins with a shape's name."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        limit = min(int(query.get("max-keys", PAGE_KEYS)), PAGE_KEYS)
        token = query.get("continuation-token")
        # ListObjects, which rclone speaks to stores that it does not know, goes on after a marker.
        begin = query.get("start-after", query.get("marker", ""))
        after = begin if token is None else base64.urlsafe_b64decode(token).decode()
        shape = next((name for name in self._shapes if prefix.startswith(name)), None)
        objects: list[str] = []
        folders: list[str] = []
        more = False
        if shape is None:
            folders = [name for name in self._shapes if name.startswith(prefix) and name > after]
        else:
            objects, folders, more = _entries(
                self._shapes[shape], prefix.removeprefix(shape), delimiter, after[len(shape) :], limit
            )
            objects, folders = [shape + key for key in objects], [shape + name for name in folders]
        last = max((*objects[-1:], *folders[-1:]), default="")
        encode = (lambda text: quote(text, safe="/")) if query.get("encoding-type") == "url" else escape
        about = [f"<Name>{bucket}</Name><Prefix>{encode(prefix)}</Prefix><MaxKeys>{limit}</MaxKeys>"]
        about.append(
            f"<KeyCount>{len(objects) + len(folders)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
        )
        if query.get("encoding-type") == "url":
            about.append("<EncodingType>url</EncodingType>")
        if more:
            next_token = base64.urlsafe_b64encode(last.encode()).decode()
            about.append(f"<NextContinuationToken>{next_token}</NextContinuationToken>")
        if objects:
            about.append(_BEFORE.decode() + _BETWEEN.join(objects) + _AFTER.decode())
        about += [f"<CommonPrefixes><Prefix>{encode(name)}</Prefix></CommonPrefixes>" for name in folders]
        body = "".join(about)
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</ListBucketResult>'
        ).encode()


def _entries(keys: Keys, prefix: str, delimiter: str, after: str, limit: int) -> tuple[list[str], list[str], bool]:
    """Return the keys and the folders of a page, and whether there are more."""
    index, end = max(keys.after(after) if after else 0, keys.at_least(prefix)), keys.at_least(prefix + "\U0010ffff")
    if not delimiter:
        stop = min(index + limit, end)
        return [keys.key_at(number) for number in range(index, stop)], [], stop < end
    objects: list[str] = []
    folders: list[str] = []
    while index < end and len(objects) + len(folders) < limit:
        key = keys[index]
        cut = key.find(delimiter, len(prefix))
        if cut < 0:
            objects.append(key)
            index += 1
        else:
            folder = key[: cut + len(delimiter)]
            if folder > after:
                folders.append(folder)
            index = keys.at_least(folder + "\U0010ffff")
    return objects, folders, index < end


class Connection(asyncio.Protocol):
    """One client's connection: requests without bodies, answered one after the other."""

    def __init__(self, listings: Listings, latency_s: float) -> None:
        self._listings = listings
        self._latency_s = latency_s
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own does not derive from it

    def data_received(self, data: bytes) -> None:
        """Answer each request, ``latency`` after its last byte."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            asyncio.get_running_loop().call_later(self._latency_s, self._answer, head.split(b" ", 2)[1].decode())

    def _answer(self, target: str) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        path, _, text = target.partition("?")
        query = dict(parse_qsl(text, keep_blank_values=True))
        bucket = path.strip("/")
        if bucket not in (BUCKET, OTHER_BUCKET) or "location" in query:
            body = b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>'
        else:
            body = self._listings.page(query, bucket)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


@contextmanager
def listing_server(counts: Sequence[int], latency_s: float) -> Iterator[str]:
    """Run the server in a process of its own until the block ends; gives its endpoint."""
    options = ["--keys", ",".join(map(str, counts)), "--latency", str(latency_s)]
    with own_server("bench.listing_server", options) as (_, ready):
        yield f"http://127.0.0.1:{ready['port']}"


async def serve(listings: Listings, latency_s: float) -> None:
    """Serve at a free port, which is printed, until the process is ended."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(listings, latency_s), "127.0.0.1", 0, backlog=512
    )
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve at a loopback port."""
    import uvloop

    parser = argparse.ArgumentParser(prog="python -m bench.listing_server", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keys", default="1000000", help="numbers of keys of each shape (default: 1000000)")
    parser.add_argument("--latency", type=float, default=0.03, help="seconds (default: 0.03)")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.keys.split(",")]
    uvloop.run(serve(Listings(counts), arguments.latency))


if __name__ == "__main__":
    main()
