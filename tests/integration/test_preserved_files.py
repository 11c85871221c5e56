"""What of files uploads keep in metadata, and downloads give back: modification times and modes, also with rclone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import Engine, errors
from tests.engines import keys, running_engine, serving
from tests.faultserver import MIB, FaultServer, make_object
from tests.integration.command import run
from tests.integration.rclone import rclone
from tests.servers import weed

TIMES_NS = {
    "a": 1_700_000_000_123_456_789,
    "b": 1_000_000_000_500_000_000,
    "deep/c": -1_500_000_000,
    "large": 1_234_567_890_000_000_001,
}
TEXTS = {"a": "1700000000.123456789", "b": "1000000000.5", "deep/c": "-1.5", "large": "1234567890.000000001"}
"""As rclone writes them."""

MODES = {"a": 0o640, "b": 0o755, "deep/c": 0o444, "large": 0o600}
PRESERVING = {"preserve_times": True, "preserve_mode": True}


def make_tree(folder: Path) -> Path:
    """Make small files, and one that no batch takes."""
    (folder / "deep").mkdir(parents=True)
    for name, time_ns in TIMES_NS.items():
        path = folder / name
        path.write_bytes(name.encode() * (MIB if name == "large" else 9))
        path.chmod(MODES[name])
        os.utime(path, ns=(time_ns, time_ns))
    return folder


def times(folder: Path) -> dict[str, int]:
    """Return the modification time of each file, in nanoseconds."""
    return {name: (folder / name).stat().st_mtime_ns for name in TIMES_NS}


def modes(folder: Path) -> dict[str, int]:
    """Return the mode of each file, without its type."""
    return {name: stat.S_IMODE((folder / name).stat().st_mode) for name in MODES}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with a bucket."""
    with serving() as running:
        yield running


@pytest.mark.parametrize("transport", ["fast", "sdk"])
@pytest.mark.parametrize("many", [True, False])
def test_there_and_back(server: FaultServer, tmp_path: Path, *, many: bool, transport: str) -> None:
    """Times, to the nanosecond, and modes: of files of a batch, of those alone, of parts, and by the SDK."""
    tree, back = make_tree(tmp_path / "tree"), tmp_path / "back"
    in_parts = {"multipart_threshold_bytes": 5 * MIB, "part_size_bytes": 5 * MIB}
    with running_engine(server.endpoint_url, keys(), **PRESERVING, **in_parts, transport=transport) as engine:
        if many:
            assert all(one.ok for one in engine.upload_many(tree, "s3://bucket/"))
            assert all(one.ok for one in engine.download_many("s3://bucket/", back))
        else:
            (back / "deep").mkdir(parents=True)
            for name in TIMES_NS:
                engine.upload(tree / name, f"s3://bucket/{name}")
                engine.download(f"s3://bucket/{name}", back / name)
    told = {key: one.metadata for key, one in server.store.in_bucket("bucket").items()}
    assert {key: found["mtime"] for key, found in told.items()} == TEXTS
    assert {key: found["mode"] for key, found in told.items()} == {key: f"100{mode:o}" for key, mode in MODES.items()}
    assert (times(back), modes(back)) == (TIMES_NS, MODES)


@pytest.mark.parametrize("many", [True, False])
def test_nothing_is_kept_unless_asked_for(server: FaultServer, tmp_path: Path, *, many: bool) -> None:
    """By default there is no metadata of files, and what is there is not looked at."""
    (tmp_path / "a").write_bytes(b"a")
    server.store.put("bucket", "p/old", make_object(b"old", metadata={"mtime": "1.5", "mode": "100777"}))
    with running_engine(server.endpoint_url, keys()) as engine:
        engine.upload(tmp_path / "a", "s3://bucket/a")
        restore(engine, "p/old", tmp_path / "back", many=many)
    assert server.store.in_bucket("bucket")["a"].metadata == {}
    found = (tmp_path / "back" / "old").stat()
    assert found.st_mtime > 10
    assert stat.S_IMODE(found.st_mode) != 0o777


