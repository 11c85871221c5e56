"""A job whose every process is killed at random moments: the next run ends with every row exact, none twice or missing.

    BULKHAUL_TEST_KILLS=100 BULKHAUL_TEST_OBJECTS=5000 pytest tests/integration/test_job_deaths.py

kills as often, over jobs of so many objects.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.command import arguments, environment
from tests.integration.killing import Place, killed
from tests.patience import PATIENCE_S
from tests.servers.weed import weed

KILLS = int(os.environ.get("BULKHAUL_TEST_KILLS", "4"))
OBJECTS = int(os.environ.get("BULKHAUL_TEST_OBJECTS", "1000"))
#: Runs are slowed down so that objects move for most of the time in which a run may be killed.
LONGEST_S = 6.0
SLOWLY = ("--bwlimit", "2MiB" if OBJECTS <= 1000 else "6MiB", "--concurrency", "4")

pytestmark = pytest.mark.timeout(120 + 20 * KILLS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Serve the objects, from 0 bytes to 2 MiB, in folders."""
    folder = tmp_path_factory.mktemp("source")
    chance, bodies = random.Random(7), {}
    for number in range(OBJECTS):
        name = f"{number % 13:02d}/{number:06d}"
        body = chance.randbytes(2**21 if number % 251 == 17 else chance.randrange(3000))
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
        bodies[name] = hashlib.md5(body).hexdigest()
    with weed() as server:
        client = server.client(max_pool_connections=16)
        client.create_bucket(Bucket="bucket")
        with ThreadPoolExecutor(8) as threads:
            put = [
                threads.submit(
                    client.put_object, Bucket="bucket", Key=f"source/{name}", Body=(folder / name).read_bytes()
                )
                for name in bodies
            ]
            for one in put:
                one.result()
        yield Place(server, client, folder, bodies)


def files_of(place: Place, job: str) -> dict[str, bytes]:
    """Return the files of a job by their names."""
    if not job.startswith("s3://"):
        return {str(path.relative_to(job)): path.read_bytes() for path in Path(job).rglob("*") if path.is_file()}
    prefix = job.removeprefix("s3://bucket/") + "/"
    keys = place.stored(prefix)
    return {name: place.client.get_object(Bucket="bucket", Key=prefix + name)["Body"].read() for name in keys}


def assert_accounted_for(place: Place, job: str) -> None:
    """Each row of the plan has one row in the segments that count, and all of them succeeded."""
    files = files_of(place, job)
    plan = json.loads(files["plan.json"])
    planned, reported = Counter[int](), Counter[int]()
    for shard in plan["shards"]:
        data = files[f"plan/{shard['number']:06d}.jsonl.gz"]
        assert hashlib.sha256(data).hexdigest() == shard["sha256"]
        planned.update(json.loads(line)["n"] for line in gzip.decompress(data).splitlines())
        done = json.loads(files[f"done/{shard['number']:06d}"])
        assert done["counts"]["succeeded"] == shard["rows"]
        for segment in done["segments"]:
            rows = [json.loads(line) for line in gzip.decompress(files[segment["name"]]).splitlines()]
            reported.update(row["n"] for row in rows)
            assert all(row["status"] == "succeeded" for row in rows)
    assert planned == reported == Counter(range(OBJECTS))


JOBS = [("download", "folder"), ("upload", "bucket"), ("copy", "folder"), ("download", "bucket")]


