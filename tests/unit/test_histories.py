"""Versions of one key: turned round without holding all of them, and in the order in which a service writes them."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator
from typing import IO, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkhaul.disk import newest_first
from bulkhaul.disk.newest_first import NewestFirst
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.list_histories import Destination, history_rows
from bulkhaul.model.errors import NotFound
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectVersion
from bulkhaul.policy.plan_totals import Totals
from bulkhaul.policy.selection import Source
from bulkhaul.wire.instants import instant
from bulkhaul.wire.replies.versions_page import versions_page
from tests.unit.both_ways import list_versions
from tests.unit.canned_lane import CannedLane

V, M = "Version", "DeleteMarker"
HOUR = "2026-01-02T03:00:00Z"


@given(st.integers(0, 40), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_the_oldest_come_first(count: int, block: int) -> None:
    """Whatever the number of versions and the length of a block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newest_first, "BLOCK_VERSIONS", block)
        found = NewestFirst()
        for number in range(count):
            found.add(ObjectVersion("k", f"{number}", number, delete_marker=number % 3 == 0))
        assert found.count == count
        assert [one.version_id for one in found.oldest_first()] == [f"{number}" for number in range(count)][::-1]


def test_few_versions_need_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is made for the versions beyond a block, and closed at the end, also where nobody reads them."""
    made: list[IO[bytes]] = []
    real: Any = tempfile.TemporaryFile

    def counted(**given: str) -> IO[bytes]:
        made.append(real(**given))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", counted)
    for count, files in ((newest_first.BLOCK_VERSIONS, 0), (newest_first.BLOCK_VERSIONS + 1, 1)):
        found = NewestFirst()
        for number in range(count):
            found.add(ObjectVersion("k", f"{number}"))
        assert len(made) == files
        found.close()
    assert made[0].closed


def page(*entries: tuple[str, str, str]) -> str:
    """Return a page of (kind, id, time), in this order; an id with ``*`` is the latest."""
    inside = "".join(
        f"<{kind}><Key>k</Key><VersionId>{name.strip('*')}</VersionId><IsLatest>{str('*' in name).lower()}</IsLatest>"
        f"<LastModified>{time}</LastModified>{'<Size>1</Size>' * (kind == V)}</{kind}>"
        for kind, name, time in entries
    )
    return f"<ListVersionsResult><IsTruncated>false</IsTruncated>{inside}</ListVersionsResult>"


def order(*entries: tuple[str, str, str]) -> str:
    """Return the ids in the order in which a page is read."""
    found = list_versions(CannedLane((200, page(*entries))).sdk, "bucket", "", "", "").versions
    return " ".join(one.version_id for one in found)


def test_the_order_of_the_document_counts() -> None:
    """S3 writes both kinds in one order: times decide nothing, by the second, or of uploads that began earlier."""
    assert order((V, "5*", HOUR), (M, "4", HOUR), (V, "3", HOUR), (M, "2", HOUR), (V, "1", HOUR)) == "5 4 3 2 1"
    early = HOUR.replace("03", "01", 1)
    assert order((V, "4*", HOUR), (V, "3", early), (M, "2", HOUR), (V, "1", HOUR)) == "4 3 2 1"
    assert order((V, "3*", HOUR), (V, "2", early), (V, "1", HOUR)) == "3 2 1"


def test_two_lists_are_ordered_by_time() -> None:
    """Where all versions come before all delete markers; the latest is the first whatever its time."""
    one, two, three = (HOUR.replace("T03", f"T0{hour}") for hour in (1, 2, 3))
    assert order((V, "3*", three), (V, "1", one), (M, "2", two)) == "3 2 1"
    assert order((V, "2", HOUR), (V, "1", HOUR), (M, "3*", HOUR)) == "3 2 1"


EARLIER = HOUR.replace("T03", "T02")


@pytest.mark.parametrize(
    ("entries", "doubtful"),
    [
        ([(V, "3*", HOUR), (V, "1", EARLIER), (M, "2", EARLIER)], "2"),
        ([(V, "2", HOUR), (V, "1", HOUR), (M, "3*", HOUR)], ""),
        ([(V, "2", HOUR), (V, "1", EARLIER), (M, "3", HOUR)], "3"),
        ([(V, "3*", HOUR), (M, "2", EARLIER), (V, "1", EARLIER)], ""),
        ([(V, "3*", HOUR), (V, "2", EARLIER), (V, "1", EARLIER)], ""),
    ],
)
def test_an_order_that_nothing_tells(entries: list[tuple[str, str, str]], doubtful: str) -> None:
    """In two lists, where times are equal and neither is the latest."""
    found = list_versions(CannedLane((200, page(*entries))).sdk, "bucket", "", "", "").versions
    assert "".join(one.version_id for one in found if one.doubtful) == doubtful
    history = NewestFirst()
    for one in found:
        history.add(one)
    assert history.doubtful is bool(doubtful)


def test_aws_writes_one_list_whatever_it_looks_like() -> None:
    """The time of an upload in parts is that of its beginning, so that it may seem older than what it replaced."""
    entries = [{"Key": "k", "VersionId": name, "Size": "1", "LastModified": instant(EARLIER)} for name in ("3", "2")]
    marker = {"Key": "k", "VersionId": "1", "LastModified": instant(HOUR)}
    reply = {"IsTruncated": False, "Versions": entries, "DeleteMarkers": [marker]}
    reply["Order"] = ["Versions", "Versions", "DeleteMarkers"]
    for host, order in (("s3.eu-central-1.amazonaws.com", "321"), ("s3.example", "132")):
        found = versions_page(reply, "b", "", ("", ""), "s3://b", host).versions
        assert "".join(one.version_id for one in found) == order


class Listed:
    """Tells pages of versions, and remembers how many were taken."""

    def __init__(self, *pages: str) -> None:
        self.taken = 0
        self._pages = pages

    async def versions(self, _bucket: str, _prefix: str) -> AsyncGenerator[list[ObjectVersion], None]:
        """Yield a page a word: of keys that have a version each."""
        for page in self._pages:
            self.taken += 1
            yield [ObjectVersion(key, "1") for key in page]

    async def head(self, ref: ObjectRef) -> None:
        """Have no object."""
        raise NotFound("no such object", ref.url)


@pytest.mark.parametrize(
    ("pages", "versions", "taken"), [(("kl", "m", "n"), 1, 1), (("l", "m"), 0, 1), (("k", "k"), 2, 2)]
)
def test_one_key_is_not_searched_among_those_that_begin_with_it(
    pages: tuple[str, ...], versions: int, taken: int
) -> None:
    """They follow it, and may be millions: the listing ends with the page that has come to them."""

    async def rows(listed: Listed) -> list[Row]:
        source = Source("b", key="k")
        pages = history_rows(cast("Control", listed), source, lambda _: True, Destination(str, lambda _: ""))
        return [row async for page in pages for row in page]

    listed = Listed(*pages)
    with pytest.raises(NotFound, match="no object matches") if not versions else contextlib.nullcontext():
        assert len(asyncio.run(rows(listed))) == versions
    assert listed.taken == taken


def test_requests_of_a_history() -> None:
    """A listing of the destination for each key, a copy or a deletion for each version; markers move no bytes."""
    totals = Totals(Settings())
    names: dict[str, Any] = {"source": "s3://b/k", "destination": "s3://c/k"}
    totals.add(
        [
            Row(n=0, action=Action.COPY, size=5, version_id="1", older=0, **names),
            Row(n=1, action=Action.MARK, size=0, version_id="2", older=1, **names),
            Row(n=2, action=Action.COPY, size=7, version_id="3", older=2, **names),
        ]
    )
    assert totals.requests == {"CopyObject": 2, "DeleteObject": 1, "HeadObject": 2, "ListObjectVersions": 1}
    assert (totals.rows, totals.size_bytes, totals.routes) == (3, 12, {"copied": 12})
