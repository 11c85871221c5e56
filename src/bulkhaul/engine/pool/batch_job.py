"""A job of moving small objects of one folder, and what becomes of each when a worker reports some of them.

rows ─▶ lease ─▶ BatchEnded ─▶ arrived, or sent: its caller looks at it
▲                        ├─▶ alone: it failed by itself, and is tried again as any single object
╰─ left ◀────────────────╯   not begun, or met by what befell the whole host
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import msgspec

from bulkhaul.disk.small_files import TOKEN_BYTES, temp_of
from bulkhaul.engine.messages.messages import AnyBatch, BatchEnded, GetBatch, Landed, Sent
from bulkhaul.engine.pool import retries
from bulkhaul.engine.pool.job import BaseJob, GetJob, PutJob
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy.events import Assign, PartDone, PartFailed
from bulkhaul.policy.layout import Layout

WAITS = frozenset({"Throttled", "ExpiredCredentials"})
"""What a row waits for with all others, however often it meets it; the patience of the batch ends that."""


class Arrived(msgspec.Struct, frozen=True):
    """A row that was moved.

    Attributes:
        place: of the row in the job.
        temp: name of the temp file that an object was received into.
        told: what the worker tells of it.
    """

    place: int
    temp: str
    told: Landed | Sent


class _Leased(msgspec.Struct):
    """The rows of one lease: their places in the job, None for those that the worker has reported.

    Attributes:
        settled_bytes: of rows that have arrived, or are fetched alone.
        lost_bytes: those of them that are not at their destination.
        failures: rows that met what befell the whole host.
    """

    token: str
    places: list[int | None]
    answered: int = 0
    failures: int = 0
    settled_bytes: int = 0
    lost_bytes: int = 0

    def take_over(self, other: _Leased) -> None:
        """Count what was reported of another lease, which nobody ends any more."""
        self.answered, other.answered = self.answered + other.answered, 0
        self.settled_bytes, other.settled_bytes = self.settled_bytes + other.settled_bytes, 0
        self.lost_bytes, other.lost_bytes = self.lost_bytes + other.lost_bytes, 0

    def take(self, row: int) -> int:
        """Return the place of a row that is reported, once.

        Raises:
            ValueError: the lease does not hold it.
        """
        place = self.places[row] if 0 <= row < len(self.places) else None
        if place is None:
            raise ValueError(f"row {row} is not in this lease")
        self.places[row] = None
        return place


class BatchJob(BaseJob, kw_only=True):
    """Fetches small objects, each into a temp file of its own, or sends small files.

    Attributes:
        template: a lease of all rows; a worker gets those that are left.
        fd: of the folder.
        on_rows: called with rows that were moved, and with the places of those to be moved alone; returns how many
            bytes of the former did not come to their destination. It raises nothing.
        left: places in ``template.rows`` of what is still to be moved.
        lost_bytes: bytes of rows that are through and not at their destination.
        abandoned: nothing of it is wanted any more.
    """

    template: AnyBatch
    on_rows: Callable[[list[Arrived], list[int]], int]
    left: list[int]
    lost_bytes: int = 0
    abandoned: bool = False
    leased: dict[int, _Leased] = msgspec.field(default_factory=dict)
    broken: set[int] = msgspec.field(default_factory=set)

    @property
    def layout(self) -> Layout:
        """All rows as one part: a batch is leased and let go as a whole."""
        size_bytes = sum(row.size_bytes for row in self.template.rows)
        return Layout(size_bytes, size_bytes, whole=True)

    @property
    def requests(self) -> int:
        """How many requests it stands for."""
        return len(self.left)

    def lease(self, assign: Assign) -> AnyBatch:
        """Return the lease that a worker gets; each has temp files of its own."""
        self.attempts = assign.attempt
        token = secrets.token_hex(TOKEN_BYTES)
        new = self.leased[assign.lease] = _Leased(token, list(self.left))
        for dead in self.leased.values():  # its worker has died between two frames of one report
            if dead is not new:
                new.take_over(dead)
        template = self.template
        names = {"token": token} if isinstance(template, GetBatch) else {}
        rows = [template.rows[place] for place in self.left]
        return msgspec.structs.replace(template, lease=assign.lease, rows=rows, single=assign.single, **names)

    def damage(self) -> ErrorInfo | None:
        """Return nothing: no file of a batch is mapped."""
        return None

    def ended(self, worker: int, ended: BatchEnded) -> PartDone | PartFailed | None:
        """Take what a worker reports of a lease, and return what it means for the lease; None if more follows.

        Raises:
            ValueError: it names rows that it does not hold.
        """
        leased = self.leased[ended.lease]
        told: list[Landed | Sent] = [*ended.landed, *ended.sent]
        arrived = [Arrived(leased.take(one.row), temp_of(leased.token, one.row), one) for one in told]
        alone = []
        for failed in ended.failed:
            place, error = leased.take(failed.row), failed.error
            if error.code in WAITS or error.code == "NetworkError":
                leased.failures += 1
                if error.code in WAITS or error.unreached or (place not in self.broken and not error.garbled):
                    self.broken.add(place)
                    continue
            alone.append(place)
            batch = self.template
            retries.tell(error, f"s3://{batch.bucket}/{batch.prefix}{batch.rows[place].name}", 1, 0.0)
        through = {*(one.place for one in arrived), *alone}
        self.left = [place for place in self.left if place not in through]
        leased.answered += len(arrived)
        leased.settled_bytes += sum(self.template.rows[place].size_bytes for place in through)
        lost_bytes = sum(self.template.rows[place].size_bytes for place in alone) + self.on_rows(arrived, alone)
        leased.lost_bytes += lost_bytes
        self.lost_bytes += lost_bytes
        if ended.more:
            return None
        del self.leased[ended.lease]
        if ended.error is None or not self.left:
            return PartDone(worker, ended.lease, leased.settled_bytes, 0, leased.answered)
        return PartFailed(
            worker,
            ended.lease,
            leased.settled_bytes,
            0,
            ended.error,
            answered=leased.answered,
            failures=max(1, leased.failures),
            left=len(self.left),
            kept_bytes=leased.settled_bytes - leased.lost_bytes,
        )

    def leftovers(self) -> Iterator[str]:
        """Yield the temp files that workers which died may have left."""
        for leased in self.leased.values():
            for row, place in enumerate(leased.places):
                if place is not None:
                    yield temp_of(leased.token, row)


Job = GetJob | PutJob | BatchJob
