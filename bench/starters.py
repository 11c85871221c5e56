"""Who is started for one small thing, and how: an object of 1 KiB, ten keys, one HEAD, or nothing at all."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import (
    BULKHAUL,
    RCLONE_REMOTE,
    Absent,
    Contestant,
    Program,
    contestant,
    find_bulkhaul,
    find_client,
    find_rclone,
    find_s5cmd,
    search_path,
)

ENGINE = "engine"
"""Name of the contestant that is a Python program with an engine of ours and no work for it."""

Arguments = Callable[["Start"], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Start:
    """What a program is started for.

    Attributes:
        case: one of ``CASES``.
        key: of the object that is there, of 1 KiB.
        prefix: above ten keys; ends with a slash.
        source: a file of 1 KiB.
        missing: a path where nothing is.
        destination: where a file is to appear.
    """

    case: str
    endpoint: str
    bucket: str
    key: str
    prefix: str
    source: str
    missing: str
    destination: str

    @property
    def url(self) -> str:
        """The object that is there."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def new_url(self) -> str:
        """An object that is to appear."""
        return f"s3://{self.bucket}/{self.key}-new"


EXAMPLE = Start("CASE", "ENDPOINT", "BUCKET", "KEY", "PREFIX/", "SOURCE", "MISSING", "DEST")

BULKHAUL_CASES: dict[str, Arguments] = {
    "down": lambda it: ("cp", "--quiet", "--endpoint-url", it.endpoint, it.url, it.destination),
    "up": lambda it: ("cp", "--quiet", "--endpoint-url", it.endpoint, it.source, it.new_url),
    "ls": lambda it: ("ls", "--endpoint-url", it.endpoint, f"s3://{it.bucket}/{it.prefix}"),
    "head": lambda it: ("head", "--endpoint-url", it.endpoint, it.url),
    "presign": lambda it: ("presign", "--endpoint-url", it.endpoint, it.url),
    "dry run": lambda it: ("cp", "--dry-run", "--endpoint-url", it.endpoint, it.source, it.new_url),
    "missing source": lambda it: ("cp", "--endpoint-url", it.endpoint, it.missing, it.new_url),
    "--version": lambda _: ("--version",),
    "--help": lambda _: ("--help",),
}

S5CMD_CASES: dict[str, Arguments] = {
    "down": lambda it: ("--endpoint-url", it.endpoint, "cp", it.url, it.destination),
    "up": lambda it: ("--endpoint-url", it.endpoint, "cp", it.source, it.new_url),
    "ls": lambda it: ("--endpoint-url", it.endpoint, "ls", f"s3://{it.bucket}/{it.prefix}"),
    "head": lambda it: ("--endpoint-url", it.endpoint, "head", it.url),
    "presign": lambda it: ("--endpoint-url", it.endpoint, "presign", it.url),
    "dry run": lambda it: ("--endpoint-url", it.endpoint, "--dry-run", "cp", it.source, it.new_url),
    "missing source": lambda it: ("--endpoint-url", it.endpoint, "cp", it.missing, it.new_url),
    "--version": lambda _: ("version",),
    "--help": lambda _: ("--help",),
}

RCLONE_CASES: dict[str, Arguments] = {
    "down": lambda it: ("copyto", f"{RCLONE_REMOTE}:{it.bucket}/{it.key}", it.destination),
    "up": lambda it: ("copyto", "--s3-no-check-bucket", it.source, f"{RCLONE_REMOTE}:{it.bucket}/{it.key}-new"),
    "ls": lambda it: ("lsf", f"{RCLONE_REMOTE}:{it.bucket}/{it.prefix}"),
    "--version": lambda _: ("version",),
    "--help": lambda _: ("--help",),
}

CLIENT_CASES: dict[str, tuple[str, Arguments]] = {
    "down": ("download", lambda it: (it.endpoint, it.bucket, it.key, it.destination)),
    "up": ("upload", lambda it: (it.endpoint, it.bucket, f"{it.key}-new", it.source)),
    "ls": ("list", lambda it: ("ls", it.endpoint, it.bucket, it.prefix)),
}
"""By case: which program of ``clients/``, and what it takes."""

CLIENTS = {"down": ("boto3", "awscrt", "obstore"), "up": ("boto3", "awscrt", "obstore"), "ls": ("boto3",)}

CASES = (*BULKHAUL_CASES, ENGINE)
"""In the order of the tables."""

FAILS = frozenset({"missing source"})
"""Cases that must end with a failure."""

ENGINE_PROGRAM = "from bulkhaul import Engine\nwith Engine(): pass"


def find_starters(case: str, peers_bin: Path | None) -> list[Contestant[Start] | Absent]:
    """Return everybody who can do a case, in the order of the tables.

    Args:
        peers_bin: a folder to look into for s5cmd and rclone first.
    """
    if case == ENGINE:
        found = find_bulkhaul()
        if isinstance(found, Absent):
            return [found]
        program = Program((sys.executable, "-c", ENGINE_PROGRAM), found.version)
        return [contestant(BULKHAUL, program, lambda _: (), EXAMPLE)]
    path = search_path(peers_bin)
    everybody = [contestant(BULKHAUL, find_bulkhaul(), BULKHAUL_CASES[case], EXAMPLE)]
    if case in S5CMD_CASES:
        everybody.append(contestant("s5cmd", find_s5cmd(path), S5CMD_CASES[case], EXAMPLE))
    if case in RCLONE_CASES:
        everybody.append(contestant("rclone", find_rclone(path), RCLONE_CASES[case], EXAMPLE))
    for package in CLIENTS.get(case, ()):
        verb, arguments = CLIENT_CASES[case]
        everybody.append(contestant(package, find_client(package, verb), arguments, EXAMPLE))
    return everybody
