"""Jobs on a real server, from Python and from the command line: what fails is retried, what is there stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import AsyncEngine, Settings, jobs
from bulkhaul.errors import JobInUse, NotFound, UsageError
from bulkhaul.jobs import aio
from bulkhaul.jobs.folder.place import entered
from bulkhaul.jobs.folder.presence import alone_in_folder
from bulkhaul.jobs.planner import Planner
from bulkhaul.jobs.row_sources import ObjectRows, delete_row
from bulkhaul.model.objects import Content
from bulkhaul.model.rows import ReportRow, Status
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.selection import Source, selector
from bulkhaul.testing.faultserver import on_service
from tests.engines import aws_environment, serving
from tests.faultserver import make_object
from tests.integration.command import run
from tests.servers.process import RunningServer
from tests.servers.weed import weed

NAMES = [f"{number % 3}/{number:03d}" for number in range(40)]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """Serve a bucket with forty small objects."""
    with weed() as running:
        client = running.client()
        client.create_bucket(Bucket="bucket")
        for name in NAMES:
            client.put_object(Bucket="bucket", Key=f"a/{name}", Body=name.encode() * 100)
        yield running


@pytest.fixture
def where(server: RunningServer) -> Iterator[dict[str, Any]]:
    """Return the settings that reach the server, and set its keys."""
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    with aws_environment(keys):
        yield {"endpoint_url": server.endpoint_url, "workers": 2}


def test_a_job_from_python(where: dict[str, Any], tmp_path: Path) -> None:
    """A job is made, run, and looked at; a second run does nothing; the report has each object."""
    job, target = tmp_path / "job", tmp_path / "to"
    made = jobs.create_job(job, "s3://bucket/a/", target, **where)
    assert (made.planned_rows, made.left, made.requests) == (40, 40, {"GetObject": 40})
    told = list(jobs.run_job(job))
    assert {row.status for row in told} == {Status.SUCCEEDED}
    assert {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()} == set(NAMES)
    assert (target / NAMES[5]).read_bytes() == NAMES[5].encode() * 100
    assert list(jobs.run_job(job)) == []
    assert sorted(row.n for row in jobs.report_rows(job)) == list(range(40))
    status = jobs.job_status(job)
    assert status.ok
    assert status.done_bytes == status.planned_bytes == sum(len(name) * 100 for name in NAMES)


def test_what_failed_is_retried(where: dict[str, Any], tmp_path: Path) -> None:
    """Only the rows that failed are planned again, and the numbers of both plans add up."""
    job, target = tmp_path / "job", tmp_path / "to"
    jobs.create_job(job, "s3://bucket/a/", target, **where)
    with pytest.raises(UsageError, match="run it to its end"):
        jobs.retry_job(job)
    for name in NAMES[3:5]:
        (target / name).mkdir(parents=True)
    failed = [row for row in jobs.run_job(job) if row.status is Status.FAILED]
    assert sorted(row.source for row in failed) == [f"s3://bucket/a/{name}" for name in sorted(NAMES[3:5])]
    status = jobs.job_status(job)
    assert (status.succeeded, status.failed, status.left, status.ok) == (38, 2, 0, False)
    assert jobs.retry_job(job) == 2
    status = jobs.job_status(job)
    assert (status.succeeded, status.failed, status.left, status.plans) == (38, 0, 2, 2)
    for name in NAMES[3:5]:
        (target / name).rmdir()
    assert [(row.plan, row.status) for row in jobs.run_job(job)] == [(1, Status.SUCCEEDED)] * 2
    status = jobs.job_status(job)
    assert (status.succeeded, status.failed, status.left, status.ok) == (40, 0, 0, True)
    assert len(list(jobs.report_rows(job))) == 42
    assert jobs.retry_job(job) == 0


def test_what_is_there_is_not_stored_again(where: dict[str, Any], server: RunningServer, tmp_path: Path) -> None:
    """Of a run that was killed before it could report, uploads and copies are found at their destination."""
    source = tmp_path / "from"
    for name in NAMES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(name.encode() * 50)
    client = server.client()
    for kind, place in (("up", source), ("copy", "s3://bucket/a/")):
        job = tmp_path / kind
        jobs.create_job(job, place, f"s3://bucket/{kind}/", **where)
        list(jobs.run_job(job))
        (job / "done/000000").unlink()
        (job / "report/000000.1.000.jsonl.gz").unlink()
        client.put_object(Bucket="bucket", Key=f"{kind}/{NAMES[0]}", Body=b"another one")
        client.delete_object(Bucket="bucket", Key=f"{kind}/{NAMES[1]}")
        # The bytes of the source, but it was there before, and has metadata of its own.
        body = NAMES[2].encode() * (50 if kind == "up" else 100)
        client.put_object(Bucket="bucket", Key=f"{kind}/{NAMES[2]}", Body=body, Metadata={"old": "1"})
        told = {row.destination.removeprefix(f"s3://bucket/{kind}/"): row for row in jobs.run_job(job)}
        assert {row.status for row in told.values()} == {Status.SUCCEEDED}
        assert {name for name, row in told.items() if row.reason != "it was there already"} == set(NAMES[:3])
        stored = client.get_object(Bucket="bucket", Key=f"{kind}/{NAMES[0]}")["Body"].read()
        assert stored == NAMES[0].encode() * (50 if kind == "up" else 100)
        assert client.head_object(Bucket="bucket", Key=f"{kind}/{NAMES[2]}")["Metadata"] == {}


def test_a_report_is_the_manifest_of_the_next_job(where: dict[str, Any], tmp_path: Path) -> None:
    """What failed in one job is what a job that is made of its report plans; the report itself has every row."""
    target, keys = tmp_path / "to", tmp_path / "keys.jsonl"
    lines = [json.dumps({"source": f"s3://bucket/a/{name}"}) for name in NAMES[:6]]
    keys.write_text("".join(f"{line}\n" for line in lines))
    (target / "a" / NAMES[2]).mkdir(parents=True)
    made = jobs.create_job(tmp_path / "one", destination=target, manifests=[keys], **where)
    assert made.planned_rows == 6
    assert len([row for row in jobs.run_job(tmp_path / "one") if row.status is Status.FAILED]) == 1
    report = tmp_path / "one.jsonl"
    assert run("job", "report", tmp_path / "one", "--output", report).returncode == 0
    assert len(report.read_text().splitlines()) == 6
    assert f"s3://bucket/a/{NAMES[2]}" in run("job", "report", tmp_path / "one", "--only", "failed").stdout
    jobs.create_job(tmp_path / "two", destination=target, manifests=[report], **where)
    (target / "a" / NAMES[2]).rmdir()
    assert [row.source for row in jobs.run_job(tmp_path / "two")] == [f"s3://bucket/a/{NAMES[2]}"]


def test_a_deletion_spares_what_was_replaced(where: dict[str, Any], server: RunningServer, tmp_path: Path) -> None:
    """An object that is another one than was planned stays, and fails; one that is gone already is no failure."""
    client = server.client()
    for name in "xyz":
        client.put_object(Bucket="bucket", Key=f"doomed/{name}", Body=name.encode())
    jobs.create_job(tmp_path / "job", "s3://bucket/doomed/", kind="delete", **where)
    client.put_object(Bucket="bucket", Key="doomed/y", Body=b"a new one")
    client.delete_object(Bucket="bucket", Key="doomed/z")
    told = {row.source[-1]: row for row in jobs.run_job(tmp_path / "job")}
    assert {name: str(row.status) for name, row in told.items()} == {"x": "succeeded", "y": "failed", "z": "succeeded"}
    assert told["y"].error is not None
    assert told["y"].error.code == "PreconditionFailed"
    assert [one["Key"] for one in client.list_objects_v2(Bucket="bucket", Prefix="doomed/")["Contents"]] == ["doomed/y"]


def test_options_are_kept_and_secrets_are_not(where: dict[str, Any], server: RunningServer, tmp_path: Path) -> None:
    """A run stores objects as the job was made to; the key of SSE-C is in no file, and has to be given again."""
    source = tmp_path / "from"
    source.mkdir()
    (source / "one.txt").write_bytes(b"1")
    options = ObjectOptions(content=Content(cache_control="max-age=7"))
    jobs.create_job(tmp_path / "job", source, "s3://bucket/kept/", options=options, **where)
    list(jobs.run_job(tmp_path / "job"))
    assert server.client().head_object(Bucket="bucket", Key="kept/one.txt")["CacheControl"] == "max-age=7"
    key = bytes(range(32))
    jobs.create_job(tmp_path / "secret", source, "s3://bucket/secret/", sse_c_key=key, **where)
    described = (tmp_path / "secret/job.json").read_text()
    assert json.loads(described)["sse_c"] is True
    assert "sse_c_key" not in described
    with pytest.raises(UsageError, match="give it again"):
        list(jobs.run_job(tmp_path / "secret"))


def test_a_job_for_asyncio(where: dict[str, Any], tmp_path: Path) -> None:
    """The async face does the same; leaving the loop is a pause, after which the rest is done."""

    async def main() -> tuple[list[ReportRow], list[ReportRow]]:
        job = tmp_path / "job"
        await aio.create_job(job, "s3://bucket/a/", tmp_path / "to", **where)
        first, rest = [], []
        async with aclosing(aio.run_job(job)) as rows:
            async for row in rows:
                first.append(row)
                if len(first) == 5:
                    break
        async with aclosing(aio.run_job(job)) as rows:
            rest = [row async for row in rows]
        assert (await aio.job_status(job)).ok
        return first, rest

    first, rest = asyncio.run(main())
    assert not {row.n for row in first} & {row.n for row in rest}


def test_planning_goes_on_where_keys_do_not_ascend(
    where: dict[str, Any], server: RunningServer, tmp_path: Path
) -> None:
    """The server lists a slash first, and leaves out what lies below the key that it begins after: no key is lost."""
    keys = ["a-b", "a.c", "a/b", "a/b-1", "a/b/1", "a/b/2", "a/c", "a/c-d", "a/c/1", "a/d", "a0"]
    for key in keys:
        server.client().put_object(Bucket="bucket", Key=f"odd/{key}", Body=b"1")
    source = Source("bucket", prefix="odd/", base="odd/", many=True)

    async def planned(job: Path, most: int | None) -> None:
        async with entered(str(job), Settings(), make=True) as folder, AsyncEngine(**where) as engine:
            found = ObjectRows(engine.control, source, selector(source), delete_row(source))
            count = 0
            async with aclosing(Planner(folder, found, Settings(), max_rows=2).shards()) as shards:
                async for _ in shards:
                    count += 1
                    if count == most:
                        return
            (plan,) = folder.plans()
            rows = [row.source for shard in plan.shards for row in folder.rows(shard)]
            assert sorted(rows) == sorted(f"s3://bucket/odd/{key}" for key in keys)

    for most in range(1, 6):
        for again in (most, None):
            asyncio.run(planned(tmp_path / str(most), again))


def test_two_processes_are_told_apart(where: dict[str, Any], tmp_path: Path) -> None:
    """A job in use is refused by its type, whoever uses it."""
    jobs.create_job(tmp_path / "job", "s3://bucket/a/", tmp_path / "to", **where)
    with alone_in_folder(str(tmp_path / "job")), pytest.raises(JobInUse):
        list(jobs.run_job(tmp_path / "job"))


def test_no_job(tmp_path: Path) -> None:
    """A folder that is missing, or no job, is told by its type."""
    with pytest.raises(NotFound):
        jobs.job_status(tmp_path / "none")
    with pytest.raises(NotFound):
        jobs.job_status(tmp_path)


def test_the_command_line(server: RunningServer, tmp_path: Path) -> None:
    """Failures of an earlier run still count, until a retry succeeds; a damaged plan is told by file and line."""
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key, "AWS_SESSION_TOKEN": ""}
    reached = keys | {"AWS_ENDPOINT_URL": server.endpoint_url}
    job, target = tmp_path / "job", tmp_path / "to"
    created = run("job", "create", job, "s3://bucket/a/", target, "--json", variables=reached)
    assert json.loads(created.stdout)["planned_rows"] == 40
    (target / NAMES[7]).mkdir(parents=True)
    for _ in range(2):
        failed = run("job", "run", job, "--quiet", variables=reached)
        assert failed.returncode == 1
        assert "1 object failed" in failed.stderr
    text = run("job", "status", job, variables=reached).stdout
    assert "40 planned = 39 succeeded, 1 failed, 0 skipped, 0 left" in text
    (target / NAMES[7]).rmdir()
    assert run("job", "run", job, "--retry-failed", "--quiet", variables=reached).returncode == 0
    assert "40 planned = 40 succeeded" in run("job", "status", job, variables=reached).stdout
    (job / "plan.json").write_text("{}")
    damaged = run("job", "run", job, variables=reached)
    assert damaged.returncode == 1
    assert f"{job}/plan.json" in damaged.stderr


def test_the_last_try_counts(tmp_path: Path) -> None:
    """A run whose retry succeeds is a success; what is to be typed next is quoted for the shell."""
    job, target = tmp_path / "my job", tmp_path / "to"
    with serving() as server:
        for key in "xy":
            server.store.put("bucket", f"a/{key}", make_object(key.encode()))
        where = ("--endpoint-url", server.endpoint_url)
        assert f"job run '{job}'`" in run("job", "create", job, "s3://bucket/a/", target, *where).stdout
        denied = on_service.Status(code="AccessDenied", key="a/x", operation="GetObject", attempt="every", times=4)
        server.add_fault(denied)
        failed = run("job", "run", job, *where)
        assert failed.returncode == 1
        assert f"1 object failed; `bulkhaul job run '{job}' --retry-failed` tries again" in failed.stderr
        assert run("job", "retry", job, *where).returncode == 0
        again = run("job", "run", job, "--retry-failed", "--json", *where)
    counts = json.loads(again.stdout.splitlines()[-1])
    assert (again.returncode, counts["failed"], counts["verified"], counts["success"]) == (0, 1, 1, True)
