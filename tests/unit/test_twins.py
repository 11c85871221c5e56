"""GETs whose replies are late get a twin, once: one of the two writes, and no end is worse than without a twin."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Checksum
from bulkhaul.model.settings import Settings, Timeouts
from bulkhaul.wire.connections import Connections
from bulkhaul.wire.fast_transport import FastTransport
from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.late_replies import CALM_S
from bulkhaul.wire.small_exchanges import Stopped
from bulkhaul.wire.transport import TransportError
from bulkhaul.wire.values import Credentials, GetRequest, PutRequest, Target
from tests.unit.peer import Peer, run

Kind = Literal["ranged", "small"]

TARGET = Target("http", "127.0.0.1", 9000, "/bucket/", "us-east-1", fast=True)
ETAG = '"d41d8cd98f00b204e9800998ecf8427e"'
OURS, OTHERS = b"o" * 3000, b"x" * 3000
LATE_S = 1.1
SLOW_DOWN = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n"
GONE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Lines(Connections):
    """Connections to peers, each of which is a new one."""

    def __init__(self, timeouts: Timeouts) -> None:
        super().__init__(timeouts, Connection, ca_bundle=None)
        self.peers: list[Peer] = []
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.refuses = False

    async def open(self, target: Target) -> Connection:
        assert target is TARGET
        await self.may_open.wait()
        if self.refuses:
            raise TransportError(ErrorInfo("NetworkError", "refused", unreached=True))
        self.peers.append(Peer())
        return self.peers[-1].connection

    async def pass_time(self, seconds: float, *, lag_s: float = 0.0) -> None:
        """Let the watcher look as if so much time had passed, and let what it has begun go on."""
        self.look(time.monotonic() + seconds, lag_s=lag_s)
        await settle()


async def settle() -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(10):
        await asyncio.sleep(0)


class Body:
    """One object that is received, and what became of it."""

    def __init__(self, place: int = 0) -> None:
        self.place = place
        self.request = GetRequest(TARGET, "bucket", f"k{place}", ETAG, 0, len(OURS), len(OURS), whole=True)
        self.bytes = b""
        self.told = 0
        self.outcomes: list[str | ErrorInfo | BaseException] = []
        self._space = memoryview(bytearray(1000))

    def take_headers(self, _headers: Mapping[str, str]) -> None:
        pass

    def expect(self, _checksum: Checksum | None) -> None:
        self.told += 1

    def space(self) -> memoryview:
        return self._space

    def received(self, count: int) -> None:
        self.bytes += bytes(self._space[:count])

    def arrived(self, etag: str) -> None:
        self.outcomes.append(etag)

    def failed(self, error: ErrorInfo | BaseException) -> None:
        self.outcomes.append(error)


@dataclass
class Rows:
    """Small objects that are given out in order."""

    all: tuple[Body, ...]
    waiting: deque[Body] = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = deque(self.all)

    def take(self) -> Body | None:
        return self.waiting.popleft() if self.waiting else None

    def put_back(self, place: int) -> None:
        self.waiting.appendleft(self.all[place])


@dataclass
class Get:
    """A GET of either kind that is under way over peers."""

    kind: Kind
    lines: Lines
    transport: FastTransport
    body: Body = field(default_factory=Body)
    more: tuple[Body, ...] = ()
    task: asyncio.Task[None] | None = None

    async def begin(self) -> Peer:
        """Send the request, and return the peer that has it."""
        before = len(self.lines.peers)
        if self.kind == "small":
            work = self.transport.get_small(TARGET, Rows((self.body, *self.more)))
        else:
            work = self.transport.get(ranged(), self.body)
        self.task = asyncio.ensure_future(work)
        await settle()
        return self.lines.peers[before] if len(self.lines.peers) > before else self.lines.peers[-1]

    async def begin_late(self) -> tuple[Peer, Peer]:
        """Send the request, let its reply be late, and return the original's peer and its twin's."""
        original = await self.begin()
        await self.lines.pass_time(LATE_S)
        return original, self.lines.peers[-1]

    async def end(self) -> str | ErrorInfo:
        """Return the error, or the empty text for success."""
        assert self.task is not None
        (raised,) = await asyncio.wait_for(asyncio.gather(self.task, return_exceptions=True), 5)
        if self.kind == "small":
            (outcome,) = self.body.outcomes
            assert isinstance(outcome, ErrorInfo | str)
            return "" if outcome == ETAG else outcome
        assert raised is None or isinstance(raised, TransportError), raised
        return "" if raised is None else raised.info


def ranged() -> GetRequest:
    """Return the request for a part in the middle of an object."""
    return GetRequest(TARGET, "bucket", "k", ETAG, 5000, 5000 + len(OURS), 1 << 20, whole=False)


def reply(kind: Kind, body: bytes = OURS, *, etag: str = ETAG) -> bytes:
    """Return a good reply."""
    status = "200 OK" if kind == "small" else "206 Partial Content"
    span = "" if kind == "small" else f"Content-Range: bytes 5000-7999/{1 << 20}\r\n"
    return f"HTTP/1.1 {status}\r\nContent-Length: 3000\r\nETag: {etag}\r\n{span}\r\n".encode() + body


def force(peer: Peer, data: bytes) -> None:
    """Let bytes come even over a connection that is closed, as if the loop had read them before."""
    for at in range(0, len(data), 500):
        piece = data[at : at + 500]
        space = peer.connection.get_buffer(-1)
        space[: len(piece)] = piece
        peer.connection.buffer_updated(len(piece))


def sent_before(get: Get, peer: Peer, seconds: float) -> None:
    """Make the request that a peer has older than it is."""
    watch = get.lines.watch_of(peer.connection)
    watch.began_s -= seconds
    watch.changed_s -= seconds


def hang_up(peer: Peer) -> None:
    """Reset the connection."""
    peer.hang_up(ConnectionResetError(104, "reset"))


@pytest.fixture(params=["ranged", "small"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which way a GET goes: a part by itself, or a row of a batch."""
    chosen: Kind = request.param
    return chosen


