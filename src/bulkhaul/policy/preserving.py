"""Decides what a copy is asked to keep, and how grants and locks of its source are said in the request for it.

grants that are exactly those of a canned ACL ─▶ its name      others ─▶ one grant each
a retention that is over                      ─▶ none: it protects nothing, and services refuse an instant in the past
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec

from bulkhaul.model.errors import Unsupported, UsageError
from bulkhaul.model.objects import Content
from bulkhaul.model.preserving import Acl, Grant, Kept, ObjectLock
from bulkhaul.model.writing import ObjectOptions

_GROUPS = "http://acs.amazonaws.com/groups/global/"
_EVERYBODY = f"{_GROUPS}AllUsers"
_AUTHENTICATED = f"{_GROUPS}AuthenticatedUsers"

_CANNED: dict[frozenset[Grant], str] = {
    frozenset(): "private",
    frozenset({Grant("READ", "uri", _EVERYBODY)}): "public-read",
    frozenset({Grant("READ", "uri", _EVERYBODY), Grant("WRITE", "uri", _EVERYBODY)}): "public-read-write",
    frozenset({Grant("READ", "uri", _AUTHENTICATED)}): "authenticated-read",
}
"""What each gives besides full control to the owner. Source: S3 User Guide, "Canned ACL"."""

NOTHING: frozenset[Kept] = frozenset()

OF_FILES = frozenset({Kept.TIMESTAMPS, Kept.MODE})
"""What uploads and downloads can keep."""


def parse_kept(said: str) -> frozenset[Kept]:
    """Return what a list with commas names.

    >>> sorted(parse_kept("tags, acl"))
    [<Kept.ACL: 'acl'>, <Kept.TAGS: 'tags'>]

    Raises:
        UsageError: it names something else, or nothing.
    """
    names = [name.strip() for name in said.split(",")]
    known = {kept.value: kept for kept in Kept}
    for name in names:
        if name not in known:
            raise UsageError(f"{name!r} cannot be preserved; what can: {', '.join(known)}")
    return frozenset(known[name] for name in names)


def require_between_buckets(kept: Collection[Kept], source: str, *, is_copy: bool) -> None:
    """Make sure that nothing is to be preserved which only a copy preserves, where something else is done.

    Raises:
        UsageError: there is.
    """
    if kept and not is_copy:
        text = f"only copies between buckets preserve {', '.join(sorted(kept))} by this option; uploads and downloads"
        raise UsageError(f"{text} keep times and modes by the settings preserve_times and preserve_mode", source)


def replaces_headers(content: Content) -> bool:
    """Whether a copy with this content has none of its source's headers and metadata: the redirect is no part of them.

    >>> replaces_headers(Content(content_type="a/b")), replaces_headers(Content(website_redirect="/new.html"))
    (True, False)

    Source: S3 API Reference, CopyObject, x-amz-metadata-directive and x-amz-website-redirect-location.
    """
    return content != Content(website_redirect=content.website_redirect)


def redirects_alone(options: ObjectOptions) -> bool:
    """Whether a redirect is all that options say.

    >>> redirects_alone(ObjectOptions(content=Content(website_redirect="/new.html"))), redirects_alone(ObjectOptions())
    (True, False)
    """
    redirect = options.content.website_redirect
    return bool(redirect) and options == ObjectOptions(content=Content(website_redirect=redirect))


def require_compatible(options: ObjectOptions | None, kept: frozenset[Kept]) -> None:
    """Make sure that nothing is both to be kept and to be replaced.

    Raises:
        UsageError: something is; the message names it.
    """
    if options is None:
        return
    replaced = {
        Kept.METADATA: options.content != Content(),
        Kept.TAGS: bool(options.tags),
        Kept.ACL: bool(options.acl or options.grants),
        Kept.STORAGE_CLASS: bool(options.storage_class),
        Kept.LOCK: options.lock != ObjectLock(),
        **dict.fromkeys(OF_FILES, replaces_headers(options.content)),  # their metadata is replaced with all other
    }
    for name in sorted(kept):
        if replaced[name]:
            raise UsageError(f"{name} cannot be both preserved and replaced by another; leave one of the two out")


def canned_name(acl: Acl) -> str:
    """Return the name of the canned ACL that gives exactly these grants, empty if none does."""
    full = Grant("FULL_CONTROL", "id", acl.owner)
    grants = frozenset(acl.grants)
    return _CANNED.get(grants - {full}, "") if acl.owner and full in grants else ""


def with_acl(options: ObjectOptions, acl: Acl, subject: str) -> ObjectOptions:
    """Return options that give a copy the ACL of its source; ``private`` is what every object has without any.

    Raises:
        Unsupported: a grant that no request for an object can make.
    """
    if name := canned_name(acl):
        return msgspec.structs.replace(options, acl="" if name == "private" else name)
    if any(grant.permission == "WRITE" for grant in acl.grants):
        text = "its ACL grants WRITE, which no request gives to an object; leave acl out of what is preserved"
        raise Unsupported(text, subject)
    if not acl.grants:
        raise Unsupported("its ACL grants nothing to anybody, which no request can ask for", subject)
    return msgspec.structs.replace(options, grants=acl.grants)


def same_acl(one: Acl, other: Acl) -> bool:
    """Tell whether two ACLs give the same; a canned one gives full control to whoever owns the object."""
    named = canned_name(one)
    return named == canned_name(other) if named else frozenset(one.grants) == frozenset(other.grants)


def lock_in_force(lock: ObjectLock, now: datetime) -> ObjectLock:
    """Return what of a lock still holds at an instant."""
    if not lock.mode or datetime.fromisoformat(lock.until) > now:
        return lock
    return ObjectLock(legal_hold=lock.legal_hold)


__all__ = [
    "NOTHING",
    "OF_FILES",
    "canned_name",
    "lock_in_force",
    "parse_kept",
    "redirects_alone",
    "replaces_headers",
    "require_compatible",
    "same_acl",
    "with_acl",
]
