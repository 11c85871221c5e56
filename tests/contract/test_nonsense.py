"""Replies that say nonsense: refused by name, whichever transport read them, and nothing is made of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import errors
from tests.engines import Rig, running_rig
from tests.faultserver import Etag, ToldHeader, make_object
from tests.writing import PART_BYTES, WriteRig, running_write_rig

BODY = random.Random(7).randbytes(PART_BYTES)
OLD = b"what was there before"


@pytest.fixture(scope="module", params=["fast", "sdk"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteRig]:
    """An engine of one transport that writes to a fault server."""
    with running_write_rig(tmp_path_factory.mktemp("written"), transport=request.param) as running:
        yield running


@pytest.fixture(scope="module", params=["fast", "sdk"])
def reading(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An engine of one transport that reads from a fault server."""
    with running_rig(tmp_path_factory.mktemp("read"), transport=request.param) as running:
        yield running


@pytest.mark.parametrize("length", ["-5", "1_0", "+7", "7.0", "99999999999999999999", "7, 7"])
def test_a_length_that_is_none(reading: Rig, length: str) -> None:
    """HEAD with a Content-Length that is no plain number: no file is made of it, least of all an empty one."""
    lie = ToldHeader(operation="HeadObject", name="Content-Length", value=length, attempt="every")
    outcome = reading.restore(BODY, lie, old=OLD)
    assert isinstance(outcome.error, errors.UnexpectedReply | errors.NetworkError)
    assert not outcome.gets


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-tagging-count", "-1"),
        ("ETag", '"a", "b"'),
        ("ETag", "x" * 9000),
        ("x-amz-version-id", "v" * 9000),
        ("x-amz-storage-class", "c" * 9000),
        ("x-amz-checksum-crc32", "no checksum"),
        ("Last-Modified", "yesterday"),
        ("x-amz-meta-much", "m" * 60_000),
    ],
    ids=lambda text: text[:20],
)
def test_a_head_that_says_nonsense(reading: Rig, name: str, value: str) -> None:
    """Every header of HEAD that something would be made of is refused if it can be none."""
    lie = ToldHeader(operation="HeadObject", name=name, value=value, attempt="every")
    reading.restore(BODY, lie, old=OLD).failed(errors.UnexpectedReply)


@pytest.mark.parametrize("body", [b"", BODY], ids=["empty", "with bytes"])
def test_a_head_that_describes_nothing(reading: Rig, body: bytes) -> None:
    """An endpoint that answers 200 to everything has no objects: not an empty one either."""
    lies = [
        ToldHeader(operation="HeadObject", name=name, value=None, attempt="every") for name in ("ETag", "Last-Modified")
    ]
    reading.restore(body, *lies, old=OLD).failed(errors.UnexpectedReply)


def test_a_checksum_of_a_get_that_is_none(reading: Rig) -> None:
    """What a listing led to is fetched without a HEAD: the reply to the GET itself is looked at as closely."""
    lie = ToldHeader(name="x-amz-checksum-crc32", value="x" * 9000, attempt="every")
    reading.restore(make_object(BODY), lie, old=OLD).failed(errors.UnexpectedReply)


@pytest.mark.parametrize("etag", [None, ""], ids=["none", "empty"])
def test_a_put_without_an_etag_stores_nothing(written: WriteRig, etag: str | None) -> None:
    """An endpoint that answers 200 to everything is no store: the error names it and says what to look at."""
    fault = Etag(operation="PutObject", etag=etag, attempt="every")
    key, _ = written.new_key(fault)
    path = written.folder / f"{key}.bin"
    path.write_bytes(BODY)
    with pytest.raises(errors.UnexpectedReply, match=rf"127\.0\.0\.1:{written.server.port}.*no ETag.*--endpoint-url"):
        written.engine.upload(path, f"s3://bucket/{key}")
    assert path.read_bytes() == BODY


def test_a_move_keeps_its_file_where_nothing_says_that_it_was_stored(written: WriteRig) -> None:
    """The source is removed on a store's word alone, and a reply without an ETag is none."""
    key, _ = written.new_key(Etag(operation="PutObject", etag=None, attempt="every"))
    path = written.folder / f"{key}.bin"
    path.write_bytes(BODY)
    with pytest.raises(errors.UnexpectedReply):
        written.engine.upload(path, f"s3://bucket/{key}", move=True)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("name", ["ETag", "x-amz-version-id"])
def test_a_put_whose_reply_would_fill_a_frame(written: WriteRig, name: str) -> None:
    """Values that no store has are refused where they come in, and the worker goes on."""
    lie = ToldHeader(operation="PutObject", name=name, value='"' + "x" * 30_000 + '"', attempt="every")
    key, _ = written.new_key(lie)
    path = Path(written.folder / f"{key}.bin")
    path.write_bytes(b"small")
    with pytest.raises(errors.UnexpectedReply):
        written.engine.upload(path, f"s3://bucket/{key}")
    good, _ = written.new_key()
    written.engine.upload(path, f"s3://bucket/{good}")
    assert written.stored(good) == b"small"
