"""Uploads one file, or what memory holds: whole by one PUT, or in parts.

open ─▶ whole PUT                                     below the threshold
     └▶ journal ─▶ parts in parallel ─▶ unchanged? ─▶ complete      from the threshold on
"""

from __future__ import annotations

import logging
import time

import msgspec

from bulkhaul.disk.source import Source
from bulkhaul.engine.loop.tasks import all_or_none
from bulkhaul.engine.messages.messages import PutLease
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.pool.job import PutJob
from bulkhaul.engine.transfers.content_type import with_content_type
from bulkhaul.engine.transfers.meter import Meter, OnMoved
from bulkhaul.engine.transfers.move_source import not_removed, require_stored
from bulkhaul.engine.transfers.multipart import MultipartUpload
from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
from bulkhaul.engine.transfers.result import confirmed, stored_result
from bulkhaul.engine.transfers.upload_checksum import UploadChecksums
from bulkhaul.engine.transfers.upload_resume import UploadResumer, options_digest
from bulkhaul.model.errors import LocalError, PayloadTooLarge, TransferError
from bulkhaul.model.files import FolderIdentity, SourceIdentity
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.storerules import check_object_size, exact_size
from bulkhaul.policy.uploadplan import plan_upload
from bulkhaul.wire.checksums import encoded_crc
from bulkhaul.wire.values import PutRequest

_log = logging.getLogger(__name__)


