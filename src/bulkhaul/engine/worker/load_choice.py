"""Chooses what a load asks for next: an operation by its weight, and an object that nobody else of the load deletes."""

from __future__ import annotations

import bisect
import itertools
import random
from collections import Counter
from typing import NamedTuple

from bulkhaul.engine.messages.load_run import PUT_PLACE, LoadRun
from bulkhaul.model.workloads import OPERATIONS
from bulkhaul.policy.benchmark_keys import put_key, table_key
from bulkhaul.policy.object_sizes import size_of

GET, PUT, LIST, STAT, DELETE = range(len(OPERATIONS))

TRIES = 8
"""Objects that are looked at for one that nobody reads just now, before something is stored instead of deleted."""


class Chosen(NamedTuple):
    """A request to make.

    Attributes:
        operation: its place in ``OPERATIONS``.
        place: of the object; from ``PUT_PLACE`` on that of one that was stored meanwhile.
        size_bytes: of the object; -1 if it is not known.
    """

    operation: int
    place: int
    key: str
    size_bytes: int


class Choice:
    """The objects of one worker, and what is asked of them.

    Each object belongs to one worker alone, so a worker knows by itself what is there. With deletions, objects that
    somebody reads just now are left, or the load would measure its own 404s.
    """

    def __init__(self, load: LoadRun) -> None:
        self.puts = load.first_put
        self.gone: list[int] = []
        self._load = load
        self._chance = random.Random(f"{load.seed}/{load.worker}")  # noqa: S311 - it protects nothing
        self._bounds = list(itertools.accumulate(load.weights))
        self._count = len(range(load.worker, load.table.objects, load.workers))
        self._next = 0
        self._deletes = load.weights[DELETE] > 0
        self._live = list(range(load.worker, load.table.objects, load.workers)) if self._deletes else []
        self._used: Counter[int] = Counter()
        self._sizes = load.table.sizes, load.table.seed

    def next(self) -> Chosen:
        """Return the next request of a mix."""
        drawn = self._chance.random() * self._bounds[-1]
        operation = min(bisect.bisect_right(self._bounds, drawn), DELETE)
        if operation == LIST:
            return Chosen(LIST, 0, "", 0)
        if operation == PUT:
            return self._new()
        if operation == DELETE:
            return self._doomed()
        if self._deletes and not self._live:
            return self._new()
        return self.known(operation, self._read())

    def known(self, operation: int, place: int) -> Chosen:
        """Return a request for an object of this load."""
        load = self._load
        if place >= PUT_PLACE:
            key = put_key(load.prefix, load.table, load.worker, place - PUT_PLACE)
        else:
            key = table_key(load.prefix, load.table, place)
        if self._deletes:
            self._used[place] += 1
        return Chosen(operation, place, key, size_of(*self._sizes, place))

    def ended(self, chosen: Chosen, *, done: bool) -> None:
        """A request has ended."""
        if not self._deletes or chosen.operation == LIST:
            return
        place = chosen.place
        self._used[place] -= 1
        if not self._used[place]:
            del self._used[place]
        if chosen.operation == PUT and done:
            self._live.append(place)
        if chosen.operation == DELETE:  # what has failed may be gone, too: nobody asks for it any more
            self.gone += [place] if place < PUT_PLACE else []

    def _new(self) -> Chosen:
        place, self.puts = PUT_PLACE + self.puts, self.puts + 1
        return self.known(PUT, place)

    def _read(self) -> int:
        if self._load.order == "sequential":
            at, self._next = self._next, self._next + 1
        else:
            at = int(self._chance.random() * (len(self._live) if self._deletes else self._count))
        if self._deletes:
            return self._live[at % len(self._live)]
        return self._load.worker + at % self._count * self._load.workers

    def _doomed(self) -> Chosen:
        for _ in range(TRIES if self._live else 0):
            at = int(self._chance.random() * len(self._live))
            if self._live[at] not in self._used:
                self._live[at], self._live[-1] = self._live[-1], self._live[at]
                return self.known(DELETE, self._live.pop())
        return self._new()
