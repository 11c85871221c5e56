"""Uploads small files of one folder together: one lease for all of them, a row for each.

files ─▶ batch job ─▶ sent ─▶ what the service has confirmed ─▶ result
╰─▶ failed, or no file as it was listed ─▶ alone: by ``upload``, as any single file
"""

from __future__ import annotations

import asyncio
import os
import time

import msgspec

from bulkhaul.disk.source import open_to_read_in
from bulkhaul.engine.messages.messages import PutBatch, PutRow, Sent
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.batch_job import Arrived, BatchJob
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.alone import Alone
from bulkhaul.engine.transfers.batch import Outlet, Work
from bulkhaul.engine.transfers.result import confirmed, stored_result
from bulkhaul.engine.transfers.upload_checksum import UploadChecksums
from bulkhaul.model.errors import TransferError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.batching import SMALL_UPLOAD_BYTES, BatchLimits


class SmallFile(msgspec.Struct, frozen=True):
    """One file of a batch.

    Attributes:
        name: of the file, in the folder of the batch, and the end of its key.
        content_type: of its object.
        planned: its result, as far as it is known.
        alone: uploads it by itself.
    """

    ref: ObjectRef
    name: str
    content_type: str
    planned: TransferResult
    alone: Work


class SmallUploads:
    """The batches of one run."""

    def __init__(
        self, settings: Settings, control: Control, dispatcher: Dispatcher, checksums: UploadChecksums
    ) -> None:
        self._settings = settings
        self._control = control
        self._dispatcher = dispatcher
        self._checksums = checksums
        self._limits = BatchLimits()
        self._suspects = asyncio.Lock()

    def takes(self, size_bytes: int) -> bool:
        """Whether a file of this size may be part of a batch."""
        settings = self._settings
        return (
            0 < size_bytes <= SMALL_UPLOAD_BYTES
            and size_bytes < settings.multipart_threshold_bytes
            and settings.transport != "sdk"
            and settings.bandwidth_bytes_per_s is None
            and self._limits.of_use
        )

    async def upload(self, folder: str, files: list[SmallFile], options: ObjectOptions, outlet: Outlet) -> None:
        """Upload files of one folder."""
        alone = Alone(outlet, [one.alone for one in files], self._suspects)
        first = files[0].ref
        try:
            target = await self._control.target(first.bucket)
            algorithm = await self._checksums.algorithm_for(first)
            folder_fd = open_to_read_in(folder)
        except TransferError:  # each fails with an error of its own
            alone.all_go()
            return
        try:
            if not target.fast:
                alone.all_go()
                return
            template = PutBatch(
                target=target,
                bucket=first.bucket,
                prefix=first.key.removesuffix(files[0].name),
                rows=[PutRow(one.name, one.planned.size, one.content_type) for one in files],
                options=options,
                algorithm=algorithm,
                preserves=self._settings.preserves,
            )
            await self._send(template, files, folder_fd, outlet, alone)
        finally:
            os.close(folder_fd)
        self._limits.ended(len(files), alone.count)

    async def _send(
        self, template: PutBatch, files: list[SmallFile], folder_fd: int, outlet: Outlet, alone: Alone
    ) -> None:
        began_s = time.monotonic()

        def take(arrived: list[Arrived], failed: list[int]) -> int:
            seconds = time.monotonic() - began_s
            for one in arrived:
                assert isinstance(one.told, Sent)
                file = files[one.place]
                stored = confirmed(one.told.stored, one.told.checksum)
                result = stored_result(file.ref, file.planned.size, stored, 1, job.attempts - 1)
                outlet.end(one.place, msgspec.structs.replace(result, source=file.planned.source, seconds=seconds))
            for place in () if job.abandoned else failed:
                alone.go(place)
            return 0

        job = BatchJob(template=template, fd=folder_fd, on_rows=take, left=list(range(len(files))))
        await alone.after(job, self._dispatcher)
