"""Names a process so that no other one has its name, and says whether a process of such a name has ended here.

    4711 8812345 0f2c… pid:[4026531836]      pid, its start, boot of the machine, namespace of the pid

What bears another boot or namespace runs elsewhere, or ran before: nobody here knows whether it has ended.
"""

from __future__ import annotations

import os
import re

from bulkhaul.disk.boot import boot_id

_PID = re.compile("[1-9][0-9]{0,9}", re.ASCII)


def process_of(pid: int) -> str:
    """Return the name of a process, empty if there is none of this id, or the system tells too little.

    Source: proc(5), /proc/PID/stat: the 22nd field is when it began, in ticks since the start of the machine;
    pid_namespaces(7).
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            start = file.read().rpartition(")")[2].split()[19]
        boot, namespace = _here()
    except (OSError, IndexError):
        return ""
    return f"{pid} {start} {boot} {namespace}" if boot else ""


def runs_here(process: str) -> bool:
    """Whether a process of this name is alive here."""
    pid, _, _ = process.partition(" ")
    return bool(_PID.fullmatch(pid)) and process == process_of(int(pid))


def ended_here(process: str) -> bool:
    """Whether a process of this name was here, and is no more."""
    pid, *rest = process.split(" ")
    try:
        here = len(rest) == 3 and (rest[1], rest[2]) == _here()  # behind its start
    except OSError:
        return False
    return here and bool(_PID.fullmatch(pid)) and not runs_here(process)


def _here() -> tuple[str, str]:
    """Return the boot, empty if the system does not tell, and the namespace of this process.

    Raises:
        OSError: it does not tell the namespace.
    """
    return boot_id(), os.readlink("/proc/self/ns/pid")


__all__ = ["ended_here", "process_of", "runs_here"]
