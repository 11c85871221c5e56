"""Decides which checksums are checked before an object is published, and what the comparison proves.

full object   one segment:  [0, size) against the stored value
composite     one segment a part of the upload, then checksum-of-checksums against value "…-N"
unknown       both; where the stored value is neither, nothing is proven and nothing refuted

Checksums are computed elsewhere: the caller says which algorithms it can compute.
"""

from __future__ import annotations

import re
from enum import Enum, auto

import msgspec
from msgspec.structs import replace

from bulkhaul.model.objects import Checksum, ChecksumKind, Integrity, ObjectHead, PartChecksum, Verify

FOLDABLE = frozenset({"CRC32", "CRC32C", "CRC64NVME"})
"""Checksums that can be combined from those of adjacent ranges; workers compute these while the bytes are hot."""

_PLAIN_MD5 = re.compile(r'"([0-9a-f]{32})"')


class CheckPlan(msgspec.Struct, frozen=True):
    """What to check, and what success then means.

    Attributes:
        stored: the service's checksum to compare with, None if there is none that can be checked.
        boundaries: for a composite checksum, where each uploaded part begins; the layout must cut there.
        part_values: base64 checksum of each uploaded part, where the service tells them; may be empty.
        md5_hex: MD5 that a plain ETag promises, where it is to be checked as well; else empty.
        integrity: the level that a success with this plan reaches.
    """

    stored: Checksum | None = None
    boundaries: tuple[int, ...] = ()
    part_values: tuple[str, ...] = ()
    md5_hex: str = ""
    integrity: Integrity = Integrity.LENGTH

    @property
    def folded(self) -> str:
        """Algorithm that workers compute part by part, empty if none."""
        return self.stored.algorithm if self.stored and self.stored.algorithm in FOLDABLE else ""


def needs_parts(head: ObjectHead, verify: Verify, *, computable: frozenset[str]) -> bool:
    """Return whether the object's own part sizes must be asked for before it can be checked."""
    stored = head.checksum
    return (
        verify is not Verify.NONE
        and stored is not None
        and stored.kind is not ChecksumKind.FULL_OBJECT
        and stored.algorithm in computable
    )


def plan_checks(
    head: ObjectHead, verify: Verify, *, computable: frozenset[str], parts: tuple[PartChecksum, ...] = ()
) -> CheckPlan:
    """Return what to check of an object.

    Args:
        computable: algorithms that can be computed here.
        parts: the object's own parts in order, where they are known; a composite checksum needs them, and is left
            unchecked (integrity falls to ``etag``) if they do not add up to the object's size.
    """
    weakest = without_checksum(head)
    if verify is Verify.NONE:
        return CheckPlan(integrity=weakest)
    # Source: S3 API, Object.ETag: an MD5 only for objects stored in the clear or with SSE-S3, in one part.
    is_md5 = verify is Verify.FULL and head.encryption in ("", "AES256")
    md5_hex = plain_md5(head.etag) if is_md5 else ""
    stored = head.checksum if head.checksum and head.checksum.algorithm in computable else None
    boundaries: tuple[int, ...] = ()
    values: tuple[str, ...] = ()
    if stored and stored.kind is not ChecksumKind.FULL_OBJECT:
        # An empty part has a checksum but no bytes to cut at; such an object is rare, and checked by its ETag only.
        whole = sum(part.size_bytes for part in parts) == head.size
        if parts and whole and all(part.size_bytes for part in parts):
            boundaries = _boundaries(parts)
            values = tuple(part.value for part in parts) if all(part.value for part in parts) else ()
        elif stored.kind is ChecksumKind.COMPOSITE:
            stored = None
    integrity = Integrity.CHECKSUM if stored or md5_hex else weakest
    return CheckPlan(stored, boundaries, values, md5_hex, integrity)


def integrity_of_small(
    head: ObjectHead, verify: Verify, promised: Checksum | None, computed: str, *, computable: frozenset[str]
) -> Integrity | None:
    """Return what the success of an object rests on that came whole in one reply; None if this does not suffice.

    Args:
        promised: the stored checksum, as the reply told it.
        computed: the same of all bytes that came, empty if it was not computed.
    """
    checks = plan_checks(head if promised is None else replace(head, checksum=promised), verify, computable=computable)
    if checks.md5_hex:
        return None
    if checks.stored is None:
        # Composite without its parts: they have to be asked for.
        skipped = verify is not Verify.NONE and promised is not None and promised.algorithm in computable
        return None if skipped else checks.integrity
    full = checks.stored.kind is ChecksumKind.FULL_OBJECT
    return checks.integrity if full and computed == checks.stored.value else None


class Proof(Enum):
    """What a comparison with the stored checksum shows: it is the same, it is another one, or nothing."""

    PROVEN = auto()
    REFUTED = auto()
    UNPROVEN = auto()


def compare(stored: Checksum, *, whole: str, composite: str, parts_match: bool = True) -> Proof:
    """Compare what was computed of an object's bytes with the stored checksum.

    Args:
        whole: the checksum of all bytes.
        composite: the checksum of the checksums of its uploaded parts; a full object's needs none.
        parts_match: every uploaded part has the checksum that the service tells of it.
    """
    if stored.kind is not ChecksumKind.COMPOSITE and whole == stored.value:
        return Proof.PROVEN
    if stored.kind is ChecksumKind.FULL_OBJECT or not parts_match:
        return Proof.REFUTED
    # Some stores leave the number of parts out of a composite value.
    if composite.partition("-")[0] == stored.value.partition("-")[0]:
        return Proof.PROVEN
    return Proof.UNPROVEN if stored.kind is ChecksumKind.UNKNOWN else Proof.REFUTED


def without_checksum(head: ObjectHead) -> Integrity:
    """Return the level that a success without a checksum reaches."""
    return Integrity.ETAG if head.etag else Integrity.LENGTH


def plain_md5(etag: str) -> str:
    """Return the MD5 in hex that an ETag may be, empty if it has another shape.

    >>> plain_md5('"d41d8cd98f00b204e9800998ecf8427e"'), plain_md5('"d41d8cd98f00b204e9800998ecf8427e-2"')
    ('d41d8cd98f00b204e9800998ecf8427e', '')
    """
    found = _PLAIN_MD5.fullmatch(etag)
    return found.group(1) if found else ""


def uniform_parts(size_bytes: int, first_part_bytes: int, count: int) -> tuple[PartChecksum, ...]:
    """Return ``count`` parts of ``first_part_bytes`` with a shorter last one, or nothing if that does not fit.

    >>> [p.size_bytes for p in uniform_parts(25, 10, 3)], uniform_parts(25, 10, 2)
    ([10, 10, 5], ())
    """
    if first_part_bytes <= 0 or count <= 0 or -(-size_bytes // first_part_bytes) != count:
        return ()
    last = size_bytes - first_part_bytes * (count - 1)
    return (*(PartChecksum(first_part_bytes) for _ in range(count - 1)), PartChecksum(last))


def _boundaries(parts: tuple[PartChecksum, ...]) -> tuple[int, ...]:
    starts, at = [], 0
    for part in parts:
        if part.size_bytes:
            starts.append(at)
        at += part.size_bytes
    return tuple(starts)
