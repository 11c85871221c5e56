"""Downloads one object to a file, from HEAD to publication.

HEAD ─▶ checks, layout ─▶ temp file, new or resumed ─▶ parts (dispatch) ─▶ verify ─▶ publish
▲                                                         │ the object changed
└─────────────────── once ────────────────────────────────┘
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import msgspec

from bulkhaul.disk.folder import FolderHandle
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.modes import published_mode
from bulkhaul.disk.sweep import Sweeper
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.messages.messages import GetLease
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.pool.job import GetJob
from bulkhaul.engine.transfers.download_record import DownloadRecord
from bulkhaul.engine.transfers.download_resume import DownloadResumer
from bulkhaul.engine.transfers.endpoints import Destination
from bulkhaul.engine.transfers.links import restore_link
from bulkhaul.engine.transfers.move_source import SourceRemover, not_removed
from bulkhaul.engine.transfers.result import result_of
from bulkhaul.engine.transfers.verify import Verification, reads_back, verify
from bulkhaul.model.errors import ObjectChanged, OtherError, PreconditionFailed, TransferError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ChecksumKind, ObjectHead, ObjectRef, PartChecksum, Verify
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import DEFAULT_PART_SIZE_BYTES, Settings
from bulkhaul.policy.file_metadata import kept_mode, kept_mtime
from bulkhaul.policy.filetimes import mtime_of
from bulkhaul.policy.layout import Layout, plan_download
from bulkhaul.policy.links import makes_link
from bulkhaul.policy.parttable import LISTED_PARTS, PartTable, new_part_table, prepare_tables
from bulkhaul.policy.sameness import require_wanted
from bulkhaul.policy.verification import CheckPlan, needs_parts, plan_checks, without_checksum
from bulkhaul.wire.checksums import COMPUTABLE
from bulkhaul.wire.values import RemoteObject

INLINE_BYTES = MIB
"""Up to this size the coordinator does file work on its loop: handing it to a thread would take longer."""


class Downloader:
    """Restores objects; the workers only move bytes.

    Attributes:
        mode: permission bits of new files.
    """

    def __init__(self, settings: Settings, control: Control, dispatcher: Dispatcher, remover: SourceRemover) -> None:
        self._settings = settings
        self._control = control
        self._dispatcher = dispatcher
        self._remover = remover
        self.mode = published_mode()
        self._sweeper = Sweeper()
        self._resumer = DownloadResumer(settings)

    @property
    def left_objects(self) -> int:
        """How many have failed whose parts were kept, so that the next run goes on with them."""
        return self._resumer.left_objects

    def look_at_umask(self) -> None:
        """Read which mode new files get from now on; a run over a listing does so once, not for each object."""
        self.mode = published_mode()

    def sweep(self, folder: FolderHandle) -> None:
        """Remove what killed runs left in a folder, once.

        Raises:
            LocalError: the folder cannot be read.
        """
        self._sweeper.sweep(folder.fd)

    async def download(
        self,
        ref: ObjectRef,
        destination: Destination,
        listed: RemoteObject | None = None,
        *,
        on_size: Callable[[int], None] | None = None,
        on_moved: Callable[[int], None] | None = None,
        remove: bool = False,
        version_id: str = "",
        wanted: ObjectHead | None = None,
        set_times: bool = False,
    ) -> TransferResult:
        """Restore one object; the destination is untouched until it is whole and verified.

        Args:
            listed: what is known of it already; None to ask.
            on_size: called with the object's size as soon as it is known, and again if the object has changed.
            on_moved: called with the bytes that are there, from 0 again if the object has changed.
            remove: delete the object when file and folder are flushed, if it still is the one that was restored.
            version_id: of the object, empty for the current one.
            wanted: the object that a plan means; no other one is restored. None for whatever is there.
            set_times: the file was modified when the object was, where that is known.

        Raises:
            PreconditionFailed: another object is there than the one that is wanted.
            TransferError: it could not be done; nothing is left behind, or a journal names it and the message says so.
        """
        began_s = time.monotonic()
        self.sweep(destination.folder)
        if listed is None:  # next to a HEAD it costs nothing; a run over a listing looks once
            self.look_at_umask()
        try:
            attempt = functools.partial(
                self._attempt, destination, on_size, on_moved, fsync=remove, set_times=set_times
            )
            look = functools.partial(look_for, self._control, ref, version_id, wanted)
            try:
                if makes_link(ref.key, version_id, stores_links=self._settings.store_links):
                    result = await self._restore_link(await look(), destination, fsync=remove, set_times=set_times)
                else:
                    result = await attempt(listed or await look())
            except ObjectChanged:
                try:
                    result = await attempt(await look())
                except ObjectChanged as again:
                    raise PreconditionFailed(
                        f"{again.message}; it changed a second time during the transfer, try again when it rests"
                    ) from again
        except TransferError as error:
            raise error.named(ref.url) from error.__cause__
        if remove:
            # The ETag suffices. The time is only compared without one: listings tell it more precisely than HEAD does.
            last_modified = None if result.etag else result.last_modified
            seen = ObjectHead(ref.key, result.size, result.etag, last_modified, result.version_id)
            try:
                await self._remover.remove(ref, seen)
            except TransferError as error:
                raise not_removed(error, ref.url, result.destination) from error
        return msgspec.structs.replace(result, seconds=time.monotonic() - began_s)

    async def _restore_link(
        self, remote: RemoteObject, destination: Destination, *, fsync: bool, set_times: bool
    ) -> TransferResult:
        mtime_ns = self._mtime_of(remote.head, set_times=set_times)
        fsync = fsync or self._settings.fsync
        return await restore_link(self._control, remote, destination, mtime_ns=mtime_ns, fsync=fsync)

    # One attempt

    async def _attempt(
        self,
        destination: Destination,
        on_size: Callable[[int], None] | None,
        on_moved: Callable[[int], None] | None,
        remote: RemoteObject,
        *,
        fsync: bool,
        set_times: bool,
    ) -> TransferResult:
        head = remote.head
        if on_size is not None:
            on_size(head.size)
        checks = await self.checks_of(remote)
        layout = self.layout_of(head, checks)
        if len(layout) > LISTED_PARTS:
            await in_thread(prepare_tables)  # here, the import would hold up the loop
        retries = 0
        record = await self._resumer.record(destination, remote, layout, checks.folded)
        try:
            async with record:
                landing = record.landing or await self._land(destination, layout, record)
                record.allocated(landing)
                publish = functools.partial(
                    self._publish,
                    landing,
                    destination.folder,
                    fsync=fsync or self._settings.fsync,
                    mtime_ns=self._mtime_of(head, set_times=set_times),
                    kept_mode=kept_mode(head.content.metadata) if self._settings.preserve_mode else None,
                )
                if layout.size_bytes:
                    request = remote.request(0, layout.size_bytes, whole=layout.whole)
                    algorithm = record.algorithm or checks.folded
                    lease = GetLease(request=request, mapped=landing.mapped, algorithm=algorithm)
                    job = GetJob(template=lease, layout=layout, fd=landing.fd, on_moved=on_moved, kept=record.kept)
                    job.on_part = record.on_part
                    async with self._dispatcher.arrival(job) as table:
                        checks = await self._verified(remote, job, table, checks, landing)
                        record.verified()
                        await publish()
                    retries = job.retries
                else:
                    if checks.stored is not None or checks.md5_hex:
                        verify(checks, layout, _NO_PARTS, landing, hot=False)
                    await publish()
                record.published()
        finally:
            self._resumer.left_objects += record.left
        return msgspec.structs.replace(
            result_of(remote.ref, head, destination.path),
            integrity=checks.integrity,
            parts=len(layout),
            retries=retries,
            resumed_bytes=record.kept_bytes,
        )

    def layout_of(self, head: ObjectHead, checks: CheckPlan, *, part_size_bytes: int | None = None) -> Layout:
        """Return the parts to fetch an object in; what is to be checked may shape them.

        Args:
            part_size_bytes: where the settings name none; None for the default.
        """
        return plan_download(
            head.size,
            part_size_bytes=self._settings.part_size_bytes or part_size_bytes,
            boundaries=checks.boundaries,
            limits=self._settings.limits,
        )

    async def checks_of(self, remote: RemoteObject) -> CheckPlan:
        """Return what is to be checked of an object.

        Raises:
            TransferError: its parts could not be asked for.
        """
        parts: tuple[PartChecksum, ...] = ()
        if needs_parts(remote.head, self._settings.verify, computable=COMPUTABLE):
            parts = await self._control.part_checksums(remote)
        return plan_checks(remote.head, self._settings.verify, computable=COMPUTABLE, parts=parts)

    async def _land(self, destination: Destination, layout: Layout, record: DownloadRecord) -> Landing:
        mapped = self._settings.landing == "mapped"  # auto writes: docs/decisions/0002-landing.md
        arguments = (destination.folder.fd, destination.name, destination.path, layout.size_bytes)
        if layout.size_bytes <= INLINE_BYTES:
            landing = Landing.create(*arguments, allocate=mapped, prefer_mapped=mapped)
        else:
            landing = await undisturbed(
                in_thread(
                    Landing.create,
                    *arguments,
                    allocate=not self._settings.sparse,
                    prefer_mapped=mapped,
                    on_made=record.begin,
                ),
                undo=Landing.discard,
            )
        if mapped and layout.size_bytes and not landing.mapped:
            landing.discard()
            text = "this file system does not allocate or map files; use --landing auto or written"
            raise OtherError(text, destination.path)
        return landing

    async def _verified(
        self, remote: RemoteObject, job: GetJob, table: PartTable, checks: CheckPlan, landing: Landing
    ) -> CheckPlan:
        """Verify what has arrived, and once more what had to be fetched again; returns the checks that were made."""
        hot = True
        if checks.stored is None and job.promised is not None:
            # A listing tells no checksum, the reply does; one of the whole object was computed on the way.
            hot = job.promised.kind is ChecksumKind.FULL_OBJECT
            told = msgspec.structs.replace(remote.head, checksum=job.promised)
            checks = await self.checks_of(msgspec.structs.replace(remote, head=told))
        verdict = await self._verify(checks, job.layout, table, landing, hot=hot)
        if verdict.error is not None:
            table = await self._dispatcher.fetch_again(job, verdict.wrong_parts, verdict.error.info)
            verdict = await self._verify(checks, job.layout, table, landing, hot=hot)
            if verdict.error is not None:
                raise verdict.error
        if verdict.unproven:
            return msgspec.structs.replace(checks, integrity=without_checksum(remote.head))
        return checks

    async def _verify(
        self, checks: CheckPlan, layout: Layout, table: PartTable, landing: Landing, *, hot: bool
    ) -> Verification:
        if layout.size_bytes > INLINE_BYTES and reads_back(checks, hot=hot):
            return await undisturbed(in_thread(verify, checks, layout, table, landing, hot=hot))
        return verify(checks, layout, table, landing, hot=hot)

    def _mtime_of(self, head: ObjectHead, *, set_times: bool) -> int | None:
        if self._settings.preserve_times and (kept := kept_mtime(head.content.metadata)) is not None:
            return kept
        return mtime_of(head.last_modified) if set_times or self._settings.preserve_times else None

    async def _publish(
        self, landing: Landing, folder: FolderHandle, *, fsync: bool, mtime_ns: int | None, kept_mode: int | None
    ) -> None:
        inherited = folder.inherited_mode()
        mode, inherits = (self.mode, False) if inherited is None else (inherited, True)
        publish = functools.partial(
            landing.publish, mode=mode, fsync=fsync, inherits=inherits, mtime_ns=mtime_ns, kept_mode=kept_mode
        )
        if fsync:
            await undisturbed(in_thread(publish))
        else:
            publish()


async def look_for(control: Control, ref: ObjectRef, version_id: str, wanted: ObjectHead | None) -> RemoteObject:
    """Return what the service knows of an object, and where it is.

    Args:
        wanted: what a plan tells of it, None for whatever is there. Its time is kept: listings tell it more precisely
            than HEAD does.

    Raises:
        NotFound: there is no such object.
        PreconditionFailed: it has another ETag than the one that is wanted.
    """
    remote = await control.look(ref, version_id)
    if wanted is None:
        return remote
    require_wanted(remote.head, wanted, ref.url)
    if not wanted.last_modified:
        return remote
    head = msgspec.structs.replace(remote.head, last_modified=wanted.last_modified)
    return msgspec.structs.replace(remote, head=head)


def may_skip_head(head: ObjectHead, settings: Settings) -> bool:
    """Whether a listing tells enough: the object is fetched whole, and its reply brings the stored checksum along."""
    part_bytes = settings.part_size_bytes or DEFAULT_PART_SIZE_BYTES
    return settings.verify is not Verify.FULL and head.size <= part_bytes and bool(head.etag)


_NO_PARTS = new_part_table(0)
