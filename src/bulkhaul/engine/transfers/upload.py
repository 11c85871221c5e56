"""Uploads one file, or what memory holds: whole by one PUT, or in parts.

open ─▶ whole PUT                                     below the threshold
     └▶ journal ─▶ parts in parallel ─▶ unchanged? ─▶ complete      from the threshold on
"""

from __future__ import annotations

import functools
import logging
import os
import time

import msgspec

from bulkhaul.disk.links import is_link
from bulkhaul.disk.source import SourceFile
from bulkhaul.engine.loop.tasks import all_or_none
from bulkhaul.engine.messages.messages import PutLease
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.ceiling import ceiling_for
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.pool.job import PutJob
from bulkhaul.engine.transfers.content_type import with_content_type
from bulkhaul.engine.transfers.links import store_link
from bulkhaul.engine.transfers.meter import Meter, OnMoved
from bulkhaul.engine.transfers.move_source import not_removed, require_stored
from bulkhaul.engine.transfers.multipart import MultipartUpload
from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
from bulkhaul.engine.transfers.result import confirmed, stored_result, upload_result
from bulkhaul.engine.transfers.upload_batch import SmallUploads
from bulkhaul.engine.transfers.upload_checksum import UploadChecksums
from bulkhaul.engine.transfers.upload_resume import Resumed, UploadResumer, options_digest
from bulkhaul.model.errors import LocalError, PayloadTooLarge, TransferError
from bulkhaul.model.files import FolderIdentity
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.file_metadata import with_kept
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.storerules import check_object_size, exact_size
from bulkhaul.policy.uploadplan import plan_upload
from bulkhaul.wire.checksums import encoded_crc
from bulkhaul.wire.values import PutRequest

_log = logging.getLogger("bulkhaul")


class _Body(msgspec.Struct, frozen=True):
    """What one upload sends, and what is made of it.

    Attributes:
        ref, options: the object that is made.
        fd: holds the bytes, from its first one on.
        source: the file that they are of, None for memory.
    """

    ref: ObjectRef
    options: ObjectOptions
    fd: int
    size_bytes: int
    on_moved: OnMoved | None
    source: SourceFile | None = None


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
        self._told_refused = False

    @property
    def stores_links(self) -> bool:
        """Whether symbolic links are stored themselves."""
        return self._settings.store_links

    def small(self) -> SmallUploads:
        """Return what uploads the small files of one run together."""
        return SmallUploads(self._settings, self._control, self._dispatcher, self._checksums)

    def _tell_refused(self, path: str, why: str) -> None:
        """Warn once that links are stored which no download makes again."""
        if not self._told_refused:
            self._told_refused = True
            text = "links like %s are stored, but no download makes them again: %s"
            _log.warning(text, path, why)

    async def upload_file(
        self,
        path: str,
        ref: ObjectRef,
        options: ObjectOptions,
        *,
        only_if_absent: bool = False,
        on_moved: OnMoved | None = None,
        remove: bool = False,
        inside: FolderIdentity | None = None,
        dry_run: bool = False,
    ) -> TransferResult:
        """Upload a file; at any time the key has the old object, or exactly the new one.

        Args:
            only_if_absent: one PUT, whatever the size; the object must not exist yet.
            remove: remove the file once a HEAD has shown its object, if it still is the file that was uploaded.
            inside: a folder out of which nothing is removed.
            dry_run: return what would be done, and do nothing.

        Raises:
            PreconditionFailed, Conflict: see ``upload_memory``.
            SourceChanged: the file changed meanwhile; no object was made of it.
            TransferError: it could not be done; nothing is left of it, or its journal names what is left.
        """
        began_s = time.monotonic()
        if self.stores_links and is_link(path):
            kept = self._settings.preserves
            send = functools.partial(self.upload_memory, only_if_absent=only_if_absent)
            link = functools.partial(store_link, self._control, send, path, ref, options, kept=kept)
            result = await link(remove=remove, dry_run=dry_run, on_refused=self._tell_refused)
            return msgspec.structs.replace(result, seconds=time.monotonic() - began_s)
        # Here, as files are listed and renamed: a thread would take longer than the file.
        source = SourceFile.open(path, removable=remove)
        try:
            self._check_size(source.size_bytes, ref, only_if_absent=only_if_absent)
            if dry_run:
                return upload_result(path, ref, source.size_bytes)
            options = with_content_type(options, path, ref.key)
            if kept := self._settings.preserves:
                options = with_kept(options, os.fstat(source.fd), kept)
            body = _Body(ref, options, source.fd, source.size_bytes, on_moved, source)
            result = await self._made(body, only_if_absent=only_if_absent)
            if remove:
                try:
                    await require_stored(self._control, ref, result.size, result.etag)
                except TransferError as error:
                    raise not_removed(error, path, ref.url) from error
                source.remove(inside)
        except TransferError as error:
            if error.info.code in ("BodyCorrupted", "WorkerDied"):
                source.check_unchanged()  # the likelier reason, and one that the user can mend
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
        self._check_size(size_bytes, ref, only_if_absent=only_if_absent)
        body = _Body(ref, options, fd, size_bytes, on_moved)
        try:
            result = await self._made(body, only_if_absent=only_if_absent)
        except TransferError as error:
            raise error.named(ref.url) from error.__cause__
        return msgspec.structs.replace(result, seconds=time.monotonic() - began_s)

    def _check_size(self, size_bytes: int, ref: ObjectRef, *, only_if_absent: bool) -> None:
        check_object_size(size_bytes, ref.url, limits=self._settings.limits)
        if only_if_absent and size_bytes > self._settings.limits.max_part_bytes:
            most = exact_size(self._settings.limits.max_part_bytes)
            raise PayloadTooLarge(f"the body has {size_bytes} bytes, and one PUT takes at most {most}", ref.url)

    async def _made(self, body: _Body, *, only_if_absent: bool) -> TransferResult:
        """Make the object, or find that a try whose reply was lost has made it."""
        if not only_if_absent:
            return await self._checksums.with_or_without(body.ref, functools.partial(self._send, body))
        from bulkhaul.engine.transfers.created import created

        async def write(options: ObjectOptions) -> TransferResult:
            marked = msgspec.structs.replace(body, options=options)
            sending = functools.partial(self._whole, marked, only_if_absent=True)
            return await self._checksums.with_or_without(body.ref, sending)

        return await created(write, self._control.head, body.ref, body.options, body.size_bytes)

    async def _send(self, body: _Body, algorithm: str) -> TransferResult:
        if body.size_bytes < self._settings.multipart_threshold_bytes:
            return await self._whole(body, algorithm)
        identity, digest = None, ""
        if body.source is not None:
            identity, digest = body.source.identity, options_digest(body.options, self._settings.checksum_algorithm)
            resumed = await self._resumer.take_up(body.source, body.ref, digest)
            if resumed is not None:
                return await self._resume(resumed, body)
        layout = plan_upload(
            body.size_bytes, part_size_bytes=self._settings.part_size_bytes, limits=self._settings.limits
        )
        begun = self._guard.begin_with(
            body.ref,
            body.options,
            algorithm=algorithm,
            part_size_bytes=layout.part_size_bytes,
            source=identity,
            options_digest=digest,
        )
        async with begun as upload:
            return await self._in_parts(upload, layout, body)

    async def _whole(self, body: _Body, algorithm: str, *, only_if_absent: bool = False) -> TransferResult:
        """Send all of it in one PUT."""
        ref = body.ref
        lease = PutLease(
            request=PutRequest(await self._control.target(ref.bucket), ref.bucket, ref.key),
            options=body.options,
            only_if_absent=only_if_absent,
            algorithm=algorithm,
            start=0,
            end=body.size_bytes,
            unchanged=body.source.identity if body.source is not None else None,
        )
        job = PutJob(template=lease, fd=body.fd, on_moved=body.on_moved)
        await self._dispatcher.run(job)
        stored = confirmed(job.stored, encoded_crc(algorithm, job.crc) if algorithm else "")
        return stored_result(ref, body.size_bytes, stored, 1, job.retries)

    async def _resume(self, resumed: Resumed, body: _Body) -> TransferResult:
        if resumed.stored is not None:
            result = stored_result(body.ref, body.size_bytes, resumed.stored, len(resumed.layout), 0)
            return msgspec.structs.replace(result, resumed_bytes=resumed.kept_bytes)
        kept_bytes = resumed.kept_bytes
        async with self._guard.aborted_on_failure(resumed.upload):
            result = await self._in_parts(resumed.upload, resumed.layout, body)
        return msgspec.structs.replace(result, resumed_bytes=kept_bytes)

    async def _in_parts(self, upload: MultipartUpload, layout: Layout, body: _Body) -> TransferResult:
        """Send what the service does not have yet, and complete the upload."""
        meter = Meter(body.on_moved, upload.moved_bytes)
        meter.tell()

        async def send(index: int) -> None:
            part = layout[index]
            await upload.send(part, body.fd, start=part.start, on_moved=meter.part(part.number))
            meter.done(part.number, part.size_bytes)

        missing = (index for index in range(len(layout)) if index + 1 not in upload.parts)
        await all_or_none(send, missing, at_once=ceiling_for(self._settings) + 1)
        if body.source is not None:
            body.source.check_unchanged()
        stored = await upload.complete()
        return stored_result(body.ref, layout.size_bytes, stored, len(layout), upload.retries)
