"""Moves many files by the engine's batches, and tells fsspec's callbacks and callers how they ended."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from fsspec.callbacks import DEFAULT_CALLBACK

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.fsspec.listings import Info, level
from bulkhaul.fsspec.oserrors import os_error
from bulkhaul.fsspec.planning import Pairs
from bulkhaul.model.errors import PreconditionFailed
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectOptions


def common_folder(pairs: Pairs) -> str:
    """Return the folder that all destinations lie in, where it can be written; else an empty text."""
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for _, path in pairs])
    return root if os.path.isdir(root) and os.access(root, os.W_OK | os.X_OK) else ""


def below(folder: str, pairs: Pairs) -> tuple[str, Pairs]:
    """Return a folder, and the same objects with files that lie below its absolute path, with all dots of their keys.

    The folder is empty where its name is that of the one file itself.
    """
    given, root = folder.rstrip("/"), os.path.abspath(folder)
    if [file for _, file in pairs] == [given]:
        return "", pairs
    start = root.rstrip("/")
    return root, [(info, start + file[len(given) :]) for info, file in pairs]


async def downloaded(
    aio: AsyncEngine, pairs: Pairs, root: str, callback: Any, version_id: str
) -> dict[int, TransferResult]:
    """Download objects to files below ``root``, and return the results of those that failed, by their places.

    An object that was replaced since it was listed is fetched as it is now.
    """
    rows = [_row(n, Action.DOWNLOAD, info, file, version_id) for n, (info, file) in enumerate(pairs)]
    failed = await _failed(aio.download_rows([rows], root), callback)
    replaced = [n for n, result in failed.items() if isinstance(result.error, PreconditionFailed)]
    if replaced:
        anew = [msgspec.structs.replace(rows[n], size=None, etag="") for n in replaced]
        again = await _failed(aio.download_rows([anew], root), DEFAULT_CALLBACK)
        failed = {n: result for n, result in failed.items() if n not in replaced} | again
    return failed


def _row(n: int, action: Action, info: Info, target: str, version_id: str = "") -> Row:
    told = not version_id and info.get("ETag")
    return Row(
        n=n,
        action=action,
        source=f"s3://{info['name']}",
        destination=target,
        size=info["size"] if told else None,
        etag=info["ETag"] if told else "",
        version_id=version_id,
    )


async def copied(
    aio: AsyncEngine, pairs: Pairs, options: ObjectOptions | None, *, move: bool
) -> dict[int, TransferResult]:
    """Copy or move objects, and return the results of those that failed, by their places."""
    rows = [
        Row(n=n, action=Action.COPY, source=f"s3://{info['name']}", destination=f"s3://{target}")
        for n, (info, target) in enumerate(pairs)
    ]
    return await _failed(aio.copy_rows([rows], options, move=move), DEFAULT_CALLBACK)


async def uploaded(
    aio: AsyncEngine, pairs: Sequence[tuple[str, str]], options: ObjectOptions, callback: Any
) -> dict[int, TransferResult]:
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
    bucket, _, key = name.partition("/")
    if key and not failed:
        await remove_empty(aio, bucket, f"{key}/")
    return failed


async def remove_empty(aio: AsyncEngine, bucket: str, folder: str) -> None:
    """Remove the marks of folders in which nothing else is: SeaweedFS has them where objects were."""
    heads, folders = await level(aio, bucket, folder)
    for below in folders:
        await remove_empty(aio, bucket, below)
    if heads and all(head.key == folder and not head.size for head in heads):
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
