"""Who uploads, and how each is run as a whole program that sends one file, or one folder, to a store.

Everybody runs with its own defaults. Over plain http some hash the whole body for its signature, and some
could be told not to; users get the defaults, so nobody is told.
"""

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
class Upload:
    """What to send where.

    Attributes:
        key: the object's key; of a folder, the prefix of its objects, without the slash.
        source: the path of the file or folder.
        is_folder: every file of the folder is sent, and becomes ``key/name``.
    """

    endpoint: str
    bucket: str
    key: str
    source: str
    is_folder: bool

    @property
    def s3_url(self) -> str:
        """The destination as ``s3://bucket/key``, with a slash at the end for a folder."""
        return f"s3://{self.bucket}/{self.key}" + "/" * self.is_folder


EXAMPLE = Upload("ENDPOINT", "BUCKET", "KEY", "SOURCE", is_folder=False)


def find_uploaders(peers_bin: Path | None) -> list[Contestant[Upload] | Absent]:
    """Return everybody, in the order of the tables.

    Args:
        peers_bin: a folder to look into for s5cmd and rclone first.
    """
    path = search_path(peers_bin)
    return [
        contestant(BULKHAUL, find_bulkhaul(), bulkhaul_arguments, EXAMPLE),
        contestant("s5cmd", find_s5cmd(path), s5cmd_arguments, EXAMPLE),
        contestant("rclone", find_rclone(path), rclone_arguments, EXAMPLE),
        *(
            contestant(package, find_client(package, "upload"), client_arguments, EXAMPLE)
            for package in ("obstore", "awscrt", "boto3")
        ),
    ]


def bulkhaul_arguments(upload: Upload) -> Sequence[str]:
    """The project, with its defaults."""
    recursive = ["--recursive"] * upload.is_folder
    return ["cp", *recursive, upload.source, upload.s3_url, "--endpoint-url", upload.endpoint, "--quiet"]


def s5cmd_arguments(upload: Upload) -> Sequence[str]:
    """s5cmd, with its defaults; a folder ends with a slash."""
    source = upload.source + "/" * upload.is_folder
    return ["--endpoint-url", upload.endpoint, "cp", source, upload.s3_url]


def rclone_arguments(upload: Upload) -> Sequence[str]:
    """rclone, with its defaults."""
    command = "copy" if upload.is_folder else "copyto"
    return [command, upload.source, f"{RCLONE_REMOTE}:{upload.bucket}/{upload.key}"]


def client_arguments(upload: Upload) -> Sequence[str]:
    """A program in ``clients/``; it sees by itself whether the source is a folder."""
    return [upload.endpoint, upload.bucket, upload.key, upload.source]
