"""A server that ignores what it was asked (`rclone serve s3`) is refused cleanly: no wrong bytes, nothing left."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import S3Store
from bulkhaul.errors import NotFound, OtherError, RangeIgnored, RangeNotSatisfiable, TransferError
from bulkhaul.model.limits import KIB, S3Limits
from tests.servers import RunningServer, rclone

from .bodies import Deltas, made
from .serving import environment

PART_BYTES = 64 * KIB
LARGE = made(4 * PART_BYTES + 3)

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def rude() -> Iterator[RunningServer]:
    """The server, with a bucket."""
    with rclone() as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the journals of uploads."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def store(rude: RunningServer, state: Path) -> Iterator[S3Store]:
    """A store on the bucket, opened by its URL."""
    with environment(rude, {"BULKHAUL_STATE_DIR": str(state)}):
        with S3Store.from_url(
            f"s3+http://127.0.0.1:{rude.port}/bucket",
            workers=2,
            part_size_bytes=PART_BYTES,
            multipart_threshold_bytes=2 * PART_BYTES,
            limits=S3Limits(min_part_bytes=PART_BYTES),
        ) as opened:
            opened.probe()
            yield opened


@pytest.fixture(autouse=True)
def nothing_left(rude: RunningServer, state: Path) -> Iterator[None]:
    """After each test no upload is pending, and no journal is left of one."""
    yield
    assert uploads_on(rude.client()) == []
    assert [path.name for path in state.rglob("*") if path.is_file()] == []


def uploads_on(client: Any) -> list[dict[str, Any]]:
    """Return the uploads that were begun and not ended; where there never was one, this server says NoSuchUpload."""
    with contextlib.suppress(client.exceptions.NoSuchUpload):
        return list(client.list_multipart_uploads(Bucket="bucket").get("Uploads", []))
    return []


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 3), (1, 2), (2, 3)])
def test_a_range_that_is_answered_with_the_object_is_refused(store: S3Store, start: int, end: int) -> None:
    """Status 200 instead of 206 is RangeIgnored, also where the range is the whole object."""
    store.put_bytes("small", b"abc")
    with pytest.raises(RangeIgnored) as caught:
        store.get_bytes_range("small", start, end)
    assert caught.value.subject == "s3://bucket/small"


def test_a_range_beyond_the_end_is_still_told_apart(store: S3Store) -> None:
    """A range that no server can serve is RangeNotSatisfiable with the caller's range."""
    store.put_bytes("small", b"abc")
    with pytest.raises(RangeNotSatisfiable, match=r"\[3, 4\)"):
        store.get_bytes_range("small", 3, 4)


@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "over-an-old-one"])
def test_an_object_of_several_parts_is_refused(store: S3Store, tmp_path: Path, old: bytes | None) -> None:
    """A file of ranges that were ignored would be wrong: the destination stays as it was, and no temp file is left."""
    store.put_bytes("large", LARGE)
    if old is not None:
        (tmp_path / "file").write_bytes(old)
    deltas = Deltas()
    with pytest.raises(RangeIgnored, match="a part size above the object's 262147 bytes fetches it whole"):
        store.get_to_file("large", tmp_path / "file", progress=deltas)
    assert os.listdir(tmp_path) == ([] if old is None else ["file"])
    assert old is None or (tmp_path / "file").read_bytes() == old
    assert deltas.total_bytes <= len(LARGE)


def test_an_object_of_one_part_arrives(store: S3Store, tmp_path: Path) -> None:
    """It needs no range, so the server can serve it."""
    for size_bytes in (0, 1, 1000, PART_BYTES):
        body = made(size_bytes)
        store.put_bytes("one", body)
        assert store.get_to_file("one", tmp_path / "file").size == size_bytes
        assert (tmp_path / "file").read_bytes() == body
    assert os.listdir(tmp_path) == ["file"]


def test_uploads_arrive_whole(store: S3Store, tmp_path: Path) -> None:
    """One request or parts: what was put is what is there."""
    (tmp_path / "file").write_bytes(LARGE)
    store.put_bytes("small", b"abc", metadata={"a": "b"}, content_disposition="inline")
    store.put_bytes("from memory", LARGE)
    store.put_path("from a file", tmp_path / "file")
    info = store.head("small")
    assert (info.size, info.metadata["a"], info.content.content_disposition) == (3, "b", "inline")
    assert store.get_bytes("from memory") == LARGE
    assert store.get_bytes("from a file") == LARGE


def test_listings_are_whole(store: S3Store) -> None:
    """Keys and sizes of what is below the prefix, and of nothing else."""
    for key, body in {"listed/a": b"a", "listed/b": b"", "listed/c/d": b"abc"}.items():
        store.put_bytes(key, body)
    assert sorted((info.key, info.size) for info in store.list("listed/")) == [
        ("listed/a", 1), ("listed/b", 0), ("listed/c/d", 3),
    ]  # fmt: skip
    assert list(store.list("nothing/")) == []


def test_a_copy_that_is_not_confirmed_is_no_copy(store: S3Store) -> None:
    """A small object is copied; parts whose ETags the server does not tell are refused, and no object is made."""
    store.put_bytes("small", b"abc")
    store.put_bytes("large", LARGE)
    store.copy("small", "copy of small")
    assert store.get_bytes("copy of small") == b"abc"
    with pytest.raises(OtherError, match="did not say its ETag"):
        store.copy("large", "copy of large")
    with pytest.raises(NotFound):
        store.head("copy of large")


def test_what_is_deleted_is_gone(store: S3Store) -> None:
    """Delete removes, and what is not there is NotFound."""
    store.put_bytes("small", b"abc")
    store.delete("small")
    calls: list[Callable[[str], object]] = [store.head, store.get_bytes, store.delete]
    for call in calls:
        with pytest.raises(NotFound) as caught:
            call("small")
        assert caught.value.subject == "s3://bucket/small"


def test_every_refusal_says_what_happened(store: S3Store, tmp_path: Path) -> None:
    """Whatever fails on this server is of our tree of errors, and names the object."""
    store.put_bytes("large", LARGE)
    failing: list[Callable[[], object]] = [
        lambda: store.get_bytes_range("large", 0, 5),
        lambda: store.get_to_file("large", tmp_path / "file"),
        lambda: store.copy("large", "elsewhere"),
    ]
    for call in failing:
        with pytest.raises(TransferError) as caught:
            call()
        assert caught.value.subject == "s3://bucket/large"
        assert str(caught.value).startswith("s3://bucket/large: ")
