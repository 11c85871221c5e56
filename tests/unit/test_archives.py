"""What archived objects need: states, steps, order and pauses, at every moment of a restore."""

from __future__ import annotations

import itertools

import pytest

from bulkhaul.model.objects import ObjectHead
from bulkhaul.policy.archives import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    SAFETY_S,
    Archival,
    Next,
    State,
    archival,
    in_moving_order,
    next_of,
    pause_s,
)

UNTIL = "2012-12-21T00:00:00+00:00"
UNTIL_S = 1356048000.0
"""The example of the S3 API Reference, and ``date -ud 2012-12-21 +%s``."""


@pytest.mark.parametrize(
    ("head", "now_s", "state"),
    [
        (ObjectHead("k", 1), 0, State.READABLE),
        (ObjectHead("k", 1, storage_class="STANDARD_IA"), 0, State.READABLE),
        (ObjectHead("k", 1, storage_class="GLACIER_IR"), 0, State.READABLE),
        (ObjectHead("k", 1, storage_class="INTELLIGENT_TIERING"), 0, State.READABLE),
        (ObjectHead("k", 1, storage_class="GLACIER"), 0, State.ARCHIVED),
        (ObjectHead("k", 1, storage_class="DEEP_ARCHIVE"), 0, State.ARCHIVED),
        (ObjectHead("k", 1, storage_class="INTELLIGENT_TIERING", archive="ARCHIVE_ACCESS"), 0, State.ARCHIVED),
        (ObjectHead("k", 1, storage_class="GLACIER", restore="ongoing"), 0, State.RESTORING),
        (ObjectHead("k", 1, storage_class="INTELLIGENT_TIERING", restore="ongoing"), 0, State.RESTORING),
        (ObjectHead("k", 1, storage_class="GLACIER", restore=UNTIL), UNTIL_S - 1, State.RESTORED),
        (ObjectHead("k", 1, storage_class="DEEP_ARCHIVE", restore=UNTIL), UNTIL_S, State.ARCHIVED),
        (ObjectHead("k", 1, storage_class="GLACIER", restore="2012-12-21T00:00:00"), UNTIL_S - 1, State.RESTORED),
        (ObjectHead("k", 1, storage_class="STANDARD_IA", restore=UNTIL), UNTIL_S + 1, State.READABLE),
    ],
)
def test_the_state_of_an_object(head: ObjectHead, now_s: float, state: State) -> None:
    """By its class, what is told of its restore, and the time."""
    found = archival(head, now_s=now_s)
    assert found == Archival(state, UNTIL_S if state is State.RESTORED else 0.0)


def test_what_an_object_needs() -> None:
    """Asked for once archived, waited for, moved once it is there, and kept longer before it goes."""
    assert next_of(Archival(State.READABLE), now_s=0) is Next.MOVE
    assert next_of(Archival(State.ARCHIVED), now_s=0) is Next.REQUEST
    assert next_of(Archival(State.RESTORING), now_s=0) is Next.WAIT
    restored = Archival(State.RESTORED, UNTIL_S)
    assert next_of(restored, now_s=UNTIL_S - SAFETY_S) is Next.MOVE
    assert next_of(restored, now_s=UNTIL_S - SAFETY_S + 1) is Next.EXTEND
    assert next_of(restored, now_s=UNTIL_S - 10, safety_s=5) is Next.MOVE


def test_the_copy_that_goes_first_is_moved_first() -> None:
    """What needs no copy waits; what is alike keeps its order."""
    found = [(Archival(State.READABLE), 0), (Archival(State.RESTORED, 9.0), 1), (Archival(State.RESTORED, 5.0), 2),
             (Archival(State.READABLE), 3), (Archival(State.RESTORED, 9.0), 4)]  # fmt: skip
    assert in_moving_order(found) == [2, 1, 4, 0, 3]


def test_pauses_grow_up_to_a_bound() -> None:
    """Never shorter than the one before, and a job that waits for days still asks."""
    pauses = [pause_s(asked) for asked in range(2000)]
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses[-1] == LONGEST_PAUSE_S
    assert all(earlier <= later for earlier, later in itertools.pairwise(pauses))
    assert len(set(pauses[:6])) == 6
