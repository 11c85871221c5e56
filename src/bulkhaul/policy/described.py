"""Decides which texts the headers of an object can carry: its content headers, its metadata and how it is stored.

said by a caller     ASCII without line breaks or outer white space, so that it arrives unchanged
told by a service    whatever forges no other header: an object is copied with the bytes that were stored
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import Content
from bulkhaul.model.writing import ObjectOptions

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Source: RFC 9110 §5.6.2, token: the name of a header."""

_SAID = re.compile(r"[\t\x20-\x7e]*")
"""Source: RFC 9110 §5.5, field-value, without the obsolete bytes above ASCII."""

_TOLD = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""Source: RFC 9110 §5.5, field-value, the obsolete bytes included."""

_CONTENT = (
    *("content_type", "content_disposition", "content_encoding", "content_language", "cache_control"),
    "website_redirect",
)
_PLAIN = ("storage_class", "acl", "sse", "sse_kms_key_id")


def checked(options: ObjectOptions) -> ObjectOptions:
    """Return options as they are sent: the date as HTTP writes it, names of metadata in lower case.

    Raises:
        UsageError: a value that no header can carry; the message names it.
    """
    content = options.content
    for name in _CONTENT:
        check_text(name.replace("_", " "), getattr(content, name))
    for name in _PLAIN:
        check_text(name.replace("_", " "), getattr(options, name))
    metadata = metadata_of(content.metadata.items())
    try:
        for text in (*options.tags, *options.tags.values()):
            str(text).encode()
    except UnicodeEncodeError as error:
        raise UsageError("tags: not valid UTF-8", cause=str(error)) from error
    expires = http_date(content.expires) if content.expires else ""
    return msgspec.structs.replace(
        options, content=msgspec.structs.replace(content, metadata=metadata, expires=expires)
    )


def header_text(value: str) -> str:
    """Return the text of a header for people: HTTP libraries take its bytes for Latin-1, most who write it for UTF-8.

    >>> header_text("Ã¼"), header_text("ü"), header_text("plain")
    ('ü', 'ü', 'plain')
    """
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def told_content(content: Content) -> Content:
    """Return headers and metadata for people; see ``header_text``."""
    texts = {name: header_text(getattr(content, name)) for name in (*_CONTENT, "expires")}
    return Content(**texts, metadata={name: header_text(value) for name, value in content.metadata.items()})


def metadata_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the metadata of an object, names in lower case, as the service keeps them.

    Raises:
        UsageError: a name or value that would not arrive unchanged, or a name that is given twice.
    """
    metadata: dict[str, str] = {}
    for name, value in pairs:
        check_name(name)
        lower = name.lower()
        if lower in metadata:
            raise UsageError(f"the metadata name {name!r} is given twice: S3 does not tell upper from lower case")
        check_text(f"the value of metadata {name!r}", value)
        metadata[lower] = value
    return metadata


def check_name(name: str) -> None:
    """Make sure that metadata can have this name.

    Raises:
        UsageError: no header can.
    """
    if not isinstance(name, str):
        raise UsageError(f"a name of metadata is text, not {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise UsageError(f"the metadata name {name!r} cannot be sent; use ASCII letters, digits and hyphens")


def check_text(what: str, value: str) -> None:
    """Make sure that a header carries this text of a caller unchanged.

    Raises:
        UsageError: none does; the message begins with ``what``.
    """
    if not isinstance(value, str):
        raise UsageError(f"{what} is text, not {type(value).__name__}")
    if not _SAID.fullmatch(value):
        raise UsageError(f"{what} holds line breaks, control or non-ASCII characters, which a header cannot carry")
    if value != value.strip():
        raise UsageError(f"{what} begins or ends with white space, which is lost on the way; remove it")


def returned_text(what: str, value: str) -> str:
    """Return a text as a header carries it back to a service: without outer white space, which HTTP drops.

    Raises:
        UsageError: it would forge another header; the message begins with ``what``.
    """
    if not _TOLD.fullmatch(value):
        raise UsageError(f"{what}: a header carries text without line breaks, not {value[:80]!r}; encode it first")
    return value.strip(" \t")


def http_date(text: str) -> str:
    """Return a date as HTTP writes it, given as one, in ISO 8601, or in seconds since 1970.

    >>> http_date("2030-12-31T23:59:59"), http_date("20301231"), http_date("0")
    ('Tue, 31 Dec 2030 23:59:59 GMT', 'Tue, 31 Dec 2030 00:00:00 GMT', 'Thu, 01 Jan 1970 00:00:00 GMT')

    Raises:
        UsageError: it is no date.
    """
    from email.utils import format_datetime, parsedate_to_datetime  # few uploads name a date

    check_text("expires", text)
    if text.isdecimal() and len(text) <= 11 and len(text) != len("YYYYMMDD"):
        return format_datetime(datetime.fromtimestamp(int(text), UTC), usegmt=True)
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            instant = read(text)
            aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
            return format_datetime(aware.astimezone(UTC), usegmt=True)
        except (ValueError, OverflowError):
            continue
    raise UsageError(f"expires: {text!r} is no date; RFC 9110 §5.6.7 says how to write one")


__all__ = [
    "check_name",
    "check_text",
    "checked",
    "header_text",
    "http_date",
    "metadata_of",
    "returned_text",
    "told_content",
]
