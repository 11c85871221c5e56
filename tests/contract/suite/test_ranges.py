"""What lies in a folder, whether an object is there, ranges to its end and from it, and many ranges of one version."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bulkhaul import ObjectStore, S3Store
from bulkhaul.errors import NotFound, PreconditionFailed, RangeNotSatisfiable, UsageError
from bulkhaul.model.limits import MIB
from tests.faultserver import ReplaceObject

from .bodies import made
from .subjects import Subject
from .wired import Wired

BODY = made(1000)


def test_an_object_exists_under_its_whole_key(store: ObjectStore) -> None:
    """What only begins with it does not count, nor what was deleted."""
    store.put_bytes("dir/key", b"")
    found = [store.exists(key) for key in ("dir/key", "dir", "dir/k", "dir/key2")]
    assert found == [True, False, False, False]
    store.delete("dir/key")
    assert store.exists("dir/key") is False


def test_c50_nothing_exists_in_a_bucket_that_is_missing(subject: Subject) -> None:
    """A 404 of any code says that there is no such object, to whoever only asks whether there is one."""
    with subject.elsewhere("missing") as store:
        assert store.exists("key") is False


def test_a_listing_stops_at_slashes(store: ObjectStore) -> None:
    """Objects of the folder, and the folders in it; a prefix without a slash at its end is no folder."""
    for key in ("a", "d/1", "d/e/2", "d/e/3", "dx/4"):
        store.put_bytes(key, b"x")
    found = {prefix: store.list_with_delimiter(prefix) for prefix in ("", "d/", "d", "none/")}
    assert {prefix: [info.key for info in one.objects] for prefix, one in found.items()} == {
        "": ["a"],
        "d/": ["d/1"],
        "d": [],
        "none/": [],
    }
    assert {prefix: sorted(one.common_prefixes) for prefix, one in found.items()} == {
        "": ["d/", "dx/"],
        "d/": ["d/e/"],
        "d": ["d/", "dx/"],
        "none/": [],
    }


@pytest.mark.parametrize("start", [0, 1, 999, 1000])
def test_a_range_without_an_end_goes_to_the_end(store: ObjectStore, start: int) -> None:
    """At the end of the object that is nothing."""
    store.put_bytes("key", BODY)
    assert store.get_bytes_range("key", start) == BODY[start:]


def test_a_range_without_an_end_begins_in_the_object(store: ObjectStore) -> None:
    """Beyond it there is none, and a missing object has none."""
    store.put_bytes("key", BODY)
    for start in (1001, -1):
        with pytest.raises(RangeNotSatisfiable):
            store.get_bytes_range("key", start)
    with pytest.raises(NotFound):
        store.get_bytes_range("missing", 0)


@pytest.mark.parametrize(("length", "size"), [(0, 0), (1, 1), (999, 999), (1000, 1000), (5000, 1000)])
def test_a_suffix_is_the_last_bytes(store: ObjectStore, length: int, size: int) -> None:
    """All of an object that is shorter; of an empty one nothing."""
    store.put_bytes("key", BODY)
    store.put_bytes("empty", b"")
    assert store.get_bytes_suffix("key", length) == BODY[1000 - size :]
    assert store.get_bytes_suffix("empty", length) == b""


def test_a_suffix_needs_a_length_and_an_object(store: ObjectStore) -> None:
    """A negative length is none; a missing object is not found, but by no bytes of it."""
    with pytest.raises(UsageError, match="length"):
        store.get_bytes_suffix("key", -1)
    with pytest.raises(NotFound):
        store.get_bytes_suffix("missing", 1)
    assert store.get_bytes_suffix("missing", 0) == b""


def test_ranges_come_in_the_order_they_are_asked_for(store: ObjectStore) -> None:
    """Overlapping, empty and twice the same: one body a range, whatever is read together."""
    store.put_bytes("key", BODY)
    spans = [(900, 1000), (0, 1), (3, 3), (0, 500), (400, 600), (900, 1000)]
    assert store.get_ranges("key", spans) == [BODY[start:end] for start, end in spans]
    assert store.get_ranges("key", []) == []
    assert store.get_ranges("missing", [(5, 5)]) == [b""]


def test_one_range_that_the_object_cannot_fill_fails_all(store: ObjectStore) -> None:
    """Success means exact lengths; the error names the caller's range."""
    store.put_bytes("key", BODY)
    with pytest.raises(RangeNotSatisfiable, match=r"\[999, 1001\)"):
        store.get_ranges("key", [(0, 10), (999, 1001)])
    with pytest.raises(RangeNotSatisfiable):
        store.get_ranges("key", [(5, 4)])
    with pytest.raises(NotFound):
        store.get_ranges("missing", [(0, 1)])
    with pytest.raises(UsageError, match="pair"):
        store.get_ranges("key", [(1, 2, 3)])  # type: ignore[list-item]


def test_near_ranges_are_read_together_and_all_of_one_version(wire: Wired) -> None:
    """One HEAD, and a GET for each group of ranges at most 1 MiB apart; each GET names the ETag of the HEAD."""
    body = made(4 * MIB)
    etag = wire.store.put_bytes("ranges", body).etag
    wire.forget()
    spans = [(2 * MIB, 2 * MIB + 1), (10, 20), (MIB + 20, MIB + 30), (3 * MIB + 2, 3 * MIB + 9)]
    assert wire.store.get_ranges("ranges", spans) == [body[start:end] for start, end in spans]
    assert len(wire.asked("HeadObject")) == 1
    gets = wire.asked("GetObject")
    assert sorted(one.headers["range"] for one in gets) == [
        f"bytes=10-{2 * MIB}",  # ends at the last byte, inclusive
        f"bytes={3 * MIB + 2}-{3 * MIB + 8}",
    ]
    assert {one.headers.get("if-match") for one in gets} == {etag}


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.get_ranges("replaced", [(0, 1), (200, 300)]),
        lambda store: store.get_bytes_suffix("replaced", 5),
        lambda store: store.get_bytes_range("replaced", 5),
    ],
    ids=["ranges", "suffix", "to the end"],
)
def test_an_object_that_is_replaced_meanwhile_is_not_mixed(wire: Wired, read: Callable[[S3Store], object]) -> None:
    """What the HEAD has found is another object by the time of the GET."""
    wire.store.put_bytes("replaced", made(1000))
    wire.fault("replaced", ReplaceObject(operation="GetObject", replacement=made(1000, seed=1)))
    with pytest.raises(PreconditionFailed) as refused:
        read(wire.store)
    assert refused.value.subject == "s3://bucket/replaced"


def test_nothing_wanted_asks_nothing(wire: Wired) -> None:
    """No range, empty ranges and a suffix of no bytes need no request."""
    assert wire.store.get_ranges("key", []) == []
    assert wire.store.get_ranges("key", [(7, 7), (0, 0)]) == [b"", b""]
    assert wire.store.get_bytes_suffix("key", 0) == b""
    assert wire.asked() == []
