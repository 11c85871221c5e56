"""Decides which objects and which requests stand for those of an op-log when it is run again."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator

from bulkhaul.model.errors import UsageError
from bulkhaul.model.workloads import OPERATIONS
from bulkhaul.policy.object_sizes import MOST_BYTES

GET, PUT, LIST, STAT, DELETE = range(len(OPERATIONS))

_NUMBERS = {operation.upper(): number for number, operation in enumerate(OPERATIONS)}


class ReplayPlan:
    """The objects of a log, found one request after another; each key gets a place.

    An object whose earliest request is no PUT was there before the log began. Its size is the most that was read of it,
    and 0 if nothing was: that is all that the log tells.

    Attributes:
        left_out: what cannot be run again → how many requests.
        largest_bytes: of all objects.
    """

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self.largest_bytes = 0
        self._places: dict[str, int] = {}
        self._earliest_ns = array("q")
        self._stored_first = bytearray()
        self._read_bytes = array("Q")

    @property
    def objects(self) -> int:
        """How many there are."""
        return len(self._places)

    def take(self, name: str, key: str, size_bytes: int, start_ns: int) -> tuple[int, int, int] | None:
        """Return (operation, place, bytes) of a request of the log; None if it cannot be run again."""
        operation = _NUMBERS.get(name)
        if operation is None:
            self.left_out[name] += 1
            return None
        if operation == LIST:
            return LIST, 0, 0
        if not key:
            self.left_out[f"{name} without a key"] += 1  # warp deletes many by one request, and names none
            return None
        if size_bytes > MOST_BYTES:
            self.left_out[f"{name} of more than 1 GiB"] += 1
            return None
        place = self._places.setdefault(key, len(self._places))
        if place == len(self._earliest_ns):
            self._earliest_ns.append(start_ns)
            self._stored_first.append(operation == PUT)
            self._read_bytes.append(0)
        elif start_ns < self._earliest_ns[place]:
            self._earliest_ns[place], self._stored_first[place] = start_ns, operation == PUT
        if operation == GET:
            self._read_bytes[place] = max(self._read_bytes[place], size_bytes)
        moved = size_bytes if operation in (GET, PUT) else 0
        self.largest_bytes = max(self.largest_bytes, moved)
        return operation, place, moved

    def must_exist(self) -> Iterator[tuple[int, int]]:
        """Yield (place, bytes) of each object that has to be stored before."""
        for place, stored_first in enumerate(self._stored_first):
            if not stored_first:
                yield place, self._read_bytes[place]


def parse_speed(text: str) -> float:
    """Return by what factor a log is run faster than it was recorded.

    >>> parse_speed("2x"), parse_speed("0.5")
    (2.0, 0.5)

    Raises:
        UsageError: it is no factor from 0.001 to 1000.
    """
    try:
        speed = float(text.strip().removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not 0.001 <= speed <= 1000:
        raise UsageError(f"{text!r} is no speed; write a factor from 0.001 to 1000, such as 2x")
    return speed


__all__ = ["ReplayPlan", "parse_speed"]
