"""Counts report rows one by one, as fast as they come."""

from __future__ import annotations

from collections import Counter

from bulkhaul.jobs.folder.description import Counts
from bulkhaul.model.rows import Action, ReportRow, Status


class Tally:
    """How rows ended so far.

    Attributes:
        began, ended: when the first one ended and the last one, in seconds since the epoch; 0 before there is any.
    """

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        self._rows = dict.fromkeys(Status, 0)
        self._verdicts = Counter[str]()
        self._size_bytes = 0

    def add(self, row: ReportRow) -> int:
        """Count a row, and return how many bytes it has moved."""
        self._rows[row.status] += 1
        if row.verdict is not None:
            self._verdicts[row.verdict] += 1
        self.began = min(self.began or row.ended, row.ended)
        self.ended = max(self.ended, row.ended)
        if row.status is not Status.SUCCEEDED or row.action in (Action.DELETE, Action.RESTORE, Action.VERIFY):
            return 0
        moved_bytes = row.size or 0
        self._size_bytes += moved_bytes
        return moved_bytes

    @property
    def counts(self) -> Counts:
        """The sums."""
        return Counts(
            succeeded=self._rows[Status.SUCCEEDED],
            failed=self._rows[Status.FAILED],
            skipped=self._rows[Status.SKIPPED],
            size_bytes=self._size_bytes,
            verdicts={str(verdict): count for verdict, count in self._verdicts.items()},
        )
