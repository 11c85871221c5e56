"""Faults of the service: wrong statuses, and objects that change under the reader.

Job: answer instead of S3, or change the store before S3 answers. Must not know how a reply is
framed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bulkhaul.testing.faultserver.contents import BytesContent
from bulkhaul.testing.faultserver.faults import Exchange, Fault
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.on_service import Status
from bulkhaul.testing.faultserver.replies import error_reply, xml_reply

from .objects import StoredObject, make_object
from .store import store_of


@dataclass(frozen=True, kw_only=True)
class Redirect(Fault):
    """Answers 301 or 307 to the same place, so that following it never ends."""

    status: Literal[301, 302, 307, 308] = 307
    location: str | None = None
    region: str | None = None
    attempt: int | Literal["every"] = "every"

    def before(self, exchange: Exchange) -> Reply:
        """Answer with the redirect."""
        request = exchange.request
        headers = {"Location": self.location or store_of(exchange).url_of(request.bucket, request.key)}
        if self.region is not None:
            headers["x-amz-bucket-region"] = self.region
        code = "PermanentRedirect" if self.status in (301, 308) else "TemporaryRedirect"
        return error_reply(self.status, code, "please use this endpoint", request.key, headers)


@dataclass(frozen=True, kw_only=True)
class RawBody(Fault):
    """Answers with exactly this status and body: broken, huge or hostile XML."""

    body: bytes
    status: int = 200

    def before(self, exchange: Exchange) -> Reply:
        """Answer with the body."""
        return xml_reply(self.status, self.body)


@dataclass(frozen=True, kw_only=True)
class ReplaceObject(Fault):
    """Swaps the object for another just before the addressed request is answered.

    ``replacement`` is bytes, an object, or None to delete it. With ``if_match="ignored"`` the
    server stops looking at If-Match for this key from then on. ``other_key`` is swapped instead of
    the key that is asked for. Hits the first request unless addressed by ``nth`` (or anything else).
    """

    replacement: bytes | StoredObject | None
    other_key: str = ""
    if_match: Literal["honoured", "ignored"] = "honoured"
    attempt: int | Literal["every"] = "every"
    times: int | None = 1

    def before(self, exchange: Exchange) -> bool:
        """Change the store; S3 then answers from what is there now."""
        bucket, key = exchange.request.bucket, self.other_key or exchange.request.key
        if self.if_match == "ignored":
            store_of(exchange).ignore_if_match(bucket, key)
        new = self.replacement
        if new is None:
            store_of(exchange).delete(bucket, key)
        else:
            store_of(exchange).put(bucket, key, make_object(new) if isinstance(new, bytes) else new)
        return True


@dataclass(frozen=True, kw_only=True)
class RefuseDelete(Fault):
    """Refuses to delete keys that fnmatch ``pattern`` from then on, also within DeleteObjects."""

    operation: str | None = "DeleteObjects"
    pattern: str
    code: str = "AccessDenied"
    times: int | None = 1

    def before(self, exchange: Exchange) -> bool:
        """Tell the store."""
        store_of(exchange).refuse_deletes(exchange.request.bucket, self.pattern, self.code)
        return True


@dataclass(frozen=True, kw_only=True)
class RepeatedListToken(Fault):
    """Lets a listing claim to go on for ever: every page is truncated with the same token."""

    operation: str | None = "ListObjectsV2"
    attempt: int | Literal["every"] = "every"

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Put the token that was asked with (or a made-up one) onto the page."""
        text = bytes(reply.content.read(reply.start, reply.end))
        if reply.status != 200 or b"<IsTruncated>" not in text:
            return None
        token = exchange.request.query.get("continuation-token", "dG9rZW4=").encode()
        text = re.sub(rb"<NextContinuationToken>.*?</NextContinuationToken>", b"", text)
        endless = b"<IsTruncated>true</IsTruncated><NextContinuationToken>%b</NextContinuationToken>" % token
        body = re.sub(rb"<IsTruncated>\w+</IsTruncated>", lambda _: endless, text)
        headers = reply.with_header("Content-Length", str(len(body)))
        return Reply(200, headers, BytesContent(body), 0, len(body))


def storm(
    *,
    code: str = "SlowDown",
    retry_after_s: int | None = None,
    times: int | None = None,
    for_s: float | None = None,
    operation: str | None = "GetObject",
    key: str | None = None,
) -> Status:
    """Return a fault that throttles every request, ``times`` times or for ``for_s`` seconds."""
    if times is None and for_s is None:
        raise ValueError("a storm ends: give times or for_s")
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return Status(code=code, headers=headers, operation=operation, key=key, attempt="every", times=times, for_s=for_s)


def clock_skew(*, delta_s: float, operation: str | None = None) -> Status:
    """Return a fault that refuses every request as signed at the wrong time.

    The Date header is ``delta_s`` ahead of this machine's clock.
    """
    return Status(
        code="RequestTimeTooSkewed",
        date_ahead_s=delta_s,
        operation=operation,
        attempt="every",
    )


def truncate_object(*, nth: int, if_match: Literal["honoured", "ignored"] = "ignored") -> ReplaceObject:
    """Return a fault that empties the object at the ``nth`` GET, so that ranges answer 416."""
    return ReplaceObject(replacement=b"", nth=nth, if_match=if_match)


def delete_object(*, nth: int) -> ReplaceObject:
    """Return a fault that deletes the object at the ``nth`` GET."""
    return ReplaceObject(replacement=None, nth=nth)
