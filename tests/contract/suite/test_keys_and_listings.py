"""Keys as they are, and what listings say of them: C1, C7 to C9, C38."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from bulkhaul import ObjectStore
from bulkhaul.errors import NotFound, UsageError

from .subjects import Subject

ODD_KEYS = (
    "plain", "a b", "a+b", "100%", "%2F", "what?versionId=1", "#tag", "a&b=c", "ü/é", "日本語", "e\u0301", "😀",
    "it's", '"quoted"', "<tag>", "semi;colon", "a,b", "a:b", "$@!*()[]{}|^~`", "tab\there", " ", ".hidden", "...",
)  # fmt: skip


def put_all(store: ObjectStore, keys: Mapping[str, bytes]) -> None:
    """Store every body, one after another."""
    for key, body in keys.items():
        store.put_bytes(key, body)


def assert_distinct(store: ObjectStore, *keys: str) -> None:
    """Store another body under each key, and find each by exactly its key."""
    bodies = {key: f"body of {key!r}".encode() for key in keys}
    put_all(store, bodies)
    assert sorted(info.key for info in store.list()) == sorted(keys)
    assert {key: store.get_bytes(key) for key in keys} == bodies
    assert [store.head(key).key for key in keys] == list(keys)


def test_c1_odd_keys_are_used_verbatim(store: ObjectStore) -> None:
    """Nothing that means something in a URL, a shell or XML means anything in a key."""
    assert_distinct(store, *ODD_KEYS)


def test_c1_a_double_slash_is_kept(store: ObjectStore) -> None:
    """Empty segments are not merged: these are two objects."""
    assert_distinct(store, "a//b", "a/b")


def test_c1_dots_are_no_path(store: ObjectStore) -> None:
    """Neither client nor server resolves dots: these are four objects."""
    assert_distinct(store, "x", "./x", "a/../x", "../x")


def test_c1_a_slash_at_the_end_is_part_of_the_key(store: ObjectStore) -> None:
    """A key that looks like a folder can hold bytes."""
    assert_distinct(store, "a/", "b")


def test_c1_a_slash_at_the_beginning_is_part_of_the_key(store: ObjectStore) -> None:
    """A leading slash is neither cut nor added."""
    assert_distinct(store, "/a", "a")


def test_c1_a_backslash_is_no_slash(store: ObjectStore) -> None:
    """A backslash is a character like any other."""
    assert_distinct(store, "a\\b", "a/b")


def test_c1_an_object_may_lie_below_another(store: ObjectStore) -> None:
    """Keys are no tree: an object can be what would be a folder."""
    assert_distinct(store, "file", "file/child")


def test_c1_a_key_may_have_1024_bytes(store: ObjectStore) -> None:
    """The longest key that S3 takes is taken, here of two bytes each."""
    assert_distinct(store, "/".join(["ü" * 63] * 8) + "x")


@pytest.mark.parametrize("key", ["", "k" * 1025, "\ud800"], ids=["empty", "too-long", "no-unicode"])
def test_c1_what_names_no_object_is_refused(store: ObjectStore, key: str) -> None:
    """A key that cannot be one is an error of the call, and never reaches the bucket itself."""
    store.put_bytes("kept", b"x")
    for call in (store.head, store.get_bytes, store.delete):
        with pytest.raises(UsageError, match="key"):
            call(key)
    with pytest.raises(UsageError, match="key"):
        store.put_bytes(key, b"y")
    assert [info.key for info in store.list()] == ["kept"]


def test_c7_a_prefix_is_compared_character_by_character(store: ObjectStore) -> None:
    """``a`` finds ``a``, ``a/1`` and ``aaa``: a prefix is no folder."""
    put_all(store, dict.fromkeys(["a", "a/1", "aaa", "b", "b/a", "A"], b"x"))
    assert sorted(info.key for info in store.list("a")) == ["a", "a/1", "aaa"]
    assert [info.key for info in store.list("a/")] == ["a/1"]
    assert sorted(info.key for info in store.list("b")) == ["b", "b/a"]
    assert list(store.list("a/1/")) == []


def test_c7_an_empty_prefix_finds_everything(store: ObjectStore) -> None:
    """No prefix means all; an empty bucket has an empty listing."""
    assert list(store.list()) == []
    put_all(store, dict.fromkeys(["a", "b/c", "b/c/d"], b"x"))
    assert sorted(info.key for info in store.list()) == ["a", "b/c", "b/c/d"]
    assert sorted(info.key for info in store.list("")) == ["a", "b/c", "b/c/d"]


def test_c7_a_prefix_may_be_odd(store: ObjectStore) -> None:
    """A prefix is used verbatim, as keys are."""
    put_all(store, dict.fromkeys(["ü b/1+%2F", "ü b/2", "ü", "%C3%BC b/3"], b"x"))
    assert sorted(info.key for info in store.list("ü b/")) == ["ü b/1+%2F", "ü b/2"]
    assert [info.key for info in store.list("ü b/1+%2")] == ["ü b/1+%2F"]


def test_c8_a_listing_follows_all_pages(subject: Subject) -> None:
    """More keys than a page holds are all found, each once."""
    keys = [f"many/{number:05}" for number in range(subject.many_keys)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: subject.store.put_bytes(key, b"x"), keys))
    assert sorted(info.key for info in subject.store.list("many/")) == keys


def test_c9_a_listing_tells_size_and_time_but_no_etag(store: ObjectStore) -> None:
    """Every entry has its full key, its exact size and when it was stored; the ETag is None."""
    before = datetime.now(UTC) - timedelta(minutes=1)
    put_all(store, {"dir/empty": b"", "dir/three": b"abc"})
    found = {info.key: info for info in store.list("dir/")}
    assert {key: info.size for key, info in found.items()} == {"dir/empty": 0, "dir/three": 3}
    assert [info.etag for info in found.values()] == [None, None]
    for info in found.values():
        assert info.last_modified is not None
        assert info.last_modified.utcoffset() == timedelta(0)
        assert before < info.last_modified < datetime.now(UTC) + timedelta(minutes=1)


def test_c9_a_listing_of_a_missing_bucket_names_the_prefix(subject: Subject) -> None:
    """A bucket that is not there is NotFound, not empty."""
    with subject.elsewhere("missing") as store:
        with pytest.raises(NotFound) as caught:
            list(store.list("some/prefix"))
    assert caught.value.subject.endswith("/some/prefix")


def test_c38_a_probe_says_whether_the_bucket_can_be_listed(subject: Subject) -> None:
    """An empty bucket, or a prefix that nothing has, is no failure; a missing bucket is NotFound."""
    assert subject.store.probe() is None  # type: ignore[func-returns-value]
    subject.store.put_bytes("a/b", b"x")
    assert subject.store.probe("a/") is None  # type: ignore[func-returns-value]
    assert subject.store.probe("nothing/") is None  # type: ignore[func-returns-value]
    with subject.elsewhere("missing") as store:
        with pytest.raises(NotFound):
            store.probe("a/")
