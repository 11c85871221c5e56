"""One object from plan to publication: what the engine does, in order; it must not know workers or sockets.

HEAD ─▶ checks, layout ─▶ temp file ─▶ parts (dispatch) ─▶ verify ─▶ publish
▲                                        │ the object changed
└────────────── once ────────────────────┘
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

import msgspec

from bulkhaul.disk.folder import FolderHandle
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.modes import published_mode
from bulkhaul.disk.sweep import Sweeper
from bulkhaul.engine.arrival import arrival
from bulkhaul.engine.asking import Desk
from bulkhaul.engine.cancellation import undisturbed
from bulkhaul.engine.control import Control
from bulkhaul.engine.copying import Copier
from bulkhaul.engine.dispatch import Dispatcher
from bulkhaul.engine.moving import Fetching
from bulkhaul.engine.parting import Parting, not_removed
from bulkhaul.engine.protection import Protection
from bulkhaul.engine.protocol import Head, PartChecksums
from bulkhaul.engine.sending import Outbox
from bulkhaul.engine.streaming import Streams
from bulkhaul.engine.supervisor import ForkserverProcess
from bulkhaul.engine.threads import in_thread
from bulkhaul.engine.uploading import Uploader
from bulkhaul.engine.uploads import Uploads
from bulkhaul.engine.verify import Verdict, reads_back, verify
from bulkhaul.model.errors import ObjectChanged, OtherError, PreconditionFailed, TransferError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ChecksumKind, ObjectHead, ObjectRef, PartChecksum, Verify
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import DEFAULT_PART_SIZE_BYTES, Settings
from bulkhaul.policy.layout import Layout, plan_download
from bulkhaul.policy.parttable import PartTable, new_part_table, prepare_tables
from bulkhaul.policy.verification import CheckPlan, needs_parts, plan_checks, without_checksum
from bulkhaul.wire.checksums import COMPUTABLE
from bulkhaul.wire.values import Target, WireSettings

T = TypeVar("T")

WRITING_WORKERS = 4
"""Up to this many workers write an object's parts rather than map them. Source: docs/decisions/0002-landing.md."""

INLINE_BYTES = MIB
"""Up to this size the coordinator does file work on its loop: handing it to a thread would take longer."""


class Destination(msgspec.Struct, frozen=True):
    """Where one object goes: a name in an open folder. ``path`` is for people."""

    folder: FolderHandle
    name: str
    path: str


class Listed(msgspec.Struct, frozen=True):
    """An object found by a listing, and where its bucket's requests go."""

    info: ObjectHead
    target: Target


