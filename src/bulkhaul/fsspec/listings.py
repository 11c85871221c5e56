"""Tells of objects and folders as fsspec does. Folders are made of the slashes in keys: there is nothing else to them.

Nothing is kept from one call to the next: a listing is what the service says now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.objects import ObjectHead

Info = dict[str, Any]
"""``name``, ``size`` in bytes, ``type`` (``file`` or ``directory``); of a file also what s3fs tells, by its names.

``folder``: there is a folder of the object's name, too.
"""

FOLDERS_AT_ONCE = 64
"""Folders that are listed side by side."""


def file_info(bucket: str, head: ObjectHead) -> Info:
    """Return what is known of one object."""
    return {
        "name": f"{bucket}/{head.key}",
        "size": head.size,
        "type": "file",
        "ETag": head.etag,
        "LastModified": head.last_modified,
        "StorageClass": head.storage_class or "STANDARD",
        "VersionId": head.version_id or None,
    }


def folder_info(name: str) -> Info:
    """Return what is known of a bucket, or a folder in one."""
    return {"name": name.rstrip("/"), "size": 0, "type": "directory"}


async def all_buckets(aio: AsyncEngine) -> list[Info]:
    """Return the caller's buckets."""
    async with aclosing(aio.buckets()) as buckets:
        return [folder_info(bucket.name) async for bucket in buckets]


async def holds_any(aio: AsyncEngine, bucket: str, prefix: str) -> bool:
    """Whether any key begins with the prefix, by one request."""
    async with aclosing(aio.control.pages(bucket, prefix, max_keys=1, ahead=False)) as pages:
        async for page in pages:
            if page:
                return True
    return False


async def level(aio: AsyncEngine, bucket: str, prefix: str) -> tuple[list[ObjectHead], list[str]]:
    """Return the objects whose keys have no slash after the prefix, and the folders there, each with its slash."""
    heads: list[ObjectHead] = []
    folders: list[str] = []
    async with aclosing(aio.control.folder(bucket, prefix)) as pages:
        async for objects, prefixes in pages:
            heads += objects
            folders += prefixes
    return heads, folders


async def levels(aio: AsyncEngine, bucket: str, prefix: str, depth: int) -> tuple[list[ObjectHead], list[str]]:
    """Return the objects and folders of so many levels below a prefix; each folder is one listing or more."""
    heads, folders = await level(aio, bucket, prefix)
    found = list(folders)
    slots = asyncio.Semaphore(FOLDERS_AT_ONCE)

    async def listed(folder: str) -> tuple[list[ObjectHead], list[str]]:
        async with slots:
            return await level(aio, bucket, folder)

    for _ in range(depth - 1):
        deeper: list[str] = []
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(listed(folder)) for folder in folders]
        for task in tasks:
            objects, below = task.result()
            heads += objects
            deeper += below
        found += deeper
        folders = deeper
    return heads, found


async def everything(aio: AsyncEngine, bucket: str, prefix: str, base: str) -> tuple[list[ObjectHead], list[str]]:
    """Return all objects whose keys begin with the prefix, and the folders that they lie in below ``base``."""
    heads: list[ObjectHead] = []
    async with aclosing(aio.control.pages(bucket, prefix)) as pages:
        async for page in pages:
            heads += page
    return heads, list(_folders(heads, len(base)))


def _folders(heads: Iterable[ObjectHead], start: int) -> dict[str, None]:
    found: dict[str, None] = {}
    for head in heads:
        end = head.key.rfind("/", start)
        while end >= start and (folder := head.key[: end + 1]) not in found:
            found[folder] = None
            end = head.key.rfind("/", start, end)
    return found
