"""The fault server: a thread with its own event loop, listening on a free port.

Job: accept, record, ask S3 for the reply, let the faults at it, send. Must not know what a fault
does nor what an operation means.

    with FaultServer(objects={"bucket/key": b"..."}, faults=[CutBody(after_bytes=10)]) as server:
        ...                       # talk to server.endpoint_url
        server.assert_all_fired()
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from types import TracebackType
from typing import Self

from .delivery import Sender
from .faults import Exchange, Fault, FaultPlan, Request
from .http1 import Connection, ProtocolError, Reply, head_bytes
from .objects import StoredObject, make_object
from .replies import ERROR_STATUS, S3Error, error_reply
from .s3 import Call, Store, parse_call, perform
from .sigv4 import Credentials

_STOP_DEADLINE_S = 10.0
#: Bytes that go out wake nobody, so a waiting test looks again this often.
_POLL_S = 0.01


@dataclass(slots=True)
class _Part:
    """A part as its requests showed it: which it was, where the first began, how many came."""

    index: int
    start: int
    attempts: int = 0


class FaultServer:
    """An S3 server that misbehaves on demand.

    Args:
        objects: by "bucket/key"; bytes become an object without a checksum.
        faults: the plan; more can be added by ``add_fault``.
        buckets: exist even without objects.
        tls: the server's side of TLS; the endpoint is https then.
        credentials: requests must be signed with these; without, everybody may ask.
        host: what ``endpoint_url`` names; the socket is bound to 127.0.0.1 anyway.
        host_suffixes: a Host ``b.<suffix>`` addresses bucket ``b``; others are path-style.
    """

    def __init__(
        self,
        objects: Mapping[str, bytes | StoredObject] | None = None,
        faults: Iterable[Fault] = (),
        *,
        buckets: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
        credentials: Credentials | None = None,
        host: str = "127.0.0.1",
        host_suffixes: tuple[str, ...] = ("localhost", "127.0.0.1"),
    ) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self.endpoint_url = f"{'http' if tls is None else 'https'}://{host}:{self.port}"
        self.store = Store(self.endpoint_url, {})
        for name, body in (objects or {}).items():
            bucket, _, key = name.partition("/")
            self.store.put(bucket, key, make_object(body) if isinstance(body, bytes) else body)
        for bucket in buckets:
            self.store.add_bucket(bucket)
        self.credentials = credentials
        self.protocol_errors: list[str] = []
        self._plan = FaultPlan(faults)
        self._tls = tls
        self._host_suffixes = host_suffixes
        self._requests: list[Request] = []
        self._parts: dict[tuple[str, str, str], dict[tuple[object, ...], _Part]] = {}
        self._in_flight: Counter[str] = Counter()
        self._max_in_flight: Counter[str] = Counter()
        self._crashes: list[Exception] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="faultserver", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._started = threading.Event()

    def __enter__(self) -> Self:
        """Start listening."""
        self._thread.start()
        self._started.wait(_STOP_DEADLINE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection and the thread; raise what went wrong inside the server."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_DEADLINE_S)
        if self._thread.is_alive():
            raise AssertionError(f"the fault server did not stop within {_STOP_DEADLINE_S} s")
        if self._crashes and error is None:
            raise self._crashes[0]

    @property
    def requests(self) -> tuple[Request, ...]:
        """Everything that was asked, in order of arrival."""
        return tuple(self._requests)

    def requests_for(self, operation: str, key: str | None = None) -> list[Request]:
        """Return the requests of one operation, perhaps for one key, in order of arrival."""
        return [one for one in self.requests if one.operation == operation and key in (None, one.key)]

    @property
    def max_in_flight(self) -> int:
        """The most requests that were being answered at one instant."""
        return self._max_in_flight[""]

    def max_in_flight_of(self, operation: str) -> int:
        """Return the most requests of one operation that were being answered at one instant."""
        return self._max_in_flight[operation]

    def add_fault(self, fault: Fault) -> None:
        """Append a fault to the plan while the server runs."""
        self._plan.add(fault)

    def fired(self, fault: Fault) -> int:
        """Return how often a fault of this plan has fired."""
        return self._plan.fired(fault)

    def assert_all_fired(self) -> None:
        """Pass if every fault of the plan has hit something.

        Raises:
            AssertionError: names those that never fired, and what had arrived.
        """
        idle = self._plan.never_fired()
        if idle:
            seen = Counter(one.operation for one in self.requests)
            raise AssertionError(f"never fired: {idle}; requests: {dict(seen)}")

    def wait_for(self, condition: Callable[[FaultServer], bool], *, timeout_s: float = 10.0) -> None:
        """Return when ``condition(server)`` holds.

        Raises:
            AssertionError: it did not hold within ``timeout_s``.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not condition(self):
                if time.monotonic() > deadline_s:
                    raise AssertionError(f"not within {timeout_s} s; requests: {self.requests}")
                self._changed.wait(_POLL_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - raised again in the test's thread, by __exit__
            self._crashes.append(error)
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket.setblocking(False)
        tasks: set[asyncio.Task[None]] = set()
        accepting = asyncio.create_task(self._accept(tasks))
        self._started.set()
        await self._stop.wait()
        for task in (accepting, *tasks):
            task.cancel()
        ends = await asyncio.gather(accepting, *tasks, return_exceptions=True)
        self._crashes += [end for end in ends if isinstance(end, Exception)]
        self._socket.close()

    async def _accept(self, tasks: set[asyncio.Task[None]]) -> None:
        for connection_id in itertools.count():
            sock, _ = await asyncio.get_running_loop().sock_accept(self._socket)
            task = asyncio.create_task(self._converse(connection_id, Connection(sock, self._tls)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _converse(self, connection_id: int, connection: Connection) -> None:
        """Answer one connection's requests until one side has enough."""
        try:
            await connection.open()
            try:
                while (http := await connection.read_request()) is not None:
                    call = parse_call(http, self._host_suffixes)
                    request, exchange = self._record(connection_id, call)
                    try:
                        kept = await self._answer(call, exchange, Sender(connection, request))
                    finally:
                        self._finish(request)
                    if not kept:
                        return
            except (ProtocolError, S3Error) as error:
                self.protocol_errors.append(str(error))
                reply = error_reply(400, "InvalidRequest", str(error), "", {"Connection": "close"})
                await connection.write(head_bytes(reply) + bytes(reply.content.read(0, reply.end)))
        except (ConnectionError, ssl.SSLError):
            return  # The client has gone; what it got is in the records.
        except Exception as error:  # noqa: BLE001 - raised again in the test's thread, by __exit__
            self._crashes.append(error)
        finally:
            connection.close()

    async def _answer(self, call: Call, exchange: Exchange, sender: Sender) -> bool:
        """Send the reply, as the faults will have it; tell whether the connection goes on."""
        selection = self._plan.select(exchange)
        reply = selection.before() or self._refusal(call) or perform(call, self.store)
        request = exchange.request
        stamp = (("x-amz-request-id", f"REQ{request.index:013d}"), ("x-amz-id-2", "faultserver"))
        dated = () if reply.header("Date") else (("Date", formatdate(usegmt=True)),)
        reply = Reply(reply.status, (*stamp, *dated, ("Server", "faultserver"), *reply.headers),
                      reply.content, reply.start, reply.end)  # fmt: skip
        reply = selection.reshape(reply)
        request.status = reply.status
        delivery = selection.deliver(reply)
        self._tell()
        bodiless = call.http.method == "HEAD" or reply.status in (204, 304)
        return await sender.send(reply, delivery, bodiless=bodiless) and call.http.keep_alive

    def _refusal(self, call: Call) -> Reply | None:
        if self.credentials is None:
            return None
        try:
            self.credentials.check(call.http)
        except S3Error as error:
            return error_reply(ERROR_STATUS[error.code], error.code, error.message, call.key, error.headers)
        return None

    def _record(self, connection_id: int, call: Call) -> tuple[Request, Exchange]:
        stored = self.store.get(call.bucket, call.key)
        size = None if stored is None else stored.size_bytes
        asked = call.requested_range(size)
        span = asked or (0, size)
        if stored is not None and call.part_number is not None:
            span = stored.part_range(call.part_number) or span
        known = self._parts.setdefault((call.operation, call.bucket, call.key), {})
        address = (span[1], call.part_number, call.query.get("continuation-token"))
        part = known.setdefault(address, _Part(len(known) + 1, span[0]))
        part.attempts += 1
        request = Request(
            index=len(self._requests),
            operation=call.operation,
            bucket=call.bucket,
            key=call.key,
            range=None if asked is None or asked[1] is None else (asked[0], asked[1]),
            part_number=call.part_number,
            part=part.index,
            attempt=part.attempts,
            headers=dict(call.http.headers),
            query=dict(call.query),
            connection_id=connection_id,
            arrived_s=time.monotonic(),
        )
        self._requests.append(request)
        for name in ("", call.operation):
            self._in_flight[name] += 1
            self._max_in_flight[name] = max(self._max_in_flight[name], self._in_flight[name])
        self._tell()
        return request, Exchange(request, part.start, self.store)

    def _finish(self, request: Request) -> None:
        request.finished_s = time.monotonic()
        for name in ("", request.operation):
            self._in_flight[name] -= 1
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
