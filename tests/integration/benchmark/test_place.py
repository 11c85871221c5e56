"""A benchmark deletes what it has made, whatever became of it, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faultserver import FaultServer, RefuseDelete, Status
from tests.integration.command import arguments, environment, run
from tests.patience import PATIENCE_S
from tests.s3_client import client_for
from tests.servers.moto import moto
from tests.servers.process import RunningServer

BUCKET = "busy"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """An S3 that keeps versions where a bucket is told to."""
    with moto() as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    """A client of the SDK, and a bucket with somebody's objects, which is empty at the end."""
    client = server.client()
    client.create_bucket(Bucket=BUCKET)
    for key in ("a", "some/b", "some/bulkhaul-bench-of-mine/c"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"mine")
    yield client
    for version in versions(client):
        client.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
    client.delete_bucket(Bucket=BUCKET)


def keys(client: Any) -> set[str]:
    """Return all keys of the bucket."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {one["Key"] for page in pages for one in page.get("Contents", ())}


def versions(client: Any) -> list[dict[str, Any]]:
    """Return all versions and delete markers of the bucket."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket=BUCKET)
    return [one for page in pages for kind in ("Versions", "DeleteMarkers") for one in page.get(kind, ())]


MINE = {"a", "some/b", "some/bulkhaul-bench-of-mine/c"}


