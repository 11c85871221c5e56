"""Files of pseudo-random bytes to move, and names of their sizes."""

import os
import random
from pathlib import Path

import numpy as np

UNITS_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
BLOCK_BYTES = 32 << 20


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


def make_files(folder: Path, files: int, size_bytes: int) -> Path:
    """Write files of pseudo-random bytes, ``00000000.bin`` and on, and return their folder."""
    folder.mkdir(parents=True)
    for number in range(files):
        # Not by make_object: to flush thousands of files would take minutes.
        (folder / f"{number:08d}.bin").write_bytes(random.Random(number).randbytes(size_bytes))
    return folder
