"""Offers the transfers, of one object or many, and their dry runs to asyncio programs: ``AsyncEngine``.

Each method resolves what its caller names, and hands the transfer to the part of the engine that carries it out. What
only one kind of transfer needs is imported by its method: it would put off the first request of every other.
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator, Collection, Sequence

from bulkhaul.disk.paths import local_path
from bulkhaul.engine.byte_streams import ByteStreams
from bulkhaul.engine.lifetime import OnSize
from bulkhaul.engine.loop.progress import telling
from bulkhaul.engine.messages.memory import in_memory
from bulkhaul.engine.row_transfers import OnOwnThread, RowTransfers, on_this_loop
from bulkhaul.engine.transfers.batch import Batch
from bulkhaul.engine.transfers.endpoints import (
    destination_prefix,
    destination_ref,
    file_path,
    files_below,
    length_of,
    many_source,
    object_ref,
    opened,
)
from bulkhaul.engine.transfers.result import result_of
from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import ProgressCallback, TransferResult
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.described import checked
from bulkhaul.policy.selection import selector
from bulkhaul.policy.storerules import flat, require_current


class AsyncEngine(RowTransfers, ByteStreams):
    """Moves objects between S3 and disk, and between services, with worker processes.

    Usage::

        async with AsyncEngine(endpoint_url="http://127.0.0.1:9000") as engine:
            result = await engine.download("s3://bucket/key", "/data/key")

    It works inside any program: workers are started by exec, so no ``if __name__ == "__main__"`` is needed and no
    thread or lock of the program is copied. An engine must not be used in a process forked from its own.

    Without ``async with``, the first operation or ``await engine.start()`` starts it, and ``await engine.close()`` ends
    it.

    With ``dry_run=True`` a method returns or yields what it would do, and touches nothing.
    """

    # One object

    async def download(
        self,
        url: str | ObjectRef,
        path: str | os.PathLike[str],
        *,
        progress: ProgressCallback | None = None,
        move: bool = False,
        version_id: str = "",
        dry_run: bool = False,
    ) -> TransferResult:
        """Download one object to ``path``; in a folder the file is named by the last segment of the key.

        Args:
            progress: called with the bytes that have come since the last call; the sum is the size.
            move: delete the object once the file is on disk for good.
            version_id: which version; empty for the current one. An older version cannot be moved.

        Raises:
            TransferError: it could not be done; the destination is untouched and nothing is left behind.
        """
        ref = object_ref(url)
        require_current(ref, version_id, move=move)
        running, path = self._life.running(), local_path(path)
        if dry_run:
            with opened(file_path(ref, path)) as destination:
                return result_of(ref, await running.control.head(ref, version_id), destination.path)

        async def work(on_size: OnSize) -> TransferResult:
            with opened(file_path(ref, path)) as destination:
                fetch = functools.partial(
                    running.downloader.download, ref, destination, on_size=on_size, remove=move, version_id=version_id
                )
                return await telling(progress, lambda on_moved: fetch(on_moved=on_moved))

        return await self._life.one(work, ref.url)

    async def upload(
        self,
        path: str | os.PathLike[str],
        url: str | ObjectRef,
        options: ObjectOptions = DEFAULT_OPTIONS,
        *,
        only_if_absent: bool = False,
        progress: ProgressCallback | None = None,
        move: bool = False,
        dry_run: bool = False,
    ) -> TransferResult:
        """Upload one file; a URL that ends in a slash takes the file's name.

        Args:
            only_if_absent: by one PUT, whatever the size; see ``upload_bytes``.
            progress: called with the bytes that were sent since the last call; the sum is the size.
            move: remove the file once the object is stored.

        Raises:
            PreconditionFailed, Conflict: with ``only_if_absent``: the object exists, or is being written.
            SourceChanged: the file changed meanwhile; no object was made of it.
            TransferError: it could not be done; a journal names whatever is left of it.
        """
        file = local_path(path)
        ref, options = destination_ref(url, file), checked(options)
        uploader = self._life.running().uploader
        upload = functools.partial(uploader.upload_file, file, ref, only_if_absent=only_if_absent, remove=move)
        if dry_run:
            return await upload(options, dry_run=True)

        async def work(_: OnSize) -> TransferResult:
            return await telling(progress, lambda on_moved: upload(options, on_moved=on_moved))

        return await self._life.one(work, ref.url, length_of(file))

    async def upload_bytes(
        self,
        data: bytes | bytearray | memoryview,
        url: str | ObjectRef,
        options: ObjectOptions = DEFAULT_OPTIONS,
        *,
        only_if_absent: bool = False,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Upload what is in memory.

        Args:
            only_if_absent: by one PUT that fails if the object exists. If the reply to it was lost, a HEAD looks for
                the token of this call in the object's metadata, so that no call loses against its own retry.
            progress: as of ``upload``.

        Raises:
            PreconditionFailed, Conflict: somebody else's object exists, or is being written.
            UsageError: the bytes do not lie one after another in memory.
        """
        from bulkhaul.engine.transfers.content_type import with_content_type

        ref, view = object_ref(url), flat(data)
        options = with_content_type(checked(options), ref.key)
        uploader = self._life.running().uploader

        async def work(_: OnSize) -> TransferResult:
            with in_memory(view) as fd:
                store = functools.partial(
                    uploader.upload_memory, fd, len(view), ref, options, only_if_absent=only_if_absent
                )
                return await telling(progress, lambda on_moved: store(on_moved=on_moved))

        return await self._life.one(work, ref.url, len(view))

    async def put_bytes(
        self,
        url: str | ObjectRef,
        body: bytes | bytearray | memoryview,
        options: ObjectOptions = DEFAULT_OPTIONS,
        *,
        only_if_absent: bool = False,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store what is in memory; as a store does, the name comes first. See ``upload_bytes``."""
        return await self.upload_bytes(body, url, options, only_if_absent=only_if_absent, progress=progress)

    async def copy(
        self,
        source: str | ObjectRef,
        destination: str | ObjectRef,
        options: ObjectOptions | None = None,
        *,
        origin: AsyncEngine | OnOwnThread | None = None,
        preserve: Collection[Kept] = (),
        progress: ProgressCallback | None = None,
        move: bool = False,
        version_id: str = "",
        dry_run: bool = False,
    ) -> TransferResult:
        """Copy one object; a destination that ends in a slash takes the key's last segment.

        Args:
            options: how the copy is stored. Headers and metadata are kept unless any is named here, which replaces
                all of them; likewise tags.
            origin: an engine of the source's endpoint or credentials; the object then passes through memory. With an
                ``Engine`` it is another one: one of the same settings and credentials works beside this one.
            preserve: what the copy keeps of its source, or fails: nothing of this is lost in silence.
            progress: as of ``upload``, of what passes through memory; a copy by the service itself tells nothing.
            move: delete the source once the copy is stored.
            version_id: which version; empty for the current one. An older version cannot be moved.

        Raises:
            PreconditionFailed: the source was replaced meanwhile.
            TransferError: it could not be done.
        """
        ref = object_ref(source)
        copy_ref = destination_ref(destination, ref.key)
        require_current(ref, version_id, move=move)
        options = None if options is None else checked(options)
        copying = functools.partial(self.copying(origin), preserve=frozenset(preserve))
        copy = functools.partial(copying, ref, copy_ref, options, version_id=version_id, remove=move)
        if dry_run:
            return await copy(dry_run=True)
        if origin is None:
            return await self._life.one(lambda _: copy(), ref.url)
        return await self._life.one(lambda _: telling(progress, lambda on_moved: copy(on_moved=on_moved)), ref.url)

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

        Yields:
            One result an object, as it ends. A failed one carries its error; the others go on.

        Raises:
            NotFound: nothing matches.
            TransferError: the listing or the folder failed.
        """
        from bulkhaul.engine.transfers.download_many import listed_downloads
        from bulkhaul.engine.transfers.download_pieces import DownloadPieces

        parsed = many_source(source, recursive=recursive)
        takes = selector(parsed, include, exclude, stores_links=self.settings.store_links)
        running, root = self._life.running(), local_path(destination)
        links = self.settings.store_links
        pages = functools.partial(listed_downloads, running.control, parsed, takes, root, store_links=links)
        plan = DownloadPieces(self.settings, running.dispatcher, running.downloader, root, pages, remove=move)
        return plan.dry() if dry_run else self._life.many(plan.pieces, at_end=plan.close)

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
            move: remove each file once it is stored. A link is removed, but not the file that it leads to, nor
                anything behind a link to a folder.

        Yields:
            One result a file, as it ends. A failed one carries its error; the others go on.

        Raises:
            LocalError: the folder cannot be read.
            UsageError: links would be followed and, by the setting ``store_links``, stored.
        """
        from bulkhaul.engine.transfers.upload_many import link_rule, upload_pieces

        bucket, prefix = destination_prefix(url)
        takes = selector(files_below(local_path(folder)), include, exclude)
        if self.settings.store_links:
            if follow_symlinks:
                text = "follow_symlinks uploads what links lead to, and store_links stores links: use one of the two"
                raise UsageError(text, local_path(folder))
            follow_symlinks = False
        links = link_rule(follow_symlinks, move=move, dry_run=dry_run)
        uploader = self._life.running().uploader
        where = (local_path(folder), bucket, prefix, takes)
        plan = functools.partial(upload_pieces, uploader, *where, checked(options), links, remove=move)
        return Batch(self.settings, plan).planned() if dry_run else self._life.many(plan)

    def copy_many(
        self,
        source: str,
        destination: str,
        options: ObjectOptions | None = None,
        *,
        recursive: bool = True,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        origin: AsyncEngine | OnOwnThread | None = None,
        preserve: Collection[Kept] = (),
        move: bool = False,
        dry_run: bool = False,
    ) -> AsyncGenerator[TransferResult, None]:
        """Copy everything below a prefix, or that matches a pattern, to another prefix; see ``copy``.

        Yields:
            One result an object, as it ends. A failed one carries its error; the others go on.

        Raises:
            NotFound: nothing matches.
        """
        from bulkhaul.engine.transfers.copy_many import copy_pieces

        parsed = many_source(source, recursive=recursive)
        bucket, prefix = destination_prefix(destination)
        takes = selector(parsed, include, exclude)
        options = None if options is None else checked(options)
        copy = functools.partial(self.copying(origin), options=options, preserve=frozenset(preserve), remove=move)
        plan = functools.partial(
            copy_pieces, (on_this_loop(origin) or self).control, parsed, takes, self.control, bucket, prefix, copy
        )
        return Batch(self.settings, plan).planned() if dry_run else self._life.many(plan)
