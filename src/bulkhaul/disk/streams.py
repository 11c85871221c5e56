"""Finds out whether a path stands for an open stream, such as /dev/stdout, rather than for a file.

/dev/stdout ─▶ /proc/self/fd/1 ─▶ the open file or pipe: a rename or an unlink would replace the link in /dev
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
