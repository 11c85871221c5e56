"""Parses the XML of a page of ListObjectsV2 many times faster than the SDK, or leaves it to the SDK.

    body ─▶ one regular expression that matches plain pages only ─▶ fields        anything else ─▶ the SDK's parsers

The SDK runs two XML parsers over a page of 1,000 keys, then its models: that costs more than the rest of a listing.
The expression matches only XML with a single reading (no comments, CDATA or control characters, no attribute but one
namespace, no field twice), so both ways read the same; tests/unit/test_page_xml.py compares them.

To switch it off, remove the line ``_read_pages_quickly(events)`` of ``hooks.tune``: the SDK then reads every page, and
listings differ in nothing but time.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from botocore.utils import parse_timestamp

from bulkhaul.model.objects import ObjectHead
from bulkhaul.wire import told
from bulkhaul.wire.sdk.strict_xml import INSTANT

QUICKLY_READ: Final = "bulkhaul.page"
"""The member of the SDK's reply that holds (objects, common prefixes) as read here."""

_S = r"[ \n\t]*+"
_OWNER = rf"<Owner>(?:{_S}<(?:ID>[^<>]*+</ID|DisplayName>[^<>]*+</DisplayName)>)*+{_S}</Owner>"
_ITEM = rf"<Contents>(?:{_S}(?:<(?!Owner>)([A-Za-z]++)>[^<>]*+</\1>|{_OWNER}))*+{_S}</Contents>"
_FOLDER = rf"<CommonPrefixes>{_S}<Prefix>[^<>]*+</Prefix>{_S}</CommonPrefixes>"
_SINGLE = r"<(?!Contents>|CommonPrefixes>|Owner>)([A-Za-z]++)(?:/>|>[^<>]*+</\2>)"

_PAGE = re.compile(
    r'(?:<\?xml version="1\.0"(?: encoding="(?:UTF|utf)-8")?(?: standalone="(?:yes|no)")?\?>)?+'
    rf'{_S}<ListBucketResult(?: xmlns="[^"<>&]*+")?+>'
    rf"(?:{_S}(?:{_ITEM}|{_FOLDER}|{_SINGLE}))*+"
    rf"{_S}</ListBucketResult>{_S}"
)
_OWNERS = re.compile(_OWNER)
_LEAVES = re.compile(r"<([A-Za-z]++)>([^<>]*+)</")
"""The fields of a page that has matched: there every end tag fits."""

_NOT_PLAIN = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML forbids, and the carriage return, which a parser replaces. Source: XML 1.0 §2.2, §2.11."""

_REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}

_INSTANT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.0{1,9})?Z")


_TRUNCATED = b"<IsTruncated>true</IsTruncated>"
_NEXT = re.compile(rb"<NextContinuationToken>([^<>]++)</NextContinuationToken>")

_tell_next: ContextVar[Callable[[str], None] | None] = ContextVar("_tell_next", default=None)


class _NotPlainError(Exception):
    """The page is not plain: the SDK has to read it."""


@contextmanager
def telling(tell: Callable[[str], None] | None) -> Iterator[None]:
    """While in the block, call ``tell`` with the next token of a page of this thread's before the page is read."""
    before = _tell_next.set(tell)
    try:
        yield
    finally:
        _tell_next.reset(before)


def read_page(
    operation_model: Any,
    response_dict: MutableMapping[str, Any],
    customized_response_dict: MutableMapping[str, Any],
    **_: object,
) -> None:
    """Read a reply in place of the SDK, which then finds an empty body; a hook of ``before-parse``."""
    if operation_model.name != "ListObjectsV2" or response_dict["status_code"] != 200:
        return
    tell = _tell_next.get()
    if tell is not None and (token := _early_token(response_dict["body"])):
        tell(token)
    try:
        read = _read(response_dict["body"].decode())
    except (_NotPlainError, ValueError, OverflowError):
        return
    customized_response_dict.update(read)
    response_dict["body"] = b""


def _early_token(body: bytes) -> str:
    """Return the token of the next page if it can be found without reading this one, else an empty text."""
    found = _NEXT.findall(body)
    if len(found) != 1 or body.count(_TRUNCATED) != 1 or b"<!" in body:
        return ""
    try:
        token = _unescaped(found[0].decode())
    except (_NotPlainError, UnicodeDecodeError, OverflowError):
        return ""
    return "" if len(token) > told.MAX_TOKEN_CHARACTERS or _NOT_PLAIN.search(token) else token


