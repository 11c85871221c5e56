"""Guesses where the parts of an object end, from its size, their number and the lengths that uploads usually have."""

from __future__ import annotations

from bulkhaul.model.limits import DEFAULT_LIMITS, MIB
from bulkhaul.policy.layout import smallest_part_size
from bulkhaul.policy.uploadplan import stream_part_bytes

USUAL_MIB = (5, 6, 8, 10, 12, 15, 16, 20, 24, 25, 32, 40, 48, 50, 60, 64, 75, 80, 96, 100, 120, 125, 128, 150, 160,
             192, 200, 250, 256, 300, 320, 384, 400, 500, 512, 640, 768, 1000, 1024, 2048, 4096, 5120)  # fmt: skip
"""Source: the defaults of rclone and the Java and Go SDKs (5), aws-cli and boto3 (8), s3fs and Cyberduck (10), s3cmd
(15), the console and bulkhaul (16), s5cmd (50), Hadoop's s3a (64), EMRFS (128); their multiples, and round numbers."""

USUAL_MB = (8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 200, 250, 256, 500, 512, 1000)
"""The same, as those write them who count in powers of ten."""

Ends = tuple[int, ...]
"""Where each part ends, ascending; the last one is the object's size."""


def possible_parts(size_bytes: int, count: int, *, asked_bytes: int | None = None) -> tuple[Ends, ...]:
    """Return the ways in which an object is likely to have been cut into exactly so many parts, likeliest first.

    Args:
        asked_bytes: a length that somebody says it was; no other one is tried if it fits.

    >>> possible_parts(100 * MIB, 13)[0][0] // MIB
    8
    """
    if count < 1 or size_bytes < count:
        return ()
    if asked_bytes is not None and -(-size_bytes // asked_bytes) == count:
        return (ends_of(size_bytes, asked_bytes),)
    lengths = [size * MIB for size in USUAL_MIB] + [size * 1_000_000 for size in USUAL_MB]
    # Grown so that an object of that size keeps to 10,000 parts.
    exact = -(-size_bytes // count)
    if count > DEFAULT_LIMITS.max_parts // 2:
        lengths += [smallest_part_size(size_bytes, max_parts=DEFAULT_LIMITS.max_parts), size_bytes // 10_000 + 1]
    lengths += [-(-exact // MIB) * MIB, exact]
    fitting = dict.fromkeys(length for length in lengths if -(-size_bytes // length) == count)
    found = [ends_of(size_bytes, length) for length in fitting]
    stream = _stream_ends(size_bytes, count)
    return tuple(dict.fromkeys([*found, *([stream] if stream else [])]))


def ends_of(size_bytes: int, part_bytes: int) -> Ends:
    """Return where parts of one length end; the last one may be shorter.

    >>> ends_of(25, 10)
    (10, 20, 25)
    """
    return (*range(part_bytes, size_bytes, part_bytes), size_bytes)


def _stream_ends(size_bytes: int, count: int) -> Ends:
    """Return where the parts end of a stream that bulkhaul uploaded, empty if they are not so many."""
    ends: list[int] = []
    at = 0
    while at < size_bytes and len(ends) < count:
        at += stream_part_bytes(len(ends) + 1, part_size_bytes=None, limits=DEFAULT_LIMITS)
        ends.append(min(at, size_bytes))
    return tuple(ends) if at >= size_bytes and len(ends) == count else ()
