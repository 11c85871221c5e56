"""The misbehaving server: a thread with its own event loop, listening on a free port of 127.0.0.1.

It accepts, records, asks for the reply, lets the faults at it, and sends. What a fault does and where replies come
from, it does not know: a class below it says who answers.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from types import TracebackType
from typing import Self

from bulkhaul.testing.faultserver.calls import Call, parse_call
from bulkhaul.testing.faultserver.delivery import Sender
from bulkhaul.testing.faultserver.faults import Exchange, Fault, Request
from bulkhaul.testing.faultserver.http1 import Connection, ProtocolError, Reply, head_bytes
from bulkhaul.testing.faultserver.plan import FaultPlan, Selection
from bulkhaul.testing.faultserver.reception import Receiver
from bulkhaul.testing.faultserver.record import Record, Stored
from bulkhaul.testing.faultserver.replies import S3Error, error_reply

PATIENCE_S = 60.0
"""How long it waits for what must come; a busy machine may be several times slower than an idle one."""


class MisbehavingServer(ABC):
    """A server of S3's protocol that misbehaves on demand.

    Args:
        faults: the plan; more can be added by ``add_fault``, and for a while by ``misbehaving``.
        tls: the server's side of TLS; the endpoint is https then.
        host: what ``endpoint_url`` names; the socket is bound to 127.0.0.1 anyway.
        clock_offset_s: how far the Date of replies is ahead.
        receive_buffer_bytes: of every connection, so that a stall is felt after little data.
        host_suffixes: a Host ``b.<suffix>`` addresses bucket ``b``; others are path-style.
    """

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        host_suffixes: tuple[str, ...] = ("localhost", "127.0.0.1"),
        clock_offset_s: float = 0.0,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        if receive_buffer_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.port: int = self._socket.getsockname()[1]
        self.endpoint_url = f"{'http' if tls is None else 'https'}://{host}:{self.port}"
        self.protocol_errors: list[str] = []
        self._plan = FaultPlan(faults)
        self._tls = tls
        self._host_suffixes = host_suffixes
        self._clock_offset_s = clock_offset_s
        self._record = Record()
        self._crashes: list[Exception] = []
        self._thread = threading.Thread(target=self._run, name="faultserver", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._started = threading.Event()

    def __enter__(self) -> Self:
        """Start listening."""
        self._thread.start()
        self._started.wait(PATIENCE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection and the thread; raise what went wrong inside the server."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            raise AssertionError(f"the fault server did not stop within {PATIENCE_S} s")
        if self._crashes and error is None:
            raise self._crashes[0]

    @abstractmethod
    async def perform(self, call: Call, body: bytes, selection: Selection) -> Reply:
        """Return the reply to a request that is here as a whole, with what the faults put in its place."""

    def find(self, call: Call) -> Stored | None:  # noqa: ARG002 - a class below may know
        """Return what is known of the object that a call names, None if that is nothing."""
        return None

    def exchange(self, request: Request, start: int) -> Exchange:
        """Return what a fault gets to see of a request."""
        return Exchange(request, start)

    @property
    def requests(self) -> tuple[Request, ...]:
        """Everything that was asked, in order of arrival."""
        return self._record.requests

    def requests_for(self, operation: str, key: str | None = None) -> list[Request]:
        """Return the requests of one operation, perhaps for one key, in order of arrival."""
        return [one for one in self.requests if one.operation == operation and key in (None, one.key)]

    @property
    def max_in_flight(self) -> int:
        """The most requests that were being answered at one instant."""
        return self._record.max_in_flight("")

    def max_in_flight_of(self, operation: str) -> int:
        """Return the most requests of one operation that were being answered at one instant."""
        return self._record.max_in_flight(operation)

    def add_fault(self, fault: Fault) -> None:
        """Append a fault to the plan while the server runs."""
        self._plan.add(fault)

    def fired(self, fault: Fault) -> int:
        """Return how often a fault of this plan has fired."""
        return self._plan.fired(fault)

    @contextmanager
    def misbehaving(self, *faults: Fault) -> Iterator[None]:
        """Add faults for the length of a block.

        Raises:
            AssertionError: at the end of the block, one of them has hit nothing: the block has proved nothing.
        """
        for fault in faults:
            self._plan.add(fault)
        try:
            yield
            idle = [fault for fault in faults if not self._plan.fired(fault)]
        finally:
            for fault in faults:
                self._plan.remove(fault)
        self._assert_none(idle)

    def assert_all_fired(self) -> None:
        """Pass if every fault of the plan has hit something.

        Raises:
            AssertionError: names those that never fired, and what had arrived.
        """
        self._assert_none(self._plan.never_fired())

    def _assert_none(self, idle: list[Fault]) -> None:
        if idle:
            seen = Counter(one.operation for one in self.requests)
            raise AssertionError(f"never fired: {idle}; requests: {dict(seen)}")

    def wait_for(self, condition: Callable[[Self], bool], *, timeout_s: float = PATIENCE_S) -> None:
        """Return when ``condition(server)`` holds.

        Raises:
            AssertionError: it did not hold within ``timeout_s``.
        """
        self._record.wait_for(lambda: condition(self), timeout_s=timeout_s)

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
        talks: dict[asyncio.Task[None], Connection] = {}
        self._loop.add_reader(self._socket, self._accept, talks, itertools.count())
        self._started.set()
        await self._stop.wait()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for task in talks:
            task.cancel()
        ends = await asyncio.gather(*talks, return_exceptions=True)
        self._crashes += [end for end in ends if isinstance(end, Exception)]

    def _accept(self, talks: dict[asyncio.Task[None], Connection], ids: Iterator[int]) -> None:
        """Take one connection, and talk on it; it is closed whether or not its task ever got to run."""
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it has gone again
        connection = Connection(sock, self._tls)
        task = asyncio.create_task(self._converse(next(ids), connection))
        talks[task] = connection
        task.add_done_callback(lambda done: talks.pop(done).close())

    async def _converse(self, connection_id: int, connection: Connection) -> None:
        """Answer one connection's requests until one side has enough."""
        try:
            await connection.open()
            try:
                while (http := await connection.read_head()) is not None:
                    call = parse_call(http, self._host_suffixes)
                    request, start = self._record.arrived(call, self.find(call), connection_id)
                    try:
                        kept = await self._answer(call, self.exchange(request, start), connection)
                    finally:
                        self._record.finished(request)
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

    async def _answer(self, call: Call, exchange: Exchange, connection: Connection) -> bool:
        """Receive and reply, as the faults will have it; tell whether the connection goes on."""
        request = exchange.request
        selection = self._plan.select(exchange)
        receiver, reception = Receiver(connection, request, call.http), selection.receive()
        if not await receiver.receive(reception):
            return False
        if reception.held is not None:
            await reception.held()
        reply = reception.early or await self.perform(call, receiver.body, selection)
        stamp = {
            "x-amz-request-id": f"REQ{request.index:013d}",
            "x-amz-id-2": "faultserver",
            "Date": formatdate(time.time() + self._clock_offset_s, usegmt=True),
            "Server": "faultserver",
        }
        missing = ((name, value) for name, value in stamp.items() if reply.header(name) is None)
        reply = replace(reply, headers=(*missing, *reply.headers))
        reply = selection.reshape(reply)
        request.status = reply.status
        delivery = selection.deliver(reply)
        self._record.tell()
        bodiless = call.http.method == "HEAD" or reply.status in (204, 304)
        kept = await Sender(connection, request).send(reply, delivery, bodiless=bodiless)
        if kept and reception.early is not None:
            kept = await receiver.dispose_of_rest(reception)
        return kept and call.http.keep_alive