def _read(text: str) -> dict[str, Any]:
    # Printable text is plain, and isprintable() costs a fraction of the search.
    if not text.replace("\n", "").isprintable() and _NOT_PLAIN.search(text):
        raise _NotPlainError
    if not _PAGE.fullmatch(text):
        raise _NotPlainError
    text = text.replace("&#34;", '"').replace("&quot;", '"')  # of every ETag
    if "&" in text:
        _unescaped(text)  # checks also the fields that are not used: a parser would refuse the page for them
    if "<Owner>" in text:
        text = _OWNERS.sub("", text)
    items, folders, singles = [], [], [text[text.index("<ListBucketResult") :].partition(">")[2]]
    if "<Contents>" in text:
        first, *items = singles[0].split("<Contents>")
        items, tails = _cut(items, "</Contents>")
        singles = [first, *tails]
    rest = "".join(singles)
    if "<CommonPrefixes>" in rest:
        first, *folders = rest.split("<CommonPrefixes>")
        folders, tails = _cut(folders, "</CommonPrefixes>")
        rest = "".join([first, *tails])
    about = _fields(rest)
    truncated = about.get("IsTruncated")
    if truncated not in ("true", "false"):
        raise _NotPlainError
    encoded = about.get("EncodingType") == "url"
    entries = tuple(_entry(_fields(item), encoded=encoded) for item in items)
    prefixes = tuple(_name(_fields(folder)["Prefix"], encoded=encoded) for folder in folders)
    page: dict[str, Any] = {"IsTruncated": truncated == "true", QUICKLY_READ: (entries, prefixes)}
    if (token := about.get("NextContinuationToken")) is not None:
        page["NextContinuationToken"] = _unescaped(token)
    if (count := about.get("KeyCount")) is not None:
        page["KeyCount"] = told.number(count, "KeyCount")
    if (name := about.get("Name")) is not None:
        page["Name"] = _unescaped(name)
    return page


def _cut(pieces: list[str], end: str) -> tuple[list[str], list[str]]:
    """Split each piece at ``end``; return all that stands before it, and what stands after it, unless empty."""
    halves = [piece.partition(end) for piece in pieces]
    return [before for before, _, _ in halves], [after for _, _, after in halves if after]


def _fields(text: str) -> dict[str, str]:
    found = _LEAVES.findall(text)
    fields = dict(found)
    if len(fields) != len(found):
        raise _NotPlainError
    return fields


def _entry(fields: dict[str, str], *, encoded: bool) -> ObjectHead:
    key, size, modified = fields.get("Key"), fields.get("Size"), fields.get("LastModified")
    if not key or not size or not modified or not (size.isascii() and size.isdecimal()):
        raise _NotPlainError
    storage_class = fields.get("StorageClass", "STANDARD")
    if storage_class != "STANDARD":
        storage_class = told.text(_unescaped(storage_class), "StorageClass", most=told.MAX_NAME_CHARACTERS)
    return ObjectHead(
        _name(key, encoded=encoded),
        told.number(size, "Size"),
        told.etag(_unescaped(fields.get("ETag", ""))),
        _instant(modified),
        storage_class="" if storage_class == "STANDARD" else storage_class,
    )


def _name(text: str, *, encoded: bool) -> str:
    text = _unescaped(text)
    return unquote_plus(text, errors="strict") if encoded and ("%" in text or "+" in text) else text


@functools.lru_cache(maxsize=1024)
def _instant(text: str) -> str:
    if (plain := _INSTANT.fullmatch(text)) is not None:
        told_instant = f"{plain[1]}T{plain[2]}+00:00"
        datetime.fromisoformat(told_instant)  # there is no 13th month
        return told_instant
    if not INSTANT.fullmatch(_unescaped(text)):
        raise _NotPlainError
    return str(parse_timestamp(_unescaped(text)).isoformat())


def _unescaped(text: str) -> str:
    """Return character data with its references resolved; _NotPlainError if one of them is malformed."""
    if "&" not in text:
        return text
    if text.count("&") != len(_REFERENCE.findall(text)):
        raise _NotPlainError
    return _REFERENCE.sub(_character, text)


def _character(reference: re.Match[str]) -> str:
    name, decimal, hexadecimal = reference.groups()
    if name:
        return _NAMED[name]
    character = chr(int(decimal) if decimal else int(hexadecimal, 16))
    if character != "\r" and _NOT_PLAIN.match(character):
        raise _NotPlainError
    return character


__all__ = ["QUICKLY_READ", "read_page", "telling"]
