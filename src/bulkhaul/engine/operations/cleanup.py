"""Finds what dead runs have left behind, and clears it away on demand: journals, pending uploads, temp files.

    journal of a dead run ─▶ its upload is still pending ─▶ abort the upload, then remove the journal
    pending upload of a bucket, old enough ─▶ abort
    temp file without an owner ─▶ remove
    journal of a download, and the temp file that it names, without an owner ─▶ remove both

Each is looked at again right before it is touched: the lock of a journal is held during the abort, and an upload must
still be listed as it was. What may belong to somebody else is reported and stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import datetime
from enum import StrEnum

import msgspec

from bulkhaul.disk.download_pending import FoundDownload, discard_download
from bulkhaul.disk.frames import Flaw
from bulkhaul.disk.pending import FoundJournal, claim, discard_journal, scan
from bulkhaul.disk.records import JournalState
from bulkhaul.disk.sweep import disk_bytes, interrupted_downloads, remove_temp, stale_temps
from bulkhaul.engine.operations.abort_upload import not_offered, parts_left
from bulkhaul.engine.operations.control import Control
from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.writing import PendingUpload
from bulkhaul.policy.filetimes import iso_text
from bulkhaul.policy.sizes import format_size


class Kind(StrEnum):
    """What was found."""

    UPLOAD = "upload"
    JOURNAL = "journal"
    TEMP_FILE = "temp file"
    DOWNLOAD = "download"


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a run has left behind.

    Attributes:
        name: the URL of the object that was being uploaded, or a path.
        since: when it was begun, ISO 8601, empty where that is unknown.
        why: how it came to be here.
        size_bytes: what it takes on the disk, 0 where that is not known.
        remedy: what the user can do where bulkhaul does nothing; empty where it can be cleared away.
        cleared: it is gone now.
    """

    kind: Kind
    name: str
    upload_id: str = ""
    since: str = ""
    why: str = ""
    size_bytes: int = 0
    remedy: str = ""
    cleared: bool = False
    failure: ErrorInfo | None = None


