"""What MemoryStore adds to the contract of a store, for the tests of those who use one."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

import bulkhaul
from bulkhaul.errors import (
    LocalError,
    NetworkError,
    NotFound,
    OtherError,
    PayloadTooLarge,
    RangeNotSatisfiable,
    Throttled,
    UsageError,
)
from bulkhaul.model.limits import S3Limits
from bulkhaul.model.results import ProgressCallback, TransferResult
from bulkhaul.store.local import LocalStore
from bulkhaul.store.memory import MemoryStore
from bulkhaul.store.memory_bucket import Operation
from bulkhaul.store.protocol import ObjectStore

if TYPE_CHECKING:
    PROOF: ObjectStore = MemoryStore()  # the type checker's test: every method, with its types


def methods(kind: type) -> dict[str, list[tuple[str, object]]]:
    """Return the public methods of a class, with the names and kinds of their parameters."""
    return {
        name: [(parameter.name, parameter.kind) for parameter in inspect.signature(member).parameters.values()]
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_stores_have_every_method_of_a_store() -> None:
    """C6, C72: with the same parameters; a fault can strike each of them, and nothing else."""
    promised = methods(ObjectStore)
    offered = methods(MemoryStore)
    assert {name: offered.get(name) for name in promised} == promised
    assert {name: methods(LocalStore).get(name) for name in promised} == promised
    assert set(get_args(Operation)) == set(promised) - {"close"}


def test_the_public_names_are_these() -> None:
    """Users import the store and its protocol from the package itself."""
    assert bulkhaul.MemoryStore is MemoryStore
    assert bulkhaul.ObjectStore is ObjectStore
    assert {"MemoryStore", "ObjectStore"} <= set(bulkhaul.__all__)


def test_faults_strike_once_each_in_their_order() -> None:
    """C72: FIFO for each operation; other operations, and the calls after, are spared."""
    store = MemoryStore()
    store.put_bytes("k", b"abc")
    first, second = Throttled("slow down"), NetworkError("no reply")
    store.fail_next("get_bytes", first)
    store.fail_next("get_bytes", second)
    assert store.pending_faults == 2
    assert store.head("k").size == 3
    with pytest.raises(Throttled) as caught:
        store.get_bytes("k")
    assert caught.value is first
    assert store.pending_faults == 1
    with pytest.raises(NetworkError) as caught_second:
        store.get_bytes("k")
    assert caught_second.value is second
    assert store.pending_faults == 0
    assert store.get_bytes("k") == b"abc"


def test_every_operation_can_be_struck_and_then_has_done_nothing(tmp_path: Path) -> None:
    """C72: a fault comes in place of the request, so the bucket and the disk stay as they were."""
    store = MemoryStore()
    store.put_bytes("k", b"abc")
    (tmp_path / "source").write_bytes(b"new")
    calls: dict[str, Callable[[], object]] = {
        "list": lambda: [*store.list()],
        "head": lambda: store.head("k"),
        "get_to_file": lambda: store.get_to_file("k", tmp_path / "restored"),
        "get_bytes": lambda: store.get_bytes("k"),
        "get_bytes_range": lambda: store.get_bytes_range("k", 0, 1),
        "list_with_delimiter": lambda: store.list_with_delimiter(),
        "exists": lambda: store.exists("k"),
        "get_bytes_suffix": lambda: store.get_bytes_suffix("k", 1),
        "get_ranges": lambda: store.get_ranges("k", [(0, 1)]),
        "put_bytes": lambda: store.put_bytes("k", b"new"),
        "put_path": lambda: store.put_path("k", tmp_path / "source"),
        "put_if_absent": lambda: store.put_if_absent("n", b"new"),
        "copy": lambda: store.copy("k", "n"),
        "delete_many": lambda: [*store.delete_many(["k"])],
        "get_tags": lambda: store.get_tags("k"),
        "set_tags": lambda: store.set_tags("k", {"a": "b"}),
        "delete_tags": lambda: store.delete_tags("k"),
        "list_versions": lambda: [*store.list_versions()],
        "presigned_put_url": lambda: store.presigned_put_url("k", 1),
        "copy_from": lambda: store.copy_from(store, "k", "n"),
        "open": lambda: store.open("k", "wb"),
        "delete": lambda: store.delete("k"),
        "presigned_get_url": lambda: store.presigned_get_url("k", 1),
        "probe": lambda: store.probe(),
    }
    assert set(calls) == set(get_args(Operation))
    for operation in get_args(Operation):
        store.fail_next(operation, OtherError(f"struck {operation}"))
        with pytest.raises(OtherError, match=f"struck {operation}"):
            calls[operation]()
        assert store.pending_faults == 0
    assert [info.key for info in store.list()] == ["k"]
    assert store.get_bytes("k") == b"abc"
    assert os.listdir(tmp_path) == ["source"]


def test_a_fault_waits_for_a_request() -> None:
    """C21, C37: a call that is refused, or needs no request, leaves the fault for the next one."""
    store = MemoryStore()
    store.fail_next("get_bytes_range", Throttled("slow down"))
    store.fail_next("presigned_get_url", Throttled("slow down"))
    store.fail_next("put_bytes", Throttled("slow down"))
    assert store.get_bytes_range("k", 4, 4) == b""
    with pytest.raises(RangeNotSatisfiable):
        store.get_bytes_range("k", 4, 3)
    with pytest.raises(OtherError, match="604800"):
        store.presigned_get_url("k", 0)
    with pytest.raises(UsageError):
        store.put_bytes("k", b"", metadata={"a": "\n"})
    assert store.pending_faults == 3


def test_a_fault_for_no_operation_is_refused() -> None:
    """A misspelt operation would let a test pass that meets no fault at all."""
    store = MemoryStore()
    with pytest.raises(UsageError, match="get_byte"):
        store.fail_next("get_byte", Throttled("slow down"))  # type: ignore[arg-type]
    assert store.pending_faults == 0


def test_a_rival_wins_the_next_conditional_write_of_its_key() -> None:
    """C72: the object is absent before, the call says False, and the rival's bytes are there; once."""
    store = MemoryStore()
    store.contend("lock", b"rival")
    with pytest.raises(NotFound):
        store.head("lock")
    assert store.put_if_absent("other", b"mine") is True
    assert store.pending_faults == 1
    assert store.put_if_absent("lock", b"mine") is False
    assert store.get_bytes("lock") == b"rival"
    assert store.pending_faults == 0
    store.delete("lock")
    assert store.put_if_absent("lock", b"mine") is True


