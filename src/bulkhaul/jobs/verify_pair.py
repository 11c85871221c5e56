"""Compares one pair of sides: looks at both, finds out what the next step needs, and looks again at the end.

HEAD ─▶ policy.evidence ─┬─▶ parts, bytes ─▶ again
                         ╰─▶ verdict ─▶ unchanged meanwhile? ─▶ told        else once more, then undecidable
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable

import msgspec

from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.comparing import DIRECTORY_BUCKET
from bulkhaul.jobs.places import FileSide
from bulkhaul.jobs.verify_digests import Digests, digest_file
from bulkhaul.jobs.verify_places import Side, StoredSide
from bulkhaul.jobs.verify_progress import VerifyProgress
from bulkhaul.model.errors import Cancelled, LocalError, NotFound, PreconditionFailed, SourceChanged, TransferError
from bulkhaul.model.objects import Checksum, ChecksumKind, ObjectHead, PartChecksum
from bulkhaul.model.verdicts import Evidence, PairResult, SideFacts, Verdict
from bulkhaul.policy.comparison import Entry
from bulkhaul.policy.evidence import AskParts, Decided, Known, next_step
from bulkhaul.policy.filetimes import iso_text
from bulkhaul.policy.sameness import is_unchanged
from bulkhaul.policy.verification import FOLDABLE
from bulkhaul.policy.verify_rules import Rules
from bulkhaul.wire.checksums import encoded_crc, fold
from bulkhaul.wire.values import RemoteObject

READ_AT_ONCE = 4
"""Pairs that are read side by side: a core hashes as fast as most disks read, and blocks of objects hold memory."""

CHANGED = "it changed while it was compared, twice; compare it again when nothing writes to it"


class Changed(Exception):
    """A side is not what it was a moment ago."""


class Missing(Exception):
    """A side is not there. ``index``: 0 or 1."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class SideState(msgspec.Struct):
    """What is known of one side of a pair, and what has to stay as it is."""

    known: Known
    head: ObjectHead | None = None

    def facts(self) -> SideFacts:
        """Return what the report tells of it."""
        known, head = self.known, self.head
        return SideFacts(
            etag=known.etag,
            encryption=known.encryption,
            last_modified=iso_text(head.last_modified) if head is not None else "",
            version_id=head.version_id if head is not None else "",
            checksum=known.checksum or known.folded,
            digests=known.digests,
        )


