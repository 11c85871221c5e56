"""Tells how far a comparison is: names found, names decided, and the bytes that are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from bulkhaul.jobs.verify_digests import Digests
from bulkhaul.model.results import Progress


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
        self._read_bytes = 0  # by readings that have ended
        self._reading: dict[int, tuple[Sequence[Digests], int]] = {}
        self._begun = 0

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
        self._reading[number] = running, size_bytes
        try:
            yield
        finally:
            del self._reading[number]
            self._read_bytes += sum(one.size_bytes for one in running)

    def progress(self) -> Progress:
        """Return it as displays take it.

        How many bytes will be read is told as soon as that is certain: when every name that is left is being read.
        """
        under_way, decided = list(self._reading.values()), self.equal + self.unequal
        read_bytes = self._read_bytes + sum(one.size_bytes for running, _ in under_way for one in running)
        certain = self.all_found and 0 < self.found - decided == len(under_way)
        return Progress(
            planned_objects=self.found,
            verified_objects=self.equal,
            failed_objects=self.unequal,
            planned_bytes=self._read_bytes + sum(size_bytes for _, size_bytes in under_way) if certain else 0,
            received_bytes=read_bytes,
            planning_done=self.all_found,
        )
