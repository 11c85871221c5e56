"""Runs the ``bulkhaul`` command as users do: a process of its own, with made-up credentials.

Job: start it, and read what it said. Must not know what it should have said.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import fork_server
from tests.engines import ACCESS_KEY, SECRET_KEY, TOKEN, descendants, is_alive
from tests.patience import PATIENCE_S

LIMIT_S = PATIENCE_S
_STATE = tempfile.TemporaryDirectory(prefix="bulkhaul-state-")  # the user's own journals stay out of the tests


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment with the tests' credentials and nobody else's configuration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_"))}
    return kept | {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "BULKHAUL_STATE_DIR": _STATE.name,
        **more,
    }


def arguments(*words: str | Path) -> list[str]:
    """Return the command line of ``bulkhaul`` with these words."""
    return [sys.executable, "-m", "bulkhaul", *map(str, words)]


def run(
    *words: str | Path,
    variables: Mapping[str, str] | None = None,
    given: bytes | None = None,
    folder: Path | None = None,
    limit_s: float = LIMIT_S,
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; it must leave no process behind.

    Args:
        variables: of its environment, beside those of ``environment``.
        given, folder: as of ``fork_server.run``.
        limit_s: it must have ended by then.
    """
    done = _run(words, variables, given, folder, limit_s)
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(written), "utf-8").read() for written in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, stdout, stderr)


def stream(
    *words: str | Path, given: bytes = b"", variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command with pipes on stdin and stdout; it must leave no process behind."""
    return _run(words, variables, given, None, LIMIT_S)


def _run(
    words: Sequence[str | Path],
    variables: Mapping[str, str] | None,
    given: bytes | None,
    folder: Path | None,
    limit_s: float,
) -> subprocess.CompletedProcess[bytes]:
    fork_server.started()
    before = set(descendants())
    theirs = environment(**(variables or {}))
    done = fork_server.run([*map(str, words)], theirs, limit_s, given=given, folder=folder)
    if done is None:
        nothing = subprocess.DEVNULL if given is None else None
        done = subprocess.run(
            arguments(*words), env=theirs, capture_output=True, timeout=limit_s, cwd=folder, stdin=nothing, input=given
        )
    left = [pid for pid in set(descendants()) - before if is_alive(pid)]
    assert not left, f"processes {left} are left"
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def start(*words: str | Path, variables: Mapping[str, str] | None = None, ignoring: str = "") -> subprocess.Popen[str]:
    """Start the command and return at once; the caller ends it.

    Args:
        ignoring: names of signals that whoever starts it has it ignore, as nohup does.
    """
    through = ["sh", "-c", f"trap '' {ignoring}; exec \"$@\"", "sh"] if ignoring else []
    return subprocess.Popen(
        [*through, *arguments(*words)],
        env=environment(**(variables or {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


_OF_SUMMARY = re.compile(r"\w+: \d+ (done|equal), .*; .*\n|  .*\n")


def problems(errors: str) -> str:
    """Return what was said on stderr, but for the summary for people."""
    return "".join(line for line in errors.splitlines(keepends=True) if not _OF_SUMMARY.fullmatch(line))


def lines(output: str, operation: str = "cp") -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the objects and the summary of ``--json`` output, which must add up and be of this command."""
    *objects, summary = map(json.loads, output.splitlines())
    assert summary["operation"] == "summary"
    assert all(line["operation"] == operation for line in objects)
    assert summary["planned"] == summary["verified"] + summary["failed"] + summary["skipped"]
    assert summary["bytes"] == sum(
        line["object"]["size"] for line in objects if line["success"] and "skipped" not in line
    ) * ("dryrun" not in summary)
    return objects, summary
