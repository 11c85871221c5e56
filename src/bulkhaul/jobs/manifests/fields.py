"""Checks and converts the fields of a row, whatever format it stands in: bucket, key, size, time, flags, ETag.

A converter raises ``BadField`` with the reason; who reads the row adds the name of the field.
"""

from __future__ import annotations

import functools
import re
from datetime import datetime
from urllib.parse import unquote_to_bytes

from bulkhaul.model.errors import InvalidUrl
from bulkhaul.model.limits import MAX_KEY_BYTES, MAX_OFFSET
from bulkhaul.policy.filetimes import in_utc
from bulkhaul.policy.selection import parse_destination

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SHOWN = 60
"""Characters of a wrong value that a message repeats."""


class BadField(Exception):
    """A value that its field cannot have; the text is made for people."""


def shown(value: object) -> str:
    """Return a wrong value for a message: printable, and not longer than a line."""
    text = ascii(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def bucket_name(text: str) -> str:
    """Return the name of a bucket, or the ARN of an access point.

    Raises:
        BadField: it cannot be one.
    """
    if fault := _bucket_fault(text):
        raise BadField(fault)
    return text


@functools.lru_cache(maxsize=1024)
def _bucket_fault(text: str) -> str:
    if not text:
        return "the bucket is missing"
    try:
        found, _ = parse_destination(f"s3://{text}/k")
    except InvalidUrl as error:
        return error.message
    return "" if found == text else f"{shown(text)} cannot be a bucket name"


def object_key(key: str) -> str:
    """Return a key that S3 can have.

    Raises:
        BadField: it is empty, longer than 1024 bytes, or not UTF-8.
    """
    if not key:
        raise BadField("the key is missing")
    try:
        length = len(key) if key.isascii() else len(key.encode())
    except UnicodeEncodeError:
        raise BadField(f"{shown(key)} is not valid UTF-8") from None
    if length > MAX_KEY_BYTES:
        raise BadField(f"a key of {length} bytes, where S3 has at most {MAX_KEY_BYTES}")
    return key


def decoded_key(text: str) -> str:
    """Return the key that a CSV file has percent-encoded; a ``+`` is a space, as S3 Inventory writes it.

    Source: S3 User Guide, "Amazon S3 Inventory list" (key names of CSV files are URL-encoded), and "Converting empty
    version ID strings …", which makes a manifest of Batch Operations of such a file's keys as they are.

    Raises:
        BadField: an escape is broken, or the bytes are no UTF-8, or no key.

    >>> decoded_key("a%2Fb+c%2B%C3%A9")
    'a/b c+é'
    """
    if "%" in text or "+" in text:
        if _BROKEN_ESCAPE.search(text):
            raise BadField(f"{shown(text)} holds a % that is no escape; keys must be percent-encoded")
        try:
            return object_key(unquote_to_bytes(text.replace("+", " ")).decode())
        except UnicodeError:
            raise BadField(f"{shown(text)} is not valid UTF-8 when decoded") from None
    return object_key(text)


def size_of(value: object) -> int | None:
    """Return a size in bytes, given as a number or its decimal digits; None for nothing.

    Raises:
        BadField: it is no whole number from 0 to 2⁶³ - 1.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_OFFSET:
        raise BadField(f"{shown(value)} is no number of bytes")
    return value


def flag_of(value: object, *, default: bool) -> bool:
    """Return a flag, given as such or as ``true`` or ``false`` in any case; ``default`` for nothing.

    Raises:
        BadField: it is something else.
    """
    if isinstance(value, bool):
        return value
    if value is None or value == "":
        return default
    lower = value.lower() if isinstance(value, str) else ""
    if lower not in ("true", "false"):
        raise BadField(f"{shown(value)} is neither true nor false")
    return lower == "true"


def time_of(value: object) -> datetime | None:
    """Return a time in UTC, given in ISO 8601 or as a datetime (UTC where it names no zone); None for nothing.

    Raises:
        BadField: it is no time.
    """
    if value is None or value == "":
        return None
    try:
        given = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(given, datetime):
            return in_utc(given)
    except ValueError:
        pass
    raise BadField(f"{shown(value)} is no time of ISO 8601")


def text_of(value: object) -> str:
    """Return a text; empty for nothing.

    Raises:
        BadField: it is something else, or not UTF-8.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadField(f"{shown(value)} is no text")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise BadField(f"{shown(value)} is not valid UTF-8")
    return value


def quoted_etag(value: object) -> str:
    """Return an ETag with the quotes that HTTP has and inventories leave out.

    >>> quoted_etag("d41d8cd98f00b204e9800998ecf8427e")
    '"d41d8cd98f00b204e9800998ecf8427e"'
    """
    text = text_of(value)
    return text if not text or text.endswith('"') else f'"{text}"'


def class_of(value: object) -> str:
    """Return a storage class, empty for the standard one."""
    text = text_of(value)
    return "" if text == "STANDARD" else text
