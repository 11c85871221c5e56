"""Names that were taken: they are found again in whatever order they come, and cost nothing while they ascend."""

from __future__ import annotations

import random

import pytest

from bulkhaul.disk.seen_names import SPOOLED_IN_MEMORY, SeenNames


@pytest.mark.parametrize("order", ["ascending", "mixed", "late"])
def test_names_are_found_again(order: str) -> None:
    """Who has taken a name is told, whether its order was broken early or late, or never."""
    count = 5 * SPOOLED_IN_MEMORY // 2
    names = [f"n{number:06}" for number in range(count)]
    if order == "mixed":
        random.Random(1).shuffle(names)
    elif order == "late":
        names.append("a")
    seen = SeenNames()
    try:
        assert {seen.earlier(name, f"taker of {name}") for name in names} == {""}
        for name in random.Random(2).sample(names, 100):
            assert seen.earlier(name, "another") == f"taker of {name}"
        assert seen.earlier("new", "first") == ""
        assert seen.earlier("new", "second") == "first"
    finally:
        seen.close()


def test_a_name_twice_in_a_row() -> None:
    """Names that ascend never come twice: the same once more breaks the order."""
    seen = SeenNames()
    try:
        assert [seen.earlier(name, str(n)) for n, name in enumerate(["a", "b", "b", "a"])] == ["", "", "1", "0"]
        assert seen._spool is None
    finally:
        seen.close()


def test_names_that_ascend_are_kept_in_a_file() -> None:
    """Memory holds the last of them only, and no database is made."""
    seen = SeenNames()
    try:
        for number in range(10 * SPOOLED_IN_MEMORY):
            seen.earlier(f"{number:09}", "")
        assert len(seen._held) < SPOOLED_IN_MEMORY
        assert seen._database is None
    finally:
        seen.close()
