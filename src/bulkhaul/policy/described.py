"""Checks how a caller wants an object described, where he says it; it must not know how that is sent.

What a service tells of an object that it has stored is never checked so: it goes back as it came.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

import msgspec

from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import Content
from bulkhaul.model.writing import ObjectOptions

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TEXT = re.compile(r"[\t\x20-\x7e]*")

_CONTENT = ("content_type", "content_disposition", "content_encoding", "content_language", "cache_control")
_PLAIN = ("storage_class", "acl", "sse", "sse_kms_key_id")


def checked(options: ObjectOptions) -> ObjectOptions:
    """Return options as they are sent: the date as HTTP writes it, names of metadata in lower case.

    Raises:
        UsageError: a value that no header can carry; the message names it.
    """
    content = options.content
    for name in _CONTENT:
        _require_carried(getattr(content, name), name.replace("_", " "))
    for name in _PLAIN:
        _require_carried(getattr(options, name), name.replace("_", " "))
    metadata: dict[str, str] = {}
    for name, value in content.metadata.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise UsageError(f"{name!r} cannot be the name of metadata: letters, digits and -_. can")
        lower = name.lower()  # the service does so anyway
        if lower in metadata:
            raise UsageError(f"metadata names {lower!r} twice; upper and lower case are the same")
        _require_carried(value, f"metadata {name!r}")
        metadata[lower] = value
    try:
        for text in (*options.tags, *options.tags.values()):
            str(text).encode()
    except UnicodeEncodeError as error:
        raise UsageError("tags: not valid UTF-8", cause=str(error)) from error
    expires = _http_date(content.expires) if content.expires else ""
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


def _require_carried(value: str, what: str) -> None:
    """Raise for anything but plain text: it would be changed on the way, or forge another header."""
    if not isinstance(value, str) or not _TEXT.fullmatch(value):
        raise UsageError(f"{what}: a header carries ASCII text without line breaks, not {value!r}; encode it first")


def _http_date(text: str) -> str:
    """Return a date as HTTP writes it, whatever form it is given in."""
    _require_carried(text, "expires")
    if text.isdecimal() and len(text) <= 11:
        return format_datetime(datetime.fromtimestamp(int(text), UTC), usegmt=True)
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            instant = read(text)
            aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
            return format_datetime(aware.astimezone(UTC), usegmt=True)
        except (ValueError, OverflowError):
            continue
    raise UsageError(f"expires: {text!r} is no date; RFC 9110 §5.6.7 says how to write one")


__all__ = ["checked", "header_text", "told_content"]
