"""Syncs of random trees in every direction: both sides end as a model says, and a second run moves nothing."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bulkhaul import Engine
from bulkhaul.errors import NetworkError
from bulkhaul.jobs import job as jobs
from bulkhaul.jobs.describing import described
from bulkhaul.jobs.status import job_status
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.syncing import sync
from bulkhaul.model.rows import Action
from tests.faultserver import FaultServer, make_object
from tests.unit.jobs.folders import MortalStore, folder_in

NOON_S = 1_715_947_200  # 2024-05-17T12:00:00Z
COMPARE = ("size,mtime", "size", "etag", "checksum", "mtime,checksum")


@dataclass(frozen=True)
class Stored:
    """What a side has under one name: bytes, and how long after noon it was made."""

    body: bytes
    after_s: int


# No name is a folder of another one.
NAMES = ("a.b", "a/b", "a/c/d", "a0b", "é", "\uffff", "😀/x", "tmp/x", "tmp/y")
trees = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(Stored, st.sampled_from([b"", b"x", b"y", b"xy"]), st.integers(0, 2)),
)


def fill_bucket(server: FaultServer, prefix: str, tree: dict[str, Stored]) -> None:
    """Have exactly this tree below a prefix."""
    for key in server.store.in_bucket("bucket"):
        if key.startswith(prefix):
            server.store.delete("bucket", key)
    for name, stored in tree.items():
        at = datetime.fromtimestamp(NOON_S + stored.after_s, UTC)
        made = make_object(stored.body, algorithm="CRC32")
        server.store.put("bucket", prefix + name, replace(made, last_modified=at))


def fill_folder(root: Path, tree: dict[str, Stored]) -> None:
    """Have exactly this tree below a folder."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name, stored in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored.body)
        os.utime(path, (NOON_S + stored.after_s, NOON_S + stored.after_s))


def in_bucket(server: FaultServer, prefix: str) -> dict[str, bytes]:
    """Return the bodies below a prefix."""
    found = server.store.in_bucket("bucket").items()
    return {key.removeprefix(prefix): one.body for key, one in found if key.startswith(prefix)}


def in_folder(root: Path) -> dict[str, bytes]:
    """Return the contents of the files below a folder; no folder may be empty but the root."""
    paths = list(root.rglob("*"))
    assert all(any(path.iterdir()) for path in paths if path.is_dir())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.is_file()}


def equal(compare: str, direction: str, source: Stored, destination: Stored) -> bool:
    """Tell whether two sides count as equal, from what the page on commands says."""
    if len(source.body) != len(destination.body):
        return False
    if "mtime" in compare:
        if direction == "down" and source.after_s != destination.after_s:
            return False
        if direction != "down" and source.after_s > destination.after_s:
            return False
    return ("etag" not in compare and "checksum" not in compare) or source.body == destination.body


def model(
    source: dict[str, Stored], destination: dict[str, Stored], options: SyncOptions, direction: str
) -> tuple[dict[str, bytes], set[str]]:
    """Return what has to be moved, and the names of what has to be deleted."""

    def taken(name: str) -> bool:
        return not (options.exclude and name.startswith("tmp/"))

    moved = {
        name: stored.body
        for name, stored in source.items()
        if taken(name) and not (name in destination and equal(options.compare, direction, stored, destination[name]))
    }
    return moved, {name for name in destination if name not in source and options.delete and taken(name)}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees, trees, st.sampled_from(["down", "up", "copy"]), st.sampled_from(COMPARE), st.booleans(), st.booleans())
