"""Tells how many cores this process may use: those that it may run on, and the share of time that its groups have.

A container usually sees all cores of its host, and may use as much as two of them. So the kernel is asked for both.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Where control groups are mounted. Source: systemd's and every container runtime's convention."""

OWN_GROUPS = Path("/proc/self/cgroup")


@functools.cache
def usable_cores() -> int:
    """Return how many cores may be used, at least 1; a share of a core counts as one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(CGROUPS, OWN_GROUPS)
    return max(1, cores if quota is None else min(cores, quota))


def cpu_quota(mount: Path, groups: Path) -> int | None:
    """Return how many cores the groups of this process may use together, rounded up; None where nothing bounds it.

    Args:
        mount: of the control groups.
        groups: the file that names those of the process. Source: cgroups(7), /proc/pid/cgroup.
    """
    quotas = [quota for folder in _folders(mount, groups) if (quota := _quota_of(folder)) is not None]
    return min(quotas, default=None)


def _folders(mount: Path, groups: Path) -> Iterator[Path]:
    """Yield the folders of the process's groups and of those around them, as far as they are visible."""
    for line in _text(groups).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue  # version 1 has a tree for each controller, version 2 one tree and no names
        root = mount / "cpu" if controllers else mount
        group = root / path.lstrip("/")
        yield group
        yield from (outer for outer in group.parents if outer.is_relative_to(root))


def _quota_of(folder: Path) -> int | None:
    """Return the cores that one group may use, rounded up; None for all."""
    quota, _, period = _text(folder / "cpu.max").partition(" ")  # version 2: "200000 100000", or "max 100000"
    if not quota:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")  # -1 for all
    try:
        allowed_us, period_us = int(quota), int(period)
    except ValueError:
        return None
    return -(-allowed_us // period_us) if allowed_us > 0 and period_us > 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # no such group here, or no control groups at all
        return ""
