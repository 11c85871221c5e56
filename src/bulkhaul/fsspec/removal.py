"""Copies, moves and removes many objects at once. Nothing is removed but what was named, or is copied for sure."""

from __future__ import annotations

import errno
from collections.abc import Collection
from typing import Any

from fsspec.asyn import _run_coros_in_chunks, sync_wrapper
from fsspec.core import has_magic

from bulkhaul.fsspec import many, marks
from bulkhaul.fsspec.listings import Info
from bulkhaul.fsspec.planning import Pairs, PlanningFileSystem, files_of
from bulkhaul.model.writing import ObjectOptions


class RemovingFileSystem(PlanningFileSystem):
    """The operations that copy and remove many objects."""

    async def _copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        on_error: str | None = None,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        *,
        options: ObjectOptions | None = None,
    ) -> None:
        pairs = files_of(await self._copies(path1, path2, recursive=recursive, maxdepth=maxdepth))
        failed = await self._asked(many.copied, pairs, options, move=False)
        if on_error == "ignore" or (on_error is None and recursive):
            failed = {n: result for n, result in failed.items() if result.failure and result.failure.code != "NotFound"}
        many.raise_first(failed)

    async def _mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        *,
        options: ObjectOptions | None = None,
    ) -> None:
        """Move objects: each is removed when its copy is stored, and nothing else is. The marks of folders come last.

        Raises:
            ValueError: an object would be in the place of another one that is moved, or of itself; or the mark of a
                folder holds bytes, or would replace some.
            IsADirectoryError: a folder is named without ``recursive``.
        """
        if self._strip_protocol(path1) == self._strip_protocol(path2):
            return
        literal = await self._literal(path1)
        planned = await self._copies(path1, path2, recursive=recursive, maxdepth=maxdepth, literal=literal)
        pairs = files_of(planned)
        if not pairs and not recursive:
            raise IsADirectoryError(errno.EISDIR, "this is a folder; see recursive=True", str(path1))
        whole = _topmost(planned) if recursive and maxdepth is None else []
        found = [mark for name in whole for mark in await self._asked(marks.marks_below, name)]
        folders = marks.with_targets(found, planned)
        staying = {info["name"] for info in found} - {info["name"] for info, _ in folders}
        _check_moves(planned, [*pairs, *folders])
        await self._asked(marks.require_room, folders)
        many.raise_first(await self._asked(many.copied, pairs, options, move=True))
        await self._asked(marks.moved_marks, folders, options)
        for name in whole:
            bucket, _, key = name.partition("/")
            if key and not any(mark.startswith(f"{name}/") for mark in staying):
                await self._asked(many.remove_empty, bucket, f"{key}/")

    mv = sync_wrapper(_mv)

    async def _copies(
        self, source: Any, target: Any, *, recursive: bool, maxdepth: int | None, literal: Collection[str] = ()
    ) -> Pairs:
        into_folder = isinstance(target, str) and (target.endswith("/") or await self._isdir(target))
        target = self._strip_protocol(target)
        return await self._paired(
            source, target, into_folder=into_folder, recursive=recursive, maxdepth=maxdepth, literal=literal
        )

    async def _literal(self, path: Any) -> set[str]:
        """Return those names that look like patterns, and yet are what is there: these are meant, and nothing else.

        Raises:
            ValueError: a pattern stands in the place of a bucket, or all buckets are named.
        """
        found = set()
        for one in path if isinstance(path, list) else [path]:
            name = self._strip_protocol(one)
            if not name or has_magic(name.partition("/")[0]):
                raise ValueError("all buckets together, or those of a pattern, are not removed; name them")
            if has_magic(name) and await self._exists(name):
                found.add(name)
        return found

    async def _rm(
        self, path: str | list[str], recursive: bool = False, batch_size: int | None = None, maxdepth: int | None = None
    ) -> None:
        literal = await self._literal(path)
        names = [self._strip_protocol(one) for one in (path if isinstance(path, list) else [path])]
        patterns = [name for name in names if has_magic(name) and name not in literal]
        plain = [name for name in names if name not in patterns]
        asking = [self._info(name) for name in plain]
        infos = await _run_coros_in_chunks(asking, batch_size=batch_size or self.batch_size, nofiles=True)
        found: dict[str, Info] = dict(zip(plain, infos, strict=True))
        for name, info in found.items():
            if info["type"] == "directory" and not recursive:
                raise IsADirectoryError(errno.EISDIR, "this is a folder; see recursive=True", name)
        if maxdepth is not None:
            found = await self._named(names, recursive=recursive, maxdepth=maxdepth, literal=literal)
        else:
            for name in patterns:
                found |= await self._glob(name, detail=True)
        if not recursive:
            found = {name: info for name, info in found.items() if info["type"] == "file"}
        if not found:
            raise FileNotFoundError(errno.ENOENT, "nothing matches", str(path))
        files = [self._ref(name) for name, info in found.items() if info["type"] == "file"]
        many.raise_first(await self._on_engine(many.removed, self._engine.aio.delete_many(files)))
        if not recursive or maxdepth is not None:
            return
        for name in found:
            many.raise_first(await self._asked(many.removed_below, name))
        for name in found:
            if "/" not in name:
                await self._rmdir(name)


def _check_moves(planned: Pairs, pairs: Pairs) -> None:
    """Make sure that no object of a move is lost by another one.

    Args:
        planned: with the folders.
        pairs: all objects, marks among them.

    Raises:
        ValueError: one would be.
    """
    sources = {info["name"] for info, _ in pairs}
    folders = tuple(f"{name}/" for name in _topmost(planned))
    targets: set[str] = set()
    for info, target in pairs:
        if target in sources or any(target.startswith(folder) for folder in folders):
            raise ValueError(
                f"{info['name']!r} cannot be moved to {target!r}, which is moved itself: nothing was moved"
            )
        if target in targets:
            raise ValueError(f"two objects would be moved to {target!r}: nothing was moved")
        targets.add(target)


def _topmost(planned: Pairs) -> list[str]:
    folders = {info["name"] for info, _ in planned if info["type"] == "directory"}
    return [name for name in folders if name.rpartition("/")[0] not in folders]
