"""Performs the state machine's instructions: leases to workers, kills, spawns; it must not know objects or paths.

worker messages, timers ─▶ events ─▶ TransferMachine ─▶ instructions ─▶ frames, signals, futures
"""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Literal

import msgspec

from bulkhaul.engine.protocol import (
    Answer,
    Configure,
    Done,
    Failed,
    FromWorker,
    Lease,
    Leases,
    Ready,
    Release,
    Report,
    Stop,
    UseCredentials,
)
from bulkhaul.engine.supervisor import ForkserverProcess, Supervisor
from bulkhaul.model.errors import ErrorInfo, error_of
from bulkhaul.model.objects import Checksum
from bulkhaul.model.settings import Settings
from bulkhaul.policy.events import (
    Assign,
    CredentialsReplaced,
    Event,
    Fail,
    Heard,
    Instruction,
    Kill,
    PartDone,
    PartFailed,
    PartsRejected,
    RefreshCredentials,
    Revoke,
    Spawn,
    Tick,
    TransferAborted,
    TransferAdded,
    TransferClosed,
    Verify,
    WorkerLost,
    WorkerReady,
)
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.parttable import PartTable
from bulkhaul.policy.transfer import TransferMachine
from bulkhaul.wire.values import Credentials, Target, WireSettings

WorkerNews = Literal["configured", "usable", "lost"]

TICK_S = 0.25
"""How often deadlines are looked at."""

MAX_LEASES = 48
"""Leases of one frame: with keys of 1,024 bytes they still fit."""


class Fetching(msgspec.Struct):
    """One object whose parts are being fetched: what its leases have in common, and where the news go.

    Attributes:
        promised: the checksum that the reply to a whole GET promised.
        arrived: done when all parts are there (or the transfer has failed) and no worker holds it any more.
    """

    layout: Layout
    target: Target
    bucket: str
    key: str
    etag: str
    algorithm: str
    mapped: bool
    fd: int
    arrived: asyncio.Future[PartTable]
    promised: Checksum | None = None
    retries: int = 0
    transfer: int = 0


