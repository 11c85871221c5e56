"""Entry point of the ``bulkhaul`` command: runs the command line, exits.

Start-up is part of every transfer's time. So here and in the commands, nothing is imported before it is needed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys

from bulkhaul.cli import early, standard_streams

TYPE_CHECKING = False  # as in early.py
if TYPE_CHECKING:
    from typing import NoReturn

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended. Source: 128 + SIGINT, the convention of shells."""


def main() -> NoReturn:
    """Run the command of this process's command line, and exit."""
    standard_streams.fill_closed()
    gc.disable()  # imports make no garbage; a command that runs turns it on again
    # numpy's OpenBLAS would start a thread per core, which we do not need; where it cannot, it raises SIGINT.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        early.allow()
        _leave_at_interrupt()
        status = _run(sys.argv[1:])
    except KeyboardInterrupt:
        status = INTERRUPTED
    finally:
        early.abandon()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # the reader has left
            if stream is not None:  # it was closed at the start
                stream.flush()
    os._exit(status)  # everything is closed; finalizing the interpreter would take another 0.1 s


def _leave_at_interrupt() -> None:
    """Have Ctrl-C end the process at once, until a command takes it over: there is nothing to put away yet.

    Python's own handler raises wherever the process is, and some of those places, as in the import system, drop it.
    """
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def _leave(_signum: int, _frame: object) -> None:
    early.abandon()
    os._exit(INTERRUPTED)


def _run(arguments: list[str]) -> int:
    import click

    from bulkhaul.cli.group import cli

    try:
        status = cli.main(arguments, prog_name="bulkhaul", standalone_mode=False)
    except click.ClickException as error:
        with contextlib.suppress(OSError):  # stderr is lost too
            error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except OSError as error:  # from a page that click prints; the run of a command handles its own
        from bulkhaul.cli.lines import output_lost_line

        with contextlib.suppress(OSError):
            click.echo(output_lost_line(error), err=True, nl=False)
        return 1
    return status if isinstance(status, int) else 0
