"""Rows of a plan: each ends with exactly one result, whatever happens to the others."""

from __future__ import annotations

import os
import random
import stat
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from bulkhaul import TransferResult, errors
from bulkhaul.model.limits import MIB
from bulkhaul.model.rows import Action, Row
from tests.engines import Rig, assert_nothing_held, keys, running_engine, running_rig, serving
from tests.faultserver import CutBody, Fault, FlipBit, ReplaceObject, Status, StoredObject, delete_object, make_object
from tests.writing import THRESHOLD_BYTES, WriteRig, running_write_rig

COUNT = 40
BODIES = [random.Random(number).randbytes(3000 + number) for number in range(COUNT)]
LARGE = random.Random(5).randbytes(3 * MIB + 5)
NEWER = b"another object"
MODIFIED = datetime(2021, 3, 4, 5, 6, 7, 125000, UTC)
MTIME_NS = 1_614_834_367_125_000_000


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An engine that restores from a fault server."""
    with running_rig(tmp_path_factory.mktemp("down")) as rig:
        yield rig


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteRig]:
    """An engine that writes to a fault server."""
    with running_write_rig(tmp_path_factory.mktemp("up")) as rig:
        yield rig


def url(key: str) -> str:
    """Return the URL of a key."""
    return f"s3://bucket/{key}"


def put(rig: Rig | WriteRig, key: str, body: bytes) -> StoredObject:
    """Store an object."""
    stored = make_object(body, algorithm="CRC32C")
    rig.server.store.put("bucket", key, stored)
    return stored


def told(row: Row, stored: StoredObject, **more: Any) -> Row:
    """Return a row that tells what a listing would."""
    return msgspec.structs.replace(row, size=stored.size_bytes, etag=stored.etag, **more)


def by_row(results: Iterator[TransferResult], rows: int) -> dict[int, TransferResult]:
    """Return the result of each row; fail if one has none, or two."""
    found = list(results)
    assert sorted(result.row for result in found) == list(range(rows))
    return {result.row: result for result in found}


def asked(rig: Rig | WriteRig, prefix: str) -> list[str]:
    """Return the operations that the server was asked for, of keys with a prefix."""
    return [one.operation for one in rig.server.requests if (one.key or "").startswith(prefix)]


def downloads(rig: Rig, name: str, bodies: Sequence[bytes], *, tells: bool = True) -> tuple[Path, list[Row]]:
    """Store objects and return the folder they go to, with their rows."""
    root, rows = rig.folder / name, []
    for n, body in enumerate(bodies):
        key = f"{name}/{n:03}"
        stored = put(rig, key, body)
        row = Row(n=n, action=Action.DOWNLOAD, source=url(key), destination=f"{root}/{n % 2}/{n:03}")
        rows.append(told(row, stored) if tells else row)
    return root, rows


# Downloads


@pytest.mark.parametrize("tells", [True, False], ids=["told", "untold"])
def test_rows_down(reading: Rig, tells: bool) -> None:
    """Small, large and empty objects arrive; HEAD is asked of those alone of which the rows tell too little."""
    name = f"down-{tells}"
    root, rows = downloads(reading, name, [*BODIES, LARGE, b""], tells=tells)
    results = by_row(reading.engine.download_rows([rows[:10], rows[10:]], root), COUNT + 2)
    assert {result.failure for result in results.values()} == {None}
    for row, body in zip(rows, [*BODIES, LARGE, b""], strict=True):
        assert Path(row.destination).read_bytes() == body
        assert results[row.n].destination == row.destination
    heads = asked(reading, name).count("HeadObject")
    assert heads == (2 if tells else COUNT + 2)
    assert_nothing_held(reading.engine, root)


def test_each_transport_and_landing(rig: Rig) -> None:
    """Whatever moves the bytes, files are exact and have their times, and a replaced object is none of the plan."""
    root, rows = downloads(rig, "each", [b"small", LARGE, b"", b"replaced", LARGE[:-1]])
    rows = [msgspec.structs.replace(row, last_modified=MODIFIED) for row in rows]
    put(rig, "each/003", NEWER)
    put(rig, "each/004", NEWER)
    results = by_row(rig.engine.download_rows([rows], root, set_times=True), 5)
    kinds = [type(results[n].error) for n in range(5)]
    assert kinds == [type(None)] * 3 + [errors.PreconditionFailed] * 2
    assert [Path(row.destination).read_bytes() for row in rows[:3]] == [b"small", LARGE, b""]
    assert {os.stat(row.destination).st_mtime_ns for row in rows[:3]} == {MTIME_NS}
    assert_nothing_held(rig.engine, root)


def test_rows_fail_by_themselves(reading: Rig) -> None:
    """In the middle of a batch one object is replaced, one deleted, one refused, one always damaged, one cut once."""
    name = "down-faults"
    root, rows = downloads(reading, name, BODIES)
    faults: dict[int, tuple[Fault, type[errors.TransferError] | None]] = {
        5: (ReplaceObject(replacement=NEWER, nth=1), errors.PreconditionFailed),
        7: (delete_object(nth=1), errors.NotFound),
        9: (Status(code="AccessDenied", attempt="every"), errors.AccessDenied),
        11: (FlipBit(offset=77, attempt="every"), errors.IntegrityError),
        13: (CutBody(after_bytes=1000), None),
    }
    for n, (fault, _) in faults.items():
        reading.server.add_fault(replace(fault, key=f"{name}/{n:03}", operation="GetObject"))
    results = by_row(reading.engine.download_rows([rows], root), COUNT)
    expected = {n: kind for n, (_, kind) in faults.items() if kind is not None}
    assert {n: type(one.error) for n, one in results.items() if one.error is not None} == expected
    for n, row in enumerate(rows):
        if n in expected:
            assert not Path(row.destination).exists()
        else:
            assert Path(row.destination).read_bytes() == BODIES[n]
    assert_nothing_held(reading.engine, root)


@pytest.mark.parametrize("body", [b"small", LARGE, b""], ids=["small", "large", "empty"])
@pytest.mark.parametrize("tells", ["all", "etag", "size"])
def test_a_replaced_object_is_not_restored(reading: Rig, body: bytes, tells: str) -> None:
    """The plan said which object: another one of the same key fails its row, and the file is as it was."""
    name = f"down-replaced-{len(body)}-{tells}"
    root, (row,) = downloads(reading, name, [body])
    if tells == "etag":
        row = msgspec.structs.replace(row, size=None)
    elif tells == "size":
        row = msgspec.structs.replace(row, etag="")
    put(reading, f"{name}/000", NEWER)
    Path(row.destination).parent.mkdir(parents=True)
    Path(row.destination).write_bytes(b"old")
    (result,) = reading.engine.download_rows([[row]], root)
    assert type(result.error) is errors.PreconditionFailed
    assert Path(row.destination).read_bytes() == b"old"


def test_a_row_without_an_etag_takes_what_is_there(reading: Rig) -> None:
    """Where the plan names no object, one that is replaced on the way is restored as it then is."""
    root, (row,) = downloads(reading, "down-any", [b"small"], tells=False)
    reading.server.add_fault(
        replace(ReplaceObject(replacement=NEWER, nth=1), key="down-any/000", operation="GetObject")
    )
    (result,) = reading.engine.download_rows([[row]], root)
    assert result.failure is None
    assert Path(row.destination).read_bytes() == NEWER


@pytest.mark.parametrize("tells", [True, False], ids=["told", "untold"])
def test_files_have_the_times_of_their_objects(reading: Rig, tells: bool) -> None:
    """Small or large, with a HEAD or without: the time is that of the row, else that of the service."""
    name = f"down-times-{tells}"
    root, rows = downloads(reading, name, [b"small", LARGE, b""], tells=tells)
    if tells:
        rows = [msgspec.structs.replace(row, last_modified=MODIFIED) for row in rows]
    before_ns = time.time_ns()
    results = by_row(reading.engine.download_rows([rows], root, set_times=True), 3)
    for row in rows:
        assert results[row.n].failure is None
        mtime_ns = os.stat(row.destination).st_mtime_ns
        if tells:
            assert mtime_ns == MTIME_NS
        else:
            stored = reading.server.store.get("bucket", row.source.removeprefix("s3://bucket/"))
            assert stored is not None
            assert mtime_ns == int(stored.last_modified.timestamp()) * 10**9
    untimed = by_row(reading.engine.download_rows([rows], root), 3)
    assert {one.failure for one in untimed.values()} == {None}
    assert all(os.stat(row.destination).st_mtime_ns >= before_ns for row in rows)


def test_a_file_with_its_name_has_its_time(tmp_path: Path) -> None:
    """The time is set before the rename, also where everything is flushed and where old files are replaced."""
    with running_rig(tmp_path, fsync=True) as rig:
        root, rows = downloads(rig, "flushed", [*BODIES[:20], LARGE])
        rows = [msgspec.structs.replace(row, last_modified=MODIFIED) for row in rows]
        for row in rows:
            path = Path(row.destination)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"old")
            path.chmod(0o604)
        for result in rig.engine.download_rows([rows], root, set_times=True):
            assert result.failure is None
            found = os.stat(result.destination)
            assert (found.st_mtime_ns, stat.S_IMODE(found.st_mode)) == (MTIME_NS, 0o604)


HOSTILE = {
    "../out": '".." segment',
    "a/../../out": '".." segment',
    "nul\0byte": "NUL",
    "a//b": "empty segment",
    "folder/": "ends in a slash",
    "./dot": '"." segment',
    "/absolute": "absolute",
}


def test_hostile_destinations(reading: Rig) -> None:
    """No file is written outside the root, and a row that would be says so."""
    root = reading.folder / "hostile" / "root"
    stored = put(reading, "hostile", b"body")
    texts = [f"{root}/{one}" for one in HOSTILE] + [f"{root.parent}/beside", f"{root}x", "/etc/passwd", "", str(root)]
    rows = [
        told(Row(n=n, action=Action.DOWNLOAD, source=url("hostile"), destination=text), stored)
        for n, text in enumerate([*texts, f"{root}/fine"])
    ]
    results = by_row(reading.engine.download_rows([rows], root), len(rows))
    assert results[len(texts)].failure is None
    for n, why in enumerate([*HOSTILE.values(), *["does not lie there"] * 5]):
        error = results[n].error
        assert type(error) is errors.UnsafeKey
        assert why in str(error)
    assert [path.name for path in root.parent.rglob("*") if path.is_file()] == ["fine"]


@pytest.mark.parametrize("order", ["ascending", "mixed"])
def test_two_rows_for_one_file(reading: Rig, order: str) -> None:
    """The second fails by name, in whatever order they come; so does a file where a folder is needed."""
    name = f"twice-{order}"
    stored = put(reading, name, b"body")
    root = reading.folder / name
    names = ["a", "a", "a/b", "b", "b", "c"] if order == "ascending" else ["c", "b", "a", "b", "c", "d"]
    rows = [
        told(Row(n=n, action=Action.DOWNLOAD, source=url(name), destination=f"{root}/{one}"), stored)
        for n, one in enumerate(names)
    ]
    results = by_row(reading.engine.download_rows([rows[:2], rows[2:]], root), 6)
    failed = {n for n, one in results.items() if one.failure is not None}
    assert failed == ({1, 2, 4} if order == "ascending" else {3, 4})
    assert {type(results[n].error) for n in failed} == {errors.UnsafeKey}


def test_a_key_is_taken_as_it_is(reading: Rig) -> None:
    """Patterns and slashes in the key of a row are its own; its file may have another name than the key."""
    root = reading.folder / "literal"
    keys = ["lit/*", "lit/a?", "lit/dir/", "lit/ü x", "lit/%41", "lit/#"]
    rows = []
    for n, key in enumerate(keys):
        stored = put(reading, key, key.encode())
        row = Row(n=n, action=Action.DOWNLOAD, source=url(key), destination=f"{root}/{n}")
        rows.append(told(row, stored) if n % 2 else row)
    put(reading, "lit/ab", b"another")
    results = by_row(reading.engine.download_rows([rows], root), len(keys))
    assert {one.failure for one in results.values()} == {None}
    assert [(root / str(n)).read_bytes().decode() for n in range(len(keys))] == keys


def test_objects_of_several_folders_in_one(reading: Rig) -> None:
    """What goes together is asked for by its own key, whatever lies beside it, and however its file is called."""
    root = reading.folder / "joined"
    keys = [f"joined/{'xy'[n % 2]}/{n:02}" for n in range(20)] + [f"joined/z/{n}" for n in range(10)]
    rows = []
    for n, key in enumerate(keys):
        put(reading, f"{key}{n:02}", b"nobody has asked for this")
        stored = put(reading, key, key.encode())
        rows.append(told(Row(n=n, action=Action.DOWNLOAD, source=url(key), destination=f"{root}/{n:02}"), stored))
    begun = len(reading.server.requests)
    results = by_row(reading.engine.download_rows([rows], root), len(keys))
    assert {one.failure for one in results.values()} == {None}
    assert [Path(row.destination).read_bytes().decode() for row in rows] == keys
    assert sorted(one.key or "" for one in reading.server.requests[begun:]) == sorted(keys)


def test_folder_markers_are_skipped(reading: Rig) -> None:
    """As in a listing, what marks a folder and holds nothing is no file."""
    root = reading.folder / "markers"
    stored = put(reading, "markers/dir/", b"")
    row = Row(n=0, action=Action.DOWNLOAD, source=url("markers/dir/"), destination=f"{root}/dir/")
    (result,) = reading.engine.download_rows([[told(row, stored)]], root)
    assert (result.failure, result.skipped) == (None, "it marks a folder and holds nothing")


def test_what_is_not_to_be_done(reading: Rig) -> None:
    """Rows that are skipped, that are for something else or name nothing, and results in the place of rows."""
    handed_on = TransferResult(source="line 3", destination="", bucket="", key="", row=3)
    rows: list[Row | TransferResult] = [
        Row(n=0, action=Action.SKIP, source=url("x"), reason="it is there"),
        Row(n=1, action=Action.DELETE, source=url("x")),
        Row(n=2, action=Action.DOWNLOAD, source="file", destination=f"{reading.folder}/none/a"),
        handed_on,
        Row(n=4, action=Action.DOWNLOAD, source="s3://bucket/", destination=f"{reading.folder}/none/b"),
        Row(n=5, action=Action.DOWNLOAD, source=url("k" * 1025), destination=f"{reading.folder}/none/c"),
        Row(n=6, action=Action.DOWNLOAD, source=url("missing"), destination=f"{reading.folder}/none/d"),
    ]
    results = by_row(reading.engine.download_rows([rows], reading.folder / "none"), 7)
    assert results[0].skipped == "it is there"
    assert results[3] == handed_on
    kinds = [type(results[n].error) for n in (1, 2, 4, 5, 6)]
    assert kinds == [errors.UsageError, errors.InvalidUrl, errors.UsageError, errors.UsageError, errors.NotFound]


def test_moved_rows(writing: WriteRig) -> None:
    """Each object is deleted when its file is there; one that was replaced stays, and older versions are not moved."""
    root = writing.folder / "moved"
    rows = []
    for n, key in enumerate(["moved/a", "moved/b", "moved/c"]):
        stored = put(writing, key, b"body")
        rows.append(told(Row(n=n, action=Action.DOWNLOAD, source=url(key), destination=f"{root}/{n}"), stored))
    rows[2] = msgspec.structs.replace(rows[2], version_id="null")
    put(writing, "moved/b", NEWER)
    results = by_row(writing.engine.download_rows([rows], root, move=True), 3)
    assert [type(results[n].error) for n in range(3)] == [type(None), errors.PreconditionFailed, errors.UsageError]
    assert [writing.stored(f"moved/{name}") for name in "abc"] == [None, NEWER, b"body"]
    assert sorted(path.name for path in root.iterdir()) == ["0"]


def test_a_service_that_cannot_be_asked(tmp_path: Path) -> None:
    """Where nobody knows the credentials no row can be done, and that ends the run."""
    with running_rig(tmp_path, profile="nobody") as rig:
        root, rows = downloads(rig, "unasked", BODIES)
        with pytest.raises(errors.CredentialsError):
            list(rig.engine.download_rows([rows], root))


# Iterables


def test_rows_are_taken_as_they_are_worked_on(reading: Rig) -> None:
    """Of a plan without end only some pages are taken while nobody takes results; an interrupted run ends at once."""
    stored = put(reading, "endless", b"body")
    root = reading.folder / "endless"
    taken = 0

    def endless() -> Iterator[list[Row]]:
        nonlocal taken
        while True:
            taken += 1
            yield [
                told(Row(n=n, action=Action.DOWNLOAD, source=url("endless"), destination=f"{root}/{taken}-{n}"), stored)
                for n in range(100)
            ]

    results = reading.engine.download_rows(endless(), root)
    assert next(results).failure is None
    time.sleep(1.0)
    assert taken < 80
    results.close()  # type: ignore[attr-defined] # it is a generator
    assert_nothing_held(reading.engine, root)


def test_an_iterable_that_raises(reading: Rig) -> None:
    """What was begun ends first; then the run ends with that error."""
    root, rows = downloads(reading, "raises", BODIES)

    async def pages() -> AsyncIterator[list[Row]]:
        yield rows[:20]
        raise errors.LocalError("the manifest is torn", "plan")

    found: list[TransferResult] = []
    with pytest.raises(errors.LocalError, match="the manifest is torn"):
        found.extend(reading.engine.download_rows(pages(), root))
    assert sorted(one.row for one in found) == list(range(20))
    assert {one.failure for one in found} == {None}


# Uploads


@pytest.mark.parametrize("move", [False, True], ids=["kept", "moved"])
@pytest.mark.parametrize("tells", [True, False], ids=["told", "untold"])
def test_rows_up(writing: WriteRig, tells: bool, move: bool) -> None:
    """Files of several folders, under their own names and others, small and in parts, and links."""
    name = f"rows-up-{tells}-{move}"
    folder = writing.folder / name
    bodies = [*BODIES, b"x" * (THRESHOLD_BYTES + 1), b""]
    rows = []
    for n, body in enumerate(bodies):
        path = folder / str(n % 3) / f"{n:03}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        key = f"{name}/{path.parent.name}/{path.name}" if n % 5 else f"{name}/renamed {n}"
        size_bytes = len(body) if tells else None
        rows.append(Row(n=n, action=Action.UPLOAD, source=str(path), destination=url(key), size=size_bytes))
    (folder / "link").symlink_to(folder / "0" / "target")
    (folder / "0" / "target").write_bytes(b"led to")
    extra = ["link", "missing", "0", "nul\0", "ends/"]
    rows += [
        Row(n=len(bodies) + n, action=Action.UPLOAD, source=f"{folder}/{one}", destination=url(f"{name}/{one}"))
        for n, one in enumerate(extra)
    ]
    begun = len(writing.server.requests)
    results = by_row(writing.engine.upload_rows([rows[:30], rows[30:]], move=move), len(rows))
    puts = [one.operation for one in writing.server.requests[begun:]]
    assert puts.count("PutObject") == COUNT + 2  # the empty file, and what the link leads to
    for row, body in zip(rows, [*bodies, b"led to"], strict=False):
        assert results[row.n].failure is None
        assert writing.stored(row.destination.removeprefix("s3://bucket/")) == body
        assert results[row.n].source == row.source
        assert os.path.lexists(row.source) is not move
    assert (folder / "0" / "target").exists()
    failed = [type(results[n].error) for n in range(len(bodies) + 1, len(rows))]
    assert failed == [errors.LocalError] * 4


def test_a_file_that_fails_in_a_batch(writing: WriteRig) -> None:
    """One PUT of many is refused for ever, and one file is longer by now than its row says."""
    folder = writing.folder / "up-faults"
    folder.mkdir()
    rows = []
    for n, body in enumerate(BODIES):
        (folder / f"{n:03}").write_bytes(body)
        destination = url(f"up-faults/{n:03}")
        rows.append(Row(n=n, action=Action.UPLOAD, source=f"{folder}/{n:03}", destination=destination, size=len(body)))
    (folder / "011").write_bytes(NEWER)
    writing.server.add_fault(Status(code="AccessDenied", attempt="every", key="up-faults/007", operation="PutObject"))
    results = by_row(writing.engine.upload_rows([rows]), COUNT)
    assert {n: type(one.error) for n, one in results.items() if one.failure is not None} == {7: errors.AccessDenied}
    assert writing.stored("up-faults/007") is None
    assert writing.stored("up-faults/011") == NEWER
    assert writing.stored("up-faults/012") == BODIES[12]


def test_files_of_one_folder_to_several(writing: WriteRig) -> None:
    """Files that lie beside each other go to the keys that their rows name."""
    folder = writing.folder / "apart"
    folder.mkdir()
    rows = []
    for n, body in enumerate(BODIES):
        (folder / f"{n:03}").write_bytes(body)
        destination = url(f"apart/{n % 3}/{n:03}") if n % 7 else f"s3://other/apart/{n:03}"
        rows.append(Row(n=n, action=Action.UPLOAD, source=f"{folder}/{n:03}", destination=destination))
    writing.server.store.add_bucket("other")
    results = by_row(writing.engine.upload_rows([rows]), COUNT)
    assert {one.failure for one in results.values()} == {None}
    for row, body in zip(rows, BODIES, strict=True):
        bucket, _, key = row.destination.removeprefix("s3://").partition("/")
        stored = writing.server.store.get(bucket, key)
        assert stored is not None
        assert stored.body == body


# Copies


@pytest.mark.parametrize("relayed", [False, True], ids=["copied", "relayed"])
def test_rows_copied(writing: WriteRig, relayed: bool) -> None:
    """Copies by the service or through memory; a source that was replaced or is missing fails its row."""
    name = f"rows-copied-{relayed}"
    bodies = [b"a", b"x" * (THRESHOLD_BYTES + 1), b"", b"replaced", b"untold"]
    rows = []
    for n, body in enumerate(bodies):
        stored = put(writing, f"{name}/in/{n}*", body)
        row = Row(n=n, action=Action.COPY, source=url(f"{name}/in/{n}*"), destination=url(f"{name}/to/{n}?/"))
        rows.append(told(row, stored) if n != 4 else row)
    rows.append(Row(n=5, action=Action.COPY, source=url(f"{name}/in/none"), destination=url(f"{name}/to/none")))
    put(writing, f"{name}/in/3*", NEWER)
    origin = writing.engine.beside(writing.engine.settings) if relayed else None
    results = by_row(writing.engine.copy_rows([rows], origin=origin), 6)
    failed = {n: type(one.error) for n, one in results.items() if one.failure is not None}
    assert failed == {3: errors.PreconditionFailed, 5: errors.NotFound}
    for n in (0, 1, 2, 4):
        assert writing.stored(f"{name}/to/{n}?/") == bodies[n]
    assert writing.stored(f"{name}/to/3?/") is None


# Deletions


def test_rows_deleted(writing: WriteRig) -> None:
    """Keys go 1,000 a request; one with its ETag only if it is that object; a key that is named twice goes once."""
    name = "rows-deleted"
    rows = []
    for n in range(1005):
        put(writing, f"{name}/{n:04}", b"body")
        rows.append(Row(n=n, action=Action.DELETE, source=url(f"{name}/{n:04}")))
    etag = make_object(b"body").etag
    rows[1] = rows[0]
    rows = [msgspec.structs.replace(row, n=n) for n, row in enumerate(rows)]
    for n in (10, 11, 12):
        rows[n] = msgspec.structs.replace(rows[n], etag=etag, size=4)
    for n in (13, 14):
        rows[n] = msgspec.structs.replace(rows[n], etag=etag)
    put(writing, f"{name}/0011", NEWER)
    put(writing, f"{name}/0014", NEWER)
    writing.server.store.delete("bucket", f"{name}/0012")
    begun = len(writing.server.requests)
    results = by_row(writing.engine.delete_rows([rows]), 1005)
    operations = [one.operation for one in writing.server.requests[begun:]]
    assert operations.count("DeleteObjects") == 1
    assert operations.count("HeadObject") == 3 + 2 + 1  # one of each that tells its length, two of the others
    failed = {n: type(one.error) for n, one in results.items() if one.failure is not None}
    assert failed == {11: errors.PreconditionFailed, 14: errors.PreconditionFailed}
    left = sorted(key for key in writing.server.store.in_bucket("bucket") if key.startswith(f"{name}/"))
    assert left == [f"{name}/0001", f"{name}/0011", f"{name}/0014"]


def test_nothing_is_done_dry(reading: Rig, writing: WriteRig) -> None:
    """A dry run yields a result a row, and touches nothing."""
    root, rows = downloads(reading, "dry", [b"a", b"b"], tells=False)
    assert [one.size for one in reading.engine.download_rows([rows], root, dry_run=True)] == [1, 1]
    assert not root.exists()
    (writing.folder / "dry").write_bytes(b"a")
    row = Row(n=0, action=Action.UPLOAD, source=f"{writing.folder}/dry", destination=url("dry-up"))
    assert [one.size for one in writing.engine.upload_rows([[row]], dry_run=True)] == [1]
    put(writing, "dry", b"a")
    row = Row(n=0, action=Action.COPY, source=url("dry"), destination=url("dry-copied"))
    assert [one.row for one in writing.engine.copy_rows([[row]], dry_run=True)] == [0]
    row = Row(n=0, action=Action.DELETE, source=url("dry"))
    assert [one.row for one in writing.engine.delete_rows([[row]], dry_run=True)] == [0]
    assert [writing.stored(key) for key in ("dry", "dry-up", "dry-copied")] == [b"a", None, None]


@pytest.mark.parametrize("transport", ["fast", "sdk"])
def test_a_bucket_that_is_made_meanwhile(tmp_path: Path, transport: Literal["fast", "sdk"]) -> None:
    """That there was no such bucket is not told of keys that are missing in it later, and fails no other row."""
    with serving() as server, running_engine(server.endpoint_url, keys(), workers=1, transport=transport) as engine:
        assert not engine.exists("s3://made/k")
        for key in ("a", "b"):
            server.store.put("made", key, make_object(BODIES[0]))
        rows = [
            Row(n=n, action=Action.DOWNLOAD, source=f"s3://made/{key}", destination=f"{tmp_path}/{key}")
            for n, key in enumerate(("missing", "a", "b"))
        ]
        results = {one.key: one.failure for one in engine.download_rows([rows], tmp_path)}
    missing = results.pop("missing")
    assert missing is not None
    assert (missing.service_code, results) == ("NoSuchKey", {"a": None, "b": None})
