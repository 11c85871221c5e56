"""Reads a page of a report as a browser would: its elements in order, its words, and what it could load or run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = frozenset({"meta"})
TAGS = re.compile(
    "html|head|meta|title|style|body|main|header|nav|footer|a|h[123]|p|section|dl|div|dt|dd|small|figure|figcaption"
    "|span|code|ul|li|table|caption|thead|tbody|tr|th|td|svg|g|path|text|use|defs|clippath|rect"
)
ATTRIBUTES = re.compile(
    "lang|charset|http-equiv|content|name|class|dir|href|id|role|tabindex|scope|aria-label|aria-labelledby|aria-hidden"
    "|focusable|viewbox|clip-path|d|x|y|width|height|transform|text-anchor|font-size|fill(-opacity)?|opacity"
    "|stroke(-width|-dasharray|-dashoffset|-linecap|-linejoin|-opacity)?"
)
LOADING = re.compile(r"url\((?!#)|@import|@font-face|javascript:|data:|expression\(", re.IGNORECASE)


class Page(HTMLParser):
    """A page, taken apart: every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data

    @property
    def text(self) -> str:
        """Return all words of the page, spaces alike."""
        return " ".join(self.texts["body"][0].split())

    def values(self, name: str) -> list[str]:
        """Return the values of an attribute, wherever it stands."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def check_harmless(told: Page) -> None:
    """Make sure that a page has no element or attribute but ours, and nothing that loads or runs."""
    for tag, attributes in told.elements:
        assert TAGS.fullmatch(tag), tag
        for name, value in attributes.items():
            assert ATTRIBUTES.fullmatch(name), name
            if name in ("href", "clip-path", "fill", "stroke"):
                assert not LOADING.search(value)
    assert all(link.startswith("#") for link in told.values("href"))
    assert not LOADING.search(told.texts["style"][0])
    shown = told.texts["body"][0] + "".join(value for _, attributes in told.elements for value in attributes.values())
    assert all(character.isprintable() or character in "\n\xa0" for character in shown)