@pytest.mark.parametrize(("direction", "where"), JOBS, ids=["-".join(one) for one in JOBS])
def test_killed_at_random_moments(place: Place, tmp_path: Path, direction: str, where: str) -> None:
    """After any number of SIGKILLs the next run ends with every object exact, and each row reported once."""
    chance = random.Random(f"{direction} {where}")
    kills = -(-KILLS // len(JOBS))
    jobs = in_the_middle = 0
    while kills:
        jobs += 1
        job = str(tmp_path / f"job-{jobs}") if where == "folder" else f"s3://bucket/jobs/{direction}-{where}-{jobs}"
        target = tmp_path / f"to-{jobs}" if direction == "download" else f"s3://bucket/to/{direction}-{jobs}/"
        source = place.folder if direction == "upload" else "s3://bucket/source/"
        create = ("job", "create", job, source, target, "--kind", "copy")
        if chance.random() < 0.5 and not killed(place, *create, after_s=chance.uniform(0.2, 0.8)):
            kills -= 1  # whatever there is of the plan, the same command goes on with it
        created = place.run(*create)
        assert created.returncode == 0 or "a job in this folder already" in created.stderr, created.stderr
        ended = False
        while kills and not ended:
            ended = killed(place, "job", "run", job, "--quiet", *SLOWLY, after_s=chance.uniform(0.1, LONGEST_S))
            kills -= not ended
            if not ended:
                told = json.loads(place.run("job", "status", job, "--json").stdout)
                in_the_middle += 0 < told["left"] < OBJECTS
                assert told["succeeded"] + told["left"] == told["planned_rows"] == OBJECTS
        done = place.run("job", "run", job, "--quiet")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert_accounted_for(place, job)
        if isinstance(target, Path):
            found = {str(path.relative_to(target)): path for path in target.rglob("*") if path.is_file()}
            assert {name: hashlib.md5(path.read_bytes()).hexdigest() for name, path in found.items()} == place.bodies
        else:
            assert place.stored(target.removeprefix("s3://bucket/")) == place.bodies
        before = files_of(place, job)
        again = place.run("job", "run", job, "--json")
        assert json.loads(again.stdout)["planned"] == 0, "a second run does nothing"
        assert files_of(place, job).keys() == before.keys()
    print(f"{direction} {where}: {jobs} jobs, {in_the_middle} kills in the middle")


def test_a_job_that_runs_is_refused(place: Place, tmp_path: Path) -> None:
    """A second run of a job is refused while the first one lives, and not any more when it was killed."""
    for job in (str(tmp_path / "job"), "s3://bucket/jobs/refused"):
        target = tmp_path / f"to-{job.startswith('s3')}"
        assert place.run("job", "create", job, "s3://bucket/source/", target).returncode == 0
        words = ("job", "run", job, "--bwlimit", "100KiB", "--concurrency", "4")
        process = subprocess.Popen(
            arguments(*words), env=environment(**place.variables), stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("cp s3://bucket/source/")
            second = place.run("job", "run", job)
            assert second.returncode == 1
            assert f"process {process.pid}" in second.stderr
        finally:
            process.kill()
            process.communicate()
        assert place.run("job", "run", job, "--quiet").returncode == 0
        assert_accounted_for(place, job)


def test_ctrl_c_is_a_pause(place: Place, tmp_path: Path) -> None:
    """Ctrl-C keeps in the report what it says was done, and tells how to go on."""
    for job in (str(tmp_path / "job"), "s3://bucket/jobs/paused"):
        target = tmp_path / f"to-{job.startswith('s3')}"
        assert place.run("job", "create", job, "s3://bucket/source/", target).returncode == 0
        words = ("job", "run", job, "--bwlimit", "300KiB", "--concurrency", "4")
        process = subprocess.Popen(
            arguments(*words),
            env=environment(**place.variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        timer = threading.Timer(0.5, process.send_signal, [signal.SIGINT])
        timer.start()
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130, err
        assert f"`bulkhaul job run {job}` goes on" in err
        told = json.loads(place.run("job", "status", job, "--json").stdout)
        assert told["succeeded"] >= 1 + len(out.splitlines())
        assert 0 < told["left"] < OBJECTS
        began_s = time.time()
        assert place.run("job", "run", job, "--quiet").returncode == 0
        assert_accounted_for(place, job)
        assert time.time() - began_s < PATIENCE_S
