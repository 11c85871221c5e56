"""Syncs with deletions whose every process is killed at random moments: both sides end alike, each row reported once.

    BULKHAUL_TEST_KILLS=60 BULKHAUL_TEST_OBJECTS=5000 pytest tests/integration/test_sync_job_deaths.py

kills as often, over sides of so many objects.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.killing import Place, killed
from tests.servers.weed import weed

KILLS = int(os.environ.get("BULKHAUL_TEST_KILLS", "3"))
OBJECTS = int(os.environ.get("BULKHAUL_TEST_OBJECTS", "400"))
#: A kill later than this after the job was made finds most runs at their end.
LONGEST_S = 2.0
DIRECTIONS = ("download", "upload", "copy")

pytestmark = pytest.mark.timeout(120 + 20 * KILLS)


@dataclass(frozen=True)
class Sides:
    """What the source has, and what only the destination has, by names; and how to look at both."""

    place: Place
    source: str
    destination: str

    def put(self, at: str, name: str, body: bytes, age_s: float = 0) -> None:
        """Store an object or a file, files so many seconds older than they are."""
        if at.startswith("s3://"):
            self.place.client.put_object(Bucket="bucket", Key=at.removeprefix("s3://bucket/") + name, Body=body)
            return
        path = Path(at, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, (1_700_000_000 - age_s, 1_700_000_000 - age_s))

    def remove(self, at: str, name: str) -> None:
        """Remove an object or a file."""
        if at.startswith("s3://"):
            self.place.client.delete_object(Bucket="bucket", Key=at.removeprefix("s3://bucket/") + name)
        else:
            Path(at, name).unlink()

    def stored(self, at: str) -> dict[str, str]:
        """Return the MD5 of everything that a side has, by names."""
        if at.startswith("s3://"):
            return self.place.stored(at.removeprefix("s3://bucket/"))
        paths = (path for path in Path(at).rglob("*") if path.is_file())
        return {str(path.relative_to(at)): hashlib.md5(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Serve an empty bucket."""
    with weed() as server:
        client: Any = server.client(max_pool_connections=16)
        client.create_bucket(Bucket="bucket")
        yield Place(server, client, tmp_path_factory.mktemp("source"), {})


def filled(place: Place, direction: str, number: int, folder: Path, chance: random.Random) -> Sides:
    """Make two sides: a third is missing at the destination, a third differs in size, and as much is extra there."""
    bucket = f"s3://bucket/{direction}-{number}"
    source = f"{folder}/from-{number}/" if direction == "upload" else f"{bucket}/from/"
    destination = f"{folder}/to-{number}/" if direction == "download" else f"{bucket}/to/"
    sides = Sides(place, source, destination)
    work: list[tuple[str, str, bytes]] = []
    for one in range(OBJECTS):
        name, body = f"{one % 7:02d}/{one:06d}", chance.randbytes(chance.randrange(1, 3000))
        if one % 4:
            work.append((source, name, body))
        if one % 4 != 1:
            work.append((destination, name, body + b"other"))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda each: sides.put(*each), work))
    return sides


def assert_accounted_for(place: Place, job: str) -> None:
    """Every planned row has one row in the report that did not fail."""
    told = place.run("job", "status", job, "--json")
    assert told.returncode == 0, told.stderr
    status = json.loads(told.stdout)
    assert (status["failed"], status["left"], status["withheld"]) == (0, 0, ""), status
    assert status["succeeded"] + status["skipped"] == status["planned_rows"] > 0
    lines = place.run("job", "report", job).stdout.splitlines()
    reported = Counter((row.get("plan", 0), row["n"]) for row in map(json.loads, lines))
    assert reported == Counter((0, n) for n in range(status["planned_rows"]))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_killed_at_random_moments(place: Place, tmp_path: Path, direction: str) -> None:
    """After any number of SIGKILLs the same command, or a run of the job, makes both sides alike."""
    chance = random.Random(direction)
    kills, jobs, in_deletions = -(-KILLS // len(DIRECTIONS)), 0, 0
    while kills:
        jobs += 1
        sides = filled(place, direction, jobs, tmp_path, chance)
        expected, extra = sides.stored(sides.source), sides.stored(sides.destination).keys()
        job = str(tmp_path / f"job-{jobs}")
        command = ("sync", sides.source, sides.destination, "--delete", "--job", job)
        slowly = ("--concurrency", "4", "--bwlimit", "1MiB", "--quiet")
        ended = False

        def deletes(job: str = job) -> bool:
            """Whether a run has begun with the deletions."""
            plan = Path(job, "plan.json")
            shards = json.loads(plan.read_bytes())["shards"] if plan.exists() else []
            names = [f"report/{shard['number']:06d}.1.json" for shard in shards if shard["deletes"]]
            return any(Path(job, name).exists() for name in names)

        while kills and not ended:
            late = chance.random() < 0.5
            once, longest_s = (deletes, 0.1) if late else (Path(job, "job.json").exists, LONGEST_S)
            ended = killed(place, *command, *slowly, after_s=chance.uniform(0, longest_s), once=once)
            kills -= not ended
            left = sides.stored(sides.destination).keys()
            in_deletions += bool(extra - left) and bool((left & extra) - expected.keys())
            if extra - left:
                assert expected.items() <= sides.stored(sides.destination).items(), "deletions came last"
        again = ("job", "run", job, "--quiet") if chance.random() < 0.5 or ended else (*command, *slowly)
        done = place.run(*again)
        assert (done.returncode, done.stdout, done.stderr) in {(0, "", ""), (2, "", done.stderr)}, done.stderr
        assert done.returncode == 0 or "has ended" in done.stderr
        assert sides.stored(sides.destination) == expected
        assert_accounted_for(place, job)
    print(f"{direction}: {jobs} jobs, {in_deletions} kills among deletions")
