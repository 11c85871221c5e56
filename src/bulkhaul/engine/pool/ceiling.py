"""Tells how many requests may be in flight at most, from the settings and the limits of this process."""

from __future__ import annotations

import logging
import resource

from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.settings import Settings
from bulkhaul.policy.window import FIRST_SIZE, Window, ceiling_of

_log = logging.getLogger("bulkhaul")

POOL_BYTES = 64 * MIB
"""Memory of all connections together, in all workers."""

TLS_BYTES = 384 * KIB
"""What a connection takes for TLS at most: 256 KiB that uvloop reads into (SSL_READ_MAX_SIZE), and OpenSSL's own.
Source: 256 connections that fetch 300 × 2 MiB took 96 MiB."""

PLAIN_BYTES = 64 * KIB
"""What a connection takes without: the loop's own records, and a piece of a body that is being sent."""


SPARE_DESCRIPTORS = 128
"""Files that are open beside those of requests in flight."""


def descriptors() -> int:
    """Return how many files a process may open: this one, and each worker, which inherits the limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def ceiling_for(settings: Settings) -> int:
    """Return the most requests that an engine may ever have in flight."""
    plain = (settings.endpoint_url or "").startswith("http:")
    return ceiling_of(
        settings.max_in_flight,
        descriptors=descriptors(),
        spare_descriptors=SPARE_DESCRIPTORS,
        pool_bytes=POOL_BYTES,
        # A number that was asked for is not cut for the sake of memory.
        buffer_bytes=0 if settings.concurrency else PLAIN_BYTES if plain else TLS_BYTES,
    )


def window_for(settings: Settings, now_s: float) -> Window:
    """Return the window of an engine: a number that was asked for is tried from the start."""
    ceiling = ceiling_for(settings)
    if ceiling < settings.max_in_flight and settings.concurrency is not None:
        _log.warning(
            "%d requests in flight instead of %d: the limit of open files allows no more (ulimit -n is %d)",
            ceiling,
            settings.concurrency,
            descriptors(),
        )
    elif ceiling == (descriptors() - SPARE_DESCRIPTORS) // 2:
        _log.info(
            "at most %d requests in flight, for the limit of open files (ulimit -n is %d)", ceiling, descriptors()
        )
    return Window(ceiling, first=settings.concurrency or FIRST_SIZE, now_s=now_s)
