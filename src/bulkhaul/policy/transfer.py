"""Decides which worker gets which part, and when a transfer is whole or has failed: the transfer state machine.

    TransferAdded ─▶ ACTIVE ──all parts done──▶ VERIFYING ──TransferClosed──▶ (gone)
                       │  ▲                        │
             fatal     │  └──── PartsRejected ─────┘
             failure   ▼
                    FAILING ──last lease let go, or its worker reaped──▶ Fail

An event and the present instant go in, instructions come out. No clock is read here, so that a test can script time.

A part has one owner at a time: its lease ends only by PartDone, PartFailed or WorkerLost, never by a deadline. A
deadline only leads to Revoke, and a Revoke that is not answered to Kill. The download of an object that has changed
begins anew as another transfer; the coordinator decides that.
"""

from __future__ import annotations

import heapq
from collections import deque
from enum import Enum

import msgspec

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.limits import MIB
from bulkhaul.model.settings import Timeouts
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
from bulkhaul.policy.layout import Layout, Part
from bulkhaul.policy.outage import Outage
from bulkhaul.policy.pacing import Randomness, RetryBudget, Throttling, Window
from bulkhaul.policy.parttable import new_part_table
from bulkhaul.policy.patience import Host, Patience

SMALL_PART_BYTES = MIB
"""Parts up to this size are queued at a worker ahead of its connections, to hide the hop to the coordinator."""

SMALL_PART_DEPTH = 8
"""Small parts queued at a worker, as a multiple of its connections. Source: bench/results, small objects."""

PROGRESS_BYTES = MIB
"""An attempt that brought this much (or a quarter of the part) was no failure: the path works, slowly or rudely."""


class Phase(Enum):
    """Where a transfer is; docs/architecture.md defines each."""

    ACTIVE = "active"
    VERIFYING = "verifying"
    FAILING = "failing"


class Lease(msgspec.Struct):
    """One part given to one worker. ``deadline_s`` moves with progress."""

    transfer: int
    index: int
    worker: int
    start: int
    end: int
    reached_bytes: int
    deadline_s: float
    generation: int
    revoked: bool = False


class Worker(msgspec.Struct):
    """A worker as the machine sees it: started, ready (``connections`` > 0), or doomed."""

    connections: int
    silent_deadline_s: float
    doomed: bool = False
    leases: dict[int, None] = msgspec.field(default_factory=dict)  # in order of assignment


class Transfer:
    """The parts of one object and how far they are.

    Attributes:
        moved_bytes: bytes that are in place, each counted once.
    """

    def __init__(self, layout: Layout, lease_s: float, *, sends: bool) -> None:
        self.layout = layout
        self.lease_s = lease_s
        self.sends = sends
        self.moved_bytes = 0  # in place, or reported by leases that still run
        self.table = new_part_table(len(layout))
        self.phase = Phase.ACTIVE
        self.next_index = 0
        self.done = 0
        self.leases = 0
        self.retries = 0
        self.rejected = False
        self.patience: dict[int, Patience] = {}  # by part index, of parts that have failed
        self.error: ErrorInfo | None = None

    def patience_with(self, index: int) -> Patience:
        """Return the failures of a part so far."""
        return self.patience.setdefault(index, Patience())


