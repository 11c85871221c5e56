"""Syncs as jobs: deletions wait for every transfer, for every listing, and for another look at the source."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from bulkhaul import Settings
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.jobs import job as jobs
from bulkhaul.jobs import sync_job
from bulkhaul.jobs.describing import described
from bulkhaul.jobs.folder.description import Shard
from bulkhaul.jobs.folder.place import opened
from bulkhaul.jobs.planner import Planner
from bulkhaul.jobs.status import JobStatus, job_status
from bulkhaul.jobs.sync_options import SyncOptions
from bulkhaul.jobs.sync_rows import SyncRows
from bulkhaul.jobs.sync_run import begin_sync
from bulkhaul.model.errors import NetworkError, UsageError
from bulkhaul.model.rows import Action, ReportRow
from tests.engines import keys, running_engine, serving
from tests.faultserver import Status, make_object
from tests.integration.command import arguments, environment
from tests.patience import PATIENCE_S
from tests.syncing import DELETE, OURS, THEIRS, Place
from tests.unit.jobs.folders import MortalStore, folder_in

Told = list[tuple[str, str, str]]


@dataclass
class SyncJob:
    """A sync of a place, in a folder of its own."""

    place: Place
    folder: Path
    source: str
    destination: str
    options: SyncOptions = DELETE

    def begin(self) -> None:
        """Make it, or go on with it, as the command does."""
        made = described(self.source, self.destination, kind="sync", sync=self.options)
        with opened(str(self.folder), Settings(), make=True) as folder:
            begin_sync(folder, made)

    def run(self) -> Told:
        """Do what is left; return it."""
        with opened(str(self.folder), Settings()) as folder:
            engine = self.place.engine
            return told(list(engine.each(jobs.run(engine.aio, folder, name=jobs.runner_name()))))

    def plan(self) -> None:
        """Write the whole plan, and carry nothing out."""

        async def planning(engine: AsyncEngine) -> None:
            with opened(str(self.folder), Settings()) as folder:
                async with contextlib.aclosing(jobs.planned(engine, folder)) as shards:
                    async for _ in shards:
                        pass

        self.place.engine.run(lambda: planning(self.place.engine.aio))

    def retry(self) -> int:
        """Plan what failed again; return how many rows that is."""
        with opened(str(self.folder), Settings()) as folder:
            plan = asyncio.run(jobs.retry(folder))
        return 0 if plan is None else plan.totals.rows

    @property
    def status(self) -> JobStatus:
        """How far it is."""
        with opened(str(self.folder), Settings()) as folder:
            return job_status(folder)

    @property
    def report(self) -> list[ReportRow]:
        """All its report rows."""
        with opened(str(self.folder), Settings()) as folder:
            return list(jobs.report_rows(folder))

    def added_up(self) -> JobStatus:
        """Return the status, which must account for every planned row."""
        status = self.status
        assert status.complete
        assert status.succeeded + status.failed + status.skipped == status.planned_rows
        numbers = [(row.plan, row.n) for row in self.report]
        assert len(numbers) == len(set(numbers))
        return status


def told(rows: list[ReportRow]) -> Told:
    """Return what was done with which key or file, and how it ended."""
    return sorted((str(row.action), row.source.rpartition("/")[2], str(row.status)) for row in rows)


def job_of(place: Place, tmp_path: Path, source: str, destination: str, options: SyncOptions = DELETE) -> SyncJob:
    """Begin a job."""
    job = SyncJob(place, tmp_path / "job", source, destination, options)
    job.begin()
    return job


def test_both_sides_have_the_same(place: Place, tmp_path: Path) -> None:
    """What differs is moved, what is extra goes, and what is alike is counted without a row."""
    place.put("ours/a", "ours/b", "theirs/extra")
    place.put("theirs/b")
    job = job_of(place, tmp_path, OURS, THEIRS)
    assert job.run() == [("copy", "a", "succeeded"), ("delete", "extra", "succeeded")]
    assert place.keys("theirs/") == ["a", "b"]
    status = job.added_up()
    assert (status.planned_rows, status.unchanged, status.ok) == (2, 1, True)
    with pytest.raises(UsageError, match="has ended"):
        job.begin()


def test_a_failed_transfer_withholds_deletions_until_a_retry_succeeds(place: Place, tmp_path: Path) -> None:
    """Every deletion fails beside the transfer; a retry of both does both, and the numbers add up."""
    place.put("ours/a", "ours/bad", "theirs/x", "theirs/y")
    place.server.add_fault(
        Status(code="AccessDenied", operation="CopyObject", key="theirs/bad", attempt="every", times=2)
    )
    job = job_of(place, tmp_path, OURS, THEIRS)
    withheld = [("delete", "x", "failed"), ("delete", "y", "failed")]
    assert job.run() == [("copy", "a", "succeeded"), ("copy", "bad", "failed"), *withheld]
    assert place.keys("theirs/") == ["a", "x", "y"]
    assert all(
        "because 1 failed" in row.error.message for row in job.report if row.action is Action.DELETE and row.error
    )
    assert (job.added_up().failed, job.status.ok) == (3, False)
    assert job.run() == [], "a second run does nothing"
    assert job.retry() == 3
    assert job.run() == [("copy", "bad", "failed"), *withheld]
    assert job.retry() == 3
    assert job.run() == [("copy", "bad", "succeeded"), ("delete", "x", "succeeded"), ("delete", "y", "succeeded")]
    assert place.keys("theirs/") == ["a", "bad"]
    assert (job.added_up().succeeded, job.status.ok) == (4, True)


def test_more_than_was_allowed_is_never_deleted(place: Place, tmp_path: Path) -> None:
    """The limit holds for the job: a retry deletes no more than the first run."""
    place.put("ours/a", "theirs/x", "theirs/y")
    job = job_of(place, tmp_path, OURS, THEIRS, SyncOptions(delete=True, max_delete="1"))
    for _ in range(2):
        assert [one for one in job.run() if one[0] == "delete"] == [
            ("delete", "x", "failed"),
            ("delete", "y", "failed"),
        ]
        assert place.keys("theirs/") == ["a", "x", "y"]
        assert "--max-delete 1" in job.status.withheld
        assert not job.added_up().ok
        assert job.retry() == 2


def test_an_empty_source_deletes_nothing(place: Place, tmp_path: Path) -> None:
    """Not without a limit that says that it is meant."""
    place.put("theirs/x")
    job = job_of(place, tmp_path, OURS, THEIRS)
    assert job.run() == [("delete", "x", "failed")]
    assert place.keys("theirs/") == ["x"]


def test_a_listing_that_is_not_sound(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be read withholds every deletion of the job, also when it can be read later."""
    place.make("a", "locked/x")
    place.put("theirs/locked/x", "theirs/extra")
    opening = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).endswith("/locked"):
            raise PermissionError(13, "denied")
        return opening(path, flags, mode, dir_fd=dir_fd)

    job = job_of(place, tmp_path, str(place.here), THEIRS)
    with monkeypatch.context() as broken:
        broken.setattr("os.open", refuse)
        assert ("delete", "extra", "failed") in job.run()
    assert "locked" in job.status.withheld
    assert job.retry()
    assert ("delete", "extra", "failed") in job.run()
    assert place.keys("theirs/") == ["a", "extra", "locked/x"]
    assert not job.added_up().ok


