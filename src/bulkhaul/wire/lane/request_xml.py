"""Writes the XML documents of requests, and the checksum that goes along with one."""

from __future__ import annotations

import base64
import hashlib

from bulkhaul.policy.endpoints import aws_domain
from bulkhaul.wire.checksums import encoded_crc, updater
from bulkhaul.wire.values import Target

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


def protection(target: Target, body: bytes) -> list[tuple[str, str]]:
    """Return the checksum that must go along: an MD5, as the S3 API once required, and older stores still do."""
    if aws_domain(target.host) is None:
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        return [("content-md5", base64.b64encode(digest).decode())]
    return [("x-amz-checksum-crc32", encoded_crc("CRC32", updater("CRC32")(body, 0)))]


__all__ = ["XMLNS", "Written", "element", "protection"]
