"""Plans the download of a listing: each key has a path of its own below the destination, or none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Callable

import msgspec

from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.list_selected import list_selected_pages
from bulkhaul.engine.transfers.download_pieces import PlannedDownload
from bulkhaul.engine.transfers.result import result_of
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.policy.naming import KeyPaths, folded
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

    def __init__(self, base: str, *, folds_case: bool, store_links: bool = False) -> None:
        self._base = base
        self._paths = KeyPaths(base, stores_links=store_links)
        self._seen = SeenNames() if folds_case else None

    def plan(self, head: ObjectHead) -> KeyPlan:
        """Return what becomes of a key."""
        if head.key.endswith("/") and head.size == 0:
            return KeyPlan(skipped="it marks a folder and holds nothing")
        name = self._paths.path_of(head.key.removeprefix(self._base))
        if name.refused:
            return KeyPlan(refused=name.refused)
        earlier = self._seen.earlier(folded(name.components), head.key) if self._seen is not None else ""
        if earlier not in ("", head.key):
            return KeyPlan(refused=f"on this file system it would be the same file as the key {earlier!r}")
        return KeyPlan(components=name.components)

    def close(self) -> None:
        """Forget the names."""
        if self._seen is not None:
            self._seen.close()


async def listed_downloads(
    control: Control,
    source: Source,
    takes: Callable[[str], bool],
    root: str,
    *,
    folds_case: bool,
    store_links: bool = False,
) -> AsyncGenerator[list[PlannedDownload], None]:
    """Yield what a listing selects, page by page, each with its path below ``root`` or with why it gets none.

    Args:
        store_links: a stored link has the path of the link that is made of it.

    Raises:
        NotFound: nothing is selected.
        TransferError: the listing failed.
    """
    naming = Naming(source.base, folds_case=folds_case, store_links=store_links)
    below = os.path.join(root, "")  # joined once, not for each key: components are plain names
    try:
        async with contextlib.aclosing(list_selected_pages(control, source, takes)) as pages:
            async for page in pages:
                yield [_planned(remote, naming.plan(remote.head), below) for remote in page]
    finally:
        naming.close()


def _planned(remote: RemoteObject, key: KeyPlan, below: str) -> PlannedDownload:
    ref = remote.ref
    if key.components:
        result = result_of(ref, remote.head, below + "/".join(key.components))
        return PlannedDownload(result, remote, key.components)
    failure = unsafe_key(ref, below, key.refused) if key.refused else None
    result = result_of(ref, remote.head, "")
    return PlannedDownload(msgspec.structs.replace(result, skipped=key.skipped, failure=failure))


def unsafe_key(ref: ObjectRef, root: str, refused: str) -> ErrorInfo:
    """Return the error of an object that can have no file below ``root``."""
    return ErrorInfo("UnsafeKey", f"the key cannot be a file below {root}: {refused}", ref.url)