def test_what_came_meanwhile_at_the_source_stays(place: Place, tmp_path: Path) -> None:
    """A run that has not listed the source looks at it again before it deletes."""
    place.put("ours/a", "theirs/came", "theirs/gone", "theirs/changed", "theirs/extra")
    job = job_of(place, tmp_path, OURS, THEIRS)
    job.plan()
    place.put("ours/came")
    place.put("theirs/changed", body=b"another one")
    place.server.store.delete("bucket", "theirs/gone")
    assert job.run() == [
        ("copy", "a", "succeeded"),
        ("delete", "came", "skipped"),
        ("delete", "changed", "failed"),
        ("delete", "extra", "succeeded"),
        ("delete", "gone", "succeeded"),
    ]
    assert place.keys("theirs/") == ["a", "came", "changed"]
    job.added_up()


def test_what_came_meanwhile_in_a_folder_stays(place: Place, tmp_path: Path) -> None:
    """The same where the source is on this machine, and what cannot be looked at is not missing."""
    place.make("a")
    place.put("theirs/came", "theirs/extra", "theirs/loop/x")
    job = job_of(place, tmp_path, str(place.here), THEIRS)
    job.plan()
    place.make("came")
    (place.here / "loop").symlink_to("loop")
    assert job.run() == [
        ("delete", "came", "skipped"),
        ("delete", "extra", "succeeded"),
        ("delete", "x", "failed"),
        ("upload", "a", "succeeded"),
    ]
    assert place.keys("theirs/") == ["a", "came", "loop/x"]


