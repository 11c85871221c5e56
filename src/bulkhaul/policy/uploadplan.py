"""Decides how an upload or a copy is cut into parts.

known length     parts of 16 MiB, grown to the smallest whole MiB that keeps to 10,000 parts
unknown length   part n  =  8 MiB + growth · (n − 1)², so that 10,000 parts hold the largest object
"""

from __future__ import annotations

from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import MIB, S3Limits
from bulkhaul.model.settings import DEFAULT_PART_SIZE_BYTES
from bulkhaul.policy.blocks import SENT_BLOCK_BYTES
from bulkhaul.policy.layout import Layout, smallest_part_size
from bulkhaul.policy.storerules import check_object_size


def plan_upload(size_bytes: int, *, part_size_bytes: int | None, limits: S3Limits) -> Layout:
    """Return the parts of an object that is uploaded or copied in parts.

    Args:
        part_size_bytes: wanted length of a part; grown where the object would need more than ``limits.max_parts``.

    Raises:
        PayloadTooLarge: the object is larger than ``limits.max_object_bytes``.
        UsageError: the wanted length is less than a part may have.

    >>> plan_upload(200 * 1024**3, part_size_bytes=None, limits=S3Limits()).part_size_bytes // 1024**2
    21
    """
    check_object_size(size_bytes, limits=limits)
    part_bytes = part_size_bytes or max(DEFAULT_PART_SIZE_BYTES, limits.min_part_bytes)
    if part_bytes < limits.min_part_bytes:
        text = f"a part of an upload has at least {limits.min_part_bytes} bytes, not {part_bytes}; raise --part-size"
        raise UsageError(text)
    if part_bytes * limits.max_parts < size_bytes:
        part_bytes = smallest_part_size(size_bytes, max_parts=limits.max_parts)
    return Layout(size_bytes, part_bytes)


def stream_part_bytes(number: int, *, part_size_bytes: int | None, limits: S3Limits) -> int:
    """Return the length of part ``number`` (1-based) of an object whose length is not known.

    The first parts are short, so that many are in flight and little is held in memory; they grow with the square of
    their number, so that ``limits.max_parts`` of them hold the largest object and a stream of gigabytes has short ones.

    >>> [stream_part_bytes(n, part_size_bytes=None, limits=S3Limits()) // 1024**2 for n in (1, 500, 1000, 10_000)]
    [8, 12, 24, 1557]
    """
    first = max(part_size_bytes or SENT_BLOCK_BYTES, limits.min_part_bytes)
    last = limits.max_parts - 1
    squares = last * (last + 1) * (2 * last + 1) // 6
    missing = max(0, limits.max_object_bytes - first * limits.max_parts)
    grown = first + (-(-missing * (number - 1) ** 2 // squares) if squares else 0)
    return min(limits.max_part_bytes, grown if grown < MIB else -(-grown // MIB) * MIB)
