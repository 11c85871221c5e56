"""Computes the checksum that a service wants along with the XML document of a request."""

from __future__ import annotations

import base64
import hashlib

from bulkhaul.policy.endpoints import aws_domain
from bulkhaul.wire.checksums import encoded_crc, updater
from bulkhaul.wire.values import Target


def protection(target: Target, body: bytes) -> list[tuple[str, str]]:
    """Return the checksum that must go along: an MD5, as the S3 API once required, and older stores still do."""
    if aws_domain(target.host) is None:
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        return [("content-md5", base64.b64encode(digest).decode())]
    return [("x-amz-checksum-crc32", encoded_crc("CRC32", updater("CRC32")(body, 0)))]
