"""Begins multipart uploads, and aborts each that fails or is cancelled before it is complete.

If the reply to a Create is lost, we do not know the upload's id. A listing may show an upload to that key, but that may
be somebody else's, so we never abort by guess: a journal with the intent stays, and `bulkhaul cleanup` reports it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

from bulkhaul.disk.journal import Journal
from bulkhaul.disk.records import VERSION, Intent, JournalState
from bulkhaul.disk.state import state_folder
from bulkhaul.engine.loop.tasks import outlast
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.multipart import MultipartUpload
from bulkhaul.engine.transfers.upload_checksum import UploadChecksums
from bulkhaul.model.errors import TransferError
from bulkhaul.model.files import SourceIdentity, SourceObject
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions, UploadBegun

DOUBT_S = 5.0
"""How long it may take to look whether a Create whose reply was lost has left an upload."""

_log = logging.getLogger("bulkhaul")


class MultipartGuard:
    """Begins multipart uploads, each under its guard.

    Attributes:
        under_way: above 0 while any upload has begun and not ended, its abort included.
    """

    def __init__(
        self, settings: Settings, control: Control, dispatcher: Dispatcher, checksums: UploadChecksums
    ) -> None:
        self._settings = settings
        self._control = control
        self._dispatcher = dispatcher
        self._checksums = checksums
        self.under_way = 0

    @asynccontextmanager
    async def begin(
        self,
        ref: ObjectRef,
        options: ObjectOptions,
        *,
        part_size_bytes: int,
        kept: str = "",
        copied: SourceObject | None = None,
        options_digest: str = "",
    ) -> AsyncIterator[MultipartUpload]:
        """Begin an upload with the endpoint's checksum, or without one if the endpoint takes none; see ``begin_with``.

        Args:
            kept: the checksum that a copy is to have in common with its source, empty for the endpoint's own.
        """
        async with AsyncExitStack() as stack:

            async def begin(algorithm: str) -> MultipartUpload:
                begun = self.begin_with(
                    ref,
                    options,
                    algorithm=algorithm,
                    part_size_bytes=part_size_bytes,
                    copied=copied,
                    options_digest=options_digest,
                )
                return await stack.enter_async_context(begun)

            yield await self._checksums.with_or_without(ref, begin, kept)

    @asynccontextmanager
    async def begin_with(
        self,
        ref: ObjectRef,
        options: ObjectOptions,
        *,
        algorithm: str,
        part_size_bytes: int,
        source: SourceIdentity | None = None,
        copied: SourceObject | None = None,
        options_digest: str = "",
    ) -> AsyncIterator[MultipartUpload]:
        """Create an upload that is completed inside the block, or aborted at its end.

        Args:
            algorithm: checksum that the service is to keep, empty for none.
            source: the file that is uploaded, so that a killed upload can be resumed; None if there is none.
            copied: the object that is copied, likewise.

        Raises:
            TransferError: it could not be created, or its journal could not be written.
        """
        with self._one_more():
            target = await self._control.target(ref.bucket)
            folder = await in_thread(state_folder, self._settings.state_dir)
            intent = Intent(
                version=VERSION,
                endpoint=target.endpoint,
                bucket=ref.bucket,
                key=ref.key,
                token=secrets.token_hex(16),
                source=source,
                part_size_bytes=part_size_bytes,
                algorithm=algorithm,
                options_digest=options_digest,
                began_s=time.time(),
                copied=copied,
            )
            creating = asyncio.ensure_future(self._create(ref, options, folder, intent))
            try:
                upload, lost = await asyncio.shield(creating)
            except asyncio.CancelledError:
                with contextlib.suppress(asyncio.CancelledError):  # raised below
                    await outlast(asyncio.ensure_future(self._end(ref, creating)))
                raise
            try:
                async with self.aborted_on_failure(upload):
                    yield upload
            finally:
                if lost is not None:
                    await outlast(asyncio.ensure_future(self.settle_lost_create(ref, lost, upload.upload_id)))

    def resumed(self, journal: Journal, state: JournalState) -> MultipartUpload:
        """Return the upload that an earlier run began."""
        begun = UploadBegun(state.upload_id, state.algorithm)
        return MultipartUpload(self._control, self._dispatcher, journal, state.intent, begun)

    @asynccontextmanager
    async def left_on_failure(self, upload: MultipartUpload) -> AsyncIterator[None]:
        """Leave an upload to a later run if the block fails: nothing was done to it yet."""
        try:
            yield
        except BaseException:
            upload.leave()
            raise

    @asynccontextmanager
    async def aborted_on_failure(self, upload: MultipartUpload) -> AsyncIterator[None]:
        """Abort an upload if the block fails; if it succeeds, the upload is complete."""
        with self._one_more():
            try:
                yield
            except BaseException:
                if upload.unknown:
                    upload.leave()  # the next run, or `cleanup`, looks again
                    raise
                aborting = asyncio.ensure_future(upload.abort())
                with contextlib.suppress(asyncio.CancelledError):  # the first one is raised below
                    await outlast(aborting)
                raise
            upload.finish()

    @contextlib.contextmanager
    def _one_more(self) -> Iterator[None]:
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    async def settle_lost_create(self, ref: ObjectRef, lost: Journal, known: str = "") -> None:
        """Look whether a Create whose reply was lost may have left an upload; if so, the journal of its intent stays.

        Args:
            lost: that journal, which is closed.
            known: id of the upload that a later Create has begun.
        """
        try:
            async with asyncio.timeout(DOUBT_S):
                pending = await self._control.pending_uploads_of(ref)
                others = {upload.upload_id for upload in pending} - {known}
        except (TransferError, TimeoutError) as error:
            why = str(error) or f"the listing of uploads did not come within {DOUBT_S:g} s"
            text = "it cannot be told whether an upload to %s is left; `bulkhaul cleanup` looks again: %s"
            _log.warning(text, ref.url, why)
            others = {""}
        try:
            if others:
                lost.set_aside()
            else:
                lost.finish()
        except TransferError as error:
            _log.warning("the journal of an upload could not be put away: %s", error)
        finally:
            lost.close()

    async def _create(
        self, ref: ObjectRef, options: ObjectOptions, folder: str, intent: Intent
    ) -> tuple[MultipartUpload, Journal | None]:
        """Return the upload, and a journal for the second one that a lost reply may have left."""
        journal = Journal.create(folder, intent, resumable=(intent.source or intent.copied) is not None)
        doubts: list[None] = []
        try:
            begun = await self._control.create_upload(
                ref,
                options,
                algorithm=intent.algorithm,
                token=intent.token,
                on_doubt=lambda: doubts.append(None),
            )
        except TransferError as error:
            if doubts:
                await self.settle_lost_create(ref, journal)
            elif error.info.status:
                journal.finish()  # the service answered: there is no upload
            else:
                journal.close()  # whether there is one is not known; `cleanup` tells of it
            raise
        except BaseException:
            journal.close()
            raise
        upload = MultipartUpload(self._control, self._dispatcher, journal, intent, begun)
        lost: Journal | None = None
        try:
            if doubts:
                lost = Journal.create(folder, intent, resumable=False)
            await in_thread(journal.begun, upload.upload_id, upload.algorithm)
        except BaseException:
            await self._give_up(ref, upload, lost)
            raise
        return upload, lost

    async def _end(self, ref: ObjectRef, creating: asyncio.Future[tuple[MultipartUpload, Journal | None]]) -> None:
        """Give up an upload that is being created: wait for its id, since only then it can be aborted."""
        await asyncio.wait([creating], timeout=DOUBT_S)
        if not creating.done():
            creating.cancel()
            await asyncio.wait([creating])
        if not creating.cancelled() and creating.exception() is None:
            await self._give_up(ref, *creating.result())

    async def _give_up(self, ref: ObjectRef, upload: MultipartUpload, lost: Journal | None) -> None:
        await upload.abort()
        if lost is not None:
            await self.settle_lost_create(ref, lost, upload.upload_id)
