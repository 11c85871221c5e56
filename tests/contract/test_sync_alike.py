"""Random syncs, each done as it is and as a job: both do the same, say the same, and leave the same trees."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bulkhaul import Engine, Settings
from bulkhaul.errors import OtherError
from bulkhaul.jobs import job as jobs
from bulkhaul.jobs.describing import described
from bulkhaul.jobs.folder.place import opened
from bulkhaul.jobs.status import job_status
from bulkhaul.jobs.sync_options import SyncOptions
from bulkhaul.jobs.sync_run import begin_sync
from bulkhaul.jobs.syncing import sync
from bulkhaul.model.rows import Action, Status
from tests.faultserver import FaultServer, make_object

NOON_S = 1_715_947_200  # 2024-05-17T12:00:00Z

Tree = dict[str, tuple[bytes, int]]
"""What a side has by its names: bytes, and seconds after noon. A name that ends in a slash is an empty folder, or marks
one."""

#: Below ``theirs/`` it has more bytes than a key may have.
LONG = "/".join(["x" * 200] * 5) + "/" + "x" * 14
NAMES = (LONG, "a", "a.b", "a/b", "a/c/d", "a0b", "c//d", "é", "\uffff", "😀/x", "tmp/x", "tmp/", "w/", "w/v/", "w/v/x")
trees = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.sampled_from([b"", b"x", b"y", b"xy"]), st.integers(0, 2)), max_size=7
)


@dataclass(frozen=True)
class Outcome:
    """What became of a sync: rows as (action, name, how it ended, why); what was withheld; and both trees."""

    rows: tuple[tuple[str, str, str, str], ...]
    withheld: bool
    ok: bool
    source: dict[str, bytes]
    destination: dict[str, bytes]


@dataclass(frozen=True)
class World:
    """A bucket with two prefixes, and two folders."""

    server: FaultServer
    engine: Engine
    root: Path

    def place(self, side: str, *, local: bool) -> str:
        """Return how a side is named."""
        return f"{self.root}/{side}/" if local else f"s3://bucket/{side}/"

    def fill(self, place: str, tree: Tree) -> None:
        """Have exactly this tree at a place, as far as a folder can have it."""
        if place.startswith("s3://"):
            prefix = place.removeprefix("s3://bucket/")
            for key in [key for key in self.server.store.in_bucket("bucket") if key.startswith(prefix)]:
                self.server.store.delete("bucket", key)
            for name, (body, after_s) in tree.items():
                if len(f"{prefix}{name}") > 1024:
                    continue
                made = make_object(b"" if name.endswith("/") else body, algorithm="CRC32")
                at = datetime.fromtimestamp(NOON_S + after_s, UTC)
                self.server.store.put("bucket", prefix + name, replace(made, last_modified=at))
            return
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)
        for name, (body, after_s) in sorted(tree.items()):
            path = Path(place, name)
            if "//" in name:
                continue
            parents = [one for one in path.parents if one.is_relative_to(place)]
            if path.is_dir() or any(one.is_file() for one in parents):
                continue
            if name.endswith("/"):
                path.mkdir(parents=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            os.utime(path, (NOON_S + after_s, NOON_S + after_s))

    def tree(self, place: str) -> dict[str, bytes]:
        """Return what is there."""
        if place.startswith("s3://"):
            prefix = place.removeprefix("s3://bucket/")
            found = self.server.store.in_bucket("bucket").items()
            return {key.removeprefix(prefix): one.body for key, one in found if key.startswith(prefix)}
        paths = Path(place).rglob("*")
        return {
            f"{one.relative_to(place)}{'/' * one.is_dir()}": b"" if one.is_dir() else one.read_bytes() for one in paths
        }


@pytest.fixture(scope="module")
def world(served: tuple[FaultServer, Engine]) -> Iterator[World]:
    """One for all examples."""
    with tempfile.TemporaryDirectory() as root:
        yield World(*served, Path(root))


def ended(failed: bool, skipped: bool) -> str:
    """Return how a row ended."""
    return str(Status.FAILED if failed else Status.SKIPPED if skipped else Status.SUCCEEDED)


def as_it_is(world: World, source: str, destination: str, options: SyncOptions) -> Outcome:
    """Sync without a job."""
    rows, withheld = [], False
    try:
        for one in sync(world.engine, source, destination, options):
            why = f"{one.failure.code}: {one.failure.message}" if one.failure else one.skipped or one.reason
            rows.append((str(one.action), one.source, ended(one.failure is not None, bool(one.skipped)), why))
    except OtherError:
        withheld = True
    ok = not withheld and all(how != "failed" for _, _, how, _ in rows)
    return Outcome(tuple(sorted(rows)), withheld, ok, world.tree(source), world.tree(destination))


def as_a_job(world: World, source: str, destination: str, options: SyncOptions) -> Outcome:
    """Sync by a job; deletions that were withheld are rows that failed."""
    rows, refused = [], 0
    with tempfile.TemporaryDirectory() as home, opened(home, Settings(), alone_as="test") as folder:
        begin_sync(folder, described(source, destination, kind="sync", sync=options))
        for row in world.engine.each(jobs.run(world.engine.aio, folder, name="test")):
            why = f"{row.error.code}: {row.error.message}" if row.error else row.reason
            if row.action is Action.DELETE and ("not deleted" in why or "nothing was deleted" in why):
                refused += 1
            else:
                rows.append((str(row.action), row.source, str(row.status), why))
        status = job_status(folder)
        assert status.complete
        assert status.succeeded + status.failed + status.skipped == status.planned_rows == len(rows) + refused
        again = list(world.engine.each(jobs.run(world.engine.aio, folder, name="again")))
        assert again == [], "a second run does nothing"
        assert len(list(jobs.report_rows(folder))) == status.planned_rows
    withheld = refused > 0 or bool(status.withheld)
    return Outcome(tuple(sorted(rows)), withheld, status.ok, world.tree(source), world.tree(destination))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    trees,
    trees,
    st.sampled_from(["down", "up", "copy"]),
    st.sampled_from(["size,mtime", "size", "etag", "checksum"]),
    st.sampled_from([None, "", "1", "50%", "100%"]),
    st.booleans(),
    st.sampled_from([(), ("tmp/*",), ("a*",)]),
)
@example({LONG: (b"x", 0)}, {"a": (b"x", 0)}, "copy", "size", "", False, ())
@example({LONG: (b"x", 0)}, {"a": (b"x", 0)}, "up", "size", "", False, ())
@example({"a/b": (b"x", 0), "é": (b"x", 0)}, {"a": (b"x", 0), "w/v/x": (b"x", 0)}, "down", "size", "", True, ())
@example({"a": (b"x", 0)}, {"a/b": (b"x", 0)}, "down", "size", "", False, ())
def test_a_job_does_the_same(
    world: World,
    source: Tree,
    destination: Tree,
    direction: str,
    compare: str,
    max_delete: str | None,
    dir_markers: bool,
    exclude: tuple[str, ...],
) -> None:
    """The same rows with the same reasons, the same deletions or none, the same end."""
    ours, theirs = world.place("ours", local=direction == "up"), world.place("theirs", local=direction == "down")
    options = SyncOptions(
        delete=max_delete is not None,
        max_delete=max_delete or "",
        compare=compare,
        dir_markers=dir_markers,
        exclude=exclude,
    )
    outcomes = []
    for how, dry in ((as_it_is, True), (as_it_is, False), (as_a_job, False)):
        world.fill(ours, source)
        world.fill(theirs, destination)
        before = world.tree(ours), world.tree(theirs)
        outcomes.append(how(world, ours, theirs, msgspec.structs.replace(options, dry_run=dry)))
        assert not dry or (world.tree(ours), world.tree(theirs)) == before
    told, plain, job = outcomes
    assert set(job.rows) ^ set(plain.rows) == set()
    assert job == plain
    assert not plain.ok or (told.rows, told.ok) == (plain.rows, True)
