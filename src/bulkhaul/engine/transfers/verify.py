"""Compares what arrived with what the service promised; it must not fetch, and decides only "these parts again".

foldable checksum     part CRCs of the table ─fold▶ object's (or each uploaded part's) ─compare▶ stored value
other checksums, MD5  read the file back, compare
"""

from __future__ import annotations

import base64

import msgspec

from bulkhaul.disk.landing import Landing
from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.readback import read_back
from bulkhaul.model.errors import IntegrityError
from bulkhaul.model.objects import ChecksumKind
from bulkhaul.policy.layout import Layout, parts_within
from bulkhaul.policy.parttable import PartTable
from bulkhaul.policy.verification import CheckPlan
from bulkhaul.wire.checksums import composite, encoded_crc, fold, hasher


class Verdict(msgspec.Struct, frozen=True):
    """The outcome of a check: nothing wrong, or these parts (indices) do not have the checksum that they should.

    Attributes:
        unproven: nothing is known to be wrong, but the checksum, of which nobody says what it covers, proves nothing.
    """

    wrong_parts: tuple[int, ...] = ()
    error: IntegrityError | None = None
    unproven: bool = False


def reads_back(checks: CheckPlan, *, hot: bool) -> bool:
    """Whether the check reads the file, and so should not run on the event loop."""
    return bool(checks.md5_hex) or (checks.stored is not None and not (hot and checks.folded))


def verify(checks: CheckPlan, layout: Layout, table: PartTable, landing: Landing, *, hot: bool) -> Verdict:
    """Check an object whose parts have all arrived.

    Args:
        hot: the table holds the parts' checksums in ``checks.folded``, and its parts end where the segments do.

    Raises:
        IntegrityError: it is not the object that the service stores, and nobody can tell which part is wrong.
        LocalError: the file could not be read back.
    """
    if checks.stored is not None:
        segments = _segments(checks, layout)
        if hot and checks.folded:
            values = [_folded(checks.folded, layout, table, start, end) for start, end in segments]
        else:
            values = [_digest(checks.stored.algorithm, landing, start, end) for start, end in segments]
        if checks.stored.kind is ChecksumKind.UNKNOWN and len(segments) > 1:
            start, end = 0, layout.size_bytes
            if hot and checks.folded:
                whole = _folded(checks.folded, layout, table, start, end)
            else:
                whole = _digest(checks.stored.algorithm, landing, start, end)
        else:
            whole = values[0]
        verdict = _compare(checks, layout, segments, values, whole)
        if verdict.wrong_parts or verdict.unproven:
            return verdict
    if checks.md5_hex:
        actual = base64.b64decode(_digest("MD5", landing, 0, layout.size_bytes)).hex()
        if actual != checks.md5_hex:
            raise _mismatch("MD5 (from the ETag)", checks.md5_hex, actual)
    return Verdict()


def _segments(checks: CheckPlan, layout: Layout) -> list[tuple[int, int]]:
    starts = checks.boundaries or (0,)
    return list(zip(starts, (*starts[1:], layout.size_bytes), strict=True))


def _folded(algorithm: str, layout: Layout, table: PartTable, start: int, end: int) -> str:
    parts = parts_within(layout, start, end) if end > start else range(0)
    crcs = table["crc"]
    return encoded_crc(algorithm, fold(algorithm, ((int(crcs[i]), layout[i].size_bytes) for i in parts)))


def _digest(algorithm: str, landing: Landing, start: int, end: int) -> str:
    running = hasher(algorithm)
    try:
        read_back(landing.fd, start, end, [running])
    except OSError as error:
        raise local_error(error, landing.path) from error
    return base64.b64encode(running.digest()).decode()


def _compare(
    checks: CheckPlan, layout: Layout, segments: list[tuple[int, int]], values: list[str], whole: str
) -> Verdict:
    assert checks.stored is not None
    algorithm, expected, kind = checks.stored.algorithm, checks.stored.value, checks.stored.kind
    if kind is not ChecksumKind.COMPOSITE and whole == expected:
        return Verdict()
    if kind is ChecksumKind.FULL_OBJECT:
        raise _mismatch(algorithm, expected, whole)
    wrong = [i for i, (value, part) in enumerate(zip(values, checks.part_values, strict=False)) if value != part]
    if wrong:
        first = wrong[0]
        error = _mismatch(f"{algorithm} of uploaded part {first + 1}", checks.part_values[first], values[first])
        return Verdict(tuple(i for segment in wrong for i in parts_within(layout, *segments[segment])), error)
    actual = composite(algorithm, values)
    if actual.rpartition("-")[0] != (expected.rpartition("-")[0] or expected):
        if kind is ChecksumKind.UNKNOWN:
            return Verdict(unproven=True)
        raise _mismatch(f"composite {algorithm}", expected, actual)
    return Verdict()


def _mismatch(what: str, expected: str, actual: str) -> IntegrityError:
    return IntegrityError(
        f"{what} does not match: expected {expected}, actual {actual}; nothing was published,"
        " try again, and if it stays so the stored object itself is damaged"
    )
