"""Objects to download: sizes as people write them, pseudo-random bytes, and comparing files exactly."""

import os
import re
from pathlib import Path

import numpy as np

UNITS_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
BLOCK_BYTES = 32 << 20


def parse_size(text: str) -> int:
    """Return the bytes in ``2GiB``, ``256M`` or a plain number.

    >>> parse_size("256MiB") == parse_size("256M") == 268435456
    True

    Raises:
        ValueError: anything else.
    """
    match = re.fullmatch(r"(\d+)([KMG]?)(?:iB)?", text.strip())
    if match is None:
        raise ValueError(f"not a size: {text!r}; write 64MiB or 4GiB")
    return int(match[1]) * UNITS_BYTES[match[2]]


def format_size(size_bytes: int) -> str:
    """Return the size in the largest unit that divides it.

    >>> format_size(4 << 30)
    '4GiB'
    """
    for unit in ("G", "M", "K"):
        if size_bytes and size_bytes % UNITS_BYTES[unit] == 0:
            return f"{size_bytes // UNITS_BYTES[unit]}{unit}iB"
    return str(size_bytes)


def make_object(path: Path, size_bytes: int, *, seed: int) -> None:
    """Write ``size_bytes`` of pseudo-random bytes, the same for the same seed, and flush them to the disk."""
    generator = np.random.Generator(np.random.SFC64(seed))
    with path.open("wb") as file:
        for start in range(0, size_bytes, BLOCK_BYTES):
            count = min(BLOCK_BYTES, size_bytes - start)
            words = generator.integers(0, 1 << 64, size=-(-count // 8), dtype=np.uint64)
            file.write(words.view(np.uint8)[:count].data)
        file.flush()
        os.fsync(file.fileno())


def same_bytes(left: Path, right: Path) -> bool:
    """Return whether two files hold exactly the same bytes."""
    with (
        left.open("rb", buffering=0) as left_file,
        right.open("rb", buffering=0) as right_file,
    ):
        while True:
            left_block, right_block = (
                left_file.read(BLOCK_BYTES),
                right_file.read(BLOCK_BYTES),
            )
            if left_block != right_block:
                return False
            if not left_block:
                return True
