"""Faults of the reply: a head that lies, or bytes that are not what was asked for.

Job: reshape a good reply; most of these touch only a 206, so that an error stays an error.
Must not know the wire: what is said here, also the Content-Length, is what is sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from bulkhaul.testing.faultserver.faults import Exchange, Fault
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.on_reply import with_body

from .objects import StoredObject
from .replies import checksum_headers
from .store import store_of

_XML = "application/xml"


def _resized(reply: Reply, start: int, end: int) -> Reply:
    """Return the reply with other bytes of the same content, and with their length."""
    return replace(reply, start=start, end=end, headers=reply.with_header("Content-Length", str(end - start)))


def _claiming(reply: Reply, start: int, end: int, total: int | str) -> Reply:
    """Return the reply with Content-Range saying ``[start, end)`` of ``total``."""
    return replace(reply, headers=reply.with_header("Content-Range", f"bytes {start}-{end - 1}/{total}"))


def _total(reply: Reply) -> int:
    match = re.fullmatch(r"bytes \d+-\d+/(\d+)", reply.header("Content-Range") or "")
    return int(match[1]) if match else reply.content.size_bytes


@dataclass(frozen=True, kw_only=True)
class FullBody200(Fault):
    """Answers a range request with 200 and the whole object."""

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Turn a 206 into a 200."""
        if reply.status != 206:
            return None
        whole = _resized(reply, 0, reply.content.size_bytes)
        return replace(whole, status=200, headers=whole.with_header("Content-Range", None))


@dataclass(frozen=True, kw_only=True)
class ShortContentLength(Fault):
    """Sends fewer bytes, and says so in Content-Length, while Content-Range claims them all."""

    missing_bytes: int = 1

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Cut the body and its announced length."""
        if reply.status not in (200, 206) or reply.length < self.missing_bytes:
            return None
        return _resized(reply, reply.start, reply.end - self.missing_bytes)


@dataclass(frozen=True, kw_only=True)
class ShortRange(Fault):
    """Answers 206 with a range that ends early, consistently in every header."""

    missing_bytes: int = 1

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Cut the body and everything that describes it."""
        if reply.status != 206 or reply.length <= self.missing_bytes:
            return None
        end = reply.end - self.missing_bytes
        return _claiming(_resized(reply, reply.start, end), reply.start, end, _total(reply))


@dataclass(frozen=True, kw_only=True)
class LongRange(Fault):
    """Answers 206 with a range that goes on past what was asked, consistently in every header."""

    extra_bytes: int = 1

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Extend the range, if the object goes on."""
        end = reply.end + self.extra_bytes
        if reply.status != 206 or end > reply.content.size_bytes:
            return None
        return _claiming(_resized(reply, reply.start, end), reply.start, end, _total(reply))


@dataclass(frozen=True, kw_only=True)
class ShiftedRange(Fault):
    """Answers 206 with bytes from ``by_bytes`` further on (negative: before), of the right length.

    Content-Range tells so, unless ``honest`` is False: then it claims what was asked.
    """

    by_bytes: int = 1
    honest: bool = True

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Move the range, if the object reaches that far."""
        start, end = reply.start + self.by_bytes, reply.end + self.by_bytes
        if reply.status != 206 or start < 0 or end > reply.content.size_bytes:
            return None
        moved = _resized(reply, start, end)
        return _claiming(moved, start, end, _total(reply)) if self.honest else moved


@dataclass(frozen=True, kw_only=True)
class WrongTotal(Fault):
    """Answers 206 with another total in Content-Range: ``by_bytes`` more, or ``*``."""

    by_bytes: int | None = 1

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Change the total alone."""
        if reply.status != 206:
            return None
        total: int | str = "*" if self.by_bytes is None else _total(reply) + self.by_bytes
        return _claiming(reply, reply.start, reply.end, total)


@dataclass(frozen=True, kw_only=True)
class NoContentRange(Fault):
    """Answers 206 without Content-Range."""

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Remove the header."""
        if reply.status != 206:
            return None
        return replace(reply, headers=reply.with_header("Content-Range", None))


@dataclass(frozen=True, kw_only=True)
class ContentEncoding(Fault):
    """Claims a Content-Encoding ("gzip", "aws-chunked"); the bytes are as stored."""

    encoding: str = "gzip"

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Set the header."""
        if reply.status not in (200, 206):
            return None
        return replace(reply, headers=reply.with_header("Content-Encoding", self.encoding))


@dataclass(frozen=True, kw_only=True)
class ChecksumOnRange(Fault):
    """Puts the whole object's checksums onto a 206, as some compatible stores do."""

    attempt: int | Literal["every"] = "every"

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Add the headers, if the object has a checksum."""
        stored = store_of(exchange).get(exchange.request.bucket, exchange.request.key)
        if reply.status != 206 or not isinstance(stored, StoredObject) or not stored.checksums:
            return None
        return replace(reply, headers=(*reply.headers, *checksum_headers(stored)))


@dataclass(frozen=True, kw_only=True)
class ToldChecksum(Fault):
    """Tells another checksum than the right one, in headers and documents, the bytes unchanged."""

    value: str

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Change every header and element that tells a checksum."""
        value, told = self.value.encode(), re.compile(r"x-amz-checksum-(?!type$).*")
        headers = tuple((name, self.value if told.fullmatch(name) else old) for name, old in reply.headers)
        if reply.header("Content-Type") == _XML:
            text = bytes(reply.content.read(reply.start, reply.end))
            body = re.sub(rb"(<Checksum[A-Z0-9]+>)[^<]+", lambda found: found[1] + value, text)
            return None if body == text else with_body(replace(reply, headers=headers), body)
        return None if headers == reply.headers else replace(reply, headers=headers)


@dataclass(frozen=True, kw_only=True)
class ToldHeader(Fault):
    """Tells a header of a success, or none of that name with None, whatever it says otherwise."""

    name: str
    value: str | None

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Set the header."""
        if not 200 <= reply.status < 300:
            return None
        return replace(reply, headers=reply.with_header(self.name, self.value))


@dataclass(frozen=True, kw_only=True)
class OnlyWhitespace(Fault):
    """Answers 200 with nothing but ``count`` spaces where a document belongs, after the effect.

    With ``document`` the spaces come first and the document follows, as S3 does while it works.
    """

    operation: str | None = "CompleteMultipartUpload"
    count: int = 3
    document: bool = False

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Replace the document of a success."""
        if reply.status != 200 or reply.header("Content-Type") != _XML:
            return None
        text = bytes(reply.content.read(reply.start, reply.end))
        declaration, newline, rest = text.partition(b"?>\n")
        spaces = b" " * self.count
        return with_body(reply, declaration + newline + spaces + rest if self.document else spaces)
