"""Small replies, received whole: in any framing, complete or refused, and reuse of the connection is earned."""

from __future__ import annotations

import asyncio

import pytest

from bulkhaul.wire.classify import network_error
from bulkhaul.wire.http1_parsing import MAX_ERROR_BYTES, DocumentTooLong, ReplyHead
from tests.unit.peer import REQUEST, Peer, pieces_of, run

PAGE = b"<ListBucketResult>" + b"x" * 500 + b"</ListBucketResult>"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (PAGE[:7], PAGE[7:300], PAGE[300:]))
    + b"0\r\n\r\n"
)
UNFRAMED = b"HTTP/1.1 200 OK\r\n\r\n" + PAGE


def asked(
    pieces: list[bytes], *, bodiless: bool = False, most_bytes: int = 10_000, then_close: bool = False
) -> tuple[ReplyHead, bytes, Peer]:
    """Return head, body and peer of one request whose reply comes in these pieces."""

    async def play() -> tuple[ReplyHead, bytes, Peer]:
        peer = Peer()
        asking = asyncio.ensure_future(peer.connection.ask(REQUEST, bodiless=bodiless, most_bytes=most_bytes))
        await asyncio.sleep(0)
        for piece in pieces:
            peer.send(piece)
        if then_close:
            peer.hang_up()
        head = await asking
        await asyncio.sleep(0)
        return head, peer.connection.error_body, peer

    return run(play)


@pytest.mark.parametrize("reply", [PLAIN, CHUNKED], ids=["Content-Length", "chunked"])
@pytest.mark.parametrize("at", [1, 40, 53, 60, 100, 400, 590])
def test_a_framed_reply_is_whole_and_its_connection_stays(reply: bytes, at: int) -> None:
    """However it is cut, and an interim reply before it or not."""
    for before in (b"", b"HTTP/1.1 100 Continue\r\n\r\n"):
        head, body, peer = asked(pieces_of(before + reply, [at]))
        assert (head.status, body, peer.written) == (200, PAGE, REQUEST)
        assert peer.connection.usable


def test_a_reply_may_end_with_its_connection() -> None:
    """Without any framing the end of the connection is that of the reply (RFC 9112 §6.3)."""
    _, body, peer = asked([UNFRAMED], then_close=True)
    assert body == PAGE
    assert not peer.connection.usable


@pytest.mark.parametrize("reply", [PLAIN[:-1], CHUNKED[:-1], CHUNKED[:-5]], ids=["short", "no end", "no last chunk"])
def test_a_reply_that_is_cut_off_is_none(reply: bytes) -> None:
    """A page without its end would be a shorter page. What came of it was HTTP: the network broke, not the endpoint."""
    with pytest.raises(ConnectionError) as caught:
        asked([reply], then_close=True)
    assert not network_error(caught.value).garbled


def test_a_broken_chunk_is_no_end() -> None:
    """What was understood before it is no reply."""
    with pytest.raises(ConnectionError) as caught:
        asked([CHUNKED.replace(b"\r\n0\r\n", b"\r\nzz\r\n")])
    assert network_error(caught.value).garbled


@pytest.mark.parametrize("reply", [PLAIN, CHUNKED], ids=["Content-Length", "chunked"])
@pytest.mark.parametrize("more", [PLAIN, b"x"], ids=["another reply", "garbage"])
def test_more_than_was_announced_ends_the_connection(reply: bytes, more: bytes) -> None:
    """This reply is whole, but nobody knows where the next would begin."""
    _, body, peer = asked([reply + more])
    assert body == PAGE
    assert not peer.connection.usable


@pytest.mark.parametrize("reply", [PLAIN, CHUNKED, UNFRAMED])
def test_a_reply_that_is_too_long_is_refused(reply: bytes) -> None:
    """It is not read to its end, and the connection is given up."""
    with pytest.raises(DocumentTooLong):
        asked([reply], most_bytes=len(PAGE) - 1, then_close=True)
    assert asked([reply], most_bytes=len(PAGE), then_close=True)[1] == PAGE


@pytest.mark.parametrize("status", [200, 404])
def test_a_reply_to_head_has_no_body(status: int) -> None:
    """Whatever length it announces; the connection stays, unless a body comes all the same."""
    announced = b"HTTP/1.1 %d X\r\nContent-Length: 5000000000\r\n\r\n" % status
    head, body, peer = asked([announced], bodiless=True)
    assert (head.status, head.headers["content-length"], body) == (status, "5000000000", b"")
    assert peer.connection.usable
    assert not asked([announced + b"body"], bodiless=True)[2].connection.usable


def test_of_an_error_the_beginning_is_kept() -> None:
    """Whatever was allowed for a success."""
    reply = b"HTTP/1.1 500 Oops\r\nContent-Length: 10000000\r\n\r\n" + b"x" * (2 * MAX_ERROR_BYTES)
    head, body, peer = asked(pieces_of(reply, range(0, len(reply), 30_000)), most_bytes=10_000_000)
    assert (head.status, body) == (500, b"x" * MAX_ERROR_BYTES)
    assert not peer.connection.usable


def test_a_connection_is_asked_again() -> None:
    """One request after another, by either way to receive."""

    async def play() -> None:
        peer = Peer()
        for reply, bodiless in (
            (PLAIN, False),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", True),
            (CHUNKED, False),
        ):
            asking = asyncio.ensure_future(peer.connection.ask(REQUEST, bodiless=bodiless, most_bytes=10_000))
            await asyncio.sleep(0)
            peer.send(reply)
            await asking
            assert peer.connection.error_body == (b"" if bodiless else PAGE)
            assert peer.connection.usable

    run(play)
