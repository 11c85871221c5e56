"""Defines the verdict of a check whether two sides have the same, and what it rests on."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from bulkhaul.model.objects import Checksum


class Verdict(StrEnum):
    """How a pair came out. ``undecidable``: nothing that was looked at proves it the same, or not the same."""

    EQUAL = "equal"
    DIFFERENT = "different"
    MISSING = "missing"
    UNDECIDABLE = "undecidable"


class Evidence(StrEnum):
    """What a verdict rests on.

    ``bytes``: both sides were read, and have the same SHA-256 or not.
    ``stored-checksum``: the checksums of all bytes that the services store, of one algorithm.
    ``folded-checksum``: likewise, but one of them was computed from the stored checksums of the parts.
    ``composite-checksum``: the checksum of the parts' checksums.
    ``computed-checksum``: a side was read, and its checksum compared with the stored one of the other.
    ``multipart-etag``: a side was read, and the ETag of its parts' MD5s computed.
    ``md5``: the MD5 of all bytes, as a plain ETag tells it.
    ``etag``: both have the same ETag of an upload in parts; its service may make it of anything.
    ``size``: sizes only; they prove that two sides differ, or that both are empty.
    ``metadata``, ``tags``: the bytes are the same, and these are not.
    """

    BYTES = "bytes"
    STORED_CHECKSUM = "stored-checksum"
    FOLDED_CHECKSUM = "folded-checksum"
    COMPOSITE_CHECKSUM = "composite-checksum"
    COMPUTED_CHECKSUM = "computed-checksum"
    MULTIPART_ETAG = "multipart-etag"
    MD5 = "md5"
    ETAG = "etag"
    SIZE = "size"
    METADATA = "metadata"
    TAGS = "tags"


class SideFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one side told, and what was computed of it.

    Attributes:
        etag, encryption, last_modified, version_id, checksum: of an object, as its service tells them.
        digests: of all its bytes, base64 by algorithm, where they were read.
    """

    etag: str = ""
    encryption: str = ""
    last_modified: str = ""
    version_id: str = ""
    checksum: Checksum | None = None
    digests: dict[str, str] = {}


class PairResult(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one name.

    Attributes:
        name: below both places; empty where each is one object or file.
        one, other: URL or path of each side.
        evidence: None where nothing was compared.
        reason: why it is not equal, and where it is undecidable, what would decide it.
        missing: the URL or path that is not there, empty if both are.
        size: in bytes, of the side that is there.
        read_bytes: that were read of both sides together.
        facts: of each side; None of one that was not looked at.
    """

    name: str
    one: str
    other: str
    verdict: Verdict
    evidence: Evidence | None = None
    reason: str = ""
    missing: str = ""
    size: int = 0
    read_bytes: int = 0
    seconds: float = 0.0
    facts: tuple[SideFacts | None, SideFacts | None] = (None, None)
