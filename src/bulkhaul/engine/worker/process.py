"""A worker process: takes leases and requests from the coordinator, carries them out, and reports.

    channel ─▶ Leases ─▶ lanes.py, one a connection ─▶ get.py, put.py, batches.py
            ─▶ Ask ─▶ control.py ─▶ lane_answers.py on the loop, or sdk_answers.py in threads
            ◀─ Report (with each heartbeat, and as soon as leases end), BatchEnded, Answer

It gets descriptors, never paths, and decides nothing. It can be killed at any time: whatever it has not reported
counts as not done.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import socket
import threading
import traceback
from collections.abc import Coroutine
from typing import Any

import msgspec
import uvloop

from bulkhaul import __version__
from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.loop.threads import no_thread, unforeseen
from bulkhaul.engine.messages.channel import Channel, close_all
from bulkhaul.engine.messages.load_run import LoadRun, LoadRunEnded
from bulkhaul.engine.messages.messages import (
    EXIT_SHORTAGE,
    AnyBatch,
    AnyLease,
    BatchEnded,
    Configure,
    Done,
    Failed,
    GetLease,
    Leases,
    Load,
    PutLease,
    Ready,
    Release,
    Report,
    ToWorker,
    UseConnections,
    UseCredentials,
)
from bulkhaul.engine.messages.records import TellRequests
from bulkhaul.engine.messages.requests import Ask, Early, Read
from bulkhaul.engine.worker.batch_run import BatchRun
from bulkhaul.engine.worker.batches import Batches
from bulkhaul.engine.worker.control import Control
from bulkhaul.engine.worker.frames import tell_answer, tell_batch, tell_ended, tell_error, tell_reached
from bulkhaul.engine.worker.get import Fetcher
from bulkhaul.engine.worker.heartbeat import Heartbeat
from bulkhaul.engine.worker.lanes import Lanes
from bulkhaul.engine.worker.put import Sender
from bulkhaul.engine.worker.record_sender import RecordSender
from bulkhaul.engine.worker.sdk_on_demand import SdkOnDemand, TransportOnDemand
from bulkhaul.engine.worker.setup import Setup
from bulkhaul.engine.worker.transports import Transports
from bulkhaul.model.errors import ErrorInfo, TransferError, Unsupported
from bulkhaul.wire.fast_transport import FastTransport
from bulkhaul.wire.first_bytes import FirstBytes
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.request_log import ATTEMPT, RequestLog
from bulkhaul.wire.throttle import Throttle
from bulkhaul.wire.values import Target, object_headers

Work = tuple[GetLease | PutLease, int] | BatchRun
"""What a lane does: a lease with the descriptor of its file, or rows of a batch."""


class Worker:
    """Carries out the leases and requests of one worker, side by side."""

    def __init__(self, sock: socket.socket, setup: Setup) -> None:
        self._channel: Channel[ToWorker] = Channel(
            sock, ToWorker, on_message=self._on_message, on_closed=self._on_closed
        )
        self._stopped = asyncio.Event()
        self._setup = setup
        self._transports: Transports | None = None
        self._lane: Lane | None = None
        self._fast: FastTransport | None = None
        self._fetcher: Fetcher | None = None
        self._sender: Sender | None = None
        self._batches: Batches | None = None
        self._lanes: Lanes[Work] = Lanes(self._serve, self._start, shared=_batch)
        self._heartbeat = Heartbeat(self._tell, lambda: self._lanes.busy)
        self._first_bytes = FirstBytes()
        self._log = RequestLog()
        self._records = RecordSender(self._log, self._channel.send, lambda: self._channel.behind)
        self._released: set[int] = set()
        self._active: dict[int, asyncio.Task[Done | Failed]] = {}
        self._done: list[Done] = []
        self._failed: list[Failed] = []
        self._flushing = False
        self._control: Control | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the channel is closed."""
        self._channel.send(Ready(os.getpid()))
        self._heartbeat.start()
        await self._stopped.wait()
        self._channel.close()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the process if a task has failed: that is a defect, and another worker gets the parts."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            traceback.print_exception(error)
            os._exit(EXIT_DEFECT)

    def _on_closed(self, _reason: str) -> None:
        self._stopped.set()

    def _on_message(self, message: ToWorker, descriptors: list[int]) -> None:
        match message:
            case Leases():
                for lease, fd in zip(message.leases, descriptors, strict=False):
                    self._take(lease, fd)
                for lease in message.leases[len(descriptors) :]:  # this process may open no more files
                    self._refuse(lease, local_error(OSError(errno.EMFILE, "")).info)
                self._heartbeat.work_came()
            case Release():
                self._release(message.lease)
            case Ask():
                self._start(self._answer(message, descriptors))
            case UseCredentials():
                if self._transports is not None:
                    self._transports.use(message.credentials)
                if self._lane is not None:
                    self._lane.use(message.credentials)
            case UseConnections():
                self._lanes.allow(message.connections)
                self._heartbeat.report_often(message.often)
            case Configure():
                self._configure(message.most, message.asking)
            case TellRequests():
                self._records.turn(message.on)

    def _configure(self, most: int, asking: int) -> None:
        setup, settings = self._setup, self._setup.settings
        if (given := setup.settled or setup.sdk) is not None:
            rate = settings.bandwidth_bytes_per_s
            throttle = Throttle(rate, most) if rate else None
            agent = f"bulkhaul/{__version__}"
            sdk = SdkOnDemand(settings, setup.sdk, self._log)
            fast = self._fast = FastTransport(
                settings,
                ca_bundle=given.ca_bundle,
                user_agent=agent,
                throttle=throttle,
                learned=sdk.learned,
                first_bytes=self._first_bytes,
                log=self._log,
            )
            slow = TransportOnDemand(settings, sdk, throttle, most, self._first_bytes)
            self._lane = None if setup.settled is None else Lane(settings, fast, sdk.learned)
            self._control = Control(settings, setup.settled, self._lane, sdk, asking)
            secrets = tuple(value for name, value in object_headers(settings) if "customer-key" in name)
            self._transports = Transports(settings.transport, fast, slow, secrets=secrets)
            self._log.hide = self._transports.hide
            self._fetcher, self._sender = Fetcher(self._transports, sparse=settings.sparse), Sender(self._transports)
            self._batches = Batches(self._transports, self._lanes.crowded)

    # Leases

    def _take(self, lease: AnyLease, fd: int) -> None:
        """Queue a lease for the next free connection."""
        if not isinstance(lease, AnyBatch):
            self._lanes.put((lease, fd))
        elif self._batches is None:
            os.close(fd)
            self._refuse(lease, self._no_client())
        else:
            self._lanes.put(self._batches.begin(lease, fd))

    def _refuse(self, lease: AnyLease, error: ErrorInfo) -> None:
        """Report a lease that was not begun."""
        if isinstance(lease, AnyBatch):
            tell_batch(self._records.send, BatchEnded(lease.lease, error=error))
        else:
            self._ended_with(_refused(lease, error))

    def _no_client(self) -> ErrorInfo:
        return (self._setup.error or TransferError("the worker has no client")).info

    async def _serve(self, work: Work) -> None:
        ATTEMPT.set(1 if isinstance(work, BatchRun) else work[0].attempt)
        if isinstance(work, BatchRun):
            if self._batches is not None and (ended := await self._batches.serve(work)) is not None:
                tell_batch(self._records.send, ended)
                self._flush_soon()
            return
        lease, fd = work
        try:
            outcome = await self._carry_out(lease, fd)
        finally:
            os.close(fd)
        self._ended_with(outcome)

    def _ended_with(self, outcome: Done | Failed) -> None:
        """Report the outcome in the next turn of the loop, with every other that ends in this one."""
        if isinstance(outcome, Done):
            self._done.append(outcome)
        else:
            self._failed.append(outcome)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    async def _carry_out(self, lease: GetLease | PutLease, fd: int) -> Done | Failed:
        if lease.lease in self._released:
            self._released.discard(lease.lease)
            return _refused(lease, ErrorInfo("Cancelled", "the lease was taken back"))
        if self._fetcher is None or self._sender is None:
            return _refused(lease, self._no_client())
        work = self._fetcher.fetch(lease, fd) if isinstance(lease, GetLease) else self._sender.send(lease, fd)
        task = self._active[lease.lease] = asyncio.create_task(work)
        try:
            return await task
        except asyncio.CancelledError:  # taken back before its first step: fetch and send never raise
            return _refused(lease, ErrorInfo("Cancelled", "the lease was taken back"))
        finally:
            del self._active[lease.lease]

    def _release(self, lease: int) -> None:
        """Let go of a lease. One that waits is told of now: its turn may come only after the coordinator's patience."""
        if (task := self._active.get(lease)) is not None:
            task.cancel()
        elif self._batches is not None and (run := self._batches.stop(lease)) is not None:
            self._start(self._serve(run))
        else:
            self._released.add(lease)
            if (work := self._lanes.take_back(lambda one: _lease_of(one) == lease)) is not None:
                self._start(self._serve(work))

    # Reports

    def _flush(self) -> None:
        self._flushing = False
        done, self._done = self._done, []
        failed, self._failed = self._failed, []
        heads, ttfb_sum_s = self._first_bytes.take()
        tell_ended(self._records.send, done, failed, heads=heads, ttfb_sum_s=ttfb_sum_s)

    def _tell(self, load: Load | None) -> None:
        tell_reached(self._channel.send, self._state(load))
        for told in () if self._batches is None else self._batches.so_far():
            tell_batch(self._records.send, told)

    def _state(self, load: Load | None) -> Report:
        heads, ttfb_sum_s = self._first_bytes.take()
        report = Report(heads=heads, ttfb_sum_s=ttfb_sum_s, load=load)
        if self._transports is None or self._fetcher is None or self._sender is None or self._batches is None:
            return report
        self._transports.drop_idle()
        reached = [*self._fetcher.reached(), *self._sender.reached(), *self._batches.reached()]
        return msgspec.structs.replace(report, reached=reached, through=self._batches.through())

    # Requests

    def _cleaned(self, info: ErrorInfo) -> ErrorInfo:
        return info if self._transports is None else self._transports.cleaned(info)

    async def _answer(self, message: Ask, descriptors: list[int]) -> None:
        send = self._records.send
        ATTEMPT.set(message.attempt)
        try:
            value, target = await self._made(message, descriptors[0] if descriptors else -1)
        except TransferError as error:
            tell_error(send, message.ask, self._cleaned(error.info))
        except Exception as error:  # noqa: BLE001 - an unforeseen reply fails its request, not every worker
            info = unforeseen(error, "the service's reply could not be understood")
            tell_error(send, message.ask, self._cleaned(info))
        else:
            tell_answer(send, message.ask, value, target)
        finally:
            close_all(descriptors)

    async def _made(self, message: Ask, memory_fd: int) -> tuple[object, Target | None]:
        """Make a request and return its answer, and where it went."""
        request = message.request
        if self._control is None or self._fetcher is None:
            raise self._setup.error or TransferError("the worker has no client")
        if memory_fd < 0 and request.with_memory:
            raise local_error(OSError(errno.EMFILE, ""))  # this process may open no more files
        if isinstance(request, Read):
            await self._fetcher.read(request, memory_fd)
            return None, None
        if isinstance(request, LoadRun):
            return await self._put_load(request, memory_fd), None

        def tell_early(token: str) -> None:
            self._channel.send(Early(message.ask, token))

        return await self._control.answer(message, memory_fd, tell_early)

    async def _put_load(self, load: LoadRun, spool_fd: int) -> LoadRunEnded:
        """Put a load on the service; what it takes is imported by the few workers that do."""
        if self._fast is None or self._lane is None or not load.target.fast:
            raise Unsupported(
                f"a load needs the fast transport: {load.target.why_not or 'the settings ask for another'}"
            )
        from bulkhaul.engine.worker.load_run import LoadRunner

        try:
            return await LoadRunner(load, spool_fd, self._fast, self._lane, self._cleaned).run()
        except OSError as error:
            raise local_error(error, str(error.filename or "")) from error