def bench(server: RunningServer, state: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``bulkhaul bench`` with a state folder of its own."""
    return run("bench", *words, "--endpoint-url", server.endpoint_url, variables=variables(server, state))


def variables(server: RunningServer, state: Path) -> dict[str, str]:
    """Return the environment of a command."""
    return {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "BULKHAUL_STATE_DIR": str(state),
        "AWS_REGION": "us-east-1",
    }


SMALL = ("--size", "1KiB", "--objects", "20", "--concurrency", "4", "--duration", "1s")


@pytest.mark.parametrize("kind", ["get", "mixed", "put", "delete", "list", "stat"])
def test_nothing_is_left(server: RunningServer, client: Any, tmp_path: Path, kind: str) -> None:
    """After each kind of benchmark the bucket has what it had."""
    done = bench(server, tmp_path / "state", "run", kind, f"s3://{BUCKET}/some/", *SMALL, "--out", tmp_path / "out")
    assert done.returncode in (0, 3), done.stderr
    assert keys(client) == MINE
    assert not list((tmp_path / "state" / "benchmarks").iterdir())


def test_versions_are_not_left_either(server: RunningServer, client: Any, tmp_path: Path) -> None:
    """In a bucket that keeps versions, a deletion alone would leave all of them."""
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    before = len(versions(client))
    done = bench(server, tmp_path / "state", "run", "mixed", f"s3://{BUCKET}/some", *SMALL, "--out", tmp_path / "out")
    assert done.returncode in (0, 3), done.stderr
    assert len(versions(client)) == before


def _prefix(client: Any) -> str:
    """Return the prefix of the only benchmark that has a record in the bucket."""
    (record,) = [key for key in keys(client) if key.endswith("/benchmark.json")]
    return record.removesuffix("benchmark.json")


def begun(server: RunningServer, state: Path, out: Path, client: Any) -> subprocess.Popen[str]:
    """Return a benchmark that has stored all of its objects, and measures."""
    words = arguments(
        *("bench", "run", "put", f"s3://{BUCKET}/some/", "--size", "1KiB", "--objects", "20", "--concurrency", "4"),
        *("--duration", "60s", "--json", "--out", out, "--endpoint-url", server.endpoint_url),
    )
    process = subprocess.Popen(
        words, env=environment(**variables(server, state)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["type"] == "window"
    assert len(keys(client) - MINE) > 1
    return process


def test_an_interrupted_one_leaves_nothing(server: RunningServer, client: Any, tmp_path: Path) -> None:
    """Ctrl-C ends the measurement; what was measured is written, and what was stored is deleted."""
    process = begun(server, tmp_path / "state", tmp_path / "out", client)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, stderr
    assert "requests were broken off" in stderr
    late = f"{_prefix(client)}put/0000/0000099999"
    client.put_object(Bucket=BUCKET, Key=late, Body=b"1")  # a request that was broken off, carried out later
    assert bench(server, tmp_path / "state", "clean", f"s3://{BUCKET}/").returncode == 0
    assert keys(client) == MINE
    result = json.loads((tmp_path / "out" / "result.json").read_bytes())
    assert result["runs"][0]["interrupted"] is True


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "from another machine"])
def test_a_killed_one_is_found(server: RunningServer, client: Any, tmp_path: Path, elsewhere: bool) -> None:
    """``clean`` finds what a killed benchmark has left, by the record here or by the one in the bucket."""
    process = begun(server, tmp_path / "state", tmp_path / "out", client)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    time.sleep(1)  # its workers end, and with them their last requests
    (prefix,) = {key.rpartition("/put/")[0] for key in keys(client) - MINE if "/put/" in key}
    theirs = [f"{prefix}/notes.txt", f"{prefix}/put/0000/0000000000.bak", f"{prefix}/put/0000/9999999999"]
    for key in theirs[:2]:
        client.put_object(Bucket=BUCKET, Key=key, Body=b"somebody else's")
    client.put_object(Bucket=BUCKET, Key=theirs[2], Body=bytes(100_000))  # longer than any object of the benchmark
    if elsewhere:
        assert "has left anything" in bench(server, tmp_path / "other", "clean", f"s3://{BUCKET}/").stdout
        done = bench(server, tmp_path / "other", "clean", "--all", f"s3://{BUCKET}/")
    else:
        done = bench(server, tmp_path / "state", "clean", f"s3://{BUCKET}/")
    assert done.returncode == 0, done.stderr
    assert keys(client) == MINE | set(theirs)
    assert "3 stayed" in done.stdout
    assert "notes.txt" in done.stdout


def test_a_prefix_that_only_looks_like_one(server: RunningServer, client: Any, tmp_path: Path) -> None:
    """A folder with the name of a benchmark's, and no record, is nobody's."""
    done = bench(server, tmp_path / "state", "clean", f"s3://{BUCKET}/some/")
    assert done.returncode == 0
    assert "no benchmark has left anything here" in done.stdout
    refused = bench(
        server,
        tmp_path / "state",
        "run",
        "get",
        f"s3://{BUCKET}/some/bulkhaul-bench-of-mine/",
        *SMALL,
        "--out",
        tmp_path / "o",
    )
    assert refused.returncode == 2
    assert "no benchmark has a record here" in refused.stderr
    assert keys(client) == MINE


def test_a_record_of_another_place(server: RunningServer, client: Any, tmp_path: Path) -> None:
    """A record that was copied elsewhere makes nothing there a benchmark's."""
    done = bench(server, tmp_path / "state", "prepare", f"s3://{BUCKET}/some/", "--size", "1KiB", "--objects", "3")
    prefix = done.stdout.strip().removeprefix(f"s3://{BUCKET}/")
    other = "else/bulkhaul-bench-000000000000/"
    for name in ("benchmark.json", "table/0000000000"):
        client.copy_object(Bucket=BUCKET, Key=other + name, CopySource={"Bucket": BUCKET, "Key": prefix + name})
    assert bench(server, tmp_path / "other", "clean", "--all", f"s3://{BUCKET}/else/").returncode == 0
    assert {other + "benchmark.json", other + "table/0000000000"} <= keys(client)
    assert bench(server, tmp_path / "other", "clean", "--all", f"s3://{BUCKET}/some/").returncode == 0
    assert keys(client) == MINE | {other + "benchmark.json", other + "table/0000000000"}


def test_prepared_objects_serve_many_runs(server: RunningServer, client: Any, tmp_path: Path) -> None:
    """They stay until they are cleaned, also after runs that delete some of them; the record knows their size."""
    state = tmp_path / "state"
    done = bench(server, state, "prepare", f"s3://{BUCKET}/some/", "--size", "2KiB", "--objects", "30")
    assert done.returncode == 0, done.stderr
    url = done.stdout.strip()
    prefix = url.removeprefix(f"s3://{BUCKET}/")
    table = {key for key in keys(client) if key.startswith(f"{prefix}table/")}
    assert len(table) == 30
    for number, kind in enumerate(("get", "delete", "mixed", "stat")):
        out = tmp_path / str(number)
        done = bench(server, state, "run", kind, url, "--concurrency", "4", "--duration", "1s", "--out", out)
        assert done.returncode in (0, 3), done.stderr
        result = json.loads((out / "result.json").read_bytes())
        assert result["workload"]["objects"] == 30
        assert result["workload"]["size"] == "2KiB"
        assert not result["runs"][0]["failures"]
        assert table <= keys(client)
    client.delete_object(Bucket=BUCKET, Key=min(table))  # as a run leaves it that was killed
    done = bench(server, state, "run", "get", url, "--concurrency", "4", "--duration", "1s", "--out", tmp_path / "last")
    assert not json.loads((tmp_path / "last" / "result.json").read_bytes())["runs"][0]["failures"]
    assert table | MINE | {f"{prefix}benchmark.json"} == keys(client)
    assert "has left anything" in bench(server, state, "clean", f"s3://{BUCKET}/").stdout
    assert bench(server, state, "clean", url).returncode == 0
    assert keys(client) == MINE


def test_a_prepare_that_is_killed(server: RunningServer, client: Any, tmp_path: Path) -> None:
    """Nobody was told its prefix, so ``clean`` finds what it has left by the URL above, and no run takes it."""
    state = tmp_path / "state"
    words = ("bench", "prepare", f"s3://{BUCKET}/some/", "--size", "1KiB", "--objects", "20000")
    process = subprocess.Popen(
        arguments(*words, "--endpoint-url", server.endpoint_url), env=environment(**variables(server, state))
    )
    deadline_s = time.monotonic() + PATIENCE_S
    while len(keys(client) - MINE) < 20:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    process.kill()
    process.wait()
    time.sleep(1)  # its workers end, and with them their last requests
    refused = bench(server, state, "run", "get", f"s3://{BUCKET}/{_prefix(client)}", *SMALL, "--out", tmp_path / "o")
    assert (refused.returncode, "not all of its objects" in refused.stderr) == (2, True)
    assert bench(server, state, "clean", f"s3://{BUCKET}/").returncode == 0
    assert keys(client) == MINE


def test_a_benchmark_that_runs_is_left_alone(server: RunningServer, client: Any, tmp_path: Path) -> None:
    """Its prefix serves no other one, and ``clean`` deletes nothing of it."""
    process = begun(server, tmp_path / "state", tmp_path / "out", client)
    prefix = _prefix(client)
    done = bench(server, tmp_path / "state", "run", "stat", f"s3://{BUCKET}/{prefix}", *SMALL, "--out", tmp_path / "o")
    assert (done.returncode, "belongs to another benchmark" in done.stderr) == (2, True)
    assert "has left anything" in bench(server, tmp_path / "state", "clean", "--all", f"s3://{BUCKET}/").stdout
    assert f"{prefix}benchmark.json" in keys(client)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)


