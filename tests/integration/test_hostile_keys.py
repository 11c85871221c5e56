"""Keys that would leave the destination folder, or meet in one file: refused by name, while the rest goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bulkhaul import TransferResult, errors
from bulkhaul.disk.folder import DestinationTree
from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.engine.transfers.download_many import Naming
from bulkhaul.model.objects import ObjectHead
from tests.engines import Rig, assert_nothing_held, running_rig, temp_files
from tests.faultserver import RepeatedListToken, make_object

GOOD = {"good": b"1", "deep/er/good": b"22", "ü": b"333", "dots...": b"4", "-rf": b"55", "~": b"6", "a\\b": b"7"}
HOSTILE = [
    "../outside",
    "a/../../outside",
    "/absolute",
    "//double",
    "a//b",
    "./here",
    "a/./b",
    "a/..",
    "..",
    "nul\0byte",
    "long-" + "x" * 251,
    "folder-" + "y" * 249 + "/file",
    "no-folder/",
]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An engine before a fault server; the folder is a place inside ``tmp_path``, to see what leaves it."""
    (tmp_path / "inner").mkdir()
    with running_rig(tmp_path / "inner") as running:
        yield running


def store(rig: Rig, prefix: str, bodies: dict[str, bytes]) -> None:
    """Store objects below a prefix."""
    for key, body in bodies.items():
        rig.server.store.put("bucket", prefix + key, make_object(body))


def restore(rig: Rig, prefix: str, root: Path) -> dict[str, TransferResult]:
    """Restore a prefix; returns the results by key without the prefix."""
    results = list(rig.engine.download_many(f"s3://bucket/{prefix}", root))
    assert len({result.key for result in results}) == len(results)
    return {result.key.removeprefix(prefix): result for result in results}


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_hostile_keys(rig: Rig, tmp_path: Path) -> None:
    """Row 42: no key leads outside; each hostile one is an UnsafeKey with its reason, and the rest arrives."""
    store(rig, "p/", GOOD | dict.fromkeys(HOSTILE, b"evil"))
    results = restore(rig, "p/", tmp_path / "inner" / "target")
    assert tree(tmp_path) == {f"inner/target/{key}": body for key, body in GOOD.items()}
    assert {key for key, result in results.items() if result.ok} == set(GOOD)
    for key in HOSTILE:
        failure = results[key].failure
        assert failure is not None
        assert (failure.code, failure.subject) == ("UnsafeKey", f"s3://bucket/p/{key}")
        assert results[key].destination == ""
    assert not {"p/" + key for key in HOSTILE} & {get.key for get in rig.server.requests_for("GetObject")}
    progress = rig.engine.progress()
    assert (progress.planned_objects, progress.verified_objects, progress.failed_objects) == (
        len(results), len(GOOD), len(HOSTILE)
    )  # fmt: skip


def test_whole_bucket(rig: Rig, tmp_path: Path) -> None:
    """A whole bucket is restored like a prefix; keys that begin with a slash are refused."""
    store(rig, "", {"top": b"1", "a/b": b"2", "/rooted": b"3"})
    results = restore(rig, "", tmp_path / "inner")
    assert {key: result.ok for key, result in results.items()} == {"top": True, "a/b": True, "/rooted": False}


def test_folder_markers_are_skipped(rig: Rig, tmp_path: Path) -> None:
    """An empty object whose key ends in a slash is a folder of some console, and neither file nor failure."""
    store(rig, "p/", {"sub/": b"", "sub/file": b"1", "": b""})
    results = restore(rig, "p/", tmp_path / "inner")
    assert results["sub/file"].ok
    assert [results[key].skipped != "" for key in ("sub/", "")] == [True, True]
    assert results["sub/"].failure is None
    assert rig.engine.progress().skipped_objects == 2


def test_file_and_folder_of_one_name(rig: Rig, tmp_path: Path) -> None:
    """Where one key is a file and another needs it as a folder, the second is refused, and says which is the first."""
    store(rig, "p/", {"a": b"1", "a/b": b"2", "a/c/d": b"3", "a.b": b"4"})
    results = restore(rig, "p/", tmp_path / "inner")
    assert {key for key, result in results.items() if result.ok} == {"a", "a.b"}
    for key in ("a/b", "a/c/d"):
        failure = results[key].failure
        assert failure is not None
        assert "'p/a'" in failure.message


def test_a_file_of_another_run_is_in_the_way(rig: Rig, tmp_path: Path) -> None:
    """A file on disk where a folder is needed, or a folder where a file is, fails that key and is not removed."""
    root = tmp_path / "inner"
    (root / "file").write_bytes(b"kept")
    (root / "folder" / "inside").mkdir(parents=True)
    store(rig, "p/", {"file/x": b"1", "folder": b"2", "other": b"3"})
    results = restore(rig, "p/", root)
    assert {key: result.ok for key, result in results.items()} == {"file/x": False, "folder": False, "other": True}
    assert all(isinstance(results[key].error, errors.LocalError) for key in ("file/x", "folder"))
    assert tree(root) == {"file": b"kept", "other": b"3"}
    assert_nothing_held(rig.engine, root)


