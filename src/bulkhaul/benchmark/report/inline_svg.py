"""Makes an SVG of matplotlib a part of a page: its colours become the page's, its ids its own, its styles attributes.

A page that forbids styles but its one style sheet shows it all the same, and nothing of it names another document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

_LINK = "{http://www.w3.org/1999/xlink}href"
_KEPT = frozenset(
    {
        "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap",
        "stroke-linejoin", "stroke-opacity", "opacity", "text-anchor", "font-size",
    }
)  # fmt: skip
"""What styles may say; letters are the page's."""

_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inlined(text: str, name: str, colours: Mapping[str, str]) -> str:
    """Return the element.

    Args:
        text: an SVG document that matplotlib wrote.
        name: what its ids begin with, unique within the page.
        colours: colour there → colour here.
    """
    root = ElementTree.fromstring(text)  # noqa: S314 - it was written by this process
    parents = {child: parent for parent in root.iter() for child in parent}
    for element, parent in list(parents.items()):
        if _bare(element.tag) in ("metadata", "style"):
            parent.remove(element)
    named = _named(root)
    for element in root.iter():
        element.tag = _bare(element.tag)
        _restyle(element, colours)
        _rename(element, name, named)
    root.attrib = {"viewBox": root.attrib["viewBox"], "aria-hidden": "true", "focusable": "false"}
    return ElementTree.tostring(root, encoding="unicode").replace("\n", "")


def _bare(tag: str) -> str:
    return tag.rpartition("}")[2]


def _named(root: ElementTree.Element) -> set[str]:
    """Return the ids that something within refers to."""
    found = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == _LINK:
                found.add(value.removeprefix("#"))
            found.update(_REFERENCE.findall(value))
    return found


def _restyle(element: ElementTree.Element, colours: Mapping[str, str]) -> None:
    """Make of each declaration of a style an attribute, and round what is finer than anybody sees."""
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = declaration.partition(":")
        if key.strip() in _KEPT:
            element.attrib[key.strip()] = value.strip().removesuffix("px")
    for key, value in element.attrib.items():
        if key in ("fill", "stroke"):
            element.attrib[key] = colours.get(value, value)
        elif key in ("d", "x", "y", "width", "height", "transform"):
            element.attrib[key] = _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value).strip()


def _rename(element: ElementTree.Element, name: str, named: set[str]) -> None:
    """Let its id begin with the figure's name if anything refers to it, else take it away."""
    own = element.attrib.pop("id", "")
    if own in named:
        element.attrib["id"] = f"{name}-{own}"
    link = element.attrib.pop(_LINK, "")
    if link:
        element.attrib["href"] = f"#{name}-{link.removeprefix('#')}"
    for key, value in element.attrib.items():
        element.attrib[key] = _REFERENCE.sub(lambda found: f"url(#{name}-{found[1]})", value)
