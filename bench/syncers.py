"""Who syncs, and how each is run as a whole program that compares sizes and times, and finds nothing to do.

What is equal is not the same for all, but all of it is told by the listings, so that nobody asks for single objects:

| | down | between buckets |
|---|---|---|
| bulkhaul | the size; the file has the object's time | the size; the source is not newer |
| s5cmd | the size; the source is not newer | the same |
| rclone | the size; the file has the object's time | the source is not newer, or the size and the time |

rclone keeps times of its own in the metadata of objects, and by default asks for them with a HEAD for each object:
``--use-server-modtime`` has it take the listing's, and ``--update`` between buckets, where they cannot be equal.
"""

import json
import re
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
    find_rclone,
    find_s5cmd,
    search_path,
)
from bench.measure import CommandFailedError


@dataclass(frozen=True, slots=True)
class Sync:
    """What to sync.

    Attributes:
        source: ``bucket/prefix/``.
        destination: the same, or an absolute path of a folder.
        log: the file that rclone writes its log into.
    """

    endpoint: str
    source: str
    destination: str
    log: str

    @property
    def is_download(self) -> bool:
        """Whether the destination is a folder."""
        return self.destination.startswith("/")

    @property
    def destination_url(self) -> str:
        """The destination as ``s3://bucket/prefix/``, or the path of the folder with a slash at its end."""
        return f"{self.destination}/" if self.is_download else f"s3://{self.destination}"


EXAMPLE = Sync("ENDPOINT", "BUCKET/PREFIX/", "/FOLDER", "LOG")


def find_syncers(peers_bin: Path | None) -> list[Contestant[Sync] | Absent]:
    """Return everybody, in the order of the tables.

    Args:
        peers_bin: a folder to look into for s5cmd and rclone first.
    """
    path = search_path(peers_bin)
    return [
        contestant(BULKHAUL, find_bulkhaul(), bulkhaul_arguments, EXAMPLE),
        contestant("s5cmd", find_s5cmd(path), s5cmd_arguments, EXAMPLE),
        contestant("rclone", find_rclone(path), rclone_arguments, EXAMPLE),
    ]


def bulkhaul_arguments(sync: Sync) -> Sequence[str]:
    """The project, with its defaults; the summary is JSON."""
    return ["sync", "--json", f"s3://{sync.source}", sync.destination_url, "--endpoint-url", sync.endpoint]


def s5cmd_arguments(sync: Sync) -> Sequence[str]:
    """s5cmd, with its defaults."""
    return ["--endpoint-url", sync.endpoint, "sync", f"s3://{sync.source}*", sync.destination_url]


def rclone_arguments(sync: Sync) -> Sequence[str]:
    """rclone, with the times of the listing and one listing for all folders; its log ends with what it has checked."""
    destination = sync.destination if sync.is_download else f"{RCLONE_REMOTE}:{sync.destination}"
    update = ["--update"] * (not sync.is_download)
    told = ["--verbose", "--stats", "1h", "--log-file", sync.log]
    ways = [f"{RCLONE_REMOTE}:{sync.source}", destination]
    return ["sync", "--fast-list", "--use-server-modtime", *update, *told, *ways]


def check_told(name: str, keys: int, printed: str, log: str) -> None:
    """Raise CommandFailedError unless a program says that it compared all keys, and moved none.

    Args:
        name: of the contestant.
        printed: its stdout.
        log: what is in its log file.
    """
    if name.startswith(BULKHAUL):
        summary = json.loads(printed.splitlines()[-1])
        told = [summary[field] for field in ("compared", "unchanged", "planned")]
        exact = told == [keys, keys, 0]
    elif name.startswith("rclone"):
        checks = re.findall(r"^Checks:\s+(\d+) / (\d+), 100%", log, re.MULTILINE)
        exact = checks[-1:] == [(str(keys), str(keys))] and ": Copied" not in log
    else:
        exact = not printed  # s5cmd has a line for each object that it moves, and none for the others
    if not exact:
        raise CommandFailedError(f"did not find {keys} keys unchanged:\n{printed[-1000:]}{log[-1000:]}")
