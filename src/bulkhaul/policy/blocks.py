"""Decides how long the blocks of streams and relays are, and how much memory they hold together.

Requests in flight are as many as the window allows, but each of these fills a block of memory: short blocks let many be
in flight within the same memory, long ones cost fewer requests.
"""

from __future__ import annotations

from bulkhaul.model.limits import MIB

MEMORY_BYTES = 64 * MIB
"""What the blocks of a stream, or of all relays of an engine, hold at a time: with the processes, less than 150 MiB."""

LARGE_MEMORY_BYTES = 256 * MIB
"""The same where blocks are long because an object has no more than 10,000 parts, or nothing shorter was allowed."""

LARGE_BLOCKS = 4
"""So many long blocks are held at a time as far as ``LARGE_MEMORY_BYTES`` go, so that one moves while others wait."""

READ_BLOCK_BYTES = 4 * MIB
"""Length of a ranged GET of a stream: sixteen in flight. Source: at 30 ms and 60 MB/s a connection a block of 16 MiB
would gain a fifth for each connection, and leave a quarter of them."""

SENT_BLOCK_BYTES = 8 * MIB
"""Length of the first parts of a stream that is uploaded, and of parts that are relayed: eight in flight. S3 takes no
part under 5 MiB, and an object of 10,000 parts should seldom need longer ones."""


def memory_for(block_bytes: int) -> int:
    """Return what blocks of about this length may hold together; a single block may be longer.

    >>> [memory_for(size * MIB) // MIB for size in (1, 16, 20, 100)]
    [64, 64, 80, 256]
    """
    return max(MEMORY_BYTES, min(LARGE_MEMORY_BYTES, LARGE_BLOCKS * block_bytes))


def blocks_at_once(block_bytes: int, in_flight: int) -> int:
    """Return how many blocks of one length are held at a time, at least two: one moves while another is used.

    Args:
        in_flight: requests that may ever be in flight; two more blocks may wait to be written.
    """
    return max(2, min(in_flight + 2, memory_for(block_bytes) // max(1, block_bytes)))
