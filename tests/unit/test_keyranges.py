"""Listings by ranges: whatever the keys, the order of the service and that of its answers, each key comes once."""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkhaul.errors import AccessDenied, OtherError
from bulkhaul.model.errors import TransferError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.policy.keyranges import Fetch, KeyRanges

MOST = 24

SHAPES: dict[str, Callable[[random.Random, int], str]] = {
    "hashed": lambda rng, _: f"{rng.getrandbits(64):016x}",
    "counter": lambda _, number: f"{number:08d}",
    "unpadded": lambda _, number: str(number),
    "dated": lambda rng, number: f"2024/{rng.randint(1, 12):02d}/{rng.randint(1, 28):02d}/{number:06d}",
    "page a folder": lambda _, number: f"{number // 100:04d}/{number % 100:04d}.bin",
    "deep": lambda rng, number: "/".join(rng.choice("abc") * rng.randint(1, 3) for _ in range(8)) + str(number),
    "one folder": lambda rng, number: f"{'all' if rng.random() < 0.98 else rng.choice('bcd')}/{number}",
    "not ASCII": lambda rng, _: "".join(
        chr(rng.choice((97, 0xE4, 0x4E00, 0xFFFD, 0x1F600)) + rng.randint(0, 2)) for _ in range(9)
    ),
    "uneven": lambda rng, _: f"{int(rng.paretovariate(0.3) * 10) % 10**12}",
}


class Store:
    """A service in memory: keys in an order of its own.

    Attributes:
        keys: in that order.
        mute: it does not know start_after, and begins at the beginning.
    """

    def __init__(self, keys: Sequence[str], order: Callable[[str], Any] = str.encode, *, mute: bool = False) -> None:
        self.order: Callable[[str], Any] = order
        self.keys = sorted(keys, key=self.order)
        self.mute = mute

    def page(self, fetch: Fetch, length: int) -> ObjectsPage:
        """Return the page that is asked for; a token is the last key."""
        after = fetch.token or ("" if self.mute else fetch.start_after)
        begin = bisect.bisect_right(self.keys, self.order(after), key=self.order) if after else 0
        heads = tuple(ObjectHead(key, 1) for key in self.keys[begin : begin + length])
        return ObjectsPage(heads, heads[-1].key if begin + length < len(self.keys) else "")


class Listing:
    """A listing of a store whose pages come in any order."""

    def __init__(self, store: Store, length: int, rng: random.Random, *, prefix: str = "") -> None:
        self.store, self.length, self.rng = store, length, rng
        self.ranges = KeyRanges(prefix, "s3://bucket/", most_pages=MOST)
        self.open: list[Fetch] = []
        self.asked = 0
        self.got: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.most_held = 0

    def ask(self, window: int) -> None:
        """Ask for all that may be asked for."""
        self.open = [fetch for fetch in self.open if self.ranges.wanted(fetch)]
        while (fetch := self.ranges.next_fetch(window=window)) is not None:
            self.open.append(fetch)
            self.asked += 1
        assert len(self.open) <= max(window, 1)

    def answer(self) -> None:
        """Answer one of the pages under way."""
        fetch = self.open.pop(self.rng.randrange(len(self.open)))
        self.ranges.arrived(fetch, self.store.page(fetch, self.length))

    def run(self, window: int = 8) -> list[str]:
        """Return the keys as the reader gets them."""
        while not self.ranges.done and not self.ranges.handed_over:
            self.ask(window)
            if self.rng.random() < 0.5 and self.open:
                self.answer()
            elif (page := self.ranges.take()) is not None:
                assert page
                self.got += [head.key for head in page]
            elif not self.ranges.done and not self.ranges.handed_over:
                self.ranges.starved()
                self.ask(window)
                self.answer()
            self.most_held = max(self.most_held, self.ranges.held)
            self.meanwhile()
        fetch = Fetch(self.ranges.front_token)
        while fetch.token:  # one stream
            rest = self.store.page(fetch, self.length)
            self.got += [head.key for head in rest.objects]
            fetch = Fetch(rest.next_token)
        return self.got


def keys_of(shape: str, rng: random.Random, count: int) -> list[str]:
    """Return about so many keys of a shape, all different."""
    return sorted({SHAPES[shape](rng, number) for number in range(count)})


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.sampled_from([0, 1, 2, 9, 10, 11, 20, 30, 200, 700]), length=st.just(10))
def test_every_key_comes_once_in_order(shape: str, seed: int, count: int, length: int) -> None:
    """Of whatever shape keys are, and in whatever order pages come."""
    rng = random.Random(seed)
    keys = keys_of(shape, rng, count)
    listing = Listing(Store(keys), length, rng)
    assert listing.run() == sorted(keys, key=str.encode)
    assert not listing.ranges.single
    assert listing.most_held <= MOST + 8