def test_a_file_that_is_another_one_by_now_stays(place: Place, tmp_path: Path) -> None:
    """Files are removed only if they are those that were listed, and folders that this empties go, too."""
    place.put("ours/a")
    place.make("deep/extra", "changed", "gone")
    job = job_of(place, tmp_path, OURS, str(place.here))
    job.plan()
    (place.here / "changed").write_bytes(b"y")
    (place.here / "gone").unlink()
    assert job.run() == [
        ("delete", "changed", "failed"),
        ("delete", "extra", "succeeded"),
        ("delete", "gone", "succeeded"),
        ("download", "a", "succeeded"),
    ]
    assert place.files() == ["a", "changed"]
    assert not (place.here / "deep").exists()
    assert (place.here / "a").stat().st_mtime != 1


def test_a_source_that_is_empty_by_now(place: Place, tmp_path: Path) -> None:
    """A disk that is not mounted any more is no source that has nothing."""
    place.make("a")
    place.put("theirs/a", "theirs/extra")
    job = job_of(place, tmp_path, str(place.here), THEIRS)
    job.plan()
    (place.here / "a").unlink()
    assert job.run() == [("delete", "extra", "failed")]
    assert place.keys("theirs/") == ["a", "extra"]


def test_a_job_in_one_of_its_sides_is_refused(place: Place) -> None:
    """Its files would be moved, or deleted; nothing is made there."""
    place.here.mkdir()
    for folder in (place.here, place.here / "job"):
        for source, destination in ((OURS, place.here), (place.here, THEIRS)):
            with pytest.raises(UsageError, match="lies in"):
                next(sync_job(folder, source, destination))
    assert not list(place.here.iterdir())


@pytest.mark.parametrize("last_one", [False, True])
@pytest.mark.parametrize("requests", range(1, 12))
def test_a_planner_that_dies(place: Place, requests: int, last_one: bool) -> None:
    """The next one plans what is left, each name once, whatever was moved meanwhile, and deletions apart."""
    place.put(*(f"ours/{name}" for name in "abcde"), *(f"theirs/{name}" for name in "vwxyz"))
    store = MortalStore()
    store.requests, store.last_one = requests, last_one
    folder = folder_in(store)
    engine = place.engine.aio

    async def plan() -> list[Shard]:
        source = SyncRows(engine, engine, OURS, THEIRS, DELETE)
        planner = Planner(folder, source, engine.settings, max_rows=2)
        async with contextlib.aclosing(planner.shards()) as shards:
            return [shard async for shard in shards]

    with contextlib.suppress(NetworkError):
        place.engine.run(plan)
    store.requests = None
    place.server.store.put("bucket", "theirs/a", make_object(b"x"))
    place.put("ours/aa")
    shards = place.engine.run(plan)
    (whole,) = folder.plans()
    assert list(whole.shards) == shards
    rows = [row for shard in shards for row in folder.rows(shard)]
    copied = [row.destination.removeprefix(THEIRS) for row in rows if row.action is Action.COPY]
    deleted = [row.source.removeprefix(THEIRS) for row in rows if row.action is Action.DELETE]
    assert (sorted({*copied, "a", "aa"}), deleted) == (["a", "aa", *"bcde"], list("vwxyz"))
    assert len(copied) == len(set(copied))
    assert all(shard.deletes is (row.action is Action.DELETE) for shard in shards for row in folder.rows(shard))
    assert whole.totals.withheld == ""