def test_a_worker_that_dies(server: RunningServer, client: Any, tmp_path: Path) -> None:
    """The others store nothing any more when its objects are deleted, and the record stays for what comes late."""
    process = begun(server, tmp_path / "state", tmp_path / "out", client)
    # The command, its forkserver, and that one's workers.
    workers = [one.pid for one in psutil.Process(process.pid).children(recursive=True) if one.ppid() != process.pid]
    os.kill(max(workers), signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, "a worker died" in stdout) == (1, True)
    assert "requests were broken off" in stderr
    time.sleep(1)
    assert keys(client) - MINE <= {f"{_prefix(client)}benchmark.json"}
    assert bench(server, tmp_path / "state", "clean", f"s3://{BUCKET}/").returncode == 0
    assert keys(client) == MINE


def test_the_record_comes_first(server: RunningServer, client: Any, tmp_path: Path) -> None:
    """A record is on the disk before the first object is stored: without a state folder nothing is stored."""
    state = tmp_path / "state"
    state.write_bytes(b"a file in its place")
    done = bench(server, state, "prepare", f"s3://{BUCKET}/some/", "--size", "1KiB", "--objects", "3")
    assert done.returncode == 1
    assert "BULKHAUL_STATE_DIR" in done.stderr
    assert keys(client) == MINE


def test_a_record_that_was_not_written_to_its_end(server: RunningServer, client: Any, tmp_path: Path) -> None:
    """A kill has left it under no name yet: it is nobody's, also where all of it is there."""
    state = tmp_path / "state"
    done = bench(server, state, "prepare", f"s3://{BUCKET}/some/", "--size", "1KiB", "--objects", "3")
    (record,) = (state / "benchmarks").iterdir()
    told = json.loads(record.read_bytes()) | {"process": "ended long ago"}
    assert bench(server, state, "clean", done.stdout.strip()).returncode == 0
    record.with_name(f".{record.name}.1").write_text(json.dumps(told))
    assert "has left anything" in bench(server, state, "clean", f"s3://{BUCKET}/").stdout
    assert keys(client) == MINE


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[tuple[FaultServer, dict[str, str]]]:
    """An S3 that refuses to delete where a test says so, and the environment of commands for it."""
    with FaultServer(buckets=[BUCKET]) as running:
        yield running, {"AWS_ENDPOINT_URL": running.endpoint_url, "BULKHAUL_STATE_DIR": str(tmp_path / "state")}


