"""Decides how an object is cut into parts for its download.

A layout is a value that computes a part when it is asked for one, so a plan of 10,000 parts costs nothing to hold:

    part i of a regular layout  =  [i·p, min((i + 1)·p, size))
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

import msgspec

from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import DEFAULT_LIMITS, MIB, S3Limits
from bulkhaul.model.settings import DEFAULT_PART_SIZE_BYTES
from bulkhaul.policy.storerules import check_object_size


class Part(msgspec.Struct, frozen=True):
    """One part: ``number`` counts from 1, the bytes are ``[start, end)`` of the object."""

    number: int
    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """Length of the part."""
        return self.end - self.start


class Layout(msgspec.Struct, frozen=True):
    """The parts of one object: they tile ``[0, size_bytes)`` exactly, in order, none empty.

    Attributes:
        starts: first byte of every part, ascending, where the cuts are irregular; empty for a regular layout.
        whole: the object is fetched by one GET without a Range.

    >>> [(p.start, p.end) for p in Layout(size_bytes=10, part_size_bytes=4)]
    [(0, 4), (4, 8), (8, 10)]
    """

    size_bytes: int
    part_size_bytes: int
    starts: tuple[int, ...] = ()
    whole: bool = False

    def __len__(self) -> int:
        if self.starts:
            return len(self.starts)
        return -(-self.size_bytes // self.part_size_bytes) if self.size_bytes else 0

    def __getitem__(self, index: int) -> Part:
        """Return part ``index``, counted from 0.

        Raises:
            IndexError: there is no such part.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"part {index + 1} of {len(self)}")
        if self.starts:
            end = self.starts[index + 1] if index + 1 < len(self.starts) else self.size_bytes
            return Part(index + 1, self.starts[index], end)
        start = index * self.part_size_bytes
        return Part(index + 1, start, min(start + self.part_size_bytes, self.size_bytes))


def plan_download(
    size_bytes: int,
    *,
    part_size_bytes: int | None = None,
    boundaries: tuple[int, ...] = (),
    limits: S3Limits = DEFAULT_LIMITS,
) -> Layout:
    """Return the layout for an object of ``size_bytes``.

    An object of at most one part is fetched whole, without a Range; an empty one has no parts and is never fetched.

    Args:
        part_size_bytes: wanted length of a part; grown where the object would need more than ``limits.max_parts``.
        boundaries: where the object's own parts begin, ascending from 0; the layout then cuts at each of them
            (and between them), so that every one of its parts can be checked by itself.

    Raises:
        PayloadTooLarge: the object is larger than ``limits.max_object_bytes``; pass other limits if the endpoint
            really stores such objects.
        UsageError: boundaries that do not begin at 0, do not ascend, or lie outside the object.
    """
    if size_bytes < 0:
        raise UsageError(f"an object cannot have {size_bytes} bytes")
    check_object_size(size_bytes, limits=limits)
    part_bytes = part_size_bytes or DEFAULT_PART_SIZE_BYTES
    if part_bytes * limits.max_parts < size_bytes:
        part_bytes = smallest_part_size(size_bytes, max_parts=limits.max_parts)
    if boundaries:
        return _aligned(size_bytes, part_bytes, boundaries, limits)
    return Layout(size_bytes, part_bytes, whole=0 < size_bytes <= part_bytes)


def smallest_part_size(size_bytes: int, *, max_parts: int) -> int:
    """Return the smallest whole number of MiB (or bytes below 1 MiB) that cuts the object into ``max_parts`` or fewer.

    >>> smallest_part_size(100 * 1024**3, max_parts=10_000) // 1024**2
    11
    """
    exact = -(-size_bytes // max_parts)
    return exact if exact < MIB else -(-exact // MIB) * MIB


def _aligned(size_bytes: int, part_bytes: int, boundaries: tuple[int, ...], limits: S3Limits) -> Layout:
    ascending = all(a < b for a, b in pairwise(boundaries))
    if boundaries[0] != 0 or not ascending or (size_bytes and boundaries[-1] >= size_bytes):
        raise UsageError(f"boundaries must ascend from 0 and lie within {size_bytes} bytes")
    while True:
        starts = [
            start
            for begin, end in zip(boundaries, (*boundaries[1:], size_bytes), strict=True)
            for start in range(begin, end, part_bytes)
        ]
        # This ends: pieces that cover the object's own parts whole are no more than those.
        if len(starts) <= max(limits.max_parts, len(boundaries)):
            return Layout(size_bytes, part_bytes, tuple(starts), whole=len(starts) == 1)
        part_bytes *= 2


def parts_within(layout: Layout, start: int, end: int) -> range:
    """Return the indices of the parts that make up ``[start, end)``, whose ends are cuts of the layout."""
    if layout.starts:
        first = bisect_right(layout.starts, start) - 1
        last = bisect_right(layout.starts, end - 1) - 1
    else:
        first, last = start // layout.part_size_bytes, (end - 1) // layout.part_size_bytes
    return range(first, last + 1)
