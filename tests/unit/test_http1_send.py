"""The HTTP/1.1 connection with a body to send: piece by piece, watched, and never longer than the peer listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bulkhaul.wire.ending import ConnectionClosed
from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.pieces import FIRST_PIECE_BYTES
from tests.unit.peer import Peer, run

PUT = b"PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: 200000\r\n\r\n"
BODY = bytes(range(250)) * 800
STORED = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n'
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope"


def begin(
    peer: Peer, body: bytes = BODY, sent: Callable[[int, int], None] = lambda *_: None
) -> asyncio.Task[ReplyHead]:
    """Begin to send a body."""
    return asyncio.create_task(peer.connection.send(PUT, memoryview(body), sent))


async def turns(count: int = 10) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [0, 1, FIRST_PIECE_BYTES, FIRST_PIECE_BYTES + 1, len(BODY)])
def test_a_body_is_sent_as_it_is(size: int) -> None:
    """Head and body leave in order and whole, and after its reply the connection serves the next one."""

    async def play() -> None:
        peer = Peer()
        for _ in range(2):
            peer.written = b""
            task = begin(peer, BODY[:size])
            await turns()
            assert peer.written == PUT + BODY[:size]
            assert not peer.connection.sending
            peer.send(STORED)
            head = await task
            assert (head.status, head.headers["etag"]) == (200, '"e"')
            assert peer.connection.usable
        assert peer.connection.bytes_out == 2 * size

    run(play)


def test_each_piece_is_told_and_the_last_word_comes_before_the_end() -> None:
    """``sent`` hears of every piece that has left, and before the last one is handed over."""

    async def play() -> None:
        peer, told = Peer(), []

        def sent(count: int, left: int) -> None:
            told.append((count, left, len(peer.written) - len(PUT)))

        task = begin(peer, sent=sent)
        await turns()
        peer.send(STORED)
        await task
        first = FIRST_PIECE_BYTES
        assert told == [
            (first, len(BODY) - first, first),
            (3 * first, len(BODY) - 3 * first, 3 * first),
            (3 * first, len(BODY) - 3 * first, 3 * first),  # the last word: nothing of the last piece has been written
            (len(BODY), 0, len(BODY)),
        ]

    run(play)


@pytest.mark.parametrize("size", [10, len(BODY)])
def test_a_body_can_be_held_back(size: int) -> None:
    """What ``sent`` raises comes out; the last piece has not left, and the connection is gone."""

    class ChangedError(Exception):
        """What the source did."""

    async def play() -> None:
        peer = Peer()

        def sent(count: int, left: int) -> None:
            if count + left == size and left < FIRST_PIECE_BYTES:
                raise ChangedError

        with pytest.raises(ChangedError):
            await begin(peer, BODY[:size], sent)
        assert len(peer.written) < len(PUT) + size
        assert peer.aborted
        assert not peer.connection.usable

    run(play)


def test_a_full_socket_is_waited_for() -> None:
    """No further piece is handed over before the last one has left."""

    async def play() -> None:
        peer = Peer()
        peer.takes_bytes = len(PUT) + 100
        task = begin(peer)
        await turns()
        assert len(peer.written) == len(PUT) + FIRST_PIECE_BYTES
        assert (peer.connection.bytes_out, peer.connection.sending) == (0, True)
        peer.read()
        await turns()
        assert (peer.connection.bytes_out, peer.connection.sending) == (len(BODY), False)
        peer.send(STORED)
        assert (await task).status == 200
        assert peer.written == PUT + BODY

    run(play)


@pytest.mark.parametrize("reply", [REFUSED, STORED], ids=["refusal", "success"])
def test_an_early_reply_ends_the_sending(reply: bytes) -> None:
    """A reply before the end of the body counts at once, though nobody reads the rest; the connection is given up."""

    async def play() -> None:
        peer = Peer()
        peer.takes_bytes = len(PUT) + 100
        task = begin(peer)
        await turns()
        peer.send(reply)
        head = await asyncio.wait_for(task, 1)
        assert head.status == (403 if reply is REFUSED else 200)
        assert peer.connection.error_body == (b"nope" if reply is REFUSED else b"")
        assert len(peer.written) == len(PUT) + FIRST_PIECE_BYTES
        assert peer.aborted
        assert not peer.connection.usable

    run(play)


def test_a_stall_can_be_broken() -> None:
    """The watcher's error comes out of a body that waits for room, and of one that waits for its reply."""

    async def play() -> None:
        for takes in (len(PUT) + 100, -1):
            peer = Peer()
            peer.takes_bytes = takes
            task = begin(peer)
            await turns()
            peer.connection.fail(TimeoutError("no bytes for 30 s"))
            with pytest.raises(TimeoutError, match="30 s"):
                await task
            assert peer.aborted

    run(play)


@pytest.mark.parametrize("takes", [-1, 0, len(PUT) + 100])
@pytest.mark.parametrize("before", [0, 1])
def test_the_peer_hangs_up(takes: int, before: int) -> None:
    """Without a reply the exchange fails; on a connection that was used before it may just be sent again."""

    async def play() -> None:
        peer = Peer()
        for _ in range(before):
            task = begin(peer, b"x")
            await turns()
            peer.send(STORED)
            await task
        peer.takes_bytes = takes
        task = begin(peer)
        await turns()
        peer.hang_up(ConnectionResetError("reset by peer"))
        with pytest.raises(ConnectionClosed, match="reset by peer") as caught:
            await task
        assert caught.value.stale is bool(before)
        assert not peer.connection.usable

    run(play)


def test_a_failure_that_nobody_waits_for_is_not_shouted() -> None:
    """When the source and the connection fail at once, the source's error comes out, and nothing is printed."""

    class ChangedError(Exception):
        """What the source did."""

    async def play() -> None:
        shouted: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: shouted.append(context))
        peer = Peer()
        peer.takes_bytes = len(PUT) + 100

        def sent(count: int, left: int) -> None:
            if peer.aborted:
                raise ChangedError(count, left)

        task = begin(peer, sent=sent)
        await turns()
        peer.read(0)
        peer.hang_up(OSError(14, "Bad address"))
        with pytest.raises((ChangedError, ConnectionClosed)):
            await task
        del task
        await turns()
        assert shouted == []

    run(play)


def test_a_cancelled_sending_closes_its_connection() -> None:
    """Half a body must not be followed by another request."""

    async def play() -> None:
        peer = Peer()
        peer.takes_bytes = len(PUT) + 100
        task = begin(peer)
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert peer.aborted
        assert not peer.connection.usable
        assert not peer.connection.sending

    run(play)


def test_of_a_success_the_document_is_kept() -> None:
    """A 200 to a PUT may hold an error: its body is there to be looked at."""

    async def play() -> None:
        peer = Peer()
        document = b"<Error><Code>InternalError</Code></Error>"
        task = begin(peer, b"x")
        await turns()
        peer.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(document), document)
        )
        assert (await task).status == 200
        assert peer.connection.error_body == document

    run(play)


def test_what_has_left_of_a_piece_counts_as_moved() -> None:
    """Over a slow path a piece takes long: whoever watches for a stall sees each byte that leaves."""

    async def play() -> None:
        peer = Peer()
        peer.takes_bytes = len(PUT) + 1000
        task = begin(peer)
        await turns()
        assert (peer.connection.bytes_out, peer.connection.moved_bytes) == (0, 1000)
        task.cancel()
        await asyncio.wait([task])

    run(play)
