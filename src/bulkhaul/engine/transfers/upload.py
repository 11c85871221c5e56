"""Files and bytes to objects: whole or in parts, resumed where an earlier run was killed; it must not know workers.

open ─▶ whole PUT                                     below the threshold
     └▶ journal ─▶ parts in parallel ─▶ unchanged? ─▶ complete      from the threshold on
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable

import msgspec

from bulkhaul.disk.journal import Journal
from bulkhaul.disk.pending import open_for_resume
from bulkhaul.disk.readback import read_back
from bulkhaul.disk.records import JournalState
from bulkhaul.disk.source import Source, reading_error
from bulkhaul.disk.state import state_folder
from bulkhaul.engine.loop.tasks import all_or_none, undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.operations.abort_upload import not_offered
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
from bulkhaul.model.errors import LocalError, NotFound, PayloadTooLarge, TransferError
from bulkhaul.model.files import FolderIdentity, SourceIdentity
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions, UploadedPart
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.sameness import same_etag
from bulkhaul.policy.storerules import check_object_size, exact_size
from bulkhaul.policy.uploadplan import plan_upload
from bulkhaul.wire.checksums import encoded_crc, hasher
from bulkhaul.wire.values import Target

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

    async def upload_file(
        self,
        path: str,
        ref: ObjectRef,
        options: ObjectOptions,
        *,
        on_moved: OnMoved | None = None,
        remove: bool = False,
        inside: FolderIdentity | None = None,
    ) -> TransferResult:
        """Upload a file; what is at the key is the old object, or exactly the new one.

        Args:
            remove: remove the file once the object was stored and looked at, if it still is the one that was uploaded.
            inside: a folder out of which nothing is removed.

        Raises:
            SourceChanged: the file changed meanwhile; no object was made of it.
            TransferError: it could not be done; nothing is left of it, or its journal names what is left.
        """
        began_s = time.monotonic()
        # Here, as files are listed and renamed: a thread would take longer than the file.
        source = Source.open(path, removable=remove)
        try:
            check_object_size(source.size_bytes, limits=self._settings.limits)
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
        target = await self._control.target(ref.bucket)
        found = await undisturbed(in_thread(self._interrupted, target, ref), undo=_let_go)
        if found is not None:
            result = await self._resume(*found, source, ref, digest, on_moved)
            if result is not None:
                return result
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
        job = PutJob(
            target=await self._control.target(ref.bucket),
            bucket=ref.bucket,
            key=ref.key,
            algorithm=algorithm,
            fd=fd,
            start=0,
            size_bytes=size_bytes,
            options=options,
            only_if_absent=only_if_absent,
            unchanged=unchanged,
            on_moved=on_moved,
        )
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

    # Resuming

    def _interrupted(self, target: Target, ref: ObjectRef) -> tuple[Journal, JournalState] | None:
        folder = state_folder(self._settings.state_dir)
        return open_for_resume(folder, target.endpoint, ref.bucket, ref.key)

    async def _resume(
        self,
        journal: Journal,
        state: JournalState,
        source: Source,
        ref: ObjectRef,
        digest: str,
        on_moved: OnMoved | None,
    ) -> TransferResult | None:
        """Go on with what an earlier run has begun; None if it is given up, and the upload begins anew."""
        upload = self._guard.resumed(ref, journal, state)
        intent = state.intent
        if not state.upload_id:
            await self._guard.settle_lost_create(ref, journal)
            return None
        layout = Layout(source.size_bytes, intent.part_size_bytes)
        async with self._guard.left_on_failure(upload):
            same = (intent.source, intent.options_digest) == (source.identity, digest)
            if same and state.completing and (stored := await upload.settle(source.size_bytes)) is not None:
                upload.finish()
                _keep_journaled(upload, state, layout)
                return stored_result(ref, source.size_bytes, upload.verified(stored), len(layout), 0)
            try:
                listed = await upload.listed_parts() if same and self._settings.resume else []
            except NotFound:
                upload.finish()
                return None
            except TransferError as error:
                if not not_offered(error):
                    raise
                text = (
                    "an earlier upload to %s cannot be resumed, so it is aborted and begins anew: listing its parts: %s"
                )
                _log.warning(text, ref.url, error.message)
                await upload.abort()
                return None
            if not same or not self._settings.resume:
                await upload.abort()
                return None
            try:
                matching = (upload, listed, state, layout, source.fd, intent.algorithm)
                await undisturbed(in_thread(_keep_matching, *matching))
            except OSError as error:
                raise reading_error(error, source.path) from error
        async with self._guard.aborted_on_failure(upload):
            return await self._parts(upload, layout, source.fd, ref, on_moved, source)


def options_digest(options: ObjectOptions, checksum: str) -> str:
    """Return what tells whether two uploads would store the same object, without saying how.

    Args:
        checksum: the algorithm that was asked for, also where the endpoint turned out to take none.
    """
    return hashlib.blake2b(msgspec.msgpack.encode((options, checksum)), digest_size=16).hexdigest()


def _let_go(found: tuple[Journal, JournalState] | None) -> None:
    if found is not None:
        found[0].close()


def _keep_journaled(upload: MultipartUpload, state: JournalState, layout: Layout) -> None:
    """Keep the parts as the journal has them, if it has them all: they are what an object was made of."""
    if upload.algorithm and sorted(state.parts) == list(range(1, len(layout) + 1)):
        for sent in state.parts.values():
            checksum = encoded_crc(upload.algorithm, sent.crc)
            upload.keep(UploadedPart(sent.number, sent.size_bytes, sent.etag, checksum), sent.crc)


def _keep_matching(
    upload: MultipartUpload,
    listed: Iterable[UploadedPart],
    state: JournalState,
    layout: Layout,
    fd: int,
    algorithm: str,
) -> None:
    """Keep the listed parts that are what the file holds, by their checksum; the others are sent again.

    Raises:
        OSError: the file cannot be read.
    """
    for found in listed:
        if not 1 <= found.number <= len(layout) or layout[found.number - 1].size_bytes != found.size_bytes:
            continue
        part = layout[found.number - 1]
        known = state.parts.get(found.number)
        ours = known is not None and same_etag(known.etag, found.etag)
        digest = hasher(algorithm or "MD5")
        if algorithm and (ours or found.checksum):
            read_back(fd, part.start, part.end, [digest])
            crc = int.from_bytes(digest.digest(), "big")
            value = encoded_crc(algorithm, crc)
            if found.checksum == value or (not found.checksum and known is not None and known.crc == crc):
                upload.keep(found, crc)
        elif not algorithm:
            read_back(fd, part.start, part.end, [digest])
            if found.etag.strip('"') == digest.digest().hex():
                upload.keep(found, None)