def test_folders_are_marked(place: Place, tmp_path: Path) -> None:
    """Markers are rows like others, both ways."""
    place.put("ours/empty/", body=b"")
    place.put("ours/a")
    down = job_of(place, tmp_path, OURS, str(place.here), SyncOptions(dir_markers=True))
    assert [status for _, _, status in down.run()] == ["succeeded", "succeeded"]
    assert (place.here / "empty").is_dir()
    up = SyncJob(place, tmp_path / "up", str(place.here), THEIRS, SyncOptions(dir_markers=True))
    up.begin()
    assert [status for _, _, status in up.run()] == ["succeeded", "succeeded"]
    assert place.keys("theirs/") == ["a", "empty/"]
    assert up.added_up().ok


def test_a_marked_folder_stays_when_it_becomes_empty(place: Place, tmp_path: Path) -> None:
    """Deletions leave the folders that the source marks, or of which it cannot tell, and no others."""
    place.put("ours/a/b/", "ours/kept", body=b"")
    place.make("a/b/x/y", "a/b/z", "c/x", "d/x")
    place.server.add_fault(Status(code="AccessDenied", operation="HeadObject", key="ours/d/", attempt="every"))
    job = job_of(place, tmp_path, OURS, str(place.here), SyncOptions(dir_markers=True, delete=True))
    job.run()
    assert job.added_up().ok
    found = sorted(str(path.relative_to(place.here)) for path in place.here.rglob("*"))
    assert found == ["a", "a/b", "d", "kept"]


def test_a_source_that_lies_in_the_destination_under_another_name(place: Place, tmp_path: Path) -> None:
    """The same server by another host name: every deletion fails and says why, also when it is tried again."""
    place.put("src/a", "src/b", "z")
    url = place.server.endpoint_url
    with running_engine(url, part_size_bytes=None) as engine, opened(str(tmp_path), Settings()) as folder:
        there = Settings(endpoint_url=url.replace("127.0.0.1", "localhost"))
        made = described("s3://bucket/src/", "s3://bucket/", kind="sync", sync=DELETE, origin=there)
        begin_sync(folder, made)
        for _ in range(2):
            run = jobs.run(engine.aio, folder, name=jobs.runner_name(), origin=engine.beside(there))
            deleted = [row for row in engine.each(run) if row.action is Action.DELETE]
            assert [row.source for row in deleted] == [f"s3://bucket/{name}" for name in ("src/a", "src/b", "z")]
            for row in deleted:
                assert row.error is not None
                assert "SRC seems to lie in DEST under another name" in row.error.message
            assert not job_status(folder).ok
            assert asyncio.run(jobs.retry(folder)) is not None
    assert place.keys("") == ["a", "b", "src/a", "src/b", "z"]


def test_a_file_in_the_place_of_a_folder(place: Place, tmp_path: Path) -> None:
    """It is deleted as soon as all else has succeeded, and a retry stores what needs the folder."""
    place.put("ours/a/b", "ours/bad")
    place.make("a", "extra")
    place.server.add_fault(Status(code="AccessDenied", operation="GetObject", key="ours/bad", attempt="every", times=2))
    job = job_of(place, tmp_path, OURS, str(place.here))
    withheld = [("delete", "a", "failed"), ("delete", "extra", "failed")]
    assert job.run() == [*withheld, ("download", "b", "failed"), ("download", "bad", "failed")]
    assert all("because 1 failed" in row.error.message for row in job.report if row.error and row.action == "delete")
    assert job.retry() == 4
    deleted = [("delete", "a", "succeeded"), ("delete", "extra", "succeeded")]
    assert job.run() == [*deleted, ("download", "b", "failed"), ("download", "bad", "succeeded")]
    assert place.files() == ["bad"]
    assert job.retry() == 1
    assert job.run() == [("download", "b", "succeeded")]
    assert place.files() == ["a/b", "bad"]
    assert job.added_up().ok