class Dispatcher:
    """The workers of one engine and what they hold.

    Attributes:
        on_answer: called with every Answer of a worker.
        on_expired: called with the generation of credentials that a service refused as expired.
        on_worker: called with a worker's number and what became of it.
    """

    def __init__(self, settings: Settings, wire: WireSettings, forkserver: ForkserverProcess) -> None:
        self.machine = TransferMachine(
            workers=settings.worker_count,
            max_in_flight=settings.max_in_flight,
            timeouts=settings.timeouts,
            rng=random.Random(),  # noqa: S311 - jitter, no secret
        )
        self.on_answer: Callable[[Answer], None] = _ignore
        self.on_expired: Callable[[int], None] = _ignore
        self.on_worker: Callable[[int, WorkerNews], None] = _ignore
        self.last_death = ""
        self._settings = settings
        self._supervisor = Supervisor(forkserver, wire, on_message=self._on_message, on_lost=self._on_lost)
        self._loop = asyncio.get_running_loop()
        self._starting: dict[int, float] = {}  # worker → instant of its start
        self._connections: dict[int, int] = {}  # worker → connections that it was given
        self._signing: tuple[Credentials | None] | None = None  # what workers were told to sign with, once it is known
        self._waiting_to_sign: list[int] = []
        self._fetching: dict[int, Fetching] = {}
        self._outbox: dict[int, list[tuple[Lease, int]]] = defaultdict(list)
        self._flushing = False
        self._next_transfer = 1
        self._stopped = False
        self._last_tick_s = self._loop.time()
        self._tick_timer: asyncio.TimerHandle | None = None
        self._wake_timer: asyncio.Handle | None = None
        self._wake_s = math.inf

    @property
    def worker_pids(self) -> dict[int, int]:
        """Return worker → pid."""
        return self._supervisor.pids

    def start(self) -> None:
        """Start the workers and the clock."""
        self._perform(self.machine.start())
        self._tick()

    async def stop(self) -> None:
        """Stop every worker: asked first, killed at the deadline; none is left on return."""
        for timer in (self._tick_timer, self._wake_timer):
            if timer is not None:
                timer.cancel()
        self._tick_timer = self._wake_timer = None
        self._stopped = True
        self.machine.retire()
        for number in list(self._connections):
            self._supervisor.send(number, Stop())
        if not await self._supervisor.wait_all_gone(self._settings.timeouts.shutdown_s):
            self.kill_workers()
            await self._supervisor.wait_all_gone(self._settings.timeouts.shutdown_s)
        self._supervisor.close()

    def kill_workers(self) -> None:
        """Kill every worker now; transfers end as soon as they are reaped."""
        self._supervisor.kill_all()

    def ask(self, worker: int, message: object) -> None:
        """Send a message to a worker."""
        self._supervisor.send(worker, message)

    def sign_with(self, credentials: Credentials | None) -> None:
        """Give every worker these credentials; the first time, this is what makes workers usable."""
        self._signing = (credentials,)
        for number in self._connections:
            self._supervisor.send(number, UseCredentials(credentials))
        waiting, self._waiting_to_sign = self._waiting_to_sign, []
        for number in waiting:
            self._usable(number)
        self.handle(CredentialsReplaced(credentials.generation if credentials else 0))

    # Transfers

    def fetch(self, fetching: Fetching) -> None:
        """Begin to fetch an object's parts, as ``fetching.transfer``; ``fetching.arrived`` tells the end."""
        number, self._next_transfer = self._next_transfer, self._next_transfer + 1
        fetching.transfer = number
        self._fetching[number] = fetching
        self.handle(TransferAdded(number, fetching.layout))

    def reject(self, transfer: int, indices: tuple[int, ...], error: ErrorInfo) -> asyncio.Future[PartTable]:
        """Fetch these parts once more and return the future of their arrival."""
        arrived = self._fetching[transfer].arrived = self._loop.create_future()
        self.handle(PartsRejected(transfer, indices, error))
        return arrived

    def abort(self, transfer: int, error: ErrorInfo) -> None:
        """Make a transfer fail; its future tells when no worker holds it any more."""
        self.handle(TransferAborted(transfer, error))

    def close(self, transfer: int, *, kept: bool) -> None:
        """Forget a transfer whose parts had arrived."""
        self._fetching.pop(transfer, None)
        self.handle(TransferClosed(transfer, kept))

    # Events and instructions

    def handle(self, event: Event) -> None:
        """Give the machine an event and perform what it says."""
        self._perform(self.machine.handle(event, now_s=self._loop.time()))

    def _perform(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Assign():
                    fetching = self._fetching[instruction.transfer]
                    self._outbox[instruction.worker].append((_lease(instruction, fetching), fetching.fd))
                case Verify():
                    self._arrived(instruction.transfer)
                case Fail():
                    self._failed(instruction.transfer, instruction.error)
                case Revoke():
                    self._supervisor.send(instruction.worker, Release(instruction.lease))
                case Kill():
                    self._supervisor.kill(instruction.worker, instruction.reason)
                case Spawn():
                    self._starting[self._supervisor.spawn()] = self._loop.time()
                case RefreshCredentials():
                    self.on_expired(instruction.generation)
        if self._outbox and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush_leases)
        self._set_wake_timer()

    def _flush_leases(self) -> None:
        """Send what one turn of the loop has leased: many small objects then share a frame.

        Their descriptors are open still: a transfer ends only when its leases have.
        """
        self._flushing = False
        outbox, self._outbox = self._outbox, defaultdict(list)
        for worker, given in outbox.items():
            for first in range(0, len(given), MAX_LEASES):
                some = given[first : first + MAX_LEASES]
                self._supervisor.send(worker, Leases([lease for lease, _ in some]), [fd for _, fd in some])

    def _arrived(self, transfer: int) -> None:
        fetching = self._fetching[transfer]
        known = self.machine.transfer(transfer)
        fetching.retries = known.retries
        if not fetching.arrived.done():
            fetching.arrived.set_result(known.table)

    def _failed(self, transfer: int, error: ErrorInfo) -> None:
        fetching = self._fetching.pop(transfer)
        if not fetching.arrived.done():
            fetching.arrived.set_exception(error_of(error))

    # Workers

    def _on_message(self, worker: int, message: FromWorker) -> None:
        match message:
            case Report():
                self._report(worker, message)
            case Answer():
                self.on_answer(message)
            case Ready():
                self._configure(worker)

    def _configure(self, worker: int) -> None:
        if self._starting.pop(worker, None) is None:
            return
        free = self._settings.max_in_flight - sum(self._connections.values())
        missing = max(1, self._settings.worker_count - len(self._connections))
        connections = self._connections[worker] = max(1, -(-free // missing))
        self._supervisor.send(worker, Configure(connections))
        if self._signing is None:
            self._waiting_to_sign.append(worker)
            self.on_worker(worker, "configured")
        else:
            self._supervisor.send(worker, UseCredentials(self._signing[0]))
            self._usable(worker)

    def _usable(self, worker: int) -> None:
        self.handle(WorkerReady(worker, self._connections[worker]))
        self.on_worker(worker, "usable")

    def _report(self, worker: int, report: Report) -> None:
        self.handle(Heard(worker, tuple(report.reached)))
        for done in report.done:
            self._done(worker, done)
        for failed in report.failed:
            self._part_failed(worker, failed)

    def _done(self, worker: int, done: Done) -> None:
        transfer = self.machine.transfer_of_lease(done.lease, worker)
        if done.checksum is not None and transfer in self._fetching:  # one that failed has leases for a while
            self._fetching[transfer].promised = done.checksum
        self.handle(PartDone(worker, done.lease, done.received_bytes, done.crc))

    def _part_failed(self, worker: int, failed: Failed) -> None:
        self.handle(PartFailed(worker, failed.lease, failed.received_bytes, failed.crc, failed.error))

    def _on_lost(self, worker: int, how: str) -> None:
        self.last_death = how
        self._starting.pop(worker, None)
        self._connections.pop(worker, None)
        if worker in self._waiting_to_sign:
            self._waiting_to_sign.remove(worker)
        for transfer in self.machine.transfers_of(worker):
            fetching = self._fetching.get(transfer)
            if fetching is not None and (damage := _truncated(fetching)) is not None:
                self.abort(transfer, damage)  # what killed this worker would kill the next one
        self.handle(WorkerLost(worker, how))
        self.on_worker(worker, "lost")

    # Time

    def _tick(self) -> None:
        now_s = self._loop.time()
        late_s = now_s - self._last_tick_s - TICK_S
        if late_s > 4 * TICK_S:
            self.machine.forgive_pause(late_s)
            self._starting = {worker: started_s + late_s for worker, started_s in self._starting.items()}
        self._last_tick_s = now_s
        for worker, started_s in list(self._starting.items()):
            if now_s - started_s > self._settings.timeouts.start_s:
                self._supervisor.kill(worker, "not being ready in time", unborn=True)
        self.handle(Tick())
        self._tick_timer = self._loop.call_later(TICK_S, self._tick)

    def _set_wake_timer(self) -> None:
        if self._stopped:
            return
        wake_s = self.machine.next_wake_s()
        if self._wake_timer is not None and self._wake_s <= max(wake_s, self._loop.time()):
            return
        if self._wake_timer is not None:
            self._wake_timer.cancel()
            self._wake_timer = None
        if wake_s < self._loop.time() + TICK_S:  # the tick does for later ones
            # Its instant is kept here: for one that is due, uvloop returns a handle without any.
            self._wake_timer, self._wake_s = self._loop.call_at(wake_s, self._wake), wake_s

    def _wake(self) -> None:
        self._wake_timer = None
        self.handle(Tick())


def _ignore(*_: object) -> None:
    """Nobody listens yet."""


def _truncated(fetching: Fetching) -> ErrorInfo | None:
    """A mapped file that was cut short by somebody kills whoever touches it with SIGBUS."""
    size_bytes = os.fstat(fetching.fd).st_size
    if not fetching.mapped or size_bytes >= fetching.layout.size_bytes:
        return None
    text = f"the temp file was cut to {size_bytes} bytes by another program during the transfer"
    return ErrorInfo("LocalError", text)


def _lease(assign: Assign, fetching: Fetching) -> Lease:
    layout = fetching.layout
    return Lease(
        lease=assign.lease,
        target=fetching.target,
        bucket=fetching.bucket,
        key=fetching.key,
        etag=fetching.etag,
        start=assign.start,
        end=assign.end,
        size_bytes=layout.size_bytes,
        whole=layout.whole and assign.start == 0,
        mapped=fetching.mapped,
        algorithm=fetching.algorithm,
        crc=assign.crc,
    )