@pytest.mark.parametrize("target", ["outside", "inner", "nowhere"])
def test_planted_symlink(rig: Rig, tmp_path: Path, target: str) -> None:
    """A symlink in the place of a folder inside the destination is refused, wherever it leads."""
    root = tmp_path / "inner" / "target"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / target)
    store(rig, "p/", {"link/file": b"evil", "link/deep/file": b"evil", "plain/file": b"1"})
    results = restore(rig, "p/", root)
    assert {key for key, result in results.items() if result.ok} == {"plain/file"}
    failure = results["link/file"].failure
    assert failure is not None
    assert failure.code == "LocalError"
    assert list((tmp_path / "outside").iterdir()) == []
    assert (root / "link").is_symlink()
    assert tree(tmp_path) == {"inner/target/plain/file": b"1"}


def test_root_may_be_a_symlink(rig: Rig, tmp_path: Path) -> None:
    """The destination folder itself is the user's word: a symlink there is followed."""
    (tmp_path / "link").symlink_to("inner")
    store(rig, "p/", {"a/b": b"1"})
    assert restore(rig, "p/", tmp_path / "link")["a/b"].ok
    assert tree(tmp_path / "inner") == {"a/b": b"1"}


def test_one_hostile_object(rig: Rig, tmp_path: Path) -> None:
    """A single object with a hostile key gets the file name that the user gave, and none of its own making."""
    store(rig, "p/", {"../x": b"1", "a/..": b"2"})
    root = tmp_path / "inner"
    rig.engine.download("s3://bucket/p/../x", root / "named")
    rig.engine.download("s3://bucket/p/../x", f"{root}/")
    with pytest.raises(errors.LocalError, match="file name"):
        rig.engine.download("s3://bucket/p/a/..", f"{root}/")
    assert tree(tmp_path) == {"inner/named": b"1", "inner/x": b"1"}


def test_listing_that_never_ends(rig: Rig, tmp_path: Path) -> None:
    """Row 44: a listing that repeats its token is an error and no loop; what it named is there."""
    store(rig, "p/", {"one": b"1"})
    rig.server.add_fault(RepeatedListToken(key="p/"))
    root = tmp_path / "inner"
    with pytest.raises(errors.OtherError, match="token"):
        list(rig.engine.download_many("s3://bucket/p/", root))
    assert len(rig.server.requests_for("ListObjectsV2")) <= 3
    assert temp_files(root) == []


def test_names_that_case_makes_equal() -> None:
    """On a file system that folds case, the second of two equal names is refused and says which the first is."""
    naming = Naming("p/", folds_case=True)
    keys = ["p/File", "p/file", "p/e\u0301", "p/\u00e9", "p/other", "p/straße", "p/STRASSE"]
    planned = [naming.plan(ObjectHead(key, 1)) for key in keys]
    naming.close()
    assert [bool(one.refused) for one in planned] == [False, True, False, True, False, False, True]
    assert "'p/File'" in planned[1].refused
    assert planned[1].components == ()


def test_names_that_case_keeps_apart() -> None:
    """On any other file system they are different files."""
    naming = Naming("p/", folds_case=False)
    assert not any(naming.plan(ObjectHead(key, 1)).refused for key in ("p/File", "p/file"))
    naming.close()


@contextmanager
def case_folding(folder: Path, image: Path) -> Iterator[bool]:
    """Mount an ext4 that folds case and make a folder in it that does; tells whether that was permitted."""
    folder.mkdir()
    image.write_bytes(b"")
    os.truncate(image, 16 * 1024 * 1024)
    commands = [
        ["mkfs.ext4", "-q", "-O", "casefold", str(image)],
        ["mount", "-o", "loop", str(image), str(folder)],
        ["mkdir", str(folder / "folding")],
        ["chattr", "+F", str(folder / "folding")],
    ]
    done = [step for step in commands if _succeeds(step)]
    try:
        yield len(done) == len(commands)
    finally:
        if commands[1] in done:
            subprocess.run(["umount", str(folder)], check=True)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_case_folding_disk(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folding file system is noticed, and two keys never meet in one file; where none can be had it is imitated."""
    store(rig, "p/", {"File": b"1", "file": b"2", "other": b"3"})
    with case_folding(tmp_path / "disk", tmp_path / "image") as real:
        if not real:
            monkeypatch.setattr(DestinationTree, "folds_case", lambda _: True)
        root = tmp_path / "disk" / "folding"
        results = restore(rig, "p/", root)
        assert {key: result.ok for key, result in results.items()} == {"File": True, "file": False, "other": True}
        assert tree(root) == {"File": b"1", "other": b"3"}


def test_seen_names_do_not_grow_in_memory() -> None:
    """Names are remembered on disk: a hundred thousand of them are found again, and differ."""
    seen = SeenNames()
    try:
        for number in range(20_000):
            assert seen.earlier(f"name-{number}", f"key-{number}") == ""
        assert seen.earlier("name-7", "other") == "key-7"
        assert seen.earlier("name-7", "key-7") == "key-7"
    finally:
        seen.close()
