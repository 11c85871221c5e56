"""What head, get_bytes and get_bytes_range say: C3, C5, C10, C20 to C23, C55."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bulkhaul import ObjectStore
from bulkhaul.errors import NotFound, RangeNotSatisfiable

from .bodies import made
from .subjects import Subject

BODY = made(1000)


def test_c3_a_head_tells_key_size_time_and_etag(store: ObjectStore) -> None:
    """The full key, the exact size, the service's time in UTC, and the ETag with its quotes."""
    before = datetime.now(UTC) - timedelta(minutes=1)
    stored = store.put_bytes("dir/key", BODY)
    info = store.head("dir/key")
    assert (info.key, info.size, info.etag) == ("dir/key", 1000, stored.etag)
    assert info.etag is not None
    assert info.etag.startswith('"')
    assert info.etag.endswith('"')
    assert info.last_modified is not None
    assert info.last_modified.utcoffset() == timedelta(0)
    assert before < info.last_modified < datetime.now(UTC) + timedelta(minutes=1)


def test_c3_another_body_has_another_etag(store: ObjectStore) -> None:
    """The ETag tells one content of a key from another."""
    etags = {store.put_bytes("key", body).etag for body in (b"a", b"b", b"")}
    assert len(etags) == 3
    assert store.head("key").etag in etags


def test_c10_an_empty_object_has_size_0(store: ObjectStore) -> None:
    """An explicit 0 is a size; a missing object is NotFound, never empty."""
    store.put_bytes("empty", b"")
    assert store.head("empty").size == 0
    assert store.get_bytes("empty") == b""
    with pytest.raises(NotFound):
        store.head("missing")


def test_c20_the_whole_object_in_memory(store: ObjectStore) -> None:
    """Exactly its bytes, whatever they are."""
    store.put_bytes("key", BODY)
    store.put_bytes("every byte", bytes(range(256)))
    assert store.get_bytes("key") == BODY
    assert store.get_bytes("every byte") == bytes(range(256))


def test_c20_a_large_object_in_memory(subject: Subject) -> None:
    """An object of several parts comes back whole."""
    body = made(subject.large_bytes)
    subject.store.put_bytes("key", body)
    assert subject.store.get_bytes("key") == body


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 1000), (1, 999), (999, 1000), (500, 600)])
def test_c21_a_range_is_half_open(store: ObjectStore, start: int, end: int) -> None:
    """``start`` is the first byte, ``end`` the one after the last."""
    store.put_bytes("key", BODY)
    assert store.get_bytes_range("key", start, end) == BODY[start:end]


def test_c21_an_empty_range_asks_nothing(subject: Subject) -> None:
    """It is empty even of a missing object, beyond the end, and in a bucket that is not there."""
    assert subject.store.get_bytes_range("missing", 0, 0) == b""
    assert subject.store.get_bytes_range("missing", 7, 7) == b""
    with subject.elsewhere("missing") as store:
        assert store.get_bytes_range("key", 5, 5) == b""
    with subject.elsewhere("unreachable") as store:
        assert store.get_bytes_range("key", 5, 5) == b""


def test_c21_a_range_backwards_asks_nothing_either(subject: Subject) -> None:
    """It is RangeNotSatisfiable even of a missing object; so is one that starts before the object."""
    for start, end in ((5, 4), (1, 0), (-1, 3), (-5, -5)):
        with pytest.raises(RangeNotSatisfiable):
            subject.store.get_bytes_range("missing", start, end)
    with subject.elsewhere("unreachable") as store:
        with pytest.raises(RangeNotSatisfiable):
            store.get_bytes_range("key", 5, 4)


@pytest.mark.parametrize(("start", "end"), [(1000, 1001), (5000, 6000), (0, 2**63), (0, 2**80)])
def test_c22_a_range_beyond_the_end_carries_the_callers_range(store: ObjectStore, start: int, end: int) -> None:
    """Nothing of it exists: RangeNotSatisfiable, with the object and the range as it was given."""
    store.put_bytes("key", BODY)
    with pytest.raises(RangeNotSatisfiable, match=rf"\[{start}, {end}\)") as caught:
        store.get_bytes_range("key", start, end)
    assert caught.value.subject.endswith("/key")


def test_c22_an_empty_object_has_no_range(store: ObjectStore) -> None:
    """Not even its first byte."""
    store.put_bytes("empty", b"")
    with pytest.raises(RangeNotSatisfiable):
        store.get_bytes_range("empty", 0, 1)


@pytest.mark.parametrize(("start", "end"), [(0, 1001), (999, 1001), (500, 100_000)])
def test_c23_a_range_over_the_end_is_never_cut_short(store: ObjectStore, start: int, end: int) -> None:
    """Success means the exact length: a range that the object fills only in part is RangeNotSatisfiable."""
    store.put_bytes("key", BODY)
    with pytest.raises(RangeNotSatisfiable, match=rf"\[{start}, {end}\)"):
        store.get_bytes_range("key", start, end)


def test_c55_a_range_of_nothing_is_not_found(store: ObjectStore) -> None:
    """What does not exist has no range that could be unsatisfiable."""
    with pytest.raises(NotFound):
        store.get_bytes_range("missing", 0, 10)
