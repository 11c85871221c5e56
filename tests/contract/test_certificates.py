"""Certificates: written whole or not at all, refused when changed, and checked again, all of them or a sample."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import Engine
from bulkhaul.errors import LocalError, ManifestError, UsageError
from bulkhaul.jobs.verify_against import Sample, verify_against
from bulkhaul.jobs.verify_options import VerifyCounts, VerifyOptions
from bulkhaul.jobs.verifying import verify
from bulkhaul.model.verdicts import Verdict
from tests.engines import running_engine, serving
from tests.faultserver import FaultServer, Status, make_object

OURS, THEIRS, ELSEWHERE = "s3://bucket/ours/", "s3://bucket/theirs/", "s3://bucket/elsewhere/"
NAMES = [f"{number:03}" for number in range(40)]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FaultServer, Engine]]:
    """A server and an engine that asks it, for all tests of this module."""
    with serving() as server, running_engine(server.endpoint_url) as engine:
        yield server, engine


@pytest.fixture
def engine(served: tuple[FaultServer, Engine]) -> Engine:
    """An engine before three prefixes that have the same."""
    server, engine = served
    for key in server.store.in_bucket("bucket"):
        server.store.delete("bucket", key)
    for name in NAMES:
        for prefix in ("ours", "theirs", "elsewhere"):
            server.store.put("bucket", f"{prefix}/{name}", make_object(name.encode(), algorithm="CRC64NVME"))
    return engine


@pytest.fixture
def store(served: tuple[FaultServer, Engine]) -> Callable[..., None]:
    """What stores an object."""
    server = served[0]

    def put(key: str, body: bytes, **fields: Any) -> None:
        server.store.put("bucket", key, make_object(body, **fields))

    return put


def certify(engine: Engine, path: Path, one: str | Path = OURS, other: str | Path = THEIRS, **options: Any) -> str:
    """Compare, write the certificate, and return its root."""
    counts = VerifyCounts()
    list(verify(engine, one, other, VerifyOptions(certificate=str(path), **options), counts=counts))
    return counts.root


def again(engine: Engine, path: Path, place: str | Path, **more: Any) -> dict[str, Verdict]:
    """Check a certificate, and return the verdicts that are not equal, and how many are under an empty name."""
    results = list(verify_against(engine, path, place, **more))
    found: dict[str, Verdict] = {one.name: one.verdict for one in results if one.verdict is not Verdict.EQUAL}
    return found | {"": Verdict.EQUAL} if any(one.verdict is Verdict.EQUAL for one in results) else found


def root_of(lines: list[bytes]) -> str:
    """Return the root by the definition of RFC 6962 §2.1."""

    def tree(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        k = 1
        while 2 * k < len(leaves):
            k *= 2
        return hashlib.sha256(b"\1" + tree(leaves[:k]) + tree(leaves[k:])).digest()

    return tree(lines).hex()


def test_what_it_holds(engine: Engine, tmp_path: Path) -> None:
    """A row a name in their order, and the root over all lines before the last."""
    path = tmp_path / "certificate"
    root = certify(engine, path)
    lines = path.read_bytes().splitlines()
    head, *rows, end = (json.loads(line) for line in lines)
    assert (head["a"], head["b"], head["compare"], head["certificate"]) == (OURS, THEIRS, "checksum", 1)
    assert [row["key"] for row in rows] == NAMES
    assert {row["evidence"] for row in rows} == {"stored-checksum"}
    assert rows[7]["a"]["etag"] == f'"{hashlib.md5(b"007").hexdigest()}"'
    assert rows[7]["a"]["checksum"] == rows[7]["b"]["checksum"]
    assert end == {"rows": 40, "bytes": 120, "root": root}
    assert root == root_of(lines[:-1])
    assert again(engine, path, OURS) == again(engine, path, THEIRS) == {"": Verdict.EQUAL}
    counts = VerifyCounts()
    list(verify_against(engine, path, OURS, counts=counts))
    assert counts.root == root, "whoever changes rows and root together is found out by the root that somebody kept"
    assert [one.name for one in tmp_path.iterdir()] == ["certificate"]


def test_another_place_that_should_have_the_same(engine: Engine, store: Callable[..., None], tmp_path: Path) -> None:
    """A third copy, and files, are checked by what the certificate knows of the bytes."""
    path = tmp_path / "certificate"
    certify(engine, path)
    folder = tmp_path / "files"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(name.encode())
    assert again(engine, path, ELSEWHERE) == again(engine, path, folder) == {"": Verdict.EQUAL}
    store("elsewhere/003", b"xyz", algorithm="CRC64NVME")
    (folder / "004").write_bytes(b"xyz")
    (folder / "005").unlink()
    assert again(engine, path, ELSEWHERE) == {"003": Verdict.DIFFERENT, "": Verdict.EQUAL}
    missing = {"004": Verdict.DIFFERENT, "005": Verdict.MISSING, "": Verdict.EQUAL}
    assert again(engine, path, folder) == missing


def test_what_was_read_is_remembered(engine: Engine, store: Callable[..., None], tmp_path: Path) -> None:
    """The SHA-256 of objects without comparable checksums is in the certificate, and reading compares with it."""
    for prefix, part in (("ours", 2), ("theirs", 3)):
        store(f"{prefix}/parts", b"0123456789", part_size_bytes=part)
    path = tmp_path / "certificate"
    assert certify(engine, path) == ""
    assert certify(engine, path, read=True) != ""
    store("elsewhere/parts", b"0123456789", part_size_bytes=4)
    assert again(engine, path, ELSEWHERE) == {"parts": Verdict.UNDECIDABLE, "": Verdict.EQUAL}
    assert again(engine, path, ELSEWHERE, options=VerifyOptions(read=True)) == {"": Verdict.EQUAL}
    store("elsewhere/parts", b"012345678?", part_size_bytes=4)
    found = again(engine, path, ELSEWHERE, options=VerifyOptions(read=True))
    assert found == {"parts": Verdict.DIFFERENT, "": Verdict.EQUAL}


def test_files_are_checked_by_what_the_objects_told(engine: Engine, store: Callable[..., None], tmp_path: Path) -> None:
    """Of a file whose ETag of parts was computed, nothing is kept; the object's record has that ETag."""
    body = bytes(range(256)) * 4096 * 3
    store("other/parts", body, part_size_bytes=1024 * 1024)
    folder, path = tmp_path / "files", tmp_path / "certificate"
    folder.mkdir()
    (folder / "parts").write_bytes(body)
    assert certify(engine, path, folder, "s3://bucket/other/") != ""
    assert again(engine, path, folder) == {"": Verdict.EQUAL}
    (folder / "parts").write_bytes(body[:-1] + b"?")
    assert again(engine, path, folder) == {"parts": Verdict.UNDECIDABLE}