class TransferMachine:
    """Hands parts to workers until every transfer is whole or has failed.

    Attributes:
        window: how many leases the host may hold.
        outage: whether the endpoint is away; requests that are no parts report to it as well.
        received_bytes: bytes of all transfers that are in place, each counted once.
        late_events: replies about leases that had ended already; they change nothing.
    """

    def __init__(
        self,
        *,
        workers: int,
        max_in_flight: int,
        timeouts: Timeouts,
        rng: Randomness,
        respawns: int | None = None,
        retry_for_s: float = 60.0,
    ) -> None:
        self.outage = Outage(retry_for_s, rng)
        self.window = Window(max_in_flight * SMALL_PART_DEPTH)
        self.budget = RetryBudget()
        self._throttling = Throttling(self.window, timeouts.throttle_s, rng)
        self._host = Host(self.outage, self._throttling, self.budget, max_in_flight, rng)
        self.received_bytes = 0
        self.late_events = 0
        self.generation = 0
        self._max_in_flight = max_in_flight
        self._wanted = workers
        self._starting = 0
        self._max_respawns = self._respawns = max(4, 2 * workers) if respawns is None else respawns
        self._timeouts = timeouts
        self._workers: dict[int, Worker] = {}
        self._transfers: dict[int, Transfer] = {}
        self._leases: dict[int, Lease] = {}
        self._queue: deque[int] = deque()  # transfers with parts that were never leased
        self._retries: list[tuple[float, int, int]] = []  # heap of (not before, transfer, index)
        self._next_lease = 1
        self._assigned_s = float("-inf")
        self._refreshing = False
        self._last_death = ""

    def retire(self) -> None:
        """Start no more workers: the engine stops."""
        self._wanted = 0

    # What others may look at

    def transfer(self, transfer: int) -> Transfer:
        """Return a transfer that has not ended."""
        return self._transfers[transfer]

    def holds(self, transfer: int) -> bool:
        """Whether the transfer has not ended."""
        return transfer in self._transfers

    def transfers_of(self, worker: int) -> set[int]:
        """Return the transfers that the worker holds a lease of."""
        return (
            {self._leases[lease].transfer for lease in self._workers[worker].leases}
            if worker in self._workers
            else set()
        )

    def transfer_of_lease(self, lease: int, worker: int) -> int | None:
        """Return the transfer of a lease that the worker holds, None if it does not."""
        held = self._leases.get(lease)
        return held.transfer if held is not None and held.worker == worker else None

    def next_wake_s(self) -> float:
        """Return the instant at which the next part that waits for a time may be leased; infinite without one."""
        if self._refreshing or not (self._retries or self._queue):
            return float("inf")
        due_s = self._retries[0][0] if self._retries else float("inf")
        if (calm_until_s := self._throttling.calm_until_s) > self._assigned_s:
            due_s = calm_until_s if self._queue else max(due_s, calm_until_s)
        if self.outage.away:
            due_s = self.outage.next_try_s if self._queue else max(due_s, self.outage.next_try_s)
        # A due part that found no free worker is tried again on the next event, so it needs no timer.
        return due_s if due_s > self._assigned_s else float("inf")

    @property
    def alive(self) -> bool:
        """Whether any worker runs or is starting; if not, nothing will be done any more."""
        return bool(self._workers) or self._starting > 0

    @property
    def in_flight(self) -> int:
        """Leases held by workers."""
        return len(self._leases)

    # Requests that are no parts

    def admit_request(self, now_s: float) -> float:
        """Return how long a request to the service has to wait; 0 if it goes out now, which is taken note of."""
        until_s = self._throttling.calm_until_s
        if not self.outage.admits(now_s):
            until_s = max(until_s, self.outage.next_try_s)
        if now_s < until_s:
            return until_s - now_s
        self.outage.sent(now_s)
        return 0.0

    def request_answered(self) -> None:
        """The service did what a request asked for."""
        self.budget.give_back()
        self.outage.answered()
        self._throttling.success()

    def request_failed(self, patience: Patience, error: ErrorInfo, now_s: float, *, requests: int) -> float | ErrorInfo:
        """Return how many seconds a request waits before its next try, or the error that it ends with.

        Args:
            requests: requests under way, this one included.
        """
        return patience.failed(error, now_s, self._host, in_flight=len(self._leases) + requests)

    # Events

    def start(self) -> list[Instruction]:
        """Return the instructions that bring the first workers up."""
        self._starting = self._wanted
        return [Spawn() for _ in range(self._wanted)]

    def handle(self, event: Event, *, now_s: float) -> list[Instruction]:
        """Take one event and return what is to be done, in order."""
        out: list[Instruction] = []
        match event:
            case PartDone():
                self._part_done(event, out)
            case PartFailed():
                self._part_failed(event, now_s, out)
            case Heard():
                self._heard(event, now_s)
                return out
            case TransferAdded():
                self._added(event, out)
            case WorkerReady():
                self._starting = max(0, self._starting - 1)
                self._workers[event.worker] = Worker(event.connections, now_s + self._timeouts.heartbeat_s)
            case WorkerLost():
                self._worker_lost(event, now_s, out)
            case PartsRejected():
                self._parts_rejected(event, out)
            case TransferClosed():
                closed = self._transfers.pop(event.transfer, None)
                if closed is not None and not event.kept:
                    self.received_bytes -= closed.moved_bytes
            case TransferAborted():
                if event.transfer in self._transfers:
                    self._fail(event.transfer, event.error, now_s, out)
            case CredentialsReplaced():
                self.generation = max(self.generation, event.generation)
                self._refreshing = False
            case Tick():
                self._expire(now_s, out)
        self._assign(now_s, out)
        return out

    def forgive_pause(self, pause_s: float) -> None:
        """Move every deadline by a pause of this process (stopped, suspended): it was late, not the others."""
        for worker in self._workers.values():
            worker.silent_deadline_s += pause_s
        for lease in self._leases.values():
            lease.deadline_s += pause_s

    def _added(self, event: TransferAdded, out: list[Instruction]) -> None:
        lease_s = event.lease_s or self._timeouts.lease_s
        self._transfers[event.transfer] = transfer = Transfer(event.layout, lease_s, sends=event.sends)
        if len(event.layout):
            self._queue.append(event.transfer)
        else:
            transfer.phase = Phase.VERIFYING
            out.append(Verify(event.transfer))
        if not self._workers and not self._starting:
            self._revive(out)

    def _heard(self, event: Heard, now_s: float) -> None:
        if (worker := self._workers.get(event.worker)) is None:
            return
        worker.silent_deadline_s = now_s + self._timeouts.heartbeat_s
        for lease_id, reached in event.reached:
            lease = self._leases.get(lease_id)
            if lease and lease.worker == event.worker and lease.reached_bytes < reached <= lease.end - lease.start:
                transfer = self._transfers[lease.transfer]
                if not transfer.sends:
                    self.outage.answered()
                self._move(lease, reached - lease.reached_bytes)
                lease.reached_bytes = reached
                if not lease.revoked:
                    lease.deadline_s = now_s + transfer.lease_s

    def _part_done(self, event: PartDone, out: list[Instruction]) -> None:
        held = self._leases.get(event.lease)
        if held and held.worker == event.worker and event.received_bytes != held.end - held.start:
            # It may still be writing: the lease stays with it until it is reaped.
            self._kill(event.worker, "it reported another length than it was given", out)
            return
        lease = self._release(event.worker, event.lease)
        if lease is None:
            return
        transfer = self._transfers[lease.transfer]
        self._count(lease, event.received_bytes)
        row = transfer.table[lease.index]
        row["bytes"] = int(row["bytes"]) + event.received_bytes
        row["crc"] = event.crc
        transfer.done += 1
        self._respawns = self._max_respawns  # workers work: the budget is for those that die without doing any
        self.budget.give_back()
        self.window.success()
        self.outage.answered()
        self._throttling.success()
        self._settle(lease.transfer, transfer, out)

    def _part_failed(self, event: PartFailed, now_s: float, out: list[Instruction]) -> None:
        lease = self._release(event.worker, event.lease)
        if lease is None:
            return
        transfer = self._transfers[lease.transfer]
        row = transfer.table[lease.index]
        # A failure after the last byte puts all of them in doubt.
        received = event.received_bytes if event.received_bytes < lease.end - lease.start else 0
        self._count(lease, received)
        if received:
            row["bytes"] = int(row["bytes"]) + received
            row["crc"] = event.crc
        if transfer.phase is Phase.FAILING:
            self._settle(lease.transfer, transfer, out)
            return
        patience = transfer.patience_with(lease.index)
        progress = received >= min(PROGRESS_BYTES, transfer.layout[lease.index].size_bytes // 4 + 1)
        wait = patience.failed(event.error, now_s, self._host, in_flight=len(self._leases) + 1, progress=progress)
        if isinstance(wait, ErrorInfo):
            self._fail(lease.transfer, wait, now_s, out)
            return
        if event.error.code == "ExpiredCredentials" and lease.generation == self.generation and not self._refreshing:
            self._refreshing = True
            out.append(RefreshCredentials(self.generation))
        self._again(lease, now_s, now_s + wait)

    def _worker_lost(self, event: WorkerLost, now_s: float, out: list[Instruction]) -> None:
        worker = self._workers.pop(event.worker, None)
        self._last_death = event.reason
        if event.blameless:
            self._respawns = min(self._max_respawns, self._respawns + 1)  # its successor costs nothing
        if worker is None:  # died before it was ready
            self._starting = max(0, self._starting - 1)
        else:
            self._return_leases(worker, event, now_s, out)
        self._revive(out)

    def _return_leases(self, worker: Worker, event: WorkerLost, now_s: float, out: list[Instruction]) -> None:
        """Give a dead worker's parts back; what it received since each lease began counts as never received."""
        # All of them at once: when one fails its transfer, the others must not be revoked at a dead worker.
        returned = [self._leases.pop(lease_id) for lease_id in worker.leases]
        for position, lease in enumerate(returned):
            self._forget(lease)
            transfer = self._transfers[lease.transfer]
            transfer.leases -= 1
            waited = position >= worker.connections  # for its turn: the worker had not begun with it
            if transfer.phase is Phase.FAILING:
                self._settle(lease.transfer, transfer, out)
            elif waited or event.blameless or transfer.patience_with(lease.index).lost_worker():
                self._again(lease, now_s, now_s)
            else:
                deaths = transfer.patience_with(lease.index).deaths
                text = f"{deaths} workers died while receiving part {lease.index + 1}, the last one by {event.reason}"
                self._fail(lease.transfer, ErrorInfo("WorkerDied", text), now_s, out)

    def _revive(self, out: list[Instruction]) -> None:
        missing = self._wanted - self._starting - sum(not w.doomed for w in self._workers.values())
        while missing > 0 and self._respawns > 0:
            self._respawns -= 1
            self._starting += 1
            missing -= 1
            out.append(Spawn())
        if not self._workers and not self._starting:
            text = f"no worker is left and the budget for new ones is spent; the last one died by {self._last_death}"
            for transfer in list(self._transfers):
                self._fail(transfer, ErrorInfo("WorkerDied", text), 0.0, out)

    def _parts_rejected(self, event: PartsRejected, out: list[Instruction]) -> None:
        transfer = self._transfers[event.transfer]
        if transfer.rejected or transfer.error:
            del self._transfers[event.transfer]
            self.received_bytes -= transfer.moved_bytes
            out.append(Fail(event.transfer, transfer.error or event.error))
            return
        transfer.rejected = True
        transfer.phase = Phase.ACTIVE
        for index in event.indices:
            row = transfer.table[index]
            rejected_bytes = int(row["bytes"])
            self.received_bytes -= rejected_bytes
            transfer.moved_bytes -= rejected_bytes
            row["bytes"], row["crc"] = 0, 0
            transfer.patience.pop(index, None)
            transfer.done -= 1
            transfer.retries += 1
            heapq.heappush(self._retries, (0.0, event.transfer, index))
        if not self.alive:
            self._revive(out)

    # Ends of leases and transfers

    def _release(self, worker: int, lease_id: int) -> Lease | None:
        lease = self._leases.get(lease_id)
        if lease is None or lease.worker != worker:
            self.late_events += 1
            return None
        del self._leases[lease_id]
        del self._workers[worker].leases[lease_id]
        self._transfers[lease.transfer].leases -= 1
        return lease

    def _count(self, lease: Lease, received_bytes: int) -> None:
        self._move(lease, received_bytes - lease.reached_bytes)

    def _forget(self, lease: Lease) -> None:
        self._move(lease, -lease.reached_bytes)

    def _move(self, lease: Lease, count: int) -> None:
        self.received_bytes += count
        self._transfers[lease.transfer].moved_bytes += count

    def _again(self, lease: Lease, now_s: float, not_before_s: float) -> None:
        transfer = self._transfers[lease.transfer]
        transfer.retries += 1
        heapq.heappush(self._retries, (max(now_s, not_before_s), lease.transfer, lease.index))

    def _settle(self, transfer_id: int, transfer: Transfer, out: list[Instruction]) -> None:
        if transfer.leases:
            return
        if transfer.phase is Phase.FAILING:
            assert transfer.error is not None
            del self._transfers[transfer_id]
            self.received_bytes -= transfer.moved_bytes
            out.append(Fail(transfer_id, transfer.error))
        elif transfer.done == len(transfer.layout):
            transfer.phase = Phase.VERIFYING
            out.append(Verify(transfer_id))

    def _fail(self, transfer_id: int, error: ErrorInfo, now_s: float, out: list[Instruction]) -> None:
        transfer = self._transfers[transfer_id]
        if transfer.phase is Phase.VERIFYING:
            transfer.error = transfer.error or error  # it still may be published; it is not fetched again
        elif transfer.phase is Phase.ACTIVE:
            transfer.phase, transfer.error = Phase.FAILING, error
            if transfer.leases:
                for lease_id, lease in self._leases.items():
                    if lease.transfer == transfer_id:
                        self._revoke(lease_id, lease, now_s, out)
            self._settle(transfer_id, transfer, out)

    def _revoke(self, lease_id: int, lease: Lease, now_s: float, out: list[Instruction]) -> None:
        if not lease.revoked:
            lease.revoked = True
            lease.deadline_s = now_s + self._timeouts.release_s
            out.append(Revoke(lease.worker, lease_id))

    def _kill(self, worker_id: int, reason: str, out: list[Instruction]) -> None:
        worker = self._workers[worker_id]
        if not worker.doomed:
            worker.doomed = True
            out.append(Kill(worker_id, reason))

    def _expire(self, now_s: float, out: list[Instruction]) -> None:
        for worker_id, worker in self._workers.items():
            if now_s >= worker.silent_deadline_s:
                self._kill(worker_id, f"silence for {self._timeouts.heartbeat_s:g} s", out)
            for position, lease_id in enumerate(worker.leases):
                lease = self._leases[lease_id]
                if position >= worker.connections and not lease.revoked:
                    # It waits its turn at the worker.
                    lease.deadline_s = now_s + self._transfers[lease.transfer].lease_s
                elif now_s < lease.deadline_s:
                    continue
                elif lease.revoked:
                    self._kill(worker_id, "holding on to a part", out)
                else:
                    self._revoke(lease_id, lease, now_s, out)

    # Leases

    def _assign(self, now_s: float, out: list[Instruction]) -> None:
        self._assigned_s = now_s
        if self._refreshing or now_s < self._throttling.calm_until_s:
            return
        while len(self._leases) < self.window.size and self.outage.admits(now_s):
            found = self._next_part(now_s)
            if found is None:
                return
            transfer_id, index, retried = found
            transfer = self._transfers[transfer_id]
            part = transfer.layout[index]
            worker_id = self._freest(part)
            if worker_id is None:
                return
            if retried:
                heapq.heappop(self._retries)
            else:
                transfer.next_index += 1
                if transfer.next_index == len(transfer.layout):
                    self._queue.popleft()
            self._lease(worker_id, transfer_id, transfer, part, now_s, out)
            self.outage.sent(now_s)

    def _next_part(self, now_s: float) -> tuple[int, int, bool] | None:
        """Return (transfer, index, retried) of the part to lease next: due retries first, then in order."""
        while self._retries and self._retries[0][0] <= now_s:
            _, transfer_id, index = self._retries[0]
            if self._is_active(transfer_id):
                return transfer_id, index, True
            heapq.heappop(self._retries)
        while self._queue:
            transfer_id = self._queue[0]
            if self._is_active(transfer_id):
                return transfer_id, self._transfers[transfer_id].next_index, False
            self._queue.popleft()
        return None

    def _is_active(self, transfer_id: int) -> bool:
        transfer = self._transfers.get(transfer_id)
        return transfer is not None and transfer.phase is Phase.ACTIVE

    def _freest(self, part: Part) -> int | None:
        """Return the worker with the fewest leases that takes one more, None if all are full."""
        depth = SMALL_PART_DEPTH if part.size_bytes <= SMALL_PART_BYTES else 1
        if depth == 1 and len(self._leases) >= self._max_in_flight:
            return None
        best, best_load = None, self._max_in_flight * SMALL_PART_DEPTH
        for worker_id, worker in self._workers.items():
            load = len(worker.leases)
            if not worker.doomed and load < worker.connections * depth and load < best_load:
                best, best_load = worker_id, load
        return best

    def _lease(
        self, worker_id: int, transfer_id: int, transfer: Transfer, part: Part, now_s: float, out: list[Instruction]
    ) -> None:
        index = part.number - 1
        row = transfer.table[index]
        start = part.start + int(row["bytes"])
        row["attempt"] += 1
        lease_id = self._next_lease
        self._next_lease += 1
        self._leases[lease_id] = Lease(
            transfer_id, index, worker_id, start, part.end, 0, now_s + transfer.lease_s, self.generation
        )
        self._workers[worker_id].leases[lease_id] = None
        transfer.leases += 1
        out.append(
            Assign(worker_id, lease_id, transfer_id, index, start, part.end, int(row["crc"]), int(row["attempt"]))
        )
