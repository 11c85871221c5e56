"""Bodies and progress for the suite: bytes that differ everywhere, and deltas that are added up."""

from __future__ import annotations

import random


def made(size_bytes: int, seed: int = 0) -> bytes:
    """Return bytes in which no part is like another, so that parts in a wrong order show."""
    return random.Random(seed).randbytes(size_bytes)


class Deltas:
    """A progress callback that keeps what it was told."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, delta_bytes: int) -> None:
        self.seen.append(delta_bytes)

    @property
    def total_bytes(self) -> int:
        """The sum of everything told."""
        return sum(self.seen)
