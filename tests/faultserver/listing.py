"""ListObjectsV2 and ListObjectVersions: keys in byte order, folded by delimiter, in pages.

Job: one page of a listing as XML. Must not know sockets, faults or how objects are kept.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TypeVar
from urllib.parse import quote_plus

from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.replies import S3Error, element, escape, xml_reply

from .objects import StoredObject

_MAX_KEYS = 1000
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_Entry = TypeVar("_Entry")


def list_objects(
    bucket: str,
    objects: Mapping[str, StoredObject],
    query: Mapping[str, str],
    status: Callable[[str, StoredObject], str] = lambda key, stored: "",
) -> Reply:
    """Return the page that ``query`` asks for.

    Args:
        status: returns more elements of an entry.

    Raises:
        S3Error: max-keys, encoding-type or continuation-token is not valid.
    """
    encoding, prefix, delimiter = (query.get(name, "") for name in ("encoding-type", "prefix", "delimiter"))
    shown = shown_in(query)
    limit = limit_of(query, "max-keys")
    token = query.get("continuation-token")
    after = query.get("start-after", "") if token is None else _decode_token(token)

    page, truncated = page_of(_entries(objects, prefix, delimiter, after), limit)
    fields = [
        element("Name", escape(bucket)),
        element("Prefix", shown(prefix)),
        element("KeyCount", len(page)),
        element("MaxKeys", limit),
        element("IsTruncated", truncated),
    ]
    if delimiter:
        fields.append(element("Delimiter", shown(delimiter)))
    if encoding:
        fields.append(element("EncodingType", encoding))
    if token is not None:
        fields.append(element("ContinuationToken", escape(token)))
    if "start-after" in query:
        fields.append(element("StartAfter", shown(query["start-after"])))
    if truncated:
        fields.append(element("NextContinuationToken", _encode_token(page[-1][0])))
    fields += [_contents(shown(name), one, more=status(name, one)) for name, one in page if one is not None]
    folders = [element("Prefix", shown(name)) for name, stored in page if stored is None]
    fields += [element("CommonPrefixes", folder) for folder in folders]
    body = element("ListBucketResult", *fields).replace(">", f' xmlns="{_NAMESPACE}">', 1)
    return xml_reply(200, body)


def list_objects_v1(
    bucket: str,
    objects: Mapping[str, StoredObject],
    query: Mapping[str, str],
    status: Callable[[str, StoredObject], str] = lambda key, stored: "",
) -> Reply:
    """Return the page of ListObjects, the first version, that ``query`` asks for: what comes after a marker.

    Args:
        status: returns more elements of an entry.

    Raises:
        S3Error: max-keys or encoding-type is not valid.
    """
    prefix, delimiter, marker = (query.get(name, "") for name in ("prefix", "delimiter", "marker"))
    shown = shown_in(query)
    limit = limit_of(query, "max-keys")
    page, truncated = page_of(_entries(objects, prefix, delimiter, marker), limit)
    fields = [
        element("Name", escape(bucket)),
        element("Prefix", shown(prefix)),
        element("Marker", shown(marker)),
        element("MaxKeys", limit),
        element("IsTruncated", truncated),
    ]
    if query.get("encoding-type"):
        fields.append(element("EncodingType", "url"))
    if delimiter and truncated:
        fields.append(element("NextMarker", shown(page[-1][0])))
    fields += [_contents(shown(name), one, more=status(name, one)) for name, one in page if one is not None]
    folders = [element("Prefix", shown(name)) for name, stored in page if stored is None]
    fields += [element("CommonPrefixes", folder) for folder in folders]
    return xml_reply(200, element("ListBucketResult", *fields))


def list_versions(bucket: str, objects: Mapping[str, StoredObject], query: Mapping[str, str]) -> Reply:
    """Return the page of versions that ``query`` asks for; without versioning each object is its only one.

    Raises:
        S3Error: max-keys or encoding-type is not valid.
    """
    shown = shown_in(query)
    limit = limit_of(query, "max-keys")
    prefix, delimiter, marker = (query.get(name, "") for name in ("prefix", "delimiter", "key-marker"))
    page, truncated = page_of(_entries(objects, prefix, delimiter, marker), limit)
    fields = [
        element("Name", escape(bucket)),
        element("Prefix", shown(prefix)),
        element("KeyMarker", shown(marker)),
        element("VersionIdMarker", escape(query.get("version-id-marker", ""))),
        element("MaxKeys", limit),
        element("IsTruncated", truncated),
    ]
    if delimiter:
        fields.append(element("Delimiter", shown(delimiter)))
    if query.get("encoding-type"):
        fields.append(element("EncodingType", "url"))
    if truncated:
        name, last = page[-1]
        fields.append(element("NextKeyMarker", shown(name)))
        fields += [] if last is None else [element("NextVersionIdMarker", "null")]
    unversioned = element("VersionId", "null") + element("IsLatest", True)
    fields += [_contents(shown(name), one, "Version", unversioned) for name, one in page if one is not None]
    folders = [element("Prefix", shown(name)) for name, one in page if one is None]
    fields += [element("CommonPrefixes", folder) for folder in folders]
    return xml_reply(200, element("ListVersionsResult", *fields))


def shown_in(query: Mapping[str, str]) -> Callable[[str], str]:
    """Return how a key is written in the listing that ``query`` asks for.

    Raises:
        S3Error: encoding-type is not "url".
    """
    encoding = query.get("encoding-type", "")
    if encoding not in ("", "url"):
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request")
    # S3 writes a space as + and a plus as %2B here; botocore decodes with unquote_plus.
    return (lambda text: quote_plus(text, safe="/")) if encoding else escape


def limit_of(query: Mapping[str, str], name: str, *, default: int = _MAX_KEYS, most: int = _MAX_KEYS) -> int:
    """Return a number of the query, at most ``most``.

    Raises:
        S3Error: it is no number.
    """
    text = query.get(name) or str(default)
    if not (text.isascii() and text.isdigit()):
        raise S3Error("InvalidArgument", f"Argument {name} must be an integer between 0 and 2147483647")
    return min(int(text), most)


def page_of(entries: Iterator[_Entry], limit: int) -> tuple[list[_Entry], bool]:
    """Return the first ``limit`` entries, and whether there are more; a limit of 0 asks for none."""
    page = list(islice(entries, limit))
    return page, limit > 0 and next(entries, None) is not None


def _entries(
    objects: Mapping[str, StoredObject], prefix: str, delimiter: str, after: str
) -> Iterator[tuple[str, StoredObject | None]]:
    """Yield (key, object) and (common prefix, None) in the byte order of their UTF-8."""
    folder: str | None = None
    for key in sorted(objects, key=str.encode):
        if not key.startswith(prefix) or (folder is not None and key.startswith(folder)):
            continue
        rest = key[len(prefix) :]
        folded = bool(delimiter) and delimiter in rest
        name = prefix + rest[: rest.index(delimiter) + len(delimiter)] if folded else key
        folder = name if folded else folder
        if name.encode() > after.encode():
            yield name, None if folded else objects[key]


def _contents(name: str, stored: StoredObject, kind: str = "Contents", version: str = "", more: str = "") -> str:
    checksum = [element("ChecksumAlgorithm", algorithm) for algorithm in stored.checksums]
    if checksum:
        checksum.append(element("ChecksumType", stored.checksum_type))
    return element(
        kind,
        element("Key", name),
        version,
        element("LastModified", stored.last_modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
        element("ETag", f"&quot;{stored.etag}&quot;"),
        *checksum,
        element("Size", stored.size_bytes),
        element("StorageClass", stored.storage_class),
        more,
    )


def _encode_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode("ascii")


def _decode_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from error
