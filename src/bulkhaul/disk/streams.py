"""Tells paths that stand for open streams from names of files; it must not open them.

/dev/stdout ─▶ /proc/self/fd/1 ─▶ whatever is open there: a rename or an unlink would hit the first link
"""

from __future__ import annotations

import os

MAX_HOPS = 40
"""Links that the kernel follows one after the other. Source: path_resolution(7)."""


def stands_for_stream(path: str) -> bool:
    """Whether a path is a link that leads through /proc: /dev/stdin, /dev/stdout, /dev/fd/3, a process substitution."""
    for _ in range(MAX_HOPS):
        folder = os.path.dirname(path)
        try:
            target = os.readlink(path)
            if os.stat(folder or ".").st_dev == os.stat("/proc").st_dev:
                return True
        except OSError:
            return False  # no link, which is the common case, or nothing at all
        path = os.path.join(folder, target)
    return False
