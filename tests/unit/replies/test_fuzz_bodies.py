"""Replies to GETs and PUTs with changed headers: a body is let through, and a part counts, only if every word fits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkhaul.errors import TransferError
from bulkhaul.model.writing import Stored
from bulkhaul.wire.reply import check_get, failed_put, stored_by
from bulkhaul.wire.values import GetRequest, Target

from . import truths
from .documents import NoTruthError, Reply, element, mutated

TARGET = Target("https", "h", 443, "/b/", "us-east-1", fast=True)
FUZZ = settings(deadline=None, max_examples=500)


def request(*, whole: bool, sized: bool) -> GetRequest:
    """Return a GET of bytes 100 to 199 of 1,000, or of all; of a known size, or of an unknown one."""
    start, end = (0, 1000) if whole else (100, 200)
    if not sized:
        return GetRequest(TARGET, "b", "k", "", start, -1 if whole else end, -1, whole)
    return GetRequest(TARGET, "b", "k", '"e"', start, end, 1000, whole)


RANGED = Reply(
    headers=(("content-range", "bytes 100-199/1000"), ("content-length", "100"), ("etag", '"e"'), ("date", "x")),
    status=206,
)
WHOLE = Reply(headers=(("content-length", "1000"), ("etag", '"e"'), ("content-type", "a/b")))


def fits(reply: Reply, *, whole: bool, sized: bool) -> bool:
    """Tell whether a reply can be the bytes that were asked for (RFC 9110 §14.4, §15.3.7)."""
    length, told = reply.header("content-length"), reply.header("content-range")
    if sized and (reply.header("etag") or "").strip('"') != "e":
        return False
    if whole:
        known = length is not None and re.fullmatch("[0-9]{1,19}", length) is not None
        return reply.status == 200 and (length in (None, "1000") if sized else known)
    found = re.fullmatch(r"(?i)bytes 100-199/([0-9]+)", (told or "").strip())
    if reply.status != 206 or found is None or length not in (None, "100"):
        return False
    return int(found[1]) == 1000 if sized else 200 <= int(found[1]) < 10**19


@pytest.mark.parametrize("sized", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "range"])
@FUZZ
@given(data=st.data(), status=st.sampled_from([None, None, 200, 201, 204, 206, 299]))
def test_only_what_fits_is_let_through(whole: bool, sized: bool, data: st.DataObject, status: int | None) -> None:
    """Status, range, total, length and ETag, each of them: a body passes if, and only if, all are right."""
    good = WHOLE if whole else RANGED
    assert fits(good, whole=whole, sized=sized)
    reply = data.draw(mutated(good) | st.just(good))
    reply = Reply(headers=reply.headers, status=status or good.status)
    names = {name for name, _ in reply.headers}
    headers = {name: str(reply.header(name)) for name in names}
    passes = check_get(request(whole=whole, sized=sized), reply.status, headers) is None
    assert passes == fits(reply, whole=whole, sized=sized), headers


PUT = Reply(
    headers=(
        ("etag", '"e"'), ("x-amz-version-id", "v1"), ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-checksum-type", "FULL_OBJECT"),
    )
)  # fmt: skip


def stored(reply: Reply) -> Stored:
    """Work out what the reply to a PUT says."""
    etag, number = truths.tag(reply.header("etag")), truths.word(reply.header("x-amz-version-id"), 2048)
    if not etag:
        raise NoTruthError
    told = truths.checksum(
        {"CRC32": reply.header("x-amz-checksum-crc32")}, reply.header("x-amz-checksum-type"), reply.header("etag")
    )
    return Stored(etag, "" if number == "null" else number, told)


@FUZZ
@given(mutated(PUT) | st.just(PUT))
def test_a_put_counts_by_its_etag(reply: Reply) -> None:
    """Without one, or with nonsense, nothing was stored; else what was is exactly what the reply says."""
    names = {name for name, _ in reply.headers}
    headers = {name: str(reply.header(name)) for name in names}
    try:
        got = stored_by(headers, etag=headers.get("etag", ""), where="h")
    except TransferError:
        assert reply != PUT
        return
    assert got == stored(reply)


@FUZZ
@given(mutated(Reply(element("Error", element("Code", "SlowDown"), element("Message", "no")))), st.integers(300, 599))
def test_a_refused_put_is_an_error(reply: Reply, status: int) -> None:
    """Whatever the document says, a status that is no success is an error, with a text of bounded length."""
    info = failed_put(status, {}, reply.body.encode())
    assert info is not None
    assert len(info.message) + len(info.cause) + len(info.service_code) < 2000
