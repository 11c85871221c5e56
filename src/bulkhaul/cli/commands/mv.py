"""``bulkhaul mv``: its help page; ``transfer_job`` has its options and makes its job."""

from __future__ import annotations

from typing import Any

import click

from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.transfer_job import transfer, transfer_options

EPILOG = """\b
Examples:
  bulkhaul mv results.tar s3://bucket/archive/
  bulkhaul mv s3://bucket/incoming/a.bin s3://bucket/done/a.bin
  bulkhaul mv a.csv b.csv s3://bucket/in/
  bulkhaul mv --recursive --include '*.gz' s3://bucket/logs/ /data/logs

A source that was replaced while it was copied is kept, and reported as failed. Folders that an upload has emptied
stay. Of a symbolic link the link is removed, and what it leads to stays. Links to folders are skipped; with
--follow-symlinks what is behind them is uploaded, and stays. Everything else is as in `bulkhaul cp --help`: names,
patterns, resuming, exit codes.
"""


@click.command(
    "mv", cls=SectionedCommand, epilog=EPILOG, short_help="Move objects and files: copied, verified, then removed."
)
@transfer_options
@click.pass_context
def mv(ctx: click.Context, /, **given: Any) -> None:
    """Copy each SRC to DEST as cp does, and remove it.

    Several SRC go to one DEST: a bucket, a folder that exists, or what ends in a slash.

    Each source is removed only when its copy is durable: a file when the object is stored and verified, an object
    when the file is flushed to disk or the service has confirmed the copy. What fails keeps its source.
    """
    transfer(ctx, given, move=True)