def play(kind: Kind, script: Callable[[Get], Awaitable[None]]) -> None:
    """Run a script, and see that nothing is left under way."""

    async def whole() -> None:
        get = made(kind)
        await script(get)
        await settle()
        assert get.lines.late.twins == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(whole)


def made(kind: Kind) -> Get:
    """Return a GET that is not begun, over a transport of its own."""
    settings = Settings(endpoint_url="http://127.0.0.1:9000")
    transport = FastTransport(settings, ca_bundle=None, user_agent="t")
    transport.use(Credentials("AK", "SK"))
    lines = Lines(settings.timeouts)
    transport._connections = lines
    return Get(kind, lines, transport)


def test_a_twin_overtakes_a_late_reply(kind: Kind) -> None:
    """It goes out after a second, once; what the original brings afterwards reaches nobody."""

    async def script(get: Get) -> None:
        original = await get.begin()
        await get.lines.pass_time(0.9)
        assert len(get.lines.peers) == 1
        await get.lines.pass_time(LATE_S)
        await get.lines.pass_time(9.0)
        assert len(get.lines.peers) == 2
        twin = get.lines.peers[1]
        twin.send(reply(kind)[:1000])
        assert original.aborted
        force(original, reply(kind, OTHERS))
        twin.send(reply(kind)[1000:])
        force(original, reply(kind, OTHERS))
        assert await get.end() == ""
        assert get.body.bytes == OURS
        assert get.body.told == 1
        assert twin.connection.usable
        assert await get.lines.take(TARGET) is twin.connection, "it is kept for the next request"

    play(kind, script)


