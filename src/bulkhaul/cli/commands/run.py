"""``bulkhaul run``: its help page, options and job."""

from __future__ import annotations

import functools
import os
import stat
from typing import Any

import click

from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.link_options import stored_links_option
from bulkhaul.cli.object_options import preserve_of_files_option, take_preserve_of_files
from bulkhaul.cli.options import (
    SETTINGS,
    make_settings,
    output_options,
    take_output,
    transfer_settings_options,
)
from bulkhaul.cli.standard_streams import named_stdin, require_stdin

EPILOG = """\b
Examples:
  bulkhaul run commands.txt
  bulkhaul run --dry-run commands.txt
  generate-commands | bulkhaul run -

\b
A file of commands:
  # comments and empty lines are passed over
  cp 's3://bucket/2024/*' logs/2024/
  cp --storage-class STANDARD_IA "a file.bin" s3://bucket/archive/
  mv s3://bucket/incoming/a.bin s3://bucket/done/a.bin
  rm s3://bucket/old.bin   # so are comments here
  ls s3://bucket/logs/

Lines are words as in a shell: quotes and backslashes, but nothing is expanded except the patterns of the commands
themselves. A line may be cp, mv, sync, rm, cat, pipe, ls, du, head, presign, tags, mb or rb, with their options;
bulkhaul or s5cmd may stand before it. Options of the connection, of speed, of integrity and of output are for all
lines, and given to run; so are --sparse, --symlinks store, and the --preserve of files.

Files that s5cmd runs are run, too: a download makes the folders of its file, a folder that ends in a slash is uploaded
with everything below it, * and ? in a local SRC stand for files, and sync takes one object, too. What s5cmd can and
bulkhaul cannot fails by name.

The lines are carried out side by side, in no order. One that fails, or that makes no sense, stops no other: it is
reported with its number, and counted.

Exit code: 0 all of it is done, 1 something failed, 2 the file cannot be read, 130 interrupted.
"""


@click.command("run", cls=SectionedCommand, epilog=EPILOG, short_help="Run a file of commands, all at once.")
@click.argument("file", metavar="[FILE|-]", default="-")
@click.option("--dry-run", "--dryrun", "dry_run", is_flag=True, help="Say what would be done, and change nothing.")
@stored_links_option
@preserve_of_files_option
@transfer_settings_options
@output_options
@click.pass_context
def run(ctx: click.Context, /, *, file: str, dry_run: bool, **given: Any) -> None:
    """Run the commands of FILE, one a line, or of stdin, by one engine.

    Lines from a pipe are begun while more of them are still being written.
    """
    output = take_output(given)
    file = "-" if named_stdin(file) else file
    take_preserve_of_files(given)
    given["store_links"] = given.pop("symlinks") == "store" or None
    shared = {name: value for name, value in given.items() if name in SETTINGS}
    settings = make_settings(shared)
    fd = _opened(file)
    from bulkhaul.cli.command_file.parsing import Stdin, prepared
    from bulkhaul.cli.command_file.report import CommandFileReport
    from bulkhaul.cli.command_file.running import CommandFile
    from bulkhaul.cli.job import Job
    from bulkhaul.cli.launch import launch_job

    group = ctx.find_root()
    stdin = None if file == "-" else Stdin()
    prepare = functools.partial(
        prepared,
        group=group,
        shared=shared,
        as_json=output["as_json"],
        quiet=output["quiet"],
        dry_run=dry_run,
        stdin=stdin,
    )
    commands = CommandFile(fd, prepare, dry_run=dry_run)
    name = "stdin" if file == "-" else file
    job = Job(
        operation="run",
        results=commands.results,
        source=name,
        destination="",
        dry_run=dry_run,
        settings=settings,
        quietly=file == "-" and os.isatty(0),
        remains="no partial file or object was left behind",
        grows=lambda: not commands.whole,
        report=functools.partial(CommandFileReport, name=name, in_flight=lambda: commands.in_flight),
    )
    launch_job(ctx, job, output)


def _opened(file: str) -> int:
    """Return a descriptor of the file, open for reading.

    Raises:
        click.UsageError: it cannot be read.
    """
    if file == "-":
        require_stdin()
        return 0
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO may have no writer yet
        os.set_blocking(fd, True)
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        text = "it is a folder"
    except OSError as error:
        text = error.strerror or str(error)
    raise click.UsageError(f"{click.format_filename(file)} cannot be read: {text}.")