@pytest.mark.parametrize("trouble", ["different", "missing", "undecidable"])
def test_none_is_written_unless_all_are_equal(
    engine: Engine, store: Callable[..., None], tmp_path: Path, trouble: str
) -> None:
    """Neither a new one nor a temp file is there, and an old one stays as it was."""
    if trouble == "different":
        store("theirs/020", b"abc", algorithm="CRC64NVME")
    elif trouble == "missing":
        store("ours/new", b"abc")
    else:
        store("ours/020", b"020", algorithm="SHA256", etag="0" * 32 + "-1")
    path = tmp_path / "certificate"
    path.write_text("old")
    assert certify(engine, path) == ""
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["certificate"]


def test_a_comparison_that_fails_leaves_no_certificate(served: tuple[FaultServer, Engine], tmp_path: Path) -> None:
    """A listing that is refused, and a caller that stops, leave nothing behind."""
    server, engine = served
    with pytest.raises(LocalError):
        certify(engine, tmp_path / "no/folder")
    options = VerifyOptions(certificate=str(tmp_path / "certificate"))
    for _ in verify(engine, OURS, THEIRS, options):
        break
    server.add_fault(Status(code="AccessDenied", operation="ListObjectsV2", attempt="every", times=1))
    with pytest.raises(Exception, match="injected"):
        certify(engine, tmp_path / "certificate")
    assert list(tmp_path.iterdir()) == []


CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "a size": (lambda lines: [*lines[:3], lines[3].replace(b'"size":3', b'"size":4'), *lines[4:]], "field bytes"),
    "an ETag": (lambda lines: [*lines[:3], lines[3].replace(b'etag":"', b'etag":"0'), *lines[4:]], "field root"),
    "a place": (lambda lines: [lines[0].replace(b"theirs", b"others"), *lines[1:]], "field root"),
    "a row less": (lambda lines: [*lines[:5], *lines[6:]], "field rows"),
    "two rows exchanged": (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], "field key"),
    "a row twice": (lambda lines: [*lines[:5], lines[4], *lines[5:]], "field key"),
    "the end is missing": (lambda lines: lines[:-1], "not whole"),
    "more after the end": (lambda lines: [*lines, lines[4]], "after the last"),
    "the root": (lambda lines: [*lines[:-1], lines[-1].replace(b'root":"', b'root":"0')], "field root"),
    "no JSON": (lambda lines: [*lines[:4], b"x", *lines[4:]], "malformed"),
    "a wrong type": (lambda lines: [*lines[:3], lines[3].replace(b'"size":3', b'"size":"3"'), *lines[4:]], r"\$.size"),
    "an unknown field": (lambda lines: [*lines[:3], lines[3].replace(b'"size"', b'"x":1,"size"'), *lines[4:]], "`x`"),
    "another version": (lambda lines: [lines[0].replace(b'te":1', b'te":2'), *lines[1:]], "version 2"),
    "nothing": (lambda _: [], "empty"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_certificate_is_refused(engine: Engine, tmp_path: Path, change: str) -> None:
    """By name of the file, and of the line and the field where there is one; nothing is compared."""
    path = tmp_path / "certificate"
    certify(engine, path)
    make, told = CHANGES[change]
    changed = make(path.read_bytes().splitlines())
    assert changed != path.read_bytes().splitlines()
    path.write_bytes(b"".join(line + b"\n" for line in changed))
    with pytest.raises(ManifestError, match=told) as caught:
        again(engine, path, OURS, sample=Sample(1, 0))
    assert str(path) in str(caught.value)
    with pytest.raises(LocalError):
        again(engine, tmp_path / "none", OURS)


def test_a_sample(engine: Engine, tmp_path: Path) -> None:
    """So many rows, the same ones for the same seed, others for another one, all of them if there are not so many."""
    path = tmp_path / "certificate"
    certify(engine, path)

    def names(rows: int, seed: int) -> list[str]:
        return [one.name for one in verify_against(engine, path, OURS, sample=Sample(rows, seed))]

    assert len(names(5, 1)) == 5
    assert names(5, 1) == names(5, 1) == sorted(names(5, 1))
    assert names(5, 1) != names(5, 2)
    assert names(100, 1) == NAMES
    assert set().union(*(names(8, seed) for seed in range(60))) == set(NAMES)
    with pytest.raises(UsageError):
        names(0, 1)


def test_one_object(engine: Engine, tmp_path: Path) -> None:
    """A certificate of one object and one file is checked against either of them."""
    path, file = tmp_path / "certificate", tmp_path / "file"
    file.write_bytes(b"000")
    certify(engine, path, f"{OURS}000", file)
    assert again(engine, path, f"{OURS}000") == again(engine, path, file) == {"": Verdict.EQUAL}
    file.write_bytes(b"001")
    assert again(engine, path, file) == {"": Verdict.DIFFERENT}
