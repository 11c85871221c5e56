"""The HTTP/1.1 connection on good replies: every way to cut them gives the same bytes, and reuse is earned."""

from __future__ import annotations

import asyncio
import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkhaul.wire.ending import ConnectionClosed
from bulkhaul.wire.http1_parsing import MAX_ERROR_BYTES, Document, ReplyHead, parse_head
from bulkhaul.wire.transport import Sink
from tests.unit.peer import REQUEST, Kept, Peer, pieces_of, run

BODY = bytes(range(256)) * 3
HEAD = b'HTTP/1.1 206 Partial Content\r\nContent-Length: 768\r\nETag: "e"\r\nX-Odd:\t two  words \r\n\r\n'
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"


def fetched(pieces: list[bytes], *, window: int = 1 << 16) -> tuple[ReplyHead, bytes, Peer]:
    """Return the head, the body and the peer of one exchange that got its reply in these pieces."""

    async def play() -> tuple[ReplyHead, bytes, Peer]:
        peer, kept = Peer(), Kept(window)
        head = await peer.exchange(lambda _: kept, pieces)
        await asyncio.sleep(0)
        return head, kept.bytes, peer

    return run(play)


def test_what_is_read_leaves_nothing_to_collect() -> None:
    """Documents of hundreds of kilobytes are free as soon as they are read, and wait for no garbage collector."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            assert Document(reply).complete
            assert parse_head(HEAD).status == 206
        assert [one for one in gc.get_objects() if isinstance(one, Document)] == []
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("at", range(len(HEAD) + 1))
def test_a_header_block_may_be_cut_at_any_byte(at: int) -> None:
    """Wherever the network cuts the header block, the reply is the same and the connection stays usable."""
    head, body, peer = fetched(pieces_of(HEAD + BODY, [at]))
    assert (head.status, head.headers["etag"], head.headers["x-odd"]) == (206, '"e"', "two  words")
    assert body == BODY
    assert peer.connection.usable
    assert not peer.aborted
    assert peer.written == REQUEST


@settings(max_examples=150)
@given(
    body=st.binary(max_size=2000),
    interim=st.lists(st.sampled_from([CONTINUE, HINTS]), max_size=3),
    cuts=st.lists(st.integers(0, 2300), max_size=12),
    window=st.integers(1, 700),
)
def test_any_cuts_give_the_same_bytes(body: bytes, interim: list[bytes], cuts: list[int], window: int) -> None:
    """However head and body are cut, interim replies before them or not, and however little space the sink offers."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    got, kept, peer = fetched(pieces_of(b"".join(interim) + head + body, cuts), window=window)
    assert (got.status, kept) == (200, body)
    assert peer.connection.usable
    assert peer.connection.bytes_in == sum(map(len, interim)) + len(head) + len(body)


@pytest.mark.parametrize(("status", "replies"), [("206 Partial Content", 1), ("503 Slow Down", 0)])
def test_the_time_to_first_byte_is_noted_of_replies_of_success(status: str, replies: int) -> None:
    """It ends with the whole head and not with an interim reply; a refusal comes sooner and says nothing."""
    head = HEAD.replace(b"206 Partial Content", status.encode())
    assert head.startswith(b"HTTP/1.1 " + status.encode())
    _, _, peer = fetched([CONTINUE, head[:20], head[20:] + BODY])
    count, sum_s = peer.first_bytes.take()
    assert count == replies
    assert (0 < sum_s < 60) == bool(replies)
    assert peer.first_bytes.take() == (0, 0.0)


def test_one_byte_at_a_time() -> None:
    """The slowest peer is read like any other."""
    head, body, _ = fetched([bytes([byte]) for byte in CONTINUE + HEAD + BODY])
    assert (head.status, body) == (206, BODY)


