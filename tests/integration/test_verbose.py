"""What -v, -vv and ``logging`` tell of a run: where settings came from, each request and retry, and never a secret."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest

from bulkhaul import Engine
from bulkhaul.model.settings import Settings
from tests.engines import ACCESS_KEY, SECRET_KEY, TOKEN
from tests.faultserver import FaultServer, Status
from tests.integration.command import run, stream

SSE_C_KEY = base64.b64encode(bytes(range(32))).decode()
OBJECTS = {"bucket/run/a": b"a" * 1000, "bucket/run/b": b"b" * 1000, "bucket/other": b"o"}


def busy() -> Status:
    """Refuse the first GET of one object."""
    return Status(code="InternalError", operation="GetObject", key="run/a")


@pytest.mark.parametrize("transport", ["auto", "sdk"])
def test_everything_is_told_but_secrets(transport: str, tmp_path: Path) -> None:
    """Settings with sources, the keys' source, requests with their tries, a retry; no key."""
    with FaultServer(OBJECTS) as server:
        server.add_fault(busy())
        where = ["--endpoint-url", server.endpoint_url, "--transport", transport, "--sse-c-key", SSE_C_KEY]
        more = ["--concurrency", "2", "--no-progress"]
        done = run(
            "cp", "-vv", "-r", "s3://bucket/run/", tmp_path, *where, *more, variables={"AWS_REGION": "eu-west-1"}
        )
    told = done.stderr
    assert done.returncode == 0, told
    assert f"endpoint_url = {server.endpoint_url} (--endpoint-url)" in told
    assert "region = eu-west-1 (AWS_REGION)" in told
    assert "concurrency = 2 (--concurrency)" in told
    assert "fsync = False" in told
    assert "sse_c_key = (hidden) (--sse-c-key)" in told
    assert f"{ACCESS_KEY[-4:]} from the environment" in told
    assert f"GET {server.endpoint_url}/bucket/run/b -> 200 in " in told
    assert f"GET {server.endpoint_url}/bucket/run/a -> 500 in " in told
    again = [line for line in told.splitlines() if "bulkhaul.retry" in line]
    assert any(
        "run/a: attempt 1 failed: ServerError" in line or "run/a, part 1: attempt 1" in line for line in again
    ), told
    for secret in (SECRET_KEY, TOKEN, SSE_C_KEY, bytes(range(32)).hex()):
        assert secret not in told


def test_one_v_tells_no_requests_and_none_tells_nothing(tmp_path: Path) -> None:
    """Without -v there is nothing on stderr; with one, retries, but not each request."""
    with FaultServer(OBJECTS) as server:
        server.add_fault(busy())
        quiet = run("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/other", tmp_path / "1")
        some = run("cp", "-v", "--endpoint-url", server.endpoint_url, "s3://bucket/run/a", tmp_path / "2")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert "bulkhaul.settings" in some.stderr
    assert "attempt 1 failed: ServerError" in some.stderr
    assert "again in 0." in some.stderr
    assert "bulkhaul.request" not in some.stderr


@pytest.mark.parametrize("command", [["ls", "s3://bucket/"], ["du", "s3://bucket/"], ["head", "s3://bucket/other"]])
def test_questions_tell_it_too(command: list[str]) -> None:
    """What only asks tells its requests on stderr; stdout is what it is without."""
    with FaultServer(OBJECTS) as server:
        plain = run(*command, "--endpoint-url", server.endpoint_url)
        loud = run(*command, "--log-level", "debug", "--endpoint-url", server.endpoint_url)
    assert loud.stdout == plain.stdout
    assert "bulkhaul.request" in loud.stderr


def test_stdout_of_cat_stays_clean() -> None:
    """The object's bytes and nothing else."""
    with FaultServer(OBJECTS) as server:
        done = stream("cat", "-vv", "--endpoint-url", server.endpoint_url, "s3://bucket/run/b")
    assert done.stdout == OBJECTS["bucket/run/b"]
    assert b"bulkhaul.request" in done.stderr


def test_no_retries(tmp_path: Path) -> None:
    """With --retries 0 the first failure is the last one; with 1 the next try is made."""
    with FaultServer(OBJECTS) as server:
        server.add_fault(busy())
        never = run("cp", "--retries", "0", "--endpoint-url", server.endpoint_url, "s3://bucket/run/a", tmp_path)
    with FaultServer(OBJECTS) as server:
        server.add_fault(busy())
        once = run("cp", "--retries", "1", "--endpoint-url", server.endpoint_url, "s3://bucket/run/a", tmp_path)
    assert (never.returncode, once.returncode) == (1, 0)


def test_the_variable_of_the_sdks(tmp_path: Path) -> None:
    """AWS_MAX_ATTEMPTS counts the first try, too."""
    with FaultServer(OBJECTS) as server:
        server.add_fault(busy())
        command = ("cp", "-v", "--endpoint-url", server.endpoint_url, "s3://bucket/run/a", tmp_path)
        done = run(*command, variables={"AWS_MAX_ATTEMPTS": "1"})
    assert done.returncode == 1
    assert "retries = 0 (AWS_MAX_ATTEMPTS)" in done.stderr


def test_logging_shows_the_same(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Python the loggers below ``bulkhaul`` get the records, those of workers, too."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    logger = logging.getLogger("bulkhaul")
    monkeypatch.setattr(logger, "propagate", True)
    with FaultServer(OBJECTS) as server, caplog.at_level(logging.DEBUG, "bulkhaul"):
        with Engine(Settings(endpoint_url=server.endpoint_url, workers=1, concurrency=2)) as engine:
            engine.head("s3://bucket/other")
    names = {record.name for record in caplog.records}
    assert {"bulkhaul.settings", "bulkhaul.credentials", "bulkhaul.endpoint", "bulkhaul.request"} <= names
    assert any("concurrency = 2 (given)" in record.getMessage() for record in caplog.records)
    assert SECRET_KEY not in caplog.text
