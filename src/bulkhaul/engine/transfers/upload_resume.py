"""Takes up an upload that an earlier run has left, and keeps those of its parts that its source still has.

Complete was sent, and the object at the key is the one of this upload ─▶ done
another source or other options, parts that cannot be listed           ─▶ aborted; the upload begins anew
of a file: parts with a checksum that the file has, at their place     ─▶ kept; the others are sent again
of an object: parts that the service acknowledged, with their ETags    ─▶ kept: their source had the same ETag
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec

from bulkhaul.disk.journal import Journal
from bulkhaul.disk.pending import open_for_resume
from bulkhaul.disk.readback import read_back
from bulkhaul.disk.records import Intent, JournalState
from bulkhaul.disk.source import SourceFile, reading_error
from bulkhaul.disk.state import state_folder
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.operations.abort_upload import not_offered
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.multipart import MultipartUpload
from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
from bulkhaul.model.errors import NotFound, TransferError
from bulkhaul.model.files import SourceObject
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions, Stored, UploadedPart
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.sameness import same_etag
from bulkhaul.wire.checksums import CRC_BYTES, encoded_crc, hasher
from bulkhaul.wire.values import Target

_log = logging.getLogger("bulkhaul")


class Resumed(msgspec.Struct, frozen=True):
    """An upload that an earlier run began, and that goes on.

    Attributes:
        upload: it holds the parts that need not be sent again.
        layout: the parts that it was begun with.
        stored: what the service tells of the object, if the earlier run had made it; else None.
    """

    upload: MultipartUpload
    layout: Layout
    stored: Stored | None = None

    @property
    def kept_bytes(self) -> int:
        """Bytes that the earlier run has moved; the parts that are sent since count as well."""
        return self.layout.size_bytes if self.stored is not None else self.upload.moved_bytes


class UploadResumer:
    """Takes up uploads of files, and copies of objects, by their journals."""

    def __init__(self, settings: Settings, control: Control, guard: MultipartGuard) -> None:
        self._settings = settings
        self._control = control
        self._guard = guard

    async def take_up(self, source: SourceFile, ref: ObjectRef, digest: str) -> Resumed | None:
        """Return what an earlier run has begun; None if there is nothing, or it was given up: the upload begins anew.

        Args:
            source: the file to be uploaded.
            digest: of the options to upload it with; see ``options_digest``.

        Raises:
            TransferError: the service could not be asked, or the file could not be read; the journal stays.
        """

        def same(intent: Intent) -> bool:
            return (intent.source, intent.options_digest) == (source.identity, digest)

        async def keep(resumed: Resumed, listed: list[UploadedPart], state: JournalState) -> None:
            try:
                work = in_thread(_keep_matching, resumed.upload, listed, state, resumed.layout, source.fd)
                await undisturbed(work)
            except OSError as error:
                raise reading_error(error, source.path) from error

        return await self._taken_up(ref, source.size_bytes, same, keep)

    @asynccontextmanager
    async def copying(
        self,
        ref: ObjectRef,
        options: ObjectOptions,
        layout: Layout,
        copied: SourceObject | None,
        *,
        kept: str = "",
        promised: str = "",
    ) -> AsyncIterator[Resumed]:
        """Go on with the copy of an object that an earlier run has begun, or begin one; it is completed in the block.

        Args:
            copied: the object, None if it has no ETag to be recognised by.
            kept: see ``MultipartGuard.begin``.
            promised: the algorithm by which the source's bytes are compared with its checksum, empty if they are not.

        Raises:
            TransferError: the service could not be asked, or the upload not be created.
        """
        digest = options_digest(options, f"{self._settings.checksum_algorithm} {kept} {promised}")

        def same(intent: Intent) -> bool:
            wanted = (copied, digest, layout.part_size_bytes)
            return (intent.copied, intent.options_digest, intent.part_size_bytes) == wanted

        async def keep(resumed: Resumed, listed: list[UploadedPart], state: JournalState) -> None:
            _keep_acknowledged(resumed, listed, state, promised=bool(promised))

        resumed = await self._taken_up(ref, layout.size_bytes, same, keep) if copied is not None else None
        if resumed is None:
            begun = self._guard.begin(
                ref,
                options,
                part_size_bytes=layout.part_size_bytes,
                kept=kept,
                copied=copied,
                options_digest=digest if copied is not None else "",
            )
            async with begun as upload:
                yield Resumed(upload, layout)
        elif resumed.stored is not None:
            yield resumed
        else:
            async with self._guard.aborted_on_failure(resumed.upload):
                yield resumed

    async def _taken_up(
        self,
        ref: ObjectRef,
        size_bytes: int,
        is_same: Callable[[Intent], bool],
        keep: Callable[[Resumed, list[UploadedPart], JournalState], Awaitable[None]],
    ) -> Resumed | None:
        target = await self._control.target(ref.bucket)
        found = await undisturbed(in_thread(self._interrupted, target, ref), undo=_let_go)
        if found is None:
            return None
        journal, state = found
        if not state.upload_id:
            await self._guard.settle_lost_create(ref, journal)
            return None
        upload = self._guard.resumed(journal, state)
        layout = Layout(size_bytes, state.intent.part_size_bytes)
        same = is_same(state.intent)
        async with self._guard.left_on_failure(upload):
            if same and state.completing and (stored := await upload.settle(size_bytes)) is not None:
                upload.finish()
                _keep_journaled(upload, state, layout)
                return Resumed(upload, layout, upload.verified(stored))
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
            resumed = Resumed(upload, layout)
            await keep(resumed, listed, state)
        return resumed

    def _interrupted(self, target: Target, ref: ObjectRef) -> tuple[Journal, JournalState] | None:
        folder = state_folder(self._settings.state_dir)
        return open_for_resume(folder, target.endpoint, ref.bucket, ref.key)


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


def _keep_acknowledged(
    resumed: Resumed, listed: Iterable[UploadedPart], state: JournalState, *, promised: bool
) -> None:
    """Keep the listed parts of a copy that the journal tells of as they are listed; the others are copied again.

    Args:
        promised: the checksum of what came from the source must be known of each.
    """
    upload, layout, algorithm = resumed.upload, resumed.layout, state.intent.algorithm
    for found in listed:
        known = state.parts.get(found.number)
        if known is None or not 1 <= found.number <= len(layout) or not same_etag(known.etag, found.etag):
            continue
        if not known.size_bytes == found.size_bytes == layout[found.number - 1].size_bytes:
            continue
        if promised and known.source_crc is None:
            continue
        crc = known.crc or None  # 0 stands for none; a part that has it is sent on without
        told = encoded_crc(algorithm, known.crc) if algorithm in CRC_BYTES and crc is not None else ""
        if found.checksum and told and found.checksum != told:
            continue
        upload.keep(msgspec.structs.replace(found, checksum=told if found.checksum else ""), crc)
        if known.source_crc is not None:
            upload.source_crcs[found.number] = known.source_crc


def _keep_matching(
    upload: MultipartUpload, listed: Iterable[UploadedPart], state: JournalState, layout: Layout, fd: int
) -> None:
    """Keep the listed parts that are what the file holds, by their checksum; the others are sent again.

    Raises:
        OSError: the file cannot be read.
    """
    algorithm = state.intent.algorithm
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
