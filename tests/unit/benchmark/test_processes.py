"""Whether the process of a record is alive here, has ended here, or is none that is known here."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bulkhaul.benchmark.processes import ended_here, process_of, runs_here


def test_a_process_here() -> None:
    """This one runs; one that has ended has ended, also if another one has its id by now."""
    own = process_of(os.getpid())
    assert (runs_here(own), ended_here(own)) == (True, False)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name = process_of(child.pid)
        assert (runs_here(name), ended_here(name)) == (True, False)
    assert (runs_here(name), ended_here(name)) == (False, True)
    pid, start, *here = own.split(" ")
    reused = " ".join((pid, str(int(start) - 1), *here))
    assert (runs_here(reused), ended_here(reused)) == (False, True)


@pytest.mark.parametrize("field", [2, 3], ids=["another boot", "another namespace"])
def test_a_process_elsewhere(field: int) -> None:
    """Of another machine or container nobody here knows whether a process has ended."""
    words = process_of(os.getpid()).split(" ")
    words[field] = "pid:[1]"
    assert (runs_here(" ".join(words)), ended_here(" ".join(words))) == (False, False)


@pytest.mark.parametrize("text", ["", "abc d", " ", "12", "-1 2 3 4", "9" * 5000, "1\0 2 3 4", "/ 2 3 4"])
def test_a_damaged_name(text: str) -> None:
    """It is no process."""
    _, _, *here = process_of(os.getpid()).split(" ")
    for name in (text, " ".join((text, "1", *here))):
        assert runs_here(name) is False
    assert ended_here(text) is False
