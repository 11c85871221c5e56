"""The XML documents that clients send.

Job: read the bodies of CompleteMultipartUpload, DeleteObjects and RestoreObject strictly. Must not know the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from bulkhaul.testing.faultserver.replies import S3Error

from .objects import Algorithm
from .payload import ALGORITHMS

#: Source: S3 API Reference, DeleteObjects.
_MAX_DELETES = 1000


@dataclass(frozen=True, slots=True)
class NamedPart:
    """One part that a completion names; ``etag`` without quotes."""

    number: int
    etag: str
    checksums: Mapping[Algorithm, str]


def parse_completion(body: bytes) -> list[NamedPart]:
    """Return the parts in the order of the document.

    Raises:
        S3Error: it is not such a document, or names no part.
    """
    parts = [_named_part(one) for one in _children(_root(body, "CompleteMultipartUpload"), "Part")]
    if not parts:
        raise _malformed()
    return parts


def parse_deletion(body: bytes) -> tuple[list[tuple[str, str, str]], bool]:
    """Return keys with their version ids and ETags, and whether only errors are to be told.

    Raises:
        S3Error: it is not such a document, or names no key or too many.
    """
    root = _root(body, "Delete")
    keys = [
        (_text(one, "Key"), _text(one, "VersionId", ""), _text(one, "ETag", "")) for one in _children(root, "Object")
    ]
    if not 1 <= len(keys) <= _MAX_DELETES:
        raise _malformed()
    return keys, _text(root, "Quiet", "false").lower() == "true"


def parse_restore(body: bytes) -> tuple[int, str]:
    """Return for how many days an object is to stay, 0 if that is left out, and the tier.

    Raises:
        S3Error: it is not such a document.
    """
    root = _root(body, "RestoreRequest")
    days, parameters = _text(root, "Days", "0"), _children(root, "GlacierJobParameters")
    if not (days.isascii() and days.isdigit()) or len(parameters) != 1 or (_children(root, "Days") and int(days) < 1):
        raise _malformed()
    return int(days), _text(parameters[0], "Tier")


def _named_part(part: ElementTree.Element) -> NamedPart:
    number = _text(part, "PartNumber")
    if not (number.isascii() and number.isdigit()):
        raise _malformed()
    sent = {one: _text(part, f"Checksum{one}", "") for one in ALGORITHMS}
    checksums = {one: value for one, value in sent.items() if value}
    return NamedPart(int(number), _text(part, "ETag").strip('"'), checksums)


def _root(body: bytes, name: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - whoever sends it is the test itself
    except ElementTree.ParseError as error:
        raise _malformed() from error
    if _local(root) != name:
        raise _malformed()
    return root


def _children(parent: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [one for one in parent if _local(one) == name]


def _text(parent: ElementTree.Element, name: str, default: str | None = None) -> str:
    found = _children(parent, name)
    if not found and default is not None:
        return default
    if len(found) != 1:
        raise _malformed()
    return found[0].text or ""


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _malformed() -> S3Error:
    return S3Error("MalformedXML", "The XML you provided was not well-formed or did not validate against our schema")
