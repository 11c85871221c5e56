"""Puts a load on a service, in a worker: requests by chance, or as a schedule says, each with its instants recorded.

    closed loop   a lane asks again as soon as its reply has come
    open loop     requests fall due by themselves (Poisson); one for which no lane is free waits, and its latency counts
                  from the instant at which it was due

Nothing is tried again, and no twin is sent: what is measured is the service. What a request is made of, and how its
failures are named, is the same as in transfers.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterator

from bulkhaul.engine.loop.threads import in_thread, unforeseen
from bulkhaul.engine.messages.load_run import SCHEDULED, LoadRun, LoadRunEnded
from bulkhaul.engine.worker.load_bodies import SCRATCH_BYTES, Bodies, Discard
from bulkhaul.engine.worker.load_choice import DELETE, GET, LIST, PUT, STAT, Choice, Chosen
from bulkhaul.engine.worker.load_disk import Disk, Written
from bulkhaul.engine.worker.load_spool import Gauges, Spool
from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.limits import MIB
from bulkhaul.policy.benchmark_keys import table_key
from bulkhaul.policy.object_sizes import class_of, largest
from bulkhaul.wire.fast_transport import FastTransport
from bulkhaul.wire.lane.client import Lane, SdkNeeded
from bulkhaul.wire.lane.list_objects import ask_page
from bulkhaul.wire.transport import TransportError
from bulkhaul.wire.values import GetRequest, PutRequest

PAUSE_S = 0.01
MOST_PAUSE_S = 1.0
"""A lane of a closed loop waits so long after a failure, twice as long after each that follows, up to the second: an
endpoint that refuses everything at once is not to be asked 10,000 times a second."""

METER_S = 0.25

READY_BYTES = 64 * MIB
"""Bodies up to this size are there before a load begins; for a longer one, memory is made when it is first sent."""

Due = tuple[int, Chosen]
"""The instant of the monotonic clock, in ns, at which a request is due, and the request."""


class LoadRunner:
    """One load, from its beginning to its end."""

    def __init__(
        self,
        load: LoadRun,
        spool_fd: int,
        fast: FastTransport,
        lane: Lane,
        hide: Callable[[ErrorInfo], ErrorInfo],
    ) -> None:
        """Take what makes the requests; the descriptor stays the caller's.

        Raises:
            OSError: bodies cannot be written where they are to go.
        """
        self._load = load
        self._fast = fast
        self._lane = lane
        self._schedule = _schedule(spool_fd, load.schedule_bytes)
        self._spool = Spool(spool_fd, hide)
        self._choice = Choice(load)
        self._bodies = Bodies(load.compressible)
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._disk = Disk(load.folder) if load.folder else None
        self._gauges = Gauges(fast.sockets())
        self._chance = random.Random(load.seed + load.worker)  # noqa: S311 - it protects nothing
        self._in_flight = 0
        self._waiting: deque[Due] = deque()
        self._room = asyncio.Event()  # something waits for a lane, or nothing will any more
        self._over = False
        self._never_begun = 0
        self._token = ""
        places = range(load.worker, load.table.objects, load.workers) if load.places is None else load.places
        self._places = iter(places)  # of a load that fills or drains; all lanes take from it

    async def run(self) -> LoadRunEnded:
        """Put the load on the service until it is over.

        Raises:
            OSError: the spool cannot be written, or the files that bodies go to.
        """
        self._fast.send_no_twins()
        try:
            async with asyncio.TaskGroup() as group:
                metering = group.create_task(self._measure())  # where it cannot record, the load ends
                await self._work()
                metering.cancel()
        except BaseExceptionGroup as failed:
            raise _first(failed) from None
        finally:
            if self._disk is not None:
                self._disk.close()
        self._meter()
        return LoadRunEnded(self._choice.puts, tuple(self._choice.gone), self._never_begun)

    async def _work(self) -> None:
        if self._load.weights[PUT] or self._load.work != "mix":
            await in_thread(self._bodies.grow, min(largest(self._load.table.sizes), READY_BYTES))
        await asyncio.sleep(max(0.0, (self._load.begins_ns - time.monotonic_ns()) / 1e9))
        async with asyncio.TaskGroup() as group:
            for number in range(self._load.lanes):
                group.create_task(self._serve(number))
            if self._open:
                group.create_task(self._let_fall_due())

    # What is asked next

    @property
    def _open(self) -> bool:
        work = self._load.work
        return work == "replay" or (work == "mix" and self._load.rate > 0)

    async def _serve(self, lane: int) -> None:
        scratch, disk = self._scratch, self._disk
        sink = Discard(scratch) if disk is None else Written(scratch, disk)
        if self._open:
            while (due := await self._next_due()) is not None:
                await self._make(lane, *due, sink)
            return
        pause_s = 0.0
        for chosen in self._asked():
            if await self._make(lane, 0, chosen, sink):
                pause_s = 0.0
            else:
                pause_s = min(MOST_PAUSE_S, 2 * pause_s or PAUSE_S)
                await asyncio.sleep(pause_s)

    def _asked(self) -> Iterator[Chosen]:
        """Yield the requests of a lane of a closed loop."""
        load = self._load
        if load.work == "mix":
            ends_ns = load.begins_ns + load.duration_ns
            while time.monotonic_ns() < ends_ns:
                yield self._choice.next()
            return
        while (place := next(self._places, None)) is not None:
            yield self._choice.known(PUT if load.work == "fill" else DELETE, place)

    async def _let_fall_due(self) -> None:
        """Hand each request to the lanes when it is due."""
        for due_ns, chosen in self._scheduled() if self._load.work == "replay" else self._by_chance():
            wait_s = (due_ns - time.monotonic_ns()) / 1e9
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self._waiting.append((due_ns, chosen))
            self._room.set()
        if self._load.work == "mix":  # of a schedule every request is made
            self._never_begun = len(self._waiting)
            for _, chosen in self._waiting:
                self._choice.ended(chosen, done=False)
            self._waiting.clear()
        self._over = True
        self._room.set()

    def _by_chance(self) -> Iterator[Due]:
        """Yield requests of a mix, at intervals as independent callers make them (Poisson)."""
        load = self._load
        due_ns, ends_ns = float(load.begins_ns), load.begins_ns + load.duration_ns
        while (due_ns := due_ns + self._chance.expovariate(load.rate) * 1e9) < ends_ns:
            yield round(due_ns), self._choice.next()

    def _scheduled(self) -> Iterator[Due]:
        """Yield the requests of a schedule."""
        for after_ns, place, operation, size_bytes in SCHEDULED.iter_unpack(self._schedule):
            key = table_key(self._load.prefix, self._load.table, place)
            # How long an object is that is read was not recorded, where only a part was.
            chosen = Chosen(operation, place, key, size_bytes if operation == PUT else -1)
            yield self._load.begins_ns + after_ns, chosen

    async def _next_due(self) -> Due | None:
        while not self._waiting:
            if self._over:
                return None
            self._room.clear()
            await self._room.wait()
        return self._waiting.popleft()

    # One request

    async def _make(self, lane: int, due_ns: int, chosen: Chosen, sink: Discard) -> bool:
        """Make a request and record it; return whether it was answered as it should be."""
        load, operation = self._load, chosen.operation
        self._in_flight += 1
        sink.begin()
        if operation == PUT and not self._bodies.has(chosen.size_bytes):
            await in_thread(self._bodies.grow, chosen.size_bytes)
        began_ns = time.monotonic_ns()
        failure = status = 0
        try:
            if operation == GET and isinstance(sink, Written):
                await self._fast.get(self._get(chosen), sink, sink.lent)
                await sink.settled()
            elif operation == GET:
                await self._fast.get(self._get(chosen), sink)
            elif operation == PUT:
                body = self._bodies.body(chosen.place, chosen.size_bytes)
                await self._fast.put(PutRequest(load.target, load.bucket, chosen.key), body, sink.sent)
                sink.moved_bytes = len(body)
            else:
                await self._ask(chosen)
        except (TransportError, TransferError) as error:
            failure, status = self._spool.kind_of(error.info), error.info.status
        except SdkNeeded as error:
            failure = self._spool.kind_of(ErrorInfo("Unsupported", f"the SDK would have to go on: {error}"))
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a reply that nobody foresaw is a failure of its request
            failure = self._spool.kind_of(unforeseen(error, "the service's reply could not be understood"))
        finally:
            self._in_flight -= 1
        ended_ns = time.monotonic_ns()
        self._choice.ended(chosen, done=not failure)
        moved_bytes = sink.moved_bytes
        size_class = class_of(self._length(chosen))
        instants = (due_ns or began_ns, began_ns, sink.turn_ns or ended_ns, ended_ns)
        self._spool.row(operation, failure, status, lane, size_class, chosen.place, moved_bytes, *instants)
        return not failure

    def _length(self, chosen: Chosen) -> int:
        """Return how many bytes a request is to move, whatever becomes of it."""
        if chosen.operation not in (GET, PUT):
            return 0
        return min(chosen.size_bytes, self._load.range_bytes or chosen.size_bytes)

    def _get(self, chosen: Chosen) -> GetRequest:
        load, size, start, end = self._load, chosen.size_bytes, 0, chosen.size_bytes
        whole = not 0 < load.range_bytes < size
        if not whole:
            start = self._chance.randrange(size - load.range_bytes + 1)
            end = start + load.range_bytes
        return GetRequest(load.target, load.bucket, chosen.key, "", start, end, size, whole)

    async def _ask(self, chosen: Chosen) -> None:
        """Make a request that moves no body."""
        load, lane = self._load, self._lane
        if chosen.operation == LIST:
            page = await ask_page(lane, load.target, load.bucket, load.prefix, self._token)
            self._token = page.next_token
            return
        method = "HEAD" if chosen.operation == STAT else "DELETE"
        headers = lane.about_object if chosen.operation == STAT else lane.payer
        subject = f"s3://{load.bucket}/{chosen.key}"
        reply = await lane.ask(load.target, method, chosen.key, (), headers, subject=subject, again=True)
        reply.members()  # an error within a success

    # What the process tells of itself

    async def _measure(self) -> None:
        due_s = time.monotonic()
        while True:
            due_s += METER_S
            await asyncio.sleep(due_s - time.monotonic())
            self._gauges.came_late(time.monotonic() - due_s)
            self._meter()

    def _meter(self) -> None:
        disk_s = 0.0 if self._disk is None else self._disk.spent_s
        state = self._gauges.read(
            in_flight=self._in_flight, waiting=len(self._waiting), disk_s=disk_s, sockets=self._fast.sockets()
        )
        self._spool.meter(state)


def _first(failed: BaseException) -> BaseException:
    """Return the first failure of a group, and of the groups within it."""
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return failed


def _schedule(fd: int, length: int) -> bytes:
    """Return the schedule at the head of a spool; what is recorded goes behind it."""
    schedule = os.pread(fd, length, 0) if length else b""
    if len(schedule) != length:
        raise OSError(errno.EIO, "the schedule is cut off")
    os.lseek(fd, 0, os.SEEK_END)
    return schedule
