"""Creating once, copying, removing: C28 to C31, C33 to C36."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bulkhaul import ObjectStore
from bulkhaul.errors import NotFound, UsageError

from .bodies import made
from .subjects import Subject

DISPOSITION = 'attachment; filename="a b.txt"'
RACERS = 16


def test_c28_only_the_first_one_creates(store: ObjectStore) -> None:
    """True once; then False, and the first body stays."""
    assert store.put_if_absent("key", b"first") is True
    assert store.put_if_absent("key", b"second") is False
    assert store.put_if_absent("key", b"first") is False
    assert store.get_bytes("key") == b"first"


def test_c28_whatever_was_stored_is_in_the_way(store: ObjectStore) -> None:
    """An object stored by other means counts, an object that was deleted does not."""
    store.put_bytes("key", b"plain")
    assert store.put_if_absent("key", b"mine") is False
    assert store.get_bytes("key") == b"plain"
    store.delete("key")
    assert store.put_if_absent("key", b"mine") is True
    assert store.get_bytes("key") == b"mine"


def test_c28_a_failure_is_no_answer(subject: Subject) -> None:
    """A bucket that is not there raises: False would mean that another one has it."""
    with subject.elsewhere("missing") as store:
        with pytest.raises(NotFound):
            store.put_if_absent("key", b"")


def test_c30_onto_itself_nothing_is_copied(store: ObjectStore) -> None:
    """S3 refuses a copy that changes nothing; that there is no such object is told first."""
    with pytest.raises(NotFound):
        store.copy("missing", "missing")
    store.put_bytes("key", b"body")
    with pytest.raises(UsageError, match="same object"):
        store.copy("key", "key")
    assert store.get_bytes("key") == b"body"


def test_c29_an_empty_body_is_a_lock(store: ObjectStore) -> None:
    """An object without bytes can be created, and is in the way of the next one."""
    assert store.put_if_absent("lock", b"") is True
    assert store.put_if_absent("lock", b"") is False
    assert store.head("lock").size == 0


def test_c29_it_adds_no_metadata_of_the_callers(store: ObjectStore) -> None:
    """What the store itself may note there is not shown."""
    store.put_if_absent("key", b"x")
    assert store.head("key").metadata == {}


def test_c29_of_many_at_once_one_wins(store: ObjectStore) -> None:
    """16 racers, one True, and the object has the winner's bytes."""
    start = threading.Barrier(RACERS)

    def race(racer: int) -> bool:
        start.wait(60)
        return store.put_if_absent("key", b"racer %d" % racer)

    with ThreadPoolExecutor(RACERS) as pool:
        won = list(pool.map(race, range(RACERS)))
    assert won.count(True) == 1
    assert store.get_bytes("key") == b"racer %d" % won.index(True)


def test_c30_a_copy_overwrites_its_destination(subject: Subject) -> None:
    """The destination is the source's equal, the source stays, and the result names the destination."""
    store = subject.store
    store.put_bytes("source", b"new")
    store.put_bytes("destination", b"old and longer", metadata={"old": "1"})
    result = store.copy("source", "destination")
    assert result.ok
    assert (result.source, result.destination) == (subject.url("source"), subject.url("destination"))
    assert (result.key, result.size) == ("destination", 3)
    assert result.etag == store.head("destination").etag
    assert (store.get_bytes("destination"), store.get_bytes("source")) == (b"new", b"new")
    assert store.head("destination").metadata == {}


def test_c30_an_empty_object_can_be_copied(store: ObjectStore) -> None:
    """A copy of nothing is an object of size 0."""
    store.put_bytes("source", b"")
    store.copy("source", "destination")
    assert store.get_bytes("destination") == b""


def test_c31_a_large_object_is_copied_in_parts(subject: Subject) -> None:
    """Every part is in its place, nothing is left behind, and the headers came along."""
    body = made(subject.large_bytes)
    subject.store.put_bytes("source", body, content_disposition=DISPOSITION, metadata={"a": "b"})
    assert subject.store.copy("source", "destination").size == len(body)
    assert subject.store.get_bytes("destination") == body
    info = subject.store.head("destination")
    assert (info.metadata, info.content.content_disposition) == ({"a": "b"}, DISPOSITION)
    assert subject.pending_uploads() == []


def test_c33_a_copy_keeps_metadata_and_headers(store: ObjectStore) -> None:
    """Better than the row: what was stored with the source is there with the copy."""
    store.put_bytes("source", b"abc", content_disposition=DISPOSITION, metadata={"Owner": "Ann"})
    store.copy("source", "destination")
    source, destination = store.head("source"), store.head("destination")
    assert destination.metadata == source.metadata == {"owner": "Ann"}
    assert destination.content == source.content
    assert destination.content.content_disposition == DISPOSITION


@pytest.mark.parametrize("key", ["a b", "a#b", "a%2Fb", "a+b", "ü/é", "a?versionId=null", "a&b=c", "-._~!*'()"])
def test_c34_odd_keys_can_be_copied(store: ObjectStore, key: str) -> None:
    """The copied object is the named one: no key is decoded, cut or encoded twice."""
    store.put_bytes(key, key.encode())
    store.copy(key, f"copy of {key}")
    assert store.get_bytes(f"copy of {key}") == key.encode()
    assert sorted(info.key for info in store.list()) == sorted([key, f"copy of {key}"])


def test_c35_a_copy_of_nothing_names_the_source(subject: Subject) -> None:
    """NotFound with the source as its subject; the destination is left as it was."""
    subject.store.put_bytes("kept", b"old")
    for destination in ("kept", "new"):
        with pytest.raises(NotFound) as caught:
            subject.store.copy("missing", destination)
        assert caught.value.subject == subject.url("missing")
    assert [(info.key, info.size) for info in subject.store.list()] == [("kept", 3)]


def test_c36_a_missing_object_cannot_be_deleted(subject: Subject) -> None:
    """NotFound for what is not there, and for what is no longer there."""
    subject.store.put_bytes("key", b"x")
    subject.store.delete("key")
    for key in ("key", "never"):
        with pytest.raises(NotFound) as caught:
            subject.store.delete(key)
        assert caught.value.subject == subject.url(key)


def test_c36_only_the_named_object_is_deleted(store: ObjectStore) -> None:
    """Keys that begin alike, or lie below it, stay."""
    for key in ("a", "a/b", "aa"):
        store.put_bytes(key, b"x")
    store.delete("a")
    assert sorted(info.key for info in store.list()) == ["a/b", "aa"]
    with pytest.raises(NotFound):
        store.head("a")
