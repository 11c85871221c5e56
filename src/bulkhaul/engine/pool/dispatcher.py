"""Runs jobs of bytes on the workers: tells the state machine what happens and performs what it instructs.

worker messages, timers ─▶ events ─▶ TransferMachine ─▶ instructions ─▶ frames, signals, futures
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
from collections.abc import Callable

from bulkhaul.engine.loop.callbacks import callback_failed
from bulkhaul.engine.loop.last_resort import LastResort
from bulkhaul.engine.loop.tasks import outlast
from bulkhaul.engine.messages.messages import (
    BatchEnded,
    Done,
    FromWorker,
    PutBatch,
    PutLease,
    Ready,
    Release,
    Report,
    UseConnections,
)
from bulkhaul.engine.messages.records import Told
from bulkhaul.engine.messages.requests import Answer, Early
from bulkhaul.engine.pool import retries
from bulkhaul.engine.pool.arrival import Arrival
from bulkhaul.engine.pool.batch_job import BatchJob, Job
from bulkhaul.engine.pool.ceiling import tell_limit, window_for
from bulkhaul.engine.pool.clock import Clock
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.engine.pool.heard import heard
from bulkhaul.engine.pool.interface import Listener
from bulkhaul.engine.pool.job import GetJob, PutJob, measure
from bulkhaul.engine.pool.outage_notice import OutageNotice
from bulkhaul.engine.pool.outbox import Outbox
from bulkhaul.engine.pool.records import Records
from bulkhaul.engine.pool.startup import Startup
from bulkhaul.engine.pool.supervisor import Supervisor
from bulkhaul.model.errors import Cancelled, ErrorInfo, TransferError, error_of
from bulkhaul.model.settings import Settings
from bulkhaul.policy.endpoints import environment_endpoint
from bulkhaul.policy.events import (
    Assign,
    CredentialsReplaced,
    Event,
    Fail,
    HandOver,
    Instruction,
    Kill,
    PartDone,
    PartFailed,
    PartsRejected,
    RefreshCredentials,
    Resize,
    Retry,
    Revoke,
    Spawn,
    Tick,
    TransferAborted,
    TransferAdded,
    TransferClosed,
    WorkerLost,
    WorkerReady,
)
from bulkhaul.policy.pacing import retries_of
from bulkhaul.policy.parttable import PartTable
from bulkhaul.policy.transfer import TransferMachine
from bulkhaul.wire.values import Credentials

END_S = 5.0
"""How long to wait, at the end, until killed workers are dead. One that hangs in the kernel delays nothing
more: what it may still write goes into a file that is thrown away."""


class Dispatcher:
    """The workers of one engine and what they hold.

    Attributes:
        last_resort: guards callbacks and watches tasks of the engine.
    """

    def __init__(self, settings: Settings, forkserver: ForkserverProcess | None, *, given_keys: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self.machine = TransferMachine(
            workers=settings.worker_count,
            window=window_for(settings, self._loop.time()),
            per_worker=settings.connections,
            timeouts=settings.waits,
            rng=random.Random(),  # noqa: S311 - jitter, no secret
            retry_for_s=settings.retry_for_s,
            retries=retries_of(os.environ) if settings.retries is None else settings.retries,
        )
        self.last_resort = LastResort(self.fail)
        self.last_death = ""
        self._listener: Listener  # from the start on
        self._settings = settings
        guard = self.last_resort.guard
        told = (self._on_message, self._on_lost, guard)
        self._supervisor = Supervisor(forkserver, settings, *told, given_keys=given_keys)
        most = self.machine.window.ceiling
        self._startup = Startup(
            settings, self._supervisor, most, on_configured=self._on_configured, on_usable=self._on_usable
        )
        self._clock = Clock(on_tick=self._tick, on_wake=self._wake, guard=guard)
        self._notice = OutageNotice(settings.endpoint_url or environment_endpoint(os.environ)[0])
        self._outbox = Outbox(send=self._supervisor.send, on_unsent=self._not_sent, guard=guard)
        self._records = Records(self.machine.window)
        self._broken: TransferError | None = None
        self._ending: asyncio.Task[None] | None = None
        self._jobs: dict[int, Job] = {}  # transfer → what it moves
        self._next_transfer = 1

    @property
    def worker_pids(self) -> dict[int, int]:
        """Return worker → pid."""
        return self._supervisor.pids

    def start(self, listener: Listener) -> None:
        """Start the clock; workers start when there is work. ``listener`` is told what they say and become."""
        self._listener = listener
        self.last_resort.begin(self._loop)
        self._clock.start()

    def need(self, count: int) -> None:
        """Have as many workers as this, started or starting, if there may be so many."""
        if self._broken is None:
            self._perform(self.machine.need_workers(count))

    async def stop(self) -> None:
        """End every worker; none is left on return."""
        self._notice.look(self.machine.outage, self._loop.time())  # the endpoint may be back since the last tick
        self.machine.stop_spawning()
        self.fail(Cancelled("the engine was closed"))
        try:
            assert self._ending is not None
            await self._ending
        finally:
            self.last_resort.finish(self._loop)

    def fail(self, error: TransferError) -> None:
        """End everything with an error, at once."""
        if self._broken is None:
            self._broken = error
            self._clock.stop()
            self._listener.fail(error)
            self._ending = self._loop.create_task(self._fail_jobs(error))

    async def _fail_jobs(self, error: TransferError) -> None:
        try:
            await self._supervisor.end(self._settings.waits.shutdown_s, END_S)
        finally:
            for job in self._jobs.values():
                if not job.arrived.done():
                    job.fail(error.info)
            self._jobs.clear()

    def kill_workers(self) -> None:
        """Kill every worker now; transfers end as soon as they are reaped."""
        self._supervisor.kill_all()

    def kill_for_good(self) -> None:
        """Kill every worker now, and start no others in their place."""
        self.machine.stop_spawning()
        self.kill_workers()

    def drop(self) -> None:
        """End every worker without the event loop, which may have ended; what is under way is not told."""
        self.machine.stop_spawning()
        self._supervisor.drop()

    def send(self, worker: int, message: object, descriptors: list[int] | None = None) -> None:
        """Send a message to a worker."""
        self._supervisor.send(worker, message, descriptors)

    def sign_with(self, credentials: Credentials | None) -> None:
        """Give every worker these credentials; the first time, this is what makes workers usable."""
        self._startup.sign_with(credentials)
        self.handle(CredentialsReplaced(credentials.generation if credentials else 0))

    # Jobs

    async def run(self, job: Job) -> None:
        """Have workers move a job's bytes; none of them touches its file any more when this returns or raises.

        Raises:
            UsageError: it holds what no worker could read.
            TransferError: the bytes could not be moved, or the engine has ended.
        """
        async with self.arrival(job):
            pass

    def arrival(self, job: Job) -> Arrival:
        """Like ``run``, but the bytes count as moved only if the block, in which they can be verified, succeeds."""
        return Arrival(self, job)

    def end(self, job: Job, *, kept: bool) -> None:
        """Forget a job; ``kept`` if its bytes count as moved."""
        self._jobs.pop(job.transfer, None)
        self.handle(TransferClosed(job.transfer, kept, job.lost_bytes if isinstance(job, BatchJob) else 0))

    async def fetch_again(self, job: Job, indices: tuple[int, ...], error: ErrorInfo) -> PartTable:
        """Fetch parts once more that have arrived and are wrong.

        Raises:
            TransferError: the parts could not be fetched, or have been fetched twice already.
        """
        if self._broken is not None:
            raise error_of(self._broken.info)
        job.arrived = self._loop.create_future()
        self.handle(PartsRejected(job.transfer, indices, error))
        return await self.arrived(job)

    def begin(self, job: Job) -> None:
        """Have a job's bytes moved."""
        if self._broken is not None:
            raise error_of(self._broken.info)
        measure(job, job.template)
        tell_limit(self._settings)
        job.transfer, self._next_transfer = self._next_transfer, self._next_transfer + 1
        self._jobs[job.transfer] = job
        timeouts = self._settings.waits
        # A worker notices by itself when nothing moves; a store may take its time to confirm what it has got.
        sends = isinstance(job.template, PutLease | PutBatch)
        lease_s = timeouts.lease_s + timeouts.ack_s if sends else timeouts.lease_s
        self.handle(TransferAdded(job.transfer, job.layout, lease_s, sends, job.requests, job.kept))

    async def arrived(self, job: Job) -> PartTable:
        """Wait until all parts are there. When cancelled, wait until no worker touches the file any more, then go on.

        Raises:
            TransferError: they could not be moved; no worker touches the file any more.
        """
        try:
            return await asyncio.shield(job.arrived)
        except asyncio.CancelledError:
            if not job.arrived.done():
                self._abort(job, ErrorInfo("Cancelled", "the transfer was cancelled"))
                with contextlib.suppress(asyncio.CancelledError):  # raised below
                    await outlast(job.arrived)
            if not job.arrived.cancelled():
                job.arrived.exception()  # retrieved, or asyncio would log a failure that the cancellation hides
            raise

    def _abort(self, job: Job, error: ErrorInfo) -> None:
        """Make a job fail; its future tells when no worker holds its file any more."""
        if isinstance(job, BatchJob):
            job.abandoned = True
        self.handle(TransferAborted(job.transfer, error))

    # Events and instructions

    def handle(self, event: Event) -> None:
        """Give the machine an event and perform what it says."""
        if self._broken is None:
            self._perform(self.machine.handle(event, now_s=self._loop.time()))

    def _perform(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Assign():
                    job = self._jobs[instruction.transfer]
                    self._outbox.put(instruction.worker, job.lease(instruction), job)
                case HandOver():
                    self._moved(instruction.transfer)
                case Fail():
                    self._failed(instruction.transfer, instruction.error)
                case Resize(worker, connections, often):
                    self._supervisor.tell(worker, UseConnections(connections, often))
                case Retry(transfer, index, error, wait_s):
                    attempt = int(self.machine.transfer(transfer).table[index]["attempt"])
                    retries.tell_of_part(self._jobs[transfer], index, error, attempt, wait_s)
                case Revoke():
                    self._supervisor.tell(instruction.worker, Release(instruction.lease))
                case Kill():
                    self._supervisor.kill(instruction.worker, instruction.reason)
                case Spawn():
                    self._startup.started(self._supervisor.spawn(), self._loop.time())
                case RefreshCredentials():
                    self._listener.credentials_expired(instruction.generation)
        self._clock.wake_at(self.machine.next_wake_s())

    def _not_sent(self, worker: int, lease: int, error: ErrorInfo) -> None:
        self.handle(PartFailed(worker, lease, 0, 0, error))

    def _moved(self, transfer: int) -> None:
        job = self._jobs[transfer]
        known = self.machine.transfer(transfer)
        job.retries = known.retries
        if not job.arrived.done():
            job.arrived.set_result(known.table)

    def _failed(self, transfer: int, error: ErrorInfo) -> None:
        job = self._jobs.pop(transfer)
        if not job.arrived.done():
            job.fail(error)

    # Workers

    def _on_message(self, worker: int, message: FromWorker) -> None:
        match message:
            case Report():
                self._report(worker, message)
            case BatchEnded():
                self._batch_ended(worker, message)
            case Answer() | Early():
                self._listener.answered(message)
            case Told():
                self._records.emit(worker, message)
            case Ready():
                self._startup.ready(worker)
                self._records.begin(functools.partial(self._supervisor.tell, worker))

    def _on_configured(self, worker: int) -> None:
        self._listener.worker_changed(worker, "configured")

    def _on_usable(self, worker: int) -> None:
        self.handle(WorkerReady(worker))
        self._listener.worker_changed(worker, "usable")

    def _report(self, worker: int, report: Report) -> None:
        touched = {self.machine.transfer_of_lease(lease, worker) for lease, _ in report.reached}
        self.handle(heard(worker, report))
        for done in report.done:
            touched.add(self._done(worker, done))
        for failed in report.failed:
            touched.add(self.machine.transfer_of_lease(failed.lease, worker))
            self.handle(PartFailed(worker, failed.lease, failed.received_bytes, failed.crc, failed.error))
        for transfer in touched:
            job = self._jobs.get(transfer) if transfer is not None else None
            if job is not None and job.on_moved is not None and self.machine.holds(job.transfer):
                self._tell(job, job.on_moved)

    def _tell(self, job: Job, on_moved: Callable[[int], None]) -> None:
        try:
            on_moved(self.machine.transfer(job.transfer).moved_bytes)
        except BaseException as error:  # noqa: BLE001 - the caller's own code; it fails its transfer and nothing else
            job.on_moved = None
            job.raised = error
            self._abort(job, callback_failed(error).info)

    def _done(self, worker: int, done: Done) -> int | None:
        transfer = self.machine.transfer_of_lease(done.lease, worker)
        job = self._jobs.get(transfer) if transfer is not None else None  # None: it has failed and waits for its leases
        if isinstance(job, GetJob):
            job.done(done)
        elif isinstance(job, PutJob) and done.stored is not None:
            job.stored = done.stored
        self.handle(PartDone(worker, done.lease, done.received_bytes, done.crc))
        return transfer

    def _batch_ended(self, worker: int, ended: BatchEnded) -> None:
        transfer = self.machine.transfer_of_lease(ended.lease, worker)
        job = self._jobs.get(transfer) if transfer is not None else None
        if not isinstance(job, BatchJob):
            self._supervisor.kill(worker, "reporting a batch that it does not hold")
            return
        try:
            event = job.ended(worker, ended)
        except ValueError as error:
            self._supervisor.kill(worker, f"a bad message: {error}")
            return
        if event is not None:
            self.handle(event)

    def _on_lost(self, worker: int, how: str, blameless: bool) -> None:
        self.last_death = how
        self._startup.lost(worker)
        for transfer in self.machine.transfers_of(worker):
            job = self._jobs.get(transfer)
            if job is not None and (damage := job.damage()) is not None:
                self._abort(job, damage)  # another worker would die of it too
        self.handle(WorkerLost(worker, how, blameless))
        self._listener.worker_changed(worker, "orphaned" if blameless else "lost")

    # Time

    def _tick(self, pause_s: float) -> None:
        now_s = self._loop.time()
        if pause_s:
            self.machine.forgive_pause(pause_s)
        self._startup.expire(now_s, pause_s)
        self.handle(Tick())
        self._notice.look(self.machine.outage, now_s)
        self._records.look(self._supervisor.tell_all)

    def _wake(self) -> None:
        self.handle(Tick())
