"""Rows are grouped by cause and common prefix: exact counts, bounded memory, the same in any order."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.policy.row_groups import MAX_CAUSES, MAX_EXAMPLES, MAX_FOLDERS, CauseGroup, Example, RowGroups, total

Fed = tuple[tuple[str, ...], str]


def grouped(rows: list[tuple[int, Fed]]) -> tuple[CauseGroup, ...]:
    """Return the groups of numbered rows."""
    groups = RowGroups()
    for n, (cause, name) in rows:
        groups.add(cause, name, Example((n,), name))
    return groups.groups()


def numbered(rows: list[Fed]) -> list[tuple[int, Fed]]:
    """Return rows with their numbers, which go with them in any order."""
    return list(enumerate(rows))


def test_one_folder_is_one_group_with_its_longest_common_prefix() -> None:
    """A group tells how all its names begin, beyond the folder."""
    (group,) = grouped(numbered([(("AccessDenied",), f"s3://b/logs/2024-{month:02}.gz") for month in (10, 11, 12)]))
    (prefix,) = group.prefixes
    assert (prefix.prefix, prefix.count) == ("s3://b/logs/2024-1", 3)


def test_folders_are_told_apart_while_they_are_few() -> None:
    """The deepest level at which at most MAX_FOLDERS folders differ is told; with one more, it is the level above."""
    few: list[Fed] = [(("E",), f"s3://b/year/{at:03}/{key}") for at in range(MAX_FOLDERS) for key in "xy"]
    (group,) = grouped(numbered(few))
    assert [p.count for p in group.prefixes] == [2] * MAX_FOLDERS
    assert group.prefixes[0].prefix == "s3://b/year/000/"
    (group,) = grouped(numbered([*few, (("E",), "s3://b/year/999/x")]))
    assert [(p.prefix, p.count) for p in group.prefixes] == [("s3://b/year/", 2 * MAX_FOLDERS + 1)]


def test_examples_are_those_of_the_lowest_order() -> None:
    """Examples are the first rows of the plan, in whatever order they ended."""
    rows = numbered([(("E",), f"s3://b/k{n}") for n in range(50)])
    random.Random(3).shuffle(rows)
    (group,) = grouped(rows)
    assert [example.order for example in group.prefixes[0].examples] == [(n,) for n in range(MAX_EXAMPLES)]


def test_causes_are_bounded() -> None:
    """A service that makes up a code for every object costs no memory: the class of the error remains."""
    made_up = [(("ServerError", f"Code{n}"), f"s3://b/{n}") for n in range(MAX_CAUSES + 1)]
    groups = grouped(numbered([*made_up, (("NotFound",), "s3://b/gone")]))
    assert [(g.cause, g.count) for g in groups] == [(("ServerError",), MAX_CAUSES + 1), (("NotFound",), 1)]
    classes: list[Fed] = [((f"Class{n}", "x"), "s3://b/k") for n in range(MAX_CAUSES + 1)]
    assert [(g.cause, g.count) for g in grouped(numbered(classes))] == [((), MAX_CAUSES + 1)]


causes = st.sampled_from([("a",), ("b", "x"), ("b", "y"), ("c", "z")])
names = st.lists(st.sampled_from(["", "p", "q", "rr", "r"]), min_size=1, max_size=5).map("/".join)


@given(st.lists(st.tuples(causes, names), max_size=60), st.randoms(use_true_random=False), st.booleans())
def test_groups_do_not_depend_on_order(rows: list[Fed], chance: random.Random, many: bool) -> None:
    """The same rows give the same groups, whose counts add up, whose names begin so, and which are bounded."""
    if many:
        # One cause with many folders, and so many with few that all of them become one.
        rows = [*rows, *((("d", "0"), f"deep/{n}/k") for n in range(MAX_FOLDERS + 1))]
        rows += [(("d", f"{n}"), f"deep/{n % 3}/k") for n in range(1, MAX_CAUSES + 1)]
    told = grouped(numbered(rows))
    shuffled = numbered(rows)
    chance.shuffle(shuffled)
    assert grouped(shuffled) == told
    assert total(told) == len(rows)
    assert len(told) <= MAX_CAUSES
    by_class = Counter(cause[0] for cause, _ in rows)
    for group in told:
        assert len(group.prefixes) <= MAX_FOLDERS
        assert group.count == sum(prefix.count for prefix in group.prefixes)
        for prefix in group.prefixes:
            assert len(prefix.examples) == min(prefix.count, MAX_EXAMPLES)
            assert all(example.name.startswith(prefix.prefix) for example in prefix.examples)
    if all(group.cause for group in told):
        counted: Counter[str] = Counter()
        for group in told:
            counted[group.cause[0]] += group.count
        assert counted == by_class
