"""Spells ``ObjectOptions`` for the service, as SDK parameters or as raw headers; it must not know who sends them.

Both come from one table and one check, so that an object is stored alike whichever way its bytes go.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlencode

from botocore.utils import parse_to_aware_datetime

from bulkhaul.model.errors import UsageError
from bulkhaul.model.writing import ObjectOptions

METADATA_PREFIX = "x-amz-meta-"

_SPELLINGS: tuple[tuple[str, str, str], ...] = (
    ("content.content_type", "ContentType", "content-type"),
    ("content.content_disposition", "ContentDisposition", "content-disposition"),
    ("content.content_encoding", "ContentEncoding", "content-encoding"),
    ("content.content_language", "ContentLanguage", "content-language"),
    ("content.cache_control", "CacheControl", "cache-control"),
    ("content.expires", "Expires", "expires"),
    ("storage_class", "StorageClass", "x-amz-storage-class"),
    ("acl", "ACL", "x-amz-acl"),
    ("sse", "ServerSideEncryption", "x-amz-server-side-encryption"),
    ("sse_kms_key_id", "SSEKMSKeyId", "x-amz-server-side-encryption-aws-kms-key-id"),
    ("tags", "Tagging", "x-amz-tagging"),
)
"""(field, parameter, header). Source: S3 API Reference, CreateMultipartUpload and PutObject."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TEXT = re.compile(r"[\t\x20-\x7e]*")


def put_parameters(options: ObjectOptions) -> dict[str, Any]:
    """Return the parameters of CreateMultipartUpload, PutObject, or CopyObject with the directives REPLACE.

    Raises:
        UsageError: a value that no header can carry; the message names it.
    """
    parameters: dict[str, Any] = {parameter: value for parameter, _, value in _spelled(options)}
    if metadata := _metadata(options):
        parameters["Metadata"] = metadata
    return parameters


def put_headers(options: ObjectOptions) -> list[tuple[str, str]]:
    """Return the same as headers of a PUT, names in lower case.

    >>> put_headers(ObjectOptions(storage_class="STANDARD_IA", tags={"a b": "1"}))
    [('x-amz-storage-class', 'STANDARD_IA'), ('x-amz-tagging', 'a%20b=1')]

    Raises:
        UsageError: a value that no header can carry; the message names it.
    """
    headers = [(header, value) for _, header, value in _spelled(options)]
    return [*headers, *((METADATA_PREFIX + name, value) for name, value in _metadata(options).items())]


def _spelled(options: ObjectOptions) -> Iterator[tuple[str, str, str]]:
    """Yield (parameter, header, value) of every field that is set."""
    for field, parameter, header in _SPELLINGS:
        room, _, name = field.rpartition(".")
        value = getattr(options.content if room else options, name)
        if not value:
            continue
        if name == "tags":
            value = _tagging(value)
        elif name == "expires":
            value = _http_date(value)
        yield parameter, header, _carried(value, name.replace("_", " "))


def _metadata(options: ObjectOptions) -> dict[str, str]:
    named: dict[str, str] = {}
    for name, value in options.content.metadata.items():
        if not _TOKEN.fullmatch(name):
            raise UsageError(f"{name!r} cannot be the name of metadata: letters, digits and -_. can")
        lower = name.lower()  # the service does so anyway
        if lower in named:
            raise UsageError(f"metadata names {lower!r} twice; upper and lower case are the same")
        named[lower] = _carried(value, f"metadata {name!r}")
    return named


def _carried(value: str, what: str) -> str:
    """Return ``value`` as a header carries it: without outer spaces (RFC 9110 §5.5), or not at all.

    Anything but plain text would be changed on the way, or forge another header.
    """
    if not _TEXT.fullmatch(value):
        raise UsageError(f"{what}: a header carries ASCII text without line breaks, not {value!r}; encode it first")
    return value.strip()


def _tagging(tags: dict[str, str]) -> str:
    try:
        return urlencode(tags, quote_via=quote, safe="")
    except UnicodeEncodeError as error:
        raise UsageError("tags: not valid UTF-8", cause=str(error)) from error


def _http_date(text: str) -> str:
    """Return a date as the SDK would write it, whatever form it is given in."""
    try:
        return formatdate(calendar.timegm(parse_to_aware_datetime(text).utctimetuple()), usegmt=True)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"expires: {text!r} is no date; RFC 9110 §5.6.7 says how to write one") from error


__all__ = ["METADATA_PREFIX", "put_headers", "put_parameters"]
