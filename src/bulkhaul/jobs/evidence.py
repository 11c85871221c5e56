"""Looks up what listings do not tell of two sides: kept times and stored checksums by HEAD, and checksums of files.

object   HEAD ─▶ the time that it keeps, its stored checksum
file     a thread reads it ─▶ MD5, or the checksum that the object has
"""

from __future__ import annotations

import asyncio
import base64

from bulkhaul.disk.links import target_of
from bulkhaul.disk.source import reading_error
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.places import FileSide, ObjectSide, Side
from bulkhaul.model.errors import TransferError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import Checksum, ChecksumKind, ObjectRef
from bulkhaul.policy.comparison import Compare, Entry, checksum_difference, etag_difference, kept_difference
from bulkhaul.policy.file_metadata import kept_mtime
from bulkhaul.wire.checksums import COMPUTABLE, hasher

LOOKED_AT_ONCE = 128
"""Objects that are asked about side by side: enough that a service a continent away answers some 1,000 a second."""

READ_AT_ONCE = 4
"""Files that are read side by side: one core computes about 1 GB/s, more than most disks read."""


class Evidence:
    """Compares what listings do not tell."""

    def __init__(self, compare: Compare, source: Side, destination: Side, *, keeps_times: bool = False) -> None:
        """Take both sides and how they are compared.

        Args:
            keeps_times: objects may keep the times of files in metadata.
        """
        both = isinstance(source, ObjectSide) and isinstance(destination, ObjectSide)
        self._asks_for_times = keeps_times and compare.mtime and not both
        self._compare = compare
        self._source = source
        self._destination = destination
        self._asking = asyncio.Semaphore(LOOKED_AT_ONCE)
        self._reading = asyncio.Semaphore(READ_AT_ONCE)

    @property
    def needed(self) -> bool:
        """Whether listings alone do not decide."""
        both = isinstance(self._source, ObjectSide) and isinstance(self._destination, ObjectSide)
        return self._compare.checksum or (self._compare.etag and not both)

    def decides(self, source: Entry, destination: Entry) -> bool:
        """Whether entries whose listings differ may be equal: they differ in time alone, and objects keep times."""
        return self._asks_for_times and source.size_bytes == destination.size_bytes

    async def difference(self, source: Entry, destination: Entry, listed: str = "") -> str:
        """Return why two entries differ that look alike in their listings, empty if they do not.

        Args:
            listed: why they differ by their listings, in time alone; empty if they do not.
        """
        try:
            async with self._asking:
                if listed and (reason := await self._kept_difference(source, destination, listed)):
                    return reason
                return await self._difference(source, destination) if self.needed else ""
        except TransferError as error:
            return f"one of the sides cannot be looked at, so it is not known to be equal: {error}"

    async def _kept_difference(self, source: Entry, destination: Entry, listed: str) -> str:
        one, side = (source, self._source) if isinstance(self._source, ObjectSide) else (destination, self._destination)
        assert isinstance(side, ObjectSide)
        head = await side.control.head(ObjectRef(side.bucket, side.base + one.name))
        file = destination if one is source else source
        return kept_difference(kept_mtime(head.content.metadata), file.mtime_ns, listed)

    async def _difference(self, source: Entry, destination: Entry) -> str:
        ours, theirs = self._source, self._destination
        if isinstance(ours, ObjectSide) and isinstance(theirs, ObjectSide):
            return checksum_difference(*await asyncio.gather(_stored(ours, source), _stored(theirs, destination)))
        if isinstance(ours, ObjectSide):
            assert isinstance(theirs, FileSide)
            return await self._with_file(ours, source, theirs.place(destination.path), link=destination.link)
        assert isinstance(theirs, ObjectSide)
        return await self._with_file(theirs, destination, ours.place(source.path), link=source.link)

    async def _with_file(self, side: ObjectSide, entry: Entry, path: str, *, link: bool) -> str:
        if self._compare.etag:
            if reason := etag_difference(entry.etag, entry.etag):
                return reason  # there is nothing to compare an MD5 with
            if reason := etag_difference(entry.etag, (await self._digest("MD5", path, link=link)).hex()):
                return reason
        if not self._compare.checksum:
            return ""
        stored = await _stored(side, entry)
        if stored is None or stored.kind is not ChecksumKind.FULL_OBJECT or stored.algorithm not in COMPUTABLE:
            return "the object has no checksum of all its bytes, so checksums cannot tell whether they differ"
        value = base64.b64encode(await self._digest(stored.algorithm, path, link=link)).decode()
        return checksum_difference(stored, Checksum(stored.algorithm, value))

    async def _digest(self, algorithm: str, path: str, *, link: bool) -> bytes:
        async with self._reading:
            return await in_thread(_link_digest if link else file_digest, algorithm, path)


async def _stored(side: ObjectSide, entry: Entry) -> Checksum | None:
    return (await side.control.head(ObjectRef(side.bucket, side.base + entry.name))).checksum


def file_digest(algorithm: str, path: str) -> bytes:
    """Return the digest of a file's bytes; it blocks while the file is read.

    Raises:
        LocalError: it cannot be read.
    """
    running, buffer = hasher(algorithm), memoryview(bytearray(MIB))
    try:
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                running.update(buffer[:count])
    except OSError as error:
        raise reading_error(error, path) from error
    return running.digest()


def _link_digest(algorithm: str, path: str) -> bytes:
    running = hasher(algorithm)
    running.update(target_of(path))
    return running.digest()