@settings(max_examples=60, deadline=None)
@given(
    keys=st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), max_size=60),
    seed=st.integers(0, 2**32),
    length=st.integers(1, 7),
)
def test_any_keys_at_all(keys: set[str], seed: int, length: int) -> None:
    """Every key comes once, in the byte order of UTF-8, below a prefix as well."""
    prefix = "p\u00e4/9"
    listing = Listing(Store([prefix + key for key in keys]), length, random.Random(seed), prefix=prefix)
    assert listing.run() == sorted((prefix + key for key in keys), key=str.encode)


ORDERS: dict[str, Callable[[str], Any]] = {
    "UTF-16": lambda key: key.encode("utf-16-be"),
    "slashes first": lambda key: key.replace("/", "\x01").encode(),
    "backwards": lambda key: (*(-byte for byte in key.encode()), 1),
    "by hash": lambda key: (hash_of(key), key),
    "folders in another order": lambda key: ("7c1e0a9f2b4d8356/".find(key[0]), key),
    "case does not matter": lambda key: (key.lower(), key),
}


def hash_of(key: str) -> int:
    """Return a number that has nothing to do with the order of keys."""
    return random.Random(key).getrandbits(32)


@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from(["dated", "deep", "not ASCII", "hashed"]))
def test_another_order_loses_nothing(order: str, seed: int, shape: str) -> None:
    """A store that sorts otherwise is listed in its own order, as one stream would list it."""
    rng = random.Random(seed)
    keys = keys_of(shape, rng, 300)
    keys += [key.replace("a", "A", 1).replace("/", "-", 1) for key in keys]
    listing = Listing(Store(sorted(set(keys)), ORDERS[order]), 10, rng)
    assert listing.run() == listing.store.keys


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from(sorted(SHAPES)))
def test_a_store_that_begins_at_the_beginning_is_noticed(seed: int, shape: str) -> None:
    """Where start_after is not heeded, one stream lists everything."""
    rng = random.Random(seed)
    keys = keys_of(shape, rng, 200)
    listing = Listing(Store(keys, mute=True), 10, rng)
    assert listing.run() == sorted(keys, key=str.encode)
    assert listing.ranges.single


class Beyond(Store):
    """A store that leaves out the first keys after a text that no key is called."""

    def page(self, fetch: Fetch, length: int) -> ObjectsPage:
        page = super().page(fetch, length)
        return page if fetch.token or not fetch.start_after else ObjectsPage(page.objects[3:], page.next_token)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from(sorted(SHAPES)))
def test_what_a_new_range_leaves_out_is_listed(seed: int, shape: str) -> None:
    """Ranges are joined by a key that both have, so what one begins too late for the one before it has."""
    rng = random.Random(seed)
    keys = keys_of(shape, rng, 300)
    assert Listing(Beyond(keys), 10, rng).run() == sorted(keys, key=str.encode)


class Phantoms(Store):
    """A store that lists, after a text, keys that it does not list otherwise."""

    def page(self, fetch: Fetch, length: int) -> ObjectsPage:
        page = super().page(fetch, length)
        if fetch.token or not fetch.start_after:
            return page
        return ObjectsPage(tuple(ObjectHead(head.key + "!", 1) for head in page.objects), page.next_token)


def test_ranges_that_are_never_met_are_given_up() -> None:
    """After a few of them the service is listed by one stream."""
    keys = keys_of("hashed", random.Random(2), 2000)
    listing = FastListing(Phantoms(keys), 10, random.Random(2))
    assert listing.run() == keys
    assert listing.ranges.single


def test_what_a_range_holds_beyond_the_end_of_the_stream_is_listed() -> None:
    """It was added since, or the stream left it out: more is right, fewer may be wrong."""
    listing = begun()
    fetch = next(fetch for fetch in listing.open if fetch.start_after)
    beyond = tuple(ObjectHead(f"9{number}", 1) for number in range(3))
    listing.ranges.arrived(fetch, ObjectsPage(beyond))
    listing.store.keys = listing.store.keys[:15]
    assert listing.run()[-3:] == ["90", "91", "92"]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from(["hashed", "counter", "dated"]))
def test_keys_that_come_and_go_meanwhile(seed: int, shape: str) -> None:
    """Keys that are there all the time come exactly once, in order, whatever is added and deleted around them."""
    rng = random.Random(seed)
    keys = keys_of(shape, rng, 400)
    lasting, passing = set(keys[::2]), keys[1::2]
    store = Store(keys)
    listing = Listing(store, 10, rng)

    def change() -> None:
        for key in rng.sample(passing, 5):
            if key in store.keys:
                store.keys.remove(key)
            else:
                store.keys = sorted([*store.keys, key])

    listing.meanwhile = change
    got = listing.run()
    assert [key for key in got if key in lasting] == sorted(lasting)
    assert got == sorted(set(got))