def test_an_object_can_be_given_any_age() -> None:
    """C72: head and list tell the new time, in UTC; body, ETag and metadata stay."""
    store = MemoryStore()
    store.put_bytes("k", b"abc", metadata={"a": "b"})
    before = store.head("k")
    moment = datetime(2001, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))
    store.backdate("k", moment)
    after = store.head("k")
    assert after.last_modified == moment
    assert after.last_modified.tzinfo is UTC
    assert [info.last_modified for info in store.list()] == [moment]
    assert (after.etag, after.metadata, after.size) == (before.etag, before.metadata, 3)
    assert store.get_bytes("k") == b"abc"
    with pytest.raises(UsageError, match="time zone"):
        store.backdate("k", datetime(2001, 2, 3))
    with pytest.raises(NotFound):
        store.backdate("missing", moment)


def test_a_presigned_url_is_a_stub() -> None:
    """C72: it has the shape of a signed one, and a scheme that nothing fetches by mistake."""
    url = MemoryStore("shelf").presigned_get_url("a b/#ü", 60)
    address, _, query = url.partition("?")
    assert address == "memory://shelf/a%20b/%23%C3%BC"
    names = [pair.partition("=")[0] for pair in query.split("&")]
    assert names == ["X-Amz-Algorithm", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature"]


@pytest.mark.parametrize(("size_bytes", "deltas"), [(0, []), (9, [9]), (10, [4, 4, 2]), (12, [4, 4, 4])])
def test_a_body_is_stored_in_parts_from_the_threshold_on(size_bytes: int, deltas: list[int], tmp_path: Path) -> None:
    """C24, C48: below it by one request; at it and above part by part, which ETag and progress show."""
    store = MemoryStore(multipart_threshold_bytes=10, part_size_bytes=4)
    body = bytes(range(size_bytes))
    (tmp_path / "source").write_bytes(body)
    puts: list[Callable[[ProgressCallback], TransferResult]] = [
        lambda progress: store.put_bytes("k", body, progress=progress),
        lambda progress: store.put_path("k", tmp_path / "source", progress=progress),
    ]
    for put in puts:
        seen: list[int] = []
        etag = put(seen.append).etag
        assert seen == deltas
        assert etag.endswith('-3"') == (len(deltas) > 1)
        assert store.get_bytes("k") == body


def test_etags_are_those_of_s3() -> None:
    """The ETag of a plain object is its MD5, in quotes; of one in parts the MD5 of their MD5s, and their number."""
    store = MemoryStore(multipart_threshold_bytes=6, part_size_bytes=4)
    assert store.put_bytes("k", b"").etag == '"d41d8cd98f00b204e9800998ecf8427e"'
    assert store.put_bytes("k", b"abc").etag == '"900150983cd24fb0d6963f7d28e17f72"'
    # printf '%s%s' "$(printf abcd | md5sum)" … | xxd -r -p | md5sum
    assert store.put_bytes("k", b"abcdef").etag == '"fa40dffba3d56c6098e0477379f300bd-2"'


def test_a_limit_can_be_lowered_to_be_met(tmp_path: Path) -> None:
    """C54: so a caller can test what too large an object does to it, without writing 5 TiB."""
    store = MemoryStore(limits=S3Limits(max_object_bytes=8))
    (tmp_path / "source").write_bytes(b"123456789")
    assert store.put_bytes("k", b"12345678").size == 8
    puts: list[Callable[[], object]] = [
        lambda: store.put_bytes("k", b"123456789"),
        lambda: store.put_path("k", tmp_path / "source"),
        lambda: store.put_if_absent("n", b"123456789"),
    ]
    for put in puts:
        with pytest.raises(PayloadTooLarge, match="8 B"):
            put()
    assert [(info.key, info.size) for info in store.list()] == [("k", 8)]


def test_a_fifo_or_folder_is_no_source(tmp_path: Path) -> None:
    """C25: only a regular file has a length that can be kept; a FIFO must not be waited for."""
    store = MemoryStore()
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(LocalError, match="only regular files"):
            store.put_path("k", path)
    assert list(store.list()) == []


def test_a_callback_may_use_the_store(tmp_path: Path) -> None:
    """Progress is told outside the store's lock: a callback that reads does not wait for itself."""
    store = MemoryStore()
    store.put_bytes("k", b"abc")
    seen: list[bytes] = []
    store.get_to_file("k", tmp_path / "restored", progress=lambda _: seen.append(store.get_bytes("k")))
    store.put_bytes("n", b"x", progress=lambda _: seen.append(store.get_bytes("k")))
    assert seen == [b"abc", b"abc"]


def test_a_callback_that_raises_ends_the_call(tmp_path: Path) -> None:
    """Its own error comes out; the bucket and the folder are as they were, without a temp file."""
    store = MemoryStore()
    store.put_bytes("k", b"abc")
    (tmp_path / "file").write_bytes(b"old")

    def fail(_: int) -> None:
        raise KeyError("the callback's own")

    calls: list[Callable[[], object]] = [
        lambda: store.get_to_file("k", tmp_path / "file", progress=fail),
        lambda: store.put_bytes("k", b"new", progress=fail),
        lambda: store.put_path("k", tmp_path / "file", progress=fail),
    ]
    for call in calls:
        with pytest.raises(KeyError, match="own"):
            call()
    assert store.get_bytes("k") == b"abc"
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_many_threads_may_use_one_store() -> None:
    """C72: no write of many threads is lost, and every fault strikes exactly one of them."""
    store = MemoryStore()
    for _ in range(50):
        store.fail_next("put_bytes", Throttled("slow down"))
    failed: list[str] = []

    def write(worker: int) -> None:
        for number in range(50):
            try:
                store.put_bytes(f"{worker}/{number}", b"x")
            except Throttled:
                failed.append(f"{worker}/{number}")

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(failed), store.pending_faults) == (50, 0)
    expected = {f"{worker}/{number}" for worker in range(8) for number in range(50)} - set(failed)
    assert {info.key for info in store.list()} == expected