class PairCheck:
    """Compares pairs, so many side by side as the caller starts."""

    def __init__(
        self,
        one: Side,
        other: Side | None,
        rules: Rules,
        extras: frozenset[str] = frozenset(),
        *,
        reading: asyncio.Semaphore | None = None,
        progress: VerifyProgress | None = None,
    ) -> None:
        """Take the sides; without the other one, it is what a record tells.

        Args:
            reading: what pairs of several sides have in common, so that ``READ_AT_ONCE`` are read of all of them.
            progress: is told what is read.
        """
        self._sides: tuple[Side, Side | None] = (one, other)
        self._rules = rules
        self._extras = extras
        self._reading = reading or asyncio.Semaphore(READ_AT_ONCE)
        self._progress = progress or VerifyProgress()

    async def check(self, name: str, entries: tuple[Entry, Entry | Known | None], *, fresh: bool = False) -> PairResult:
        """Return the verdict on a name that both sides have.

        Args:
            entries: what each side's listing tells; of a record, what is known.
            fresh: an entry tells nothing but the name, so that its side is looked at whatever is compared.
        """
        began_s = time.monotonic()
        entry, recorded = entries
        places = (self._sides[0].place(name), self._sides[1].place(name) if self._sides[1] is not None else "")
        told = PairResult(name=name, one=places[0], other=places[1], verdict=Verdict.UNDECIDABLE)
        told = msgspec.structs.replace(told, size=entry.size_bytes)
        read = [0]
        for attempt in (1, 2):
            try:
                told = await self._checked(told, entry, recorded, read, fresh=fresh or attempt > 1)
                break
            except Changed:
                told = msgspec.structs.replace(told, reason=CHANGED)
            except Missing as missing:
                place = places[missing.index]
                told = msgspec.structs.replace(
                    told, verdict=Verdict.MISSING, reason=f"it is not at {place}", missing=place
                )
                break
            except Cancelled:
                raise
            except TransferError as error:
                told = msgspec.structs.replace(told, reason=f"it cannot be looked at: {error}")
                break
        return msgspec.structs.replace(told, read_bytes=read[0], seconds=time.monotonic() - began_s)

    async def _checked(
        self, told: PairResult, entry: Entry, recorded: Entry | Known | None, read: list[int], *, fresh: bool
    ) -> PairResult:
        states = await self._states(told.name, entry, recorded, fresh=fresh)
        gathered = False
        while not isinstance(step := next_step(states[0].known, states[1].known, self._rules), Decided):
            gathered = True
            if isinstance(step, AskParts):
                await _together(*(self._ask_parts(told.name, i, states[i]) for i in step.sides))
            else:
                running = [Digests(step.digests, step.composites) for _ in step.sides]
                size_bytes = sum(states[i].known.size_bytes for i in step.sides)
                with self._progress.reading(running, size_bytes):
                    async with self._reading:
                        reads = zip(step.sides, running, strict=True)
                        await _together(*(self._read(told.name, i, states[i], one, read) for i, one in reads))
        if step.verdict is Verdict.EQUAL and self._extras:
            step = await self._extras_differ(told.name, states) or step
        if gathered:
            await _together(*(self._require_unchanged(told.name, i, states[i]) for i in (0, 1)))
        return msgspec.structs.replace(
            told,
            verdict=step.verdict,
            evidence=step.evidence,
            reason=step.reason,
            size=states[0].known.size_bytes,
            facts=(states[0].facts(), states[1].facts()),
        )

    # Looking

    async def _states(
        self, name: str, entry: Entry, recorded: Entry | Known | None, *, fresh: bool
    ) -> tuple[SideState, SideState]:
        if isinstance(recorded, Known):
            return await self._look(name, 0, entry, fresh=True), SideState(recorded)
        assert recorded is not None
        one, other = await asyncio.gather(
            self._look(name, 0, entry, fresh=fresh), self._look(name, 1, recorded, fresh=fresh), return_exceptions=True
        )
        for state in (one, other):
            if isinstance(state, BaseException):
                raise state
        assert isinstance(one, SideState)
        assert isinstance(other, SideState)
        return one, other

    async def _look(self, name: str, index: int, entry: Entry, *, fresh: bool) -> SideState:
        side = self._sides[index]
        if isinstance(side, FileSide):
            size_bytes = await in_thread(_file_size, side.place(name), index) if fresh else entry.size_bytes
            return SideState(Known(kind="file", size_bytes=size_bytes))
        assert side is not None
        listed = not fresh and (self._rules.level == "size" or not entry.size_bytes) and not self._extras
        if listed:
            return SideState(Known(kind="object", size_bytes=entry.size_bytes, etag=_evident(side, entry.etag)))
        try:
            head = await side.engine.control.head(side.ref(name), side.version_id)
        except NotFound as error:
            raise Missing(index) from error
        return SideState(
            Known(
                kind="object",
                size_bytes=head.size,
                etag=_evident(side, head.etag),
                encryption=head.encryption,
                checksum=head.checksum,
            ),
            head,
        )

    async def _require_unchanged(self, name: str, index: int, state: SideState) -> None:
        """Look at an object again; a file was looked at when it was closed."""
        side = self._sides[index]
        if not isinstance(side, StoredSide) or state.head is None:
            return
        try:
            now = await side.engine.control.head(side.ref(name), side.version_id)
        except NotFound as error:
            raise Changed from error
        if not is_unchanged(now, state.head):
            raise Changed

    # Finding out more

    async def _remote(self, name: str, index: int, state: SideState) -> RemoteObject:
        side = self._sides[index]
        assert isinstance(side, StoredSide)
        assert state.head is not None
        target = await side.engine.control.target(side.bucket)
        return RemoteObject(side.ref(name), state.head, target, side.version_id)

    async def _ask_parts(self, name: str, index: int, state: SideState) -> None:
        side = self._sides[index]
        assert isinstance(side, StoredSide)
        remote = await self._remote(name, index, state)
        parts: tuple[PartChecksum, ...]
        try:
            parts = await side.engine.control.part_checksums(remote)
        except NotFound as error:
            raise Changed from error
        state.known = msgspec.structs.replace(state.known, parts=parts, folded=_folded(state.known, parts))

    async def _read(
        self,
        name: str,
        index: int,
        state: SideState,
        running: Digests,
        read: list[int],
    ) -> None:
        side, size_bytes = self._sides[index], state.known.size_bytes
        try:
            if isinstance(side, FileSide):
                await undisturbed(in_thread(digest_file, side.place(name), size_bytes, running))
            else:
                assert side is not None
                await side.engine.read_through(await self._remote(name, index, state), running.update)
                if running.size_bytes != size_bytes:
                    raise Changed
        except (SourceChanged, PreconditionFailed) as error:
            raise Changed from error
        read[0] += running.size_bytes
        known = state.known
        state.known = msgspec.structs.replace(
            known,
            digests=known.digests | running.digests(),
            composites=known.composites | running.composites(),
            read=True,
        )

    # Metadata and tags

    async def _extras_differ(self, name: str, states: tuple[SideState, SideState]) -> Decided | None:
        ours, theirs = (state.head for state in states)
        assert ours is not None
        assert theirs is not None
        if "metadata" in self._extras and ours.content != theirs.content:
            fields = [
                f for f in ours.content.__struct_fields__ if getattr(ours.content, f) != getattr(theirs.content, f)
            ]
            if "metadata" in fields:
                one, other = ours.content.metadata, theirs.content.metadata
                names = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
                fields = [f for f in fields if f != "metadata"] + [f"metadata {key!r}" for key in names]
            told = ", ".join(field.replace("_", "-") if " " not in field else field for field in fields)
            return Decided(Verdict.DIFFERENT, Evidence.METADATA, f"the bytes are the same, but not {told}")
        if "tags" in self._extras:
            sides = [side for side in self._sides if isinstance(side, StoredSide)]
            asked = (side.engine.control.tags(side.ref(name), side.version_id) for side in sides)
            one, other = await asyncio.gather(*asked)
            if one != other:
                names = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
                text = f"the bytes are the same, but not the tags {', '.join(map(repr, names))}"
                return Decided(Verdict.DIFFERENT, Evidence.TAGS, text)
        return None


