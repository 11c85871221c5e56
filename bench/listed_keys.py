"""A million keys that are computed, not stored: the shapes of keys that listings are measured with.

Each shape is a rising function from a number to a key, so the place of any text among the keys is found by bisection.
Knows nothing of servers.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate

HEX_SPACE = 1 << 64
GOLDEN = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: its multiples scatter evenly. Source: Knuth, TAOCP volume 3, section 6.4."""

SMALL_FOLDERS = 100
SMALL_FOLDER_KEYS = 10
DAYS = 366
HEAVY_EVERY = 37


class Keys(Sequence[str]):
    """Keys of one shape, in rising order of their bytes."""

    def __init__(self, count: int, key_at: Callable[[int], str]) -> None:
        self._count = count
        self.key_at = key_at

    def __len__(self) -> int:
        """Return how many keys there are."""
        return self._count

    def __getitem__(self, index: int) -> str:  # type: ignore[override] # nobody slices it
        """Return one key."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self.key_at(index)

    def after(self, text: str) -> int:
        """Return the number of the first key that is greater."""
        return bisect.bisect_right(self, text)

    def at_least(self, text: str) -> int:
        """Return the number of the first key that is not smaller."""
        return bisect.bisect_left(self, text)


def counter(count: int) -> Keys:
    """Zero-padded numbers of eight digits."""
    return Keys(count, lambda number: f"{number:08d}")


def hashed(count: int) -> Keys:
    """Hexadecimal numbers of 16 digits, spread over all of them."""
    step = HEX_SPACE // count
    return Keys(count, lambda number: f"{number * step + number * GOLDEN % step:016x}")


def dated(count: int) -> Keys:
    """A year of folders, ``2024/05/17/…``: some days hold many times as much as others, each in 24 folders of hours."""
    weights = [1 + day % 7 + (60 if day % HEAVY_EVERY == 0 else 0) for day in range(DAYS)]
    ends = list(accumulate(weights))
    borders = [0, *(count * end // ends[-1] for end in ends)]
    lengths = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    names = [f"2024/{month + 1:02d}/{day + 1:02d}" for month in range(12) for day in range(lengths[month])]

    def key_at(number: int) -> str:
        day = bisect.bisect_right(borders, number) - 1
        within, held = number - borders[day], borders[day + 1] - borders[day]
        hour = within * 24 // held
        scattered = (within * 0xFFFFFFFF // held) & 0xFFFFFFFF
        return f"{names[day]}/{hour:02d}/events-{within:06d}-{scattered * 40503 % 65536:04x}.parquet"

    return Keys(count, key_at)


def one_folder(count: int) -> Keys:
    """A hundred small folders, and in the middle of them one that holds all the rest."""
    small = SMALL_FOLDERS * SMALL_FOLDER_KEYS
    half, large = small // 2, max(count - small, 0)

    def folder(number: int) -> str:
        return f"set-{number // SMALL_FOLDER_KEYS:03d}/part-{number % SMALL_FOLDER_KEYS}.bin"

    def key_at(number: int) -> str:
        if number < min(half, count):
            return folder(number)
        if number < half + large:
            held = number - half
            return f"set-{half // SMALL_FOLDER_KEYS:03d}-all/{held * HEX_SPACE // large:016x}/image{held % 3}.jpg"
        return folder(number - large)

    return Keys(count, key_at)


SHAPES: dict[str, Callable[[int], Keys]] = {
    "counter": counter,
    "hashed": hashed,
    "dated": dated,
    "folder": one_folder,
}
