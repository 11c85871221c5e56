"""Who lists, and how each is run as a whole program that prints all keys below a prefix, or their total."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import (
    BULKHAUL,
    RCLONE_REMOTE,
    Absent,
    Contestant,
    contestant,
    find_bulkhaul,
    find_client,
    find_rclone,
    find_s5cmd,
    search_path,
)


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list.

    Attributes:
        verb: ``ls`` for a line for each key, ``du`` for their number and bytes.
        prefix: ends with a slash.
    """

    verb: str
    endpoint: str
    bucket: str
    prefix: str

    @property
    def s3_url(self) -> str:
        """The prefix as ``s3://bucket/prefix/``."""
        return f"s3://{self.bucket}/{self.prefix}"


EXAMPLE = Listing("ls", "ENDPOINT", "BUCKET", "PREFIX/")


def find_listers(peers_bin: Path | None) -> list[Contestant[Listing] | Absent]:
    """Return everybody, in the order of the tables.

    Args:
        peers_bin: a folder to look into for s5cmd and rclone first.
    """
    path = search_path(peers_bin)
    return [
        contestant(BULKHAUL, find_bulkhaul(), bulkhaul_arguments, EXAMPLE),
        contestant("s5cmd", find_s5cmd(path), s5cmd_arguments, EXAMPLE),
        contestant("rclone", find_rclone(path), rclone_arguments, EXAMPLE),
        contestant("boto3", find_client("boto3", "list"), client_arguments, EXAMPLE),
        contestant("obstore", find_client("obstore", "list"), client_arguments, EXAMPLE),
    ]


def bulkhaul_arguments(listing: Listing) -> Sequence[str]:
    """The project, with its defaults."""
    recursive = ["--recursive"] * (listing.verb == "ls")
    return [listing.verb, *recursive, listing.s3_url, "--endpoint-url", listing.endpoint]


def s5cmd_arguments(listing: Listing) -> Sequence[str]:
    """s5cmd, with its defaults; the star makes it list below the prefix."""
    return ["--endpoint-url", listing.endpoint, listing.verb, f"{listing.s3_url}*"]


def rclone_arguments(listing: Listing) -> Sequence[str]:
    """rclone: ``lsf`` with sizes (times would cost it a HEAD for each object), or ``size``."""
    remote = f"{RCLONE_REMOTE}:{listing.bucket}/{listing.prefix}"
    if listing.verb == "du":
        return ["size", remote]
    return ["lsf", "--recursive", "--files-only", "--format", "sp", remote]


def client_arguments(listing: Listing) -> Sequence[str]:
    """A program in ``clients/``."""
    return [listing.verb, listing.endpoint, listing.bucket, listing.prefix]
