"""Tells how far a comparison is: names found, names decided, and the bytes that are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bulkhaul.jobs.verify_digests import Digests
from bulkhaul.model.results import Progress


class _Read(NamedTuple):
    """What is read, as one value: another thread sees each name under way, or ended, and never both or neither.

    Attributes:
        ended_bytes: by readings that have ended.
        under_way: for each reading what its bytes pass through, and how many these will be.
    """

    ended_bytes: int
    under_way: Mapping[int, tuple[Sequence[Digests], int]]


class VerifyProgress:
    """How far a comparison is; other threads may ask while it goes on.

    Attributes:
        found: names that the listings have told of so far.
        all_found: the listings have ended.
        equal, unequal: names that are decided. Their results may still wait for that of an earlier name.
    """

    def __init__(self) -> None:
        self.found = 0
        self.all_found = False
        self.equal = 0
        self.unequal = 0
        self._read = _Read(0, {})
        self._begun = 0
        self._certain = False

    def decided(self, *, equal: bool) -> None:
        """Count a name."""
        self.equal += equal
        self.unequal += not equal

    @contextlib.contextmanager
    def reading(self, running: Sequence[Digests], size_bytes: int) -> Iterator[None]:
        """Count what is read of one name meanwhile.

        Args:
            running: what the bytes pass through, for each side that is read.
            size_bytes: of these sides together.
        """
        self._begun += 1
        number = self._begun
        self._read = _Read(self._read.ended_bytes, {**self._read.under_way, number: (running, size_bytes)})
        try:
            yield
        finally:
            under_way = {other: one for other, one in self._read.under_way.items() if other != number}
            read_bytes = sum(one.size_bytes for one in running)
            self._read = _Read(self._read.ended_bytes + read_bytes, under_way)

    def progress(self) -> Progress:
        """Return it as displays take it.

        How many bytes will be read is told as soon as that is certain, and from then on: when every name that is left
        is being read.
        """
        all_found, decided, read = self.all_found, self.equal + self.unequal, self._read  # in this order
        under_way = read.under_way.values()
        self._certain = self._certain or (all_found and self.found - decided == len(under_way))
        received = read.ended_bytes + sum(one.size_bytes for running, _ in under_way for one in running)
        planned = read.ended_bytes + sum(size_bytes for _, size_bytes in under_way)
        return Progress(
            planned_objects=self.found,
            verified_objects=self.equal,
            failed_objects=self.unequal,
            planned_bytes=planned if self._certain else 0,
            received_bytes=received,
            planning_done=all_found,
        )
