"""Rows that tell which objects are to be deleted: few requests, and any other object stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from bulkhaul import errors
from bulkhaul.model.rows import Action, Row
from bulkhaul.testing.faultserver.http1 import Reply
from tests.contract.test_rows import NEWER, by_row, put, url
from tests.faultserver import (
    ErrorXmlWith200,
    Exchange,
    Fault,
    RefuseDelete,
    Status,
    TwistedErrors,
    make_object,
    reply_lost,
)
from tests.faultserver.store import store_of
from tests.writing import WriteRig, running_write_rig

COUNT = 30
TOGETHER = ["ListObjectsV2", "DeleteObjects"]


@pytest.fixture
def writing(tmp_path: Any) -> Iterator[WriteRig]:
    """An engine that writes to a fault server; it has learnt nothing of it."""
    with running_write_rig(tmp_path) as rig:
        yield rig


@dataclass(frozen=True, kw_only=True)
class Written(Fault):
    """Another program stores an object right before a batch of deletes, or right after it."""

    operation: str | None = "DeleteObjects"
    name: str
    since: bool = False

    def before(self, exchange: Exchange) -> bool:
        """Store it, if it is time."""
        if not self.since:
            self._store(exchange)
        return True

    def reshape(self, exchange: Exchange, reply: Reply) -> None:
        """Store it, if it is time."""
        if self.since:
            self._store(exchange)

    def _store(self, exchange: Exchange) -> None:
        store_of(exchange).put("bucket", self.name, make_object(NEWER))


@dataclass(frozen=True, kw_only=True)
class EachRefused(Fault):
    """Refuses each key of a batch for its ETag."""

    operation: str | None = "DeleteObjects"

    def before(self, exchange: Exchange) -> bool:
        """Tell the store for this request."""
        store_of(exchange).refuse_deletes("bucket", "each/*", "NotImplemented")
        return True

    def reshape(self, exchange: Exchange, reply: Reply) -> None:
        """Refuse no longer."""
        store_of(exchange)._undeletable.clear()


def stored_rows(rig: WriteRig, name: str, count: int = COUNT) -> list[Row]:
    """Store objects and return their rows, as a listing would tell of them."""
    rows = []
    for n in range(count):
        stored = put(rig, f"{name}/{n:04}", b"body%d" % n)
        tag = f'"{stored.etag}"'
        rows.append(Row(n=n, action=Action.DELETE, source=url(f"{name}/{n:04}"), size=stored.size_bytes, etag=tag))
    return rows


def run(rig: WriteRig, rows: Sequence[Row], pages: int = 1) -> tuple[dict[int, type[Any]], list[str]]:
    """Delete; return what failed, and the operations that the server was asked for.

    What is not counted: the GET of a byte, once a bucket, that tells why a HEAD found nothing.
    """
    begun, size = len(rig.server.requests), len(rows) // pages
    results = by_row(rig.engine.delete_rows([rows[at : at + size] for at in range(0, len(rows), size)]), len(rows))
    failed = {n: type(one.error) for n, one in results.items() if one.failure is not None}
    asked = [one for one in rig.server.requests[begun:] if (one.operation, one.range) != ("GetObject", (0, 1))]
    return failed, [one.operation for one in asked]


def left(rig: WriteRig, name: str) -> list[int]:
    """Return the numbers of the objects that are still there."""
    return sorted(int(key[-4:]) for key in rig.server.store.in_bucket("bucket") if key.startswith(f"{name}/"))


def test_unchanged_objects_go_together(writing: WriteRig) -> None:
    """A page of rows is one listing and one deletion, and the deletion tells each ETag."""
    rows = stored_rows(writing, "many", 1000)
    assert run(writing, rows) == ({}, TOGETHER)
    assert left(writing, "many") == []


def test_the_last_ones_of_a_listing_are_gone(writing: WriteRig) -> None:
    """The listing ends before it has told of every key: the others go together, and what is gone is no failure."""
    rows = stored_rows(writing, "last")
    for n in (28, 29):
        writing.server.store.delete("bucket", f"last/{n:04}")
    assert run(writing, rows) == ({}, [*TOGETHER, "HeadObject", "HeadObject"])
    assert left(writing, "last") == []


def test_what_is_not_as_planned_is_looked_at_alone(writing: WriteRig) -> None:
    """What was replaced stays, what is gone is no failure, and a key that comes twice is deleted once."""
    rows = stored_rows(writing, "odd")
    put(writing, "odd/0003", NEWER)
    put(writing, "odd/0005", b"BODY5")  # of the same length
    writing.server.store.delete("bucket", "odd/0004")
    rows[7] = Row(n=7, action=Action.DELETE, source=rows[6].source, size=5, etag=rows[6].etag)
    failed, operations = run(writing, rows)
    assert failed == {3: errors.PreconditionFailed, 5: errors.PreconditionFailed}
    assert left(writing, "odd") == [3, 5, 7]
    assert operations[:2] == TOGETHER
    assert set(operations[2:]) <= {"HeadObject", "DeleteObject"}
    assert operations.count("DeleteObject") <= 1


def test_a_plan_that_tells_lengths_alone(writing: WriteRig) -> None:
    """An object of another length is another one; the others are deleted on condition of the ETag that is there."""
    rows = [msgspec.structs.replace(row, etag="") for row in stored_rows(writing, "length")]
    put(writing, "length/0003", NEWER)
    failed, operations = run(writing, rows)
    assert failed == {3: errors.PreconditionFailed}
    assert left(writing, "length") == [3]
    assert operations == [*TOGETHER, "HeadObject"]


@pytest.mark.parametrize("honoured", [True, False])
def test_an_object_that_is_replaced_before_its_deletion(writing: WriteRig, *, honoured: bool) -> None:
    """After the listing the service compares the ETags; before it, the listing shows the other object."""
    rows = stored_rows(writing, "late")
    if honoured:
        writing.server.add_fault(Written(name="late/0008"))
    else:
        put(writing, "late/0008", NEWER)
        for n in range(COUNT):
            writing.server.store.ignore_if_match("bucket", f"late/{n:04}")
    failed, operations = run(writing, rows)
    assert failed == {8: errors.PreconditionFailed}
    assert left(writing, "late") == [8]
    assert operations == [*TOGETHER, "HeadObject"]


@pytest.mark.parametrize("code", ["MalformedXML", "NotImplemented", "AccessDenied", "MethodNotAllowed"])
def test_a_service_that_refuses_such_a_batch(writing: WriteRig, code: str) -> None:
    """Each object is looked at and deleted by itself, and the next page is not tried so."""
    writing.server.add_fault(Status(code=code, operation="DeleteObjects", attempt="every"))
    rows = stored_rows(writing, "refused", 2 * COUNT)
    put(writing, "refused/0001", NEWER)
    failed, operations = run(writing, rows, pages=2)
    assert failed == {1: errors.PreconditionFailed}
    assert left(writing, "refused") == [1]
    assert operations.count("DeleteObjects") <= 2  # the pages go side by side
    assert operations.count("DeleteObject") == 2 * COUNT - 1
    assert run(writing, stored_rows(writing, "refused", COUNT))[1].count("HeadObject") == COUNT


def test_a_service_that_refuses_each_key_for_its_etag(writing: WriteRig) -> None:
    """That is no failure of any row."""
    writing.server.add_fault(EachRefused(times=1))
    failed, operations = run(writing, stored_rows(writing, "each"))
    assert (failed, left(writing, "each")) == ({}, [])
    assert operations.count("DeleteObject") == COUNT


def test_a_listing_that_is_not_allowed(writing: WriteRig) -> None:
    """Who may delete objects need not be allowed to list them."""
    writing.server.add_fault(Status(code="AccessDenied", operation="ListObjectsV2", attempt="every"))
    failed, operations = run(writing, stored_rows(writing, "unlisted"))
    assert (failed, left(writing, "unlisted")) == ({}, [])
    assert operations.count("HeadObject") == COUNT


@pytest.mark.parametrize("conditions", ["honoured", "ignored"])
def test_an_answer_that_is_lost(writing: WriteRig, conditions: str) -> None:
    """The batch is not sent again blindly: what was stored since then stays, though nobody compares ETags."""
    rows = stored_rows(writing, "lost")
    if conditions == "ignored":
        for n in range(COUNT):
            writing.server.store.ignore_if_match("bucket", f"lost/{n:04}")
    writing.server.add_fault(reply_lost(operation="DeleteObjects"))
    writing.server.add_fault(Written(name="lost/0002", since=True))
    failed, operations = run(writing, rows)
    assert failed == {2: errors.PreconditionFailed}
    assert left(writing, "lost") == [2]
    assert operations == [*TOGETHER, *["HeadObject"] * COUNT]


@pytest.mark.parametrize("how", ["silent", "all silent", "no key", "another key", "encoded key"])
def test_a_refusal_that_is_told_oddly(writing: WriteRig, how: Any) -> None:
    """What the reply does not settle is settled alone, and a refusal is the failure of its row."""
    rows = stored_rows(writing, "told")
    writing.server.add_fault(RefuseDelete(pattern="told/0004", attempt="every"))
    writing.server.add_fault(TwistedErrors(how=how, times=1))
    failed, _ = run(writing, rows)
    assert failed == {4: errors.AccessDenied}
    assert left(writing, "told") == [4]


def test_refusals_are_not_asked_for_twice(writing: WriteRig) -> None:
    """An object that may not be deleted fails by the batch's word, and costs nothing more."""
    rows = stored_rows(writing, "denied")
    writing.server.add_fault(RefuseDelete(pattern="denied/000*", attempt="every"))
    failed, operations = run(writing, rows)
    assert (failed, operations) == (dict.fromkeys(range(10), errors.AccessDenied), TOGETHER)


