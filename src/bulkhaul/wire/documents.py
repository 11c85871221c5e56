"""Parses the XML documents of replies strictly: a value with more than one reading is refused.

    bytes ─▶ expat, UTF-8 only, no declarations ─▶ elements ─▶ the fields of a ``Shape``, each once ─▶ a dictionary

Entities cannot be declared, so nothing expands. Elements that a shape does not name are passed over, as every client
of S3 does; attributes and namespaces decide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser
from xml.parsers import expat

import msgspec

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.wire.instants import iso_instant

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""Longest document of a reply. A page of 1,000 keys of the greatest length has under 4 MiB."""

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
"""Source: XML Schema, xs:boolean."""

Members = dict[str, Any]
"""What a document tells, by the names that the S3 API gives its members."""


class Unreadable(Exception):
    """The document is not well-formed: it may have been cut off."""


class Shape(msgspec.Struct, frozen=True):
    """The fields of an element.

    Attributes:
        single: name of an element that comes once → how its value is read.
        many: name of an element that may be repeated → (name of the member, shape of each).
    """

    single: Mapping[str, Callable[[Element], Any]]
    many: Mapping[str, tuple[str, Shape]] = {}


def parse(document: bytes) -> Element:
    """Return the root of a document.

    Raises:
        Unreadable: it is not well-formed.
        UnexpectedReply: it declares entities.
    """
    if b"<!DOCTYPE" in document:
        _refuse_declarations(document)
    parser = XMLParser(target=TreeBuilder(), encoding="utf-8")  # noqa: S314 - nothing it declares is expanded
    try:
        parser.feed(document)
        root: Element = parser.close()
    except ParseError as error:
        raise Unreadable from error
    return root


def _refuse_declarations(document: bytes) -> NoReturn:
    """Refuse a document with a document type; nothing that it declares is expanded."""

    def refuse(*_: object) -> NoReturn:
        raise UnexpectedReply("the reply declares entities of its own, as no S3 service does")

    parser = expat.ParserCreate("utf-8")
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:  # a page of HTML, for one
        raise Unreadable from error
    refuse()


def error_in(document: bytes) -> tuple[str, str]:
    """Return (code, message) of an error document; both are empty for another one."""
    try:
        root = parse(document)
    except (Unreadable, UnexpectedReply):
        return "", ""
    if local_name(root.tag) != "Error":
        root = next((child for child in root if local_name(child.tag) == "Error"), root)
        if local_name(root.tag) != "Error":
            return "", ""
    found = {"Code": "", "Message": ""}
    for name in found:
        said = [child.text or "" for child in root if local_name(child.tag) == name and not len(child)]
        if len(said) == 1:
            found[name] = said[0]
    return found["Code"], found["Message"]


def local_name(tag: str) -> str:
    """Return the name of an element without its namespace."""
    return tag.rpartition("}")[2]


def members(node: Element, shape: Shape) -> Members:
    """Return the fields of an element.

    Raises:
        UnexpectedReply: a field comes twice, or holds what it cannot.
    """
    found: Members = {}
    single, many = shape.single, shape.many
    for child in node:
        name = child.tag
        if name[:1] == "{":
            name = name.rpartition("}")[2]
        if name in single:
            if name in found:
                raise refused(name, "it comes twice")
            found[name] = single[name](child)
        elif name in many:
            member, inner = many[name]
            found.setdefault(member, []).append(members(child, inner))
    return found


def text(node: Element) -> str:
    """Return the text of an element."""
    if len(node):
        raise refused(local_name(node.tag), "an element within its text")
    return node.text or ""


def integer(node: Element) -> int:
    """Return a whole number."""
    said = text(node)
    if not _INTEGER.fullmatch(said):
        raise refused(local_name(node.tag), said)
    return int(said)


def boolean(node: Element) -> bool:
    """Return a truth value."""
    said = text(node).lower()
    if said not in _BOOLEANS:
        raise refused(local_name(node.tag), said)
    return _BOOLEANS[said]


def instant(node: Element) -> str:
    """Return an instant in ISO 8601."""
    said = text(node)
    try:
        return iso_instant(said)
    except (ValueError, OverflowError) as error:
        raise refused(local_name(node.tag), said) from error


def structure(shape: Shape) -> Callable[[Element], Members]:
    """Return a reader of an element with fields."""
    return lambda node: members(node, shape)


def items(shape: Shape) -> Callable[[Element], list[Members]]:
    """Return a reader of an element that holds a list; whatever an item is called, it must have the shape."""
    return lambda node: [members(child, shape) for child in node]


def texts(names: Iterable[str]) -> dict[str, Callable[[Element], str]]:
    """Return fields that all are texts."""
    return dict.fromkeys(names, text)


def refused(name: str, value: str) -> UnexpectedReply:
    """Return the error for a value that a field cannot have."""
    return UnexpectedReply("the reply tells a value that can be none", cause=f"{name}: {value[:80]!r}")


__all__ = [
    "MAX_DOCUMENT_BYTES",
    "Members",
    "Shape",
    "Unreadable",
    "boolean",
    "error_in",
    "instant",
    "integer",
    "items",
    "local_name",
    "members",
    "parse",
    "refused",
    "structure",
    "text",
    "texts",
]
