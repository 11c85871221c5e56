"""Job folders in memory, and rows for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from bulkhaul.jobs.folder.description import FORMAT, JobDescription, Kind
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.row_sources import GivenRows
from bulkhaul.model.errors import NetworkError
from bulkhaul.model.rows import Action, ReportRow, Row, Status
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.store.memory import MemoryStore

DESCRIPTION = JobDescription(format=FORMAT, kind=Kind.COPY, source="s3://bucket/a/", destination="/data/a")


class LossyStore(MemoryStore):
    """A store that does what it is asked for, and then loses so many of its replies."""

    losing = 0

    def put_if_absent(self, key: str, body: bytes, *, options: ObjectOptions | None = None) -> bool:
        done = super().put_if_absent(key, body, options=options)
        if self.losing:
            self.losing -= 1
            raise NetworkError("the reply was lost", key)
        return done


def folder_in(store: MemoryStore) -> JobFolder:
    """Return the folder of a job in a store."""
    return JobFolder(store, "jobs/one/", "s3://memory/jobs/one")


def rows(count: int, first: int = 0, action: Action = Action.DOWNLOAD) -> list[Row]:
    """Return rows of a plan, in the order of their keys."""
    return [
        Row(n=n, action=action, source=f"s3://bucket/a/{n:06d}", destination=f"/data/a/{n:06d}", size=n)
        for n in range(first, first + count)
    ]


def reported(row: Row, status: Status = Status.SUCCEEDED, *, plan: int = 0, ended: float = 1.0) -> ReportRow:
    """Return the report row of a row."""
    return ReportRow(
        n=row.n,
        action=row.action,
        source=row.source,
        destination=row.destination,
        size=row.size,
        status=status,
        plan=plan,
        ended=ended,
    )


def given(planned: Sequence[Row], page_rows: int = 7) -> GivenRows:
    """Return a source of these rows."""

    async def pages() -> AsyncGenerator[Sequence[Row], None]:
        for start in range(0, len(planned), page_rows):
            yield planned[start : start + page_rows]

    return GivenRows(pages)


class MortalStore(MemoryStore):
    """A store that is gone after so many requests, as a program that is killed never sees another reply.

    Attributes:
        requests: those that are still answered; None for all.
        last_one: the request that is not answered any more is carried out nevertheless.
    """

    requests: int | None = None
    last_one = False

    def put_if_absent(self, key: str, body: bytes, *, options: ObjectOptions | None = None) -> bool:
        if self.requests == 0 and self.last_one:
            self.last_one = False
            super().put_if_absent(key, body, options=options)
        self._answer(key)
        return super().put_if_absent(key, body, options=options)

    def get_bytes(self, key: str, *, version_id: str = "") -> bytes:
        self._answer(key)
        return super().get_bytes(key, version_id=version_id)

    def _answer(self, key: str) -> None:
        if self.requests == 0:
            raise NetworkError("the program is dead", key)
        if self.requests is not None:
            self.requests -= 1
