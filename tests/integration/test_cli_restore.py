"""``--restore``: what cp and sync do with archived objects, what they say, and how they go on after a stop."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import jobs
from tests.faultserver import FaultServer, make_object
from tests.faultserver.archives import HOUR_S
from tests.integration.command import arguments, environment, problems, run
from tests.patience import PATIENCE_S

CLASSES = {"p/a": "STANDARD", "p/b": "GLACIER", "p/c/d": "DEEP_ARCHIVE", "p/e": "GLACIER_IR"}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with a bucket of objects, two of which are archived."""
    with FaultServer(buckets=["bucket"]) as running:
        for key, storage_class in CLASSES.items():
            stored = replace(make_object(key.encode()), storage_class=storage_class)
            running.store.put("bucket", key, stored)
        yield running
        assert running.protocol_errors == []


def bulkhaul(server: FaultServer, *words: str | Path) -> tuple[int, str, str]:
    """Run the command against the server: (exit code, stdout, stderr without the summary)."""
    done = run(*words, "--endpoint-url", server.endpoint_url)
    return done.returncode, done.stdout, problems(done.stderr)


def asked(server: FaultServer) -> list[str]:
    """Return the keys that were asked for, as often as they were."""
    return sorted(one.key or "" for one in server.requests_for("RestoreObject"))


def bring_back(server: FaultServer) -> None:
    """Have every archived object there already."""
    for key, storage_class in CLASSES.items():
        stored = server.store.get("bucket", key)
        if storage_class in ("GLACIER", "DEEP_ARCHIVE"):
            assert stored is not None
            server.store.archives.ask(("bucket", key), stored, 7, "Standard")
    server.store.archives.advance(13 * HOUR_S)


