"""Tells how many requests may be in flight at most, from the settings and the limits of this process."""

from __future__ import annotations

import functools
import logging

from bulkhaul.model.cores import usable_cores
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.open_files import descriptors
from bulkhaul.model.settings import Settings
from bulkhaul.policy.window import FIRST_SIZE, Window, ceiling_of

_log = logging.getLogger("bulkhaul")

POOL_BYTES = 64 * MIB
"""Memory of all connections together, in all workers: with the processes, less than 150 MiB."""

TLS_BYTES = 640 * KIB
"""What a connection takes for TLS at most: 256 KiB that uvloop reads into (SSL_READ_MAX_SIZE), and more that OpenSSL
holds of it. Source: all processes took 147 MiB with 128 connections full of data, and 175 MiB with 170."""

PLAIN_BYTES = 64 * KIB
"""What a connection takes without: the loop's own records, and a piece of a body that is being sent."""

USUAL_DESCRIPTORS = 1024
"""The limit of open files that systems give by default. Source: Linux, INR_OPEN_CUR."""

RATED_S = 2.0
"""Parts in flight hold so many seconds of a bandwidth limit, and two parts at least: what is killed loses them. All
parts of an object at once would come together at its end, and none of them be kept before."""

SPARE_DESCRIPTORS = 128
"""Files that are open beside those of requests in flight, as far as half of all go: few requests need fewer."""


def ceiling_for(settings: Settings, files: int | None = None) -> int:
    """Return the most requests that an engine may ever have in flight.

    Args:
        files: that a process may open; None for the limit of this one.
    """
    ceiling = _ceiling_for(settings, descriptors() if files is None else files)
    return min(ceiling, _sdk_ceiling(settings)) if settings.transport == "sdk" else ceiling


def window_for(settings: Settings, now_s: float) -> Window:
    """Return the window of an engine: a number that was asked for is tried from the start."""
    first = settings.concurrency or FIRST_SIZE
    rate = settings.bandwidth_bytes_per_s
    most_bytes = None if rate is None else round(rate * RATED_S)
    return Window(ceiling_for(settings), first=first, cores=usable_cores(), now_s=now_s, most_bytes=most_bytes)


def bound_by_sdk(window: Window, settings: Settings, now_s: float) -> None:
    """Let a window grow no further than the threads of the SDK go, for good: requests of an engine need them."""
    window.bound(_sdk_ceiling(settings), now_s)


def tell_limit(settings: Settings) -> None:
    """Tell, once in a process, that the limit of open files keeps the number in flight low, if it does.

    A warning where fewer are allowed than were asked for, or the limit is lower than systems have it.
    """
    files = descriptors()
    allowed, wanted = ceiling_for(settings, files), ceiling_for(settings, 1 << 20)
    if allowed < wanted:
        low = settings.concurrency is not None or files < USUAL_DESCRIPTORS
        _tell(logging.WARNING if low else logging.INFO, allowed, wanted, files)


@functools.cache
def _tell(level: int, allowed: int, wanted: int, files: int) -> None:
    text = "at most %d requests in flight instead of %d: the limit of open files is %d; raise it (ulimit -n)"
    _log.log(level, text, allowed, wanted, files)


def _ceiling_for(settings: Settings, files: int) -> int:
    plain = (settings.endpoint_url or "").startswith("http:")
    return ceiling_of(
        settings.max_in_flight,
        descriptors=files,
        spare_descriptors=min(SPARE_DESCRIPTORS, files // 2),
        pool_bytes=POOL_BYTES,
        # A number that was asked for is not cut for the sake of memory.
        buffer_bytes=0 if settings.concurrency else PLAIN_BYTES if plain else TLS_BYTES,
    )


def _sdk_ceiling(settings: Settings) -> int:
    return settings.concurrency or settings.worker_count * settings.sdk_connections
