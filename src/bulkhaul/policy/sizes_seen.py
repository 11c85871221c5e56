"""Sums up the sizes of objects that exist, so that a benchmark can draw others that are distributed alike."""

from __future__ import annotations

from collections import Counter

from bulkhaul.policy.object_sizes import MOST_BYTES

STEPS = 4
"""Classes of sizes an octave; each is drawn by its mean, so the mean of all sizes stays what it is."""


class SizesSeen:
    """A histogram of sizes.

    Attributes:
        count: objects.
        cut: those that are too large for a benchmark.
    """

    def __init__(self) -> None:
        self.count = self.cut = 0
        self._counts: Counter[int] = Counter()
        self._sums: Counter[int] = Counter()

    def add(self, size_bytes: int) -> None:
        """Count an object; one that is too large for a benchmark counts as the largest that is not."""
        place = _class(size_bytes)
        self.count += 1
        self.cut += size_bytes > MOST_BYTES
        self._counts[place] += 1
        self._sums[place] += min(size_bytes, MOST_BYTES)

    def text(self) -> str:
        """Return the sizes as a workload names them; empty if none was seen.

        >>> seen = SizesSeen()
        >>> for size_bytes in (1000, 1100, 5 << 20):
        ...     seen.add(size_bytes)
        >>> seen.text()
        'weights:1000=1,1100=1,5242880=1'
        """
        parts = [f"{round(self._sums[place] / count)}={count}" for place, count in sorted(self._counts.items())]
        return f"weights:{','.join(parts)}" if parts else ""


def _class(size_bytes: int) -> int:
    """Return the class of a size: 0 for nothing, then ``STEPS`` an octave."""
    if not size_bytes:
        return 0
    octave = size_bytes.bit_length() - 1
    return 1 + octave * STEPS + ((size_bytes - (1 << octave)) * STEPS >> octave)