def test_metadata_leaves_room_for_a_token(tmp_path: Path) -> None:
    """C5: a real store may add 46 bytes to the metadata, so what it has no room for is refused in memory too."""
    store = MemoryStore()
    (tmp_path / "source").write_bytes(b"abc")
    store.put_bytes("most", b"", metadata={"k": "v" * 2001})
    store.put_path("most", tmp_path / "source", metadata={"k": "v" * 2001})
    with pytest.raises(UsageError, match="2049 bytes"):
        store.put_bytes("more", b"", metadata={"k": "v" * 2002})
    with pytest.raises(UsageError, match="2049 bytes"):
        store.put_path("more", tmp_path / "source", metadata={"k": "v" * 2002})
    assert [info.key for info in store.list()] == ["most"]


def test_a_scattered_body_is_refused_in_memory_too() -> None:
    """C24: both ways to store bytes take a buffer only if a real store takes it."""
    store = MemoryStore()
    with pytest.raises(UsageError, match="one after another"):
        store.put_bytes("key", memoryview(b"abcdef")[::2])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="one after another"):
        store.put_if_absent("key", memoryview(b"abcdef")[::2])  # type: ignore[arg-type]
    assert list(store.list()) == []


@pytest.mark.parametrize("path", ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_a_file_whose_length_is_not_true_is_refused(path: str) -> None:
    """As a store of S3 does: neither an empty nor a padded object is made, and the error names the file."""
    store = MemoryStore()
    with pytest.raises(LocalError, match=f"^{path}: it has (more|less) than its length says"):
        store.put_path("k", path)
    assert [*store.list()] == []
