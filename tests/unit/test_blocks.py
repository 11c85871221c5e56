"""How much memory the blocks of streams and relays may hold, and how many of them there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model.limits import GIB, MIB
from bulkhaul.policy.blocks import READ_BLOCK_BYTES, SENT_BLOCK_BYTES, blocks_at_once, memory_for


@given(block=st.integers(1, 5 * GIB), in_flight=st.integers(1, 4096))
def test_blocks_are_as_many_as_memory_and_the_window_allow(block: int, in_flight: int) -> None:
    """64 MiB for blocks of up to 16 MiB, four longer ones up to 256 MiB, two of any length; two more than may move."""
    count = blocks_at_once(block, in_flight)
    assert 2 <= count <= max(2, in_flight + 2)
    assert count == 2 or count * block <= (64 * MIB if block <= 16 * MIB else 256 * MIB)
    assert memory_for(block) >= min(4 * block, 256 * MIB)


@pytest.mark.parametrize(("block", "least"), [(READ_BLOCK_BYTES, 16), (SENT_BLOCK_BYTES, 8), (60 * MIB, 4)])
def test_streams_keep_as_many_in_flight_as_a_distance_needs(block: int, least: int) -> None:
    """More than loopback needs, within the memory."""
    assert blocks_at_once(block, 512) >= least
