"""Computes the checksums of what arrived and compares them with what the service promised.

foldable checksum     part CRCs of the table ─fold▶ object's (or each uploaded part's) ─compare▶ stored value
other checksums, MD5  read the file back, compare
streams               computed over the bytes as they pass, in order, and compared at the end
"""

from __future__ import annotations

import base64

import msgspec

from bulkhaul.disk.landing import Landing
from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.readback import read_back
from bulkhaul.model.errors import IntegrityError
from bulkhaul.model.objects import Checksum, ChecksumKind, ObjectRef
from bulkhaul.policy.layout import Layout, parts_within
from bulkhaul.policy.parttable import PartTable
from bulkhaul.policy.verification import CheckPlan, Proof, compare
from bulkhaul.wire.checksums import composite, encoded_crc, fold, hasher


class Verification(msgspec.Struct, frozen=True):
    """The outcome of a check: nothing wrong, or these parts (indices) do not have the checksum that they should.

    Attributes:
        unproven: the service does not say what its checksum covers, and nothing that it may cover has it.
    """

    wrong_parts: tuple[int, ...] = ()
    error: IntegrityError | None = None
    unproven: bool = False


def reads_back(checks: CheckPlan, *, hot: bool) -> bool:
    """Whether the check reads the file, and so should not run on the event loop."""
    return bool(checks.md5_hex) or (checks.stored is not None and not (hot and checks.folded))


def verify(checks: CheckPlan, layout: Layout, table: PartTable, landing: Landing, *, hot: bool) -> Verification:
    """Check an object whose parts have all arrived.

    Args:
        hot: the table holds the parts' checksums in ``checks.folded``, and its parts end where the segments do.

    Raises:
        IntegrityError: it is not the object that the service stores, and it cannot be told which part is wrong.
        LocalError: the file could not be read back.
    """
    if checks.stored is not None:
        algorithm, segments = checks.stored.algorithm, _segments(checks, layout)

        def checksum_of(start: int, end: int) -> str:
            if hot and checks.folded:
                return _folded(checks.folded, layout, table, start, end)
            return _digest(algorithm, landing, start, end)

        values = [checksum_of(start, end) for start, end in segments]
        also_whole = checks.stored.kind is ChecksumKind.UNKNOWN and len(segments) > 1
        whole = checksum_of(0, layout.size_bytes) if also_whole else values[0]
        verdict = _compared(checks, layout, segments, values, whole)
        if verdict.wrong_parts or verdict.unproven:
            return verdict
    if checks.md5_hex:
        actual = base64.b64decode(_digest("MD5", landing, 0, layout.size_bytes)).hex()
        if actual != checks.md5_hex:
            raise _mismatch("MD5 (from the ETag)", checks.md5_hex, actual)
    return Verification()


class InOrder:
    """Computes an object's checksums over its bytes as they pass, in order: a stream cannot be read back."""

    def __init__(self, checks: CheckPlan) -> None:
        self._stored = checks.stored
        self._cuts = [*checks.boundaries[1:], -1] if checks.boundaries else [-1]
        self._running = hasher(checks.stored.algorithm) if checks.stored is not None else None
        unknown = checks.stored is not None and checks.stored.kind is ChecksumKind.UNKNOWN
        self._whole = hasher(checks.stored.algorithm) if unknown and checks.stored is not None else None
        self._md5 = hasher("MD5") if checks.md5_hex else None
        self._md5_hex = checks.md5_hex
        self._values: list[str] = []
        self._at = 0

    def update(self, data: memoryview) -> None:
        """Take the next bytes, which do not reach beyond the next cut."""
        if self._md5 is not None:
            self._md5.update(data)
        if self._running is None or self._stored is None:
            return
        if self._at == self._cuts[0]:
            self._cut()
        self._running.update(data)
        if self._whole is not None:
            self._whole.update(data)
        self._at += len(data)

    def finish(self, ref: ObjectRef) -> bool:
        """Compare; returns False where the checksum proves nothing: the service does not say what it covers.

        Raises:
            IntegrityError: other bytes have passed than the service stores.
        """
        actual = ""
        if self._md5 is not None and (actual := self._md5.digest().hex()) != self._md5_hex:
            raise _not_written(ref, "the MD5", self._md5_hex, actual)
        if self._running is None or self._stored is None:
            return True
        whole = base64.b64encode((self._whole or self._running).digest()).decode()
        self._cut()
        actual = _composite(self._stored, self._values)
        proof = compare(self._stored, whole=whole, composite=actual)
        if proof is Proof.REFUTED:
            raise _not_written(ref, self._stored.algorithm, self._stored.value, actual or whole)
        return proof is Proof.PROVEN

    def _cut(self) -> None:
        assert self._running is not None
        assert self._stored is not None
        self._values.append(base64.b64encode(self._running.digest()).decode())
        self._running = hasher(self._stored.algorithm)
        self._cuts.pop(0)


def _segments(checks: CheckPlan, layout: Layout) -> list[tuple[int, int]]:
    starts = checks.boundaries or (0,)
    return list(zip(starts, (*starts[1:], layout.size_bytes), strict=True))


def _folded(algorithm: str, layout: Layout, table: PartTable, start: int, end: int) -> str:
    parts = parts_within(layout, start, end) if end > start else range(0)
    return encoded_crc(algorithm, fold(algorithm, ((int(table[i]["crc"]), layout[i].size_bytes) for i in parts)))


def _digest(algorithm: str, landing: Landing, start: int, end: int) -> str:
    running = hasher(algorithm)
    try:
        read_back(landing.fd, start, end, [running])
    except OSError as error:
        raise local_error(error, landing.path) from error
    return base64.b64encode(running.digest()).decode()


def _compared(
    checks: CheckPlan, layout: Layout, segments: list[tuple[int, int]], values: list[str], whole: str
) -> Verification:
    assert checks.stored is not None
    algorithm, expected = checks.stored.algorithm, checks.stored.value
    told = zip(values, checks.part_values, strict=False)
    wrong = [i for i, (value, part) in enumerate(told) if value != part]
    actual = _composite(checks.stored, values)
    match compare(checks.stored, whole=whole, composite=actual, parts_match=not wrong):
        case Proof.PROVEN:
            return Verification()
        case Proof.UNPROVEN:
            return Verification(unproven=True)
        case Proof.REFUTED if wrong:
            first = wrong[0]
            error = _mismatch(f"{algorithm} of uploaded part {first + 1}", checks.part_values[first], values[first])
            return Verification(tuple(i for segment in wrong for i in parts_within(layout, *segments[segment])), error)
        case Proof.REFUTED:
            raise _mismatch(f"composite {algorithm}" if actual else algorithm, expected, actual or whole)


def _composite(stored: Checksum, values: list[str]) -> str:
    """Return the checksum of checksums, empty where a full object is not compared with it."""
    return "" if stored.kind is ChecksumKind.FULL_OBJECT else composite(stored.algorithm, values)


def _mismatch(what: str, expected: str, actual: str) -> IntegrityError:
    return IntegrityError(
        f"{what} does not match: expected {expected}, actual {actual}; nothing was published,"
        " try again, and if it stays so the stored object itself is damaged"
    )


def _not_written(ref: ObjectRef, what: str, expected: str, actual: str) -> IntegrityError:
    text = f"{what} does not match: expected {expected}, actual {actual}; what was written is not the object"
    return IntegrityError(text, ref.url)
