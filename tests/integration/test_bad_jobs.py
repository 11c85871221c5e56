"""What goes wrong around a job: each is told by a typed error that names the file, and no row is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import jobs
from bulkhaul.errors import DiskFull
from bulkhaul.jobs.folder.presence import alone_in_folder
from bulkhaul.testing.faultserver import on_service
from tests.engines import aws_environment, keys, serving
from tests.faultserver import FaultServer, make_object
from tests.integration.command import problems, run

COUNT = 1100
"""Objects: more than a page of a listing, so that the plan has two shards and the report two segments at least."""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve many small objects, and room for jobs."""
    with serving() as running:
        for number in range(COUNT):
            running.store.put("bucket", f"a/{number:05d}", make_object(b"%d" % number))
        yield running


def at(server: FaultServer) -> tuple[str, str]:
    """Return the options that reach the server."""
    return "--endpoint-url", server.endpoint_url


def told(server: FaultServer, job: str | Path) -> Counter[str]:
    """Return how often each object stands in the report of a job, all of which must have succeeded."""
    rows = [json.loads(line) for line in run("job", "report", job, *at(server)).stdout.splitlines()]
    assert {row["status"] for row in rows} == {"succeeded"}
    return Counter(row["source"] for row in rows)


EACH = Counter({f"s3://bucket/a/{number:05d}": 1 for number in range(COUNT)})


@pytest.mark.parametrize("part", ["plan/000001", "report/000001.1", "done/000000"])
def test_a_bucket_that_denies_files_of_the_job(server: FaultServer, tmp_path: Path, part: str) -> None:
    """The command ends, names what it may not write; afterwards it goes on, and no row is lost."""
    job = "s3://bucket/jobs/one"
    denied = on_service.Status(
        code="AccessDenied", key=f"jobs/one/{part}*", operation="PutObject", attempt="every", times=1
    )
    server.add_fault(denied)
    ended = [run("job", "create", job, "s3://bucket/a/", tmp_path / "to", "--kind", "copy", *at(server))]
    ended += [run("job", "run", job, "--quiet", *at(server)) for _ in range(2)]
    server.assert_all_fired()
    (failed,) = [one for one in ended if one.returncode]
    assert failed.returncode == 1
    assert f"jobs/one/{part}" in failed.stderr
    assert "HTTP 403 AccessDenied" in failed.stderr
    assert told(server, job) == EACH
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [f"{number:05d}" for number in range(COUNT)]


