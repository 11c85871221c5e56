"""Copies one object from one service to another, through blocks of memory.

ranged GET ─▶ memory ─▶ PUT, part by part, checksum from end to end
"""

from __future__ import annotations

import time

import msgspec

from bulkhaul.engine.loop.tasks import all_or_none
from bulkhaul.engine.messages.memory import in_memory
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.ceiling import ceiling_for
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.block import BlockReader, MemoryBudget
from bulkhaul.engine.transfers.copy_source import (
    completed_options,
    find_source,
    foldable_checksum,
    source_object,
)
from bulkhaul.engine.transfers.meter import Meter, OnMoved
from bulkhaul.engine.transfers.move_source import SourceRemover
from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
from bulkhaul.engine.transfers.preserving import Preserved, preserved, require_preserved
from bulkhaul.engine.transfers.result import result_of, stored_result
from bulkhaul.engine.transfers.upload import Uploader
from bulkhaul.engine.transfers.upload_resume import UploadResumer
from bulkhaul.model.errors import IntegrityError, PreconditionFailed, TransferError
from bulkhaul.model.objects import Checksum, Integrity, ObjectHead, ObjectRef
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.blocks import SENT_BLOCK_BYTES, blocks_at_once
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.preserving import NOTHING
from bulkhaul.policy.storerules import same_object
from bulkhaul.policy.uploadplan import plan_upload
from bulkhaul.wire.checksums import encoded_crc, fold
from bulkhaul.wire.values import RemoteObject


class Origin(msgspec.Struct, frozen=True):
    """What reaches the service of the source: parts of the engine that was made for it.

    Attributes:
        control: asks it.
        dispatcher: whose workers fetch from it, with credentials of their own.
        remover: deletes what was moved away from it.
    """

    control: Control
    dispatcher: Dispatcher
    remover: SourceRemover


