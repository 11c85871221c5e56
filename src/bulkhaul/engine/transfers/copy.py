"""Objects to objects: by the service itself, or between two services through memory; it must not know a disk.

one service    CopyObject                          below the threshold
               create ─▶ UploadPartCopy … ─▶ complete      from there on
two services   ranged GET ─▶ memory ─▶ PUT, part by part, checksum from end to end
"""

from __future__ import annotations

import functools
import os
import secrets
import time

import msgspec

from bulkhaul.engine.loop.tasks import all_or_none
from bulkhaul.engine.messages.memory import new_memory
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.block import MEMORY_BYTES, BlockReader, MemoryBudget
from bulkhaul.engine.transfers.meter import Meter, OnMoved
from bulkhaul.engine.transfers.move_source import SourceRemover, not_removed, require_stored
from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
from bulkhaul.engine.transfers.result import confirmed, stored_result
from bulkhaul.engine.transfers.upload import Uploader
from bulkhaul.model.errors import IntegrityError, NotFound, PreconditionFailed, TransferError, Unsupported
from bulkhaul.model.objects import TOKEN_KEY, Checksum, ChecksumKind, Content, Integrity, ObjectHead, ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import CopySource, ObjectOptions, Stored
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.storerules import check_object_size
from bulkhaul.policy.uploadplan import plan_upload
from bulkhaul.wire.checksums import CRC_BYTES, encoded_crc, fold

MAX_COPY_BYTES = 5 * 1024**3
"""Largest object that one CopyObject copies. Source: S3 API, CopyObject."""