def test_a_listing_of_one_page_costs_one_request() -> None:
    """Nothing more is asked for before a page has told that there is more."""
    listing = Listing(Store([f"{number:04d}" for number in range(10)]), 10, random.Random(1))
    assert len(listing.run()) == 10
    assert listing.asked == 1


def test_a_reader_who_never_waits_has_one_page_ahead() -> None:
    """Pages are asked for side by side only as a reader was short of them."""
    listing = Listing(Store([f"{number:04d}" for number in range(500)]), 10, random.Random(1))
    ranges = listing.ranges
    listing.ask(8)
    while not ranges.done:
        if listing.open:
            listing.answer()
        page = ranges.take()
        assert page is not None
        listing.got += [head.key for head in page]
        listing.ask(8)
        assert len(listing.open) <= 1
    assert len(listing.got) == 500
    assert listing.asked == 50


@pytest.mark.parametrize(
    ("shape", "most"), [("hashed", 1.2), ("counter", 1.2), ("dated", 1.6), ("page a folder", 1.2), ("one folder", 1.4)]
)
def test_few_pages_are_asked_for_in_vain(shape: str, most: float) -> None:
    """Ranges lie where keys are: the requests are those of one stream, and a few more."""
    keys = keys_of(shape, random.Random(7), 40_000)
    listing = FastListing(Store(keys), 100, random.Random(7))
    assert listing.run(8) == sorted(keys)
    assert listing.asked <= most * len(keys) / 100
    assert listing.most_open == 8


class FastListing(Listing):
    """A listing whose pages come in the order in which they were asked for."""

    most_open = 0

    def answer(self) -> None:
        self.most_open = max(self.most_open, len(self.open))
        fetch = self.open.pop(0)
        self.ranges.arrived(fetch, self.store.page(fetch, self.length))


# Failures


def begun(length: int = 10) -> Listing:
    """Return a listing of 400 keys whose reader has got a page and waits, with ranges under way."""
    listing = Listing(Store([f"{number:04d}" for number in range(400)]), length, random.Random(1))
    listing.ask(8)
    listing.answer()
    while not any(fetch.start_after for fetch in listing.open):
        listing.ask(8)
        if listing.ranges.take() is None:
            listing.ranges.starved()
            listing.ask(8)
    return listing


def failing(listing: Listing, error: TransferError, *, refused: bool) -> Fetch:
    """Fail the range that is under way."""
    fetch = next(fetch for fetch in listing.open if fetch.start_after)
    listing.open.remove(fetch)
    listing.ranges.failed(fetch, error, refused=refused)
    return fetch


def test_a_range_that_fails_fails_the_listing_in_its_turn() -> None:
    """What comes before it is given to the reader first."""
    listing = begun()
    fetch = failing(listing, AccessDenied("no"), refused=False)
    with pytest.raises(AccessDenied):
        listing.run()
    assert listing.got
    assert max(listing.got) <= fetch.start_after


def test_a_service_that_refuses_start_after_is_listed_by_one_stream() -> None:
    """Directory buckets do: then nothing is lost but time."""
    listing = begun()
    failing(listing, OtherError("StartAfter is not supported"), refused=True)
    assert listing.run() == [f"{number:04d}" for number in range(10, 400)]
    assert listing.ranges.single


def test_a_page_of_the_stream_itself_is_never_called_refused() -> None:
    """The first page, and those of tokens, fail the listing."""
    listing = Listing(Store(["a"]), 10, random.Random(1))
    listing.ask(8)
    listing.ranges.failed(listing.open[0], AccessDenied("no"), refused=True)
    with pytest.raises(AccessDenied):
        listing.ranges.take()


def test_a_token_that_comes_again_ends_the_listing() -> None:
    """It would never end otherwise."""
    ranges = KeyRanges("", "s3://bucket/", most_pages=MOST)
    for keys in ("ab", "cd"):
        fetch = ranges.next_fetch(window=1)
        assert fetch is not None
        ranges.arrived(fetch, ObjectsPage(tuple(ObjectHead(key, 1) for key in keys), "again"))
        if keys == "ab":
            assert ranges.take() is not None
    with pytest.raises(OtherError, match="repeats its continuation token"):
        ranges.take()


def test_empty_pages_that_go_on_are_followed() -> None:
    """A page may hold nothing and still name the next one."""
    ranges = KeyRanges("", "s3://bucket/", most_pages=MOST)
    for number, page in enumerate([ObjectsPage((), "one"), ObjectsPage((), "two"), ObjectsPage((ObjectHead("a", 1),))]):
        fetch = ranges.next_fetch(window=1)
        assert fetch is not None
        assert fetch.token == ("", "one", "two")[number]
        ranges.arrived(fetch, page)
    assert ranges.take() == (ObjectHead("a", 1),)
    assert ranges.done
