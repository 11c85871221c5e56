"""Plans the download of a listing: each key has a path of its own, and small objects of a folder go together."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable

import msgspec

from bulkhaul.disk.folder import OPEN_FOLDERS, DestinationTree, SeenNames
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.list_selected import list_selected_pages
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.batch import Group, Piece
from bulkhaul.engine.transfers.download import Downloader, may_skip_head
from bulkhaul.engine.transfers.download_batch import BatchDownload, SmallObject
from bulkhaul.engine.transfers.endpoints import Destination
from bulkhaul.engine.transfers.result import result_of
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.open_files import descriptors
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.policy.batching import SMALL_BYTES, BatchLimits, cut, rows_of_batch
from bulkhaul.policy.naming import FileFolderClash, folded, local_name
from bulkhaul.policy.selection import Source
from bulkhaul.wire.values import RemoteObject


class KeyPlan(msgspec.Struct, frozen=True):
    """What becomes of one key.

    Attributes:
        components: where it goes below the destination; empty if it does not.
        refused: why it cannot be a file, else empty.
        skipped: why there is nothing to do, else empty.
    """

    components: tuple[str, ...] = ()
    refused: str = ""
    skipped: str = ""


class Naming:
    """Gives each key of one listing its path, or tells why it gets none."""

    def __init__(self, base: str, *, folds_case: bool) -> None:
        self._base = base
        self._clash = FileFolderClash()
        self._seen = SeenNames() if folds_case else None

    def plan(self, head: ObjectHead) -> KeyPlan:
        """Return what becomes of a key."""
        relative = head.key.removeprefix(self._base)
        if head.key.endswith("/") and head.size_bytes == 0:
            return KeyPlan(skipped="it marks a folder and holds nothing")
        name = local_name(relative)
        if name.refused:
            return KeyPlan(refused=name.refused)
        if parent := self._clash.parent_of(relative):
            return KeyPlan(refused=f"it needs a folder where the key {parent!r} is a file")
        if self._seen is not None and (earlier := self._seen.earlier(folded(name.components), head.key)):
            return KeyPlan(refused=f"on this file system it would be the same file as the key {earlier!r}")
        return KeyPlan(components=name.components)

    def close(self) -> None:
        """Forget the names."""
        if self._seen is not None:
            self._seen.close()


class DownloadPlan:
    """The download of what a listing selects into a folder, planned key by key."""

    def __init__(
        self,
        settings: Settings,
        control: Control,
        dispatcher: Dispatcher,
        downloader: Downloader,
        source: Source,
        takes: Callable[[str], bool],
        root: str,
        *,
        remove: bool = False,
    ) -> None:
        self._settings = settings
        self._control = control
        self._dispatcher = dispatcher
        self._downloader = downloader
        self._source = source
        self._takes = takes
        self._root = root
        self._below = os.path.join(root, "")  # joined once, not for each key: components are plain names
        self._remove = remove
        self._tree: DestinationTree | None = None
        self._limits = BatchLimits()
        self._suspects = asyncio.Lock()

    async def pieces(self) -> AsyncGenerator[Piece | Group, None]:
        """Yield the work of all keys, page by page; the destination folder is made.

        Raises:
            NotFound: nothing is selected.
            TransferError: the listing or the destination folder failed.
        """
        tree = self._tree = DestinationTree(self._root, kept=min(OPEN_FOLDERS, descriptors() // 8))
        self._downloader.look_at_umask()
        async with contextlib.aclosing(self._named(folds_case=tree.folds_case())) as pages:
            async for page in pages:
                small: dict[tuple[str, ...], list[tuple[SmallObject, int]]] = defaultdict(list)
                of_use, count = self._limits.of_use, 0
                for remote, planned in page:
                    result = self._result(remote, planned)
                    if not planned.components:
                        yield Piece(result)
                        continue
                    alone = functools.partial(self._one, tree, planned.components, remote, result.destination)
                    if of_use and self._goes_together(remote):
                        one = SmallObject(remote, planned.components[-1], result, alone)
                        small[planned.components[:-1]].append((one, remote.head.size_bytes))
                        count += 1
                    else:
                        yield Piece(result, alone)
                rows = rows_of_batch(count, self._settings.worker_count, flushed=self._settings.fsync)
                for folder, sized in small.items():
                    for objects in cut(sized, rows):
                        yield self._group(tree, folder, objects)

    def close(self) -> None:
        """Let go of the destination folder, when no piece of work needs it any more."""
        tree, self._tree = self._tree, None
        if tree is not None:
            tree.close()

    async def dry(self) -> AsyncGenerator[TransferResult, None]:
        """Yield what would be done, and touch nothing.

        Raises:
            NotFound: nothing is selected.
            TransferError: the listing failed.
        """
        async with contextlib.aclosing(self._named(folds_case=False)) as named:
            async for page in named:
                for remote, planned in page:
                    yield self._result(remote, planned)

    async def _named(self, *, folds_case: bool) -> AsyncGenerator[list[tuple[RemoteObject, KeyPlan]], None]:
        naming = Naming(self._source.base, folds_case=folds_case)
        try:
            async with contextlib.aclosing(list_selected_pages(self._control, self._source, self._takes)) as pages:
                async for page in pages:
                    yield [(remote, naming.plan(remote.head)) for remote in page]
        finally:
            naming.close()

    def _goes_together(self, remote: RemoteObject) -> bool:
        """Whether an object may be part of a batch: nothing is special about it, or about how it is to be restored."""
        head, settings = remote.head, self._settings
        return (
            0 < head.size_bytes <= SMALL_BYTES
            and may_skip_head(head, settings)
            and not self._remove
            and remote.target.fast
            and settings.transport != "sdk"
            and settings.landing != "mapped"
        )

    def _group(self, tree: DestinationTree, folder: tuple[str, ...], objects: list[SmallObject]) -> Group:
        parts = (self._settings, self._dispatcher, self._downloader)
        batch = BatchDownload(*parts, tree, folder, objects, self._limits, self._suspects)
        return Group([one.planned for one in objects], batch.run)

    async def _one(
        self, tree: DestinationTree, components: tuple[str, ...], remote: RemoteObject, path: str
    ) -> TransferResult:
        known = remote if may_skip_head(remote.head, self._settings) else None
        folder = tree.folder(components[:-1])
        try:
            destination = Destination(folder, components[-1], path)
            return await self._downloader.download(remote.ref, destination, known, remove=self._remove)
        finally:
            folder.release()

    def _result(self, remote: RemoteObject, planned: KeyPlan) -> TransferResult:
        ref = remote.ref
        failure = None
        if planned.refused:
            text = f"the key cannot be a file below {self._root}: {planned.refused}"
            failure = ErrorInfo("UnsafeKey", text, ref.url)
        destination = self._below + "/".join(planned.components) if planned.components else ""
        result = result_of(ref, remote.head, destination)
        if destination:
            return result
        return msgspec.structs.replace(result, skipped=planned.skipped, failure=failure)
