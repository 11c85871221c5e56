"""Replies as trees, random changes to them, and a strict reader of what comes out; it must not know operations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from xml.parsers import expat
from xml.sax.saxutils import escape

from hypothesis import strategies as st


class NoTruthError(Exception):
    """The reply says nothing that could be believed."""


@dataclass(frozen=True)
class Element:
    """An element: with children, or with text."""

    name: str
    text: str = ""
    children: tuple[Element, ...] = ()

    def __str__(self) -> str:
        inner = "".join(map(str, self.children)) or self.text
        return f"<{self.name}>{inner}</{self.name}>"

    def all(self, name: str) -> list[Element]:
        """Return the children of that name."""
        return [child for child in self.children if child.name == name]

    def only(self, name: str) -> Element | None:
        """Return the child of that name, if there is one; more than one is no truth."""
        found = self.all(name)
        if len(found) > 1:
            raise NoTruthError
        return found[0] if found else None

    def leaf(self, name: str) -> str | None:
        """Return the text of the child of that name, None if there is none."""
        found = self.only(name)
        if found is not None and found.children:
            raise NoTruthError
        return None if found is None else found.text


@dataclass(frozen=True)
class Reply:
    """Headers and a document, if there is one; ``cut`` is where the document breaks off, -1 for nowhere."""

    document: Element | None = None
    headers: tuple[tuple[str, str], ...] = ()
    cut: int = -1
    status: int = 200

    @property
    def body(self) -> str:
        """The document as it is sent."""
        text = "" if self.document is None else f'<?xml version="1.0" encoding="UTF-8"?>\n{self.document}'
        return text if self.cut < 0 else text[: self.cut]

    def header(self, name: str) -> str | None:
        """Return a header; where it comes twice, both, as HTTP joins them."""
        found = [value for known, value in self.headers if known.lower() == name.lower()]
        return ", ".join(found) if found else None


def element(name: str, *children: Element | str | int) -> Element:
    """Return an element of children, or of one text."""
    if children and not isinstance(children[0], Element):
        return Element(name, escape(str(children[0])))
    return Element(name, children=tuple(child for child in children if isinstance(child, Element)))


NASTY = (
    "", "-1", "-5", "0", "1", "7", "+1", "1_0", "1.5", "1e3", "NaN", "inf", "Infinity", "9" * 19, "9" * 20, "9" * 400,
    "\u0663", "\u00b2", " 7 ", "7\n", "0x10", "true", "false", "TRUE", "yes", "null", "x" * 5000, "p/", "p/other",
    "q/foreign", "../p/x", "%ff", "%41", "a+b", "&#1;", "&bogus;", "\x01", "\x1b[2J", "\u202e", "\ufffd",
    '"e"', '""', '"a", "b"', '"torn', 'W/"e"', "yesterday", "2026-13-01T00:00:00Z", "0000-00-00T00:00:00Z",
    "2026-01-01T00:00:00.000Z", "another-bucket", "COMPOSITE", "url", "<b/>", "AAAAAA==", "AAAAAA==-2", "-", "-2",
)  # fmt: skip
"""Texts that are nonsense somewhere."""

NAMES = ("Key", "Size", "ETag", "Error", "Contents", "IsTruncated", "Bogus", "KeyCount", "PartNumber")


def _paths(root: Element, at: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    for index, child in enumerate(root.children):
        yield (*at, index)
        yield from _paths(child, (*at, index))


def _changed(root: Element, path: tuple[int, ...], new: tuple[Element, ...]) -> Element:
    index, *rest = path
    child = root.children[index]
    middle = new if not rest else (_changed(child, tuple(rest), new),)
    return replace(root, children=(*root.children[:index], *middle, *root.children[index + 1 :]))


def _at(root: Element, path: tuple[int, ...]) -> Element:
    for index in path:
        root = root.children[index]
    return root


def every_change(good: Reply) -> Iterator[Reply]:
    """Yield every single change to a good reply: each field, each nonsense. Of equal siblings the first is changed."""
    for index, (name, value) in enumerate(good.headers):
        for pairs in _header_changes(name, value, NASTY):
            yield replace(good, headers=(*good.headers[:index], *pairs, *good.headers[index + 1 :]))
    if good.document is None:
        return
    seen = set[tuple[str, ...]]()
    for path in _paths(good.document):
        names = tuple(_at(good.document, path[:depth]).name for depth in range(1, len(path) + 1))
        if names in seen:
            continue
        seen.add(names)
        for new in _element_changes(_at(good.document, path), NASTY, NAMES):
            yield replace(good, document=_changed(good.document, path, new))
    for cut in range(0, len(good.body), 7):
        yield replace(good, cut=cut)


def _header_changes(name: str, value: str, nasty: Sequence[str]) -> Iterator[tuple[tuple[str, str], ...]]:
    for text in nasty:
        yield ((name, re.sub(r"[^\t\x20-\x7e\xa0-\xff]", "?", text).strip()),)
    yield ()
    yield ((name, value), (name, value))
    yield (("x-" + name, value),)


def _element_changes(old: Element, nasty: Sequence[str], names: Sequence[str]) -> Iterator[tuple[Element, ...]]:
    if not old.children:
        yield from ((Element(old.name, text),) for text in nasty)
    yield ()
    yield (old, old)
    yield from ((replace(old, name=name),) for name in names)
    yield (Element(old.name, children=(Element("Deep", old.text), *old.children)),)
    yield (Element(old.name, old.text + "<Deep/>", ()),)


@st.composite
def mutated(draw: st.DrawFn, good: Reply) -> Reply:
    """Return a good reply with one to three changes."""
    reply = good
    for _ in range(draw(st.integers(1, 3))):
        reply = draw(_once(reply))
    return reply


@st.composite
def _once(draw: st.DrawFn, reply: Reply) -> Reply:
    kinds = [kind for kind in ("header", "element", "cut") if (reply.headers if kind == "header" else reply.document)]
    kind = draw(st.sampled_from(kinds))
    nasty = draw(st.sampled_from(NASTY))
    if kind == "header":
        index = draw(st.integers(0, len(reply.headers) - 1))
        pairs = draw(st.sampled_from(list(_header_changes(*reply.headers[index], (nasty, nasty, nasty)))))
        return replace(reply, headers=(*reply.headers[:index], *pairs, *reply.headers[index + 1 :]))
    assert reply.document is not None
    if kind == "cut":
        return replace(reply, cut=draw(st.integers(0, len(reply.body))))
    paths = list(_paths(reply.document))
    if not paths:
        return reply
    path = draw(st.sampled_from(paths))
    name = draw(st.sampled_from(NAMES))
    new = draw(st.sampled_from(list(_element_changes(_at(reply.document, path), (nasty, nasty, nasty), (name,)))))
    return replace(reply, document=_changed(reply.document, path, new))


@dataclass
class _Open:
    name: str
    text: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)


def strictly_read(body: str) -> Element:
    """Return the tree of a document, of which the texts are resolved.

    Raises:
        NoTruthError: it is no XML, or no plain one.
    """
    stack = [_Open("")]

    def start(name: str, _: dict[str, str]) -> None:
        stack.append(_Open(name))

    def end(_: str) -> None:
        done = stack.pop()
        stack[-1].children.append(Element(done.name, "".join(done.text), tuple(done.children)))

    parser = expat.ParserCreate("UTF-8")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = lambda data: stack[-1].text.append(data)
    try:
        parser.Parse(body.encode(), True)
    except expat.ExpatError as error:
        raise NoTruthError from error
    return stack[0].children[0]
