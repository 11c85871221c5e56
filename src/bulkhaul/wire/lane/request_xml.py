"""Writes the XML documents of requests."""

from __future__ import annotations

XMLNS = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;", "\n": "&#xA;"})
"""Line ends too: a parser would replace some of them. Source: XML 1.0 §2.11."""


class Written(str):
    """XML that is written already."""

    __slots__ = ()


def element(name: str, *content: str, attributes: str = "") -> Written:
    """Return an element; what is not yet ``Written`` is text, and gets escaped.

    >>> element("Object", element("Key", "a&b"))
    '<Object><Key>a&amp;b</Key></Object>'
    """
    inner = "".join(one if isinstance(one, Written) else one.translate(_ESCAPED) for one in content)
    return Written(f"<{name}{attributes}>{inner}</{name}>")


__all__ = ["XMLNS", "Written", "element"]
