"""The values of the wire: credentials, and what a GET and a PUT are made of."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import quote

import msgspec

from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.settings import Settings


class Credentials(msgspec.Struct, frozen=True):
    """Keys for signing. ``repr`` never shows them (I5).

    Attributes:
        expires_s: Unix time at which they end, 0 if they do not.
        generation: counts the renewals; it tells the coordinator old keys from new ones.
        source: where they come from, for people.
    """

    access_key: str
    secret_key: str
    token: str = ""
    expires_s: float = 0.0
    generation: int = 0
    source: str = ""

    def __repr__(self) -> str:
        return f"Credentials(generation={self.generation})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("generation", self.generation)]


class Target(msgspec.Struct, frozen=True, array_like=True):
    """Where requests for one bucket go, as the SDK resolved it. One goes with every lease: hence ``array_like``.

    Attributes:
        path_prefix: comes before the encoded key: ``/`` or ``/bucket/``.
        fast: whether the fast transport can be used; if not, ``why_not`` says why only the SDK can.
    """

    scheme: str
    host: str
    port: int
    path_prefix: str
    region: str
    fast: bool
    why_not: str = ""

    @property
    def endpoint(self) -> str:
        """The URL of the host, as it is told to people and kept in journals."""
        return f"{self.scheme}://{self.host_header}"

    def path(self, key: str) -> str:
        """Return the percent-encoded path of a key, or without one of the bucket."""
        return self.path_prefix + quote(key, safe="/-_.~") if key else self.path_prefix.rstrip("/") or "/"

    def url(self, key: str, query: str = "") -> str:
        """Return the URL of a request, as it is told to people; ``query`` is percent-encoded."""
        return f"{self.endpoint}{self.path(key)}{'?' if query else ''}{query}"

    @property
    def host_header(self) -> str:
        """The value of the Host header: without the default port, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"


class GetRequest(msgspec.Struct, frozen=True):
    """A GET of ``[start, end)`` of one object of ``size_bytes``, on condition of its ETag.

    Attributes:
        end: -1 for the end of an object whose size is not known.
        size_bytes: -1 where it is not known.
        etag: sent as If-Match and required of the reply; empty where the endpoint gave none.
        whole: no Range is sent, and the reply must be a 200 with the whole object.
        version_id: of the object, empty for the current one.
    """

    target: Target
    bucket: str
    key: str
    etag: str
    start: int
    end: int
    size_bytes: int
    whole: bool
    version_id: str = ""


class RemoteObject(msgspec.Struct, frozen=True):
    """One object, what its service tells of it, and where requests for it go.

    Attributes:
        version_id: as it was asked for, empty for the current version.
    """

    ref: ObjectRef
    head: ObjectHead
    target: Target
    version_id: str = ""

    def request(self, start: int, end: int, *, whole: bool) -> GetRequest:
        """Return the GET of ``[start, end)`` of it."""
        return GetRequest(
            self.target,
            self.ref.bucket,
            self.ref.key,
            self.head.etag,
            start,
            end,
            self.head.size,
            whole,
            self.version_id,
        )


class PutRequest(msgspec.Struct, frozen=True):
    """A PUT of one body: a whole object, or part ``number`` of a multipart upload.

    Attributes:
        headers: (name in lower case, value), all of them signed. They may hold a key (SSE-C): ``repr`` hides them.
        upload_id: empty for a whole object.
    """

    target: Target
    bucket: str
    key: str
    headers: tuple[tuple[str, str], ...] = ()
    upload_id: str = ""
    number: int = 0

    def __repr__(self) -> str:
        return f"PutRequest({self.bucket!r}, {self.key!r}, number={self.number})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("bucket", self.bucket), ("key", self.key), ("number", self.number)]


def object_headers(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return the headers that the settings put on every GET and PUT of an object."""
    headers: list[tuple[str, str]] = []
    if settings.request_payer:
        headers.append(("x-amz-request-payer", "requester"))
    if settings.sse_c_key is not None:
        prefix = "x-amz-server-side-encryption-customer-"
        algorithm, key, md5 = customer_key(settings.sse_c_key)
        headers += [(f"{prefix}algorithm", algorithm), (f"{prefix}key", key), (f"{prefix}key-md5", md5)]
    return tuple(headers)


def customer_key(key: bytes) -> tuple[str, str, str]:
    """Return (algorithm, key, MD5 of the key) as requests carry a customer's key (SSE-C): the last two in base64."""
    digest = hashlib.md5(key, usedforsecurity=False).digest()
    return "AES256", base64.b64encode(key).decode(), base64.b64encode(digest).decode()
