"""Moves the marks of folders: objects whose keys end in a slash, which no listing of files shows.

A mark says that there is a folder, and may have metadata and tags. It is made anew, as SeaweedFS copies none.
"""

from __future__ import annotations

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.tasks import all_or_none
from bulkhaul.engine.transfers.copy_source import completed_options
from bulkhaul.engine.transfers.move_source import SourceRemover, require_stored
from bulkhaul.fsspec.listings import FOLDERS_AT_ONCE, Info, everything, file_info
from bulkhaul.fsspec.planning import Pairs
from bulkhaul.model.errors import NotFound, PreconditionFailed
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.writing import ObjectOptions


async def marks_below(aio: AsyncEngine, name: str) -> list[Info]:
    """Return the marks of a folder and of all folders in it, or of those in a bucket; their names end in slashes."""
    bucket, _, key = name.partition("/")
    base = f"{key}/" if key else ""
    heads, _ = await everything(aio, bucket, base, base)
    return [file_info(bucket, head) for head in heads if head.key.endswith("/")]


def with_targets(marks: list[Info], planned: Pairs) -> Pairs:
    """Return marks, each with its new name: that of its folder, which is planned to move.

    A bucket has no mark. That of a folder which is not planned, as it came meanwhile, is none of them.

    Raises:
        ValueError: one holds bytes. It is a file to whoever wrote it, and no folder.
    """
    targets = {info["name"]: target.rstrip("/") for info, target in planned if info["type"] == "directory"}
    found: dict[str, tuple[Info, str]] = {}
    for info in marks:
        name = info["name"]
        if info["size"]:
            text = "ends in a slash and holds bytes, so it is not moved as a folder; move it with `bulkhaul mv`"
            raise ValueError(f"{name!r} {text}: nothing was moved")
        folder = name.rstrip("/")
        if folder in targets:
            found[name] = info, targets[folder] + name[len(folder) :]
    return [(info, target) for info, target in found.values() if target.partition("/")[2]]


async def require_room(aio: AsyncEngine, pairs: Pairs) -> None:
    """Return if no mark would be made in the place of bytes.

    Raises:
        ValueError: one would.
    """

    async def looked(pair: tuple[Info, str]) -> None:
        target = ObjectRef(*pair[1].split("/", 1))
        try:
            there = await aio.control.head(target)
        except NotFound:
            return
        if there.size:
            text = "ends in a slash and holds bytes, so no mark of a folder replaces it; move or remove it first"
            raise ValueError(f"{pair[1]!r} {text}: nothing was moved")

    await all_or_none(looked, iter(pairs), at_once=FOLDERS_AT_ONCE)


async def moved_marks(aio: AsyncEngine, pairs: Pairs, options: ObjectOptions | None) -> None:
    """Make marks at their new names, with what the old ones have, and remove each old one once the new one is stored.

    One that is gone by now is no failure.

    Raises:
        PreconditionFailed: one was replaced meanwhile, and stays.
        TransferError: one could not be made, or not be removed; the others may be moved.
    """
    remover = SourceRemover(aio.control)

    async def moved(pair: tuple[Info, str]) -> None:
        source, target = (ObjectRef(*name.split("/", 1)) for name in (pair[0]["name"], pair[1]))
        named = options or ObjectOptions()
        try:
            seen = await aio.control.look(source)
            stored_as = await completed_options(aio.control, seen, named, storage_class=seen.head.storage_class)
        except NotFound:
            return  # removed by somebody else
        if seen.head.size:
            raise PreconditionFailed("it holds bytes by now, and stays", source.url)
        result = await aio.upload_bytes(b"", target, stored_as)
        await require_stored(aio.control, target, 0, result.etag)
        await remover.remove(source, seen.head)

    await all_or_none(moved, iter(pairs), at_once=FOLDERS_AT_ONCE)
