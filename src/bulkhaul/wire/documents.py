"""Reads the XML documents of replies strictly: a value with more than one reading is refused.

    bytes ─▶ expat, UTF-8 only, no declarations ─▶ elements ─▶ the fields of a ``Shape``, each once ─▶ a dictionary

Entities cannot be declared, so nothing expands. Elements that a shape does not name are passed over, as every client
of S3 does; attributes and namespaces decide nothing. The tree is built in C: by callbacks a page would cost more.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser
from xml.parsers import expat

import msgspec

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.wire.alike import find_alike
from bulkhaul.wire.instants import instant

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""Longest document of a reply. A page of 1,000 keys of the greatest length has under 4 MiB."""

MAX_TAGS = 500_000
"""Tags of a document at most, for each may take a hundred times its bytes in memory. A page of 1,000 keys has 24,000 at
most; one of 10,000, as some stores give it, has ten times as many."""

_SURELY_FEW_BYTES = 3 * MAX_TAGS
"""A document of this length has no more: a tag has three bytes at least."""

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
"""Source: XML Schema, xs:boolean."""

Members = dict[str, Any]
"""What a document tells, by the names that the S3 API gives its members. What may be repeated is a list of members, or
``Columns``."""


class Unreadable(Exception):
    """The document is not well-formed: it may have been cut off."""


class Shape(msgspec.Struct, frozen=True):
    """The fields of an element.

    Attributes:
        single: name of an element with text, which comes once → how the text is read; it raises ValueError.
        many: name of an element with fields, which may be repeated → (name of the member, shape of each).
        lists: name of an element that holds a list, and comes once → shape of its items, whatever they are called.
        columns: which of ``many`` is read as ``Columns`` where all of them have the same fields; empty for none.
        order: name of a member that lists the members of ``many`` as they come, each as often as it comes; empty for
            none. It goes with no ``columns``.
    """

    single: Mapping[str, Callable[[str], Any]]
    many: Mapping[str, tuple[str, Shape]] = {}
    lists: Mapping[str, Shape] = {}
    columns: str = ""
    order: str = ""


class Columns(msgspec.Struct, frozen=True):
    """Items that all have the same fields: a thousand of them are read in a fraction of the time.

    Attributes:
        values: name of a field → what each item has there; never empty.
    """

    values: dict[str, list[Any]]

    def items(self) -> list[Members]:
        """Return the items one by one."""
        return [dict(zip(self.values, item, strict=True)) for item in zip(*self.values.values(), strict=True)]


class Document(msgspec.Struct, frozen=True):
    """What was read. ``root``: the name of the outermost element, without its namespace."""

    root: str
    members: Members


def read(document: bytes, shape: Shape) -> Document:
    """Return the fields of a document.

    Raises:
        Unreadable: it is not well-formed.
        UnexpectedReply: a field comes twice, or holds what it cannot; or the document declares entities, or has more
            elements than any.
    """
    if len(document) > _SURELY_FEW_BYTES and document.count(b"<") > MAX_TAGS:
        raise UnexpectedReply(f"the reply is a document of more than {MAX_TAGS:,} tags")
    return _read_alike(document, shape) or _read_all(document, shape)


def _read_alike(document: bytes, shape: Shape) -> Document | None:
    """Return the fields of a document whose items of ``shape.columns`` are written alike; None if they are not."""
    if not shape.columns or (alike := find_alike(document, shape.columns)) is None:
        return None
    found = _read_all(alike.rest, shape)
    member, inner = shape.many[shape.columns]
    first = found.members.get(member)
    if not isinstance(first, Columns):
        return None
    values = {
        name: _read_texts(name, said, inner.single[name]) for name, said in alike.texts.items() if name in inner.single
    }
    if {name: said[:1] for name, said in values.items()} != first.values:
        return None
    return Document(found.root, found.members | {member: Columns(values)})


def _read_all(document: bytes, shape: Shape) -> Document:
    """Return the fields of a document, by its tree."""
    if b"\0" in document:
        raise Unreadable  # UTF-16, which the parser would read all the same, and with it what is looked for below
    if b"<!DOCTYPE" in document:
        _refuse_declarations(document)
    parser = XMLParser(target=TreeBuilder(), encoding="utf-8")  # noqa: S314 - nothing it declares is expanded
    try:
        parser.feed(document)
        root: Element = parser.close()
    except ParseError as error:
        raise Unreadable from error
    # Only a document without an element below the fields of items has as many as these.
    elements = list(root.iter())
    flat = len(elements) == 1 + len(root) + sum(map(len, root))
    columns = _columns(root, elements, shape) if flat and shape.columns else {}
    members = _fields(root, shape, {} if flat else None)
    return Document(_local(root.tag), members | columns)


