"""Modes of an endpoint: faults that hit every request, as services that are not quite S3 behave.

Job: change what the service understands of a request, or tells in a reply, throughout. Must not
know the store. Each fires on the first request that the mode makes a difference to.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from bulkhaul.testing.faultserver.contents import BytesContent
from bulkhaul.testing.faultserver.faults import Delivery, Exchange, Fault
from bulkhaul.testing.faultserver.http1 import HttpRequest, Reply
from bulkhaul.testing.faultserver.replies import ERROR_STATUS, error_reply

from .listing import list_objects, list_objects_v1
from .store import store_of

_CHECKSUM = re.compile(r"x-amz-(checksum-(?!mode$).*|sdk-checksum-algorithm|trailer)")
_CHECKSUM_ELEMENT = re.compile(rb"<(Checksum[A-Za-z0-9]*)>[^<]*</\1>")


@dataclass(frozen=True, kw_only=True)
class _Mode(Fault):
    """A fault that hits every request unless it is addressed."""

    operation: str | None = None
    attempt: int | Literal["every"] = "every"


def _without(element: re.Pattern[bytes], reply: Reply, headers: tuple[tuple[str, str], ...]) -> Reply | None:
    """Return an XML reply with other headers, and without some elements; None if nothing was different."""
    body = element.sub(b"", bytes(reply.content.read(reply.start, reply.end)))
    changed = replace(reply, headers=headers)
    if len(body) == reply.length:
        return None if headers == reply.headers else changed
    return Reply(reply.status, changed.with_header("Content-Length", str(len(body))), BytesContent(body), 0, len(body))


@dataclass(frozen=True, kw_only=True)
class RefuseChecksums(_Mode):
    """Answers 400 InvalidArgument, or 501 with ``code="NotImplemented"``, to any header about checksums.

    Those are ``x-amz-checksum-*`` (but not -mode), ``x-amz-sdk-checksum-algorithm`` and ``x-amz-trailer``.
    """

    code: Literal["InvalidArgument", "NotImplemented", "InvalidRequest"] = "InvalidArgument"

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer with the error, if there is such a header."""
        request = exchange.request
        known = sorted(name for name in request.headers if _CHECKSUM.fullmatch(name))
        if not known:
            return None
        message = f"a header you provided is not supported: {', '.join(known)}"
        return error_reply(ERROR_STATUS[self.code], self.code, message, request.key, {})


@dataclass(frozen=True, kw_only=True)
class IgnoreChecksums(_Mode):
    """Neither checks the checksums of requests nor tells any in replies."""

    def rewrite(self, exchange: Exchange, http: HttpRequest) -> HttpRequest | None:
        """Remove every header about checksums."""
        headers = {name: value for name, value in http.headers.items() if not _CHECKSUM.fullmatch(name)}
        return None if headers == http.headers else replace(http, headers=headers)

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Remove every header and element about checksums."""
        headers = tuple(pair for pair in reply.headers if not _CHECKSUM.fullmatch(pair[0].lower()))
        if reply.header("Content-Type") == "application/xml":
            return _without(_CHECKSUM_ELEMENT, reply, headers)
        return None if headers == reply.headers else replace(reply, headers=headers)


_ECHO = "x-amz-checksum-algorithm"
_TYPE = "x-amz-checksum-type"
_TYPE_ELEMENT = re.compile(rb"<ChecksumType>[^<]*</ChecksumType>")


@dataclass(frozen=True, kw_only=True)
class NoChecksumTypes(_Mode):
    """Knows no x-amz-checksum-type, as services did before S3 had it: CRC32 of an upload is a checksum of checksums.

    With ``echo`` the reply to a Create tells the algorithm.
    """

    echo: bool

    def rewrite(self, exchange: Exchange, http: HttpRequest) -> HttpRequest | None:
        """Remove the header from the request."""
        headers = {name: value for name, value in http.headers.items() if name != _TYPE}
        return None if headers == http.headers else replace(http, headers=headers)

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Remove header and element from the reply."""
        hidden = {_TYPE} if self.echo else {_TYPE, _ECHO}
        headers = tuple(pair for pair in reply.headers if pair[0].lower() not in hidden)
        if reply.header("Content-Type") == "application/xml":
            return _without(_TYPE_ELEMENT, reply, headers)
        return None if headers == reply.headers else replace(reply, headers=headers)