def _evident(side: StoredSide, etag: str) -> str:
    """Return an ETag that may be an MD5. Source: S3 API, Object, "ETag": those of directory buckets never are."""
    return "" if side.bucket.endswith(DIRECTORY_BUCKET) else etag


def _folded(known: Known, parts: tuple[PartChecksum, ...]) -> Checksum | None:
    """Return the checksum of all bytes that those of the parts make, None where they make none."""
    stored = known.checksum
    if stored is None or stored.kind is not ChecksumKind.COMPOSITE or stored.algorithm not in FOLDABLE:
        return None
    if not parts or not all(part.value for part in parts) or sum(p.size_bytes for p in parts) != known.size_bytes:
        return None
    crcs = ((int.from_bytes(base64.b64decode(part.value)), part.size_bytes) for part in parts)
    return Checksum(stored.algorithm, encoded_crc(stored.algorithm, fold(stored.algorithm, crcs)))


def _file_size(path: str, index: int) -> int:
    import os
    import stat

    from bulkhaul.disk.source import reading_error

    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.islink(path):
            raise LocalError("a symbolic link that leads nowhere", path) from error
        raise Missing(index) from error
    except OSError as error:
        raise reading_error(error, path) from error
    if stat.S_ISDIR(found.st_mode):
        raise Missing(index)
    if not stat.S_ISREG(found.st_mode):
        raise LocalError("it is no plain file", path)
    return found.st_size


async def _together(*work: Awaitable[None]) -> None:
    """Wait until all have ended, and raise the failure of one of them."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