def test_the_twin_asks_for_the_same(kind: Kind) -> None:
    """The same object, range and condition, under a signature of its own."""

    async def script(get: Get) -> None:
        original = await get.begin()
        get.transport.use(Credentials("NEWER", "SK"))  # as for any request that is sent from now on
        await get.lines.pass_time(LATE_S)
        twin = get.lines.peers[1]
        first, second = (peer.written.decode().split("\r\n") for peer in (original, twin))
        assert first[0] == second[0]
        assert f"if-match: {ETAG}" in second
        assert ("range: bytes=5000-7999" in second) == (kind == "ranged")
        signed = ("authorization", "x-amz-date")
        kept = [[line for line in lines if not line.startswith(signed)] for lines in (first, second)]
        assert kept[0] == kept[1]
        assert any(line.startswith("authorization: AWS4-HMAC-SHA256 Credential=NEWER/") for line in second)
        twin.send(reply(kind))
        assert await get.end() == ""

    play(kind, script)


def test_an_original_that_comes_before_its_twin(kind: Kind) -> None:
    """The twin is closed before the first byte is stored, and is never used again."""

    async def script(get: Get) -> None:
        original, twin = await get.begin_late()
        assert twin is not original
        original.send(reply(kind)[:1000])
        assert twin.aborted
        force(twin, reply(kind, OTHERS))
        original.send(reply(kind)[1000:])
        assert await get.end() == ""
        assert get.body.bytes == OURS
        assert get.body.told == 1
        assert await get.lines.take(TARGET) is original.connection
        assert await get.lines.take(TARGET) is get.lines.peers[2].connection, "the twin is not used again"

    play(kind, script)


@pytest.mark.parametrize("first", ["original", "twin"])
def test_both_heads_in_one_turn_of_the_loop(kind: Kind, first: str) -> None:
    """Whichever is read first writes alone."""

    async def script(get: Get) -> None:
        peers = dict(zip(("original", "twin"), await get.begin_late(), strict=True))
        winner = peers.pop(first)
        (loser,) = peers.values()
        force(winner, reply(kind)[:300])
        force(loser, reply(kind, OTHERS))
        force(winner, reply(kind)[300:])
        assert await get.end() == ""
        assert get.body.bytes == OURS

    play(kind, script)


def test_an_original_that_comes_while_its_twin_connects(kind: Kind) -> None:
    """The twin is given up, and nothing is asked for a second time."""

    async def script(get: Get) -> None:
        original = await get.begin()
        get.lines.may_open.clear()
        await get.lines.pass_time(LATE_S)
        assert get.lines.late.twins == 1
        original.send(reply(kind))
        assert await get.end() == ""
        get.lines.may_open.set()
        await settle()
        assert len(get.lines.peers) == 1

    play(kind, script)


