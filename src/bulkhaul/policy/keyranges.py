"""Decides which pages of a listing to ask for side by side, and joins them so that none is lost or doubled.

    range 0  ▓▓▓▓▓▒        ▓ here   ▒ under way   each range is a stream of pages: begun after some text, then by tokens
    range 1        ▓▓▓▒
    range 2             ▒   begun after a text that was made up (``keyspace``); its first key is not known yet

**Joined by a common key, never by order.** The pages of range 0 go to the reader until one of them holds a key that
range 1 holds too; from that key on range 1 goes on in its place. Both streams are what the service says follows, so the
join is what one stream would have told, whatever order the service has. A range that is not met so is thrown away, and
the stream before it goes on over its ground. A page that does not ascend, or begins at or before the text that it
should begin after, ends all ranges but the first: such a service is listed by one stream.

**How far ahead.** Pages wait for the reader, at most ``most_pages``, and only as many as it was ever short of.
Ranges are cut near the reader first, a few pages apart, by how far apart keys were in the pages that have come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from bulkhaul.model.errors import OtherError, TransferError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.policy.keyspace import KeySpace

_STRIDE_PAGES: Final = 3.8
"""Pages from the beginning of a range to that of the next one. A little less than a whole number: where distances are
known well, the last page then overlaps the next range by a fifth, not by almost all of a page.
"""

_LEAST_PAGES: Final = 6.0
"""Pages that are left of a range when a cut pays: what is before it and what is behind it both cost a last page."""

_MISSES: Final = 3
"""Ranges that were not met before the service is listed by one stream: its order is not that of bytes."""


class Fetch(msgspec.Struct, frozen=True, eq=False):
    """A page to ask for: that of a token, else what comes after a text."""

    token: str = ""
    start_after: str = ""


class _Range:
    """A stream of pages.

    Attributes:
        after: the text that it was begun after; empty for the beginning of the listing.
        first, last: keys that have come; ``last`` is ``after`` before that.
        empty_from: no key lies between this text and the next range, as far as a page has shown.
        ends: (first, last) keys of its last page, or of that of its neighbour: how close together keys are.
        pages: those that wait for the reader; none of them is empty.
        token: of the next page; empty before the first page has come, and after the last one.
        ended: the service has told that nothing follows.
        whole: nothing has changed since it was found that a cut does not pay.
        tokens: hashes of all tokens.
    """

    def __init__(self, after: str, ends: tuple[str, str] | None = None, empty_from: str | None = None) -> None:
        self.after = self.last = after
        self.first: str | None = None
        self.empty_from = empty_from
        self.ends = ends
        self.pages: deque[Sequence[ObjectHead]] = deque()
        self.token = ""
        self.ended = False
        self.whole = False
        self.under_way: Fetch | None = None
        self.failure: TransferError | None = None
        self.tokens: set[int] = set()

    @property
    def begins(self) -> str:
        """The first key, or the text before it."""
        return self.after if self.first is None else self.first

    @property
    def idle(self) -> bool:
        """Whether its next page could be asked for."""
        return self.under_way is None and not self.ended and self.failure is None


class KeyRanges:
    """The pages of one listing: what to ask for next, what has come, what the reader gets.

    Args:
        prefix: what all keys begin with.
        subject: the URL that errors name.
        most_pages: pages that may wait for the reader, or be under way.

    Attributes:
        single: the service is listed by one stream.
        in_vain: keys that were listed twice, or thrown away.
    """

    def __init__(self, prefix: str, subject: str, *, most_pages: int) -> None:
        self.single = False
        self.in_vain = 0
        self._subject = subject
        self._most_pages = most_pages
        self._space = KeySpace(prefix)
        self._ranges = [_Range("")]
        self._ahead = 1  # pages that may wait for the reader
        self._trust = 1  # ranges whose first key may be unknown: as many as were found well
        self._misses = 0

    # What to ask for

    def next_fetch(self, *, window: int) -> Fetch | None:
        """Return a page to ask for now, None if there is none before a page comes or the reader takes one.

        Args:
            window: pages that may be under way.
        """
        ranges = self._ranges
        if self.single or sum(one.under_way is not None for one in ranges) >= window:
            return None
        if (urgent := self._urgent()) is not None and urgent.idle:
            return self._begin(urgent)
        if self.held >= self._ahead:
            return None
        if ranges[0].first is None:
            return None
        unknown = sum(one.first is None for one in ranges)
        for index, one in enumerate(ranges):
            if one.idle and self._goes_on(index):
                return self._begin(one)
            if unknown < self._trust and not one.whole:
                if (text := self._cut(index)) is not None:
                    new = _Range(text, one.ends, one.empty_from)
                    one.empty_from = None
                    ranges.insert(index + 1, new)
                    return self._begin(new)
                one.whole = True
        return None

    def _begin(self, one: _Range) -> Fetch:
        fetch = one.under_way = Fetch(one.token, "" if one.token else one.after)
        return fetch

    def _urgent(self) -> _Range | None:
        """Return the range without whose next page the reader gets nothing more."""
        front, following = self._ranges[0], self._ranges[1] if len(self._ranges) > 1 else None
        if not front.pages:
            return front
        if following is not None and following.first is None and front.pages[0][-1].key > following.after:
            return following
        return None

    def _goes_on(self, index: int) -> bool:
        """Return whether a range has not reached the next one."""
        one = self._ranges[index]
        return one.first is None or index + 1 == len(self._ranges) or one.last < self._ranges[index + 1].begins

    def _cut(self, index: int) -> str | None:
        """Return the text after which a new range may begin before the next one, None if that does not pay."""
        one = self._ranges[index]
        if one.ended or one.ends is None or one.failure is not None:
            return None
        limit = one.empty_from
        if limit is None and index + 1 < len(self._ranges):
            limit = self._ranges[index + 1].begins
        low, space = one.last, self._space
        if limit is not None and low >= limit:
            return None
        places = max(space.places(*one.ends), space.places(low, limit) if limit is not None else 0)
        begin, end, at = (space.number(key, places) for key in (*one.ends, low))
        width = max(end - begin, 1)
        if limit is not None and space.number(limit, places) - at < _LEAST_PAGES * width:
            return None
        text = space.key(at + int(_STRIDE_PAGES * width), places)
        if text is None and one.first is not None:
            text = space.beyond(low)
        return text if text is not None and low < text and (limit is None or text < limit) else None

    # What has come

    def wanted(self, fetch: Fetch) -> bool:
        """Return whether a page is still waited for."""
        return any(one.under_way is fetch for one in self._ranges)

    def arrived(self, fetch: Fetch, page: ObjectsPage) -> None:
        """Take a page; one that is not waited for any more is dropped."""
        index = next((at for at, one in enumerate(self._ranges) if one.under_way is fetch), None)
        if index is None:
            self.in_vain += len(page.objects)
            return
        one = self._ranges[index]
        one.under_way = None
        one.token, one.ended = page.next_token, not page.next_token
        if one.token:
            if hash(one.token) in one.tokens:
                text = "the listing repeats its continuation token, so it would never end"
                one.failure = OtherError(text, self._subject)
                return
            one.tokens.add(hash(one.token))
        if page.objects:
            self._take_in(index, page.objects)
        elif index and one.ended and one.first is None:
            self._found_nothing(index)

    def _take_in(self, index: int, objects: Sequence[ObjectHead]) -> None:
        one, keys = self._ranges[index], [head.key for head in objects]
        if not self.single and not _ascending(one.last, keys):
            self._go_single()
            if index:
                self.in_vain += len(objects)
                return
        one.pages.append(objects)
        if self.single:
            one.first = one.first or keys[0]
            return
        self._space.learn(keys, before=None if one.first is None else one.last)
        if len(keys) > 1:
            one.ends = (keys[0], keys[-1])
        one.last, one.whole = keys[-1], False
        if one.first is None:
            one.first = keys[0]
            if index and not self._found(index):
                return
        self._overtake(index, keys)

    def _overtake(self, index: int, keys: Sequence[str]) -> None:
        """Give up ranges that are about to list most of what this page of the range before them lists."""
        middle = keys[len(keys) // 2]
        while index + 1 < len(self._ranges) and (following := self._ranges[index + 1]).after < middle:
            if following.first is not None or following.failure is not None:
                return
            self._drop(index + 1)
            self._trust = max(1, self._trust // 2)

    def _found(self, index: int) -> bool:
        """A new range has got its first key: return whether it is of use, else it is given up."""
        ranges = self._ranges
        one, before = ranges[index], ranges[index - 1]
        before.whole = False
        useful = True
        while index + 1 < len(ranges) and one.begins >= ranges[index + 1].begins:
            useful = False
            if ranges[index + 1].first is not None:
                self._drop(index)
                before.empty_from = one.after
                self._trust = max(1, self._trust // 2)
                return False
            self._drop(index + 1)  # it would find the same: its text lies in the same gap between two keys
        before.empty_from = one.after
        useful = useful and before.last < one.begins
        self._trust = self._trust + 1 if useful else max(1, self._trust // 2)
        return True

    def _found_nothing(self, index: int) -> None:
        """The service has told that nothing follows the text of a range."""
        after = self._ranges[index].after
        if all(one.first is None for one in self._ranges[index + 1 :]):
            while len(self._ranges) > index:
                self._drop(index)
            self._ranges[index - 1].empty_from = after
        else:
            self._drop(index)
        self._trust = max(1, self._trust // 2)

    def failed(self, fetch: Fetch, error: TransferError, *, refused: bool) -> None:
        """Take the failure of a page; it is raised when the reader gets there.

        Args:
            refused: a service that does not know ``start_after`` would fail so.
        """
        for index, one in enumerate(self._ranges):
            if one.under_way is fetch:
                one.under_way = None
                if index and one.first is None and refused:
                    self._go_single()
                else:
                    one.failure = error
                return

    def _go_single(self) -> None:
        self.single = True
        while len(self._ranges) > 1:
            self._drop(1)

    def _drop(self, index: int) -> None:
        gone, before = self._ranges.pop(index), self._ranges[index - 1]
        before.empty_from, before.whole = gone.empty_from, False
        self.in_vain += sum(len(page) for page in gone.pages)

    # What the reader gets

    @property
    def held(self) -> int:
        """Pages that wait for the reader, or are under way."""
        return sum(len(one.pages) + (one.under_way is not None) for one in self._ranges)

    @property
    def done(self) -> bool:
        """Whether the reader has got everything."""
        front = self._ranges[0]
        return len(self._ranges) == 1 and front.ended and not front.pages and front.failure is None

    @property
    def front_token(self) -> str:
        """Of the page that follows those that have come of the first range."""
        return self._ranges[0].token

    @property
    def handed_over(self) -> bool:
        """Whether one stream has to go on at ``front_token``, and the reader has everything before it."""
        front = self._ranges[0]
        return self.single and not front.pages and front.failure is None and front.under_way is None

    def starved(self) -> None:
        """The reader has to wait: from now on more pages may wait for it."""
        if self._ranges[0].first is not None:
            self._ahead = min(self._ahead * 2, self._most_pages)

    def take(self) -> Sequence[ObjectHead] | None:
        """Return the next page for the reader, None if it has to wait.

        Raises:
            TransferError: the page cannot be had.
        """
        while True:
            front, following = self._ranges[0], self._ranges[1] if len(self._ranges) > 1 else None
            if not front.pages:
                if front.failure is not None:
                    raise front.failure
                if not front.ended or following is None:
                    return None
                if following.first is None and following.failure is None:
                    self._drop(1)  # the service has told that nothing follows
                else:
                    # All that was listed ascends, so what the next range holds was added since, or left out.
                    self._ranges.pop(0)
                continue
            page = front.pages[0]
            if following is None or page[-1].key <= following.after:
                return front.pages.popleft()
            if following.first is None:
                if following.failure is not None:
                    raise following.failure
                return None
            if page[-1].key < following.first:
                return front.pages.popleft()
            if (met := _meeting(page, following)) is not None:
                self._ranges.pop(0)
                self.in_vain += sum(map(len, front.pages)) - met
                if met:
                    return page[:met]
            else:
                self._drop(1)
                self._misses += 1
                if self._misses >= _MISSES:
                    self._go_single()


def _meeting(page: Sequence[ObjectHead], following: _Range) -> int | None:
    """Return how many objects of a page come before the next range's first page goes on, None if they do not meet.

    What the next range holds before the common key is taken off it: it was deleted since, or added behind the reader.
    """
    first = following.pages[0] if following.pages else ()
    places = {head.key: at for at, head in enumerate(first)}
    for at, head in enumerate(page):
        if (there := places.get(head.key)) is not None:
            if there:
                following.pages[0] = first[there:]
            return at
    return None


def _ascending(before: str, keys: Sequence[str]) -> bool:
    return before < keys[0] and all(map(str.__lt__, keys, _from_second(keys)))


def _from_second(keys: Sequence[str]) -> Iterator[str]:
    following = iter(keys)
    next(following)
    return following


__all__ = ["Fetch", "KeyRanges"]
