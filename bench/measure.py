"""Run one command as a whole tree of processes and report what it cost.

The command runs beneath a launcher of its own (this file, as a program), which is the *child subreaper*
of everything below it: a process whose parent died is handed to the launcher, so nobody leaves the tree
and nobody's CPU time is lost.

    caller ──▶ launcher (subreaper) ──▶ command ──▶ its children ──▶ …
                        ▲  orphans ───────────────────┘

Wall time   from just before the command is spawned until it has exited.
CPU time    getrusage(RUSAGE_CHILDREN) after every descendant is reaped: the whole tree, exactly. (Only
            the time of children that a program discards unread, by ignoring SIGCHLD, is unknown to Linux.)
Memory      the highest sum, over samples 50 ms apart, of the tree's private memory:

    sum over processes, sum over mappings in /proc/PID/smaps, of Pss + SwapPss,
    without the mappings of files in the folder of the data

Pss counts a page shared by n processes as 1/n in each, so the sum counts it once. The destination, the
temp file that becomes it, or the source of an upload is page cache that the kernel can drop, and grows with
the object: it is left out by its mapping's path, whatever its name. Memory that is not mapped (socket
buffers, page tables) is not counted. Reading smaps costs the measured program time, so a run is timed *or*
sampled, never both.
"""

import argparse
import ctypes
import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # Source: Linux, include/uapi/linux/prctl.h
SAMPLE_INTERVAL_S = 0.05
STRAGGLER_TIMEOUT_S = 5.0
LAUNCHER_MARGIN_S = 30.0
ERROR_TAIL_BYTES = 2000

