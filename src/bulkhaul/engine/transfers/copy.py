"""Copies one object within one service, which moves the bytes by itself.

CopyObject                                    below the threshold
create ─▶ UploadPartCopy … ─▶ complete        from there on

The window does not rule these requests: it judges by bytes and first bytes that are told four times a second, and a
copy is silent for seconds while the service moves its bytes. A fixed few are in flight (``Settings.asked_at_once``).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable

import msgspec

from bulkhaul.engine.loop.tasks import all_or_none
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.copy_source import (
    as_found,
    completed_options,
    find_source,
    foldable_checksum,
    source_object,
)
from bulkhaul.engine.transfers.move_source import SourceRemover
from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
from bulkhaul.engine.transfers.preserving import Preserved, preserved, require_preserved
from bulkhaul.engine.transfers.result import confirmed, result_of, stored_result
from bulkhaul.engine.transfers.upload_resume import UploadResumer
from bulkhaul.model.errors import NotFound
from bulkhaul.model.objects import Integrity, ObjectHead, ObjectRef
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions, Stored
from bulkhaul.policy.preserving import NOTHING, redirects_alone
from bulkhaul.policy.storerules import copies_nothing, same_object
from bulkhaul.policy.uploadplan import plan_upload
from bulkhaul.policy.verification import without_checksum
from bulkhaul.wire.values import RemoteObject

MAX_COPY_BYTES = 5 * 1024**3
"""Largest object that one CopyObject copies. Source: S3 API, CopyObject."""


class Copier:
    """Copies objects within one service.

    Attributes:
        copied_bytes: of all objects that were copied.
    """

    def __init__(self, settings: Settings, control: Control, guard: MultipartGuard, remover: SourceRemover) -> None:
        self._settings = settings
        self._control = control
        self._resumer = UploadResumer(settings, control, guard)
        self._remover = remover
        self.copied_bytes = 0

    async def copy(
        self,
        source: ObjectRef,
        ref: ObjectRef,
        options: ObjectOptions | None = None,
        *,
        version_id: str = "",
        wanted: ObjectHead | None = None,
        preserve: frozenset[Kept] = NOTHING,
        remove: bool = False,
        dry_run: bool = False,
        before_again: Callable[[], Awaitable[None]] | None = None,
    ) -> TransferResult:
        """Have the service copy an object; metadata, content headers and tags stay where the options name none.

        Args:
            wanted: the object that a plan means; no other one is copied. None for whatever is there.
            preserve: what the copy keeps; where it cannot, it fails.
            remove: delete the source once its copy was asked for, if it is as it was, and another object.
            dry_run: return what would be done, and do nothing.
            before_again: awaited before a copy by one request is asked for again, because an answer was lost; what it
                raises ends the copy.

        Raises:
            NotFound: there is no such source.
            PreconditionFailed: the source was replaced meanwhile, or is not the one that is wanted.
            UsageError: source and destination are the same object, and nothing about it is changed.
            TransferError: it could not be copied.
        """
        began_s = time.monotonic()
        if copies_nothing(source, ref, options, version_id, move=remove):
            await self._control.head(source)  # that it is missing is the more useful news
            raise same_object(source.url)
        found = await find_source(self._control, source, version_id, self._settings.limits, wanted)
        head = found.head
        if dry_run:
            return result_of(source, head, ref.url, ref)
        small = head.size < self._settings.multipart_threshold_bytes and head.size <= MAX_COPY_BYTES
        whole = small or not head.size
        redirect = head.content.website_redirect
        kept: Preserved | None = None
        if preserve:
            kept = await preserved(self._control, found, options, preserve, storage_class=head.storage_class)
            options = kept.options
        elif whole and options is not None and redirects_alone(options):
            redirect, options = options.content.website_redirect, None
        elif options is not None or not whole:
            options = options or DEFAULT_OPTIONS
            options = await completed_options(self._control, found, options, storage_class=head.storage_class)
        if options is None or whole:
            result = await self._whole(found, ref, options, redirect, before_again)
        else:
            result = await self._in_parts(found, ref, options)
        if kept is not None:
            await require_preserved(self._control, found, result, kept)
        if remove:
            await self._remover.remove_copied(found, self._control, result, options)
        self.copied_bytes += head.size
        return msgspec.structs.replace(result, source_etag=head.etag, seconds=time.monotonic() - began_s)

    async def _whole(
        self,
        source: RemoteObject,
        ref: ObjectRef,
        options: ObjectOptions | None,
        redirect: str,
        before_again: Callable[[], Awaitable[None]] | None,
    ) -> TransferResult:
        wanted = as_found(source.ref, source.head)
        copying = functools.partial(self._control.copy_object, ref, wanted, options, before_again=before_again)
        try:
            stored = await copying(storage_class=source.head.storage_class, website_redirect=redirect)
        except NotFound as error:
            if error.info.service_code != "NoSuchBucket":
                raise
            # The source was there a moment ago, so it is the destination's bucket that is missing.
            raise error.about(ref.url) from error
        return _copied(source, ref, stored, 1)

    async def _in_parts(self, source: RemoteObject, ref: ObjectRef, options: ObjectOptions) -> TransferResult:
        layout = plan_upload(
            source.head.size, part_size_bytes=self._settings.part_size_bytes, limits=self._settings.limits
        )
        wanted = as_found(source.ref, source.head)
        promised = foldable_checksum(source.head)
        kept = promised.algorithm if promised else ""
        copying = self._resumer.copying(ref, options, layout, source_object(source), kept=kept)
        async with copying as resumed:
            upload, kept_bytes = resumed.upload, resumed.kept_bytes

            async def copy_part(index: int) -> None:
                await upload.copy(layout[index], wanted)

            if (stored := resumed.stored) is None:
                missing = (index for index in range(len(layout)) if index + 1 not in upload.parts)
                await all_or_none(copy_part, missing, at_once=self._settings.asked_at_once)
                stored = await upload.complete()
        result = _copied(source, ref, stored, len(layout))
        return msgspec.structs.replace(result, resumed_bytes=kept_bytes)


def _copied(source: RemoteObject, ref: ObjectRef, stored: Stored, parts: int) -> TransferResult:
    head = source.head
    stored = confirmed(stored, head.checksum.value if head.checksum else "")
    result = stored_result(ref, head.size, stored, parts, 0)
    # Without a checksum success rests on the condition of the copy: the source's ETag, where it has one.
    integrity = result.integrity if result.integrity is Integrity.CHECKSUM else without_checksum(head)
    return msgspec.structs.replace(result, source=source.ref.url, integrity=integrity)
