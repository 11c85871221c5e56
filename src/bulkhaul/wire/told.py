"""Checks what a reply tells (numbers, texts, keys, ETags, ids): returns a plausible value, or refuses the reply.

    present, well-formed, within bounds ─▶ the value        anything else ─▶ UnexpectedReply, never a guess

The bounds are limits of sanity, not of S3: no store has values beyond them, and they would fill memory, frames
between processes, or a screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bulkhaul.model.errors import OtherError, UnexpectedReply
from bulkhaul.model.limits import MAX_OFFSET

MAX_PART_NUMBER = 100_000
"""S3 allows 10,000 parts; some stores allow more."""

MAX_KEY_CHARACTERS = 4096
"""S3 allows 1,024 bytes; a store on a file system allows the length of a path. Source: Linux, PATH_MAX."""

MAX_ETAG_CHARACTERS = 512
"""S3's have 38."""

MAX_ID_CHARACTERS = 2048
"""Of a version or an upload. S3's ids have 32 and about 130; stores that keep their state in the id have hundreds."""

MAX_TOKEN_CHARACTERS = 16 * 1024
"""Of a continuation token. Some stores put the last key into it, encoded twice."""

MAX_NAME_CHARACTERS = 256
"""Of a storage class, a bucket, a region, an algorithm."""

MAX_HEAD_BYTES = 64 * 1024
"""Status line and headers of one reply. S3 sends under 8 KiB."""

MAX_HEADERS_CHARACTERS = 48 * 1024
"""Content headers and metadata of one object together. S3 allows about 10 KiB."""

MAX_TAGS = 1000
"""Tags of one object. S3 allows 10, other services 50."""

_NUMBER = re.compile(r"[0-9]{1,19}")
_ETAG = re.compile(rf'(?:W/)?"[ !#-~\xa0-\xff]{{0,{MAX_ETAG_CHARACTERS}}}"|[!#-~]{{1,{MAX_ETAG_CHARACTERS}}}')
_ETAGS = re.compile(f"(?:(?:{_ETAG.pattern})\n)*+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def number(value: object, what: str, subject: str = "", *, most: int = MAX_OFFSET) -> int:
    """Return a whole number of a reply.

    >>> number("0", "Content-Length"), number(7, "Size")
    (0, 7)

    Args:
        value: digits, or a number that was parsed from them.
        what: the name of the field.
        most: the largest that it can be; the smallest is 0.

    Raises:
        UnexpectedReply: it is missing, negative, larger than ``most``, or no whole number.
    """
    if type(value) is int:
        found = value
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        found = int(value)
    else:
        raise _refused(what, value, subject)
    if not 0 <= found <= most:
        raise _refused(what, value, subject)
    return found


def text(value: object, what: str, subject: str = "", *, most: int) -> str:
    """Return a text of a reply, empty if the reply has none.

    Raises:
        UnexpectedReply: it is longer than ``most`` characters, or holds control characters.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most or _CONTROL.search(value):
        raise _refused(what, value, subject)
    return value


def version(value: object, subject: str = "") -> str:
    """Return a version id, empty if the object has no versions.

    Raises:
        UnexpectedReply: it is too long, or holds control characters.
    """
    found = text(value, "version id", subject, most=MAX_ID_CHARACTERS)
    return "" if found == "null" else found


def marker(value: object, what: str, subject: str = "") -> str:
    """Return the marker at which a listing goes on, empty if there is none. It may be a key, and hold any character.

    Raises:
        UnexpectedReply: it is too long, or cannot be sent back.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TOKEN_CHARACTERS or _SURROGATE.search(value):
        raise _refused(what, value, subject)
    return value


def etag(value: object, subject: str = "") -> str:
    """Return an ETag as it came, empty if there is none, or only a pair of quotes.

    >>> etag('"d41d8"'), etag("d41d8"), etag('""'), etag(None)
    ('"d41d8"', 'd41d8', '', '')

    Raises:
        UnexpectedReply: it is malformed (RFC 9110 §8.8.3; the quotes may be missing, as some stores leave them out).
    """
    if value in (None, "", '""'):
        return ""
    if not isinstance(value, str) or not _ETAG.fullmatch(value):
        raise _refused("ETag", value, subject)
    return value


def etags(values: list[str], subject: str = "") -> list[str]:
    """Return the ETags of a page, as ``etag`` returns each.

    Raises:
        UnexpectedReply: one is malformed.
    """
    lines = "\n".join([*values, ""])
    if lines.count("\n") == len(values) and _ETAGS.fullmatch(lines) and '""' not in values:
        return values
    return [etag(value, subject) for value in values]


def key(value: object, prefix: str, subject: str = "") -> str:
    """Return the key, or the common prefix, of an entry of a listing of ``prefix``.

    Raises:
        OtherError: there is none.
        UnexpectedReply: it is longer than any key, or does not begin with ``prefix``.
    """
    if not isinstance(value, str) or not value:
        raise OtherError("the listing holds an entry without a key", subject)
    if len(value) > MAX_KEY_CHARACTERS:
        raise _refused("Key", value, subject)
    if not value.startswith(prefix):
        text = (
            f"the service lists {value[:80]!r}, which does not begin with that prefix, so nothing is done with this"
            " page: it may take both for the same folder; name the prefix as a listing of the bucket spells it"
        )
        raise UnexpectedReply(text, subject)
    return value


def bounded(headers: Iterable[str], metadata: Mapping[str, str], subject: str = "") -> None:
    """Raise UnexpectedReply if headers and metadata together are longer than any object's."""
    length = sum(map(len, headers)) + sum(len(name) + len(value) for name, value in metadata.items())
    if length > MAX_HEADERS_CHARACTERS:
        text = f"the reply has {length} characters of headers and metadata, where an object has a few thousand at most"
        raise UnexpectedReply(text, subject)


def _refused(what: str, value: object, subject: str) -> UnexpectedReply:
    if value is None:
        return UnexpectedReply(f"the reply tells no {what}", subject)
    shown = value if isinstance(value, str | int) else type(value).__name__
    return UnexpectedReply(f"the reply tells a {what} that can be none", subject, f"{what}: {str(shown)[:80]!r}")


__all__ = [
    "MAX_ETAG_CHARACTERS",
    "MAX_HEADERS_CHARACTERS",
    "MAX_HEAD_BYTES",
    "MAX_ID_CHARACTERS",
    "MAX_KEY_CHARACTERS",
    "MAX_NAME_CHARACTERS",
    "MAX_PART_NUMBER",
    "MAX_TAGS",
    "MAX_TOKEN_CHARACTERS",
    "bounded",
    "etag",
    "etags",
    "key",
    "marker",
    "number",
    "text",
    "version",
]
