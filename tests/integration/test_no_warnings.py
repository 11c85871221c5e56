"""With every warning of Python switched on, or made an error, the command and its processes have nothing to say."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import PART_BYTES, aws_environment, keys
from tests.faultserver import FaultServer, Stall, generated_object
from tests.integration.command import problems, run, start
from tests.patience import PATIENCE_S

MODES = {
    "default": {"PYTHONWARNINGS": "default"},
    "error": {"PYTHONWARNINGS": "error"},
    "development": {"PYTHONDEVMODE": "1"},
    "development, error": {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"},
}
EACH = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)

PROGRAM = """
import sys
from bulkhaul import Engine
url, path = sys.argv[1:]
with Engine(endpoint_url=url, workers=2) as engine:
    engine.download("s3://bucket/key", path)
    list(engine.download_many("s3://bucket/dir/", path + "-all"))
    engine.upload(path, "s3://bucket/back")
by_hand = Engine(endpoint_url=url)
by_hand.download("s3://bucket/key", path)
by_hand.close()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server with a few objects, one of several parts."""
    with FaultServer({"bucket/key": generated_object(3 * PART_BYTES), "bucket/dir/small": b"x"}) as running:
        yield running


def complaints(stderr: str) -> list[str]:
    """Return what was said, without what asyncio's own debugging says of a slow machine."""
    return [line for line in stderr.splitlines() if not (line.startswith("Executing <") and "seconds" in line)]


COMMANDS = {
    "download": (["cp", "s3://bucket/key", "{folder}/out"], 0, ""),
    "download by the SDK": (["cp", "--transport", "sdk", "s3://bucket/key", "{folder}/out"], 0, ""),
    "many": (["cp", "-r", "s3://bucket/", "{folder}/all"], 0, ""),
    "upload": (["cp", "{folder}/source", "s3://bucket/up"], 0, ""),
    "upload by the SDK": (["cp", "--transport", "sdk", "{folder}/source", "s3://bucket/up"], 0, ""),
    "list": (["ls", "s3://bucket"], 0, ""),
    "to stdout": (["cat", "s3://bucket/dir/small"], 0, ""),
    "doctor": (["doctor", "s3://bucket/"], 0, ""),
    "missing": (["cp", "s3://bucket/missing", "{folder}/out"], 1, "no such key"),
    "nobody there": (["ls", "s3://bucket/", "--profile", "nobody"], 1, "nobody"),
}


@EACH
@pytest.mark.parametrize(("words", "status", "said"), COMMANDS.values(), ids=COMMANDS)
def test_a_command(
    server: FaultServer, tmp_path: Path, words: list[str], status: int, said: str, mode: dict[str, str]
) -> None:
    """Whatever it does, coordinator, forkserver and workers end without a warning."""
    (tmp_path / "source").write_bytes(b"source")
    given = [word.format(folder=tmp_path) for word in words]
    done = run(*given, "--endpoint-url", server.endpoint_url, variables=mode)
    assert done.returncode == status
    plain = run(*given, "--endpoint-url", server.endpoint_url).stderr if said else ""
    assert len(complaints(problems(done.stderr))) == len(problems(plain).splitlines())
    assert said in done.stderr


@EACH
def test_a_command_that_is_interrupted(tmp_path: Path, mode: dict[str, str]) -> None:
    """Ctrl-C in the middle of a body adds no warning to what is said about it."""
    objects = {"bucket/key": generated_object(3 * PART_BYTES)}
    with FaultServer(objects, [Stall(after_bytes=100, attempt="every")]) as server:
        words = ["cp", "--endpoint-url", server.endpoint_url, "s3://bucket/key", str(tmp_path / "out")]
        process = start(*words, variables=mode)
        server.wait_for(lambda it: bool(it.requests_for("GetObject")), timeout_s=PATIENCE_S)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert [line for line in complaints(said) if not line.startswith("bulkhaul: ") and "SIGINT" not in line] == []


@EACH
def test_a_program(server: FaultServer, tmp_path: Path, mode: dict[str, str]) -> None:
    """Nor do engines of a program, one that it closes and one that it forgets."""
    with aws_environment(keys() | mode):
        command = [sys.executable, "-c", PROGRAM, server.endpoint_url, str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, complaints(done.stderr)) == (0, [])
