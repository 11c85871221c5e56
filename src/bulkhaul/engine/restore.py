"""Many objects: streams a listing through selection and naming into downloads; it must not fetch by itself.

    pages ─▶ select, name ─▶ slots (small, large) ─▶ Coordinator.download ─▶ results, as they end

Memory is bounded by the slots and one page, never by the number of keys (I7).
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncGenerator, Callable

import msgspec

from bulkhaul.disk.folder import DestinationTree, SeenNames
from bulkhaul.engine.cancellation import outlast
from bulkhaul.engine.coordinator import Coordinator, Destination, Listed, may_skip_head
from bulkhaul.model.errors import ErrorInfo, NotFound, TransferError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.results import Progress, TransferResult
from bulkhaul.policy.naming import FileFolderClash, folded, local_name
from bulkhaul.policy.selection import Source
from bulkhaul.policy.transfer import SMALL_PART_DEPTH

SMALL_OBJECT_BYTES = MIB
"""Objects up to this size share many slots; larger ones have one for each request in flight."""

MAX_SMALL_SLOTS = 512
"""Small objects under way at most; fewer where the limit of open files is low."""


class Planned(msgspec.Struct, frozen=True):
    """One key of the listing that was selected.

    Attributes:
        components: where it goes below the destination; empty if it does not.
        refused: why it cannot be a file, else empty.
        skipped: why there is nothing to do, else empty.
    """

    info: ObjectHead
    components: tuple[str, ...] = ()
    refused: str = ""
    skipped: str = ""


class Naming:
    """Gives each key of one listing its path, or says why it gets none."""

    def __init__(self, base: str, *, folds_case: bool) -> None:
        self._base = base
        self._clash = FileFolderClash()
        self._seen = SeenNames() if folds_case else None

    def plan(self, info: ObjectHead) -> Planned:
        """Return what becomes of a key."""
        relative = info.key.removeprefix(self._base)
        if info.key.endswith("/") and info.size_bytes == 0:
            return Planned(info, skipped="it marks a folder and holds nothing")
        name = local_name(relative)
        if name.refused:
            return Planned(info, refused=name.refused)
        if parent := self._clash.parent_of(relative):
            return Planned(info, refused=f"it needs a folder where the key {parent!r} is a file")
        if self._seen is not None and (earlier := self._seen.earlier(folded(name.components), info.key)):
            return Planned(info, refused=f"on this file system it would be the same file as the key {earlier!r}")
        return Planned(info, components=name.components)

    def close(self) -> None:
        """Forget the names."""
        if self._seen is not None:
            self._seen.close()


class Restore:
    """One run over many objects.

    Attributes:
        progress: what was planned and how it ended, so far.
    """

    def __init__(self, coordinator: Coordinator, source: Source, takes: Callable[[str], bool], root: str) -> None:
        self._coordinator = coordinator
        self._source = source
        self._takes = takes
        self._root = root
        self._counts = {"verified": 0, "failed": 0, "skipped": 0, "planned": 0, "bytes": 0}
        self._planned_all = False
        self._feeding: asyncio.Task[None] | None = None
        self._ended = asyncio.Queue[TransferResult](maxsize=MAX_SMALL_SLOTS)
        settings = coordinator.settings
        self._large = asyncio.Semaphore(settings.max_in_flight)
        self._small = asyncio.Semaphore(min(_small_slots(), settings.max_in_flight * SMALL_PART_DEPTH))
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> bool:
        """Whether it has begun and not ended."""
        return self._feeding is not None and not self._feeding.done()

    @property
    def progress(self) -> Progress:
        """Return the counts so far; ``received_bytes`` is the engine's to know."""
        return Progress(
            planned_objects=self._counts["planned"],
            verified_objects=self._counts["verified"],
            failed_objects=self._counts["failed"],
            skipped_objects=self._counts["skipped"],
            planned_bytes=self._counts["bytes"],
            planning_done=self._planned_all,
        )

    async def planned(self, *, folds_case: bool = False) -> AsyncGenerator[tuple[Planned, Listed], None]:
        """Yield what the listing selects, one page in memory.

        Raises:
            NotFound: it selects nothing.
            TransferError: the listing failed.
        """
        naming = Naming(self._source.base, folds_case=folds_case)
        found = False
        try:
            async for infos, target in self._coordinator.pages(self._source.bucket, self._source.prefix):
                for info in infos:
                    if self._takes(info.key):
                        found = True
                        yield naming.plan(info), Listed(info, target)
        finally:
            naming.close()
        if not found:
            where = f"s3://{self._source.bucket}/{self._source.pattern or self._source.prefix}"
            raise NotFound("no object matches; check the prefix, --include and --exclude", where)

    async def run(self) -> AsyncGenerator[TransferResult, None]:
        """Yield each object's outcome as it ends; a failed one carries its error and the others go on.

        Raises:
            TransferError: the listing or the destination folder failed; what was under way has ended by then.
        """
        tree = DestinationTree(self._root)
        feeding = self._feeding = asyncio.create_task(self._feed(tree))
        try:
            while (result := await self._next(feeding)) is not None:
                yield self._counted(result)
            await feeding  # raises what the listing raised
        finally:
            await self.stop()
            tree.close()

    async def stop(self) -> None:
        """Cancel what is under way and wait until it has let go of everything. Safe to call twice."""
        if self._feeding is None:
            return
        self._feeding.cancel()
        for task in self._tasks:
            task.cancel()
        await outlast(self._feeding, *self._tasks)
        if not self._feeding.cancelled():
            self._feeding.exception()  # looked at: whoever stops does not ask how the listing went

    async def _next(self, feeding: asyncio.Task[None]) -> TransferResult | None:
        """Return the next result, None when there will be no more."""
        if not self._ended.empty():
            return self._ended.get_nowait()
        if feeding.done():
            return None
        getting = asyncio.ensure_future(self._ended.get())
        try:
            await asyncio.wait([getting, feeding], return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
        finally:
            getting.cancel()
        return None if self._ended.empty() else self._ended.get_nowait()

    async def _feed(self, tree: DestinationTree) -> None:
        try:
            async for planned, listed in self.planned(folds_case=tree.folds_case()):
                self._counts["planned"] += 1
                if not planned.components:
                    await self._ended.put(self._not_fetched(planned))
                    continue
                self._counts["bytes"] += planned.info.size_bytes
                slot = self._small if planned.info.size_bytes <= SMALL_OBJECT_BYTES else self._large
                await slot.acquire()
                task = asyncio.create_task(self._one(tree, planned, listed, slot))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            self._planned_all = True
            # The end of the listing, good or bad, is news only after what it has begun.
            while self._tasks:
                await asyncio.wait(set(self._tasks))

    async def _one(self, tree: DestinationTree, planned: Planned, listed: Listed, slot: asyncio.Semaphore) -> None:
        ref = ObjectRef(self._source.bucket, planned.info.key)
        path = os.path.join(self._root, *planned.components)
        known = listed if may_skip_head(planned.info, self._coordinator.settings) else None
        try:
            folder = tree.folder(planned.components[:-1])
            try:
                result = await self._coordinator.download(ref, Destination(folder, planned.components[-1], path), known)
            finally:
                folder.release()
        except TransferError as error:
            result = self._failed(planned, path, error.info)
        except Exception as error:  # noqa: BLE001 - one object must not be lost from the count, whatever happens to it
            cause = f"{type(error).__name__}: {error}"
            result = self._failed(planned, path, ErrorInfo("OtherError", "it could not be restored", ref.url, cause))
        try:
            await self._ended.put(result)  # it keeps its slot until somebody has taken it: that bounds memory
        finally:
            slot.release()

    def _not_fetched(self, planned: Planned) -> TransferResult:
        if planned.skipped:
            blank = self._failed(planned, "", None)
            return msgspec.structs.replace(blank, skipped=planned.skipped)
        url = ObjectRef(self._source.bucket, planned.info.key).url
        text = f"the key cannot be a file below {self._root}: {planned.refused}"
        return self._failed(planned, "", ErrorInfo("UnsafeKey", text, url))

    def _failed(self, planned: Planned, path: str, failure: ErrorInfo | None) -> TransferResult:
        ref = ObjectRef(self._source.bucket, planned.info.key)
        return TransferResult(
            source=ref.url,
            destination=path,
            bucket=ref.bucket,
            key=ref.key,
            size_bytes=planned.info.size_bytes,
            etag=planned.info.etag,
            last_modified=planned.info.last_modified,
            failure=failure,
        )

    def _counted(self, result: TransferResult) -> TransferResult:
        kind = "failed" if result.failure else "skipped" if result.skipped else "verified"
        self._counts[kind] += 1
        return result


def _small_slots() -> int:
    """Return how many small objects may be under way: each holds its file, and perhaps its folder."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_SMALL_SLOTS if soft == resource.RLIM_INFINITY else max(8, min(MAX_SMALL_SLOTS, (soft - 256) // 3))