def _columns(root: Element, elements: Sequence[Element], shape: Shape) -> Members:
    """Take the items of ``shape.columns`` off the root of a flat document, if they stand together and are all alike."""
    member, inner = shape.many[shape.columns]
    here = [at for at, child in enumerate(root) if _local(child.tag) == shape.columns]
    if not here or here[-1] - here[0] + 1 != len(here):
        return {}
    items = root[here[0] : here[-1] + 1]
    width = 1 + len(items[0])
    begin = 1 + here[0] + sum(map(len, root[: here[0]]))
    run = elements[begin : begin + width * len(items)]
    tags = [element.tag for element in run]
    if set(map(len, items)) != {width - 1} or tags != tags[:width] * len(items):
        return {}
    values: dict[str, list[Any]] = {}
    for at, name in enumerate(map(_local, tags[1:width]), start=1):
        if (how := inner.single.get(name)) is None:
            continue
        if name in values:
            return {}
        values[name] = _read_texts(name, [element.text or "" for element in run[at::width]], how)
    if not values:
        return {}
    del root[here[0] : here[-1] + 1]
    return {member: Columns(values)}


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


class Layout(msgspec.Struct, frozen=True):
    """What is known of items with the same tags.

    Attributes:
        names: of their elements.
        read_by: those whose text means something else, and how it is read.
        plain: the shape names all of them, once.
    """

    names: tuple[str, ...]
    read_by: tuple[tuple[str, Callable[[str], Any]], ...]
    plain: bool


Layouts = dict[tuple[str, ...], Layout]
"""Tags of the elements of an item → its layout."""


def _fields(node: Element, shape: Shape, layouts: Layouts | None) -> Members:
    """Return the fields of an element.

    Args:
        layouts: those of the items that were read before, where the document is known to be flat; None if it may
            have elements within the texts of items.
    """
    found: Members = {}
    single, many, lists = shape.single, shape.many, shape.lists
    for child in node:
        name = _local(child.tag)
        if (plan := many.get(name)) is not None:
            member, inner = plan
            item = None if layouts is None else _flat_item(child, inner, layouts)
            found.setdefault(member, []).append(_fields(child, inner, None) if item is None else item)
            if shape.order:
                found.setdefault(shape.order, []).append(member)
        elif (how := single.get(name)) is not None:
            if name in found:
                raise refused(name, "it comes twice")
            if len(child):
                raise refused(name, "an element within its text")
            found[name] = _value(name, child.text, how)
        elif (inner_list := lists.get(name)) is not None:
            if name in found:
                raise refused(name, "it comes twice")
            found[name] = [_fields(one, inner_list, None) for one in child]
    return found


def _flat_item(node: Element, shape: Shape, layouts: Layouts) -> Members | None:
    """Return the fields of an item without elements in its texts; None if it must be looked at more closely."""
    said = {child.tag: child.text for child in node}
    tags = tuple(said)
    layout = layouts.get(tags)
    if layout is None:
        names = tuple(map(_local, tags))
        plain = len(set(names)) == len(names) and shape.single.keys() >= set(names)
        read_by = tuple((name, shape.single[name]) for name in names if plain and shape.single[name] is not text)
        layout = layouts[tags] = Layout(names, read_by, plain)
    values = said.values()
    if not layout.plain or len(said) != len(node) or None in values:
        return None
    found: Members = dict(zip(layout.names, values, strict=True))
    for name, how in layout.read_by:
        found[name] = _value(name, found[name], how)
    return found


def _read_texts(name: str, said: list[str], how: Callable[[str], Any]) -> list[Any]:
    if how is text:
        return said
    values = {one: _value(name, one, how) for one in set(said)}  # few: objects that were stored together share times
    return [values[one] for one in said]


def _value(name: str, said: str | None, how: Callable[[str], Any]) -> Any:
    try:
        return how(said or "")
    except (ValueError, OverflowError) as error:
        raise refused(name, said or "") from error


@functools.lru_cache(maxsize=256)
def _local(tag: str) -> str:
    """Return the name of an element without its namespace."""
    return tag.rpartition("}")[2]


def error_in(document: bytes) -> tuple[str, str]:
    """Return (code, message) of an error document; both are empty for another one."""
    try:
        found = read(document, _ERROR)
    except (Unreadable, UnexpectedReply):
        return "", ""
    told = found.members if found.root == "Error" else found.members.get("Error", [{}])[0]
    return told.get("Code", ""), told.get("Message", "")


def text(said: str) -> str:
    """Return a text as it is."""
    return said


def integer(said: str) -> int:
    """Return a whole number.

    Raises:
        ValueError: it is none.
    """
    if not _INTEGER.fullmatch(said):
        raise ValueError("no whole number")
    return int(said)


def boolean(said: str) -> bool:
    """Return a truth value.

    Raises:
        ValueError: it is none.
    """
    found = _BOOLEANS.get(said.lower())
    if found is None:
        raise ValueError("no truth value")
    return found


def texts(names: Iterable[str]) -> dict[str, Callable[[str], str]]:
    """Return fields that all are texts."""
    return dict.fromkeys(names, text)


def refused(name: str, value: str) -> UnexpectedReply:
    """Return the error for a value that a field cannot have."""
    return UnexpectedReply("the reply tells a value that can be none", cause=f"{name}: {value[:80]!r}")


_TOLD = Shape(texts(("Code", "Message")))
_ERROR = Shape(_TOLD.single, {"Error": ("Error", _TOLD)})
"""An error document; some services wrap it."""


__all__ = [
    "MAX_DOCUMENT_BYTES",
    "Columns",
    "Document",
    "Members",
    "Shape",
    "Unreadable",
    "boolean",
    "error_in",
    "instant",
    "integer",
    "read",
    "refused",
    "text",
    "texts",
]
