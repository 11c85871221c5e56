"""Who downloads, and how each is run as a whole program that fetches one object to a file.

Everybody signs, because that is what users pay; the server does not look at it.
"""

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

FLOOR = Path(__file__).with_name("floor.py")
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


EXAMPLE = Download("ENDPOINT", "BUCKET", "KEY", "DEST")


def find_contestants(peers_bin: Path | None) -> list[Contestant[Download] | Absent]:
    """Return everybody, in the order of the tables.

    Args:
        peers_bin: a folder to look into for s5cmd and rclone first.
    """
    path = search_path(peers_bin)
    return [
        *(contestant(f"floor-{way}", *floor(way), EXAMPLE) for way in FLOOR_WAYS),
        contestant(BULKHAUL, find_bulkhaul(), bulkhaul_arguments, EXAMPLE),
        contestant("s5cmd", find_s5cmd(path), s5cmd_arguments, EXAMPLE),
        contestant("rclone", find_rclone(path), rclone_arguments, EXAMPLE),
        *(
            contestant(package, find_client(package, "download"), client_arguments, EXAMPLE)
            for package in ("obstore", "awscrt", "boto3")
        ),
    ]


def floor(way: str) -> tuple[Program, Callable[[Download], Sequence[str]]]:
    """The limit: raw sockets, one of the ways of floor.py."""

    def arguments(download: Download) -> Sequence[str]:
        url = f"{download.endpoint}/{download.bucket}/{download.key}"
        return url, download.destination, "--way", way

    return Program((sys.executable, str(FLOOR)), ""), arguments


def bulkhaul_arguments(download: Download) -> Sequence[str]:
    """The project, with its defaults."""
    return "cp", "--no-progress", "--endpoint-url", download.endpoint, download.s3_url, download.destination


def s5cmd_arguments(download: Download) -> Sequence[str]:
    """s5cmd, with its defaults."""
    return "--endpoint-url", download.endpoint, "cp", download.s3_url, download.destination


def rclone_arguments(download: Download) -> Sequence[str]:
    """rclone, with its default multi-thread streams."""
    return "copyto", f"{RCLONE_REMOTE}:{download.bucket}/{download.key}", download.destination


def client_arguments(download: Download) -> Sequence[str]:
    """A program in ``clients/``."""
    return download.endpoint, download.bucket, download.key, download.destination
