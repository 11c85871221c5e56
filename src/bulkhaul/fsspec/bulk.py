"""Gets and puts many objects at once, by the engine's batches rather than one by one."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable
from typing import Any

from fsspec.asyn import _run_coros_in_chunks
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.implementations.local import make_path_posix

from bulkhaul.fsspec import many
from bulkhaul.fsspec.files import created
from bulkhaul.fsspec.planning import files_of
from bulkhaul.fsspec.removal import RemovingFileSystem
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions


class BulkFileSystem(RemovingFileSystem):
    """The operations of the file system that take many names."""

    async def _cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **named: Any) -> Any:
        if not recursive:
            return await super()._cat(path, on_error=on_error, **named)
        found = await self._named(path, recursive=True)
        names = [name for name, info in found.items() if info["type"] != "directory"]
        reading = [self._cat_file(name, **named) for name in names]
        bodies = await _run_coros_in_chunks(
            reading, batch_size=self.batch_size, nofiles=True, return_exceptions=on_error != "raise"
        )
        if names == [path if isinstance(path, list) else self._strip_protocol(path)]:
            return bodies[0]
        told = zip(names, bodies, strict=True)
        return {name: body for name, body in told if on_error != "omit" or not isinstance(body, BaseException)}

    async def _get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        *,
        batch_size: int | None = None,
        version_id: str | None = None,
    ) -> None:
        if version_id and (recursive or isinstance(rpath, list) or isinstance(lpath, list)):
            raise ValueError("a version is one of one object: name that alone")
        lpath = make_path_posix(lpath)
        into_folder = isinstance(lpath, str) and (lpath.endswith("/") or os.path.isdir(lpath))
        planned = await self._paired(
            rpath, lpath, into_folder=into_folder, recursive=recursive, maxdepth=maxdepth, version_id=version_id or ""
        )
        pairs = files_of(planned)
        callback.set_size(len(pairs))
        root = ""
        if isinstance(lpath, str):
            root, pairs = many.below(lpath, pairs)
        if not root:  # each file is named by the caller
            for _, file in pairs:
                os.makedirs(os.path.dirname(file), exist_ok=True)
            root = many.common_folder(pairs) if len(pairs) > 1 else ""
        if root:
            many.raise_first(await self._asked(many.downloaded, pairs, root, callback, version_id or ""))
            return
        get_file = callback.branch_coro(self._get_file)
        getting = [get_file(info["name"], file, version_id=version_id) for info, file in pairs]
        await _run_coros_in_chunks(getting, batch_size=batch_size or self.batch_size, callback=callback)

    async def _get_file(
        self, rpath: str, lpath: str, callback: Any = DEFAULT_CALLBACK, *, version_id: str | None = None
    ) -> None:
        ref = self._ref(rpath)
        if os.path.isdir(lpath):
            raise IsADirectoryError(errno.EISDIR, "a file cannot be where a folder is", lpath)
        if callback is not DEFAULT_CALLBACK:
            callback.set_size((await self._info(rpath, version_id=version_id))["size"])
        download = self._engine.aio.download
        await self._on_engine(download, ref, lpath, progress=_told(callback), version_id=version_id or "")

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
        upload = functools.partial(self._engine.aio.upload, lpath, ref, options, progress=_told(callback))
        if mode == "create":
            await self._on_engine(created, functools.partial(upload, only_if_absent=True))
        else:
            await self._on_engine(upload)


def _told(callback: Any) -> Callable[[int], None] | None:
    return None if callback is DEFAULT_CALLBACK else callback.relative_update
