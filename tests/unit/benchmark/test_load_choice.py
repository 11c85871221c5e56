"""What a load asks for has the weights of its mix, and never an object that is gone, or that somebody deletes."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.engine.messages.load_run import PUT_PLACE, LoadRun
from bulkhaul.engine.worker.load_choice import DELETE, GET, LIST, PUT, STAT, Choice, Chosen
from bulkhaul.model.workloads import FixedSize, ObjectTable
from bulkhaul.policy.benchmark_keys import own_name
from bulkhaul.wire.values import Target

LOAD = LoadRun(
    target=Target("http", "127.0.0.1", 9, "/b/", "", fast=True),
    bucket="b",
    prefix="p/",
    table=ObjectTable(100, FixedSize(1000)),
    work="mix",
    worker=1,
    workers=3,
    weights=(50, 20, 10, 10, 10),
    lanes=4,
    rate=0,
    begins_ns=0,
    duration_ns=1,
)


def with_weights(*weights: float, **fields: object) -> Choice:
    """Return a choice by other weights."""
    return Choice(msgspec.structs.replace(LOAD, weights=weights, **fields))


def test_weights() -> None:
    """Each operation comes as often as its weight says."""
    choice = with_weights(50, 20, 10, 10, 10)
    found: Counter[int] = Counter()
    for _ in range(10_000):
        chosen = choice.next()
        found[chosen.operation] += 1
        choice.ended(chosen, done=True)
    assert [found[one] / 10_000 for one in (GET, PUT, LIST, STAT, DELETE)] == pytest.approx(
        [0.5, 0.2, 0.1, 0.1, 0.1], abs=0.02
    )


def test_objects_of_others_are_left_alone() -> None:
    """A worker asks for its own objects only: every third from the second on."""
    choice = with_weights(1, 0, 0, 0, 0)
    assert {choice.next().place for _ in range(3000)} == set(range(1, 100, 3))


def test_in_order() -> None:
    """Sequential reading goes from the first object to the last, and begins again."""
    choice = with_weights(1, 0, 0, 0, 0, order="sequential")
    mine = list(range(1, 100, 3))
    assert [choice.next().place for _ in range(2 * len(mine))] == mine * 2


@given(st.lists(st.booleans(), min_size=300, max_size=600), st.integers(0, 1 << 30))
def test_nothing_that_is_gone_is_asked_for(ends: list[bool], seed: int) -> None:
    """With requests under way side by side: what is read is there, and nobody is deleting it."""
    choice = with_weights(4, 2, 1, 2, 4, seed=seed)
    there = set(range(1, 100, 3))
    under_way: list[Chosen] = []
    for end in ends:
        if end and under_way:
            chosen = under_way.pop(0)
            if chosen.operation == PUT:
                there.add(chosen.place)
            choice.ended(chosen, done=True)
            continue
        chosen = choice.next()
        if chosen.operation == LIST:
            continue
        busy = Counter(one.place for one in under_way)
        assert own_name(chosen.key.removeprefix("p/"))
        if chosen.operation == DELETE:
            assert chosen.place in there
            assert not busy[chosen.place], "somebody reads it"
            there.remove(chosen.place)
        elif chosen.operation == PUT:
            assert chosen.place >= PUT_PLACE
            assert chosen.place not in there
        else:
            assert chosen.place in there
        under_way.append(chosen)


def test_what_was_deleted_is_told() -> None:
    """The prepared objects that are gone are told, so that the next run can have them again; others are not."""
    choice = with_weights(0, 1, 0, 0, 3)
    deleted = set()
    for _ in range(500):
        chosen = choice.next()
        if chosen.operation == DELETE:
            deleted.add(chosen.place)
        choice.ended(chosen, done=True)
    assert set(choice.gone) == {place for place in deleted if place < PUT_PLACE} == set(range(1, 100, 3))
    assert len(choice.gone) == 33


def test_a_put_that_failed_is_not_read() -> None:
    """Whether it is there nobody knows."""
    choice = with_weights(1, 1, 0, 0, 1e-9)
    failed = set()
    for _ in range(500):
        chosen = choice.next()
        assert chosen.operation == PUT or chosen.place not in failed
        if chosen.operation == PUT:
            failed.add(chosen.place)
        choice.ended(chosen, done=chosen.operation != PUT)
    assert failed