def files(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


EVERYTHING = {key.removeprefix("p/"): key.encode() for key in CLASSES}


def test_without_it(server: FaultServer, tmp_path: Path) -> None:
    """Each archived object fails, says what to type, and holds up no other."""
    status, _, errors = bulkhaul(server, "cp", "--recursive", "s3://bucket/p", tmp_path / "out")
    assert status == 1
    failed = errors.splitlines()
    assert [sum(f"s3://bucket/{key}: " in line for line in failed) for key in CLASSES] == [0, 1, 1, 0]
    assert all("--restore STANDARD" in line for line in failed)
    assert set(files(tmp_path / "out")) == {"a", "e"}
    assert asked(server) == []


@pytest.mark.parametrize("command", ["cp", "sync", "sync --job"])
def test_a_stop_and_the_same_command_again(server: FaultServer, tmp_path: Path, command: str) -> None:
    """Ctrl-C says that the requests stay; the next run moves what has come, and asks for nothing twice."""
    out = tmp_path / "out"
    words: list[str | Path] = [command.split()[0], "--restore", "bulk", "s3://bucket/p", out]
    more: dict[str, list[str | Path]] = {"cp": ["--recursive"], "sync": [], "sync --job": ["--job", tmp_path / "job"]}
    words += more[command]
    line = arguments(*words, "--endpoint-url", server.endpoint_url)
    with subprocess.Popen(
        line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    ) as first:
        deadline_s = time.monotonic() + PATIENCE_S
        while len(asked(server)) < 2 or set(files(out)) != {"a", "e"}:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 130
    assert "archived objects are being brought back" in errors
    assert "come all the same" in errors
    assert "run the same command again" in errors
    assert "2 planned objects not confirmed" in errors
    assert files(out) == {"a": b"p/a", "e": b"p/e"}
    server.store.archives.advance(49 * HOUR_S)
    status, told, errors = bulkhaul(server, *words)
    assert (status, errors) == (0, "")
    assert "0 requested, 2 ready, 0 waiting" in told
    assert files(out) == EVERYTHING
    assert asked(server) == ["p/b", "p/c/d"]


@pytest.mark.parametrize("words", [
    ["cp", "s3://bucket/p/b", "{out}/b"],
    ["cp", "s3://bucket/p/b", "{out}/"],
    ["cp", "--recursive", "--include", "b", "s3://bucket/p", "{out}"],
    ["cp", "s3://bucket/p/b*", "{out}"],
    ["cp", "--files-from", "{list}", "s3://bucket/p/", "{out}"],
    ["sync", "--include", "b", "s3://bucket/p", "{out}"],
])  # fmt: skip
def test_every_way_down(server: FaultServer, tmp_path: Path, words: list[str]) -> None:
    """One object, many, a pattern, a list: what is there already comes at once."""
    bring_back(server)
    before = len(asked(server))
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "list").write_text("b\n")
    given = [word.format(out=out, list=tmp_path / "list") for word in words]
    status, told, errors = bulkhaul(server, *given, "--restore", "STANDARD", "--json")
    total = json.loads(told.splitlines()[-1])
    assert (status, errors) == (0, "")
    assert files(out) == {"b": b"p/b"}
    assert len(asked(server)) == before
    names = ("planned", "verified", "failed", "skipped", "requested", "ready", "waiting")
    assert [total[name] for name in names] == [1, 1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("words", [
    ["cp", "s3://bucket/p/b", "s3://bucket/copy/b"],
    ["cp", "--recursive", "s3://bucket/p", "s3://bucket/copy"],
    ["sync", "s3://bucket/p", "s3://bucket/copy"],
])  # fmt: skip
def test_copies(server: FaultServer, words: list[str]) -> None:
    """Between prefixes, too."""
    bring_back(server)
    status, _, errors = bulkhaul(server, *words, "--restore", "STANDARD")
    assert (status, errors) == (0, "")
    stored = server.store.get("bucket", "copy/b")
    assert stored is not None
    assert stored.body == b"p/b"


def test_nothing_matches(server: FaultServer, tmp_path: Path) -> None:
    """It is told as without the option."""
    status, _, errors = bulkhaul(server, "cp", "--recursive", "--restore", "BULK", "s3://bucket/no/", tmp_path / "out")
    assert status == 1
    assert "NotFound" in errors or "matches" in errors
    status, _, errors = bulkhaul(server, "cp", "--restore", "BULK", "s3://bucket/missing", tmp_path / "out")
    assert status == 1
    assert "s3://bucket/missing" in errors


def test_what_is_archived_is_shown(server: FaultServer, tmp_path: Path) -> None:
    """By ls, du and a dry run of sync; none of them asks for anything."""
    _, told, _ = bulkhaul(server, "ls", "--recursive", "--summarize", "s3://bucket/p/")
    shown = [line[32:] for line in told.splitlines()[:4]]
    assert shown == ["p/a", "p/b (GLACIER)", "p/c/d (DEEP_ARCHIVE)", "p/e"]
    assert told.splitlines()[-1] == "     Archived: 2, 8"
    assert bulkhaul(server, "du", "s3://bucket/p/")[1] == "14 bytes in 4 objects, 2 of them archived: s3://bucket/p/\n"
    for words in (["du", "--json", "s3://bucket/p/"], ["ls", "--json", "--summarize", "s3://bucket/p/", "--recursive"]):
        total: dict[str, Any] = json.loads(bulkhaul(server, *words)[1].splitlines()[-1])
        assert (total["objects"], total["archived"], total["archived_bytes"]) == (4, 2, 8)
    _, told, _ = bulkhaul(server, "sync", "--dry-run", "--restore", "BULK", "s3://bucket/p", tmp_path / "out")
    dry = {line.partition(" s3://bucket/")[2].partition(" ")[0]: line for line in told.splitlines() if "s3://" in line}
    assert {key for key, line in dry.items() if "it is archived" in line} == {"p/b", "p/c/d"}
    for restore in (["--restore", "BULK"], []):
        words = ["sync", "--json", "--dry-run", *restore, "s3://bucket/p", str(tmp_path / "out")]
        total = json.loads(bulkhaul(server, *words)[1].splitlines()[-1])
        assert (total.get("retrieval_requests"), total.get("retrieval_bytes")) == ((2, 8) if restore else (None, None))
    assert "it is archived (GLACIER)" in dry["p/b"]
    assert asked(server) == []


@pytest.mark.parametrize(("words", "text"), [
    (["cp", "--restore", "BULK", "{file}", "s3://bucket/k"], "--restore means nothing for an upload"),
    (["cp", "--restore", "BULK", "s3://bucket/k", "-"], "--restore means nothing for a download to stdout"),
    (["sync", "--restore-days", "3", "s3://bucket/p", "{file}"], "--restore-days needs --restore"),
    (["cp", "--restore", "SOON", "s3://bucket/k", "{file}"], "'SOON' is not one of"),
    (["cp", "--restore", "BULK", "--restore-days", "0", "s3://bucket/k", "{file}"], "0 is not in the range"),
])  # fmt: skip
def test_command_lines_that_make_no_sense(tmp_path: Path, words: list[str], text: str) -> None:
    """They are refused before anything is asked."""
    (tmp_path / "file").touch()
    done = run(*(word.format(file=tmp_path / "file") for word in words))
    assert done.returncode == 2
    assert text in done.stderr


def job_status(server: FaultServer, job: Path) -> dict[str, Any]:
    """Return the status of a job."""
    told: dict[str, Any] = json.loads(bulkhaul(server, "job", "status", "--json", job)[1])
    return told


@pytest.mark.parametrize("moves", [True, False], ids=["moved", "only restored"])
def test_a_job_that_is_stopped_goes_on(server: FaultServer, tmp_path: Path, moves: bool) -> None:
    """Its folder and the service know everything: what was asked for is not asked for again."""
    job, out = tmp_path / "job", tmp_path / "out"
    places: list[str | Path] = ["s3://bucket/p/", *([out] if moves else [])]
    assert bulkhaul(server, "job", "create", job, *places, "--kind", "restore", "--restore", "BULK")[0] == 0
    planned = job_status(server, job)
    assert (planned["archived_rows"], planned["retrieval_requests"], planned["retrieval_bytes"]) == (
        2, {"BULK": 2}, {"BULK": 8},
    )  # fmt: skip
    assert (planned["requests"]["RestoreObject"], planned["request_classes"]["retrieval"]) == (2, 2)
    assert "to be retrieved, BULK: 2 objects, 8 B" in bulkhaul(server, "job", "status", job)[1]
    line = arguments("job", "run", job, "--endpoint-url", server.endpoint_url)
    with subprocess.Popen(
        line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    ) as first:
        deadline_s = time.monotonic() + PATIENCE_S
        while len(asked(server)) < 2:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        assert first.stdout is not None
        told = first.stdout.readline() + first.stdout.readline()  # what can be read is told at once
        assert "s3://bucket/p/a" in told
        assert "s3://bucket/p/e" in told
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 130
    assert "come all the same" in errors
    status = job_status(server, job)
    assert (status["planned_rows"], status["left"], status["failed"]) == (4, 2, 0)
    assert "2 planned objects not confirmed" in errors
    server.store.archives.advance(49 * HOUR_S)
    code, _, errors = bulkhaul(server, "job", "run", job)
    assert (code, errors) == (0, "")
    assert asked(server) == ["p/b", "p/c/d"]
    status = job_status(server, job)
    ended = {name: status[name] for name in ("succeeded", "failed", "skipped", "left")}
    assert ended == {"succeeded": 4 if moves else 2, "failed": 0, "skipped": 0 if moves else 2, "left": 0}
    assert not moves or files(out) == EVERYTHING
    assert moves or not server.requests_for("GetObject")


def test_a_job_of_a_manifest(server: FaultServer, tmp_path: Path) -> None:
    """Objects that a list names are brought back where they are."""
    bring_back(server)
    (tmp_path / "list.csv").write_text("bucket,p%2Fb\nbucket,p%2Fa\nbucket,p%2Fmissing\n")
    created = bulkhaul(
        server, "job", "create", tmp_path / "job", "--manifest", tmp_path / "list.csv", "--kind", "restore"
    )
    assert (created[0], created[2]) == (0, "")
    assert bulkhaul(server, "job", "run", tmp_path / "job")[0] == 1
    status = job_status(server, tmp_path / "job")
    assert [status[name] for name in ("succeeded", "failed", "skipped", "left")] == [1, 1, 1, 0]


def test_a_job_of_python(server: FaultServer, tmp_path: Path) -> None:
    """It takes what the command line does; without it each archived object is a failure."""
    how: dict[str, Any] = {"endpoint_url": server.endpoint_url, "sign_requests": False, "region": "us-east-1"}
    bring_back(server)
    back = jobs.create_job(
        tmp_path / "a", "s3://bucket/p/", tmp_path / "out", restore=jobs.RestoreOptions(jobs.Tier.BULK), **how
    )
    assert (back.retrieval_requests, back.retrieval_bytes) == ({"BULK": 2}, {"BULK": 8})
    assert {row.status for row in jobs.run_job(tmp_path / "a", **how)} == {"succeeded"}
    assert files(tmp_path / "out") == EVERYTHING
    left = jobs.create_job(tmp_path / "b", "s3://bucket/p/", tmp_path / "out", **how)
    assert (left.archived_rows, left.retrieval_requests) == (2, {})
