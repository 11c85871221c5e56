"""Gets, puts and removes many objects at once, by the engine's batches rather than one by one."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from typing import Any

from fsspec.asyn import _run_coros_in_chunks
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.core import has_magic

from bulkhaul.fsspec import many
from bulkhaul.fsspec.base import EngineFileSystem
from bulkhaul.fsspec.listings import Info
from bulkhaul.model.limits import MIB
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions


class BulkFileSystem(EngineFileSystem):
    """The operations of the file system that take many names."""

    async def _cat(self, path: Any, recursive: bool = False, **named: Any) -> Any:
        if recursive:
            found = await self._expand_path(path, recursive=True)
            folders = many.folders_of(found)
            path = [one for one in found if one not in folders]
        return await super()._cat(path, **named)

    async def _get(
        self, rpath: Any, lpath: Any, recursive: bool = False, callback: Any = DEFAULT_CALLBACK, **named: Any
    ) -> None:
        pairs: list[tuple[str, str]] = []
        await super()._get(rpath, lpath, recursive=recursive, planned=pairs, **named)
        if recursive:  # folders are made by the files in them
            folders = many.folders_of(path for path, _ in pairs)
            pairs = [(path, file) for path, file in pairs if path not in folders]
        callback.set_size(len(pairs))
        root = many.common_folder(pairs) if len(pairs) > 1 else ""
        if not root:
            get_file = callback.branch_coro(self._get_file)
            getting = [get_file(*pair) for pair in pairs]
            await _run_coros_in_chunks(getting, batch_size=self.batch_size, callback=callback)
            return
        failed = await self._asked(many.downloaded, pairs, root, callback)
        for n, result in list(failed.items()):
            path, file = pairs[n]
            if recursive and result.failure and result.failure.code == "NotFound" and await self._isdir(path):
                os.makedirs(file, exist_ok=True)  # a folder that holds nothing but its mark
                del failed[n]
        many.raise_first(failed)

    async def _get_file(
        self,
        rpath: str,
        lpath: str,
        callback: Any = DEFAULT_CALLBACK,
        *,
        planned: list[tuple[str, str]] | None = None,
        **named: Any,
    ) -> None:
        if planned is not None:
            planned.append((self._strip_protocol(rpath), lpath))
            return
        ref = self._ref(rpath)
        if os.path.isdir(lpath):
            raise IsADirectoryError(errno.EISDIR, "a file cannot be where a folder is", lpath)
        if callback is not DEFAULT_CALLBACK:
            callback.set_size((await self._info(rpath))["size"])
        await self._on_engine(self._engine.aio.download, ref, lpath, progress=_told(callback), **named)

    async def _put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        *,
        options: ObjectOptions = DEFAULT_OPTIONS,
        mode: str = "overwrite",
        **named: Any,
    ) -> None:
        pairs: list[tuple[str, str]] = []
        await super()._put(lpath, rpath, recursive=recursive, planned=pairs, **named)
        callback.set_size(len(pairs))
        if len(pairs) > 1 and mode == "overwrite":
            many.raise_first(await self._asked(many.uploaded, pairs, options, callback))
            return
        put_file = callback.branch_coro(self._put_file)
        putting = [put_file(*pair, mode=mode, options=options) for pair in pairs]
        await _run_coros_in_chunks(putting, batch_size=self.batch_size, callback=callback)

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        *,
        options: ObjectOptions = DEFAULT_OPTIONS,
        planned: list[tuple[str, str]] | None = None,
    ) -> None:
        if planned is not None:
            planned.append((lpath, self._strip_protocol(rpath)))
            return
        if os.path.isdir(lpath):
            return  # a folder is made by what is put into it
        ref = self._ref(rpath)
        size_bytes = os.path.getsize(lpath)
        callback.set_size(size_bytes)
        if mode != "create":
            await self._on_engine(self._engine.aio.upload, lpath, ref, options, progress=_told(callback))
            return
        with self._open(rpath, "xb", options=options) as sink, open(lpath, "rb") as source:
            await asyncio.to_thread(shutil.copyfileobj, source, sink, MIB)

    async def _rm(
        self, path: str | list[str], recursive: bool = False, batch_size: int | None = None, maxdepth: int | None = None
    ) -> None:
        if maxdepth is not None:
            await super()._rm(path, recursive=recursive, batch_size=batch_size, maxdepth=maxdepth)
            return
        found: dict[str, Info] = {}
        for one in [path] if isinstance(path, str) else path:
            one = self._strip_protocol(one)
            if has_magic(one):
                matching = await self._glob(one, detail=True)
                found |= {name: info for name, info in matching.items() if recursive or info["type"] == "file"}
            else:
                found[one] = await self._info(one)
                if found[one]["type"] == "directory" and not recursive:
                    raise IsADirectoryError(errno.EISDIR, "this is a folder; see recursive=True", one)
        if "" in found:
            raise ValueError("all buckets together are not removed; name them")
        if not found:
            raise FileNotFoundError(errno.ENOENT, "nothing matches", str(path))
        engine = self._engine
        files = [self._ref(name) for name, info in found.items() if info["type"] == "file"]
        many.raise_first(await self._on_engine(many.removed, engine.aio.delete_many(files)))
        if recursive:
            for name in found:
                many.raise_first(await self._asked(many.removed_below, name))
        for name in found:
            if "/" not in name:
                await self._rmdir(name)


def _told(callback: Any) -> Callable[[int], None] | None:
    return None if callback is DEFAULT_CALLBACK else callback.relative_update
