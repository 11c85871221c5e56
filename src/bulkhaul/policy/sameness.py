"""Decides whether two replies of a service are about one object, by ETag, version, time and token.

version ids told by both      equal: one object         different: two
else                          any of ETag, time, token different: two       all alike: unknown
"""

from __future__ import annotations

from typing import Literal

from bulkhaul.model.errors import ErrorInfo, PreconditionFailed, UsageError
from bulkhaul.model.objects import ObjectHead

_REFUSED_HEADER = ("if-match", "a header you provided implies functionality that is not implemented")


def one_object(one: ObjectHead, other: ObjectHead) -> Literal["yes", "no", "perhaps"]:
    """Tell whether two HEADs, under two names and at about the same time, were of one object.

    HTTP tells times by the second, so two objects of the same bytes may look alike.
    """
    if one.version_id and other.version_id:
        return "yes" if one.version_id == other.version_id else "no"
    told_apart = (
        differ(one.etag, other.etag)
        or (one.last_modified and other.last_modified and one.last_modified != other.last_modified)
        or one.size != other.size
        or one.token != other.token
    )
    return "no" if told_apart else "perhaps"


def is_unchanged(now: ObjectHead, before: ObjectHead) -> bool:
    """Tell whether an object has not changed between two looks, by all that both of them tell."""
    return (
        not differ(now.etag, before.etag)
        and now.size == before.size
        and before.version_id in ("", now.version_id)
        and before.last_modified in (None, now.last_modified)
    )


def may_be_told(seen: ObjectHead) -> bool:
    """Tell whether enough is known of an object to notice that it is another one."""
    return bool(seen.etag or seen.last_modified or seen.version_id)


def quoted(etag: str) -> str:
    """Return an ETag in its quotes: some stores, and manifests, leave them out."""
    return etag if '"' in etag else f'"{etag}"'


def same_etag(one: str, other: str) -> bool:
    """Tell whether a reply has the very bytes that an ETag stands for; a weak ETag promises similar ones only.

    Some services leave the quotes out in some replies. Source: RFC 9110 §8.8.3.2, strong comparison.
    """
    return one.strip('"') == other.strip('"')


def differ(one: str, other: str) -> bool:
    """Tell whether two ETags are of different objects; a proxy on the way may have made one of them weak.

    Source: RFC 9110 §8.8.3.2, weak comparison.
    """
    return not same_etag(one.removeprefix("W/"), other.removeprefix("W/"))


def require_wanted(found: ObjectHead, wanted: ObjectHead, subject: str) -> None:
    """Make sure that an object is the one that a plan means, by its ETag; by its length where the plan tells no ETag.

    Raises:
        PreconditionFailed: it is another one.
    """
    if wanted.etag and differ(found.etag, wanted.etag):
        told, planned = found.etag[:80] or "no ETag", wanted.etag[:80]
    elif not wanted.etag and found.size != wanted.size:
        told, planned = f"{found.size} bytes", f"{wanted.size}"
    else:
        return
    text = f"another object is there than was planned: it has {told}, and the plan says {planned}; plan it anew"
    raise PreconditionFailed(text, subject)


def stays(subject: str) -> UsageError:
    """Return the error for a move whose destination is its source under another name."""
    text = "source and destination are one object under two names, so it stays; name another destination"
    return UsageError(text, subject)


def refuses_conditions(error: ErrorInfo) -> bool:
    """Tell whether a service refused a request for its condition only: it does not know If-Match."""
    if error.code == "Unsupported":
        return True
    cause = error.cause.lower()
    return error.status == 400 and any(text in cause for text in _REFUSED_HEADER)