class Coordinator:
    """Plans, decides, verifies and publishes; the workers only move bytes.

    Attributes:
        dispatcher: the workers and what they hold.
        desk: questions to the service.
        control: the small operations.
        parting: removes the sources of moves.
        uploads: the multipart uploads under way, whichever direction they belong to.
        uploader, streams, copier: the other directions.
    """

    def __init__(self, settings: Settings, forkserver: ForkserverProcess) -> None:
        self.settings = settings
        self.dispatcher = Dispatcher(settings, _wire(settings), forkserver)
        self.desk = Desk(settings, self.dispatcher)
        self.control = Control(self.desk)
        self.parting = Parting(self.desk)
        protection = Protection(settings, self.desk)
        outbox = Outbox(self.dispatcher, self.desk)
        uploads = self.uploads = Uploads(settings, self.desk, outbox, protection)
        self.uploader = Uploader(settings, self.desk, outbox, uploads, protection)
        self.streams = Streams(settings, self.desk, self.dispatcher, self.uploader, uploads)
        self.copier = Copier(settings, self.desk, uploads, self.uploader, self.parting)
        self._mode = published_mode()
        self._sweeper = Sweeper()

    async def download(
        self,
        ref: ObjectRef,
        destination: Destination,
        listed: Listed | None = None,
        *,
        on_size: Callable[[int], None] | None = None,
        on_moved: Callable[[int], None] | None = None,
        remove: bool = False,
        version_id: str = "",
    ) -> TransferResult:
        """Restore one object; the destination is untouched until it is whole and verified.

        Args:
            on_size: called with the object's size as soon as it is known, and again if the object has changed.
            on_moved: called with the bytes that are there, from 0 again if the object has changed.
            remove: delete the object when file and folder are flushed, if it still is the one that was restored.
            version_id: of the object, empty for the current one.

        Raises:
            TransferError: it could not be done; nothing is left behind.
        """
        began_s = time.monotonic()
        self._sweeper.sweep(destination.folder.fd)
        if listed is None:  # next to a HEAD it costs nothing; a run over a listing looks once
            self._mode = published_mode()
        attempt = functools.partial(self._attempt, ref, destination, fsync=remove, version_id=version_id)
        try:
            try:
                result = await attempt(listed, on_size, on_moved)
            except ObjectChanged:
                try:
                    result = await attempt(None, on_size, on_moved)
                except ObjectChanged as again:
                    raise PreconditionFailed(
                        f"{again.message}; it changed a second time during the transfer, try again when it rests"
                    ) from again
        except TransferError as error:
            raise error.named(ref.url) from error.__cause__
        if remove:
            # The ETag says it all; without one the time has to do. Listings tell that more precisely than HEAD.
            last_modified = "" if result.etag else result.last_modified
            seen = ObjectHead(ref.key, result.size_bytes, result.etag, last_modified, result.version_id)
            try:
                await self.parting.remove(ref, seen)
            except TransferError as error:
                raise not_removed(error, ref.url, result.destination) from error
        return msgspec.structs.replace(result, seconds=time.monotonic() - began_s)

    async def pages(self, bucket: str, prefix: str) -> AsyncGenerator[tuple[list[ObjectHead], Target], None]:
        """Yield the pages of a listing, in the service's order, and where requests for the bucket go.

        Raises:
            TransferError: the listing failed.
        """
        target: Target | None = None
        self._mode = published_mode()
        async with contextlib.aclosing(self.control.pages(bucket, prefix)) as pages:
            async for objects in pages:
                target = target or await self.desk.target(bucket)
                yield objects, target

    # One attempt

    async def _attempt(
        self,
        ref: ObjectRef,
        destination: Destination,
        listed: Listed | None,
        on_size: Callable[[int], None] | None,
        on_moved: Callable[[int], None] | None,
        *,
        fsync: bool,
        version_id: str,
    ) -> TransferResult:
        if listed is None:
            preparing = asyncio.ensure_future(in_thread(prepare_tables))  # while the service is being asked
            try:
                known = await self.head_at(ref, version_id)
            finally:
                await preparing
        else:
            known = listed
        info = known.info
        if on_size is not None:
            on_size(info.size_bytes)
        checks = await self.checks_of(ref, info, version_id)
        layout = plan_download(
            info.size_bytes,
            part_size_bytes=self.settings.part_size_bytes,
            boundaries=checks.boundaries,
            limits=self.settings.limits,
        )
        landing = await self._land(destination, layout)
        fetching: Fetching | None = None
        kept = False
        try:
            if len(layout):
                fetching = self._fetch(ref, info, known.target, layout, checks, landing, version_id)
                fetching.on_moved = on_moved
                checks = await self._receive(ref, info, fetching, checks, landing)
            elif checks.stored is not None or checks.md5_hex:
                verify(checks, layout, _NO_PARTS, landing, hot=False)
            await self._publish(landing, destination.folder, fsync=fsync or self.settings.fsync)
            kept = True
        finally:
            if fetching is not None:
                self.dispatcher.close(fetching.transfer, kept=kept)
            landing.discard()
        return TransferResult(
            source=ref.url,
            destination=destination.path,
            bucket=ref.bucket,
            key=ref.key,
            size_bytes=info.size_bytes,
            etag=info.etag,
            version_id=info.version_id,
            last_modified=info.last_modified,
            integrity=checks.integrity,
            parts=len(layout),
            retries=fetching.retries if fetching else 0,
        )

    async def head_at(self, ref: ObjectRef, version_id: str = "") -> Listed:
        """Return what the service knows of one object, and where it is.

        Raises:
            TransferError: it could not be asked, or there is no such object.
        """
        reply = await self.desk.ask(Head(ref.bucket, ref.key, version_id), ref.url)
        if not reply.objects or reply.target is None:
            raise OtherError("HEAD brought no answer", ref.url)
        return Listed(reply.objects[0], reply.target)

    async def checks_of(self, ref: ObjectRef, info: ObjectHead, version_id: str = "") -> CheckPlan:
        """Return what is to be checked of an object.

        Raises:
            TransferError: its parts could not be asked for.
        """
        parts: tuple[PartChecksum, ...] = ()
        if needs_parts(info, self.settings.verify, computable=COMPUTABLE):
            parts = tuple((await self.desk.ask(PartChecksums(ref.bucket, info, version_id), ref.url)).parts)
        return plan_checks(info, self.settings.verify, computable=COMPUTABLE, parts=parts)

    async def _land(self, destination: Destination, layout: Layout) -> Landing:
        many = len(layout) > 1 and self.settings.worker_count > WRITING_WORKERS
        prefer_mapped = self.settings.landing == "mapped" or (self.settings.landing == "auto" and many)
        arguments = (destination.folder.fd, destination.name, destination.path, layout.size_bytes)
        if layout.size_bytes <= INLINE_BYTES:
            landing = Landing.create(*arguments, allocate=prefer_mapped, prefer_mapped=prefer_mapped)
        else:
            landing = await undisturbed(
                in_thread(Landing.create, *arguments, allocate=True, prefer_mapped=prefer_mapped),
                undo=Landing.discard,
            )
        if self.settings.landing == "mapped" and layout.size_bytes and not landing.mapped:
            landing.discard()
            text = "this file system does not allocate or map files; use --landing auto or written"
            raise OtherError(text, destination.path)
        return landing

    def _fetch(
        self,
        ref: ObjectRef,
        info: ObjectHead,
        target: Target,
        layout: Layout,
        checks: CheckPlan,
        landing: Landing,
        version_id: str,
    ) -> Fetching:
        """Begin to fetch the parts."""
        fetching = Fetching(
            layout=layout,
            target=target,
            bucket=ref.bucket,
            key=ref.key,
            etag=info.etag,
            algorithm=checks.folded,
            mapped=landing.mapped,
            fd=landing.fd,
            arrived=asyncio.get_running_loop().create_future(),
            size_bytes=layout.size_bytes,
            version_id=version_id,
        )
        self.dispatcher.move(fetching)
        return fetching

    async def _receive(
        self, ref: ObjectRef, info: ObjectHead, fetching: Fetching, checks: CheckPlan, landing: Landing
    ) -> CheckPlan:
        """Wait for the parts and verify them; returns the checks that were made. Nobody writes afterwards."""
        table = await arrival(self.dispatcher, fetching)
        hot = True
        if checks.stored is None and fetching.promised is not None:
            # A listing tells no checksum, the reply does; one of the whole object was computed on the way.
            hot = fetching.promised.kind is ChecksumKind.FULL_OBJECT
            told = msgspec.structs.replace(info, checksum=fetching.promised)
            checks = await self.checks_of(ref, told, fetching.version_id)
        verdict = await self._verify(checks, fetching.layout, table, landing, hot=hot)
        if verdict.error is not None:
            self.dispatcher.reject(fetching.transfer, verdict.wrong_parts, verdict.error.info)
            table = await arrival(self.dispatcher, fetching)
            verdict = await self._verify(checks, fetching.layout, table, landing, hot=hot)
            if verdict.error is not None:
                raise verdict.error
        return msgspec.structs.replace(checks, integrity=without_checksum(info)) if verdict.unproven else checks

    async def _verify(
        self, checks: CheckPlan, layout: Layout, table: PartTable, landing: Landing, *, hot: bool
    ) -> Verdict:
        if layout.size_bytes > INLINE_BYTES and reads_back(checks, hot=hot):
            return await undisturbed(in_thread(verify, checks, layout, table, landing, hot=hot))
        return verify(checks, layout, table, landing, hot=hot)

    async def _publish(self, landing: Landing, folder: FolderHandle, *, fsync: bool) -> None:
        inherited = folder.inherited_mode()
        mode, inherits = (self._mode, False) if inherited is None else (inherited, True)
        if fsync:
            await undisturbed(in_thread(landing.publish, mode=mode, fsync=True, inherits=inherits))
        else:
            landing.publish(mode=mode, fsync=False, inherits=inherits)


def may_skip_head(info: ObjectHead, settings: Settings) -> bool:
    """Whether a listing tells enough: the object is fetched whole, and its reply brings the stored checksum along."""
    part_bytes = settings.part_size_bytes or DEFAULT_PART_SIZE_BYTES
    return settings.verify is not Verify.FULL and info.size_bytes <= part_bytes and bool(info.etag)


def _wire(settings: Settings) -> WireSettings:
    return WireSettings(
        endpoint_url=settings.endpoint_url,
        region=settings.region,
        profile=settings.profile,
        sign_requests=settings.sign_requests,
        verify_tls=settings.verify_tls,
        ca_bundle=settings.ca_bundle,
        allow_http=settings.allow_http,
        addressing_style=settings.addressing_style,
        transport=settings.transport,
        timeouts=settings.timeouts,
        connections=settings.connections,
        request_payer=settings.request_payer,
        sse_c_key=settings.sse_c_key,
        bandwidth_bytes_per_s=settings.bandwidth_bytes_per_s,
    )


_NO_PARTS = new_part_table(0)