def test_as_the_model_says(
    served: tuple[FaultServer, Engine],
    tmp_path: Path,
    source: dict[str, Stored],
    destination: dict[str, Stored],
    direction: str,
    compare: str,
    delete: bool,
    excluding: bool,
) -> None:
    """What differs is moved, what is equal stays as it is, what is extra goes if asked for, what is excluded never."""
    server, engine = served
    here = tmp_path / "here"
    ours = str(here) if direction == "up" else "s3://bucket/ours/"
    theirs = str(here) if direction == "down" else "s3://bucket/theirs/"
    fill_bucket(server, "ours/", source)
    fill_bucket(server, "theirs/", destination)
    fill_folder(here, source if direction == "up" else destination)
    exclude = ("tmp/*",) if excluding else ()
    options = SyncOptions(delete=delete, max_delete="100%" if delete else "", compare=compare, exclude=exclude)

    moved, extra = model(source, destination, options, direction)
    expected = {name: stored.body for name, stored in destination.items() if name not in extra} | moved

    counts = SyncCounts()
    results = list(sync(engine, ours, theirs, options, counts=counts))
    assert [one.failure for one in results if not one.ok] == []
    assert sorted(one.row for one in results) == list(range(len(results)))
    assert len(results) == len(moved) + len(extra)
    assert counts.compared - counts.unchanged == len(moved.keys() & destination.keys())
    assert (in_folder(here) if direction == "down" else in_bucket(server, "theirs/")) == expected
    assert list(sync(engine, ours, theirs, options)) == []
    assert in_bucket(server, "ours/") == {name: stored.body for name, stored in source.items()}


def kill(world: tuple[FaultServer, Engine], ours: str, theirs: str, options: SyncOptions, after: int) -> None:
    """Leave a sync after so many results."""
    results = sync(world[1], ours, theirs, options)
    for _ in itertools.islice(results, after):
        pass
    cast("Generator[object]", results).close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    trees,
    trees,
    st.sampled_from(["down", "up", "copy"]),
    st.sampled_from(COMPARE),
    st.lists(st.integers(0, 14), max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_killed_in_between(
    served: tuple[FaultServer, Engine],
    tmp_path: Path,
    source: dict[str, Stored],
    destination: dict[str, Stored],
    direction: str,
    compare: str,
    deaths: list[int],
    as_job: bool,
    last_one: bool,
) -> None:
    """However often it was ended before, it ends as the model says; a job reports each of its rows once."""
    server, engine = served
    here = tmp_path / "here"
    ours = str(here) if direction == "up" else "s3://bucket/ours/"
    theirs = str(here) if direction == "down" else "s3://bucket/theirs/"
    fill_bucket(server, "ours/", source)
    fill_bucket(server, "theirs/", destination)
    fill_folder(here, source if direction == "up" else destination)
    options = SyncOptions(delete=True, max_delete="100%", compare=compare)
    moved, extra = model(source, destination, options, direction)
    expected = {name: stored.body for name, stored in destination.items() if name not in extra} | moved

    store = MortalStore()
    folder = folder_in(store)
    folder.create(described(ours, theirs, kind="sync", sync=options))
    for number, after in enumerate(deaths):
        if not as_job:
            kill(served, ours, theirs, options, after)
            continue
        store.requests, store.last_one = after, last_one  # a dead program writes into its job no more
        with contextlib.suppress(NetworkError):
            list(engine.each(jobs.run(engine.aio, folder, name=f"dead-{number}")))
    store.requests = None
    if as_job:
        list(engine.each(jobs.run(engine.aio, folder, name="last")))
        status = job_status(folder)
        assert status.ok
        assert status.succeeded + status.skipped == status.planned_rows
        rows = list(jobs.report_rows(folder))
        assert sorted(row.n for row in rows) == list(range(status.planned_rows))
        assert {row.source.removeprefix(theirs).lstrip("/") for row in rows if row.action is Action.DELETE} >= extra
    else:
        assert [one.failure for one in sync(engine, ours, theirs, options) if not one.ok] == []
    assert (in_folder(here) if direction == "down" else in_bucket(server, "theirs/")) == expected
    assert list(sync(engine, ours, theirs, options)) == []
    assert in_bucket(server, "ours/") == {name: stored.body for name, stored in source.items()}
