"""Removing many, tags, presigned PUT, and stores that keep no versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from bulkhaul import LocalStore, MemoryStore, ObjectOptions, ObjectStore, S3Store
from bulkhaul.errors import NotFound, OtherError, Unsupported, UsageError
from tests.faultserver import Status

from .subjects import Subject
from .wired import Wired


def test_many_are_removed_one_outcome_a_key(subject: Subject) -> None:
    """In the order of the keys; what is not there is removed, too, so the call can be repeated."""
    store = subject.store
    for key in ("a", "b", "c"):
        store.put_bytes(key, b"x")
    for _ in range(2):
        results = list(store.delete_many(["c", "missing", "a"]))
        assert [(one.key, one.ok, one.source) for one in results] == [
            (key, True, subject.url(key)) for key in ("c", "missing", "a")
        ]
        assert [info.key for info in store.list()] == ["b"]
    assert list(store.delete_many([])) == []


def test_what_a_listing_yields_can_be_removed(store: ObjectStore) -> None:
    """The keys are taken as they come, of the same store, on the caller's thread."""
    for number in range(30):
        store.put_bytes(f"d/{number}", b"")
    store.put_bytes("kept", b"")
    assert all(one.ok for one in store.delete_many(info.key for info in store.list("d/")))
    assert [info.key for info in store.list()] == ["kept"]


def test_many_must_be_keys(store: ObjectStore) -> None:
    """One text is no list of keys; with a key that is none, nothing of its request is removed."""
    store.put_bytes("a", b"")
    with pytest.raises(UsageError, match="list"):
        list(store.delete_many("a"))
    with pytest.raises(UsageError, match="empty"):
        list(store.delete_many(["", "a"]))
    assert store.exists("a")


def test_many_of_a_missing_bucket_are_not_removed(subject: Subject) -> None:
    """A request that is refused as a whole raises."""
    with subject.elsewhere("missing") as store, pytest.raises(NotFound):
        list(store.delete_many(["a"]))


def test_tags_are_replaced_and_taken(store: ObjectStore) -> None:
    """What was said when the object was stored, then what is set in its place, then none."""
    if isinstance(store, LocalStore):
        for call in _tag_calls(store):
            with pytest.raises(Unsupported, match="no tags"):
                call()
        return
    store.put_bytes("key", b"x", options=ObjectOptions(tags={"a": "1", "b": "2"}))
    assert store.get_tags("key") == {"a": "1", "b": "2"}
    store.set_tags("key", {"c d": "ü"})
    assert store.get_tags("key") == {"c d": "ü"}
    store.delete_tags("key")
    store.delete_tags("key")
    assert store.get_tags("key") == {}
    assert store.get_bytes("key") == b"x"
    with pytest.raises(UsageError, match="10 tags"):
        store.set_tags("key", {str(number): "" for number in range(11)})
    with pytest.raises(NotFound):
        store.set_tags("missing", {"a": "b"})


def _tag_calls(store: ObjectStore) -> list[Callable[[], object]]:
    return [
        lambda: store.get_tags("key"),
        lambda: store.set_tags("key", {"a": "b"}),
        lambda: store.delete_tags("key"),
    ]


def test_anyone_can_put_to_a_presigned_url(store: ObjectStore) -> None:
    """By one PUT with the content type that was said; a folder has no URLs, and those of memory are stubs."""
    with pytest.raises(OtherError, match="whole seconds"):
        store.presigned_put_url("dir/a b", 0)
    if isinstance(store, LocalStore):
        with pytest.raises(Unsupported, match="no URLs"):
            store.presigned_put_url("dir/a b", 60)
        return
    url = store.presigned_put_url("dir/a b", 60, content_type="text/csv")
    assert "X-Amz-Signature=" in url
    if isinstance(store, MemoryStore):
        return
    put = Request(url, b"stored", {"Content-Type": "text/csv"}, method="PUT")  # noqa: S310 - of the server just started
    with urlopen(put, timeout=30) as answer:  # noqa: S310
        assert answer.status == 200
    assert store.get_bytes("dir/a b") == b"stored"
    assert store.head("dir/a b").content.content_type == "text/csv"


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.head("key", version_id="v"),
        lambda store: store.exists("key", version_id="v"),
        lambda store: store.get_bytes("key", version_id="v"),
        lambda store: store.get_bytes_range("key", 0, 1, version_id="v"),
        lambda store: store.get_bytes_suffix("key", 1, version_id="v"),
        lambda store: store.get_ranges("key", [(0, 1)], version_id="v"),
        lambda store: store.get_to_file("key", "/nonexistent/file", version_id="v"),
        lambda store: store.delete("key", version_id="v"),
        lambda store: store.get_tags("key", version_id="v"),
        lambda store: store.presigned_get_url("key", 60, version_id="v"),
        lambda store: list(store.list_versions("key")),
    ],
)
@pytest.mark.parametrize("kind", ["memory", "local"])
def test_memory_and_folders_keep_no_versions(kind: str, call: Callable[[ObjectStore], object], tmp_path: Path) -> None:
    """To name one is Unsupported, and never the current one."""
    store: ObjectStore = MemoryStore() if kind == "memory" else LocalStore(tmp_path)
    store.put_bytes("key", b"x")
    with pytest.raises(Unsupported, match="version"):
        call(store)
    assert store.exists("key")


def test_many_are_removed_by_requests_of_a_thousand(wire: Wired) -> None:
    """Two requests for 1,001 keys; what the first one was refused for as a whole is raised before the second one."""
    keys = [f"many/{number}" for number in range(1001)]
    assert [one.key for one in wire.store.delete_many(keys)] == keys
    assert len(wire.asked("DeleteObjects")) == 2
    wire.forget()
    wire.server.add_fault(Status(operation="DeleteObjects", code="NoSuchBucket", status=404, attempt="every", times=1))
    with pytest.raises(NotFound):
        list(wire.store.delete_many(keys))
    assert len(wire.asked("DeleteObjects")) == 1


def test_nothing_is_removed_before_an_outcome_is_taken(wire: Wired) -> None:
    """As with listings: the iterator asks."""
    results = wire.store.delete_many(["a"])
    assert wire.asked() == []
    assert next(iter(results)).ok


def test_applied_prefixes_hold_for_all_of_them(wire: Wired) -> None:
    """Keys go below the prefix, and come back without it."""
    with S3Store.from_url(f"{wire.store.url}/pre", prefix="apply", allow_http=True, workers=1) as store:
        store.put_bytes("a", b"x")
        assert wire.store.exists("pre/a")
        assert "/bucket/pre/b?" in store.presigned_put_url("b", 60)
        [result] = store.delete_many(["a"])
        assert (result.key, result.source) == ("a", "s3://bucket/pre/a")
        assert not wire.store.exists("pre/a")
