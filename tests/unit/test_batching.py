"""How a page is cut into batches, and when batches are given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.policy.batching import (
    FLUSHED_ROWS,
    GIVE_UP_AFTER,
    LEAST_ROWS,
    MAX_BYTES,
    MAX_ROWS,
    BatchLimits,
    cut,
    rows_of_batch,
)


@given(sizes=st.lists(st.integers(1, MAX_BYTES)), rows=st.integers(1, MAX_ROWS))
def test_pieces_hold_everything_in_order_and_within_bounds(sizes: list[int], rows: int) -> None:
    """No object is lost or moved; no piece is empty, too long or too large."""
    pieces = list(cut(list(enumerate(sizes)), rows))
    assert [place for piece in pieces for place in piece] == list(range(len(sizes)))
    for piece in pieces:
        assert 0 < len(piece) <= rows
        assert sum(sizes[place] for place in piece) <= MAX_BYTES


@given(objects=st.integers(0, 5000), workers=st.integers(1, 256))
def test_rows_of_a_batch(objects: int, workers: int) -> None:
    """A batch has 8 to 64 rows; a page that fits gives each worker two."""
    rows = rows_of_batch(objects, workers)
    assert LEAST_ROWS <= rows <= MAX_ROWS
    if 2 * workers * LEAST_ROWS <= objects <= 2 * workers * MAX_ROWS:
        assert -(-objects // rows) <= 2 * workers
    assert LEAST_ROWS <= rows_of_batch(objects, workers, flushed=True) <= min(rows, FLUSHED_ROWS)


def test_batches_are_given_up_where_most_objects_go_alone() -> None:
    """Half of all alone is borne, more is not; a few objects say nothing yet."""
    limits = BatchLimits()
    limits.ended(GIVE_UP_AFTER - 1, GIVE_UP_AFTER - 1)
    assert limits.of_use
    limits.ended(1, 0)
    assert not limits.of_use
    limits.ended(GIVE_UP_AFTER, 0)
    assert limits.of_use
