"""Tells how many files this process may open; whoever bounds connections, objects or twins asks here."""

from __future__ import annotations

import resource


def descriptors() -> int:
    """Return how many files a process may open: this one, and each worker, which inherits the limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft
