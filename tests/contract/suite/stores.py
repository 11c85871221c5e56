"""The stores that the contract is run on, with what each is known not to keep.

Job: one list. Must not know any row, nor how a store is made.
"""

from __future__ import annotations

import functools

from bulkhaul.model.limits import KIB, MIB
from tests.servers import ministack, moto, weed

from .known_gaps import LOCAL, MEMORY, MINISTACK, MOTO, WEED
from .serving import Sizes, on_server
from .subjects import StoreUnderTest, local_running, memory_running

SMALL_BYTES = 64 * KIB
"""The smallest part that settings take, for servers that take any."""

STORES = (
    StoreUnderTest("memory", memory_running, MEMORY),
    StoreUnderTest("local", local_running, LOCAL),
    StoreUnderTest("weed", on_server(weed, Sizes(5 * MIB, full_parts=2)), WEED),
    StoreUnderTest("ministack", on_server(ministack, Sizes(SMALL_BYTES)), MINISTACK),
    StoreUnderTest(
        "moto",
        on_server(
            functools.partial(moto, page_keys=40, min_part_size_bytes=SMALL_BYTES), Sizes(SMALL_BYTES, many_keys=100)
        ),
        MOTO,
    ),
)
