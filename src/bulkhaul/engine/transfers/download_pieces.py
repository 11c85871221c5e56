"""Makes pieces of work of objects that are downloaded below one folder: small objects of a folder go together.

pages of planned objects ─▶ pieces, and groups of small ones
(download_many, rows_down)
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from bulkhaul.disk.folder import OPEN_FOLDERS, DestinationTree
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.batch import Group, Piece
from bulkhaul.engine.transfers.download import Downloader, may_skip_head
from bulkhaul.engine.transfers.download_batch import BatchDownload, SmallObject
from bulkhaul.engine.transfers.endpoints import Destination
from bulkhaul.model.errors import LocalError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.open_files import descriptors
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.policy.batching import SMALL_BYTES, BatchLimits, cut, rows_of_batch
from bulkhaul.policy.links import makes_link
from bulkhaul.wire.values import RemoteObject


class PlannedDownload(msgspec.Struct, frozen=True):
    """One object, and where it goes.

    Attributes:
        result: what is known before the work; ``failure`` or ``skipped`` if there is nothing to do.
        remote: the object, None if there is nothing to do.
        components: its path below the destination folder, empty if there is nothing to do.
        looked: HEAD has told what is known of it, and not a listing.
        wanted: what a plan tells of it: no other object is restored. None for whatever is there.
    """

    result: TransferResult
    remote: RemoteObject | None = None
    components: tuple[str, ...] = ()
    looked: bool = False
    wanted: ObjectHead | None = None


class Pages(Protocol):
    """Says which objects are downloaded."""

    def __call__(self, *, folds_case: bool) -> AsyncGenerator[Sequence[PlannedDownload], None]:
        """Yield them page by page; what lies in one page may go together.

        Args:
            folds_case: names that differ in case are one file at the destination.
        """
        ...


class DownloadPieces:
    """The download of planned objects into a folder."""

    def __init__(
        self,
        settings: Settings,
        dispatcher: Dispatcher,
        downloader: Downloader,
        root: str,
        pages: Pages,
        *,
        remove: bool = False,
        set_times: bool = False,
        many_disks: bool = False,
    ) -> None:
        """Take what is downloaded, and below which folder.

        Args:
            remove: delete each object when its file is there for good.
            set_times: files were modified when their objects were.
            many_disks: the files may lie on others than the folder does, which need not take any.
        """
        self._settings = settings
        self._dispatcher = dispatcher
        self._downloader = downloader
        self._root = root
        self._pages = pages
        self._remove = remove
        self._set_times = set_times
        self._many_disks = many_disks
        self._tree: DestinationTree | None = None
        self._limits = BatchLimits()
        self._suspects = asyncio.Lock()

    async def pieces(self) -> AsyncGenerator[Piece | Group, None]:
        """Yield the work of all objects, page by page; the destination folder is made.

        Raises:
            TransferError: the pages or the destination folder failed.
        """
        tree = self._tree = DestinationTree(self._root, kept=min(OPEN_FOLDERS, descriptors() // 8))
        self._downloader.look_at_umask()
        async with contextlib.aclosing(self._pages(folds_case=self._folds_case(tree))) as pages:
            async for page in pages:
                small: dict[tuple[tuple[str, ...], str, str], list[tuple[SmallObject, int]]] = defaultdict(list)
                of_use, count = self._limits.of_use, 0
                for planned in page:
                    remote, result, components = planned.remote, planned.result, planned.components
                    if remote is None:
                        yield Piece(result)
                        continue
                    alone = functools.partial(self._one, tree, planned, remote)
                    name, key = components[-1], remote.ref.key
                    if of_use and key.endswith(name) and self._goes_together(remote):
                        together = components[:-1], remote.ref.bucket, key[: -len(name)]
                        small[together].append((SmallObject(remote, name, result, alone), remote.head.size))
                        count += 1
                    else:
                        yield Piece(result, alone)
                rows = rows_of_batch(count, self._settings.worker_count, flushed=self._settings.fsync)
                for (folder, _, _), sized in small.items():
                    for objects in cut(sized, rows):
                        yield self._group(tree, folder, objects)

    def _folds_case(self, tree: DestinationTree) -> bool:
        """Whether names that differ in case are one file.

        Raises:
            LocalError: the folder takes no files, and is the place of all.
        """
        try:
            return tree.folds_case()
        except LocalError:
            if not self._many_disks:
                raise
            return False  # what its files would show says nothing of those on other disks

    def close(self) -> None:
        """Let go of the destination folder, when no piece of work needs it any more."""
        tree, self._tree = self._tree, None
        if tree is not None:
            tree.close()

    async def dry(self) -> AsyncGenerator[TransferResult, None]:
        """Yield what would be done, and touch nothing.

        Raises:
            TransferError: the pages failed.
        """
        async with contextlib.aclosing(self._pages(folds_case=False)) as pages:
            async for page in pages:
                for planned in page:
                    yield planned.result

    def _goes_together(self, remote: RemoteObject) -> bool:
        """Whether an object may be part of a batch: nothing is special about it, or about how it is to be restored."""
        head, settings = remote.head, self._settings
        return (
            0 < head.size <= SMALL_BYTES
            and may_skip_head(head, settings)
            and not self._remove
            and not remote.version_id
            and not settings.sparse
            and not makes_link(remote.ref.key, stores_links=settings.store_links)
            and remote.target.fast
            and settings.transport != "sdk"
            and settings.landing != "mapped"
        )

    def _group(self, tree: DestinationTree, folder: tuple[str, ...], objects: list[SmallObject]) -> Group:
        parts = (self._settings, self._dispatcher, self._downloader)
        shared = (self._limits, self._suspects)
        batch = BatchDownload(*parts, tree, folder, objects, *shared, set_times=self._set_times)
        return Group([one.planned for one in objects], batch.run)

    async def _one(self, tree: DestinationTree, planned: PlannedDownload, remote: RemoteObject) -> TransferResult:
        settings = self._settings
        listed = may_skip_head(remote.head, settings) and not settings.preserves
        known = remote if planned.looked or listed else None  # no listing tells metadata
        *folders, name = planned.components
        folder = tree.folder(tuple(folders))
        try:
            return await self._downloader.download(
                remote.ref,
                Destination(folder, name, planned.result.destination, len(folders)),
                known,
                remove=self._remove,
                version_id=remote.version_id,
                wanted=planned.wanted,
                set_times=self._set_times,
            )
        finally:
            folder.release()
