"""A tiny S3 in memory, as a process of its own, that records when each request arrived.

It does what one small object and one short listing need (HEAD, GET, PUT, ListObjectsV2), looks at no signature, and
answers at once: so what is measured is how long a client takes to begin and to end.
"""

import contextlib
import hashlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from bench.own_servers import own_server

RECORDS = "/-/requests"
"""GET returns the arrivals, seconds since the epoch, as JSON; DELETE forgets them. No bucket has such a name."""

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"


class Bucket:
    """Everything that is stored, and the arrivals of requests."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.arrivals_s: list[float] = []
        self.modified_s = time.time()

    def listing(self, bucket: str, prefix: str) -> bytes:
        """Return the only page of the keys below a prefix (ListObjectsV2, and near enough to ListObjects)."""
        instant = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.modified_s))
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{instant}</LastModified><ETag>&quot;{etag(data)}&quot;"
            f"</ETag><Size>{len(data)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        count = rows.count("<Contents>")
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{XMLNS}"><Name>{escape(bucket)}</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>1000</MaxKeys>"
            f"<IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        ).encode()


def etag(data: bytes) -> str:
    """Return the ETag of an object that was put whole. Source: S3, "Common response headers"."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Recorder(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    raw_requestline: bytes
    bucket = Bucket()

    def parse_request(self) -> bool:
        """Note the arrival: the first line has been read."""
        if RECORDS.encode() not in self.raw_requestline:
            self.bucket.arrivals_s.append(time.time())
        return super().parse_request()

    def do_HEAD(self) -> None:
        """HeadObject, HeadBucket."""
        self.get()

    def do_GET(self) -> None:
        """GetObject, ListObjectsV2, and the records."""
        self.get()

    def do_DELETE(self) -> None:
        """DeleteObject, or forget the arrivals."""
        if self.path == RECORDS:
            self.bucket.arrivals_s.clear()
        else:
            self.bucket.objects.pop(self.place()[1], None)
        self.answer(204)

    def do_PUT(self) -> None:
        """PutObject; the bodies of SDKs, framed as aws-chunked, are unwrapped."""
        data = b""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "x-amz-decoded-content-length" in self.headers:
            data = unwrapped(data)
        _, key = self.place()
        self.bucket.objects[key] = data
        self.answer(200, ETag=f'"{etag(data)}"')

    def get(self) -> None:
        """Answer a HEAD or a GET."""
        url = urlsplit(self.path)
        if url.path == RECORDS:
            self.answer(200, json.dumps(self.bucket.arrivals_s).encode())
            return
        bucket, key = self.place()
        if not key:
            prefix = parse_qs(url.query).get("prefix", [""])[0]
            self.answer(200, self.bucket.listing(bucket, prefix), **{"Content-Type": "application/xml"})
            return
        data = self.bucket.objects.get(key)
        if data is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>")
            return
        status, extent = 200, {}
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
            extent = {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
            status, piece = 206, data[start : end + 1]
        else:
            piece = data
        self.answer(
            status,
            piece,
            **{"ETag": f'"{etag(data)}"', "Last-Modified": formatdate(self.bucket.modified_s, usegmt=True)},
            **{"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"},
            **extent,
        )

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a reply, in one piece."""
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers_with(b"" if self.command == "HEAD" else body)

    def end_headers_with(self, body: bytes) -> None:
        """Put the body behind the headers that are still held back."""
        self._headers_buffer.extend((b"\r\n", body))  # type: ignore[attr-defined] # its own, not in the stubs
        self.flush_headers()

    def place(self) -> tuple[str, str]:
        """Return bucket and key that the path names."""
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        return bucket, key


def unwrapped(framed: bytes) -> bytes:
    """Return the bytes of an aws-chunked body. Source: S3, "Signature calculations: transferring payload in chunks"."""
    data = b""
    while framed:
        head, _, framed = framed.partition(b"\r\n")
        size = int(head.split(b";")[0], 16)
        if not size:
            break
        data += framed[:size]
        framed = framed[size + 2 :]
    return data


class Records:
    """A running recorder, as its clients' bench sees it."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Store an object."""
        self._call("PUT", f"/{bucket}/{key}", data)

    def get(self, bucket: str, key: str) -> bytes | None:
        """Return an object, None if there is none."""
        try:
            return self._call("GET", f"/{bucket}/{key}")
        except urllib.error.HTTPError as error:
            error.close()
            return None

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object, if it is there."""
        self._call("DELETE", f"/{bucket}/{key}")

    def forget(self) -> None:
        """Forget what has arrived."""
        self._call("DELETE", RECORDS)

    def arrivals_s(self) -> list[float]:
        """Return when each request arrived, in seconds since the epoch."""
        arrivals: list[float] = json.loads(self._call("GET", RECORDS))
        return arrivals

    def _call(self, method: str, path: str, data: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.endpoint + path, data, method=method)  # noqa: S310 - our own endpoint
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
            body: bytes = reply.read()
            return body


@contextmanager
def recorder() -> Iterator[Records]:
    """Run a recorder until the block ends."""
    with own_server("bench.recorder") as (_, ready):
        yield Records(ready["port"])


def main() -> None:
    """Serve a free port, which is printed, until the process is ended."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.daemon_threads = True
    print(json.dumps({"port": server.server_port}), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.stack_size(1 << 18)
        server.serve_forever()


if __name__ == "__main__":
    main()
