"""Which reply a request gets. Knows what is stored; must not know sockets, time of arrival or pace."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from html import unescape
from xml.sax.saxutils import escape

from .catalogue import Bucket, Catalogue, Part, Stored
from .listings import document, iso, list_objects
from .requests import Request, without_framing

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
PART_NUMBER = re.compile(r"<PartNumber>\s*(\d+)\s*</PartNumber>")
DELETED_KEY = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)
ENTITIES = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&apos;", "'"),
    ("&#39;", "'"),
    ("&#34;", '"'),
    ("&amp;", "&"),
)
REASONS = {
    200: "OK", 204: "No Content", 206: "Partial Content", 304: "Not Modified", 400: "Bad Request", 404: "Not Found",
    409: "Conflict", 412: "Precondition Failed", 416: "Range Not Satisfiable", 501: "Not Implemented",
}  # fmt: skip
BODILESS = frozenset({204, 304})


@dataclass(slots=True)
class Reply:
    """What is sent back.

    Attributes:
        head: status line and headers, with the empty line.
        body: the bytes, or None if they are a window of the shared content.
        start, size_bytes: that window; ``size_bytes`` is 0 if nothing follows the head.
    """

    head: bytes
    body: bytes | None = None
    start: int = 0
    size_bytes: int = 0


class Service:
    """The operations of S3 that transfer programs use."""

    def __init__(self, catalogue: Catalogue, *, keeps_bodies: bool, statistics: Callable[[], bytes]) -> None:
        """Serve a catalogue.

        Args:
            keeps_bodies: uploaded bytes are kept, hashed and given back; else only counted.
            statistics: gives the JSON text of ``GET /-/statistics``.
        """
        self.catalogue = catalogue
        self.keeps_bodies = keeps_bodies
        self.statistics = statistics
        self._second, self._date = 0, ""

    def wants_body(self, request: Request) -> bool:
        """Tell whether the bytes of the request's body are needed, rather than their number alone."""
        return self.keeps_bodies or request.method == "POST"

    def reply(self, request: Request) -> Reply:
        """Do what the request asks and return the reply."""
        try:
            return self._reply(request)
        except ValueError as error:
            return self._error(request, 400, "InvalidRequest", message=escape(str(error)))

    def _reply(self, request: Request) -> Reply:
        method, key, query = request.method, request.key, request.query
        bucket = self.catalogue.buckets.get(request.bucket)
        if request.bucket == "-":
            return self._answer(200, {"content-type": "application/json"}, self.statistics())
        if not key:
            return self._of_bucket(request, bucket)
        if bucket is None:
            return self._error(request, 404, "NoSuchBucket")
        if method in ("GET", "HEAD"):
            if "uploadId" in query:
                return self._parts(request)
            stored = bucket.objects.get(key)
            return self._error(request, 404, "NoSuchKey") if stored is None else self._object(request, stored)
        if method == "PUT":
            return self._put_part(request) if "uploadId" in query else self._put(request, bucket)
        if method == "POST" and "uploads" in query:
            upload_id = self.catalogue.begin_upload(request.bucket, key)
            named = f"<Bucket>{request.bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{upload_id}</UploadId>"
            return self._xml(document("InitiateMultipartUploadResult", named))
        if method == "POST" and "uploadId" in query:
            return self._complete(request)
        if method == "DELETE":
            if "uploadId" in query:
                self.catalogue.uploads.pop(query["uploadId"], None)
            else:
                bucket.delete(key)
            return self._answer(204)
        return self._error(request, 501, "NotImplemented")

    def _of_bucket(self, request: Request, bucket: Bucket | None) -> Reply:
        method, query = request.method, request.query
        if method == "PUT":
            self.catalogue.buckets.setdefault(request.bucket, Bucket())
            return self._answer(200)
        if bucket is None:
            return self._error(request, 404, "NoSuchBucket")
        if method == "DELETE":
            if bucket.objects:
                return self._error(request, 409, "BucketNotEmpty")
            del self.catalogue.buckets[request.bucket]
            return self._answer(204)
        if method == "POST" and "delete" in query:
            keys = [unescape(key) for key in DELETED_KEY.findall((request.body or b"").decode())]
            for key in keys:
                bucket.delete(key)
            quiet = b"<Quiet>true</Quiet>" in (request.body or b"")
            rows = "" if quiet else "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            return self._xml(document("DeleteResult", rows))
        if method == "HEAD":
            return self._answer(200, {"x-amz-bucket-region": "us-east-1"})
        if method != "GET":
            return self._error(request, 501, "NotImplemented")
        if "location" in query:
            return self._xml(document("LocationConstraint", ""))
        if "versioning" in query:
            return self._xml(document("VersioningConfiguration", ""))
        if "uploads" in query:
            rows = "".join(
                f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{name}</UploadId>"
                f"<Initiated>{iso(time.time())}</Initiated></Upload>"
                for name, upload in self.catalogue.uploads.items()
                if upload.bucket == request.bucket and upload.key.startswith(query.get("prefix", ""))
            )
            return self._xml(document("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{rows}"))
        return self._xml(list_objects(request.bucket, bucket, query))

    def _object(self, request: Request, stored: Stored) -> Reply:
        headers, size = request.headers, stored.size_bytes
        etag = f'"{stored.etag}"'
        if headers.get("if-match", "*") not in ("*", etag, stored.etag):
            return self._error(request, 412, "PreconditionFailed")
        if headers.get("if-none-match") in ("*", etag, stored.etag):
            return self._answer(304, {"etag": etag})
        first, last, status = 0, size - 1, 200
        named = {"etag": etag, "last-modified": formatdate(stored.modified_s, usegmt=True), "accept-ranges": "bytes"}
        asked = headers.get("range", "")
        if "partNumber" in request.query:
            status = 206
        elif asked and (match := RANGE.fullmatch(asked)) and match[0] != "bytes=-":
            status = 206
            if not match[1]:
                first = max(0, size - int(match[2]))
            else:
                first = int(match[1])
                last = min(last, int(match[2] or last))
            if first >= size:
                return self._error(request, 416, "InvalidRange", {"content-range": f"bytes */{size}"})
        if status == 206 and size:
            named["content-range"] = f"bytes {first}-{last}/{size}"
        whole = last - first + 1 == size
        if stored.checksum[0] and whole and headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            named[f"x-amz-checksum-{stored.checksum[0]}"] = stored.checksum[1]
            named["x-amz-checksum-type"] = "FULL_OBJECT"
        named["content-type"] = "application/octet-stream"
        head = self._head(status, named, last - first + 1)
        if request.method == "HEAD":
            return Reply(head)
        if stored.start is not None:
            return Reply(head, None, stored.start + first, last - first + 1)
        if stored.body is None:
            return self._error(request, 501, "NotImplemented", message="this server does not keep what is uploaded")
        return Reply(head, stored.body[first : last + 1])

    def _put(self, request: Request, bucket: Bucket) -> Reply:
        old = bucket.objects.get(request.key)
        if old is not None and request.headers.get("if-none-match") == "*":
            return self._error(request, 412, "PreconditionFailed")
        if "if-match" in request.headers and (old is None or request.headers["if-match"].strip('"') != old.etag):
            return self._error(request, 412, "PreconditionFailed")
        part = self._received(request)
        sums = _checksums(request)
        first = next(iter(sums.items()), ("", ""))
        stored = Stored(part.size_bytes, part.etag, time.time(), None, part.body)
        stored.checksum = (first[0].removeprefix("x-amz-checksum-"), first[1])
        bucket.put(request.key, stored)
        return self._answer(200, {"etag": f'"{part.etag}"'} | sums)

    def _put_part(self, request: Request) -> Reply:
        upload = self.catalogue.uploads.get(request.query["uploadId"])
        if upload is None:
            return self._error(request, 404, "NoSuchUpload")
        part = upload.parts[int(request.query["partNumber"])] = self._received(request)
        return self._answer(200, {"etag": f'"{part.etag}"'} | _checksums(request))

    def _received(self, request: Request) -> Part:
        body = request.body
        if body is not None and request.is_chunked:
            body = without_framing(body)
        size_bytes = request.size_bytes if body is None else len(body)
        etag = self.catalogue.received(size_bytes, body, request.headers.get("content-md5", ""))
        return Part(size_bytes, etag, body)

    def _parts(self, request: Request) -> Reply:
        upload = self.catalogue.uploads.get(request.query["uploadId"])
        if upload is None:
            return self._error(request, 404, "NoSuchUpload")
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{part.etag}&quot;</ETag><Size>{part.size_bytes}</Size>"
            f"<LastModified>{iso(time.time())}</LastModified></Part>"
            for number, part in sorted(upload.parts.items())
        )
        return self._xml(document("ListPartsResult", f"<IsTruncated>false</IsTruncated>{rows}"))

    def _complete(self, request: Request) -> Reply:
        upload = self.catalogue.uploads.get(request.query["uploadId"])
        if upload is None:
            return self._error(request, 404, "NoSuchUpload")
        numbers = [int(number) for number in PART_NUMBER.findall((request.body or b"").decode())]
        if not numbers or any(number not in upload.parts for number in numbers):
            return self._error(request, 400, "InvalidPart")
        stored = self.catalogue.complete_upload(request.query["uploadId"], numbers, now_s=time.time())
        named = f"<Bucket>{upload.bucket}</Bucket><Key>{escape(upload.key)}</Key><ETag>&quot;{stored.etag}&quot;</ETag>"
        return self._xml(document("CompleteMultipartUploadResult", named))

    def _answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        return Reply(self._head(status, headers or {}, len(body)), body)

    def _xml(self, body: bytes) -> Reply:
        return self._answer(200, {"content-type": "application/xml"}, body)

    def _error(
        self, request: Request, status: int, code: str, headers: Mapping[str, str] | None = None, message: str = ""
    ) -> Reply:
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message or code}</Message>'
            f"<Resource>/{escape(request.bucket)}/{escape(request.key)}</Resource><RequestId>distant</RequestId></Error>"
        ).encode()
        head = self._head(status, {"content-type": "application/xml", **(headers or {})}, len(body))
        return Reply(head, b"" if request.method == "HEAD" else body)

    def _head(self, status: int, headers: Mapping[str, str], size_bytes: int) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True)
        length = "" if status in BODILESS else f"content-length: {size_bytes}\r\n"
        named = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return (
            f"HTTP/1.1 {status} {REASONS[status]}\r\nx-amz-request-id: distant\r\ndate: {self._date}\r\n"
            f"server: distant\r\n{named}{length}\r\n"
        ).encode("latin-1")


def _checksums(request: Request) -> dict[str, str]:
    """Return the checksum headers that came with a body, which S3 sends back when they are right."""
    sums = {
        name: value
        for name, value in request.headers.items()
        if name.startswith("x-amz-checksum-")
        and name not in ("x-amz-checksum-mode", "x-amz-checksum-type")
        and name != "x-amz-checksum-algorithm"
    }
    return sums | dict(request.trailer)
