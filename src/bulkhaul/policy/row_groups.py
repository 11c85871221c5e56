"""Groups rows by cause and common prefix, in bounded memory, the same whatever order the rows come in.

    add(cause, name, example) ─▶ groups(): the most numerous first, each with its exact count and a few examples

A cause is a tuple of texts from general to particular, such as an error's class and the service's code. The names of
a cause are counted by folder, at the deepest level at which at most ``MAX_FOLDERS`` folders differ; each group then
tells the longest text with which all its names begin. Likewise causes: while more than ``MAX_CAUSES`` differ, all of
them lose their last text. Both levels follow from the set of rows alone, and no count is ever estimated.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import msgspec

MAX_CAUSES = 32
"""Causes told apart at most."""

MAX_FOLDERS = 16
"""Folders of one cause told apart at most."""

MAX_EXAMPLES = 3
"""Examples kept of each group: those of the lowest order."""

_DEEPEST = 16
"""Slashes in a folder's name at most, those of ``s3://`` included: what lies deeper counts as being there."""


class Example(msgspec.Struct, frozen=True, order=True):
    """One row of a group.

    Attributes:
        order: lower ones are kept; it must be unique, such as (plan, n).
        name: of the row.
        detail: for people.
    """

    order: tuple[int, ...]
    name: str
    detail: str = ""


class PrefixGroup(msgspec.Struct, frozen=True):
    """The rows of one cause whose names begin alike: how many, and some of them, the lowest order first."""

    prefix: str
    count: int
    examples: tuple[Example, ...]


class CauseGroup(msgspec.Struct, frozen=True):
    """All rows of one cause, the most numerous prefix first; an empty cause means several that are not told apart."""

    cause: tuple[str, ...]
    count: int
    prefixes: tuple[PrefixGroup, ...]


class RowGroups:
    """Counts rows by cause and folder; holds at most ``MAX_CAUSES`` · ``MAX_FOLDERS`` · ``MAX_EXAMPLES`` examples."""

    def __init__(self) -> None:
        self._causes: dict[tuple[str, ...], _Folders] = {}
        self._texts = 1_000  # texts of a cause that still count; none has so many

    def add(self, cause: tuple[str, ...], name: str, example: Example) -> None:
        """Count one row."""
        if len(cause) > self._texts:
            cause = cause[: self._texts]
        folders = self._causes.get(cause)
        if folders is None:
            folders = self._causes[cause] = _Folders()
        folders.add(_Group(name, 1, [example]))
        while len(self._causes) > MAX_CAUSES:
            self._tell_fewer_causes()

    def groups(self) -> tuple[CauseGroup, ...]:
        """Return the groups, the most numerous cause first, equal ones by their text."""
        found = [CauseGroup(cause, folders.count, folders.groups()) for cause, folders in self._causes.items()]
        return tuple(sorted(found, key=lambda group: (-group.count, group.cause)))

    def _tell_fewer_causes(self) -> None:
        self._texts = max(len(cause) for cause in self._causes) - 1
        merged: dict[tuple[str, ...], _Folders] = {}
        for cause, folders in self._causes.items():
            kept = merged.setdefault(cause[: self._texts], folders)
            if kept is not folders:
                kept.merge(folders)
        self._causes = merged


class _Folders:
    """The rows of one cause, by folder."""

    def __init__(self) -> None:
        self.count = 0
        self._depth = _DEEPEST
        self._groups: dict[str, _Group] = {}

    def add(self, group: _Group) -> None:
        self.count += group.count
        folder = _folder(group.prefix, self._depth)
        known = self._groups.get(folder)
        if known is not None:
            known.merge(group)
            return
        self._groups[folder] = group
        while len(self._groups) > MAX_FOLDERS:
            self._regroup(self._depth - 1)

    def merge(self, other: _Folders) -> None:
        if other._depth < self._depth:
            self._regroup(other._depth)
        for group in other._groups.values():
            self.add(group)

    def groups(self) -> tuple[PrefixGroup, ...]:
        found = [PrefixGroup(g.prefix, g.count, tuple(sorted(g.examples))) for g in self._groups.values()]
        return tuple(sorted(found, key=lambda group: (-group.count, group.prefix)))

    def _regroup(self, depth: int) -> None:
        groups, self._groups, self._depth = self._groups, {}, depth
        for folder, group in groups.items():
            kept = self._groups.setdefault(_folder(folder, depth), group)
            if kept is not group:
                kept.merge(group)


class _Group:
    """Rows of one folder: how their names begin, how many, the examples of the lowest order."""

    __slots__ = ("count", "examples", "prefix")

    def __init__(self, prefix: str, count: int, examples: list[Example]) -> None:
        self.prefix = prefix
        self.count = count
        self.examples = examples

    def merge(self, other: _Group) -> None:
        self.count += other.count
        if not other.prefix.startswith(self.prefix):
            self.prefix = _common_prefix(self.prefix, other.prefix)
        if len(self.examples) < MAX_EXAMPLES or min(other.examples) < self.examples[-1]:
            self.examples = heapq.nsmallest(MAX_EXAMPLES, [*self.examples, *other.examples])


def _folder(name: str, depth: int) -> str:
    """Return ``name`` up to its slash of that number, or to its last one; with it.

    >>> _folder("s3://bucket/a/b/key", 4), _folder("s3://bucket/key", 4), _folder("key", 4)
    ('s3://bucket/a/', 's3://bucket/', '')
    """
    parts = name.split("/", depth)
    return name[: len(name) - len(parts[-1])]


def _common_prefix(one: str, other: str) -> str:
    """Return the longest text with which both begin.

    >>> _common_prefix("logs/2024-01", "logs/2024-11")
    'logs/2024-'
    """
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return one[:at]
    return min(one, other, key=len)


def total(groups: Iterable[CauseGroup]) -> int:
    """Return how many rows groups tell of."""
    return sum(group.count for group in groups)
