"""What holds for every test, however the run of the tests was started."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

collect_ignore = ["example_project"]
"""A project of its own, which tests/integration/test_testing.py runs as such."""


@pytest.fixture(autouse=True)
def signals_are_heard() -> Iterator[None]:
    """Let a test, and the commands that it starts, hear the signals that this run was told to ignore.

    A job of ``nohup``, or one in the background of a script, ignores SIGHUP or SIGINT, and what it starts inherits
    that. A handler is not inherited: a program begins with what the signal does by default. The hangup itself still
    does nothing to this run, nor to the servers of its modules.
    """
    ignored = [number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else _nothing)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def _nothing(*_: object) -> None:
    """Do what SIG_IGN does, and be left behind by exec."""
