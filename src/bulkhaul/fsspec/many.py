"""Moves many files by the engine's batches, and tells fsspec's callbacks and callers how they ended."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.fsspec.listings import level
from bulkhaul.fsspec.oserrors import os_error
from bulkhaul.model.errors import NotFound
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectOptions

Pairs = Sequence[tuple[str, str]]
"""Sources and destinations; an object is ``bucket/key``."""


def folders_of(paths: Iterable[str]) -> set[str]:
    """Return the folders that these paths lie in, those above them too."""
    return {path[:end] for path in paths for end, sign in enumerate(path) if sign == "/"}


def common_folder(pairs: Pairs) -> str:
    """Return the folder that all destinations lie in, where it can be written; else an empty text."""
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for _, path in pairs])
    return root if os.path.isdir(root) and os.access(root, os.W_OK | os.X_OK) else ""


async def downloaded(aio: AsyncEngine, pairs: Pairs, root: str, callback: Any) -> dict[int, TransferResult]:
    """Download objects to files below ``root``, and return the results of those that failed, by their places."""
    rows = [
        Row(n=n, action=Action.DOWNLOAD, source=f"s3://{path}", destination=os.path.abspath(file))
        for n, (path, file) in enumerate(pairs)
    ]
    return await _failed(aio.download_rows([rows], root), callback)


async def uploaded(aio: AsyncEngine, pairs: Pairs, options: ObjectOptions, callback: Any) -> dict[int, TransferResult]:
    """Upload files, and return the results of those that failed, by their places."""
    rows = [
        Row(n=n, action=Action.UPLOAD, source=os.path.abspath(file), destination=f"s3://{path}")
        for n, (file, path) in enumerate(pairs)
    ]
    return await _failed(aio.upload_rows([rows], options), callback)


async def removed(results: AsyncGenerator[TransferResult, None]) -> dict[int, TransferResult]:
    """Await deletions, and return the results of those that failed, in their order."""
    async with aclosing(results) as ended:
        failed = [result async for result in ended if result.failure]
    return dict(enumerate(failed))


async def removed_below(aio: AsyncEngine, name: str) -> dict[int, TransferResult]:
    """Remove all that lies in a folder or a bucket, and return the results of what failed, in their order."""
    failed = await removed(aio.delete_many([f"s3://{name}/"], recursive=True, literal=True))
    left = {n: result for n, result in failed.items() if not isinstance(result.error, NotFound)}
    bucket, _, key = name.partition("/")
    if key and not left:
        await remove_empty(aio, bucket, f"{key}/")
    return left


async def remove_empty(aio: AsyncEngine, bucket: str, folder: str) -> None:
    """Remove the marks of folders in which nothing else is: SeaweedFS has them where objects were."""
    heads, folders = await level(aio, bucket, folder)
    for below in folders:
        await remove_empty(aio, bucket, below)
    if heads and all(head.key == folder for head in heads):
        await aio.delete(ObjectRef(bucket, folder))


async def _failed(results: AsyncGenerator[TransferResult, None], callback: Any) -> dict[int, TransferResult]:
    failed = {}
    async with aclosing(results) as ended:
        async for result in ended:
            callback.relative_update(1)
            if result.failure:
                failed[result.row] = result
    return failed


def raise_first(failed: dict[int, TransferResult]) -> None:
    """Raise the first failure, with a note of how many others there are.

    Raises:
        OSError: something failed.
    """
    if not failed:
        return
    error = failed[min(failed)].error
    assert error is not None
    raised = os_error(error)
    if len(failed) > 1:
        raised.add_note(f"{len(failed) - 1} others failed, too")
    raise raised from error
