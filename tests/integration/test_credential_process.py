"""A credential_process that hangs, fails or prints garbage is ended, left to the SDK or named; never shown."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bulkhaul.model.errors import CredentialsError
from bulkhaul.policy.awsfiles import Unsure
from bulkhaul.wire.credential_process import Printed, run_process
from tests.engines import eventually


def program(folder: Path, code: str) -> str:
    """Return the command of a Python program."""
    (folder / "issue.py").write_text(code)
    return f"{sys.executable} -I -S '{folder / 'issue.py'}'"


GOOD = '{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "s", "SessionToken": "t"}'


def test_a_program_that_works(tmp_path: Path) -> None:
    """Its output is taken whole, in however many pieces it comes, and what it writes to stderr is no part of it."""
    code = f"import sys, time\nsys.stderr.write('hello')\nfor c in {GOOD!r}:\n  print(c, end='', flush=True)\n"
    assert run_process(program(tmp_path, code), profile="work", deadline_s=30) == Printed("AKID", "s", "t", "")


UNSURE = {
    "garbage": ("print('CANARY')", "no JSON"),
    "nothing": ("", "no JSON"),
    "too much": ("print('x' * 10_000_000)", "too much"),
    "an endless line": ("while True: print('x' * 1000, end='')", "too much"),
    "half": ('print(\'{"Version": 1, "AccessKeyId": "CANARY"}\')', "no keys"),
    "failing with bytes": (r"import sys; sys.stderr.buffer.write(b'\xff'); raise SystemExit(3)", "no text"),
}


@pytest.mark.parametrize(("code", "said"), UNSURE.values(), ids=UNSURE)
def test_a_program_that_gives_no_keys(tmp_path: Path, code: str, said: str) -> None:
    """The SDK is asked, which says what is wrong; nothing that was printed is in the reason, and nothing is left."""
    with pytest.raises(Unsure, match=said) as caught:
        run_process(program(tmp_path, code), profile="work", deadline_s=30)
    assert "CANARY" not in str(caught.value)


FAILING = {
    "failing": (f"print({GOOD!r}); raise SystemExit('no ticket')", "no ticket"),
    "failing with a secret": (
        f"print({GOOD!r}); raise SystemExit('no ticket; X-Amz-Security-Token=CANARY')",
        "no ticket",
    ),
    "failing at length": (
        "import sys; print('x' * 10**7 + ' no ticket', file=sys.stderr); raise SystemExit(1)",
        "no ticket",
    ),
    "killed": (f"import os; print({GOOD!r}, flush=True); os.kill(os.getpid(), 9)", ""),
}


@pytest.mark.parametrize(("code", "said"), FAILING.values(), ids=FAILING)
def test_a_program_that_fails(tmp_path: Path, code: str, said: str) -> None:
    """It is named, with the end of what it says, and is not run again; its output is not shown."""
    with pytest.raises(CredentialsError, match=f"'work', {sys.executable}, failed") as caught:
        run_process(program(tmp_path, code), profile="work", deadline_s=30)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 1000
    for secret in ("CANARY", "AKID", "issue.py"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("command", ["", "  ", "'CANARY", "a\0b"])
def test_what_is_no_command(command: str) -> None:
    """The SDK is asked, and the reason shows no argument."""
    with pytest.raises(Unsure) as caught:
        run_process(command, profile="work", deadline_s=30)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "cause"), [("/nowhere/issue CANARY", "No such file"), ("/etc/passwd CANARY", "Permission denied")]
)
def test_a_program_that_cannot_be_started(command: str, cause: str) -> None:
    """It is named, with the cause and what to do, and without its arguments."""
    with pytest.raises(CredentialsError, match="cannot be started") as caught:
        run_process(command, profile="work", deadline_s=30)
    assert cause in str(caught.value)
    assert "CANARY" not in str(caught.value)


def is_running(folder: Path) -> bool:
    """Whether a program in the folder still runs."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if os.fsencode(folder) in (process / "cmdline").read_bytes():
                return True
    return False


HANGING = {
    "silent": "import time; time.sleep(600)",
    "after its output": f"import time; print({GOOD!r}, flush=True); time.sleep(600)",
    "with its output closed": f"import os, time; print({GOOD!r}, flush=True); os.close(1); time.sleep(600)",
    "deaf": "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    "with a child": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(3)'])",
}


@pytest.mark.parametrize("code", HANGING.values(), ids=HANGING)
def test_a_program_that_hangs(tmp_path: Path, code: str) -> None:
    """It is killed at the deadline, and the error names the profile and the program, but no argument."""
    with pytest.raises(CredentialsError, match=f"'work', {sys.executable}, did not end within 0.5 s") as caught:
        run_process(program(tmp_path, code), profile="work", deadline_s=0.5)
    assert "issue.py" not in str(caught.value)
    assert not is_running(tmp_path)


def test_a_program_ends_with_whoever_waits_for_it(tmp_path: Path) -> None:
    """A worker is killed without warning, as by Ctrl-C; a program that asks or hangs must not stay behind."""
    begun = tmp_path / "begun"
    command = program(tmp_path, f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(600)")
    imports = "from bulkhaul.wire.credential_process import run_process"
    code = f"{imports}; run_process({command!r}, profile='', deadline_s=600)"
    waiting = subprocess.Popen([sys.executable, "-c", code])
    try:
        eventually(begun.exists, "the program runs")
    finally:
        waiting.kill()
        waiting.wait()
    eventually(lambda: not is_running(tmp_path), "the program is gone")
