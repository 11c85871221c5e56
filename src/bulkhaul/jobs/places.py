"""Resolves the two places that a sync names to its sides, and tells which names lie on both of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

import msgspec

from bulkhaul.disk.paths import local_path
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.endpoints import files_below
from bulkhaul.model.errors import NotFound, UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.rows import Action
from bulkhaul.policy.comparison import Entry
from bulkhaul.policy.filetimes import mtime_of
from bulkhaul.policy.selection import Source, below, folder_prefix, parse_destination, parse_source


class ObjectSide(msgspec.Struct, frozen=True):
    """A side in S3. ``base``: what is put before a name to get its key."""

    control: Control
    bucket: str
    base: str

    def place(self, name: str) -> str:
        """Return the URL of a name."""
        return f"s3://{self.bucket}/{self.base}{name}"


class FileSide(msgspec.Struct, frozen=True):
    """A side on disk. ``base``: the folder, with a slash at its end."""

    base: str

    def place(self, name: str) -> str:
        """Return the path of a name."""
        return self.base + name


Side = ObjectSide | FileSide


class Sides(msgspec.Struct, frozen=True):
    """Both sides of a sync.

    Attributes:
        selection: what is taken of the source, with names below it.
        listed: the prefix of the source's listing.
        left_out: why a name is left alone, empty for most.
    """

    action: Action
    source: Side
    destination: Side
    selection: Source
    listed: str
    left_out: Callable[[str], str]


async def sides_of(engine: AsyncEngine, origin: AsyncEngine, source: str, destination: str) -> Sides:
    """Return what two places name.

    Raises:
        UsageError: both are local, or one place.
        InvalidUrl: a URL names no bucket.
    """
    to_s3 = destination.startswith("s3://")
    if not source.startswith("s3://"):
        if not to_s3:
            raise UsageError("source or destination must begin with s3://; these are both local", source)
        bucket, key = parse_destination(destination)
        ours, theirs = FileSide(os.path.join(local_path(source), "")), _objects(engine, bucket, folder_prefix(key))
        return Sides(Action.UPLOAD, ours, theirs, files_below(source), "", _nothing)
    parsed = parse_source(source, recursive=True)
    there = _objects(origin, parsed.bucket, parsed.base)
    if not to_s3:
        here = FileSide(os.path.join(local_path(destination), ""))
        return Sides(Action.DOWNLOAD, there, here, below(parsed), parsed.prefix, _nothing)
    bucket, key = parse_destination(destination)
    theirs = _objects(engine, bucket, folder_prefix(key))
    left_out: Callable[[str], str] = _nothing
    if await _one_bucket(there, theirs):
        if there.base == theirs.base:
            raise UsageError("source and destination are one place", source)
        left_out = _overlap(there.base, theirs.base)
    return Sides(Action.COPY, there, theirs, below(parsed), parsed.prefix, left_out)


async def source_among(sides: Sides, doomed: Iterable[Sequence[Entry]]) -> str:
    """Return an object of the source that is to be deleted at the destination, empty if none is.

    One bucket may have two names: of two hosts, or of an access point. Where the prefix of the destination begins that
    of the source, the source would then be taken for what only the destination has. The first object there tells:
    it is found at the source, too, with the same ETag and time.

    Raises:
        TransferError: the source cannot be asked.
    """
    ours, theirs = sides.source, sides.destination
    if not isinstance(ours, ObjectSide) or not isinstance(theirs, ObjectSide) or ours.base == theirs.base:
        return ""
    if not ours.base.startswith(theirs.base):
        return ""
    inside = ours.base.removeprefix(theirs.base)
    entry = next((one for page in doomed for one in page if one.name.startswith(inside)), None)
    if entry is None:
        return ""
    ref = ObjectRef(ours.bucket, theirs.base + entry.name)
    try:
        found = await ours.control.head(ref)
    except NotFound:
        return ""
    seconds = [time_ns and time_ns // 10**9 for time_ns in map(mtime_of, (found.last_modified, entry.last_modified))]
    same = found.etag.strip('"') == entry.etag.strip('"') and seconds[0] == seconds[1]
    return ref.url if same else ""


def _objects(engine: AsyncEngine, bucket: str, base: str) -> ObjectSide:
    return ObjectSide(engine.control, bucket, base)


async def _one_bucket(ours: ObjectSide, theirs: ObjectSide) -> bool:
    if ours.bucket != theirs.bucket or ours.control is theirs.control:
        return ours.bucket == theirs.bucket
    from bulkhaul.engine.transfers.relay import same_bucket

    return await same_bucket(ours.control, theirs.control, theirs.bucket)


def _nothing(_name: str) -> str:
    return ""


def _overlap(source: str, destination: str) -> Callable[[str], str]:
    """Return what tells which names lie on both sides, where one of two prefixes begins with the other.

    A listing of the source would come upon the copies, and copy them again; what lies in the source is no business of
    the destination's, and is neither replaced nor deleted.
    """
    if destination.startswith(source):
        inside, why = destination.removeprefix(source), "it lies in the destination"
    elif source.startswith(destination):
        inside, why = source.removeprefix(destination), "its copy would lie in the source"
    else:
        return _nothing
    return lambda name: why if name.startswith(inside) else ""