class Relay:
    """Copies objects from other services to this engine's own.

    Blocks of all its copies together are bounded, by requests in flight and by memory (``policy/blocks.py``).
    """

    def __init__(self, settings: Settings, control: Control, guard: MultipartGuard, uploader: Uploader) -> None:
        self._settings = settings
        self._control = control
        self._resumer = UploadResumer(settings, control, guard)
        self._uploader = uploader
        self._budget = MemoryBudget(ceiling_for(settings))

    async def copy(
        self,
        origin: Origin,
        source: ObjectRef,
        ref: ObjectRef,
        options: ObjectOptions | None = None,
        *,
        on_moved: OnMoved | None = None,
        version_id: str = "",
        wanted: ObjectHead | None = None,
        preserve: frozenset[Kept] = NOTHING,
        remove: bool = False,
        dry_run: bool = False,
    ) -> TransferResult:
        """Copy an object; metadata, content headers and tags stay where the options name none.

        Args:
            wanted: the object that a plan means; no other one is copied. None for whatever is there.
            preserve: what the copy keeps; where it cannot, it fails.
            remove: delete the source once it is stored, if it is as it was, and another object: two services may turn
                out to be one.
            dry_run: return what would be done, and do nothing.

        Raises:
            NotFound: there is no such source.
            PreconditionFailed: the source was replaced meanwhile, or is not the one that is wanted.
            IntegrityError: other bytes came than the source's checksum promises.
            UsageError: an object would be moved onto itself.
        """
        began_s = time.monotonic()
        if remove and source == ref and await same_bucket(origin.control, self._control, ref.bucket):
            raise same_object(source.url)
        found = await find_source(origin.control, source, version_id, self._settings.limits, wanted)
        if dry_run:
            return result_of(source, found.head, ref.url, ref)
        kept: Preserved | None = None
        if preserve:
            kept = await preserved(origin.control, found, options, preserve)
            options = kept.options
        else:  # the other service may have other storage classes
            options = await completed_options(origin.control, found, options or DEFAULT_OPTIONS)
        reader = BlockReader(origin.dispatcher, found, self._layout(found.head.size))
        small = found.head.size < self._settings.multipart_threshold_bytes
        relay = self._whole if small else self._in_parts
        try:
            result = await relay(reader, ref, options, on_moved)
        except TransferError as error:
            if error.info.code == "ObjectChanged":
                raise PreconditionFailed(error.message, source.url, error.cause) from error
            raise error.named(ref.url) from error.__cause__
        if kept is not None:
            await require_preserved(self._control, found, result, kept)
        if remove:
            await origin.remover.remove_copied(found, self._control, result, options)
        return msgspec.structs.replace(result, source_etag=found.head.etag, seconds=time.monotonic() - began_s)

    async def _whole(
        self, reader: BlockReader, ref: ObjectRef, options: ObjectOptions, on_moved: OnMoved | None
    ) -> TransferResult:
        source, size_bytes = reader.remote, reader.remote.head.size
        if not size_bytes:
            with in_memory(b"") as empty:
                result = await self._uploader.upload_memory(empty, 0, ref, options)
            return msgspec.structs.replace(result, source=source.ref.url)
        promised = foldable_checksum(source.head)
        whole = Layout(size_bytes, size_bytes, whole=reader.layout.whole)
        async with self._budget.hold(size_bytes):
            block = await reader.fetch(whole[0], promised.algorithm if promised else "")
            try:
                _require_promised(promised, [(block.crc, size_bytes)], source.ref)
                result = await self._uploader.upload_memory(block.fd, size_bytes, ref, options, on_moved=on_moved)
            finally:
                block.close()
        return _relayed(result, source, promised, block.retries)

    async def _in_parts(
        self, reader: BlockReader, ref: ObjectRef, options: ObjectOptions, on_moved: OnMoved | None
    ) -> TransferResult:
        source, layout = reader.remote, reader.layout
        promised = foldable_checksum(source.head)
        algorithm = promised.algorithm if promised else ""
        retries = 0
        copying = self._resumer.copying(ref, options, layout, source_object(source), promised=algorithm)
        async with copying as resumed:
            upload, kept_bytes = resumed.upload, resumed.kept_bytes
            meter = Meter(on_moved, kept_bytes)
            meter.tell()

            async def pass_on(index: int) -> None:
                nonlocal retries
                part = layout[index]
                async with self._budget.hold(part.size_bytes):
                    block = await reader.fetch(part, algorithm)
                    crc = block.crc if algorithm else None
                    try:
                        await upload.send(part, block.fd, start=0, on_moved=meter.part(part.number), source_crc=crc)
                    finally:
                        block.close()
                retries += block.retries
                meter.done(part.number, part.size_bytes)

            if (stored := resumed.stored) is None:
                at_once = blocks_at_once(layout.part_size_bytes, ceiling_for(self._settings))
                missing = (index for index in range(len(layout)) if index + 1 not in upload.parts)
                await all_or_none(pass_on, missing, at_once=at_once)
                if promised is not None:
                    crcs = [
                        (upload.source_crcs[part.number], part.size_bytes)
                        for part in map(layout.__getitem__, range(len(layout)))
                    ]
                    _require_promised(promised, crcs, source.ref)
                stored = await upload.complete()
        result = stored_result(ref, source.head.size, stored, len(layout), upload.retries)
        relayed = _relayed(result, source, promised, retries)
        return msgspec.structs.replace(relayed, resumed_bytes=kept_bytes)

    def _layout(self, size_bytes: int) -> Layout:
        limits = self._settings.limits
        part_bytes = self._settings.part_size_bytes or max(SENT_BLOCK_BYTES, limits.min_part_bytes)
        layout = plan_upload(size_bytes, part_size_bytes=part_bytes, limits=limits)
        return Layout(size_bytes, layout.part_size_bytes, whole=0 < size_bytes <= layout.part_size_bytes)


async def same_bucket(origin: Control, control: Control, bucket: str) -> bool:
    """Whether a bucket of one engine is the bucket of that name of another, perhaps asked for by somebody else."""
    ours, theirs = await control.target(bucket), await origin.target(bucket)
    return (ours.host, ours.port, ours.path_prefix) == (theirs.host, theirs.port, theirs.path_prefix)


def _require_promised(promised: Checksum | None, crcs: list[tuple[int, int]], source: ObjectRef) -> None:
    if promised is None:
        return
    actual = encoded_crc(promised.algorithm, fold(promised.algorithm, crcs))
    if actual != promised.value:
        text = f"{promised.algorithm} does not match: expected {promised.value}, actual {actual}; nothing was stored"
        raise IntegrityError(text, source.url)


def _relayed(result: TransferResult, source: RemoteObject, promised: Checksum | None, retries: int) -> TransferResult:
    integrity = result.integrity
    if integrity is Integrity.CHECKSUM and promised is None:
        integrity = Integrity.ETAG  # a checksum proves the way there, the ETag the way from the source
    return msgspec.structs.replace(result, source=source.ref.url, integrity=integrity, retries=result.retries + retries)
