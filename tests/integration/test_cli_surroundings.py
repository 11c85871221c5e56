"""The command and what surrounds it: credentials, endpoints, streams, start-up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import SECRETS, temp_files
from tests.faultserver import Credentials, FaultServer
from tests.integration.command import arguments, environment, run
from tests.patience import PATIENCE_S

BUNDLE = {"bucket/other": b"o"}


@pytest.mark.parametrize("source", [["s3://bucket/key"], ["--recursive", "s3://bucket/key/"]])
def test_plain_http_is_refused(tmp_path: Path, source: list[str]) -> None:
    """Plain http beyond this machine is a usage error until it is asked for."""
    done = run("cp", "--endpoint-url", "http://192.0.2.1:9000", *source, tmp_path / "out")
    assert done.returncode == 2
    assert "--allow-http" in done.stderr


def test_usage_begins_nothing(tmp_path: Path) -> None:
    """A usage error is click's, exits with 2 and makes no file."""
    done = run("cp", "s3://bucket/prefix/", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: bulkhaul cp ")
    assert os.listdir(tmp_path) == []


def test_missing_credentials(tmp_path: Path) -> None:
    """Without credentials the command says what to do."""
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "HOME": str(tmp_path)}
    with FaultServer(BUNDLE) as server:
        done = run("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/other", tmp_path, variables=none)
        unsigned = run(
            "cp",
            "--no-sign-request",
            "--endpoint-url",
            server.endpoint_url,
            "s3://bucket/other",
            tmp_path,
            variables=none,
        )
    assert done.returncode == 1
    assert "--no-sign-request" in done.stderr
    assert unsigned.returncode == 0


def test_endpoint_and_region_from_the_environment(tmp_path: Path) -> None:
    """S3_ENDPOINT_URL and AWS_REGION are understood, as s5cmd and the other SDKs understand them."""
    with FaultServer(BUNDLE) as server:
        variables = {"S3_ENDPOINT_URL": server.endpoint_url, "AWS_REGION": "eu-west-3"}
        done = run("cp", "s3://bucket/other", tmp_path, variables=variables)
        (get,) = server.requests_for("GetObject")
    assert done.returncode == 0
    assert "/eu-west-3/s3/aws4_request" in get.headers["authorization"]


def test_secrets_are_never_printed(tmp_path: Path) -> None:
    """Neither the secret key nor the token is printed, at any log level, whatever the service answers."""
    wrong = Credentials("AKIDOTHER", "other-secret")
    with FaultServer(BUNDLE, credentials=wrong) as server:
        done = run(
            "cp", "--log-level", "debug", "--endpoint-url", server.endpoint_url, "s3://bucket/other", tmp_path / "out"
        )
    assert done.returncode == 1
    assert not [secret for secret in SECRETS if secret in done.stdout + done.stderr]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_closed_stdout(tmp_path: Path, options: list[str]) -> None:
    """A reader that leaves early ends the command quietly, and no partial file is left."""
    objects = {f"bucket/many/{number:04}": b"x" * 100 for number in range(300)}
    with FaultServer(objects) as server:
        words = [
            "cp",
            *options,
            "--endpoint-url",
            server.endpoint_url,
            "--recursive",
            "s3://bucket/many/",
            str(tmp_path),
        ]
        with subprocess.Popen(
            arguments(*words), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.wait(PATIENCE_S) == 1
            assert process.stderr.read() == ""
    assert temp_files(tmp_path) == []


def test_help_into_a_closed_pipe() -> None:
    """Help that nobody reads to the end is no reason to complain."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(arguments("cp", "--help"), stdout=writing, stderr=subprocess.PIPE, timeout=PATIENCE_S)
    os.close(writing)
    assert done.stderr == b""


def test_start_up_is_light() -> None:
    """Help and usage errors import none of the heavy libraries."""
    program = (
        "import contextlib, io, json, sys\n"
        "from bulkhaul.cli.group import cli\n"
        "for words in (['cp', '--help'], ['cp', 'a', 'b']):\n"
        "    said = io.StringIO()\n"
        "    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):\n"
        "        with contextlib.suppress(SystemExit):\n"
        "            cli.main(words, 'bulkhaul')\n"
        "    assert 'bulkhaul cp' in said.getvalue()\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert not {"numpy", "uvloop", "rich", "boto3", "botocore", "anyio", "asyncio"} & set(json.loads(done.stdout))


def test_the_entry_point_imports_next_to_nothing() -> None:
    """What it imports puts every command off, ``--version`` too: typing, msgspec and click can wait."""
    program = (
        "import sys\nimport bulkhaul.cli.main\nprint({'typing', 'msgspec', 'click', 'asyncio'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{program}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert done.stdout == "set()\n"
