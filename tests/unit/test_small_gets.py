"""Small objects one after the other over one connection: each ends once, and any doubt ends the connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import cast

import pytest

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Checksum
from bulkhaul.model.settings import Timeouts
from bulkhaul.wire.connections import Connections
from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.learned import Learned
from bulkhaul.wire.request_log import RequestLog
from bulkhaul.wire.sigv4 import Signer
from bulkhaul.wire.small_exchanges import Stopped
from bulkhaul.wire.small_gets import SmallGets, SmallRequests
from bulkhaul.wire.stalls import Watch
from bulkhaul.wire.transport import NotSpoken
from bulkhaul.wire.values import Credentials, GetRequest, Target
from tests.unit.peer import Peer, run

TARGET = Target("http", "127.0.0.1", 9000, "/bucket/", "us-east-1", fast=True)
ETAG = '"d41d8cd98f00b204e9800998ecf8427e"'


class Row:
    """One object, and what became of it."""

    def __init__(self, rows: Given, place: int, body: bytes, *, refuses: bool = False) -> None:
        self.request = GetRequest(TARGET, "bucket", f"k{place}", ETAG, 0, len(body), len(body), whole=True)
        self.place = place
        self.body = b""
        self.promised: Checksum | None = None
        self.outcomes: list[str | ErrorInfo | BaseException] = []
        self._rows = rows
        self._refuses = refuses
        self._space = memoryview(bytearray(1000))

    def expect(self, checksum: Checksum | None) -> None:
        self.promised = checksum

    def space(self) -> memoryview:
        return self._space

    def received(self, count: int) -> None:
        if self._refuses:
            raise OSError(28, "no space left on device")
        self.body += bytes(self._space[:count])

    def take_headers(self, headers: Mapping[str, str]) -> None:
        pass

    def arrived(self, etag: str) -> None:
        self.outcomes.append(etag)

    def failed(self, error: ErrorInfo | BaseException) -> None:
        self.outcomes.append(error)


class Given:
    """Rows that a connection takes in order."""

    def __init__(self, bodies: list[bytes], *, refuses: int = -1) -> None:
        self.all = [Row(self, place, body, refuses=place == refuses) for place, body in enumerate(bodies)]
        self.waiting = deque(self.all)
        self.put_back_: list[int] = []

    def take(self) -> Row | None:
        return self.waiting.popleft() if self.waiting else None

    def put_back(self, place: int) -> None:
        self.put_back_.append(place)


def reply(body: bytes, *lines: str, length: int | None = None, status: str = "200 OK") -> bytes:
    """Return a reply with a body."""
    size = len(body) if length is None else length
    head = [f"HTTP/1.1 {status}", f"Content-Length: {size}", f"ETag: {ETAG}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def fetched(rows: Given, *replies: bytes | BaseException | None, piece: int = 1 << 20) -> Peer:
    """Fetch rows from a peer that gives these replies in turn; None hangs up, an exception stops the caller."""

    async def play() -> Peer:
        peer = Peer()
        connections = Connections(Timeouts(), Connection, ca_bundle=None)
        lane = SmallGets(
            peer.connection,
            lambda request: request.key.encode(),
            rows,
            Watch(0, 0.0),
            connections,
            TARGET,
            RequestLog(),
        )
        first = rows.take()
        assert first is not None
        task = asyncio.ensure_future(lane.run(first))
        for one in replies:
            await asyncio.sleep(0)
            if one is None:
                peer.hang_up()
            elif isinstance(one, BaseException):
                task.cancel()
            else:
                for at in range(0, len(one), piece):
                    peer.send(one[at : at + piece])
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 5)
        return peer

    return run(play)


BODIES = [b"a" * 10, b"b" * 2500, b"c"]


@pytest.mark.parametrize("piece", [1, 7, 100, 1 << 20])
def test_all_of_them_over_one_connection(piece: int) -> None:
    """However the network cuts the replies, each object gets its own bytes, and the connection stays usable."""
    rows = Given(BODIES)
    crc = "x-amz-checksum-crc32: AAAAAA=="
    peer = fetched(rows, *(reply(body, crc) for body in BODIES), piece=piece)
    assert [row.body for row in rows.all] == BODIES
    assert [row.outcomes for row in rows.all] == [[ETAG]] * 3
    assert {row.promised.value for row in rows.all if row.promised} == {"AAAAAA=="}
    assert peer.connection.usable
    assert peer.written == b"k0k1k2"


def test_a_refusal_ends_its_object_only() -> None:
    """An error document with an exact length leaves the connection for the next one."""
    rows = Given(BODIES)
    gone = reply(b"<Error><Code>NoSuchKey</Code></Error>", status="404 Not Found")
    peer = fetched(rows, reply(BODIES[0]), gone, reply(BODIES[2]))
    (error,) = rows.all[1].outcomes
    assert isinstance(error, ErrorInfo)
    assert (error.code, error.status) == ("NotFound", 404)
    assert rows.all[2].outcomes == [ETAG]
    assert peer.connection.usable


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (reply(b"x" * 9), "UnexpectedReply"),
        (reply(b"x" * 10).replace(b"d41d", b"0000"), "ObjectChanged"),
        (reply(b"x" * 10, "x-amz-checksum-crc32: ?"), "UnexpectedReply"),
        (reply(b"x" * 10, status="206 Partial Content"), "UnexpectedReply"),
        (b"nonsense\r\n\r\n", "NetworkError"),
    ],
    ids=["length", "etag", "checksum", "status", "no-http"],
)
def test_a_reply_that_is_not_the_object(bad: bytes, code: str) -> None:
    """It is refused before a byte is kept, and nothing else is asked for over that connection."""
    rows = Given(BODIES)
    peer = fetched(rows, bad)
    (error,) = rows.all[0].outcomes
    assert isinstance(error, ErrorInfo)
    assert error.code == code
    assert rows.all[0].body == b""
    assert not peer.connection.usable
    assert len(rows.waiting) == 2


def test_a_body_in_chunks_is_left_to_another_transport() -> None:
    """What this connection does not read is told as that."""
    rows = Given(BODIES[:1])
    fetched(rows, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: %b\r\n\r\n" % ETAG.encode())
    assert [type(one) for one in rows.all[0].outcomes] == [NotSpoken]


def test_a_disk_that_refuses() -> None:
    """What the sink raises reaches the row as it is."""
    rows = Given(BODIES, refuses=1)
    peer = fetched(rows, reply(BODIES[0]), reply(BODIES[1]))
    (error,) = rows.all[1].outcomes
    assert isinstance(error, OSError)
    assert error.errno == 28
    assert not peer.connection.usable


def test_a_connection_that_was_closed_while_idle() -> None:
    """An object of which nothing came over a used connection is put back; over a fresh one it has failed."""
    rows = Given(BODIES)
    fetched(rows, reply(BODIES[0]), None)
    assert rows.put_back_ == [1]
    assert rows.all[1].outcomes == []
    fresh = Given(BODIES)
    fetched(fresh, None)
    assert fresh.put_back_ == []
    (error,) = fresh.all[0].outcomes
    assert cast("ErrorInfo", error).code == "NetworkError"


def test_a_connection_that_breaks_in_a_body() -> None:
    """The error tells that the service had answered."""
    rows = Given(BODIES)
    fetched(rows, reply(BODIES[0])[:-3], None)
    (error,) = rows.all[0].outcomes
    assert (cast("ErrorInfo", error).code, cast("ErrorInfo", error).status) == ("NetworkError", 200)


def test_more_bytes_than_announced() -> None:
    """The object is whole, and the connection is not used again."""
    rows = Given(BODIES)
    peer = fetched(rows, reply(BODIES[0]) + b"HTTP/1.1 200 OK\r\n")
    assert rows.all[0].outcomes == [ETAG]
    assert rows.all[0].body == BODIES[0]
    assert not peer.connection.usable
    assert len(rows.waiting) == 2


def test_a_caller_that_is_cancelled() -> None:
    """The object under way is told that it is not wanted any more, and no other is begun."""
    rows = Given(BODIES)
    peer = fetched(rows, reply(BODIES[0]), asyncio.CancelledError())
    assert [type(one) for one in rows.all[1].outcomes] == [Stopped]
    assert not peer.connection.usable
    assert len(rows.waiting) == 1


@pytest.mark.parametrize("token", ["", "TOKEN"])
def test_requests_are_those_of_single_objects(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request is signed as the signer signs it, with the headers of the settings, whatever its key holds."""
    monkeypatch.setattr("bulkhaul.wire.small_gets.time.time", lambda: 1.7e9)
    credentials = Credentials("AK", "SK", token)
    extra = (("x-amz-request-payer", "requester"),)
    requests = SmallRequests(
        TARGET, Signer(credentials, "us-east-1"), headers=extra, user_agent="bulkhaul/1", learned=Learned()
    )
    for key, path in (("a/b", "/bucket/a/b"), ("a b+%ü", "/bucket/a%20b%2B%25%C3%BC")):
        line, *headers = (
            requests.encode(GetRequest(TARGET, "bucket", key, ETAG, 0, 1, 1, whole=True)).decode().split("\r\n")
        )
        assert line == f"GET {path} HTTP/1.1"
        signed = Signer(credentials, "us-east-1").sign(
            "GET",
            "127.0.0.1:9000",
            path,
            [*extra, ("x-amz-checksum-mode", "ENABLED"), ("if-match", ETAG)],
            now_s=1.7e9,
        )
        expected = [f"{name}: {value}" for name, value in signed]
        assert headers == [*expected, "user-agent: bulkhaul/1", "", ""]


def test_requests_that_are_not_signed() -> None:
    """Without credentials they carry the host and the condition, and no signature."""
    requests = SmallRequests(TARGET, None, headers=(), user_agent="bulkhaul/1", learned=Learned())
    text = requests.encode(GetRequest(TARGET, "bucket", "k", ETAG, 0, 1, 1, whole=True)).decode()
    assert text.startswith("GET /bucket/k HTTP/1.1\r\n")
    assert f"\r\nif-match: {ETAG}\r\n" in text
    assert "\r\nhost: 127.0.0.1:9000\r\n" in text
    assert "authorization" not in text


def test_what_was_learnt_changes_the_next_request() -> None:
    """An endpoint that has refused to tell checksums is not asked for them any more."""
    learned = Learned()
    requests = SmallRequests(
        TARGET, Signer(Credentials("AK", "SK"), "r"), headers=(), user_agent="bulkhaul/1", learned=learned
    )
    request = GetRequest(TARGET, "bucket", "k", ETAG, 0, 1, 1, whole=True)
    assert b"x-amz-checksum-mode: ENABLED" in requests.encode(request)
    learned.does_without("127.0.0.1", "x-amz-checksum-mode")
    assert b"x-amz-checksum-mode" not in requests.encode(request)
