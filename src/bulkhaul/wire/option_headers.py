"""Spells ``ObjectOptions`` as the headers of a PUT, a copy or a multipart upload.

The options of a caller have been checked before; those that a service told go back as they came. So only text that
would forge another header is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote, urlencode

from bulkhaul.model.objects import Content
from bulkhaul.model.preserving import Grant, ObjectLock
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.described import check_name, returned_text

METADATA_PREFIX = "x-amz-meta-"
WEBSITE_REDIRECT = "x-amz-website-redirect-location"

_SPELLINGS: tuple[tuple[str, str], ...] = (
    ("content.content_type", "content-type"),
    ("content.content_disposition", "content-disposition"),
    ("content.content_encoding", "content-encoding"),
    ("content.content_language", "content-language"),
    ("content.cache_control", "cache-control"),
    ("content.expires", "expires"),
    ("content.website_redirect", WEBSITE_REDIRECT),
    ("storage_class", "x-amz-storage-class"),
    ("acl", "x-amz-acl"),
    ("sse", "x-amz-server-side-encryption"),
    ("sse_kms_key_id", "x-amz-server-side-encryption-aws-kms-key-id"),
    ("tags", "x-amz-tagging"),
)
"""(field, header). Source: S3 API Reference, CreateMultipartUpload and PutObject."""


def put_headers(options: ObjectOptions) -> list[tuple[str, str]]:
    """Return the headers of a PUT, a copy with the directives REPLACE, or a Create; names in lower case.

    >>> put_headers(ObjectOptions(storage_class="STANDARD_IA", tags={"a b": "1"}))
    [('x-amz-storage-class', 'STANDARD_IA'), ('x-amz-tagging', 'a%20b=1')]

    Raises:
        UsageError: a value that no header can carry; the message names it.
    """
    return [*_spelled(options), *_grants(options.grants), *_lock(options.lock), *_metadata(options)]


def beside_copied(storage_class: str, website_redirect: str) -> list[tuple[str, str]]:
    """Return what goes with a copy that keeps its headers, metadata and tags: the service copies neither of the two.

    >>> beside_copied("", "/new.html")
    [('x-amz-website-redirect-location', '/new.html')]

    Raises:
        UsageError: a value that no header can carry; the message names it.
    """
    return put_headers(ObjectOptions(content=Content(website_redirect=website_redirect), storage_class=storage_class))


def _spelled(options: ObjectOptions) -> Iterator[tuple[str, str]]:
    """Yield (header, value) of every field that is set."""
    for field, header in _SPELLINGS:
        room, _, name = field.rpartition(".")
        value = getattr(options.content if room else options, name)
        if value:
            value = urlencode(value, quote_via=quote, safe="") if name == "tags" else value
            yield header, returned_text(name.replace("_", " "), value)


def _grants(grants: Sequence[Grant]) -> Iterator[tuple[str, str]]:
    """Yield the grants of each permission. Source: S3 API Reference, PutObject, x-amz-grant-*."""
    given: dict[str, list[str]] = {}
    for grant in grants:
        given.setdefault(grant.permission, []).append(f'{grant.kind}="{grant.grantee}"')
    for permission, grantees in given.items():
        yield f"x-amz-grant-{permission.lower().replace('_', '-')}", returned_text("grants", ", ".join(grantees))


def _lock(lock: ObjectLock) -> Iterator[tuple[str, str]]:
    """Yield retention and legal hold. Source: S3 API Reference, PutObject, x-amz-object-lock-*."""
    if lock.mode:
        yield "x-amz-object-lock-mode", returned_text("mode of the lock", lock.mode)
        yield "x-amz-object-lock-retain-until-date", returned_text("end of the lock", lock.until)
    if lock.legal_hold:
        yield "x-amz-object-lock-legal-hold", "ON"


def _metadata(options: ObjectOptions) -> Iterator[tuple[str, str]]:
    for name, value in options.content.metadata.items():
        check_name(name)
        yield METADATA_PREFIX + name, returned_text(f"metadata {name!r}", value)


__all__ = ["METADATA_PREFIX", "WEBSITE_REDIRECT", "beside_copied", "put_headers"]
