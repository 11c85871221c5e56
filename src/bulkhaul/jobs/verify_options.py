"""Defines how two places are compared, and what was seen; apart, so that commands need not wait for the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from bulkhaul.model.verdicts import Evidence, PairResult, Verdict


class VerifyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How two places are compared.

    Attributes:
        compare: ``size``, ``etag`` or ``checksum``, and with commas ``metadata`` and ``tags``, of objects only.
        read: read both sides through where nothing cheaper decides.
        read_all: read both sides through, whatever else is known.
        part_size_bytes: of uploads in parts; the first that is tried on their ETags.
        include, exclude: patterns for the names below both places.
        certificate: the file that is written if all are equal, empty for none.
    """

    compare: str = "checksum"
    read: bool = False
    read_all: bool = False
    part_size_bytes: int | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    certificate: str = ""


class VerifyCounts(msgspec.Struct):
    """What a comparison has seen so far.

    Attributes:
        verdicts: how many names have come out in which way.
        evidence: what the verdicts rest on.
        read_bytes: that were read of both sides.
        root: of the certificate that was written, or that was checked; empty for none.
    """

    verdicts: Counter[Verdict] = msgspec.field(default_factory=Counter)
    evidence: Counter[Evidence] = msgspec.field(default_factory=Counter)
    read_bytes: int = 0
    root: str = ""

    def add(self, result: PairResult) -> None:
        """Count one name."""
        self.verdicts[result.verdict] += 1
        if result.evidence is not None:
            self.evidence[result.evidence] += 1
        self.read_bytes += result.read_bytes

    @property
    def compared(self) -> int:
        """All names that were told of."""
        return self.verdicts.total()

    @property
    def all_equal(self) -> bool:
        """Whether every name is equal."""
        return self.verdicts[Verdict.EQUAL] == self.compared