SMAPS_LINE = re.compile(
    rb"^(?:[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(?P<path>.*)|(?:Pss|SwapPss): +(?P<kib>\d+) kB)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of one command cost.

    Attributes:
        exit_status: the command's exit status; negative for a signal.
        started_at_s: instant of the spawn, seconds since the epoch.
        wall_s: seconds from the spawn to the command's exit.
        user_s: user CPU seconds of the whole tree.
        system_s: system CPU seconds of the whole tree.
        outlived_s: seconds that the last descendant lived on after the command; 0 when all were gone.
        killed: descendants that had to be killed, after the time limit or STRAGGLER_TIMEOUT_S later.
        peak_private_bytes: highest private memory of the tree, or None in a timed run.
        samples: how many times memory was sampled.
    """

    exit_status: int
    started_at_s: float
    wall_s: float
    user_s: float
    system_s: float
    outlived_s: float
    killed: int
    peak_private_bytes: int | None
    samples: int


class CommandFailedError(RuntimeError):
    """A measured command did not do its work; the message holds the end of what it printed."""


def measure(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    data_folder: Path,
    sample_memory: bool,
    timeout_s: float,
    stdout: Path | None = None,
    fails: bool = False,
) -> Usage:
    """Run ``command`` once, timed or sampled.

    Args:
        command: absolute path of the program, and its arguments.
        environment: its whole environment.
        data_folder: files mapped from here are not counted as memory.
        sample_memory: sample the memory; the times are then disturbed.
        timeout_s: kill the tree after this long.
        stdout: the file that gets what the command prints; None to keep only its end, for errors.
        fails: the command must fail.

    Raises:
        CommandFailedError: it failed and should not, or the other way round, or time ran out.
    """
    launcher = [sys.executable, "-I", __file__, "--timeout", str(timeout_s)]
    if sample_memory:
        launcher += ["--leave-out", str(data_folder)]
    if stdout is not None:
        launcher += ["--stdout", str(stdout)]
    with tempfile.TemporaryFile() as output:
        launched = subprocess.run(
            [*launcher, "--", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            timeout=timeout_s + LAUNCHER_MARGIN_S,
            check=False,
        )
        output.seek(0)
        printed = output.read()[-ERROR_TAIL_BYTES:].decode(errors="replace")
    if launched.returncode:
        raise CommandFailedError(f"the launcher failed:\n{printed}")
    usage = Usage(**json.loads(launched.stdout))
    if bool(usage.exit_status) != fails:
        raise CommandFailedError(f"exit status {usage.exit_status} after {usage.wall_s:.1f} s:\n{printed}")
    return usage


def descendants(root: int) -> list[int]:
    """Return the ids of all living processes below ``root``, nearest first."""
    children: dict[int, list[int]] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                state = (process / "stat").read_text(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue  # gone since the listing
            # "pid (name) state parent …": the name may itself hold blanks and parentheses.
            children.setdefault(int(state.rpartition(")")[2].split()[1]), []).append(int(process.name))
    tree = [root]
    for pid in tree:
        tree.extend(children.get(pid, ()))
    return tree[1:]


def private_bytes(smaps: bytes, *, leave_out: bytes) -> int:
    """Sum Pss and SwapPss over the mappings of one ``/proc/PID/smaps``, in bytes.

    Args:
        smaps: the text of the file.
        leave_out: mappings whose path starts with this are not counted; a folder ends with ``/``.
    """
    total_kib, counted = 0, True
    for line in SMAPS_LINE.finditer(smaps):
        if line["kib"] is None:
            counted = not line["path"].startswith(leave_out)
        elif counted:
            total_kib += int(line["kib"])
    return total_kib << 10


def tree_private_bytes(root: int, *, leave_out: bytes) -> int:
    """Return the private memory of all processes below ``root`` now."""
    total = 0
    for pid in descendants(root):
        try:
            smaps = Path(f"/proc/{pid}/smaps").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it exited since the listing, and holds nothing any more
        total += private_bytes(smaps, leave_out=leave_out)
    return total


def reap_stragglers() -> int:
    """Reap every descendant that is left; kill those that do not end in time and return how many."""
    deadline_s, killed = time.monotonic() + STRAGGLER_TIMEOUT_S, set[int]()
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return len(killed)
        if pid:
            continue
        if time.monotonic() > deadline_s:
            for straggler in set(descendants(os.getpid())) - killed:
                killed.add(straggler)
                os.kill(straggler, signal.SIGKILL)
        time.sleep(0.001)


def launch(command: Sequence[str], *, timeout_s: float, leave_out: str | None, stdout: str | None) -> Usage:
    """Run ``command`` below this process and return what it cost; its output goes to ``stdout``, or to stderr."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    me, killed, peak, samples = os.getpid(), 0, 0, 0
    skipped = (leave_out or "").rstrip("/").encode() + b"/"
    wait_ms = SAMPLE_INTERVAL_S * 1000 if leave_out else timeout_s * 1000
    started_at_s, began_s = time.time(), time.monotonic()
    pid = os.posix_spawn(
        command[0],
        list(command),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            if stdout
            else (os.POSIX_SPAWN_DUP2, 2, 1)
        ],
    )
    ended = select.poll()
    ended.register(os.pidfd_open(pid), select.POLLIN)
    while not ended.poll(wait_ms):
        if time.monotonic() - began_s > timeout_s:
            os.kill(pid, signal.SIGKILL)
            killed = 1
            break
        if leave_out:
            peak, samples = (
                max(peak, tree_private_bytes(me, leave_out=skipped)),
                samples + 1,
            )
    _, status = os.waitpid(pid, 0)
    exited_s = time.monotonic()
    outlived = bool(descendants(me))
    killed += reap_stragglers()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        exit_status=os.waitstatus_to_exitcode(status),
        started_at_s=started_at_s,
        wall_s=exited_s - began_s,
        user_s=used.ru_utime,
        system_s=used.ru_stime,
        outlived_s=time.monotonic() - exited_s if outlived else 0.0,
        killed=killed,
        peak_private_bytes=peak if leave_out else None,
        samples=samples,
    )


def main() -> None:
    """Be the launcher: run the command after ``--`` and print its Usage as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds (default: 600)")
    parser.add_argument(
        "--leave-out",
        metavar="FOLDER",
        help="sample memory, without files mapped from here",
    )
    parser.add_argument("--stdout", metavar="FILE", help="where the command's stdout goes (default: to stderr)")
    parser.add_argument("command", nargs="+", help="absolute path and arguments, after --")
    arguments = parser.parse_args()
    usage = launch(
        arguments.command, timeout_s=arguments.timeout, leave_out=arguments.leave_out, stdout=arguments.stdout
    )
    print(json.dumps(asdict(usage)))


if __name__ == "__main__":
    main()
