"""Resolves the two places that are compared to their sides: what is below each, or one object or file of each."""

from __future__ import annotations

import contextlib
import os
import stat

import msgspec

from bulkhaul.disk.paths import local_path
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.places import FileSide
from bulkhaul.model.errors import NotFound, UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.policy.selection import Source, below, parse_source

SCHEME = "s3://"


class StoredSide(msgspec.Struct, frozen=True):
    """A side in S3.

    Attributes:
        base: what is put before a name to get its key.
        listed: the prefix of its listing.
        version_id: of the one object that it is, empty for the current version.
    """

    engine: AsyncEngine
    bucket: str
    base: str
    listed: str
    version_id: str = ""

    def place(self, name: str) -> str:
        """Return the URL of a name."""
        return f"s3://{self.bucket}/{self.base}{name}"

    def ref(self, name: str) -> ObjectRef:
        """Return the object of a name."""
        return ObjectRef(self.bucket, self.base + name)


Side = StoredSide | FileSide


class Places(msgspec.Struct, frozen=True):
    """Both sides.

    Attributes:
        selection: what is taken of them, with names below both.
        single: each side is one object or file, whose name is empty.
    """

    one: Side
    other: Side
    selection: Source
    single: bool


async def places_of(one_engine: AsyncEngine, other_engine: AsyncEngine, one: str, other: str) -> Places:
    """Return what two places name.

    They are one object or file each where a file on disk is named, or where both keys are objects' and neither ends in
    a slash, or one of them and nothing lies below either; else what lies below a folder or a prefix.

    Raises:
        UsageError: a pattern of keys against one file, or the two places are one.
        InvalidUrl: a URL names no bucket.
        TransferError: a key could not be looked at.
    """
    engines, paths = (one_engine, other_engine), (one, other)
    if one == other and one_engine is other_engine:
        raise UsageError("both places are the same one", one)
    sources = [parse_source(path, recursive=True) if path.startswith(SCHEME) else None for path in paths]
    patterns = [source for source in sources if source is not None and source.pattern]
    if len(patterns) > 1:
        raise UsageError("only one of the places may be a pattern", other)
    single = not patterns and await _single(engines, paths)
    sides: list[Side] = []
    for engine, path, source in zip(engines, paths, sources, strict=True):
        if source is None:
            sides.append(FileSide(local_path(path) if single else os.path.join(local_path(path), "")))
        elif single:
            key = parse_source(path).key
            sides.append(StoredSide(engine, source.bucket, key, key))
        else:
            sides.append(StoredSide(engine, source.bucket, source.base, source.prefix))
    selection = below(patterns[0]) if patterns else Source("", many=True)
    return Places(sides[0], sides[1], selection, single)


async def side_of(engine: AsyncEngine, path: str, *, single: bool) -> Side:
    """Return the side that one place names; ``single``: as one object or file."""
    if not path.startswith(SCHEME):
        return FileSide(local_path(path) if single else os.path.join(local_path(path), ""))
    if single:
        source = parse_source(path)
        return StoredSide(engine, source.bucket, source.key, source.key)
    source = parse_source(path, recursive=True)
    if source.pattern:
        raise UsageError("a certificate names its objects itself; give the place without a pattern", path)
    return StoredSide(engine, source.bucket, source.base, source.prefix)


async def _single(engines: tuple[AsyncEngine, AsyncEngine], paths: tuple[str, str]) -> bool:
    if any(path.endswith("/") or (path.startswith(SCHEME) and "/" not in path[len(SCHEME) :]) for path in paths):
        return False
    kinds = [await in_thread(_kind, path) for path in paths if not path.startswith(SCHEME)]
    if kinds:
        if "folder" in kinds:
            return False
        if "file" in kinds:
            return True
    named = [(engine, path) for engine, path in zip(engines, paths, strict=True) if path.startswith(SCHEME)]
    objects = [await _is_object(engine, path) for engine, path in named]
    # Where one of two keys is an object's and neither has anything below it, the other one's object is missing.
    return all(objects) or (any(objects) and not any([await _has_below(engine, path) for engine, path in named]))


async def _is_object(engine: AsyncEngine, path: str) -> bool:
    source = parse_source(path)
    try:
        await engine.control.head(ObjectRef(source.bucket, source.key))
    except NotFound:
        return False
    return True


async def _has_below(engine: AsyncEngine, path: str) -> bool:
    source = parse_source(path, recursive=True)
    async with contextlib.aclosing(
        engine.control.pages(source.bucket, source.prefix, max_keys=1, ahead=False)
    ) as pages:
        return bool(await anext(pages, []))


def _kind(path: str) -> str:
    try:
        mode = os.stat(local_path(path)).st_mode
    except OSError:
        return ""  # told when it is opened, or listed
    return "folder" if stat.S_ISDIR(mode) else "file"