@pytest.mark.parametrize("part", ["plan/000001.jsonl.gz", "report/000001.1.000.jsonl.gz", "done/000000"])
def test_a_full_disk_under_the_job(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """The run ends with the file's name; when there is room again it goes on, and no row is lost."""
    job, link, full = tmp_path / "job", os.link, [part]

    def linked(source: Any, target: Any, **fields: Any) -> None:
        if full and str(target) == os.path.basename(part):
            full.clear()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        link(source, target, **fields)

    monkeypatch.setattr("os.link", linked)
    with aws_environment(keys()):

        def whole() -> None:
            jobs.create_job(job, "s3://bucket/a/", tmp_path / "to", endpoint_url=server.endpoint_url)
            list(jobs.run_job(job))

        with pytest.raises(DiskFull, match=f"{job}/{part}: no space left"):
            whole()
        assert not full
        list(jobs.run_job(job))
        assert jobs.job_status(job).ok
    assert told(server, job) == EACH


def test_no_room_for_temporary_files(server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends with one error, and fails no row for it; when there is room again it goes on."""
    job, opened = tmp_path / "job", tempfile.TemporaryFile

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with aws_environment(keys()):
        jobs.create_job(job, "s3://bucket/a/", tmp_path / "to", endpoint_url=server.endpoint_url)
        monkeypatch.setattr("tempfile.TemporaryFile", full)
        with pytest.raises(DiskFull, match=r"a temporary file cannot be kept; .* set TMPDIR"):
            list(jobs.run_job(job))
        assert jobs.job_status(job).failed == 0
        monkeypatch.setattr("tempfile.TemporaryFile", opened)
        list(jobs.run_job(job))
        assert jobs.job_status(job).ok
    assert told(server, job) == EACH


def test_a_job_of_a_newer_program(server: FaultServer, tmp_path: Path) -> None:
    """Each command refuses it, and names file and field."""
    job = tmp_path / "job"
    job.mkdir()
    (job / "job.json").write_text('{"format": 7, "kind": "teleport"}')
    for command in ("run", "status", "report", "retry"):
        refused = run("job", command, job, *at(server))
        assert refused.returncode == 1
        assert f"{job}/job.json: a newer bulkhaul made this job (the field format is 7, " in refused.stderr


def test_a_plan_that_was_changed(server: FaultServer, tmp_path: Path) -> None:
    """Nothing of a shard is moved whose bytes are not those that the plan names."""
    job, target = tmp_path / "job", tmp_path / "to"
    run("job", "create", job, "s3://bucket/a/", target, "--kind", "copy", *at(server))
    plan = job / "plan.json"
    plan.write_text(re.sub('"sha256": "..', '"sha256": "zz', plan.read_text()))
    refused = run("job", "run", job, *at(server))
    assert refused.returncode == 1
    assert re.search(rf"{job}/plan/00000\d\.jsonl\.gz: its SHA-256 is not the one that the plan names", refused.stderr)
    assert not list(target.glob("*"))


def test_a_job_at_work(server: FaultServer, tmp_path: Path) -> None:
    """Whoever would change a job at which a process works is told which one that is; looking is free."""
    job = tmp_path / "job"
    run("job", "create", job, "s3://bucket/a/", tmp_path / "to", "--kind", "copy", *at(server))
    with alone_in_folder(str(job)):
        for command in ("run", "retry"):
            refused = run("job", command, job, *at(server))
            assert refused.returncode == 1
            assert f"{job}: process {os.getpid()} works at this job" in refused.stderr
        assert run("job", "status", job, *at(server)).returncode == 0


@pytest.mark.parametrize("kind", ["copy", "delete"])
def test_rows_of_a_manifest_that_make_no_sense(server: FaultServer, tmp_path: Path, kind: str) -> None:
    """Each is told once, by file, line and field; the plan says how many there are, and the others go on."""
    manifest, job = tmp_path / "list.jsonl", tmp_path / "job"
    lines = [
        '{"bucket": "bucket", "key": "a/00000"}',
        '{"bucket": "bucket", "key": 7}',
        '{"bucket": "bucket", "key": "a/00001", "size_bytes": -3}',
        '{"bucket": "bucket", "key": "a/00002", "destination": 5}',
        '{"key": "a/00003"}',
        '{"bucket": "bucket", "key": "a/00004"}',
    ]
    manifest.write_text("\n".join(lines))
    to = ["--to", str(tmp_path / "to")] if kind == "copy" else []
    created = run("job", "create", job, "--manifest", manifest, *to, "--kind", kind, *at(server))
    assert created.returncode == 0
    assert "cannot be done: 4, " in created.stdout
    ended = run("job", "run", job, *at(server))
    assert ended.returncode == 1
    errors = [line for line in problems(ended.stderr).splitlines() if str(manifest) in line]
    assert len(errors) == 4
    for line, (number, field) in zip(
        errors, [(2, "$.key"), (3, "number of bytes"), (4, "$.destination"), (5, "the bucket")], strict=True
    ):
        assert line.startswith(f"bulkhaul: error: {manifest}:{number}: ")
        assert line.count(str(manifest)) == 1
        assert field in line
    rows = [json.loads(line) for line in run("job", "report", job, *at(server)).stdout.splitlines()]
    assert sorted(row["n"] for row in rows) == list(range(6))
    failed = {row["n"]: row["error"]["code"] for row in rows if row["status"] == "failed"}
    assert failed == dict.fromkeys(range(1, 5), "ManifestError")


def test_two_rows_for_one_file(server: FaultServer, tmp_path: Path) -> None:
    """The second one fails, by both of its lines, and the first one is what lies there."""
    manifest, job, target = tmp_path / "list.jsonl", tmp_path / "job", tmp_path / "to"
    rows = [{"bucket": "bucket", "key": f"a/0000{number}", "destination": f"{target}/x"} for number in (3, 4)]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    run("job", "create", job, "--manifest", manifest, "--to", target, "--kind", "copy", *at(server))
    ended = run("job", "run", job, *at(server))
    assert ended.returncode == 1
    why = f"s3://bucket/a/00004: {manifest}:2: the destination {target}/x is that of {manifest}:1 already"
    assert why in ended.stderr
    assert (target / "x").read_bytes() == b"3"


def test_a_manifest_that_is_not_there(server: FaultServer, tmp_path: Path) -> None:
    """It is a file that is missing, and no folder."""
    name = tmp_path / "none.csv"
    words = ("job", "create", tmp_path / "job", "--manifest", name, "--to", tmp_path / "to", "--kind", "copy")
    refused = run(*words, *at(server))
    assert refused.returncode == 1
    assert f"{name}: there is no such file" in refused.stderr


def test_a_report_that_nobody_can_take(server: FaultServer, tmp_path: Path) -> None:
    """A full device under the output is a failure, and says so."""
    job = tmp_path / "job"
    run("job", "create", job, "s3://bucket/a/", tmp_path / "to", "--kind", "copy", *at(server))
    assert run("job", "run", job, "--quiet", *at(server)).returncode == 0
    with open("/dev/full", "w") as full, aws_environment(keys()):
        words = [sys.executable, "-m", "bulkhaul", "job", "report", str(job), *at(server)]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "the output cannot be written: No space left on device" in done.stderr
