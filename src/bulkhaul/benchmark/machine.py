"""Tells what a reader of a result must know of the machine, and how busy all of it is; no name and no path of it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from bulkhaul import __version__
from bulkhaul.model.cores import usable_cores


def machine() -> dict[str, str]:
    """Return cores, memory, kernel and versions."""
    memory_kib = proc_field("/proc/meminfo", "MemTotal").split()[0]
    return {
        "cores": str(usable_cores()),
        "cpu": proc_field("/proc/cpuinfo", "model name"),
        "memory": f"{int(memory_kib) / (1 << 20):.1f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "bulkhaul": __version__,
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def kind_of(path: str) -> str:
    """Return what is at a path, for a result, which is to hold no path; empty for none.

    >>> [kind_of(path) for path in ("/", "/dev/null", "")]
    ['a folder', '/dev/null', '']
    """
    if os.path.isdir(path):
        return "a folder"
    if os.path.realpath(path) == os.devnull:
        return os.devnull
    return ("a pipe" if Path(path).is_fifo() else "a device") if path else ""


def busy_cpu_s() -> float:
    """Return the CPU seconds that all processes of this machine took since its start, 0 if nobody knows.

    Source: proc(5), /proc/stat: user nice system idle iowait irq softirq steal, in ticks.
    """
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
        user, nice, system, _, _, irq, softirq, steal = (int(one) for one in first)
    except (OSError, ValueError, IndexError):
        return 0.0
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def proc_field(path: str, name: str) -> str:
    """Return the first value of ``name: value`` in a file of /proc, or ``unknown``."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "0 kB" if name.startswith("Mem") else "unknown"
    for line in lines:
        field, _, value = line.partition(":")
        if field.strip() == name:
            return value.strip()
    return "0 kB" if name.startswith("Mem") else "unknown"
