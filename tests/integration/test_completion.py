"""Completion as bash asks for it, against a real server, and where its script is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.command import environment, run
from tests.patience import PATIENCE_S
from tests.servers.process import RunningServer
from tests.servers.weed import weed

Ask = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def seaweed() -> Iterator[RunningServer]:
    """A real server with two buckets, and keys in a folder."""
    with weed() as server:
        client = server.client()
        for bucket in ("bucket", "other"):
            client.create_bucket(Bucket=bucket)
        for key in ("run/a.txt", "run/b c.txt", "top.bin"):
            client.put_object(Bucket="bucket", Key=key, Body=b"x")
        yield server


@pytest.fixture
def ask(seaweed: RunningServer, tmp_path: Path) -> Ask:
    """What bash completes a line to, in a folder with a file and a folder; URL stands for the server."""
    here = tmp_path / "here"
    (here / "src dir").mkdir(parents=True)
    (here / "file.txt").touch()
    command = tmp_path / "bulkhaul"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m bulkhaul "$@"\n')
    command.chmod(0o755)
    script = tmp_path / "completion.bash"
    script.write_text(run("completion", "bash").stdout)
    config = tmp_path / "config"
    config.write_text("[default]\n[profile work]\n[sso-session no]\n")
    keys = tmp_path / "credentials"
    keys.write_text(f"[work]\naws_access_key_id = {seaweed.access_key}\naws_secret_access_key = {seaweed.secret_key}\n")
    variables = environment(
        PATH=f"{tmp_path}:/usr/bin:/bin",
        AWS_CONFIG_FILE=str(config),
        AWS_SHARED_CREDENTIALS_FILE=str(keys),
        AWS_ACCESS_KEY_ID=seaweed.access_key,
        AWS_SECRET_ACCESS_KEY=seaweed.secret_key,
        AWS_SESSION_TOKEN="",
        AWS_REGION=seaweed.region,
    )
    program = 'source "$1"; COMP_LINE="$2"; COMP_POINT=${#COMP_LINE}; _bulkhaul_completion bulkhaul; '
    program += 'printf "%s\\n" "${COMPREPLY[@]}"'

    def asked(line: str) -> list[str]:
        words = ["bash", "-c", program, "bash", str(script), line.replace("URL", seaweed.endpoint_url)]
        done = subprocess.run(words, env=variables, cwd=here, capture_output=True, text=True, timeout=PATIENCE_S)
        return sorted(filter(None, done.stdout.split("\n")))

    return asked


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bulkhaul cp fi", ["file.txt"]),
        ("bulkhaul cp s", ["s3://", "src dir"]),
        ("bulkhaul cp --files-from f", ["file.txt"]),
        ("bulkhaul --profi", ["--profile"]),
        ("bulkhaul --profile ", ["default", "work"]),
        ("bulkhaul ls --profile w", ["work"]),
        ("bulkhaul --json l", ["ls"]),
        ("bulkhaul cp --transport ", ["auto", "fast", "sdk"]),
        ("bulkhaul cp --verify=f", ["full"]),
        ("bulkhaul --frobnicate x", []),
        ("bulkhaul ls --endpoint-url http://127.0.0.1:1 s3://b", []),
    ],
)
def test_words(ask: Ask, line: str, expected: list[str]) -> None:
    """Files, options, choices and profiles complete; what makes no sense, or is not there, is silent."""
    assert ask(line) == expected


def test_buckets_and_keys(ask: Ask) -> None:
    """Buckets, folders and keys come from the service of the line; bash gets what stands behind its last colon."""
    assert ask("bulkhaul --endpoint-url URL ls s3://") == ["//bucket/", "//other/"]
    assert ask("bulkhaul ls --endpoint-url URL s3://bu") == ["//bucket/"]
    assert ask("bulkhaul cp --endpoint-url URL file.txt s3://bucket/") == ["//bucket/run/", "//bucket/top.bin"]
    assert ask("bulkhaul cp --endpoint-url URL s3://bucket/run/b\\ ") == ["//bucket/run/b\\ c.txt"]
    assert ask("bulkhaul cp --endpoint-url URL 's3://bucket/run/b") == ["s3://bucket/run/b c.txt"]


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".local/share/bash-completion/completions/bulkhaul"),
        ("zsh", ".zfunc/_bulkhaul"),
        ("fish", ".config/fish/completions/bulkhaul.fish"),
    ],
)
def test_install(tmp_path: Path, shell: str, place: str) -> None:
    """--install writes the script of the shell in $SHELL to its place, says so, and changes nothing else."""
    variables = {"HOME": str(tmp_path), "SHELL": f"/usr/bin/{shell}", "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}
    done = run("completion", "--install", variables=variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Wrote {tmp_path / place}\n" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / place]
    assert (tmp_path / place).read_text() == run("completion", shell).stdout