def test_names_are_lower_case_and_repeats_are_joined() -> None:
    """RFC 9110 §5.3: header names in any case; repeated ones become one list."""
    head = parse_head(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nCONTENT-LENGTH: 0\r\n\r\n")
    assert head == ReplyHead(200, {"x-a": "1, 2", "content-length": "0"}, keep_alive=True)


def test_an_empty_body_completes_at_the_end_of_the_head() -> None:
    """Content-Length 0: nothing more is waited for."""
    head, body, peer = fetched([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
    assert (head.status, body) == (200, b"")
    assert peer.connection.usable


def test_begin_sees_the_head_before_any_byte_of_the_body_is_stored() -> None:
    """A refused reply writes nothing: ``begin`` raises, its error comes out, and the connection is closed."""

    class RefusedError(Exception):
        """What begin raises."""

    async def play() -> None:
        peer, seen = Peer(), []

        def begin(head: ReplyHead) -> Sink:
            seen.append(head.headers["etag"])
            raise RefusedError

        with pytest.raises(RefusedError):
            await peer.exchange(begin, [HEAD + BODY])
        assert seen == ['"e"']
        assert peer.aborted
        assert not peer.connection.usable

    run(play)


def test_an_error_of_the_sink_comes_out_as_it_is() -> None:
    """A full disk in the middle of a body ends the exchange with that OSError and closes the connection."""

    class Full(Kept):
        """A sink on a full disk."""

        def received(self, count: int) -> None:
            """Fail."""
            raise OSError(28, "No space left on device")

    async def play() -> None:
        peer = Peer()
        with pytest.raises(OSError, match="No space left"):
            await peer.exchange(lambda _: Full(), [HEAD, BODY[:10]])
        assert peer.aborted
        assert not peer.connection.usable

    run(play)


# Reuse


def test_a_connection_serves_one_reply_after_the_other() -> None:
    """Replies on one connection do not mix: status, headers, body and error body are each exchange's own."""

    async def play() -> None:
        peer, first, second = Peer(), Kept(), Kept()
        await peer.exchange(lambda _: first, [HEAD + BODY])
        failed = await peer.exchange(
            lambda _: second, [b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nno", b"pe"]
        )
        assert (failed.status, peer.connection.error_body) == (404, b"nope")
        again = await peer.exchange(lambda _: second, [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"])
        assert (again.status, again.headers) == (200, {"content-length": "2"})
        assert (first.bytes, second.bytes, peer.connection.error_body) == (BODY, b"hi", b"")
        assert peer.written == REQUEST * 3

    run(play)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive, CLOSE\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n",
    ],
    ids=["close", "close in a list", "HTTP/1.0", "HTTP/1.0 that would stay"],
)
def test_a_connection_that_the_peer_will_close_is_not_used_again(head: bytes) -> None:
    """RFC 9112 §9.3, §9.6: the reply counts, the connection is given up."""
    got, body, peer = fetched([head + b"hi"])
    assert (got.status, body) == (200, b"hi")
    assert not peer.connection.usable
    assert peer.aborted


@pytest.mark.parametrize("together", [True, False], ids=["in the same read", "in the next read"])
def test_bytes_after_the_body_make_the_connection_unusable(together: bool) -> None:
    """More than was announced: the reply is whole, and whatever follows on that connection is not trusted."""
    pieces = [HEAD + BODY + b"!"] if together else [HEAD + BODY, b"!"]
    head, body, peer = fetched(pieces)
    assert (head.status, body) == (206, BODY)
    assert not peer.connection.usable
    assert peer.aborted


def test_bytes_that_nobody_asked_for_close_an_idle_connection() -> None:
    """A reply without a request can only be meant to be taken for the next one."""

    async def play() -> None:
        fresh = Peer()
        fresh.send(HEAD)
        assert fresh.aborted
        assert not fresh.connection.usable
        used, kept = Peer(), Kept()
        await used.exchange(lambda _: kept, [HEAD + BODY])
        assert used.connection.usable
        used.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        assert used.aborted
        assert not used.connection.usable

    run(play)


def test_a_connection_closed_while_idle_is_not_usable() -> None:
    """The peer may close what is not in use; nobody is waiting, so nothing is raised."""

    async def play() -> None:
        peer = Peer()
        peer.hang_up()
        assert not peer.connection.usable

    run(play)


# Early ends


def lost(pieces: list[bytes], *, exchanges_before: int = 0, error: Exception | None = None) -> ConnectionClosed:
    """Return the error of an exchange whose peer hangs up after these pieces of the reply."""

    async def play() -> ConnectionClosed:
        peer = Peer()
        for _ in range(exchanges_before):
            await peer.exchange(lambda _: Kept(), [HEAD + BODY])
        task = asyncio.create_task(peer.connection.exchange(REQUEST, lambda _: Kept()))
        await asyncio.sleep(0)
        for piece in pieces:
            peer.send(piece)
        peer.hang_up(error)
        with pytest.raises(ConnectionClosed) as caught:
            await task
        assert not peer.connection.usable
        return caught.value

    return run(play)


@pytest.mark.parametrize(
    ("pieces", "exchanges_before", "stale"),
    [
        ([], 0, False),
        ([], 1, True),
        ([], 5, True),
        ([b"H"], 1, False),
        ([HEAD[:-1]], 1, False),
        ([CONTINUE], 1, False),
        ([HEAD], 1, False),
        ([HEAD + BODY[:-1]], 0, False),
        ([HEAD + BODY[:-1]], 1, False),
    ],
)
def test_an_early_end_is_stale_only_if_an_idle_connection_had_been_closed(
    pieces: list[bytes], exchanges_before: int, stale: bool
) -> None:
    """Only when nothing of the reply came on a connection used before may the request just be sent again."""
    assert lost(pieces, exchanges_before=exchanges_before).stale is stale


def test_an_early_end_tells_how_much_is_missing() -> None:
    """Short by one byte is short, and a reset keeps its reason."""
    assert "1 bytes short" in str(lost([HEAD + BODY[:-1]]))
    assert "reset by peer" in str(lost([HEAD], error=ConnectionResetError("reset by peer")))


def test_a_watcher_can_break_an_exchange() -> None:
    """``fail`` ends the exchange with the given error and closes the connection."""

    async def play() -> None:
        peer = Peer()
        task = asyncio.create_task(peer.connection.exchange(REQUEST, lambda _: Kept()))
        await asyncio.sleep(0)
        peer.send(HEAD + BODY[:5])
        peer.connection.fail(TimeoutError("no bytes for 30 s"))
        with pytest.raises(TimeoutError, match="30 s"):
            await task
        assert peer.aborted
        assert not peer.connection.usable

    run(play)


def test_a_cancelled_exchange_closes_its_connection() -> None:
    """The rest of a reply that nobody waits for must not be taken for the next one."""

    async def play() -> None:
        peer = Peer()
        task = asyncio.create_task(peer.connection.exchange(REQUEST, lambda _: Kept()))
        await asyncio.sleep(0)
        peer.send(HEAD)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert peer.aborted
        assert not peer.connection.usable

    run(play)


# Error documents

DOCUMENT = b"<Error><Code>ExpiredToken</Code><Message>over</Message></Error>"


@pytest.mark.parametrize("at", [0, 1, 30, 75, 90, 120])
def test_an_error_document_is_kept_and_the_connection_too(at: int) -> None:
    """A 4xx with a Content-Length is read whole, however it is cut, without asking for a sink."""
    reply = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(DOCUMENT) + DOCUMENT

    async def play() -> None:
        peer, asked = Peer(), []

        def begin(head: ReplyHead) -> Sink:
            asked.append(head)
            return Kept()

        head = await peer.exchange(begin, pieces_of(reply, [at]))
        assert (head.status, peer.connection.error_body, asked) == (400, DOCUMENT, [])
        assert peer.connection.usable

    run(play)


def test_of_a_huge_error_document_the_beginning_is_kept() -> None:
    """Memory is bounded: 64 KiB are kept, and the connection is given up instead of drained."""
    reply = b"HTTP/1.1 500 Oops\r\nContent-Length: 10000000\r\n\r\n" + b"x" * (2 * MAX_ERROR_BYTES)
    head, _, peer = fetched(pieces_of(reply, range(0, len(reply), 30_000)))
    assert head.status == 500
    assert peer.connection.error_body == b"x" * MAX_ERROR_BYTES
    assert peer.aborted
    assert not peer.connection.usable
