"""doctor and completion as users run them, against endpoints that misbehave in one way each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bulkhaul.testing.faultserver.faults import Fault
from tests.faultserver import FaultServer, IgnoreChecksums, RefuseChecksums, Status, clock_skew, ignore_if_none_match
from tests.integration.command import environment, run
from tests.patience import PATIENCE_S


def examined(server: FaultServer, *words: str) -> tuple[int, dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the exit code, the findings by check, and the summary."""
    done = run("doctor", "--json", "--endpoint-url", server.endpoint_url, *words)
    *found, summary = map(json.loads, done.stdout.splitlines())
    return done.returncode, {one["check"]: one for one in found}, summary


def results(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the results of all checks that are not ok."""
    return {check: one["result"] for check, one in found.items() if one["result"] != "ok"}


def test_a_good_endpoint(tmp_path: Path) -> None:
    """Without --write nothing is changed; with it everything is tried, and nothing is left."""
    with FaultServer({"bucket/p/key": b"body"}) as server:
        code, found, summary = examined(server, "s3://bucket/p/")
        changes = [one.operation for one in server.requests if one.operation not in READING]
        written, tried, _ = examined(server, "--write", "s3://bucket/p/")
        pending = run("cleanup", "--endpoint-url", server.endpoint_url, "--older-than", "0", "s3://bucket",
                      variables={"BULKHAUL_STATE_DIR": str(tmp_path)})  # fmt: skip
        below = run("ls", "--endpoint-url", server.endpoint_url, "--recursive", "s3://bucket")
    assert (code, summary["success"], changes) == (0, True, [])
    assert set(results(found)) == {"put", "conditional write", "checksums", "multipart", "delete"}
    assert set(results(found).values()) == {"skipped"}
    assert (written, results(tried)) == (0, {})
    assert found["credentials"]["details"] == "access key ******NARY, from the environment"
    assert f"endpoint_url = {server.endpoint_url} (--endpoint-url)" in found["settings"]["details"]
    assert tried["checksums"]["details"] == "CRC32 is verified and kept"  # what uploads to such an endpoint carry
    assert pending.stdout == "nothing is left behind\n"
    assert [line.rpartition(" ")[2] for line in below.stdout.splitlines()] == ["p/key"]


READING = ("HeadBucket", "ListObjectsV2", "HeadObject", "GetObject", "GetBucketLocation", "Unknown")


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        (ignore_if_none_match(), {"conditional write": "warning"}),
        (IgnoreChecksums(operation=None, attempt="every"), {"checksums": "warning"}),
        (RefuseChecksums(operation=None, attempt="every"), {"checksums": "warning"}),
        (
            Status(operation="CreateMultipartUpload", status=403, code="AccessDenied", attempt="every"),
            {"multipart": "failed"},
        ),
        (Status(operation="ListObjectsV2", status=403, code="AccessDenied", attempt="every"), {"list": "failed"}),
        (Status(operation="DeleteObject", status=403, code="AccessDenied", attempt="every"), {"delete": "warning"}),
    ],
    ids=["conditions", "ignores checksums", "refuses checksums", "multipart", "list", "delete"],
)
def test_an_endpoint_with_one_fault(fault: Fault, wrong: dict[str, str]) -> None:
    """Exactly the check that it is about tells it, with a remedy; what transfers need decides the exit code."""
    with FaultServer({}, [fault], buckets=["bucket"]) as server:
        code, found, _ = examined(server, "--write", "s3://bucket/p/")
    assert results(found) == wrong
    assert code == ("failed" in wrong.values())
    assert all(found[check]["remedy"] for check in wrong)


def test_a_clock_that_is_off() -> None:
    """A service that refuses the time of requests is told as such, in the table, with exit code 1."""
    with FaultServer({}, [clock_skew(delta_s=4000)], buckets=["bucket"]) as server:
        done = run("doctor", "--endpoint-url", server.endpoint_url, "s3://bucket")
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if line.startswith("clock"))
    assert line.split()[1] == "failed"
    assert "-> set this machine's clock" in done.stdout


def test_nobody_there() -> None:
    """An endpoint that cannot be reached is the one finding."""
    done = run("doctor", "--json", "--endpoint-url", "http://127.0.0.1:1", "s3://bucket")
    settings, found, summary = map(json.loads, done.stdout.splitlines())
    assert "retry_for_s = 0 (this command)" in settings["details"]
    assert "doctor" not in found["details"] + found["remedy"]
    assert (done.returncode, found["check"], found["result"], summary["success"]) == (1, "endpoint", "failed", False)


class TestCompletion:
    """What shells ask for."""

    @pytest.mark.parametrize(("shell", "says"), [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete --no")])
    def test_scripts(self, shell: str, says: str) -> None:
        """Each shell gets a script of its own."""
        done = run("completion", shell)
        assert (done.returncode, done.stderr) == (0, "")
        assert says in done.stdout
        assert "_BULKHAUL_COMPLETE" in done.stdout

    def test_bash_completes(self, tmp_path: Path) -> None:
        """bash completes the commands that begin with c, and an option of one of them."""
        script = tmp_path / "completion.bash"
        script.write_text(run("completion", "bash").stdout)
        program = f"""
        source {script}
        ask() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _bulkhaul_completion bulkhaul;
                 echo "${{COMPREPLY[@]}}"; }}
        ask bulkhaul c
        ask bulkhaul ls --recu
        """
        command = tmp_path / "bulkhaul"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m bulkhaul "$@"\n')
        command.chmod(0o755)
        done = subprocess.run(
            ["bash", "-c", program],
            env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}"),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        commands, options = done.stdout.splitlines()
        assert {"cp", "cleanup", "completion"} <= set(commands.split())
        assert all(name.startswith("c") for name in commands.split())
        assert options == "--recursive"

    def test_no_engine(self) -> None:
        """Completing imports no engine, no SDK and no forkserver: a key press must not take half a second."""
        program = (
            "import sys; from bulkhaul.cli.group import cli;"
            "from bulkhaul.cli.completion import Completion;"
            "found = Completion(cli, {}, 'bulkhaul', 'X').get_completions(['ls'], '--');"
            "found += Completion(cli, {}, 'bulkhaul', 'X').get_completions([], '');"
            "assert len(found) > 10;"
            "heavy = ('boto', 'bulkhaul.engine', 'asyncio', 'msgspec', 'rich.console', 'uvloop');"
            "print([name for name in sys.modules if name.startswith(heavy)])"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
        assert done.stdout == "[]\n"
