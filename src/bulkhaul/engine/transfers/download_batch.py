"""Downloads small objects of one folder together: one lease for all of them, a row for each.

    rows ─▶ batch job ─▶ landed ─▶ ETag, length, checksum ─▶ rename ─▶ result
                    ╰─▶ failed, or another object than was listed ─▶ alone: by ``download``, as any single object

An object passes through no task, future, thread, descriptor or lock file of its own in the coordinator.
"""

from __future__ import annotations

import asyncio
import functools
import time

import msgspec

from bulkhaul.disk.folder import DestinationTree, FolderHandle
from bulkhaul.disk.landing import flush_folder
from bulkhaul.disk.small_files import discard_temp, publish
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.messages.messages import GetBatch, GetRow, Landed
from bulkhaul.engine.pool.batch_job import Arrived, BatchJob
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.alone import Alone
from bulkhaul.engine.transfers.batch import Outlet, Work
from bulkhaul.engine.transfers.download import Downloader
from bulkhaul.model.errors import TransferError
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.policy.batching import BatchLimits
from bulkhaul.policy.filetimes import mtime_of
from bulkhaul.policy.sameness import same_etag
from bulkhaul.policy.verification import integrity_of_small
from bulkhaul.wire.checksums import COMPUTABLE
from bulkhaul.wire.values import RemoteObject


class SmallObject(msgspec.Struct, frozen=True):
    """One object of a batch.

    Attributes:
        name: of its file.
        planned: its result, as far as it is known.
        alone: downloads it by itself.
    """

    remote: RemoteObject
    name: str
    planned: TransferResult
    alone: Work


class BatchDownload:
    """The download of some small objects into one folder."""

    def __init__(
        self,
        settings: Settings,
        dispatcher: Dispatcher,
        downloader: Downloader,
        tree: DestinationTree,
        components: tuple[str, ...],
        objects: list[SmallObject],
        limits: BatchLimits,
        suspects: asyncio.Lock,
        *,
        set_times: bool = False,
    ) -> None:
        """Take what is downloaded, and where.

        Args:
            components: of the folder, below the tree.
            limits: is told how many objects went on alone.
            suspects: held by one object of the run at a time, of those that workers have died with.
            set_times: files were modified when their objects were.
        """
        self._set_times = set_times
        self._settings = settings
        self._dispatcher = dispatcher
        self._downloader = downloader
        self._tree = tree
        self._components = components
        self._objects = objects
        self._limits = limits
        self._suspects = suspects

    async def run(self, outlet: Outlet) -> None:
        """Carry it out; nothing but what was published is left behind.

        Raises:
            TransferError: the folder cannot be had.
        """
        folder = self._tree.folder(self._components)
        alone = Alone(outlet, [one.alone for one in self._objects], self._suspects)
        try:
            try:
                self._downloader.sweep(folder)
            except TransferError:  # the folder may yet be written
                alone.all_go()
                return
            await self._into(folder, outlet, alone)
        finally:
            folder.release()

    async def _into(self, folder: FolderHandle, outlet: Outlet, alone: Alone) -> None:
        first = self._objects[0]
        inherited = folder.inherited_mode()
        template = GetBatch(
            target=first.remote.target,
            bucket=first.remote.ref.bucket,
            prefix=first.remote.ref.key.removesuffix(first.name),
            rows=[self._row(one) for one in self._objects],
            mode=self._downloader.mode if inherited is None else inherited,
            fsync=self._settings.fsync,
            vacant=folder.was_vacant(),
            preserves=self._settings.preserves,
        )
        access = (template.mode, inherited is not None)
        attempt = _Attempt(self._settings, folder, self._objects, outlet, alone, access)
        job = attempt.job = BatchJob(
            template=template, fd=folder.fd, on_rows=attempt.take, left=list(range(len(self._objects)))
        )
        try:
            await alone.after(job, self._dispatcher)
        finally:
            for temp in job.leftovers():
                discard_temp(folder.fd, temp)
        await attempt.finish()
        self._limits.ended(len(self._objects), alone.count)

    def _row(self, one: SmallObject) -> GetRow:
        head = one.remote.head
        mtime_ns = mtime_of(head.last_modified) if self._set_times or self._settings.preserve_times else None
        return GetRow(one.name, head.etag, head.size, mtime_ns)


class _Attempt:
    """What becomes of each row."""

    def __init__(
        self,
        settings: Settings,
        folder: FolderHandle,
        objects: list[SmallObject],
        outlet: Outlet,
        alone: Alone,
        access: tuple[int, bool],
    ) -> None:
        """Take what is shared; ``access``: mode of new files, and whether the folder may give them an ACL."""
        self.job: BatchJob
        self._alone = alone
        self._settings = settings
        self._folder = folder
        self._objects = objects
        self._outlet = outlet
        self._mode, self._inherits = access
        self._unflushed: list[tuple[int, TransferResult]] = []
        self._began_s = time.monotonic()

    def take(self, arrived: list[Arrived], alone: list[int]) -> int:
        """Publish what has arrived, and have the others fetched alone; see ``BatchJob.on_rows``."""
        lost_bytes = 0
        seconds = time.monotonic() - self._began_s
        for one in arrived:
            if self.job.abandoned:
                discard_temp(self._folder.fd, one.temp)
            elif (result := self._publish(one, seconds)) is None:
                lost_bytes += self._objects[one.place].remote.head.size
                self._alone.go(one.place)
            elif self._settings.fsync:
                self._unflushed.append((one.place, result))
            else:
                self._outlet.end(one.place, result)
        for place in alone:
            if not self.job.abandoned:
                self._alone.go(place)
        return lost_bytes

    def _publish(self, one: Arrived, seconds: float) -> TransferResult | None:
        """Give an object its name if it is what was listed, else return None and leave nothing of it."""
        landed, small = one.told, self._objects[one.place]
        assert isinstance(landed, Landed)
        head = small.remote.head
        integrity = None
        if landed.size_bytes == head.size and same_etag(landed.etag, head.etag):
            integrity = integrity_of_small(
                head, self._settings.verify, landed.promised, landed.computed, computable=COMPUTABLE
            )
        if integrity is None:
            discard_temp(self._folder.fd, one.temp)
            return None
        try:
            publish(
                self._folder.fd,
                small.name,
                small.planned.destination,
                one.temp,
                inode=landed.inode,
                changed_ns=landed.changed_ns,
                size_bytes=landed.size_bytes,
                private=landed.private,
                mode=self._mode,
                inherits=self._inherits,
                fsync=self._settings.fsync,
                kept_mode=landed.mode,
            )
        except TransferError:
            return None
        return msgspec.structs.replace(
            small.planned, integrity=integrity, parts=1, retries=self.job.attempts - 1, seconds=seconds
        )

    async def finish(self) -> None:
        """Flush the folder once, and only then tell what was published in it."""
        if not self._unflushed:
            return
        path = self._unflushed[0][1].destination
        failure = None
        try:
            await undisturbed(in_thread(functools.partial(flush_folder, self._folder.fd, path)))
        except TransferError as error:
            failure = error.info
        for place, result in self._unflushed:
            if failure is not None:
                result = msgspec.structs.replace(self._objects[place].planned, failure=failure)
            self._outlet.end(place, result)
