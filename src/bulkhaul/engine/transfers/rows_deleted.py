"""Plans the deletion of the rows of a plan: 1,000 keys a request, also where rows say which objects are meant.

a key, or a version of it ─▶ batches of one bucket ─▶ DeleteObjects, each key confirmed
a key with its ETag       ─▶ batches of one bucket ─▶ as ``deleted_together.py`` says, on condition of the ETag
its null version, likewise ─▶ HEAD, DELETE: no other version can be replaced, and no condition tells versions apart
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.batch import Group, Outlet, Piece
from bulkhaul.engine.transfers.deleted_together import DeletedTogether, Wanted
from bulkhaul.engine.transfers.move_source import SourceRemover
from bulkhaul.engine.transfers.rows import (
    Refs,
    RowPages,
    failed_row,
    pages_of,
    result_of_row,
    settled,
    wanted_by,
)
from bulkhaul.model.errors import NotFound, PreconditionFailed, TransferError
from bulkhaul.model.limits import MAX_DELETE_BATCH
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action
from bulkhaul.model.writing import Doomed
from bulkhaul.policy.sameness import require_wanted

BATCHES_AT_ONCE = 4
"""DeleteObjects under way at most: 4,000 keys are more than S3 deletes of one prefix in a second."""

NULL = "null"
"""Id of the version that is stored while versioning is suspended. Source: S3 API, Versioning."""


class RowDeletions:
    """The deletion of planned objects."""

    def __init__(self, control: Control, remover: SourceRemover) -> None:
        self._control = control
        self._remover = remover
        self._conditional = DeletedTogether(control)
        self._slots = asyncio.Semaphore(BATCHES_AT_ONCE)

    async def pieces(self, rows: RowPages) -> AsyncGenerator[Piece | Group, None]:
        """Yield the work of each row; what lies in one page goes together.

        Raises:
            Whatever the iterable of rows raises.
        """
        refs = Refs()
        async with contextlib.aclosing(pages_of(rows)) as pages:
            async for page in pages:
                together: dict[str, list[TransferResult]] = defaultdict(list)
                conditional: dict[str, list[Wanted]] = defaultdict(list)
                for each in page:
                    if isinstance(row := settled(each, Action.DELETE), TransferResult):
                        yield Piece(row)
                        continue
                    try:
                        ref = refs.ref(row.source)
                    except TransferError as error:
                        yield Piece(failed_row(row, error))
                        continue
                    planned = msgspec.structs.replace(result_of_row(row, ref), size=0)  # no bytes are moved
                    if (wanted := wanted_by(row, ref.key)) is not None and not row.version_id:
                        told = row.size is not None
                        alone = functools.partial(self._one, ref, wanted, planned, told=told)
                        these = conditional[ref.bucket]
                        these.append(Wanted(planned, wanted, told, alone))
                        if len(these) == MAX_DELETE_BATCH:
                            yield self._if_unchanged(ref.bucket, conditional.pop(ref.bucket))
                        continue
                    if wanted is not None and row.version_id == NULL:
                        yield Piece(planned, functools.partial(self._null, ref, wanted, planned))
                        continue
                    waiting = together[ref.bucket]
                    waiting.append(planned)
                    if len(waiting) == MAX_DELETE_BATCH:
                        yield self._group(ref.bucket, together.pop(ref.bucket))
                for bucket, waiting in together.items():
                    yield self._group(bucket, waiting)
                for bucket, these in conditional.items():
                    yield self._if_unchanged(bucket, these)

    def _if_unchanged(self, bucket: str, wanted: list[Wanted]) -> Group:
        return Group([one.planned for one in wanted], functools.partial(self._each_if_unchanged, bucket, wanted))

    async def _each_if_unchanged(self, bucket: str, wanted: list[Wanted], outlet: Outlet) -> None:
        async with self._slots:
            await self._conditional.work(bucket, wanted, outlet)

    def _group(self, bucket: str, planned: list[TransferResult]) -> Group:
        return Group(planned, functools.partial(self._together, bucket, planned))

    async def _together(self, bucket: str, planned: list[TransferResult], outlet: Outlet) -> None:
        """Delete keys by one request; a key that is named twice is asked for once, and both rows end alike."""
        places: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, one in enumerate(planned):
            places[one.key, one.version_id].append(place)
        doomed = _each(Doomed(key, version_id) for key, version_id in places)
        async with self._slots, contextlib.aclosing(self._control.delete_many(bucket, doomed)) as results:
            async for result in results:
                for place in places[result.key, result.version_id]:
                    outlet.end(place, msgspec.structs.replace(planned[place], failure=result.failure))

    async def _one(self, ref: ObjectRef, wanted: ObjectHead, planned: TransferResult, *, told: bool) -> TransferResult:
        """Delete an object if it is the one that the plan means; one that is gone already is no failure.

        Args:
            told: the plan tells its length.
        """
        with _as_planned(ref):
            if not (told and wanted.etag):
                found = await self._control.head(ref)
                require_wanted(found, wanted, ref.url)
                wanted = found
            await self._remover.remove(ref, msgspec.structs.replace(wanted, last_modified=None))
        return planned

    async def _null(self, ref: ObjectRef, wanted: ObjectHead, planned: TransferResult) -> TransferResult:
        """Delete the null version of a key if it is the one that the plan means; one that is gone is no failure."""

        async def look() -> None:
            require_wanted(await self._control.head(ref, NULL), wanted, ref.url)

        with _as_planned(ref):
            await look()
            await self._control.delete(ref, NULL, before_again=look)
        return planned


@contextlib.contextmanager
def _as_planned(ref: ObjectRef) -> Iterator[None]:
    """Take an object that is gone already for deleted, and say of another one in its place that it stays."""
    try:
        yield
    except NotFound as error:
        if error.info.service_code == "NoSuchBucket":
            raise
    except PreconditionFailed as error:
        text = "another object is there than was to be deleted, and it stays"
        raise PreconditionFailed(text, ref.url, error.message) from error


async def _each(doomed: Iterable[Doomed]) -> AsyncIterator[Doomed]:
    for one in doomed:
        yield one
