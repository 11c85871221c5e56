"""Takes up the upload of a file that an earlier run has left, and keeps those of its parts that the file still holds.

Complete was sent, and the object at the key is the one of this upload ─▶ done
another file or other options, parts that cannot be listed             ─▶ aborted; the upload begins anew
parts with a checksum that the file has, at their place                ─▶ kept; the others are sent again
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable

import msgspec

from bulkhaul.disk.journal import Journal
from bulkhaul.disk.pending import open_for_resume
from bulkhaul.disk.readback import read_back
from bulkhaul.disk.records import JournalState
from bulkhaul.disk.source import SourceFile, reading_error
from bulkhaul.disk.state import state_folder
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.operations.abort_upload import not_offered
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.multipart import MultipartUpload
from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
from bulkhaul.model.errors import NotFound, TransferError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions, Stored, UploadedPart
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.sameness import same_etag
from bulkhaul.wire.checksums import encoded_crc, hasher
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


class UploadResumer:
    """Takes up uploads of files by their journals."""

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
        target = await self._control.target(ref.bucket)
        found = await undisturbed(in_thread(self._interrupted, target, ref), undo=_let_go)
        if found is None:
            return None
        journal, state = found
        if not state.upload_id:
            await self._guard.settle_lost_create(ref, journal)
            return None
        upload = self._guard.resumed(journal, state)
        layout = Layout(source.size_bytes, state.intent.part_size_bytes)
        same = (state.intent.source, state.intent.options_digest) == (source.identity, digest)
        async with self._guard.left_on_failure(upload):
            if same and state.completing and (stored := await upload.settle(source.size_bytes)) is not None:
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
            try:
                await undisturbed(in_thread(_keep_matching, upload, listed, state, layout, source.fd))
            except OSError as error:
                raise reading_error(error, source.path) from error
        return Resumed(upload, layout)

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
