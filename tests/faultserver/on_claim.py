"""Faults of what a service claims where deleting depends on it: entries of listings, results of deletes.

Job: reshape documents that would be true. Must not know what clients make of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote_plus

from bulkhaul.testing.faultserver.faults import Exchange, Fault
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.on_reply import with_body
from bulkhaul.testing.faultserver.replies import element, error_reply

from .listing import shown_in

_ENTRY = {
    "ListObjectsV2": (rb"<Contents>.*?</Contents>", rb"</ListBucketResult>"),
    "ListObjectVersions": (rb"<Version>.*?</Version>", rb"</ListVersionsResult>"),
    "ListMultipartUploads": (rb"<Upload>.*?</Upload>", rb"</ListMultipartUploadsResult>"),
}
_ERROR = re.compile(r"<Error><Key>([^<]*)</Key>(<VersionId>[^<]*</VersionId>)?(.*?)</Error>")


@dataclass(frozen=True, kw_only=True)
class ForeignEntry(Fault):
    """Adds an entry of this name to every page that has one, whatever prefix was asked for; a folder, if asked for."""

    operation: str | None = "ListObjectsV2"
    name: str
    attempt: int | Literal["every"] = "every"
    folder: bool = False

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Copy an entry of the page under the other name."""
        request = exchange.request
        text = bytes(reply.content.read(reply.start, reply.end))
        entry, end = _ENTRY[request.operation]
        found = re.search(entry, text)
        name = shown_in(request.query)(self.name)
        if self.folder:
            added = element("CommonPrefixes", element("Prefix", name)).encode()
        elif found is not None:
            added = re.sub(rb"<Key>.*?</Key>", lambda _: element("Key", name).encode(), found[0])
        else:
            return None
        return with_body(reply, re.sub(end, lambda closing: added + closing[0], text))


@dataclass(frozen=True, kw_only=True)
class TwistedErrors(Fault):
    """Tells the errors of a batch of deletes otherwise than they were: see ``how``.

    With "silent" they are left out, and with "all silent" also what was deleted.
    """

    operation: str | None = "DeleteObjects"
    how: Literal["silent", "all silent", "no key", "another key", "encoded key", "no version"]
    attempt: int | Literal["every"] = "every"

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Change every error of the document."""
        text = bytes(reply.content.read(reply.start, reply.end)).decode()
        twisted = _ERROR.sub(self._twisted, text)
        if self.how == "all silent":
            twisted = re.sub(r"<Deleted>.*?</Deleted>", "", twisted)
        return None if twisted == text else with_body(reply, twisted.encode())

    def _twisted(self, error: re.Match[str]) -> str:
        key, version, rest = error[1], error[2] or "", error[3]
        named = {
            "no key": "",
            "another key": f"<Key>elsewhere/{key}</Key>{version}",
            "encoded key": f"<Key>{quote_plus(key)}</Key>{version}",
            "no version": f"<Key>{key}</Key>",
        }
        return f"<Error>{named[self.how]}{rest}</Error>" if self.how in named else ""


@dataclass(frozen=True, kw_only=True)
class ToldLength(Fault):
    """Tells in a HEAD that the object has this many bytes more than it has."""

    operation: str | None = "HeadObject"
    more_bytes: int = 1
    attempt: int | Literal["every"] = "every"

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Change Content-Length."""
        if reply.status != 200:
            return None
        told = str(reply.content.size_bytes + self.more_bytes)
        return replace(reply, headers=reply.with_header("Content-Length", told))


@dataclass(frozen=True, kw_only=True)
class FrozenTime(Fault):
    """Tells in every HEAD that the object was made at one and the same time, as of objects made within a second."""

    operation: str | None = "HeadObject"
    attempt: int | Literal["every"] = "every"

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Change Last-Modified."""
        if reply.status != 200:
            return None
        return replace(reply, headers=reply.with_header("Last-Modified", "Fri, 17 May 2024 12:34:56 GMT"))


@dataclass(frozen=True, kw_only=True)
class RefuseCondition(Fault):
    """Refuses to delete on condition of an ETag, and says that the header is not implemented."""

    operation: str | None = "DeleteObject"
    status: Literal[400, 501] = 501
    attempt: int | Literal["every"] = "every"

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer with the error, if there is a condition."""
        request = exchange.request
        if "if-match" not in request.headers:
            return None
        code = "NotImplemented" if self.status == 501 else "InvalidArgument"
        return error_reply(self.status, code, "If-Match is not supported by DeleteObject", request.key, {})


__all__ = ["ForeignEntry", "FrozenTime", "RefuseCondition", "ToldLength", "TwistedErrors"]
