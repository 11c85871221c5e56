"""``bulkhaul cp``: its help page; ``transfer_job`` has its options and makes its job."""

from __future__ import annotations

from typing import Any

import click

from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.transfer_job import copy_options, transfer, transfer_options

EPILOG = """\b
Examples:
  bulkhaul cp s3://bucket/model.bin /data/
  bulkhaul cp --recursive --exclude '*.tmp' s3://bucket/run-7/ /data/run-7
  bulkhaul cp 's3://bucket/logs/2024-*/*.gz' /data/logs
  bulkhaul cp model.bin s3://bucket/models/
  bulkhaul cp a.csv b.csv 'photos/*.jpg' s3://bucket/in/
  bulkhaul cp --recursive --storage-class STANDARD_IA results/ s3://bucket/run-7
  bulkhaul cp --recursive s3://bucket/run-7/ s3://other/archive/run-7/
  bulkhaul cp --version-id 3sL4kqtJlcpXroDTDmJ s3://bucket/model.bin s3://bucket/model.bin
  bulkhaul cp --recursive --all-versions s3://bucket/run-7/ s3://other/run-7/
  bulkhaul cp --source-profile partner s3://theirs/data.bin s3://ours/data.bin
  bulkhaul cp --files-from keys.txt s3://bucket/run-7/ /data/run-7
  bulkhaul cp --recursive --restore BULK s3://bucket/archive/ /data/archive
  tar c results | bulkhaul cp - s3://bucket/results.tar
  bulkhaul cp s3://bucket/results.tar - | tar x

Names: one object or file takes its own name where DEST is a folder that exists or ends in a slash (in S3: ends in a
slash, or is a bucket alone). With --recursive or a pattern, DEST/ is put before every path below SRC, whether or not
SRC and DEST end in a slash. Of several SRC a folder or prefix takes its own name along, unless it ends in a slash.

Patterns: * matches any characters, in s3:// also "/", and ? matches one; quote them. In a local SRC that the shell has
not expanded they match as in a shell, and DEST then is a bucket or ends in a slash.

Filters: --include and --exclude are matched against the path below SRC (of one object or file: its name), and of local
files against the whole path if they begin with a slash. They know [12] and [!12] too. The last one that matches wins,
as in aws-cli: --exclude '*' --include '*.txt' takes the text files. What none matches is taken, unless the first
filter is an --include, as in s5cmd: --include '*.txt' alone takes the text files, too. --explain KEY says which filter
decides about one key.

Lists: a line of --files-from is a key or path relative to SRC, taken literally, or a whole s3:// URL; a TAB and a
second name give it another destination, relative to DEST. Empty lines and lines that begin with # are passed over.
--files-from0 takes names that NUL separates, as from find -print0; nothing in them means anything else than itself.

Copies between buckets are made by the service itself and keep content headers, metadata and tags. Any of
--content-…, --cache-control, --expires and --metadata replaces all headers and metadata, and --tags all tags. With a
--source-… option the bytes pass through this machine. What lies in DEST is left out where DEST lies in SRC.

--all-versions copies the history of each key, oldest first, with its delete markers, to a bucket that keeps versions.
The same command again skips what is there, which must be the beginning of that history. If a version fails, so do the
later ones of its key.

Archived objects (GLACIER, DEEP_ARCHIVE, the archives of INTELLIGENT_TIERING) fail, unless --restore has them brought
back: then they are asked for, which takes minutes to days and costs money, and each is moved when it is there. Ctrl-C
ends the wait, not the requests: the same command goes on with what has come meanwhile.

Interrupted uploads of files go on where they were when the same command is run again. Their journals are in
$BULKHAUL_STATE_DIR, else in ~/.local/state/bulkhaul.

Exit code: 0 everything is there and verified, 1 something failed, 2 the command line makes no sense, 130 interrupted.
"""


@click.command(
    "cp", cls=SectionedCommand, epilog=EPILOG, short_help="Copy objects and files: down, up, between buckets, stdin."
)
@transfer_options
@copy_options
@click.pass_context
def cp(ctx: click.Context, /, **given: Any) -> None:
    """Copy each SRC to DEST; one side, or both, is s3://bucket/…, and - is stdin or stdout.

    Several SRC go to one DEST: a bucket, a folder that exists, or what ends in a slash.

    What appears at DEST is whole and verified, or it does not appear: a file gets its name, and an object is
    completed, at the very end.

    Credentials, region and endpoint come from the AWS_* variables and files, and from S3_ENDPOINT_URL.
    """
    transfer(ctx, given, move=False)
