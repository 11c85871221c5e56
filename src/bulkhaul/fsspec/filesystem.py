"""The file system that fsspec knows as ``bulkhaul``: its operations on one object, folder or bucket."""

from __future__ import annotations

import errno
import functools
import re
import shutil
from datetime import datetime
from typing import Any

from fsspec.asyn import sync_wrapper

from bulkhaul.engine.files.reader import ObjectReader
from bulkhaul.fsspec import listings, reads
from bulkhaul.fsspec.bulk import BulkFileSystem
from bulkhaul.fsspec.files import Appender, ExclusiveWriter, Writer, completed, created
from bulkhaul.fsspec.listings import Info
from bulkhaul.fsspec.oserrors import OsRuns, os_errors
from bulkhaul.model.errors import OtherError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.storerules import check_ttl

BUCKET = re.compile(r"[A-Za-z0-9._:-]{1,255}")
"""What any service may have as the name of a bucket, or of what stands for one. Source: botocore, VALID_BUCKET."""


class BulkhaulFileSystem(BulkFileSystem):
    """Objects as files and folders, for fsspec; see ``docs/guides/fsspec.md``.

    Usage::

        fs = fsspec.filesystem("bulkhaul", endpoint_url="http://127.0.0.1:9000")
        fs.get("bucket/prefix/", "/data/prefix/", recursive=True)

    Instances with the same options share one engine, which runs until the program ends. No listing is cached. Errors
    are ``FileNotFoundError``, ``PermissionError``, ``FileExistsError`` or another ``OSError``; bulkhaul's own is their
    ``__cause__``.
    """

    # What is there

    async def _info(self, path: str, *, refresh: bool = False, version_id: str | None = None) -> Info:
        path = self._strip_protocol(path)
        bucket, _, key = path.partition("/")
        if not key:
            if bucket:
                await self._on_engine(self._engine.aio.probe, f"s3://{bucket}/")
            return listings.folder_info(path)
        try:
            head = await self._on_engine(self._engine.aio.head, ObjectRef(bucket, key), version_id=version_id or "")
        except FileNotFoundError:
            if version_id or not await self._asked(listings.holds_any, bucket, key + "/"):
                raise
            return listings.folder_info(path)
        return listings.file_info(bucket, head) | {"ContentType": head.content.content_type}

    async def _exists(self, path: str, **named: Any) -> bool:
        if not self._can_be(path):
            return False
        try:
            await self._info(path, **named)
        except FileNotFoundError:
            return False
        return True

    async def _isdir(self, path: str) -> bool:
        if not self._can_be(path):
            return False
        try:
            return bool((await self._info(path))["type"] == "directory")
        except FileNotFoundError:
            return False

    async def _isfile(self, path: str) -> bool:
        if "/" not in self._strip_protocol(path) or not self._can_be(path):
            return False
        return await self._on_engine(self._engine.aio.exists, self._ref(path))

    def _can_be(self, path: str) -> bool:
        """Whether a bucket may have such a name; there is the folder of all buckets, too."""
        bucket = self._strip_protocol(path).partition("/")[0]
        return not bucket or BUCKET.fullmatch(bucket) is not None

    async def _ls(self, path: str, detail: bool = True, *, refresh: bool = False) -> list[Info] | list[str]:
        path = self._strip_protocol(path)
        bucket, _, key = path.partition("/")
        if not bucket:
            found = await self._asked(listings.all_buckets)
        else:
            base = f"{key}/" if key else ""
            heads, folders = await self._asked(listings.level, bucket, base)
            found = [listings.folder_info(f"{bucket}/{folder}") for folder in folders]
            found += [listings.file_info(bucket, head) for head in heads if head.key != base]
            if key and not found and not heads:
                found = [await self._info(path)]
        found.sort(key=lambda info: str(info["name"]))
        return found if detail else [info["name"] for info in found]

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        *,
        detail: bool = False,
        prefix: str = "",
        refresh: bool = False,
    ) -> list[str] | dict[str, Info]:
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        found = await self._found(path, maxdepth, prefix, withdirs=withdirs)
        if not prefix and "/" in path and not found:
            if await self._isfile(path):
                found[path] = await self._info(path)
        elif withdirs and not prefix and path and found:
            found[path] = listings.folder_info(path)
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    async def _found(self, path: str, maxdepth: int | None, prefix: str, *, withdirs: bool) -> dict[str, Info]:
        bucket, _, key = path.partition("/")
        if not bucket:
            return await self._found_in_buckets(maxdepth, prefix, withdirs=withdirs)
        base = f"{key}/" if key else ""
        if maxdepth is None:
            heads, folders = await self._asked(listings.everything, bucket, base + prefix, base)
        else:
            heads, folders = await self._asked(listings.levels, bucket, base + prefix, maxdepth)
        infos = [listings.folder_info(f"{bucket}/{folder}") for folder in folders] if withdirs else []
        found = {info["name"]: info for info in infos}
        for head in heads:
            if not head.key.endswith("/"):
                info = listings.file_info(bucket, head)
                found[info["name"]] = info | {"folder": True} if info["name"] in found else info
        return found

    async def _found_in_buckets(self, maxdepth: int | None, prefix: str, *, withdirs: bool) -> dict[str, Info]:
        buckets = [info for info in await self._asked(listings.all_buckets) if info["name"].startswith(prefix)]
        found = {info["name"]: info for info in buckets} if withdirs else {}
        if maxdepth != 1:
            for info in buckets:
                deeper = None if maxdepth is None else maxdepth - 1
                found |= await self._found(info["name"], deeper, "", withdirs=withdirs)
        return found

    async def _du(self, path: str, total: bool = True, maxdepth: int | None = None, withdirs: bool = False) -> Any:
        found = await self._find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: info["size"] for name, info in found.items()}  # type: ignore[union-attr]
        return sum(sizes.values()) if total else sizes

    async def _modified(self, path: str) -> datetime:
        when = (await self._info(path)).get("LastModified")
        if when is None:
            raise IsADirectoryError(errno.EISDIR, "only objects have a time of modification", path)
        return when  # type: ignore[no-any-return]

    modified = sync_wrapper(_modified)
    created = sync_wrapper(_modified)  # an object is never changed: it is replaced

    async def _sign(self, path: str, expiration: int = 100, **named: Any) -> str:
        try:
            check_ttl(expiration)
        except OtherError as error:
            raise ValueError(str(error)) from error
        return await self._on_engine(self._engine.aio.presigned_url, self._ref(path), expiration, **named)

    sign = sync_wrapper(_sign)

    # Bytes

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, *, version_id: str | None = None
    ) -> bytes:
        ref = self._ref(path)
        if not start and end is None:
            return await self._on_engine(self._engine.aio.get_bytes, ref, version_id=version_id or "")
        return await self._asked(reads.part, ref, start or 0, end, version_id or "")

    async def _cat_ranges(self, paths: Any, starts: Any, ends: Any, max_gap: int | None = None, **named: Any) -> Any:
        # Ranges are asked for side by side, so that one request for two of them would only bring more bytes.
        return await super()._cat_ranges(paths, starts, ends, **named)

    async def _pipe_file(
        self, path: str, value: bytes, mode: str = "overwrite", *, options: ObjectOptions = DEFAULT_OPTIONS
    ) -> None:
        upload = functools.partial(self._engine.aio.upload_bytes, value, self._ref(path), options)
        if mode == "create":
            await self._on_engine(created, functools.partial(upload, only_if_absent=True))
        else:
            await self._on_engine(upload)

    async def _touch(self, path: str, truncate: bool = True) -> None:
        if truncate or not await self._exists(path):
            await self._pipe_file(path, b"")
        else:
            raise NotImplementedError("an object gets a new time only with new bytes; see truncate=True")

    touch = sync_wrapper(_touch)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,
        *,
        options: ObjectOptions = DEFAULT_OPTIONS,
        version_id: str | None = None,
        **caches: Any,
    ) -> ObjectReader | Writer:
        """Open an object; blocks and caches are the engine's affair, so what is said of them changes nothing."""
        ref, engine = self._ref(path), self._engine
        if mode == "rb":
            return ObjectReader(engine, ref, version_id or "")
        if mode == "wb":
            return Writer(engine, ref, options, autocommit=autocommit)
        if mode == "xb":
            if engine.run(engine.aio.exists, ref):
                raise FileExistsError(errno.EEXIST, "there is an object of this name", ref.url)
            return ExclusiveWriter(engine, ref, options, autocommit=autocommit)
        if mode == "ab":
            return _appending(engine, ref, options, autocommit=autocommit)
        raise ValueError(f"an object is opened with mode 'rb', 'wb', 'xb' or 'ab', not {mode!r}")

    async def _cp_file(self, path1: str, path2: str, *, options: ObjectOptions | None = None) -> None:
        await self._on_engine(self._engine.aio.copy, self._ref(path1), self._ref(path2), options)

    # Folders and removal

    async def _mkdir(self, path: str, create_parents: bool = True, *, region: str = "") -> None:
        bucket, key = self._folder(path)
        if not key:  # a folder in a bucket is made by what is put into it
            await self._on_engine(_made, self._engine.aio, bucket, region)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        try:
            await self._mkdir(path)
        except FileExistsError:
            if not exist_ok:
                raise

    async def _rmdir(self, path: str) -> None:
        bucket, key = self._folder(path)
        if not key:
            await self._on_engine(_emptied, self._engine.aio, bucket)
        elif held := await self._ls(path, detail=False):
            if held == [f"{bucket}/{key}"]:
                raise NotADirectoryError(errno.ENOTDIR, "this is an object, not a folder", path)
            raise OSError(errno.ENOTEMPTY, "the folder is not empty", path)
        else:
            await self._on_engine(self._engine.aio.delete, ObjectRef(bucket, f"{key}/"))

    rmdir = sync_wrapper(_rmdir)

    def _folder(self, path: str) -> tuple[str, str]:
        bucket, _, key = str(self._strip_protocol(path)).partition("/")
        if not bucket:
            raise ValueError("this is the folder of all buckets; name one of them")
        return bucket, key

    async def _rm_file(self, path: str) -> None:
        await self._on_engine(self._engine.aio.delete, self._ref(path))


async def _made(aio: Any, bucket: str, region: str) -> None:
    with os_errors(held=errno.EEXIST):
        await aio.create_bucket(bucket, region=region)


async def _emptied(aio: Any, bucket: str) -> None:
    with os_errors(held=errno.ENOTEMPTY):
        await aio.delete_bucket(bucket)


def _appending(engine: OsRuns, ref: ObjectRef, options: ObjectOptions, *, autocommit: bool) -> Writer:
    """Return a writer that has been given what the object holds: S3 appends nothing, so all of it is stored anew."""
    try:
        old = ObjectReader(engine, ref)
    except FileNotFoundError:
        return Appender(engine, ref, options, autocommit=autocommit)
    with old:
        remote = old.raw.remote
        kept = engine.run(completed, engine.aio, remote, options)
        writer = Appender(engine, ref, kept, autocommit=autocommit, etag=old.etag)
        try:
            shutil.copyfileobj(old, writer, 4 * MIB)
        except BaseException:
            writer.abort()
            raise
    return writer