def test_what_a_run_added_and_nobody_may_delete(refusing: tuple[FaultServer, dict[str, str]], tmp_path: Path) -> None:
    """The next run would find other objects than were prepared: it says so, and measures nothing."""
    server, variables = refusing
    done = run("bench", "prepare", f"s3://{BUCKET}/", "--size", "1KiB", "--objects", "3", variables=variables)
    url = done.stdout.strip()
    words = ("--concurrency", "2", "--duration", "1s", "--out")
    assert run("bench", "run", "put", url, *words, tmp_path / "first", variables=variables).returncode in (0, 3)
    server.add_fault(RefuseDelete(pattern="*/put/*", attempt="every"))
    done = run("bench", "run", "list", url, *words, tmp_path / "second", variables=variables)
    assert done.returncode == 1
    assert "objects that an earlier run has added cannot be deleted" in done.stderr
    assert "AccessDenied" in done.stderr
    assert not (tmp_path / "second" / "result.json").exists()


def test_objects_that_nobody_may_delete(refusing: tuple[FaultServer, dict[str, str]], tmp_path: Path) -> None:
    """A benchmark that may not delete what it made names it, keeps its records, and ``clean`` goes on later."""
    server, variables = refusing
    refusal = RefuseDelete(pattern="*/table/*0", attempt="every")
    server.add_fault(refusal)
    done = run("bench", "run", "get", f"s3://{BUCKET}/", *SMALL, "--out", tmp_path / "out", variables=variables)
    assert "2 objects or uploads could not be deleted; run `bulkhaul bench clean s3://" in done.stderr
    left = run("ls", "--recursive", f"s3://{BUCKET}/", variables=variables).stdout
    assert left.count("/table/") == 2
    assert left.count("/benchmark.json") == 1
    assert (tmp_path / "out" / "result.json").exists()
    done = run("bench", "clean", f"s3://{BUCKET}/", variables=variables)
    assert (done.returncode, "2 objects or uploads could not be deleted" in done.stdout) == (1, True)


def test_an_upload_that_a_killed_one_left_unfinished(
    refusing: tuple[FaultServer, dict[str, str]], tmp_path: Path
) -> None:
    """No listing of objects shows it, and its parts are paid for: ``clean`` aborts it, and no upload of others."""
    server, variables = refusing
    server.add_fault(Status(status=503, code="SlowDown", operation="UploadPart", attempt="every"))
    (tmp_path / "config").write_text("[default]\ns3 =\n  multipart_threshold = 8MB\n")
    tasks = [{"action": "upload", "key": "large", "size": 16 << 20}]
    workload = {"version": 2, "comment": "", "filesOnDisk": False, "checksum": None, "maxRepeatCount": 1}
    (tmp_path / "u.run.json").write_text(json.dumps({**workload, "maxRepeatSecs": 60, "tasks": tasks}))
    words = arguments("bench", "run", "--workload", tmp_path / "u.run.json", f"s3://{BUCKET}/some/")
    own = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "TMPDIR": str(tmp_path)}  # where its temporary folder stays
    with subprocess.Popen(words, env=environment(**variables, **own)) as process:
        try:
            server.wait_for(lambda it: bool(it.requests_for("UploadPart")))
        finally:
            process.kill()
    begun = server.requests_for("UploadPart")
    client = client_for(server)
    client.create_multipart_upload(Bucket=BUCKET, Key=f"{begun[0].key}.bak")
    server.add_fault(Status(code="AccessDenied", operation="ListMultipartUploads", attempt="every", times=1))
    done = run("bench", "clean", f"s3://{BUCKET}/", variables=variables)  # which keeps the records, then
    assert (done.returncode, "1 objects or uploads could not be deleted" in done.stdout) == (1, True), done.stdout
    done = run("bench", "clean", f"s3://{BUCKET}/", variables=variables)
    assert (done.returncode, "  1 unfinished uploads aborted" in done.stdout) == (0, True), done.stderr
    left = client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    assert [one["Key"] for one in left] == [f"{begun[0].key}.bak"]
