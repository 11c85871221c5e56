"""Finds out whether a file is a mount point, onto which no rename succeeds, before a byte is fetched."""

from __future__ import annotations

import os
import re

_TABLE = "/proc/self/mountinfo"
"""Fields are parted by spaces; the fifth is the place, in which octal stands for white space. Source: proc(5)."""

_ESCAPED = re.compile(rb"\\([0-7]{3})")


def is_mounted(path: str) -> bool:
    """Whether something is mounted right at a path; its folder is followed, the name itself is not."""
    folder, name = os.path.split(path)
    place = os.fsencode(os.path.join(os.path.realpath(folder), name))
    try:
        with open(_TABLE, "rb") as table:
            fields = [line.split(b" ", 5)[4] for line in table]
    except (OSError, IndexError):
        return False  # then the rename at the end fails
    return place in (_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), field) for field in fields)
