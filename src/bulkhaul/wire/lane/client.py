"""Sends one small request of S3 and judges its reply: an error is typed, a document is read, the rest is the SDK's.

    2xx, a document or none ─▶ headers and members        <Error> in a 200, or cut XML ─▶ ServerError
                                                                    HTML, or no XML              ─▶ UnexpectedReply
    another status          ─▶ typed error                redirect, another region     ─▶ SdkNeeded

``SdkNeeded`` is raised only where the first reply shows that nothing was done, or where nothing can be done by what was
asked (GET, HEAD), so it may be asked once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

import msgspec

from bulkhaul.model.errors import ErrorInfo, UnexpectedReply, UsageError, error_of
from bulkhaul.model.settings import Settings
from bulkhaul.policy.actions import action_of
from bulkhaul.wire.classify import service_error
from bulkhaul.wire.documents import MAX_DOCUMENT_BYTES, Members, Shape, Unreadable, error_in, read
from bulkhaul.wire.fast_transport import FastTransport
from bulkhaul.wire.learned import Learned
from bulkhaul.wire.replies.success import foreign, is_foreign, unreadable
from bulkhaul.wire.transport import TransportError
from bulkhaul.wire.values import Credentials, Target, object_headers

REDIRECTS = frozenset({301, 302, 307, 308})

_OF_REGIONS = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
)
"""Codes of refusals that say, or may say, that the bucket lives in another region. Source: botocore.utils,
``S3RegionRedirectorv2``."""

_NOTHING = Shape({})

Pairs = Iterable[tuple[str, str]]


class SdkNeeded(Exception):
    """The SDK has to make this request; nothing was done by the lane's. The argument says why."""


class Reply(msgspec.Struct, frozen=True):
    """A reply that reports success.

    Attributes:
        headers: names in lower case.
        body: the document, empty if there is none.
        subject: what the request was about.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    subject: str

    def members(self, shape: Shape = _NOTHING) -> Members:
        """Return the fields of the document, none if there is no document.

        Raises:
            ServerError: it was cut off, or is an error without a code.
            TransferError: it is an error.
            UnexpectedReply: it is none of S3, declares entities, or a field can have no such value.
        """
        if not self.body:
            return {}
        try:
            found = read(self.body, shape)
        except Unreadable as error:
            raise unreadable(self.body, self.subject, self.status) from error
        except UnexpectedReply as error:
            raise error.about(self.subject) from None
        if found.root == "Error":
            raise error_of(_typed(500, self.headers, self.body, self.subject))
        if is_foreign(self.body):
            raise foreign(self.subject)
        return found.members


class Lane:
    """Makes small requests over the connections of a ``FastTransport``.

    Attributes:
        learned: what endpoints do not take.
        credentials: what requests are signed with.
        payer: the headers of requests that are not about one object's bytes.
        about_object: the headers of those that are.
    """

    def __init__(self, settings: Settings, fast: FastTransport, learned: Learned) -> None:
        self.settings = settings
        self.learned = learned
        self.credentials: Credentials | None = None
        self.about_object = object_headers(settings)
        self.payer = tuple(pair for pair in self.about_object if pair[0] == "x-amz-request-payer")
        self._fast = fast

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these, or not at all with None; the transport is told by its owner."""
        self.credentials = credentials
        self.learned.forget_reasons()

    async def ask(
        self,
        target: Target,
        method: str,
        key: str = "",
        query: Sequence[tuple[str, str]] = (),
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        subject: str,
        patient: bool = False,
        again: bool | None = None,
    ) -> Reply:
        """Make a request and return the reply that reports success.

        Args:
            key: empty for the bucket, or for the service where ``target`` names none.
            query: decoded names and values.
            patient: the service may have to copy, assemble or delete much before it answers: it gets ``ack_s``.
            again: it may be sent once more if its connection had been closed while idle; None for GET and HEAD.

        Raises:
            SdkNeeded: only the SDK can follow this reply.
            TransferError: what the service or the connection reported.
        """
        try:
            told = await self._fast.ask(
                target,
                method,
                target.path(key),
                encoded_query(query),
                headers,
                body,
                most_bytes=MAX_DOCUMENT_BYTES,
                patient=patient,
                again=method in ("GET", "HEAD") if again is None else again,
            )
        except TransportError as error:
            if error.info.garbled and method in ("GET", "HEAD"):
                raise SdkNeeded("the reply is framed in a way that is not read here") from error
            raise error_of(error.info).about(subject) from error
        except UnicodeEncodeError as error:
            raise UsageError("the name is not valid UTF-8", subject, str(error)) from error
        head, document = told
        if 200 <= head.status < 300:
            return Reply(head.status, head.headers, document, subject)
        names = [name for name, _ in query]
        copies = any(name == "x-amz-copy-source" for name, _ in headers)
        action = action_of(method, bucket=subject != "s3://", key=bool(key), query=names, copies=copies)
        info = _typed(head.status, head.headers, document, subject, action)
        if head.status in REDIRECTS or info.service_code in _OF_REGIONS:
            raise SdkNeeded(f"HTTP {head.status} {info.service_code}".rstrip())
        if head.status == 400 and method == "HEAD" and not key:
            raise SdkNeeded("HTTP 400 to a HEAD of a bucket, which does not say why")
        raise error_of(info)


def encoded_query(pairs: Pairs) -> str:
    """Return the query of a URL.

    >>> encoded_query([("uploads", ""), ("prefix", "a b/ü")])
    'uploads=&prefix=a%20b%2F%C3%BC'
    """
    return "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in pairs)


def version_query(version_id: str) -> list[tuple[str, str]]:
    """Return the query that names a version; empty for the current one."""
    return [("versionId", version_id)] if version_id else []


def _typed(status: int, headers: Mapping[str, str], document: bytes, subject: str, action: str = "") -> ErrorInfo:
    code, detail = error_in(document)
    return service_error(status, service_code=code, detail=detail, headers=headers, subject=subject, action=action)


__all__ = ["Lane", "Reply", "SdkNeeded", "encoded_query", "version_query"]
