"""Turns keys into numbers and back, so that a listing can be cut by arithmetic; learns from keys that it is shown.

    "2024/05/17/…" ─▶ one digit a character, its base the characters seen or likely at its place ─▶ a number
                  ◀─ the text at which a range may begin; no key needs to be called so

Characters, not bytes: the order of code points is that of UTF-8, and what is put together is valid UTF-8. Every
character comes from a key that the service has listed, or is a letter or digit, or one that ``_allowed`` lets pass. A
wrong guess costs a request in vain, nothing else: ``keyranges`` believes no text that is made here.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from itertools import chain
from typing import Final

_FINER: Final = 4
"""Places beyond the first one at which two keys of a page differ: positions are known to a thousandth of a page."""

_SAMPLES: Final = 12
"""Keys of a page that are looked at: a place that varies does so in a few pages, and its class is what counts."""

_MOST_PLACES: Final = 1024
"""Longest key of S3, in bytes. Source: S3 User Guide, "Object key naming guidelines"."""

_WRAPS: Final = 6
"""How often a place must have begun anew for its characters to be known: hours then end at 23, not at 99."""

_RUN = re.compile(r"[0-9A-Za-z]+")
_CLASSES: Final = ("0123456789", "abcdef", "ghijklmnopqrstuvwxyz", "ABCDEF", "GHIJKLMNOPQRSTUVWXYZ")
_MOST_ALPHABET: Final = "\x7f"
_FIRST_PLAIN: Final = 0x21
_LAST_CODE: Final = 0x10FFFF
_FORBIDDEN: Final = ((0x7F, 0xA0), (0xD800, 0xDFFF), (0xFFFE, 0xFFFF))
"""Characters that are controls, no text at all, or not allowed in XML. Source: XML 1.0 §2.2; Unicode, chapter 23."""


class _Place:
    """The characters that stand at one place of keys.

    Attributes:
        seen: characters of keys, or of the run of letters and digits that the place is in.
        wraps: how often a character before it changed, so that this one began anew.
    """

    __slots__ = ("_digits", "_first", "_letters", "seen", "wraps")

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.wraps = 0
        self._letters: str | None = None
        self._first = 0
        self._digits = 0

    def forget(self) -> None:
        """What was seen has changed."""
        self._digits = 0

    @property
    def base(self) -> int:
        """How many characters may stand here: 1 where keys never differ."""
        if not self._digits:
            self._settle()
        return self._digits

    def digit(self, character: str) -> tuple[int, bool]:
        """Return the number of a character, and whether it may stand here; if it does not, that of the next one."""
        base = self.base
        if self._letters is None:
            code = ord(character) - self._first
            return min(max(code, 0), base), 0 <= code < base
        at = bisect.bisect_left(self._letters, character)
        return at, at < base and self._letters[at] == character

    def character(self, digit: int) -> str:
        """Return the character of a digit."""
        if self.base and self._letters is not None:
            return self._letters[digit]
        return chr(_allowed(self._first + digit))

    def _settle(self) -> None:
        seen, last = self.seen, max(self.seen)
        if last > _MOST_ALPHABET:
            # Too many to know them all: by their codes, which lie close together where keys do.
            self._letters, self._first = None, ord(min(seen))
            self._digits = (ord(last) if self.wraps >= _WRAPS else _LAST_CODE) - self._first + 1
            return
        likely = set(seen)
        if self.wraps < _WRAPS and (len(seen) > 1 or not seen.isdisjoint(_CLASSES[0])):
            for letters in _CLASSES:
                if not seen.isdisjoint(letters):
                    likely.update(letters)
        self._letters = "".join(sorted(likely))
        self._digits = len(self._letters)


class KeySpace:
    """The places of keys behind one prefix: which characters stand there, and what follows for distances."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._skipped = len(prefix)
        self._places: list[_Place] = []

    def learn(self, keys: Sequence[str], *, before: str | None = None) -> None:
        """Look at some of the keys of a page, which ascend.

        Args:
            before: the key before the first of them, if it is known. Where pages are cut as folders are, only the step
                from one page to the next shows that what stands behind a folder begins anew.
        """
        step = max(1, (len(keys) - 1) // (_SAMPLES - 1))
        before = before and before[self._skipped : _MOST_PLACES]
        for whole in chain(keys[::step], keys[-1:]):
            key = whole[self._skipped : _MOST_PLACES]
            same = len(key) if before is None else shared(before, key)
            self._learn_one(key, 0 if before is None else same, same + 1)
            before = key

    def _learn_one(self, key: str, changed: int, anew: int) -> None:
        """Look at one key, which differs from the one before at place ``changed``, and began anew at ``anew``."""
        places = self._places
        while len(places) < len(key):
            places.append(_Place())
        for at in range(changed, len(key)):
            place = places[at]
            if key[at] not in place.seen:
                place.seen.add(key[at])
                place.forget()
            if at >= anew:
                place.wraps += 1
                if place.wraps == _WRAPS:
                    place.forget()
        for run in _RUN.finditer(key):
            letters = set(run[0])
            # Digits and letters in one run: a hash. Each of its places may hold all of them.
            if not letters.isdisjoint(_CLASSES[0]) and not letters <= set(_CLASSES[0]):
                for at in range(run.start(), run.end()):
                    if not letters <= places[at].seen:
                        places[at].seen |= letters
                        places[at].forget()

    def number(self, key: str, places: int) -> int:
        """Return the number of the first ``places`` characters behind the prefix; it never falls as keys grow."""
        key, number, edge = key[self._skipped :], 0, False
        for at, place in enumerate(self._places[:places]):
            base = place.base
            if edge or at >= len(key):
                number *= base
                continue
            digit, exact = place.digit(key[at])
            number = number * base + digit
            edge = not exact  # between two digits, or beyond them: what follows counts as nothing
        return number

    def key(self, number: int, places: int) -> str | None:
        """Return the text of a number, None if none is so large."""
        characters = []
        for place in self._places[places - 1 :: -1]:
            number, digit = divmod(number, place.base)
            characters.append(place.character(digit))
        return None if number else self._prefix + "".join(reversed(characters))

    def places(self, first: str, last: str) -> int:
        """Return how many characters behind the prefix tell the keys between two others apart, at least one."""
        return min(max(shared(first, last) - self._skipped, 0) + 1 + _FINER, len(self._places))

    def beyond(self, key: str) -> str | None:
        """Return a text beyond every key that this one shares its first varying place with, None if there is none."""
        for at, character in enumerate(key[self._skipped :]):
            place = self._places[at] if at < len(self._places) else None
            if place is None or place.base > 1:
                last = character if place is None else max(character, place.character(place.base - 1))
                code = _allowed(ord(last) + 1)
                return None if code > _LAST_CODE else key[: self._skipped + at] + chr(code)
        return None


def _allowed(code: int) -> int:
    """Return the code of the next character, from this one on, that a request may hold.

    >>> hex(_allowed(0x61)), hex(_allowed(0x7f)), hex(_allowed(0xd800))
    ('0x61', '0xa1', '0xe000')
    """
    code = max(code, _FIRST_PLAIN)
    for first, last in _FORBIDDEN:
        if first <= code <= last:
            code = last + 1
    return code


def shared(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common.

    >>> shared("2024/05", "2024/11"), shared("a", "a")
    (5, 1)
    """
    limit = min(len(one), len(other))
    if one[:limit] == other[:limit]:
        return limit
    low, high = 0, limit  # they agree in the first ``low``, and not in the first ``high``
    while high - low > 1:
        middle = (low + high) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle
    return low


__all__ = ["KeySpace", "shared"]