def _batch(work: Work) -> BatchRun | None:
    return work if isinstance(work, BatchRun) else None


def _lease_of(work: Work) -> int:
    return work.ended.lease if isinstance(work, BatchRun) else work[0].lease


def _refused(lease: GetLease | PutLease, error: ErrorInfo) -> Failed:
    """Return the failure of a lease that was not begun."""
    return Failed(lease.lease, 0, lease.crc if isinstance(lease, GetLease) else 0, error)


def run_worker(sock: socket.socket, coordinator_pidfd: int, setup: Setup) -> None:
    """Entry of the process, after the fork."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    async def serve() -> None:
        await Worker(sock, setup).run()
        # Nothing is left to save. A usual exit would wait for threads in the middle of an SDK call, and closing the
        # loop would log a complaint about every open connection.
        os._exit(0)

    try:
        threading.Thread(target=_die_with, args=(coordinator_pidfd,), daemon=True).start()
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        runner.get_loop().set_exception_handler(_end_in_the_open)
    except (RuntimeError, OSError) as error:
        if no_thread(error) is None and getattr(error, "errno", 0) not in SHORTAGES:
            raise
        os._exit(EXIT_SHORTAGE)
    with runner:
        runner.run(serve())


def _end_in_the_open(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """End the process if a callback has failed: that is a defect, and another worker gets the parts.

    An error of a task, a future or a connection reaches whoever waits for it, so it is only logged here.
    """
    error = context.get("exception")
    if isinstance(error, BaseException) and not context.keys() & {"task", "future", "transport", "protocol"}:
        traceback.print_exception(error)
        os._exit(EXIT_DEFECT)
    loop.default_exception_handler(context)


EXIT_DEFECT = 70
"""Source: EX_SOFTWARE of sysexits.h."""

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})


def _die_with(coordinator_pidfd: int) -> None:
    """End this process within milliseconds of the coordinator's end, even if the loop hangs."""
    poll = select.poll()
    poll.register(coordinator_pidfd, select.POLLIN)
    poll.poll()
    os._exit(1)
