"""The HTTP/1.1 connection on replies that it must not believe."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.wire.ending import ConnectionClosed
from bulkhaul.wire.http1_parsing import ProtocolError
from bulkhaul.wire.told import MAX_HEAD_BYTES
from bulkhaul.wire.transport import NotSpoken
from tests.unit.peer import Kept, Peer, pieces_of, run

OK = b"HTTP/1.1 200 OK\r\n"

MALFORMED = {
    "obs-fold": OK + b"X-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\nhi",
    "obs-fold in the length": OK + b"Content-Length: 2\r\n 0\r\n\r\nhi",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    "the same length twice": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nhi",
    "signed length": OK + b"Content-Length: +2\r\n\r\nhi",
    "negative length": OK + b"Content-Length: -2\r\n\r\nhi",
    "hexadecimal length": OK + b"Content-Length: 0x2\r\n\r\nhi",
    "length of too many digits": OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhi",
    "length and chunked": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
    "chunked and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi",
    "space before the colon": OK + b"Content-Length : 2\r\n\r\nhi",
    "no colon": OK + b"Content-Length\r\n\r\nhi",
    "NUL in a value": OK + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\nhi",
    "bare LF in a value": OK + b"X-A: a\nb\r\nContent-Length: 2\r\n\r\nhi",
    "bare LF between headers": OK + b"X-A: a\nContent-Length: 2\r\n\r\nhi",
    "bare CR between headers": OK + b"X-A: a\rContent-Length: 2\r\n\r\nhi",
    "bare LF after the status": b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nhi",
    "bare CR in a value": OK + b"X-A: a\rb\r\nContent-Length: 2\r\n\r\nhi",
    "name with a space": OK + b"X A: 1\r\nContent-Length: 2\r\n\r\nhi",
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "another protocol": b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nhi",
    "status of letters": b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/9": b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "only a blank line": b"\r\n\r\n\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "header block over 64 KiB": OK + b"X-A: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
    "headers without an end": OK + b"X-A: 1\r\n" * (MAX_HEAD_BYTES // 8),
}


async def refused(pieces: list[bytes]) -> tuple[BaseException, bytes, Peer]:
    """Return the error of an exchange with these pieces of a reply, what reached the sink, and the peer."""
    peer, kept = Peer(), Kept()
    with pytest.raises((ConnectionError, NotSpoken)) as caught:
        await peer.exchange(lambda _: kept, pieces, then_close=True)
    return caught.value, kept.bytes, peer


@pytest.mark.parametrize("reply", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("step", [1 << 20, 1000])
def test_a_malformed_reply_is_refused_and_the_connection_closed(reply: bytes, step: int) -> None:
    """RFC 9112 forbids each of these; none is repaired, and no byte of it reaches the sink."""

    async def play() -> None:
        error, kept, peer = await refused(pieces_of(reply, range(0, len(reply), step)))
        assert isinstance(error, ProtocolError), error
        assert kept == b""
        assert peer.aborted
        assert not peer.connection.usable

    run(play)


@pytest.mark.parametrize(
    "head",
    [
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"",
        b"Connection: close\r\n",
    ],
    ids=["chunked", "gzip and chunked", "until closed", "until closed, said so"],
)
def test_a_body_without_a_length_is_not_spoken_here(head: bytes) -> None:
    """A 2xx reply that is framed otherwise goes to the SDK; nothing of it is stored, the connection is closed."""

    async def play() -> None:
        error, kept, peer = await refused([OK + head + b"\r\n2\r\nhi\r\n0\r\n\r\n"])
        assert isinstance(error, NotSpoken)
        assert kept == b""
        assert peer.aborted
        assert not peer.connection.usable

    run(play)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Transfer-Encoding: chunked\r\n", b"20\r\n<Error><Code>ExpiredToken</Code>\r\n8\r\n</Error>\r\n0\r\n\r\n"),
        (b"Connection: close\r\n", b"<Error><Code>ExpiredToken</Code></Error>"),
    ],
    ids=["chunked, as Amazon S3 sends it", "until closed"],
)
@pytest.mark.parametrize("together", [True, False])
def test_an_error_document_without_a_length_is_not_lost(head: bytes, body: bytes, together: bool) -> None:
    """The code in it decides (expired, skewed, throttled): it is read, however it is framed."""

    async def play() -> None:
        peer = Peer()
        start = b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n"
        pieces = [start + body] if together else [start, body]
        reply = await peer.exchange(lambda _: Kept(), pieces, then_close=True)
        assert reply.status == 400
        assert b"<Code>ExpiredToken</Code>" in peer.connection.error_body
        assert not peer.connection.usable

    run(play)


def test_endless_interim_replies_do_not_last_for_ever() -> None:
    """Each 1xx is skipped, but a megabyte of them is no reply: the connection is closed or still in doubt."""

    async def play() -> None:
        error, kept, peer = await refused([b"HTTP/1.1 100 Continue\r\n\r\n" * 40] * 1000)
        assert isinstance(error, ProtocolError | ConnectionClosed)
        assert kept == b""
        assert not peer.connection.usable

    run(play)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_garbage_never_becomes_a_reply(garbage: bytes, cuts: list[int]) -> None:
    """Bytes that do not begin with a status line end the exchange with an error; nothing else is raised."""

    async def play() -> None:
        error, kept, peer = await refused(pieces_of(b"\x00" + garbage + b"\r\n\r\n", cuts))
        assert isinstance(error, ProtocolError)
        assert kept == b""
        assert peer.aborted

    run(play)


HEADER_LINES = st.lists(
    st.sampled_from(
        [b"Content-Length: 3", b"content-length: 3", b"Content-Length: 4", b"Transfer-Encoding: chunked",
         b"Transfer-Encoding: identity", b"Connection: close", b"X: y", b" folded", b"Content-Length:3 "]
    ),
    max_size=4,
)  # fmt: skip


@given(HEADER_LINES)
def test_a_body_is_delivered_only_under_one_clear_length(lines: list[bytes]) -> None:
    """Whatever mixture of framing headers comes, three bytes are delivered only if exactly one length says three."""

    async def play() -> None:
        peer, kept = Peer(), Kept()
        head = OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
        task = asyncio.create_task(peer.exchange(lambda _: kept, [head, b"abc"], then_close=True))
        lengths = [line for line in lines if line.lower().startswith(b"content-length")]
        clear = len(lengths) == 1 and b"3" in lengths[0] and not any(line[:1] in b" T" for line in lines)
        try:
            reply = await task
        except (ConnectionError, NotSpoken):
            assert not clear
            assert kept.bytes in (b"", b"abc")
            assert not peer.connection.usable
            return
        assert clear
        assert reply.status == 200
        assert kept.bytes == b"abc"

    run(play)