BAD: dict[str, Callable[[Peer], None]] = {
    "503": lambda peer: peer.send(SLOW_DOWN),
    "404": lambda peer: peer.send(GONE),
    "reset": hang_up,
    "no-http": lambda peer: peer.send(b"nonsense\r\n\r\n"),
    "other-etag": lambda peer: peer.send(
        reply("small", b"", etag='"other"') if b"range" not in peer.written else reply("ranged", b"", etag='"other"')
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_twin_that_fails_changes_nothing(kind: Kind, bad: str) -> None:
    """The original is waited for as if there had been none, and gets no other twin."""

    async def script(get: Get) -> None:
        original, twin = await get.begin_late()
        BAD[bad](twin)
        await settle()
        assert not get.task or not get.task.done()
        assert not original.aborted
        assert not twin.connection.usable
        await get.lines.pass_time(20.0)
        assert len(get.lines.peers) == 2
        original.send(reply(kind))
        assert await get.end() == ""
        assert get.body.bytes == OURS

    play(kind, script)


def test_a_twin_that_cannot_connect_changes_nothing(kind: Kind) -> None:
    """As for one that fails later."""

    async def script(get: Get) -> None:
        original = await get.begin()
        get.lines.refuses = True
        await get.lines.pass_time(LATE_S)
        original.send(reply(kind))
        assert await get.end() == ""

    play(kind, script)


@pytest.mark.parametrize("bad", BAD)
def test_a_twin_outlives_its_original(kind: Kind, bad: str) -> None:
    """An original that fails while its twin is out fails nothing yet."""

    async def script(get: Get) -> None:
        original, twin = await get.begin_late()
        BAD[bad](original)
        await settle()
        assert not get.task or not get.task.done()
        assert get.body.outcomes == []
        twin.send(reply(kind))
        assert await get.end() == ""
        assert get.body.bytes == OURS

    play(kind, script)


@pytest.mark.parametrize("order", ["original first", "twin first"])
def test_both_fail(kind: Kind, order: str) -> None:
    """It is the original's error, once: what would have come of it without a twin."""

    async def script(get: Get) -> None:
        original, twin = await get.begin_late()
        if order == "original first":
            original.send(SLOW_DOWN)
            await settle()
            twin.send(GONE)
        else:
            twin.send(GONE)
            await settle()
            original.send(SLOW_DOWN)
        error = await get.end()
        assert isinstance(error, ErrorInfo)
        assert (error.code, error.status) == ("Throttled", 503)
        assert get.body.bytes == b""

    play(kind, script)


def test_an_original_that_fails_while_its_twin_connects(kind: Kind) -> None:
    """The twin is given up: an ordinary retry would have to connect as well."""

    async def script(get: Get) -> None:
        original = await get.begin()
        get.lines.may_open.clear()
        await get.lines.pass_time(LATE_S)
        original.send(SLOW_DOWN)
        error = await get.end()
        assert isinstance(error, ErrorInfo)
        assert error.code == "Throttled"

    play(kind, script)


def test_silence_is_counted_from_the_first_request_on(kind: Kind) -> None:
    """A twin makes no deadline longer: both are broken off when the original is."""

    async def script(get: Get) -> None:
        original = await get.begin()
        sent_before(get, original, 5.0)
        await get.lines.pass_time(0.0)
        twin = get.lines.peers[1]
        await get.lines.pass_time(24.9)
        assert not original.aborted
        assert not twin.aborted
        await get.lines.pass_time(25.1)
        assert original.aborted
        assert twin.aborted
        error = await get.end()
        assert isinstance(error, ErrorInfo)
        assert (error.code, error.status) == ("StallTimeout", 0)

    play(kind, script)


def test_a_reply_that_has_begun_is_not_late(kind: Kind) -> None:
    """From its first byte on, it is only the deadlines that it has to keep."""

    async def script(get: Get) -> None:
        original = await get.begin()
        original.send(reply(kind)[:20])
        await get.lines.pass_time(LATE_S)
        await get.lines.pass_time(9.0)
        assert len(get.lines.peers) == 1
        original.send(reply(kind)[20:])
        assert await get.end() == ""

    play(kind, script)


def test_a_twin_that_breaks_in_the_body(kind: Kind) -> None:
    """It has won, so its error is the one that is told: the service had answered."""

    async def script(get: Get) -> None:
        original, twin = await get.begin_late()
        twin.send(reply(kind)[:1000])
        hang_up(twin)
        error = await get.end()
        assert isinstance(error, ErrorInfo)
        assert (error.code, error.status) == ("NetworkError", 200 if kind == "small" else 206)
        assert original.aborted
        assert get.body.bytes == OURS[: len(get.body.bytes)]

    play(kind, script)


@pytest.mark.parametrize("moment", ["connecting", "both wait", "original failed", "in the body"])
def test_cancellation_closes_both(kind: Kind, moment: str) -> None:
    """Whatever is under way ends at once, and nothing reaches the sink afterwards."""

    async def script(get: Get) -> None:
        if moment == "connecting":
            await get.begin()
            get.lines.may_open.clear()
            await get.lines.pass_time(LATE_S)
        else:
            original, twin = await get.begin_late()
            if moment == "original failed":
                original.send(SLOW_DOWN)
                await settle()
            elif moment == "in the body":
                twin.send(reply(kind)[:1000])
        had = get.body.bytes
        assert get.task is not None
        get.task.cancel()
        await settle()
        assert get.task.cancelled()
        for peer in get.lines.peers:
            if not (moment == "original failed" and peer is get.lines.peers[0]):  # it has had its reply
                assert peer.aborted
                force(peer, reply(kind, OTHERS))
        assert get.body.bytes == had
        if kind == "small":
            assert [type(one) for one in get.body.outcomes] == [Stopped]

    play(kind, script)


def test_a_look_between_the_end_of_a_row_and_the_next_connection() -> None:
    """A row that was put back gets no twin."""

    async def script(get: Get) -> None:
        get.more = (Body(1),)
        used = await get.begin()
        used.send(reply("small"))
        await settle()
        used.hang_up()
        get.lines.look(time.monotonic() + LATE_S, lag_s=0.0)
        await settle()
        (fresh,) = get.lines.peers[1:]
        fresh.send(reply("small"))
        assert await get.end() == ""
        assert get.more[0].outcomes == [ETAG]

    play("small", script)


def test_a_connection_that_was_closed_while_idle(kind: Kind) -> None:
    """An original of which nothing came over a used connection may still be overtaken."""

    async def script(get: Get) -> None:
        used = await get.begin()
        used.send(reply(kind))
        assert await get.end() == ""
        again = Get(kind, get.lines, get.transport)
        assert await again.begin() is used
        await get.lines.pass_time(LATE_S)
        used.hang_up()
        await settle()
        get.lines.peers[1].send(reply(kind))
        assert await again.end() == ""
        assert again.body.bytes == OURS
        assert len(get.lines.peers) == 2

    play(kind, script)


def test_other_requests_get_none() -> None:
    """A PUT, a HEAD or a POST whose reply is late is sent once."""

    async def script(get: Get) -> None:
        part = PutRequest(TARGET, "bucket", "k")
        asks = [
            get.transport.put(part, memoryview(b"body"), lambda _sent, _left: None),
            *(
                get.transport.ask(TARGET, method, "/bucket/k", "", (), most_bytes=100, patient=False, again=True)
                for method in ("HEAD", "POST", "DELETE", "GET")
            ),
        ]
        tasks = [asyncio.ensure_future(one) for one in asks]
        await settle()
        await get.lines.pass_time(20.0)
        assert len(get.lines.peers) == len(tasks)
        for task in tasks:
            task.cancel()
        await settle()

    play("ranged", script)


@pytest.mark.parametrize("trouble", ["503", "reset"])
def test_none_while_the_service_is_in_trouble(kind: Kind, trouble: str) -> None:
    """After a refusal for load or a broken connection, replies are waited for; some seconds later it is calm again."""

    async def script(get: Get) -> None:
        other = Get(kind, get.lines, get.transport)
        BAD[trouble](await other.begin())
        await other.end()
        original = await get.begin()
        before = len(get.lines.peers)
        await get.lines.pass_time(LATE_S)
        await get.lines.pass_time(CALM_S + 1.0)  # it was asked about once, and is not again
        assert len(get.lines.peers) == before
        original.send(reply(kind))
        assert await get.end() == ""
        later = Get(kind, get.lines, get.transport)
        original = await later.begin()
        await get.lines.pass_time(CALM_S + 1.0)
        assert len(get.lines.peers) == before + 1
        original.send(reply(kind))
        assert await later.end() == ""

    play(kind, script)


def test_none_while_this_process_is_late_itself(kind: Kind) -> None:
    """A loop that comes late to its own tick has not read what may be here."""

    async def script(get: Get) -> None:
        original = await get.begin()
        await get.lines.pass_time(LATE_S, lag_s=0.3)
        assert len(get.lines.peers) == 1
        await get.lines.pass_time(LATE_S)
        assert len(get.lines.peers) == 2, "the next look is in time"
        original.send(reply(kind))
        assert await get.end() == ""

    play(kind, script)


def test_the_budget_holds(kind: Kind) -> None:
    """Where every reply is late, the first ten get a twin."""

    async def script(get: Get) -> None:
        gets = [get, *(Get(kind, get.lines, get.transport) for _ in range(24))]
        originals = [await one.begin() for one in gets]
        await get.lines.pass_time(LATE_S)
        assert len(get.lines.peers) == 25 + 10
        for peer in originals:
            peer.send(reply(kind))
        assert [await one.end() for one in gets] == [""] * 25

    play(kind, script)


@pytest.mark.parametrize(("files", "most"), [(resource.RLIM_INFINITY, 32), (1024, 32), (256, 32), (64, 8)])
def test_no_more_wait_at_a_time_than_there_are_descriptors_for(
    kind: Kind, files: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large the budget is."""

    async def script(get: Get) -> None:
        get.lines.late.twins += most - 1
        other = Get(kind, get.lines, get.transport)
        originals = [await get.begin(), await other.begin()]
        await get.lines.pass_time(LATE_S)
        assert len(get.lines.peers) == 3
        assert get.lines.late.twins == most
        for peer in originals:
            peer.send(reply(kind))
        assert [await one.end() for one in (get, other)] == ["", ""]
        get.lines.late.twins -= most - 1

    monkeypatch.setattr("resource.getrlimit", lambda _what: (files, files))
    play(kind, script)


def test_the_time_of_a_pair_is_noted_once(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of the winner, from the original's request on."""

    async def script(get: Get) -> None:
        noted: list[float] = []
        monkeypatch.setattr(get.lines.late, "note", noted.append)
        began_s = time.monotonic()
        original, twin = await get.begin_late()
        await asyncio.sleep(0.05)
        monkeypatch.setattr("bulkhaul.wire.twins.time.monotonic", lambda: began_s + 7.0)
        twin.send(reply(kind))
        force(original, reply(kind))
        assert await get.end() == ""
        (ttfb_s,) = noted
        assert 6.0 < ttfb_s <= 7.0
        other = Get(kind, get.lines, get.transport)
        (await other.begin()).send(reply(kind))
        assert await other.end() == ""
        assert len(noted) == 2

    play(kind, script)


def test_the_rows_after_one_that_was_overtaken() -> None:
    """They go on over the connection of the twin."""

    async def script(get: Get) -> None:
        get.more = (Body(1), Body(2))
        original, twin = await get.begin_late()
        twin.send(reply("small"))
        await settle()
        assert original.aborted
        twin.send(reply("small"))
        twin.send(reply("small"))
        assert await get.end() == ""
        assert [one.bytes for one in get.more] == [OURS, OURS]
        assert [one.outcomes for one in get.more] == [[ETAG], [ETAG]]
        assert len(get.lines.peers) == 2

    play("small", script)


def test_each_row_may_get_a_twin() -> None:
    """That one object had its twin takes nothing from the next."""

    async def script(get: Get) -> None:
        get.more = (Body(1),)
        original, twin = await get.begin_late()
        original.send(reply("small"))
        await settle()
        assert twin.aborted
        await get.lines.pass_time(LATE_S)
        assert len(get.lines.peers) == 3
        get.lines.peers[2].send(reply("small"))
        assert await get.end() == ""
        assert get.more[0].bytes == OURS

    play("small", script)


def test_lateness_is_that_of_each_row() -> None:
    """Rows before it, however long they took, make no row late."""

    async def script(get: Get) -> None:
        get.more = (Body(1),)
        for _ in range(100):
            get.lines.late.note(0.01)
        original = await get.begin()
        sent_before(get, original, 5.0)
        original.send(reply("small"))
        await get.lines.pass_time(0.5)
        assert len(get.lines.peers) == 1
        original.send(reply("small"))
        assert await get.end() == ""

    play("small", script)
