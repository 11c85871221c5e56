"""Tells which boot of the machine this is: what was true of its processes and inodes holds until the next one."""

from __future__ import annotations

import contextlib
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Source: random(4)."""


def boot_id() -> str:
    """Return which boot of the machine this is, empty where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return BOOT_ID.read_text().strip()
    return ""
