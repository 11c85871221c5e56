"""Runs a server for another process, and removes it and its files when that process ends, however it ends.

    python guard.py OWNER FOLDER SOCKETS PROGRAM [ARGUMENT …]

It is a process of its own, of the standard library alone, because only another process can clean up after one that was
killed. OWNER is the process id of who started it, and holds the other end of its stdin. FOLDER is removed at the end,
with every file that one of the patterns of SOCKETS (separated by colons) matches. It prints the server's process id.
"""

from __future__ import annotations

import ctypes
import glob
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ENDED = "ended"
"""A file in the folder with the status of a server that has ended by itself."""

_LOOK_S = 1.0
"""How often it looks for what stdin does not tell: the server's end, and the owner's while a child of it lives on."""

_PR_SET_PDEATHSIG = 1
"""Source: Linux, include/uapi/linux/prctl.h."""


def main(owner: int, folder: str, sockets: str, command: list[str]) -> None:
    """Run the server until the owner has ended or closed its end of stdin."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # what is sent to all processes at once
        signal.signal(number, lambda *_: None)  # a handler, which the server does not inherit
    prctl = ctypes.CDLL(None).prctl
    server = subprocess.Popen(  # noqa: S603 - what the owner asked for
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # it ends with this process, too
    )
    print(server.pid, flush=True)
    told = False
    while os.getppid() == owner and not select.select([0], [], [], _LOOK_S)[0]:
        if server.poll() is not None and not told:
            told = True
            Path(folder, ENDED).write_text(str(server.returncode))
    server.kill()
    server.wait()
    for pattern in sockets.split(":"):
        for path in glob.glob(pattern):
            Path(path).unlink(missing_ok=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
