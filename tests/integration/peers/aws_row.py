"""A row of the table of aws-cli's command lines, with what it was seen to leave, and our reasons to do otherwise.

aws-cli pins another botocore than ours, so no test runs it. ``python -m tests.integration.peers.aws_seen AWS`` runs all
rows with the program AWS, and tells which of them it leaves otherwise by now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.integration.peers.scenario import Contents, Left, Row

STATUS = (
    "A command line that makes no sense ends with status 2, and what failed with 1, also one object of many; aws-cli"
    " ends with 1, 2, 252 to 255 for the same."
)
NOTHING = (
    "`cp -r` and `mv -r` of a prefix that nothing lies below, or that is an object, end with 1, as with s5cmd, rclone"
    " and gsutil: a restore with a slip in its source must not look done. `sync` ends with 0 as in aws-cli."
)
ODD_KEYS = (
    "A key with an empty segment (`//`) or a slash in front becomes no file: it would be the file of another key."
    " `cp --raw URL FILE` fetches it."
)
CLASH = "Of the keys `a` and `a/b` the first one of the listing becomes a file; with aws-cli it is chance which."
HEADERS = (
    "An option for headers or metadata, as `--content-type`, replaces all of them in a copy, and the type is guessed"
    " anew; version 1 passes over it without `--metadata-directive REPLACE`, and version 2 keeps the others."
)
ARCHIVES = (
    "`--ignore-glacier-warnings` is refused: what is archived is a failure, told by name. `--restore` brings it back."
)
COMPRESSED = "A file `a.tar.gz` gets the type `application/gzip`: it is not the tar file that aws-cli says."
INCLUDE = "`--include` as the first filter takes only what matches, as in s5cmd and rclone; in aws-cli it does nothing."
CHECKSUMS = (
    "`--checksum-algorithm` takes CRC64NVME, CRC32C and CRC32, which cover an object of any number of parts; no SHA,"
    " and no XXHash."
)
LONG = "A key of more than 1,024 bytes is a failure by its name before anything is sent: no service of AWS takes it."
GRANTS = "`--grants` is refused; `--acl` takes a canned ACL, and `aws s3api put-object-acl` grants to others."
WEBSITE = "`website` is refused: bulkhaul configures no buckets."


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsRow(Row):
    """A row with what aws-cli was seen to leave, where that is not what ours does.

    Attributes:
        seen_status, seen_objects, seen_files, seen_heads: what it left; None for what the row says of ours.
    """

    seen_status: int | None = None
    seen_objects: Contents | None = None
    seen_files: Contents | None = None
    seen_heads: dict[str, dict[str, Any]] | None = None

    @property
    def seen(self) -> Left:
        """What aws-cli was seen to leave."""
        ours = self.expected
        return Left(
            status=ours.status if self.seen_status is None else self.seen_status,
            objects=ours.objects if self.seen_objects is None else self.seen_objects,
            files=ours.files if self.seen_files is None else self.seen_files,
            heads=ours.heads if self.seen_heads is None else self.seen_heads,
        )
