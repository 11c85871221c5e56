"""Makes event loops (uvloop), where there are descriptors for one: without them uvloop would abort the process."""

from __future__ import annotations

import asyncio
import os

import uvloop

NEEDED_DESCRIPTORS = 10
"""What a loop opens. Source: measured, 9 with uvloop 0.22 for the first loop of a process; with 1 to 3 it aborts."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop.

    Raises:
        OSError: this process may open too few files.
    """
    opened: list[int] = []
    try:
        while len(opened) < NEEDED_DESCRIPTORS:
            opened += os.pipe()
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return uvloop.new_event_loop()
