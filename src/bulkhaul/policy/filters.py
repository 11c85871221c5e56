r"""Decides which paths ordered filters take: the last one that matches wins, as in aws-cli.

first filter is an --exclude ─▶ what none of them matches is taken       --exclude '*' --include '*.txt'
first filter is an --include ─▶ what none of them matches is left out    --include '*.txt'

Two lists say the same in Python: ``include``, then ``exclude``, in which an entry that begins with ``!`` takes what
matches back in, as in a .gitignore. ``\!`` and ``\\`` at its beginning stand for one such character.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from bulkhaul.model.errors import UsageError

BACK_IN = "!"

_SPECIAL = re.compile(r"[*?\[]")


class Filter(NamedTuple):
    """One filter: whether it takes what matches its pattern."""

    takes: bool
    pattern: str

    @property
    def option(self) -> str:
        """Its option on a command line."""
        return f"--{'include' if self.takes else 'exclude'} {shlex.quote(self.pattern)}"


def two_lists(filters: Sequence[Filter]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    r"""Return ordered filters as ``include`` and ``exclude``.

    >>> two_lists([Filter(False, "*"), Filter(True, "*.txt"), Filter(False, "!a")])
    ((), ('*', '!*.txt', '\\!a'))
    """
    first = next((n for n, one in enumerate(filters) if not one.takes), len(filters))
    exclude = tuple(BACK_IN + one.pattern if one.takes else _escaped(one.pattern) for one in filters[first:])
    return tuple(one.pattern for one in filters[:first]), exclude


def in_order(include: Sequence[str], exclude: Sequence[str]) -> list[Filter]:
    r"""Return the filters of two lists, in their order.

    >>> [(one.takes, one.pattern) for one in in_order(["a*"], ["*.o", "!b.o", "\\!c"])]
    [(True, 'a*'), (False, '*.o'), (True, 'b.o'), (False, '!c')]
    """
    filters = [Filter(True, pattern) for pattern in patterns(include)]
    for pattern in patterns(exclude):
        if pattern.startswith(BACK_IN):
            filters.append(Filter(True, pattern.removeprefix(BACK_IN)))
        else:
            filters.append(Filter(False, pattern[1:] if pattern.startswith(("\\!", "\\\\")) else pattern))
    return filters


def patterns(given: Sequence[str]) -> tuple[str, ...]:
    """Return a list of patterns as a tuple.

    Raises:
        UsageError: it is one text. As a list of its characters it would have a ``*`` that takes everything.
    """
    if isinstance(given, str | bytes):
        raise UsageError(f"include and exclude take lists of patterns, not one text; write [{given!r}]")
    return tuple(given)


def _escaped(pattern: str) -> str:
    return f"\\{pattern}" if pattern.startswith((BACK_IN, "\\")) else pattern


class Filters:
    """Filters in their order.

    Attributes:
        unmatched: whether what none of them matches is taken.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = (), *, root: str = "") -> None:
        """Take the two lists.

        Args:
            root: the absolute path of the local folder that paths lie below: a pattern that begins with a slash is
                for the whole path. Empty where there is none.
        """
        self._filters = in_order(include, exclude)
        self.unmatched = not self._filters or not self._filters[0].takes
        self._root = f"{root.rstrip('/')}/" if root else ""
        compiled = [(re.compile(fnmatch.translate(one.pattern)), one) for one in reversed(self._filters)]
        self._last_first = [(pattern, one, bool(root) and one.pattern.startswith("/")) for pattern, one in compiled]

    def __bool__(self) -> bool:
        return bool(self._filters)

    def takes(self, path: str) -> bool:
        """Whether a path is taken."""
        decides = self._decides(path)
        return self.unmatched if decides is None else self._filters[decides].takes

    def _decides(self, path: str) -> int | None:
        """Return the place of the filter that decides about a path, None where none of them matches it."""
        for place, (pattern, _, whole) in enumerate(self._last_first, 1):
            if pattern.match(self._root + path if whole else path):
                return len(self._filters) - place
        return None

    def reason(self, path: str) -> str:
        """Return why a path is taken or left out, for people: which filter it is of those that are given."""
        if not self._filters:
            return "no filter is given"
        if (place := self._decides(path)) is None:
            return "no filter matches it" if self.unmatched else "no --include matches it"
        option, count = self._filters[place].option, len(self._filters)
        if count == 1:
            return f"{option} matches it"
        return f"{option}, filter {place + 1} of {count}, is the last that matches it"

    def leave_out_all(self, folder: str) -> bool:
        """Whether they surely leave out everything below a folder, whatever is there.

        Args:
            folder: its path, with a slash at the end.

        >>> Filters([], ["tmp*"]).leave_out_all("tmp/"), Filters([], ["*.o"]).leave_out_all("tmp/")
        (True, False)
        >>> Filters([], ["*", "!tmp/a*"]).leave_out_all("tmp/"), Filters([], ["*", "!b/*"]).leave_out_all("tmp/")
        (False, True)
        """
        for pattern, one, whole in self._last_first:
            path = self._root + folder if whole else folder
            if one.takes:
                special = _SPECIAL.search(one.pattern)
                literal = one.pattern[: special.start()] if special else one.pattern
                if path.startswith(literal) or literal.startswith(path):
                    return False
            elif one.pattern.endswith("*") and pattern.match(path):
                return True
        return not self.unmatched