class Uploader:
    """Uploads files and bytes through the workers."""

    def __init__(
        self,
        settings: Settings,
        control: Control,
        dispatcher: Dispatcher,
        guard: MultipartGuard,
        checksums: UploadChecksums,
    ) -> None:
        self._settings = settings
        self._control = control
        self._dispatcher = dispatcher
        self._guard = guard
        self._checksums = checksums
        self._resumer = UploadResumer(settings, control, guard)

    async def upload_file(
        self,
        path: str,
        ref: ObjectRef,
        options: ObjectOptions,
        *,
        on_moved: OnMoved | None = None,
        remove: bool = False,
        inside: FolderIdentity | None = None,
        dry_run: bool = False,
    ) -> TransferResult:
        """Upload a file; what is at the key is the old object, or exactly the new one.

        Args:
            remove: remove the file once the object was stored and looked at, if it still is the one that was uploaded.
            inside: a folder out of which nothing is removed.
            dry_run: return what would be done, and do nothing.

        Raises:
            SourceChanged: the file changed meanwhile; no object was made of it.
            TransferError: it could not be done; nothing is left of it, or its journal names what is left.
        """
        began_s = time.monotonic()
        # Here, as files are listed and renamed: a thread would take longer than the file.
        source = Source.open(path, removable=remove)
        try:
            check_object_size(source.size_bytes, limits=self._settings.limits)
            if dry_run:
                return TransferResult(
                    source=path, destination=ref.url, bucket=ref.bucket, key=ref.key, size_bytes=source.size_bytes
                )
            options = with_content_type(options, path, ref.key)
            result = await self._checksums.with_or_without(
                ref, lambda algorithm: self._file(source, ref, options, algorithm, on_moved)
            )
            if remove:
                try:
                    await require_stored(self._control, ref, result.size_bytes, result.etag)
                except TransferError as error:
                    raise not_removed(error, path, ref.url) from error
                source.remove(inside)
        except TransferError as error:
            if error.info.code in ("BodyCorrupted", "WorkerDied"):
                source.check_unchanged()  # the likelier reason, and the one that can be mended
            about = path if isinstance(error, LocalError) else ref.url
            raise error.named(about) from error.__cause__
        finally:
            source.close()
        return msgspec.structs.replace(result, source=path, seconds=time.monotonic() - began_s)

    async def upload_memory(
        self,
        fd: int,
        size_bytes: int,
        ref: ObjectRef,
        options: ObjectOptions,
        *,
        only_if_absent: bool = False,
        on_moved: OnMoved | None = None,
    ) -> TransferResult:
        """Upload what a descriptor of memory holds.

        Args:
            only_if_absent: one PUT, whatever the size; the object must not exist yet.

        Raises:
            PreconditionFailed: it exists; Conflict: another write was under way.
            TransferError: it could not be done.
        """
        began_s = time.monotonic()
        check_object_size(size_bytes, ref.url, limits=self._settings.limits)
        if only_if_absent and size_bytes > self._settings.limits.max_part_bytes:
            most = exact_size(self._settings.limits.max_part_bytes)
            raise PayloadTooLarge(f"the body has {size_bytes} bytes, and one PUT takes at most {most}", ref.url)

        async def attempt(algorithm: str) -> TransferResult:
            if only_if_absent or size_bytes < self._settings.multipart_threshold_bytes:
                return await self._whole(
                    fd, size_bytes, ref, options, algorithm, on_moved, only_if_absent=only_if_absent
                )
            layout = self._layout(size_bytes)
            async with self._guard.begin_with(
                ref, options, algorithm=algorithm, part_size_bytes=layout.part_size_bytes
            ) as upload:
                return await self._parts(upload, layout, fd, ref, on_moved)

        try:
            result = await self._checksums.with_or_without(ref, attempt)
        except TransferError as error:
            raise error.named(ref.url) from error.__cause__
        return msgspec.structs.replace(result, seconds=time.monotonic() - began_s)

    # Files

    async def _file(
        self, source: Source, ref: ObjectRef, options: ObjectOptions, algorithm: str, on_moved: OnMoved | None
    ) -> TransferResult:
        if source.size_bytes < self._settings.multipart_threshold_bytes:
            return await self._whole(
                source.fd, source.size_bytes, ref, options, algorithm, on_moved, unchanged=source.identity
            )
        digest = options_digest(options, self._settings.checksum_algorithm)
        resumed = await self._resumer.take_up(source, ref, digest)
        if resumed is not None and resumed.stored is not None:
            return stored_result(ref, source.size_bytes, resumed.stored, len(resumed.layout), 0)
        if resumed is not None:
            async with self._guard.aborted_on_failure(resumed.upload):
                return await self._parts(resumed.upload, resumed.layout, source.fd, ref, on_moved, source)
        layout = self._layout(source.size_bytes)
        async with self._guard.begin_with(
            ref,
            options,
            algorithm=algorithm,
            part_size_bytes=layout.part_size_bytes,
            source=source.identity,
            options_digest=digest,
        ) as upload:
            return await self._parts(upload, layout, source.fd, ref, on_moved, source)

    async def _whole(
        self,
        fd: int,
        size_bytes: int,
        ref: ObjectRef,
        options: ObjectOptions,
        algorithm: str,
        on_moved: OnMoved | None,
        *,
        only_if_absent: bool = False,
        unchanged: SourceIdentity | None = None,
    ) -> TransferResult:
        """Send all of it in one PUT."""
        lease = PutLease(
            request=PutRequest(await self._control.target(ref.bucket), ref.bucket, ref.key),
            options=options,
            only_if_absent=only_if_absent,
            algorithm=algorithm,
            start=0,
            end=size_bytes,
            unchanged=unchanged,
        )
        job = PutJob(template=lease, fd=fd, on_moved=on_moved)
        await self._dispatcher.run(job)
        stored = confirmed(job.stored, encoded_crc(algorithm, job.crc) if algorithm else "")
        return stored_result(ref, size_bytes, stored, 1, job.retries)

    async def _parts(
        self,
        upload: MultipartUpload,
        layout: Layout,
        fd: int,
        ref: ObjectRef,
        on_moved: OnMoved | None,
        source: Source | None = None,
    ) -> TransferResult:
        """Send what the service does not have yet, and complete the upload."""
        meter = Meter(on_moved, upload.moved_bytes)
        meter.tell()

        async def send(index: int) -> None:
            part = layout[index]
            await upload.send(part, fd, start=part.start, on_moved=meter.part(part.number))
            meter.done(part.number, part.size_bytes)

        missing = (index for index in range(len(layout)) if index + 1 not in upload.parts)
        await all_or_none(send, missing, at_once=self._settings.max_in_flight + 1)
        if source is not None:
            source.check_unchanged()
        stored = await upload.complete()
        return stored_result(ref, layout.size_bytes, stored, len(layout), upload.retries)

    def _layout(self, size_bytes: int) -> Layout:
        return plan_upload(size_bytes, part_size_bytes=self._settings.part_size_bytes, limits=self._settings.limits)