class Cleanup:
    """Finds what dead runs have left, in one place after the other.

    Attributes:
        clears: clear away what can be cleared; else only report it.
    """

    def __init__(self, control: Control, *, clears: bool) -> None:
        self._control = control
        self.clears = clears
        self._named: set[tuple[str, str]] = set()  # (bucket, upload id) of all journals
        self._unlistable: dict[str, str] = {}  # bucket → why its uploads cannot be listed

    async def journals(self, folder: str, bucket: str = "", prefix: str = "") -> AsyncGenerator[Leftover, None]:
        """Yield what the journals of dead runs name, if given those of one bucket and prefix only.

        Raises:
            LocalError: the state folder cannot be read.
        """
        for found in scan(folder):
            if found.state is not None:
                intent = found.state.intent
                self._named.add((intent.bucket, found.state.upload_id))
                if bucket and (intent.bucket != bucket or not intent.key.startswith(prefix)):
                    continue
            if found.locked:
                continue  # its run lives
            leftovers = self._journal(found)
            async with contextlib.aclosing(leftovers):
                try:
                    async for leftover in leftovers:
                        yield leftover
                except TransferError as error:
                    name = _ref(found.state).url if found.state else found.path
                    yield Leftover(kind=Kind.JOURNAL, name=name, failure=error.info)

    async def uploads(
        self, bucket: str, prefix: str, *, older_than_s: float, now_s: float
    ) -> AsyncGenerator[Leftover, None]:
        """Yield old pending uploads, whoever began them, but those that a journal names.

        Args:
            now_s: seconds since the epoch, by this machine's clock.

        Raises:
            TransferError: they cannot be listed.
        """
        async with contextlib.aclosing(self._control.pending_uploads(bucket, prefix)) as pages:
            async for page in pages:
                for upload in page:
                    if (bucket, upload.upload_id) in self._named or upload.initiated is None:
                        continue
                    age_s = now_s - upload.initiated.timestamp()
                    if age_s < older_than_s:
                        continue
                    ref = ObjectRef(bucket, upload.key)
                    leftover = _of_upload(ref, upload, "no journal on this machine names it")
                    if self.clears:
                        leftover = await self._cleared(leftover, ref, upload)
                    yield leftover

    def temp_files(self, folder: str) -> list[Leftover]:
        """Return the temp files of dead runs in a folder and all below it; links are not followed.

        Raises:
            LocalError: a folder cannot be read.
        """
        found = []
        for path in stale_temps(folder):
            why = "the run that wrote it has ended"
            leftover = Leftover(kind=Kind.TEMP_FILE, name=path, why=why, size_bytes=disk_bytes(path))
            if self.clears:
                leftover = msgspec.structs.replace(leftover, cleared=remove_temp(path))
            found.append(leftover)
        found += [self._download(one) for one in interrupted_downloads(folder)]
        return found

    def _download(self, found: FoundDownload) -> Leftover:
        if found.state is None:
            assert found.flaw is not None
            remedy = "" if found.flaw is Flaw.EMPTY else "look at it, and remove it if you do not need it"
            leftover = Leftover(kind=Kind.JOURNAL, name=found.path, why=found.flaw.value, remedy=remedy)
        elif not found.temp:
            leftover = Leftover(kind=Kind.JOURNAL, name=found.path, why="its temp file is gone")
        else:
            plan = found.state.plan
            there = {part.number: part.size_bytes for part, _ in found.state.parts}
            url = ObjectRef(plan.wanted.bucket, plan.wanted.key).url
            done = f"{format_size(sum(there.values()))} of {format_size(plan.wanted.size_bytes)}"
            leftover = Leftover(
                kind=Kind.DOWNLOAD,
                name=found.temp,
                since=_instant(plan.began_s),
                why=f"{done} of {url} for {plan.destination}; the same command goes on with it",
                size_bytes=disk_bytes(found.temp),
            )
        if self.clears and not leftover.remedy:
            leftover = msgspec.structs.replace(leftover, cleared=discard_download(found.path))
        return leftover

    async def _journal(self, found: FoundJournal) -> AsyncGenerator[Leftover, None]:
        state = found.state
        if state is None:
            assert found.flaw is not None
            remedy = "" if found.flaw is Flaw.EMPTY else "look at it, and remove it if you do not need it"
            yield self._discarded(
                Leftover(kind=Kind.JOURNAL, name=found.path, why=found.flaw.value, remedy=remedy), found.path
            )
            return
        ref = _ref(state)
        about = Leftover(
            kind=Kind.JOURNAL, name=ref.url, upload_id=state.upload_id, since=_instant(state.intent.began_s)
        )
        if state.ended:
            yield self._discarded(msgspec.structs.replace(about, why="its upload has ended"), found.path)
            return
        target = await self._control.target(ref.bucket)
        if state.intent.endpoint != target.endpoint:
            remedy = f"run this again with --endpoint-url or --region for {state.intent.endpoint}"
            yield msgspec.structs.replace(about, why="its upload is at another endpoint", remedy=remedy)
            return
        pending: list[PendingUpload] = []
        if ref.bucket not in self._unlistable:
            try:
                pending = await self._control.pending_uploads_of(ref)
            except TransferError as error:
                if not not_offered(error):
                    raise
                self._unlistable[ref.bucket] = error.message
        if ref.bucket in self._unlistable:
            yield await self._unlisted(about, found.path, ref)
            return
        if state.upload_id:
            ours = [one for one in pending if one.upload_id == state.upload_id]
            if ours:
                leftover = _of_upload(ref, ours[0], "the run that began it has ended")
                yield await self._aborted(leftover, found.path, ref, ours[0]) if self.clears else leftover
            else:
                yield self._discarded(msgspec.structs.replace(about, why="its upload is gone"), found.path)
            return
        for upload in pending:
            remedy = "nobody knows whose it is: abort it with `bulkhaul cleanup --older-than` when it is old enough"
            yield msgspec.structs.replace(
                _of_upload(ref, upload, "a run died while it began an upload of this key"), remedy=remedy
            )
        if not pending:
            yield self._discarded(msgspec.structs.replace(about, why="no upload of its key is pending"), found.path)

    async def _unlisted(self, about: Leftover, path: str, ref: ObjectRef) -> Leftover:
        """Abort the upload of a journal where uploads may not be listed; without its id, say what the user can do."""
        if not about.upload_id:
            remedy = f"run this again with credentials that may list uploads, or remove {path}"
            refused = self._unlistable[ref.bucket]
            why = f"whether an upload was begun cannot be told, since they cannot be listed: {refused}"
            return msgspec.structs.replace(about, why=why, remedy=remedy)
        upload = PendingUpload(ref.key, about.upload_id, datetime.fromisoformat(about.since) if about.since else None)
        leftover = _of_upload(ref, upload, "the run that began it has ended, and uploads cannot be listed")
        return await self._aborted(leftover, path, ref, upload, listable=False) if self.clears else leftover

    def _discarded(self, leftover: Leftover, path: str) -> Leftover:
        if not self.clears or leftover.remedy:
            return leftover
        return msgspec.structs.replace(leftover, cleared=discard_journal(path))

    async def _aborted(
        self, leftover: Leftover, path: str, ref: ObjectRef, upload: PendingUpload, *, listable: bool = True
    ) -> Leftover:
        """Abort an upload while its journal is locked, then remove the journal."""
        claimed = claim(path)
        if claimed is None:
            return msgspec.structs.replace(leftover, why="a run has just taken it over, so it stays")
        journal, state = claimed
        try:
            if (_ref(state), state.upload_id) != (ref, upload.upload_id):
                return msgspec.structs.replace(leftover, why="a run has just begun another upload, so it stays")
            leftover = await self._cleared(leftover, ref, upload, listable=listable)
            if leftover.cleared:
                journal.finish()
            return leftover
        finally:
            journal.close()

    async def _cleared(
        self, leftover: Leftover, ref: ObjectRef, upload: PendingUpload, *, listable: bool = True
    ) -> Leftover:
        """Abort an upload that is still listed as it was, where uploads can be listed."""
        try:
            if listable and upload not in await self._control.pending_uploads_of(ref):
                return msgspec.structs.replace(leftover, why="it has ended since it was listed", cleared=True)
            if await self._control.abort_upload(ref, upload.upload_id, listable=listable):
                return msgspec.structs.replace(leftover, cleared=True)
            raise parts_left(ref.url)
        except TransferError as error:
            return msgspec.structs.replace(leftover, failure=error.info)


def _ref(state: JournalState) -> ObjectRef:
    return ObjectRef(state.intent.bucket, state.intent.key)


def _of_upload(ref: ObjectRef, upload: PendingUpload, why: str) -> Leftover:
    return Leftover(
        kind=Kind.UPLOAD, name=ref.url, upload_id=upload.upload_id, since=iso_text(upload.initiated), why=why
    )


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds)).astimezone().isoformat() if seconds > 0 else ""
