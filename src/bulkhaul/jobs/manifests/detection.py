"""Tells the format of a manifest from its first bytes, not from its name."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from bulkhaul.model.errors import ManifestError
from bulkhaul.model.limits import KIB

HEAD_BYTES = 64 * KIB
"""What the format is told from: far more than the first row of any."""

GZIP = b"\x1f\x8b"
"""Source: RFC 1952, section 2.3.1."""


class Format(StrEnum):
    """The formats of manifests; any of them but Parquet and ORC may be compressed by gzip.

    ``inventory`` is the manifest.json of an S3 Inventory, ``csv`` what S3 Batch Operations takes, ``report`` is ours.
    """

    JSONL = "jsonl"
    REPORT = "report"
    CSV = "csv"
    INVENTORY = "inventory"
    PARQUET = "parquet"
    ORC = "orc"


def detect(head: bytes, name: str) -> Format:
    """Return the format of what begins with ``head``, decompressed.

    Raises:
        ManifestError: it is empty, or begins as none of them does.

    >>> detect(b'bucket-1,a%20key', "m").value, detect(b'{"bucket":"b","key":"k"}', "m").value
    ('csv', 'jsonl')
    """
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    if head.startswith(b"ORC"):
        return Format.ORC
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise ManifestError("it is empty", name)
    if text.startswith(b"{"):
        return _detect_json(text)
    first = text.partition(b"\n")[0]
    if b"," not in first or b"\0" in head:
        raise ManifestError("this begins as no manifest does (JSON Lines, CSV, manifest.json, Parquet, ORC)", name)
    return Format.CSV


def _detect_json(text: bytes) -> Format:
    try:
        fields = msgspec.json.decode(text.partition(b"\n")[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # written over several lines, or a bad row
        return Format.INVENTORY if b'"fileSchema"' in text or b'"sourceBucket"' in text else Format.JSONL
    if "fileSchema" in fields or "sourceBucket" in fields:
        return Format.INVENTORY
    return Format.REPORT if "status" in fields else Format.JSONL