@dataclass(frozen=True, kw_only=True)
class RefuseHeader(_Mode):
    """Answers with an error to requests with a header of this name (an fnmatch pattern, lower case)."""

    name: str
    code: str = "InvalidArgument"

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer with the error, if there is such a header."""
        request = exchange.request
        if not any(fnmatchcase(name, self.name) for name in request.headers):
            return None
        message = f"Unsupported header '{self.name}' received for this API call."
        return error_reply(ERROR_STATUS[self.code], self.code, message, request.key, {})


@dataclass(frozen=True, kw_only=True)
class OnlyRegion(_Mode):
    """Takes requests that are signed for one region, as MinIO and Garage do once they have been given its name.

    Any other is refused with a document that names the region. A HEAD has none; ``told`` says it in a header, too.
    """

    region: str
    told: bool = True

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer with the error, if the request is signed for another region."""
        request = exchange.request
        if f"/{self.region}/s3/" in request.headers.get("authorization", ""):
            return None
        text = f"<Error><Code>AuthorizationHeaderMalformed</Code><Region>{self.region}</Region></Error>"
        body = text.encode()
        told = (("x-amz-bucket-region", self.region),) if self.told else ()
        headers = (("Content-Type", "application/xml"), ("Content-Length", str(len(body))), *told)
        return Reply(400, headers, BytesContent(body), 0, len(body))


@dataclass(frozen=True, kw_only=True)
class Transcoding(_Mode):
    """Unpacks what is stored gzipped unless the request takes gzip, as Google Cloud Storage does.

    The reply is then the whole object in chunks, whatever range was asked for; HEAD tells no length.
    Source: Google Cloud Storage documentation, "Transcoding of gzip-compressed files". With
    ``stubborn`` it does so whatever the request takes.
    """

    stubborn: bool = False

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Unpack the body of a GET, and take the length away."""
        packed = reply.header("Content-Encoding") == "gzip" and reply.status in (200, 206)
        if not packed or (not self.stubborn and "gzip" in exchange.request.headers.get("accept-encoding", "")):
            return None
        for name in ("Content-Encoding", "Content-Range"):
            reply = replace(reply, headers=reply.with_header(name, None))
        reply = replace(reply, headers=reply.with_header("x-goog-stored-content-encoding", "gzip"))
        if exchange.request.operation == "HeadObject":
            return replace(reply, headers=reply.with_header("Content-Length", None))
        body = gzip.decompress(bytes(reply.content.read(0, reply.content.size_bytes)))
        return Reply(200, reply.with_header("Content-Length", str(len(body))), BytesContent(body), 0, len(body))

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery | None:
        """Send what was unpacked in chunks."""
        return replace(delivery, chunk_size_bytes=999) if reply.header("x-goog-stored-content-encoding") else None


@dataclass(frozen=True, kw_only=True)
class OldListings(_Mode):
    """Knows ListObjects alone: refuses ListObjectsV2, or with ``ignored`` does not look at the list-type."""

    ignored: bool = False

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer a ListObjectsV2."""
        request = exchange.request
        if request.operation != "ListObjectsV2":
            return None
        if not self.ignored:
            return error_reply(400, "InvalidArgument", "list-type is not supported", request.key, {})
        return list_objects_v1(request.bucket, store_of(exchange).in_bucket(request.bucket), request.query)


@dataclass(frozen=True, kw_only=True)
class NoStartAfter(_Mode):
    """Refuses to begin a listing after a text, as directory buckets do; with ``ignored`` begins at the beginning.

    ``code`` is what it says.
    """

    ignored: bool = False
    code: str = "InvalidArgument"

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer a ListObjectsV2 with a start-after."""
        request = exchange.request
        if request.operation != "ListObjectsV2" or "start-after" not in request.query:
            return None
        if not self.ignored:
            return error_reply(ERROR_STATUS[self.code], self.code, "start-after is not supported", request.key, {})
        query = {name: value for name, value in request.query.items() if name != "start-after"}
        return list_objects(request.bucket, store_of(exchange).in_bucket(request.bucket), query)


@dataclass(frozen=True, kw_only=True)
class IgnoreHeader(_Mode):
    """Behaves as if requests had no headers with this name (an fnmatch pattern, lower case)."""

    name: str

    def rewrite(self, exchange: Exchange, http: HttpRequest) -> HttpRequest | None:
        """Remove the headers."""
        headers = {name: value for name, value in http.headers.items() if not fnmatchcase(name, self.name)}
        return None if headers == http.headers else replace(http, headers=headers)


def ignore_if_none_match(*, operation: str | None = None) -> IgnoreHeader:
    """Return the mode of an endpoint that overwrites in spite of If-None-Match."""
    return IgnoreHeader(name="if-none-match", operation=operation)