class Copier:
    """Copies objects.

    Blocks of all relays together are bounded: by the requests in flight, and by ``MEMORY_BYTES`` or a single block.
    """

    def __init__(
        self,
        settings: Settings,
        control: Control,
        dispatcher: Dispatcher,
        guard: MultipartGuard,
        uploader: Uploader,
        remover: SourceRemover,
    ) -> None:
        self._settings = settings
        self._control = control
        self._dispatcher = dispatcher
        self._guard = guard
        self._uploader = uploader
        self._remover = remover
        self._budget = MemoryBudget(MEMORY_BYTES, settings.max_in_flight)

    async def copy(
        self,
        source: ObjectRef,
        ref: ObjectRef,
        options: ObjectOptions | None = None,
        *,
        version_id: str = "",
        remove: bool = False,
    ) -> TransferResult:
        """Have the service copy an object; metadata, content headers and tags stay where the options name none.

        Args:
            remove: delete the source once its copy was asked for, if it is as it was, and another object.

        Raises:
            NotFound: there is no such source.
            PreconditionFailed: the source was replaced meanwhile.
            TransferError: it could not be copied.
        """
        began_s = time.monotonic()
        info = _of_version(await self._control.head(source, version_id), version_id)
        check_object_size(info.size_bytes, limits=self._settings.limits)
        origin = CopySource(source.bucket, source.key, info.etag, info.version_id)
        if options is not None:
            options = await _completed(options, self._control, source, info, info.storage_class)
        small = info.size_bytes < self._settings.multipart_threshold_bytes and info.size_bytes <= MAX_COPY_BYTES
        if small or not info.size_bytes:
            try:
                stored = await self._control.copy_object(ref, origin, options, storage_class=info.storage_class)
            except NotFound as error:
                if error.info.service_code != "NoSuchBucket":
                    raise
                # The source was there a moment ago; the one bucket that nobody has looked at is the other one.
                raise error.about(ref.url) from error
            result = _copied(source, ref, info, stored, 1)
        else:
            result = await self._in_parts(source, ref, info, origin, options)
        if remove:
            await self._remove_source(self._remover, source, info, ref, result, options)
        return msgspec.structs.replace(result, source_etag=info.etag, seconds=time.monotonic() - began_s)

    async def relay(
        self,
        origin: Copier,
        source: ObjectRef,
        ref: ObjectRef,
        options: ObjectOptions | None = None,
        *,
        on_moved: OnMoved | None = None,
        version_id: str = "",
        remove: bool = False,
    ) -> TransferResult:
        """Copy an object from another service, through memory.

        Args:
            origin: of the source's engine, whose workers fetch it, with credentials of their own.
            remove: as for ``copy``; two services may turn out to be one.

        Raises:
            NotFound: there is no such source.
            PreconditionFailed: the source was replaced meanwhile.
            IntegrityError: other bytes came than the source's checksum promises.
        """
        began_s = time.monotonic()
        known = await origin._control.look(source, version_id)
        info = _of_version(known.head, version_id)
        check_object_size(info.size_bytes, limits=self._settings.limits)
        if options is None:
            kept = kept_options(info, await _tags(origin._control, source, info))
            options = msgspec.structs.replace(kept, storage_class="")  # the other service may have other classes
        else:
            options = await _completed(options, origin._control, source, info)
        layout = self._relay_layout(info.size_bytes)
        reader = BlockReader(origin._dispatcher, known, layout)
        try:
            if info.size_bytes < self._settings.multipart_threshold_bytes:
                result = await self._relay_whole(reader, layout, source, ref, info, options, on_moved)
            else:
                result = await self._relay_parts(reader, layout, source, ref, info, options, on_moved)
        except TransferError as error:
            if error.info.code == "ObjectChanged":
                raise PreconditionFailed(error.message, source.url, error.cause) from error
            raise error.named(ref.url) from error.__cause__
        if remove:
            await self._remove_source(origin._remover, source, info, ref, result, options)
        return msgspec.structs.replace(result, source_etag=info.etag, seconds=time.monotonic() - began_s)

    # Moves

    async def _remove_source(
        self,
        remover: SourceRemover,
        source: ObjectRef,
        info: ObjectHead,
        ref: ObjectRef,
        result: TransferResult,
        options: ObjectOptions | None,
    ) -> None:
        """Delete what was copied.

        Args:
            remover: of the source's service.
            info: the source as it was copied.
            options: that the copy was stored with.
        """
        try:
            stored = await require_stored(self._control, ref, result.size_bytes, result.etag)
            await remover.remove(
                source, info, copy=stored, mark=functools.partial(self._mark, ref, stored, options or ObjectOptions())
            )
        except TransferError as error:
            raise not_removed(error, source.url, ref.url) from error

    async def _mark(self, ref: ObjectRef, stored: ObjectHead, options: ObjectOptions) -> str:
        """Copy an object onto itself with a new token in its metadata, and return that."""
        token = secrets.token_hex(16)
        content = msgspec.structs.replace(stored.content, metadata={**stored.content.metadata, TOKEN_KEY: token})
        marked = msgspec.structs.replace(
            options,
            content=content,
            tags=await _tags(self._control, ref, stored),
            storage_class=stored.storage_class,
        )
        origin = CopySource(ref.bucket, ref.key, stored.etag, stored.version_id)
        await self._control.copy_object(ref, origin, marked)
        if (await self._control.head(ref)).token != token:
            text = "it cannot be told from its copy, so it stays: the endpoint keeps no metadata that would show it"
            raise Unsupported(f"{text}; delete it with `bulkhaul rm` if it is another object", ref.url)
        return token

    # On one service

    async def _in_parts(
        self,
        source: ObjectRef,
        ref: ObjectRef,
        info: ObjectHead,
        origin: CopySource,
        options: ObjectOptions | None,
    ) -> TransferResult:
        if options is None:
            options = kept_options(info, await _tags(self._control, source, info))
        layout = self._layout(info.size_bytes)
        promised = _foldable(info)
        kept = promised.algorithm if promised else ""
        async with self._guard.begin(ref, options, part_size_bytes=layout.part_size_bytes, kept=kept) as upload:

            async def copy_part(index: int) -> None:
                await upload.copy(layout[index], origin)

            await all_or_none(copy_part, range(len(layout)), at_once=self._settings.max_in_flight)
            stored = await upload.complete()
        return _copied(source, ref, info, stored, len(layout))

    # Between two services

    async def _relay_whole(
        self,
        reader: BlockReader,
        layout: Layout,
        source: ObjectRef,
        ref: ObjectRef,
        info: ObjectHead,
        options: ObjectOptions,
        on_moved: OnMoved | None,
    ) -> TransferResult:
        if not info.size_bytes:
            empty = new_memory()
            try:
                result = await self._uploader.upload_memory(empty, 0, ref, options)
            finally:
                os.close(empty)
            return msgspec.structs.replace(result, source=source.url)
        promised = _foldable(info)
        whole = Layout(info.size_bytes, info.size_bytes, whole=layout.whole)
        async with self._budget.hold(info.size_bytes):
            block = await reader.fetch(whole[0], promised.algorithm if promised else "")
            try:
                _require_promised(promised, [(block.crc, info.size_bytes)], source)
                result = await self._uploader.upload_memory(block.fd, info.size_bytes, ref, options, on_moved=on_moved)
            finally:
                block.close()
        return _relayed(result, source, promised, block.retries)

    async def _relay_parts(
        self,
        reader: BlockReader,
        layout: Layout,
        source: ObjectRef,
        ref: ObjectRef,
        info: ObjectHead,
        options: ObjectOptions,
        on_moved: OnMoved | None,
    ) -> TransferResult:
        promised = _foldable(info)
        meter = Meter(on_moved)
        crcs = [(0, 0)] * len(layout)
        retries = 0
        async with self._guard.begin(ref, options, part_size_bytes=layout.part_size_bytes) as upload:

            async def pass_on(index: int) -> None:
                nonlocal retries
                part = layout[index]
                async with self._budget.hold(part.size_bytes):
                    block = await reader.fetch(part, promised.algorithm if promised else "")
                    try:
                        await upload.send(part, block.fd, start=0, on_moved=meter.part(part.number))
                    finally:
                        block.close()
                crcs[index] = (block.crc, part.size_bytes)
                retries += block.retries
                meter.done(part.number, part.size_bytes)

            await all_or_none(pass_on, range(len(layout)), at_once=self._settings.max_in_flight)
            _require_promised(promised, crcs, source)
            stored = await upload.complete()
        result = stored_result(ref, info.size_bytes, stored, len(layout), upload.retries)
        return _relayed(result, source, promised, retries)

    def _relay_layout(self, size_bytes: int) -> Layout:
        layout = self._layout(size_bytes)
        return Layout(size_bytes, layout.part_size_bytes, whole=0 < size_bytes <= layout.part_size_bytes)

    def _layout(self, size_bytes: int) -> Layout:
        return plan_upload(size_bytes, part_size_bytes=self._settings.part_size_bytes, limits=self._settings.limits)