def restore(engine: Engine, key: str, folder: Path, *, many: bool) -> Path:
    """Restore one object of a prefix, alone or as all that the prefix has."""
    prefix, name = key.split("/")
    if many:
        assert all(one.ok for one in engine.download_many(f"s3://bucket/{prefix}/", folder))
    else:
        folder.mkdir(exist_ok=True)
        engine.download(f"s3://bucket/{key}", folder / name)
    return folder / name


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("text", ["yesterday", "nan", "1e9", "99999999999999", "1.1234567891", "17_0"])
def test_a_time_that_is_none(server: FaultServer, tmp_path: Path, text: str, *, many: bool) -> None:
    """Nonsense is not believed: the file was modified when the object was."""
    server.store.put("bucket", "p/x", make_object(b"body", metadata={"mtime": text}))
    with running_engine(server.endpoint_url, keys(), **PRESERVING) as engine:
        stored = engine.head("s3://bucket/p/x").last_modified
        path = restore(engine, "p/x", tmp_path / "back", many=many)
    assert stored is not None
    assert int(path.stat().st_mtime) == int(stored.timestamp())


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize(
    ("text", "mode"),
    [("104755", 0o755), ("107600", 0o600), ("0640", 0o640), ("40777", None), ("120777", None), ("rwx", None)],
)
@pytest.mark.parametrize("replaces", [True, False])
def test_modes_of_the_network(
    server: FaultServer, tmp_path: Path, text: str, mode: int | None, *, many: bool, replaces: bool
) -> None:
    """No setuid, setgid or sticky bit, and nothing of what is no regular file; the mode of a replaced file goes."""
    server.store.put("bucket", "p/x", make_object(b"body", metadata={"mode": text}))
    if replaces:
        (tmp_path / "back").mkdir()
        (tmp_path / "back" / "x").write_bytes(b"old")
        (tmp_path / "back" / "x").chmod(0o620)
    old = os.umask(0o027)
    try:
        with running_engine(server.endpoint_url, keys(), **PRESERVING) as engine:
            path = restore(engine, "p/x", tmp_path / "back", many=many)
    finally:
        os.umask(old)
    expected = mode if mode is not None else 0o620 if replaces else 0o640
    assert stat.S_IMODE(path.stat().st_mode) == expected


def test_the_command(server: FaultServer, tmp_path: Path) -> None:
    """``--preserve`` of cp and mv, and what it refuses."""
    tree, back = make_tree(tmp_path / "tree"), tmp_path / "back"
    more = ["--endpoint-url", server.endpoint_url, "--workers", "1"]
    done = run("cp", "-r", "--preserve", "timestamps", tree, "s3://bucket/p/", *more)
    assert done.returncode == 0, done.stderr
    assert {key: set(one.metadata) for key, one in server.store.in_bucket("bucket").items()} == {
        f"p/{name}": {"mtime"} for name in TIMES_NS
    }
    done = run("mv", "--preserve", "timestamps,mode", tree / "a", "s3://bucket/p/a", *more)
    assert done.returncode == 0, done.stderr
    done = run("cp", "-r", "--preserve", "timestamps,mode", "s3://bucket/p/", back, *more)
    assert done.returncode == 0, done.stderr
    assert times(back) == TIMES_NS
    assert modes(back)["a"] == MODES["a"]
    done = run("cp", "--preserve", "timestamps,tags", "s3://bucket/p/a", tmp_path, *more)
    assert done.returncode == 2
    assert "only copies between buckets preserve tags" in done.stderr


def test_metadata_that_is_named_stays(server: FaultServer, tmp_path: Path) -> None:
    """What the user says of the object goes before what is found, in a batch and alone."""
    tree = make_tree(tmp_path / "tree")
    more = ["--metadata", "mtime=7,x=y", "--preserve", "timestamps", "--endpoint-url", server.endpoint_url]
    done = run("cp", "-r", *more, tree, "s3://bucket/p/", "--workers", "1")
    assert done.returncode == 0, done.stderr
    found = [one.metadata for one in server.store.in_bucket("bucket").values()]
    assert found == [{"mtime": "7", "x": "y"}] * len(TIMES_NS)


def test_a_copy_that_replaces_metadata(server: FaultServer) -> None:
    """It cannot keep the time as well, and says so."""
    server.store.put("bucket", "a", make_object(b"a", metadata={"mtime": "1.5"}))
    done = run(
        *("cp", "--preserve", "timestamps", "--metadata", "x=y", "s3://bucket/a", "s3://bucket/b"),
        *("--endpoint-url", server.endpoint_url),
    )
    assert done.returncode == 2
    assert "timestamps cannot be both preserved and replaced" in done.stderr


def test_rclone_understands(tmp_path: Path) -> None:
    """What rclone has uploaded comes back here as it was there, and the other way round."""
    tree = make_tree(tmp_path / "tree")
    with weed() as server:
        server.client().create_bucket(Bucket="bucket")
        variables = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        with running_engine(server.endpoint_url, variables, **PRESERVING) as engine:
            assert all(one.ok for one in engine.upload_many(tree, "s3://bucket/ours/"))
            rclone(server, "copy", "--metadata", "there:bucket/ours", tmp_path / "theirs")
            rclone(server, "copy", "--metadata", tree, "there:bucket/theirs")
            assert all(one.ok for one in engine.download_many("s3://bucket/theirs/", tmp_path / "ours"))
    assert (times(tmp_path / "theirs"), modes(tmp_path / "theirs")) == (TIMES_NS, MODES)
    assert (times(tmp_path / "ours"), modes(tmp_path / "ours")) == (TIMES_NS, MODES)


def test_python_names(server: FaultServer) -> None:
    """The settings are typed: another value is refused."""
    with pytest.raises(errors.UsageError, match="preserve_times"):
        Engine(endpoint_url=server.endpoint_url, preserve_times="yes")  # type: ignore[arg-type]
