"""Decides which worker gets which part, and when a transfer is whole or has failed: the transfer state machine.

    TransferAdded ─▶ ACTIVE ──all parts done──▶ VERIFYING ──TransferClosed──▶ (gone)
                       │  ▲                        │
             fatal     │  └──── PartsRejected ─────┘
             failure   ▼
                    FAILING ──last lease let go, or its worker reaped──▶ Fail

An event and the present instant go in, instructions come out. No clock is read here, so that a test can script time.

A part has one owner at a time: its lease ends only by PartDone, PartFailed or WorkerLost, never by a deadline. The
download of an object that has changed begins anew as another transfer; the coordinator decides that.
"""

from __future__ import annotations

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.settings import Timeouts
from bulkhaul.policy.crew import Crew, Lease
from bulkhaul.policy.events import (
    Assign,
    CredentialsReplaced,
    Event,
    Fail,
    HandOver,
    Heard,
    Instruction,
    PartDone,
    PartFailed,
    PartsRejected,
    RefreshCredentials,
    Retry,
    Tick,
    TransferAborted,
    TransferAdded,
    TransferClosed,
    WorkerLost,
    WorkerReady,
)
from bulkhaul.policy.layout import Part
from bulkhaul.policy.outage import Outage
from bulkhaul.policy.pace import Pace
from bulkhaul.policy.pacing import Randomness, RetryBudget, Throttling
from bulkhaul.policy.partqueue import PartQueue, Phase, Transfer
from bulkhaul.policy.patience import Host, Patience
from bulkhaul.policy.window import Window


