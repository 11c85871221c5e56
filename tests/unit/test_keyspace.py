"""Keys as numbers: they keep the order of keys, follow their shapes, and what they are turned into can be sent."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.policy.keyspace import KeySpace, shared

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def learnt(keys: list[str], prefix: str = "") -> KeySpace:
    """Return a space that has been shown all of these keys."""
    space = KeySpace(prefix)
    for start in range(0, len(keys), 12):
        space.learn(keys[start : start + 12])
    return space


@given(st.lists(TEXTS, min_size=2, max_size=40, unique=True), TEXTS, TEXTS)
def test_numbers_never_fall_as_keys_grow(keys: list[str], one: str, other: str) -> None:
    """The order of numbers is that of UTF-8, also for keys that the space has never seen."""
    keys.sort(key=str.encode)
    space = learnt(keys)
    low, high = sorted((one, other), key=str.encode)
    places = space.places(keys[0], keys[-1])
    assert space.number(low, places) <= space.number(high, places)


@given(st.lists(TEXTS, min_size=2, max_size=40, unique=True), st.floats(0, 2))
def test_what_is_made_up_can_be_sent(keys: list[str], far: float) -> None:
    """It is valid UTF-8, and holds no control character that no key holds."""
    keys.sort(key=str.encode)
    space = learnt(keys)
    places = space.places(keys[0], keys[-1])
    begin, end = (space.number(key, places) for key in (keys[0], keys[-1]))
    allowed = {character for key in keys for character in key}
    for text in (space.key(begin + int((end - begin) * far), places), space.beyond(keys[-1])):
        for character in text or "":
            assert character in allowed or unicodedata.category(character) not in ("Cc", "Cs")
            assert character not in "\ufffe\uffff" or character in allowed
        (text or "").encode()


@pytest.mark.parametrize("prefix", ["", "run-7/"])
def test_a_counter_is_followed_to_numbers_that_were_never_seen(prefix: str) -> None:
    """The first page of a counter tells where its fifth page begins."""
    keys = [f"{prefix}{number:08d}" for number in range(1000)]
    space = KeySpace(prefix)
    space.learn(keys)
    places = space.places(keys[0], keys[-1])
    width = space.number(keys[-1], places) - space.number(keys[0], places)
    followed = space.key(space.number(keys[-1], places) + 4 * width, places)
    assert followed is not None
    assert followed.startswith(prefix)
    assert abs(int(followed.removeprefix(prefix)) - 5 * 999) < 50


def test_hashes_are_told_from_decimal_numbers() -> None:
    """A page whose first characters are all ``0`` is followed into the letters."""
    keys = [f"{number * 0x41893:08x}" for number in range(1000)]
    space = KeySpace("")
    space.learn(keys)
    places = space.places(keys[0], keys[-1])
    step = space.number(keys[-1], places) - space.number(keys[0], places)
    followed = space.key(space.number(keys[-1], places) + 9 * step, places)
    assert followed is not None
    assert abs(int(followed.ljust(8, "0"), 16) - 10 * int(keys[-1], 16)) < int(keys[-1], 16) / 100


def test_days_do_not_end_at_hour_99() -> None:
    """Places that have begun anew often enough hold what was seen there, and no more."""
    space = KeySpace("")
    space.learn([f"2024/05/{day:02d}/{hour:02d}/x" for day in range(1, 13) for hour in range(24)])
    places = len("2024/05/03/23")
    night, morning = (space.number(key, places) for key in ("2024/05/03/23/x", "2024/05/04/00/x"))
    hour = space.number("2024/05/04/01/x", places) - morning
    assert morning - night <= 8 * hour  # three tens of hours, and not ten


@pytest.mark.parametrize(
    ("key", "beyond"),
    [("a/zz", "b"), ("~", "\u00a1"), ("\ud7ff", "\ue000"), ("\ufffd", "\U00010000"), ("\U0010ffff", None)],
)
def test_beyond_is_the_next_character_that_may_be_sent(key: str, beyond: str | None) -> None:
    """It steps over controls, surrogates and what XML forbids; after the last character there is none."""
    assert KeySpace("").beyond(key) == beyond


def test_shared_beginnings() -> None:
    """The number of characters that two texts begin with in common."""
    assert [shared("", "a"), shared("ab", "ab"), shared("abc", "abd"), shared("äb", "äc")] == [0, 2, 2, 1]
