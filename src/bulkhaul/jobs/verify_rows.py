"""Plans and carries out comparisons as rows: one for each name of two places, or for each line of a manifest.

both sides, joined ─▶ rows ─▶ plan          rows ─▶ PairCheck, many side by side ─▶ results as they end
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.tasks import outlast
from bulkhaul.engine.transfers.rows import RowPages, pages_of
from bulkhaul.jobs.places import FileSide
from bulkhaul.jobs.row_sources import Begun, Told
from bulkhaul.jobs.verify_names import NamedPair, named_pairs
from bulkhaul.jobs.verify_options import VerifyOptions
from bulkhaul.jobs.verify_pair import READ_AT_ONCE, PairCheck
from bulkhaul.jobs.verify_places import Places, Side, StoredSide, places_of
from bulkhaul.jobs.verifying import LOOKED_AT_ONCE
from bulkhaul.model.errors import Cancelled, ErrorInfo, NotFound
from bulkhaul.model.results import CheckedResult, TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.verdicts import PairResult, Verdict
from bulkhaul.policy.comparison import Entry
from bulkhaul.policy.selection import named_object
from bulkhaul.policy.verify_rules import parse_rules

_NOT_LISTED = "what lies in it is no part of this job: make another one when it can be looked at"


class VerifyRows:
    """The rows of a comparison of two places; a planner that goes on lists both anew, and drops what is planned."""

    told = Told()

    def __init__(
        self,
        engine: AsyncEngine,
        origin: AsyncEngine,
        places: tuple[str, str],
        include: Sequence[str],
        exclude: Sequence[str],
    ) -> None:
        self._engines = origin, engine
        self._places = places
        self._patterns = include, exclude

    async def rows(self, begun: Begun) -> AsyncGenerator[Sequence[Row], None]:
        """Yield pages of rows, in the order of names.

        Raises:
            UsageError: the places make no sense together.
            NotFound: neither has anything that is selected.
            TransferError: a place cannot be listed.
        """
        places = await places_of(*self._engines, *self._places)
        found = begun.rows > 0
        async with aclosing(named_pairs(places, *self._patterns)) as pages:
            async for page in pages:
                rows = [_row(one, places) for one in page]
                found = found or bool(rows)
                yield await asyncio.to_thread(_left, rows, begun) if begun.rows else rows
        if not found:
            raise NotFound("neither place has anything that is selected, so nothing is compared", self._places[0])


def _left(rows: Sequence[Row], begun: Begun) -> list[Row]:
    return [row for row in rows if not begun.has(row)]


def _row(one: NamedPair, places: Places) -> Row:
    if isinstance(one, PairResult):
        found, missing = [place for place in (one.one, one.other) if place], one.verdict is Verdict.MISSING
        reason = "only one place had it when both were listed" if missing else one.reason
        source, destination = (*map(_text, found), "")[:2]
        if not missing and one.name.endswith("/"):
            # One side, so that no run takes the folder for a file: what lies in it was never listed.
            destination, reason = "", f"{reason}; {_NOT_LISTED}"
        size_bytes = one.size if missing else None
    else:
        name, size_bytes, reason = one[0].name, None if places.single else one[0].size_bytes, ""
        source, destination = places.one.place(name), places.other.place(name)
    return Row(n=0, action=Action.VERIFY, source=source, destination=destination, size=size_bytes, reason=reason)


def _text(place: str) -> str:
    """Return a place as text: a path that is none cannot be written as JSON, and is shown escaped."""
    return os.fsencode(place).decode(errors="backslashreplace")


class RowCheck:
    """Compares the source of a row with its destination, as both are now."""

    def __init__(self, engine: AsyncEngine, origin: AsyncEngine, options: VerifyOptions) -> None:
        """Take the engines of the destinations and of the sources.

        Raises:
            UsageError: the options make no sense.
        """
        self._engine = engine
        self._origin = origin
        self._rules, self._extras = parse_rules(
            options.compare,
            read=options.read,
            read_all=options.read_all,
            part_size_bytes=options.part_size_bytes or engine.settings.part_size_bytes,
        )
        self._reading = asyncio.Semaphore(READ_AT_ONCE)

    async def results(self, pages: RowPages) -> AsyncGenerator[TransferResult, None]:
        """Yield one result a row, as it ends; results among the rows are handed on.

        Raises:
            Whatever the iterable of pages raises.
        """
        ended: asyncio.Queue[TransferResult | Exception | None] = asyncio.Queue()
        slots = asyncio.Semaphore(LOOKED_AT_ONCE)

        async def one(row: Row) -> None:
            ended.put_nowait(await self._checked(row))

        async def every() -> None:
            try:
                async with asyncio.TaskGroup() as group, aclosing(pages_of(pages)) as given:
                    async for page in given:
                        for row in page:
                            await slots.acquire()
                            if isinstance(row, TransferResult):
                                ended.put_nowait(row)
                            else:
                                group.create_task(one(row))
            except* Exception as errors:  # noqa: BLE001 - raised for the reader
                ended.put_nowait(errors.exceptions[0])
            else:
                ended.put_nowait(None)

        checking = asyncio.create_task(every())
        try:
            while (result := await ended.get()) is not None:
                if isinstance(result, Exception):
                    raise result
                yield result
                slots.release()
        finally:
            checking.cancel()
            await outlast(checking)

    async def _checked(self, row: Row) -> CheckedResult:
        one, other = self._side(self._origin, row.source, row.version_id), self._side(self._engine, row.destination)
        told = PairResult(name="", one=row.source, other=row.destination, verdict=Verdict.UNDECIDABLE)
        if not row.destination:
            return _result(row, told, row.reason or "the other side has no name")
        if self._extras and (isinstance(one, FileSide) or isinstance(other, FileSide)):
            return _result(row, told, f"a file has no {' nor '.join(sorted(self._extras))}")
        pairs = PairCheck(one, other, self._rules, self._extras, reading=self._reading)
        try:
            told = await pairs.check("", (Entry(""), Entry("")), fresh=True)
        except Cancelled as error:
            return _result(row, told, failure=error.info)
        return _result(row, told, told.reason)

    def _side(self, engine: AsyncEngine, place: str, version_id: str = "") -> Side:
        bucket, key = named_object(place)
        return StoredSide(engine, bucket, key, key, version_id) if bucket else FileSide(place)


def _result(row: Row, told: PairResult, reason: str = "", *, failure: ErrorInfo | None = None) -> CheckedResult:
    if failure is None and told.verdict is not Verdict.EQUAL:
        by = f" by {told.evidence}" if told.evidence is not None else ""
        failure = ErrorInfo(told.verdict.capitalize(), f"{told.verdict}{by}: {reason}", row.source)
    bucket, key = named_object(row.destination if row.destination.startswith("s3://") else row.source)
    return CheckedResult(
        source=row.source,
        destination=row.destination,
        bucket=bucket,
        key=key,
        size=told.size,
        seconds=told.seconds,
        failure=failure,
        row=row.n,
        verdict=told.verdict,
        evidence=told.evidence,
    )
