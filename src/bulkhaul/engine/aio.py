"""The engine for asyncio programs: ``async with AsyncEngine(...)``; it must not know the command line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence

from bulkhaul.disk.paths import local_path
from bulkhaul.disk.source import folder_identity
from bulkhaul.disk.walk import LocalFile
from bulkhaul.engine.coordinator import Coordinator
from bulkhaul.engine.lifetime import EngineLife
from bulkhaul.engine.messages.memory import memory_of
from bulkhaul.engine.transfers.batch import Many, Piece
from bulkhaul.engine.transfers.content_type import with_content_type
from bulkhaul.engine.transfers.copy_many import copy_pieces
from bulkhaul.engine.transfers.download_many import Restore
from bulkhaul.engine.transfers.endpoints import (
    Placed,
    destination_prefix,
    destination_ref,
    length_of,
    many_source,
    object_ref,
)
from bulkhaul.engine.transfers.meter import OnMoved
from bulkhaul.engine.transfers.upload_many import LinkRule, upload_pieces
from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.described import checked
from bulkhaul.policy.selection import Source, selector
from bulkhaul.policy.storerules import copies_nothing, flat, same_object

DEFAULT_OPTIONS = ObjectOptions()


class AsyncEngine(EngineLife):
    """Moves objects between S3 and disk, and between services, with worker processes.

    Usage::

        async with AsyncEngine(endpoint_url="http://127.0.0.1:9000") as engine:
            result = await engine.download("s3://bucket/key", "/data/key")

    It works inside any program: workers are started by exec, so no ``if __name__ == "__main__"`` is needed and no
    thread or lock of the program is copied. An engine must not be used in a process forked from its own.
    """

    # One object

    async def download(
        self,
        url: str | ObjectRef,
        path: str | os.PathLike[str],
        *,
        on_moved: OnMoved | None = None,
        move: bool = False,
        version_id: str = "",
    ) -> TransferResult:
        """Restore one object to ``path``; a folder takes the key's last segment.

        Args:
            on_moved: called with the bytes that are there; from 0 again if the object was replaced meanwhile.
            move: delete the object once the file is on disk for good.
            version_id: of the object, empty for the current one; it is not moved.

        Raises:
            TransferError: it could not be done; the destination is untouched and nothing is left behind.
        """
        ref = object_ref(url)
        _require_current(ref, version_id, move=move)
        work = self._download(self._entered(), ref, local_path(path), on_moved, move=move, version_id=version_id)
        return await self._tracked(work, ref.url)

    async def upload(
        self,
        path: str | os.PathLike[str],
        url: str | ObjectRef,
        options: ObjectOptions = DEFAULT_OPTIONS,
        *,
        on_moved: OnMoved | None = None,
        move: bool = False,
    ) -> TransferResult:
        """Upload one file; a URL that ends in a slash takes the file's name.

        Args:
            on_moved: called with the bytes that have left.
            move: remove the file once the object is stored.

        Raises:
            SourceChanged: the file changed meanwhile; no object was made of it.
            TransferError: it could not be done; nothing is left of it that no journal names.
        """
        ref, file = destination_ref(url, local_path(path)), local_path(path)
        work = self._entered().uploader.upload_file(file, ref, checked(options), on_moved=on_moved, remove=move)
        return await self._tracked(self._counted(work, length_of(file)), ref.url)

    async def upload_bytes(
        self,
        data: bytes | bytearray | memoryview,
        url: str | ObjectRef,
        options: ObjectOptions = DEFAULT_OPTIONS,
        *,
        only_if_absent: bool = False,
        on_moved: OnMoved | None = None,
    ) -> TransferResult:
        """Upload what is in memory.

        Args:
            only_if_absent: by one PUT that fails if the object exists.

        Raises:
            PreconditionFailed, Conflict: it exists, or is being written.
            UsageError: the bytes do not lie one after another in memory.
        """
        ref, view = object_ref(url), flat(data)
        work = self._upload_bytes(view, ref, checked(options), only_if_absent=only_if_absent, on_moved=on_moved)
        return await self._tracked(self._counted(work, len(view)), ref.url)

    async def upload_stream(
        self,
        fd: int,
        url: str | ObjectRef,
        options: ObjectOptions = DEFAULT_OPTIONS,
        *,
        on_moved: OnMoved | None = None,
    ) -> TransferResult:
        """Upload what a descriptor gives until its end; its length need not be known.

        Raises:
            TransferError: it could not be done; nothing is left of it.
        """
        ref = object_ref(url)
        work = self._entered().streamer.upload(fd, ref, checked(options), on_moved=on_moved)
        return await self._tracked(self._counted(work, 0), ref.url)

    async def download_stream(self, url: str | ObjectRef, fd: int, *, version_id: str = "") -> TransferResult:
        """Write one object to a descriptor, in order; what was written before an error cannot be taken back.

        Raises:
            BrokenPipeError: nobody reads any more.
            TransferError: it could not be done.
        """
        ref = object_ref(url)
        return await self._tracked(self._download_stream(self._entered(), ref, fd, version_id), ref.url)

    async def copy(
        self,
        source: str | ObjectRef,
        destination: str | ObjectRef,
        options: ObjectOptions | None = None,
        *,
        origin: AsyncEngine | None = None,
        on_moved: OnMoved | None = None,
        move: bool = False,
        version_id: str = "",
    ) -> TransferResult:
        """Copy one object; a destination that ends in a slash takes the key's last segment.

        Args:
            options: how the copy is stored. Headers and metadata are kept unless any is named here, which replaces
                all of them; likewise tags.
            origin: an engine of the source's endpoint or credentials; the object then passes through memory.
            move: delete the source once the copy is stored.
            version_id: of the source, empty for the current one; it may be copied onto its own key, and is not moved.

        Raises:
            PreconditionFailed: the source was replaced meanwhile.
            TransferError: it could not be done.
        """
        ref = object_ref(source)
        target = destination_ref(destination, ref.key)
        _require_current(ref, version_id, move=move)
        options = None if options is None else checked(options)
        work = self._copy(ref, target, options, origin, on_moved, move=move, version_id=version_id)
        return await self._tracked(self._counted(work, 0), ref.url)

    # Many objects

    def download_many(
        self,
        source: str,
        destination: str | os.PathLike[str],
        *,
        recursive: bool = True,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        move: bool = False,
        dry_run: bool = False,
    ) -> AsyncGenerator[TransferResult, None]:
        """Restore everything below a prefix, or that matches a pattern, into a folder (made if missing).

        Args:
            move: delete each object once its file is on disk for good.
            dry_run: yield what would be done, and touch nothing.

        Yields:
            One result an object, as it ends. A failed one carries its error; the others go on.

        Raises:
            NotFound: nothing matches.
            TransferError: the listing or the folder failed.
        """
        parsed = many_source(source, recursive=recursive)
        takes = selector(parsed, include, exclude)
        running = self._entered()
        restore = Restore(
            self.settings, running.control, running.downloader, parsed, takes, local_path(destination), remove=move
        )
        if dry_run:
            return restore.dry()
        return self._many(restore.pieces, at_end=restore.close)

    def upload_many(
        self,
        folder: str | os.PathLike[str],
        url: str,
        options: ObjectOptions = DEFAULT_OPTIONS,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        follow_symlinks: bool | None = None,
        move: bool = False,
        dry_run: bool = False,
    ) -> AsyncGenerator[TransferResult, None]:
        """Upload every file below a folder; the URL's key is put before their paths, up to a slash.

        Args:
            follow_symlinks: upload what symbolic links lead to. By default a move does so for links to files only.
            move: remove each file once it is stored. Of a link the link is removed, and what it leads to stays; so
                does everything behind a link to a folder.

        Yields:
            One result a file, as it ends. A failed one carries its error; the others go on.

        Raises:
            LocalError: the folder cannot be read, or nothing in it matches.
        """
        bucket, prefix = destination_prefix(url)
        takes = selector(Source(bucket, many=True), include, exclude)
        options = checked(options)
        uploader = self._entered().uploader

        root = local_path(folder)
        links = LinkRule(
            follow=follow_symlinks is not False,
            enter=bool(follow_symlinks) or (follow_symlinks is None and not move),
            first=move and not dry_run,
        )

        async def plan() -> AsyncGenerator[Piece, None]:
            inside = folder_identity(root) if move else None

            async def upload(file: LocalFile, ref: ObjectRef) -> TransferResult:
                remove = move and not file.behind
                return await uploader.upload_file(file.path, ref, options, remove=remove, inside=inside)

            async with contextlib.aclosing(upload_pieces(root, bucket, prefix, takes, upload, links)) as pieces:
                async for piece in pieces:
                    yield piece

        return self._planned(plan) if dry_run else self._many(plan)

    def copy_many(
        self,
        source: str,
        destination: str,
        options: ObjectOptions | None = None,
        *,
        recursive: bool = True,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        origin: AsyncEngine | None = None,
        move: bool = False,
        dry_run: bool = False,
    ) -> AsyncGenerator[TransferResult, None]:
        """Copy everything below a prefix, or that matches a pattern, to another prefix; see ``copy``.

        Yields:
            One result an object, as it ends. A failed one carries its error; the others go on.

        Raises:
            NotFound: nothing matches.
        """
        parsed = many_source(source, recursive=recursive)
        bucket, prefix = destination_prefix(destination)
        takes = selector(parsed, include, exclude)
        lister = (origin or self)._entered().control
        options = None if options is None else checked(options)

        async def copy(ref: ObjectRef, target: ObjectRef) -> TransferResult:
            return await self._copy(ref, target, options, origin, None, move=move)

        async def plan() -> AsyncGenerator[Piece, None]:
            within = origin is None or await self._serves(origin, bucket)
            async with contextlib.aclosing(
                copy_pieces(lister, parsed, takes, bucket, prefix, copy, within=within)
            ) as pieces:
                async for piece in pieces:
                    yield piece

        return self._planned(plan) if dry_run else self._many(plan)

    # How it is done

    async def _download(
        self,
        coordinator: Coordinator,
        ref: ObjectRef,
        path: str,
        on_moved: OnMoved | None,
        *,
        move: bool,
        version_id: str,
    ) -> TransferResult:
        planned_bytes = 0

        def plan(size_bytes: int) -> None:
            nonlocal planned_bytes
            self._note(planned_bytes=size_bytes - planned_bytes)
            planned_bytes = size_bytes

        self._note(planned_objects=1)
        try:
            with contextlib.closing(Placed(ref, path)) as placed:
                result = await coordinator.downloader.download(
                    ref, placed.destination, on_size=plan, on_moved=on_moved, remove=move, version_id=version_id
                )
        except BaseException:
            self._note(failed_objects=1)
            raise
        self._note(verified_objects=1)
        return result

    async def _download_stream(
        self, coordinator: Coordinator, ref: ObjectRef, fd: int, version_id: str
    ) -> TransferResult:
        remote = await coordinator.control.look(ref, version_id)
        checks = await coordinator.downloader.checks_of(remote)
        work = coordinator.streamer.download(remote, checks, fd)
        return await self._counted(work, remote.head.size_bytes)

    async def _upload_bytes(
        self,
        view: memoryview,
        ref: ObjectRef,
        options: ObjectOptions,
        *,
        only_if_absent: bool,
        on_moved: OnMoved | None,
    ) -> TransferResult:
        fd = memory_of(view)
        try:
            return await self._entered().uploader.upload_memory(
                fd,
                len(view),
                ref,
                with_content_type(options, ref.key),
                only_if_absent=only_if_absent,
                on_moved=on_moved,
            )
        finally:
            os.close(fd)

    async def _copy(
        self,
        ref: ObjectRef,
        target: ObjectRef,
        options: ObjectOptions | None,
        origin: AsyncEngine | None,
        on_moved: OnMoved | None,
        *,
        move: bool,
        version_id: str = "",
    ) -> TransferResult:
        coordinator = self._entered()
        if origin is None:
            if copies_nothing(ref, target, options, version_id, move=move):
                await self.control.head(ref)  # that it is missing is the more useful news
                raise same_object(ref.url)
            result = await coordinator.copier.copy(ref, target, options, version_id=version_id, remove=move)
            self._copied_bytes += result.size_bytes
        else:
            if move and ref == target and await self._serves(origin, ref.bucket):
                raise same_object(ref.url)
            result = await coordinator.relay.copy(
                origin._entered().origin, ref, target, options, on_moved=on_moved, version_id=version_id, remove=move
            )
        return result

    async def _serves(self, other: AsyncEngine, bucket: str) -> bool:
        """Whether a bucket of another engine is the one of this engine, perhaps asked for by somebody else."""
        ours, theirs = await self._entered().desk.target(bucket), await other._entered().desk.target(bucket)
        return (ours.host, ours.port, ours.path_prefix) == (theirs.host, theirs.port, theirs.path_prefix)

    def _planned(self, plan: Callable[[], AsyncGenerator[Piece, None]]) -> AsyncGenerator[TransferResult, None]:
        return Many(self.settings, plan).planned()


def _require_current(ref: ObjectRef, version_id: str, *, move: bool) -> None:
    if move and version_id:
        raise UsageError("an older version is not moved: copy it, and delete it by its id", ref.url)