class TransferMachine:
    """Hands parts to workers until every transfer is whole or has failed.

    Attributes:
        window: how many requests the host may have in flight.
        host: what parts and other requests share; those ask it when they may go out.
        outage: whether the endpoint is away; requests that are no parts report to it as well.
        received_bytes: bytes of all transfers that are in place, each counted once.
        late_events: replies about leases that had ended already; they change nothing.
    """

    def __init__(
        self,
        *,
        workers: int,
        window: Window,
        timeouts: Timeouts,
        rng: Randomness,
        respawns: int | None = None,
        retry_for_s: float = 60.0,
        retries: int | None = None,
        per_worker: int | None = None,
    ) -> None:
        """Take who works, and how much at a time.

        Args:
            per_worker: requests that are worth the start of a worker; None for its share of the window.
        """
        self.outage = Outage(0.0 if retries == 0 else retry_for_s, rng)
        self.window = window
        self.budget = RetryBudget()
        self._throttling = Throttling(self.window, timeouts.throttle_s, rng)
        self.host = Host(self.outage, self._throttling, self.budget, window.ceiling, rng, retries)
        self.received_bytes = 0
        self.late_events = 0
        self.generation = 0
        self._crew = Crew(workers, timeouts, respawns, per_worker=per_worker or -(-window.size // workers))
        self._pace = Pace(window, self._crew)
        self._timeouts = timeouts
        self._leases = self._crew.leases
        self._transfers: dict[int, Transfer] = {}
        self._queue = PartQueue(self._transfers)
        self._assigned_s = float("-inf")
        self._refreshing = False

    def stop_spawning(self) -> None:
        """Start no more workers: the engine stops."""
        self._crew.stop_spawning()

    # What others may look at

    def transfer(self, transfer: int) -> Transfer:
        """Return a transfer that has not ended."""
        return self._transfers[transfer]

    def holds(self, transfer: int) -> bool:
        """Whether the transfer has not ended."""
        return transfer in self._transfers

    def transfers_of(self, worker: int) -> set[int]:
        """Return the transfers that the worker holds a lease of."""
        return self._crew.transfers_of(worker)

    def transfer_of_lease(self, lease: int, worker: int) -> int | None:
        """Return the transfer of a lease that the worker holds, None if it does not."""
        held = self._crew.held(lease, worker)
        return None if held is None else held.transfer

    def next_wake_s(self) -> float:
        """Return the instant at which the next part that waits for a time may be leased; infinite without one."""
        due_s, fresh = self._queue.next_retry_s, self._queue.fresh
        if self._refreshing or not (fresh or due_s < float("inf")):
            return float("inf")
        if (calm_until_s := self._throttling.calm_until_s) > self._assigned_s:
            due_s = calm_until_s if fresh else max(due_s, calm_until_s)
        if self.outage.away:
            due_s = self.outage.next_try_s if fresh else max(due_s, self.outage.next_try_s)
        # A due part that found no free worker is tried again on the next event, so it needs no timer.
        return due_s if due_s > self._assigned_s else float("inf")

    @property
    def alive(self) -> bool:
        """Whether any worker runs or is starting; if not, nothing will be done any more."""
        return self._crew.alive

    @property
    def in_flight(self) -> int:
        """Requests of the leases that workers hold."""
        return self._crew.load

    # Requests that are no parts

    def request_failed(self, patience: Patience, error: ErrorInfo, now_s: float, *, requests: int) -> float | ErrorInfo:
        """Return how many seconds a request waits before its next try, or the error that it ends with.

        Args:
            requests: requests under way, this one included.
        """
        if requests == 1 and not self._transfers and not patience.failures:
            self._throttling.forget()
        return patience.failed(error, now_s, self.host, in_flight=self._crew.load + requests)

    # Events

    def need_workers(self, count: int) -> list[Instruction]:
        """Return the instructions that bring up as many workers as this, if there may be so many."""
        return self._crew.need(count)

    def handle(self, event: Event, *, now_s: float) -> list[Instruction]:
        """Take one event and return what is to be done, in order."""
        out: list[Instruction] = []
        match event:
            case PartDone():
                self._part_done(event, now_s, out)
            case PartFailed():
                self._part_failed(event, now_s, out)
            case Heard():
                self._heard(event, now_s)
            case TransferAdded():
                self._added(event, out)
            case WorkerReady():
                self._crew.ready(event.worker, now_s)
            case WorkerLost():
                self._worker_lost(event, now_s, out)
            case PartsRejected():
                self._parts_rejected(event, out)
            case TransferClosed():
                closed = self._transfers.pop(event.transfer, None)
                if closed is not None:
                    self.received_bytes -= event.lost_bytes if event.kept else closed.moved_bytes
            case TransferAborted():
                if event.transfer in self._transfers:
                    self._fail(event.transfer, event.error, now_s, out)
            case CredentialsReplaced():
                self.generation = max(self.generation, event.generation)
                self._refreshing = False
            case Tick():
                self._crew.expire(now_s, out)
                self.window.tick(now_s)
        self._assign(now_s, out)
        return out

    def forgive_pause(self, pause_s: float) -> None:
        """Move every deadline by a pause of this process (stopped, suspended): it was late, not the others."""
        self._crew.forgive_pause(pause_s)

    def _added(self, event: TransferAdded, out: list[Instruction]) -> None:
        if not self._transfers:
            self._throttling.forget()
        lease_s = event.lease_s or self._timeouts.lease_s
        transfer = Transfer(event.layout, lease_s, sends=event.sends, requests=event.requests)
        self._transfers[event.transfer] = transfer
        self.received_bytes += transfer.begin_with(event.kept)
        if transfer.fresh_parts:
            self._queue.fresh.append(event.transfer)
            if self._crew.may_grow:
                out += self._crew.need_for(self._crew.load + self._queue.waiting)
        else:
            transfer.phase = Phase.VERIFYING
            out.append(HandOver(event.transfer))
        if not self._crew.alive:
            self._replace_workers(out)

    def _heard(self, event: Heard, now_s: float) -> None:
        if not self._crew.heard(event.worker, now_s):
            return
        through = dict(event.through)
        for lease_id, reached in event.reached:
            lease = self._crew.held(lease_id, event.worker)
            if lease is not None and lease.reached_bytes < reached <= lease.end - lease.start:
                if not self._transfers[lease.transfer].sends:
                    self.outage.answered()
                self._move(lease, reached - lease.reached_bytes)
                self._pace.progressed(lease, reached - lease.reached_bytes, through.get(lease_id, 0), now_s)
                lease.reached_bytes = reached
                if not lease.revoked:
                    lease.deadline_s = now_s + lease.lease_s
        self._pace.heard(event, now_s)

    def _part_done(self, event: PartDone, now_s: float, out: list[Instruction]) -> None:
        held = self._crew.held(event.lease, event.worker)
        if held is not None and event.received_bytes != held.end - held.start:
            # It may still be writing: the lease stays with it until it is reaped.
            self._crew.kill(event.worker, "it reported another length than it was given", out)
            return
        lease = self._release(event.worker, event.lease)
        if lease is None:
            return
        transfer = self._transfers[lease.transfer]
        self._move(lease, event.received_bytes - lease.reached_bytes)
        self._pace.progressed(lease, event.received_bytes - lease.reached_bytes, event.answered, now_s)
        self._pace.over(lease, now_s)
        transfer.keep(lease.index, event.received_bytes, event.crc)
        transfer.done += 1
        self._answered(event.answered)
        self._settle(lease.transfer, transfer, out)

    def _part_failed(self, event: PartFailed, now_s: float, out: list[Instruction]) -> None:
        lease = self._release(event.worker, event.lease)
        if lease is None:
            return
        transfer = self._transfers[lease.transfer]
        # A failure after the last byte puts all of them in doubt.
        received = event.received_bytes if event.received_bytes < lease.end - lease.start else 0
        self._move(lease, received - lease.reached_bytes)
        self._pace.progressed(lease, received - lease.reached_bytes, event.answered, now_s)
        if received:
            transfer.keep(lease.index, received, event.crc)
        self._answered(event.answered)
        transfer.requests, transfer.kept_bytes = event.left, transfer.kept_bytes + event.kept_bytes
        if transfer.phase is Phase.FAILING:
            self._pace.over(lease, now_s)
            self._settle(lease.transfer, transfer, out)
            return
        in_flight = self._crew.load + lease.requests
        self.host.broken(event.error, now_s, in_flight=in_flight, requests=event.failures - 1)
        patience = transfer.patience_with(lease.index)
        progress = transfer.progresses(lease.index, received) or event.answered > 0
        wait = patience.failed(event.error, now_s, self.host, in_flight=in_flight, progress=progress)
        self._pace.broke(event.error, event.failures, self.outage, now_s)
        self._pace.over(lease, now_s)
        if isinstance(wait, ErrorInfo):
            self._fail(lease.transfer, wait, now_s, out)
            return
        if event.error.code == "ExpiredCredentials" and lease.generation == self.generation and not self._refreshing:
            self._refreshing = True
            out.append(RefreshCredentials(self.generation))
        self._queue.retry(lease.transfer, lease.index, now_s + wait)
        out.append(Retry(lease.transfer, lease.index, event.error, wait))

    def _answered(self, requests: int) -> None:
        if requests:
            self._crew.works()
            self.host.answered(requests)

    def _worker_lost(self, event: WorkerLost, now_s: float, out: list[Instruction]) -> None:
        """Give a dead worker's parts back; what it received since each lease began counts as never received."""
        # All of them at once: when one fails its transfer, the others must not be revoked at a dead worker.
        returned = self._crew.lost(event.worker, event.reason, blameless=event.blameless)
        for lease, begun in returned:
            self._move(lease, -lease.reached_bytes)
            self._pace.over(lease, now_s)
            transfer = self._transfers[lease.transfer]
            transfer.leases -= 1
            if transfer.phase is Phase.FAILING:
                self._settle(lease.transfer, transfer, out)
            elif event.blameless or not begun or transfer.patience_with(lease.index).lost_worker():
                self._queue.retry(lease.transfer, lease.index, now_s)
            else:
                deaths = transfer.patience_with(lease.index).deaths
                text = f"{deaths} workers died while receiving part {lease.index + 1}, the last one by {event.reason}"
                self._fail(lease.transfer, ErrorInfo("WorkerDied", text), now_s, out)
        self._replace_workers(out)

    def _replace_workers(self, out: list[Instruction]) -> None:
        """Start as many workers as are missing; without any worker, fail everything."""
        self._crew.replace(out)
        if not self._crew.alive:
            died = f"the last one died by {self._crew.last_death}"
            error = ErrorInfo("WorkerDied", f"no worker is left and the budget for new ones is spent; {died}")
            for transfer in list(self._transfers):
                self._fail(transfer, error, 0.0, out)

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
            self.received_bytes -= transfer.reject(index)
            self._queue.retry(event.transfer, index, 0.0)
        if not self._crew.alive:
            self._replace_workers(out)

    # Ends of leases and transfers

    def _release(self, worker: int, lease_id: int) -> Lease | None:
        lease = self._crew.let_go(lease_id, worker)
        if lease is None:
            self.late_events += 1
        else:
            self._transfers[lease.transfer].leases -= 1
        return lease

    def _move(self, lease: Lease, count: int) -> None:
        self.received_bytes += count
        self._transfers[lease.transfer].moved_bytes += count

    def _settle(self, transfer_id: int, transfer: Transfer, out: list[Instruction]) -> None:
        if transfer.leases:
            return
        if transfer.phase is Phase.FAILING:
            assert transfer.error is not None
            del self._transfers[transfer_id]
            self.received_bytes -= transfer.moved_bytes - transfer.kept_bytes
            out.append(Fail(transfer_id, transfer.error))
        elif transfer.done == transfer.n_parts:
            transfer.phase = Phase.VERIFYING
            out.append(HandOver(transfer_id))

    def _fail(self, transfer_id: int, error: ErrorInfo, now_s: float, out: list[Instruction]) -> None:
        transfer = self._transfers[transfer_id]
        if transfer.phase is Phase.VERIFYING:
            transfer.error = transfer.error or error  # it still may be published; it is not fetched again
        elif transfer.phase is Phase.ACTIVE:
            transfer.phase, transfer.error = Phase.FAILING, error
            if transfer.leases:
                self._crew.revoke_all(transfer_id, now_s, out)
            self._settle(transfer_id, transfer, out)

    # Leases

    def _assign(self, now_s: float, out: list[Instruction]) -> None:
        self._assigned_s = now_s
        self._crew.share(self.window.size, out, often=self.window.starting)
        if self._refreshing or now_s < self._throttling.calm_until_s:
            return
        while self.outage.admits(now_s):
            found = self._queue.first(now_s)
            if found is None:
                return
            transfer_id, index, retried = found
            transfer = self._transfers[transfer_id]
            part = transfer.layout[index]
            most = (self.window.size, self.window.most_bytes)
            worker_id = self._crew.freest(part.size_bytes, transfer.requests, *most)
            if worker_id is None:
                return
            self._queue.take(transfer, retried=retried)
            self._lease(worker_id, transfer_id, transfer, part, now_s, out)
            self.outage.sent(now_s)

    def _lease(
        self, worker_id: int, transfer_id: int, transfer: Transfer, part: Part, now_s: float, out: list[Instruction]
    ) -> None:
        index = part.number - 1
        row = transfer.table[index]
        start = part.start + int(row["bytes"])
        row["attempt"] += 1
        deadline_s = now_s + transfer.lease_s
        owned = (transfer.lease_s, deadline_s, self.generation, transfer.requests)
        lease = Lease(transfer_id, index, worker_id, start, part.end, *owned)
        lease_id = self._crew.give(lease)
        self._pace.given(lease, now_s)
        transfer.leases += 1
        crc, attempt = int(row["crc"]), int(row["attempt"])
        out.append(Assign(worker_id, lease_id, transfer_id, index, start, part.end, crc, attempt, self.outage.away))