def test_a_success_that_holds_an_error(writing: WriteRig) -> None:
    """A 200 with an error in it deletes nothing."""
    rows = stored_rows(writing, "held")
    writing.server.add_fault(ErrorXmlWith200(code="AccessDenied", operation="DeleteObjects", attempt="every", times=1))
    put(writing, "held/0009", NEWER)
    assert run(writing, rows)[0] == {9: errors.PreconditionFailed}
    assert left(writing, "held") == [9]


def test_a_bucket_that_is_gone(writing: WriteRig) -> None:
    """It fails every row."""
    rows = [Row(n=n, action=Action.DELETE, source=f"s3://absent/{n:02}", size=1, etag='"e"') for n in range(COUNT)]
    assert run(writing, rows)[0] == dict.fromkeys(range(COUNT), errors.NotFound)


def test_few_keys_among_many_are_looked_at_alone(writing: WriteRig) -> None:
    """A listing is given up as soon as it tells of fewer keys than it costs."""
    rows = stored_rows(writing, "sparse", COUNT * 400)
    some = [Row(n=n, action=Action.DELETE, source=row.source, size=row.size, etag=row.etag)
            for n, row in enumerate(rows[::400])]  # fmt: skip
    failed, operations = run(writing, some)
    assert failed == {}
    assert operations.count("ListObjectsV2") == 1
    assert len(left(writing, "sparse")) == COUNT * 399
