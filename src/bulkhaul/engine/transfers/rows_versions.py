"""Copies every version of keys, each key's one after the other, so that the destination's history has the same order.

    row ─▶ its turn ─▶ how many versions has the destination?
                         as many as are older      it is copied, or marked as deleted
                         more                      the one in its place must be the same: it is there already
                         fewer                     an older one is missing: it fails

What is there is told by the destination itself: its history must be the beginning of the source's, by kind, length and
bytes, and by what is to be preserved. So a second run, a job that goes on and a retry need nothing that an earlier run
has kept, and the copies carry no stamp in their metadata, which they keep as it is. Two versions of the same bytes are
told apart by their places.

A version whose answer was lost is looked for before it is made again; one that is relayed is sent again unseen. After
either the destination is looked at once more when its key is done. What no look shows is a copy that the service still
makes when a later run begins.

Keys go side by side. A row that waits for its turn holds a slot of the batch: those of one key with more versions than
there are slots hold up the keys behind it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterator
from weakref import WeakValueDictionary

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.list_histories import history_of
from bulkhaul.engine.transfers.batch import Piece
from bulkhaul.engine.transfers.preserving import preserved, require_preserved
from bulkhaul.engine.transfers.rows import result_of_row, wanted_by
from bulkhaul.engine.transfers.same_version import VersionSide, same_version
from bulkhaul.model.errors import Cancelled, ErrorInfo, PreconditionFailed, TransferError, UnexpectedReply, UsageError
from bulkhaul.model.objects import Integrity, ObjectRef
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectOptions, ObjectVersion
from bulkhaul.policy.preserving import NOTHING

CopyOne = Callable[..., Coroutine[None, None, TransferResult]]


_NOT_KEPT = (
    "the service has told of no error, and has not made a version; if the versioning of the bucket was suspended,"
    " enable it, and copy again"
)


class _AnswerLost(Exception):
    """A version is there although no answer has told so, or the answer does not tell."""


async def require_versioning(control: Control, bucket: str) -> None:
    """Make sure that a bucket keeps versions: in any other one each copy would replace the one before.

    Raises:
        UsageError: it keeps none.
        TransferError: it could not be asked.
    """
    if (state := await control.versioning(bucket)) != "Enabled":
        told = "its versioning is suspended" if state else "it keeps none"
        text = f"all versions go to a bucket that keeps versions, and {told}; enable its versioning first"
        raise UsageError(text, f"s3://{bucket}")


class _History:
    """The versions of one destination key, as far as they are there, and which row has its turn.

    Attributes:
        last: is set when the row that was planned last has ended; None before there is one.
        failure: of the first row that failed.
    """

    def __init__(self, ref: ObjectRef) -> None:
        self.ref = ref
        self.last: asyncio.Event | None = None
        self.failure: ErrorInfo | None = None
        self._count: int | None = None
        self._unsure = False
        self._passed = 0
        self._doubtful = False
        self._rest: Iterator[ObjectVersion] = iter(())
        self._tied: list[ObjectVersion] = []

    async def at(self, here: VersionSide, older: int, *, marker: bool) -> ObjectVersion | None:
        """Return the version that has ``older`` ones before it; None if there are these and no more.

        Args:
            marker: which kind is looked for, where several are of one time, and the service does not tell their order.

        Raises:
            PreconditionFailed: older ones are missing.
            TransferError: the listing failed.
        """
        if self._count is None or self._passed > older:
            await self._look(here)
        count = self._count or 0
        if count < older:
            text = f"the destination has {count} of the {older} older versions, which have to be copied before it"
            raise PreconditionFailed(text)
        if count == older:
            return None
        while self._passed < older:
            self._next(None)
        return self._next(marker)

    def made(self, *, unseen: bool) -> None:
        """Count a version that was made after all that were there.

        Args:
            unseen: it may have been sent again without a look at the destination.
        """
        assert self._count is not None
        self._count += 1
        self._unsure = self._unsure or unseen

    async def require_expected(self, here: VersionSide) -> None:
        """Make sure that what was made is there once, wherever an answer was lost, or may have been.

        Raises:
            PreconditionFailed: there is more; nothing is removed.
            TransferError: the listing failed.
        """
        if not self._unsure:
            return
        expected = self._count
        await self._look(here)
        self._unsure = False
        if self._count != expected:
            text = (
                f"it was copied, and the destination has {self._count} versions where {expected} were to be: an answer"
                " was lost and its version stored twice, or somebody else writes there; the same copy again names the"
                f" one that is too many, unless that is the last: see `bulkhaul ls --all-versions {self.ref.url}`"
            )
            raise PreconditionFailed(text)

    def forget(self) -> None:
        """Have the destination listed again, as an answer was lost; what it was to tell of may still be made."""
        self._count, self._unsure = None, True

    async def _look(self, here: VersionSide) -> None:
        found = await history_of(here.control, self.ref)
        self._count, self._passed, self._doubtful = found.count, 0, found.doubtful
        self._tied, self._rest = [], found.oldest_first()

    def _next(self, marker: bool | None) -> ObjectVersion:
        """Take the next version; where their order is not told, of those of one time the first of its kind."""
        if not self._tied:
            self._tied = [next(self._rest)]
        while (following := next(self._rest, None)) is not None:
            self._tied.append(following)
            if following.last_modified != self._tied[0].last_modified:
                break
        self._passed += 1
        moment, kind = self._tied[0].last_modified, marker if self._doubtful else None
        tied = [place for place, one in enumerate(self._tied) if one.last_modified == moment]
        place = next((place for place in tied if kind in (None, self._tied[place].delete_marker)), 0)
        return self._tied.pop(place)


class VersionCopies:
    """The work on rows that are versions."""

    def __init__(
        self,
        origin: VersionSide,
        here: VersionSide,
        copy: CopyOne,
        options: ObjectOptions | None = None,
        preserve: frozenset[Kept] = NOTHING,
    ) -> None:
        """Take both services, and what copies one version; where both are one, it takes ``before_again``.

        Args:
            options, preserve: that ``copy`` has: what a version that is there already must have kept as well.
        """
        self._origin = origin
        self._here = here
        self._copy = copy
        self._options = options
        self._preserve = preserve
        self._buckets: dict[str, asyncio.Task[None]] = {}
        # A history lives as long as a row of it is under way, and the one planned last until the next one comes.
        self._open = WeakValueDictionary[ObjectRef, _History]()
        self._latest: _History | None = None

    def piece(self, row: Row, source: ObjectRef, ref: ObjectRef) -> Piece:
        """Return the work of a row; it is begun after that of all rows that were asked for before."""
        history = self._open.get(ref)
        if history is None:
            history = self._open[ref] = _History(ref)
        self._latest = history
        last, turn = history.last, asyncio.Event()
        history.last = turn
        planned = msgspec.structs.replace(result_of_row(row, ref), version_id="", source_version_id=row.version_id)
        planned = msgspec.structs.replace(planned, delete_marker=row.action is Action.MARK)
        return Piece(planned, functools.partial(self._in_turn, history, row, source, planned, last, turn))

    async def _in_turn(
        self,
        history: _History,
        row: Row,
        source: ObjectRef,
        planned: TransferResult,
        last: asyncio.Event | None,
        turn: asyncio.Event,
    ) -> TransferResult:
        try:
            if last is not None:
                await last.wait()
            if (failure := history.failure) is not None:
                raise _waits(failure)
            await self._versioned(history.ref.bucket)
            result = await self._done(history, row, source, planned)
            if history.last is turn:
                await history.require_expected(self._here)
            return result
        except TransferError as error:
            told = error.named(row.source)
            history.failure = history.failure or msgspec.structs.replace(told.info, subject=row.version_id)
            raise told from error.__cause__
        except BaseException:
            history.failure = history.failure or Cancelled("it did not end", row.version_id).info
            raise
        finally:
            turn.set()

    async def _versioned(self, bucket: str) -> None:
        if (asking := self._buckets.get(bucket)) is None:
            asking = self._buckets[bucket] = asyncio.ensure_future(require_versioning(self._here.control, bucket))
        await asyncio.shield(asking)

    async def _done(self, history: _History, row: Row, source: ObjectRef, planned: TransferResult) -> TransferResult:
        assert row.older is not None
        marker, skipped = row.action is Action.MARK, "it is there already"
        there = await history.at(self._here, row.older, marker=marker)
        if there is None:
            try:
                result = await self._made(history, row, source, planned)
            except _AnswerLost:
                history.forget()
                there, skipped = await history.at(self._here, row.older, marker=marker), ""
                if there is None or there.version_id in ("", "null"):
                    raise UnexpectedReply(_NOT_KEPT, history.ref.url) from None
            else:
                history.made(unseen=self._origin is not self._here)
                return msgspec.structs.replace(result, source_version_id=row.version_id)
        result = await self._found(history.ref, row, source, planned, there)
        return msgspec.structs.replace(result, skipped=skipped)

    async def _found(
        self, ref: ObjectRef, row: Row, source: ObjectRef, planned: TransferResult, there: ObjectVersion
    ) -> TransferResult:
        """Return the result of a version that is in its place.

        Raises:
            PreconditionFailed: it is another one.
            Unsupported: it has lost something that is to be preserved.
        """
        marker = row.action is Action.MARK
        same = there.delete_marker == marker and (
            marker or await same_version(self._origin, source, row, self._here, ref, there)
        )
        if not same:
            text = (
                f"the destination has another history: its version {there.version_id} stands in the place of this one;"
                " copy to where there are no versions"
            )
            raise PreconditionFailed(text)
        integrity = None if marker else Integrity.ETAG
        result = msgspec.structs.replace(planned, etag=there.etag, version_id=there.version_id, integrity=integrity)
        if self._preserve and not marker:
            copied = await self._origin.control.look(source, row.version_id)
            kept = await preserved(self._origin.control, copied, self._options, self._preserve)
            await require_preserved(self._here.control, copied, result, kept)
        return result

    async def _made(self, history: _History, row: Row, source: ObjectRef, planned: TransferResult) -> TransferResult:
        """Copy a version, or mark its key as deleted.

        Raises:
            _AnswerLost: it is there; or the answer tells no version.
        """
        marker = row.action is Action.MARK

        async def lost() -> None:
            assert row.older is not None
            history.forget()
            if await history.at(self._here, row.older, marker=marker) is not None:
                raise _AnswerLost

        if marker:
            version_id = await self._here.control.delete(history.ref, before_again=lost)
            result = msgspec.structs.replace(planned, version_id=version_id)
        else:
            wanted = wanted_by(row, source.key)
            again = {"before_again": lost} if self._origin is self._here else {}
            result = await self._copy(source, history.ref, version_id=row.version_id, wanted=wanted, **again)
        if not result.version_id:
            raise _AnswerLost
        return result


def _waits(failure: ErrorInfo) -> TransferError:
    if failure.code == "Cancelled":
        return Cancelled("an older version of it did not end")
    text = f"an older version of it, {failure.subject}, failed with {failure.code}; this one keeps its place behind it"
    return PreconditionFailed(text)


__all__ = ["VersionCopies", "require_versioning"]
