"""Plans the download of a listing: one piece of work a key, each key with a path of its own."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import AsyncGenerator, Callable

import msgspec

from bulkhaul.disk.folder import DestinationTree, SeenNames
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.list_selected import list_selected
from bulkhaul.engine.transfers.batch import Piece
from bulkhaul.engine.transfers.download import Downloader, may_skip_head
from bulkhaul.engine.transfers.endpoints import Destination
from bulkhaul.engine.transfers.result import result_of
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
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
        downloader: Downloader,
        source: Source,
        takes: Callable[[str], bool],
        root: str,
        *,
        remove: bool = False,
    ) -> None:
        self._settings = settings
        self._control = control
        self._downloader = downloader
        self._source = source
        self._takes = takes
        self._root = root
        self._below = os.path.join(root, "")  # joined once, not for each key: components are plain names
        self._remove = remove
        self._tree: DestinationTree | None = None

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Yield the work of each key; the destination folder is made.

        Raises:
            NotFound: nothing is selected.
            TransferError: the listing or the destination folder failed.
        """
        tree = self._tree = DestinationTree(self._root)
        self._downloader.look_at_umask()
        async with contextlib.aclosing(self._named(folds_case=tree.folds_case())) as named:
            async for remote, planned in named:
                result = self._result(remote, planned)
                if planned.components:
                    yield Piece(
                        result, functools.partial(self._one, tree, planned.components, remote, result.destination)
                    )
                else:
                    yield Piece(result)

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
            async for remote, planned in named:
                yield self._result(remote, planned)

    async def _named(self, *, folds_case: bool) -> AsyncGenerator[tuple[RemoteObject, KeyPlan], None]:
        naming = Naming(self._source.base, folds_case=folds_case)
        try:
            async with contextlib.aclosing(list_selected(self._control, self._source, self._takes)) as found:
                async for remote in found:
                    yield remote, naming.plan(remote.head)
        finally:
            naming.close()

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