def test_a_name_that_cannot_be_stored(place: Place, tmp_path: Path) -> None:
    """It is a row that failed, each time anew, and withholds deletions."""
    place.put("ours/a", "ours/a/b", "ours/c")
    place.make("extra")
    job = job_of(place, tmp_path, OURS, str(place.here))
    failed = [("delete", "extra", "failed"), ("download", "b", "failed")]
    assert job.run() == sorted([*failed, ("download", "a", "succeeded"), ("download", "c", "succeeded")])
    assert [row.error.code for row in job.report if row.error and row.action is Action.DOWNLOAD] == ["UnsafeKey"]
    assert job.retry() == 2
    assert job.run() == failed
    assert place.files() == ["a", "c", "extra"]
    job.added_up()


def test_what_lies_on_both_sides_is_skipped(place: Place, tmp_path: Path) -> None:
    """A destination in the source is left out, and its rows say so."""
    place.put("ours/a", "ours/copy/b")
    job = job_of(place, tmp_path, OURS, f"{OURS}copy/")
    assert job.run() == [("copy", "a", "succeeded"), ("delete", "b", "succeeded"), ("skip", "b", "skipped")]
    assert place.keys("ours/") == ["a", "copy/a"]
    assert job.added_up().ok


def test_other_options_are_another_job(place: Place, tmp_path: Path) -> None:
    """Going on takes the same source, destination and options."""
    place.put("ours/a")
    job = job_of(place, tmp_path, OURS, THEIRS, SyncOptions(include=("a*",)))
    SyncJob(place, job.folder, OURS, THEIRS, SyncOptions(include=["a*"])).begin()
    with pytest.raises(UsageError, match="there is a job"):
        SyncJob(place, job.folder, OURS, THEIRS, SyncOptions(include=("b*",))).begin()


def test_the_command(place: Place, tmp_path: Path) -> None:
    """It syncs, tells what it did, withholds with status 1, and refuses what has ended."""
    place.put("ours/a", "ours/b", "theirs/b", "theirs/x", "theirs/y")
    variables = environment(AWS_ENDPOINT_URL=place.server.endpoint_url)
    words = ("sync", OURS, THEIRS, "--delete", "--max-delete", "1", "--job", tmp_path / "job", "--json")

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(arguments(*words), env=variables, capture_output=True, text=True, timeout=PATIENCE_S)

    done = run(*words)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    did = [(line["operation"], "error" in line) for line in lines[:-1]]
    assert did == [("cp", False), ("rm", True), ("rm", True)]
    assert (lines[-1]["planned"], lines[-1]["unchanged"]) == (3, 1)
    assert (lines[-1]["success"], "--max-delete 1" in lines[-1]["unfinished"], done.stderr) == (False, True, "")
    assert place.keys("theirs/") == ["a", "b", "x", "y"]
    again = run(*words)
    assert (again.returncode, "has ended with failures" in again.stdout, again.stderr) == (2, True, "")
    assert "--max-delete 1" in run("job", "status", tmp_path / "job").stdout
    assert run(*words, "--dry-run").returncode == 2


def test_restored_links_are_reported_where_they_are(tmp_path: Path) -> None:
    """The report names the path of the link on disk, also where it is read again beside its plan."""
    with serving() as server, running_engine(server.endpoint_url, keys(), store_links=True) as engine:
        place = Place(server, engine, tmp_path / "here")
        place.put("ours/a", "ours/l.rclonelink", body=b"a")
        job = job_of(place, tmp_path, OURS, str(place.here))
        assert [status for _, _, status in job.run()] == ["succeeded", "succeeded"]
        by_source = {row.source.rpartition("/")[2]: row.destination for row in job.report}
        assert by_source == {"a": str(place.here / "a"), "l.rclonelink": str(place.here / "l")}
        assert os.readlink(place.here / "l") == "a"
        assert job.run() == []
        assert job.added_up().succeeded == 2
