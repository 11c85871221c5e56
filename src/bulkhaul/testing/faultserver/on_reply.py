"""Faults of the reply: a head that lies, or bytes that are not what was asked for.

Each reshapes a good reply: what is said here, also the Content-Length, is what is sent.
"""

# ruff: noqa: ARG002 - a hook is given what others of its kind need

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bulkhaul.testing.faultserver.contents import BytesContent, FlippedContent
from bulkhaul.testing.faultserver.faults import Exchange, Fault
from bulkhaul.testing.faultserver.http1 import Reply

_XML = "application/xml"


def with_body(reply: Reply, body: bytes) -> Reply:
    """Return the reply with another body, and with its length."""
    headers = reply.with_header("Content-Length", str(len(body)))
    return Reply(reply.status, headers, BytesContent(body), 0, len(body))


@dataclass(frozen=True, kw_only=True)
class Etag(Fault):
    """Answers with another ETag (None: with none), the bytes unchanged.

    It is that of the header, or of the document where a reply tells it there (Complete, copies).
    """

    etag: str | None

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Change the header or element of a reply that carries one."""
        if reply.header("ETag") is None:
            text = bytes(reply.content.read(reply.start, reply.end)) if reply.header("Content-Type") == _XML else b""
            new = b"" if self.etag is None else b"<ETag>&quot;%b&quot;</ETag>" % self.etag.encode()
            body = re.sub(rb"<ETag>[^<]*</ETag>", lambda _: new, text)
            return None if body == text else with_body(reply, body)
        return replace(reply, headers=reply.with_header("ETag", self.etag and f'"{self.etag}"'))


@dataclass(frozen=True, kw_only=True)
class FlipBit(Fault):
    """Inverts one bit of the body, at an offset in the object; fires when that byte is sent."""

    offset: int
    bit: int = 0

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Wrap the content."""
        if reply.status not in (200, 206) or not reply.start <= self.offset < reply.end:
            return None
        return replace(reply, content=FlippedContent(reply.content, self.offset, self.bit))