def _of_version(info: ObjectHead, version_id: str) -> ObjectHead:
    """Return what HEAD told with the version that was asked for, which not every service tells."""
    return msgspec.structs.replace(info, version_id=version_id) if version_id else info


def kept_options(info: ObjectHead, tags: dict[str, str]) -> ObjectOptions:
    """Return the options that make a copy like its source; its encryption is the destination's affair."""
    return ObjectOptions(content=info.content, storage_class=info.storage_class, tags=tags)


async def _completed(
    options: ObjectOptions, control: Control, source: ObjectRef, info: ObjectHead, kept_class: str = ""
) -> ObjectOptions:
    """Return options with the headers and metadata of the source where they name none, and likewise its tags.

    To the service, options are all or nothing: a new storage class alone would lose the metadata.
    """
    content = info.content if options.content == Content() else options.content
    tags = options.tags or await _tags(control, source, info)
    return msgspec.structs.replace(
        options, content=content, tags=tags, storage_class=options.storage_class or kept_class
    )


async def _tags(control: Control, source: ObjectRef, info: ObjectHead) -> dict[str, str]:
    if not info.tags:
        return {}
    return await control.tags(source, info.version_id)


def _foldable(info: ObjectHead) -> Checksum | None:
    stored = info.checksum
    if stored is None or stored.kind is not ChecksumKind.FULL_OBJECT or stored.algorithm not in CRC_BYTES:
        return None
    return stored


def _require_promised(promised: Checksum | None, crcs: list[tuple[int, int]], source: ObjectRef) -> None:
    if promised is None:
        return
    actual = encoded_crc(promised.algorithm, fold(promised.algorithm, crcs))
    if actual != promised.value:
        text = f"{promised.algorithm} does not match: expected {promised.value}, actual {actual}; nothing was stored"
        raise IntegrityError(text, source.url)


def _copied(source: ObjectRef, ref: ObjectRef, info: ObjectHead, stored: Stored, parts: int) -> TransferResult:
    stored = confirmed(stored, info.checksum.value if info.checksum else "")
    result = stored_result(ref, info.size_bytes, stored, parts, 0)
    integrity = result.integrity if result.integrity is Integrity.CHECKSUM else _by_condition(info)
    return msgspec.structs.replace(result, source=source.url, integrity=integrity)


def _by_condition(info: ObjectHead) -> Integrity:
    """The service copied on condition of the source's ETag, where it has one."""
    return Integrity.ETAG if info.etag else Integrity.LENGTH


def _relayed(result: TransferResult, source: ObjectRef, promised: Checksum | None, retries: int) -> TransferResult:
    integrity = result.integrity
    if integrity is Integrity.CHECKSUM and promised is None:
        integrity = Integrity.ETAG  # the way there is proven, the way from the source by its ETag and lengths
    return msgspec.structs.replace(result, source=source.url, integrity=integrity, retries=result.retries + retries)
