"""Makes the objects of the demo, one large and many small ones, with bytes that can be made again to compare.

Every piece of every object is one random block, XORed with a number of its own: this is as fast as memory, and no two
pieces are alike, so the comparison finds every misplaced byte.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from bulkhaul.model.limits import KIB, MIB

PIECE_BYTES = 8 * MIB

LARGE_KEY = "bundle/large.bin"
SMALL_PREFIX = "bundle/small/"

_SMALLEST_BYTES, _LARGEST_BYTES = KIB, MIB
_ODD = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: neighbours get numbers that differ everywhere


class Payload(msgspec.Struct, frozen=True):
    """An object to upload; ``read(start, end)`` returns its bytes ``[start, end)``, from any thread."""

    key: str
    size_bytes: int
    read: Callable[[int, int], bytes]


class Bundle:
    """The objects of the demo, by key.

    Attributes:
        payloads: what to upload, the large object first.
    """

    def __init__(self, large_bytes: int, small_count: int, *, seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311 - test data, no secret
        self._block = np.frombuffer(rng.randbytes(PIECE_BYTES), dtype=np.uint64)
        sizes = {LARGE_KEY: large_bytes}
        for number in range(small_count):
            # As many between 1 and 2 KiB as between 512 KiB and 1 MiB.
            size_bytes = round(_SMALLEST_BYTES * (_LARGEST_BYTES / _SMALLEST_BYTES) ** rng.random())
            sizes[f"{SMALL_PREFIX}{number // 100:03}/{number:06}.bin"] = size_bytes
        self._numbers = {key: number for number, key in enumerate(sizes)}
        self.payloads = [Payload(key, size, partial(self.read, key)) for key, size in sizes.items()]

    @property
    def size_bytes(self) -> int:
        """Size of all objects together."""
        return sum(payload.size_bytes for payload in self.payloads)

    def read(self, key: str, start: int, end: int) -> bytes:
        """Return the bytes ``[start, end)`` of an object; ``end`` must not exceed its size."""
        pieces = []
        for index in range(start // PIECE_BYTES, -(-end // PIECE_BYTES)):
            first = index * PIECE_BYTES
            pieces.append(self._piece(self._numbers[key], index, max(start - first, 0), min(end - first, PIECE_BYTES)))
        return b"".join(pieces)

    def differs(self, payload: Payload, path: Path) -> bool:
        """Whether a file is not exactly this object, to the last byte."""
        if not path.is_file() or path.stat().st_size != payload.size_bytes:
            return True
        with path.open("rb", buffering=0) as file:
            for start in range(0, payload.size_bytes, PIECE_BYTES):
                expected = payload.read(start, min(start + PIECE_BYTES, payload.size_bytes))
                if file.read(len(expected)) != expected:
                    return True
        return False

    def _piece(self, number: int, index: int, start: int, end: int) -> memoryview:
        mask = np.uint64(((number << 32) + index + 1) * _ODD % 2**64)
        first, last = start // 8, -(-end // 8)
        return memoryview((self._block[first:last] ^ mask).tobytes())[start - 8 * first : end - 8 * first]
