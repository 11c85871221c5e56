"""Keeps the workers of an engine and the leases that each holds: who is needed, free, late, or replaced.

    (started) ──WorkerReady──▶ ready ──late, or wrong──▶ doomed ──WorkerLost──▶ (gone, its leases come back)

A deadline never ends a lease: it only leads to Revoke, and a Revoke that is not answered to Kill.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from bulkhaul.model.limits import MIB
from bulkhaul.model.settings import Timeouts
from bulkhaul.policy.events import Instruction, Kill, Resize, Revoke, Spawn

SMALL_PART_BYTES = MIB
"""Parts up to this size are queued at a worker ahead of its connections, to hide the hop to the coordinator."""

SMALL_PART_DEPTH = 8
"""Small parts at a worker, as a multiple of its connections. Source: bench/results, small objects."""

SMALL_PARTS_AHEAD = 64
"""Small parts queued at a worker at most, each with an open file: what ends while a report of many is on its way."""

BATCHED_AHEAD = 128
"""Requests of batches queued at a worker at least: two batches, so that the next is there when one ends."""


class Lease(msgspec.Struct):
    """One part given to one worker.

    Attributes:
        reached_bytes: how many bytes of it the worker has reported.
        lease_s: without progress for this long it is taken back.
        deadline_s: when that will be; it moves with progress.
        generation: of the credentials that its request is signed with.
        requests: how many requests it stands for.
        through: how many of them have succeeded, as far as the worker has reported.
        told_s: instant of the last report about it, or when it was given out.
    """

    transfer: int
    index: int
    worker: int
    start: int
    end: int
    lease_s: float
    deadline_s: float
    generation: int
    requests: int = 1
    reached_bytes: int = 0
    through: int = 0
    told_s: float = 0.0
    revoked: bool = False


class CrewMember(msgspec.Struct):
    """A worker that is ready, or doomed: it was killed and is not yet reaped.

    Attributes:
        connections: that it may serve leases over.
        serving: those that it may be serving leases over: more than that after a shrink, until leases end.
        often: it was told to report often.
        told_s: instant of its last report of all that it has under way, or when it got something to do.
        load: requests that it holds.
        share: of a CPU that it used lately.
        lag_s: how late its loop came to its last heartbeat.
    """

    silent_deadline_s: float
    connections: int = 0
    serving: int = 0
    often: bool = False
    told_s: float = float("-inf")
    doomed: bool = False
    load: int = 0
    share: float = 0.0
    lag_s: float = 0.0
    leases: dict[int, None] = msgspec.field(default_factory=dict)  # in order of assignment


class Crew:
    """The workers, and the leases by number.

    Attributes:
        last_death: what the last dead worker died by.
        load: requests that all leases together stand for.
        leased_bytes: of all leases.
    """

    def __init__(self, wanted: int, timeouts: Timeouts, respawns: int | None, *, per_worker: int) -> None:
        """Take how many workers there may be.

        Args:
            per_worker: requests that are worth the start of a worker.
            respawns: how many may be started anew before any part arrives; None for twice as many, four at least.
        """
        self.workers: dict[int, CrewMember] = {}
        self.leases: dict[int, Lease] = {}
        self.last_death = ""
        self.load = self.leased_bytes = 0
        self._wanted = wanted
        self._needed = 0  # workers that there was work for so far
        self._starting = 0
        self._max_respawns = self._respawns = max(4, 2 * wanted) if respawns is None else respawns
        self._per_worker = per_worker
        self._shared = (0, 0, False)  # requests in flight, the workers that they were shared among, how they report
        self._timeouts = timeouts
        self._next_lease = 1

    # Workers

    @property
    def alive(self) -> bool:
        """Whether any worker runs or is starting."""
        return bool(self.workers) or self._starting > 0

    @property
    def may_grow(self) -> bool:
        """Whether there may be more workers than were needed so far."""
        return self._needed < self._wanted

    def need(self, count: int) -> list[Instruction]:
        """Start workers until there were as many as this, or as there may be; those cost nothing of the allowance."""
        more = max(0, min(count, self._wanted) - self._needed)
        self._needed += more
        self._starting += more
        return [Spawn() for _ in range(more)]

    def need_for(self, requests: int) -> list[Instruction]:
        """Start as many workers as these requests are worth."""
        return self.need(-(-requests // self._per_worker))

    def stop_spawning(self) -> None:
        """Start no more workers."""
        self._wanted = self._needed = 0

    def ready(self, worker: int, now_s: float) -> None:
        """A worker has started; it has no connections yet."""
        self._starting = max(0, self._starting - 1)
        self.workers[worker] = CrewMember(now_s + self._timeouts.heartbeat_s)
        self._shared = (0, 0, False)

    def share(self, in_flight: int, out: list[Instruction], *, often: bool = False) -> None:
        """Spread so many connections over the workers, those that are starting included; each has one at least.

        Args:
            often: have them report often.
        """
        if self._shared == (shared := (in_flight, len(self.workers) + self._starting, often)):
            return
        self._shared = shared
        each, more = divmod(in_flight, max(1, shared[1]))
        for place, (worker_id, worker) in enumerate(self.workers.items()):
            connections = max(1, each + (place < more))
            if worker.connections != connections or worker.often != often:
                worker.connections, worker.often = connections, often
                worker.serving = max(connections, min(worker.serving, worker.load))
                out.append(Resize(worker_id, connections, often))

    def heard(self, worker_id: int, now_s: float) -> bool:
        """Take a sign of life; return whether the worker is known."""
        if (worker := self.workers.get(worker_id)) is None:
            return False
        worker.silent_deadline_s = now_s + self._timeouts.heartbeat_s
        return True

    def works(self) -> None:
        """A part has arrived: the allowance for new workers is for those that die without doing anything."""
        self._respawns = self._max_respawns

    def lost(self, worker_id: int, reason: str, *, blameless: bool) -> list[tuple[Lease, bool]]:
        """A worker is dead; return its leases, each with whether the worker had begun with it."""
        self.last_death = reason
        if blameless:
            self._respawns = min(self._max_respawns, self._respawns + 1)  # its successor costs nothing
        worker = self.workers.pop(worker_id, None)
        if worker is None:  # died before it was ready
            self._starting = max(0, self._starting - 1)
            return []
        self.load -= worker.load
        begun = set(self._begun(worker))
        lost = [(self.leases.pop(lease_id), lease_id in begun) for lease_id in worker.leases]
        self.leased_bytes -= sum(lease.end - lease.start for lease, _ in lost)
        return lost

    def replace(self, out: list[Instruction]) -> None:
        """Start as many workers as are missing, as far as the allowance for new ones goes."""
        missing = self._needed - self._starting - sum(not worker.doomed for worker in self.workers.values())
        while missing > 0 and self._respawns > 0:
            self._respawns -= 1
            self._starting += 1
            missing -= 1
            out.append(Spawn())

    def kill(self, worker_id: int, reason: str, out: list[Instruction]) -> None:
        """Kill a worker, once."""
        worker = self.workers[worker_id]
        if not worker.doomed:
            worker.doomed = True
            out.append(Kill(worker_id, reason))

    def freest(self, size_bytes: int, requests: int, in_flight: int, most_bytes: int | None = None) -> int | None:
        """Return the worker with the fewest requests that takes one more part, None if all are full.

        Args:
            size_bytes: of the part.
            requests: that it stands for.
            in_flight: requests that may be in flight, all workers together.
            most_bytes: that may be leased, from the third lease on; None for any number.
        """
        batch = requests > 1
        # While another worker starts, nothing queues here: it would wait behind a connection while the other one idles.
        ahead = not self._starting and (batch or size_bytes <= SMALL_PART_BYTES)
        if len(self.leases) >= in_flight and not ahead:
            return None
        if most_bytes is not None and len(self.leases) > 1 and self.leased_bytes + size_bytes > most_bytes:
            return None
        if self.load >= in_flight < len(self.workers):  # each worker has a connection, and not all may be used
            return None
        best, best_load = None, 0
        for worker_id, worker in self.workers.items():
            # A batch counts as one lease beside parts, which would else wait until all of its objects are through.
            held = worker.load if batch else len(worker.leases)
            room = _room(worker.connections, batch=batch) if ahead else worker.connections
            if not worker.doomed and held < room and (best is None or worker.load < best_load):
                best, best_load = worker_id, worker.load
        return best

    # Leases

    def give(self, lease: Lease) -> int:
        """Give a lease to its worker and return its number."""
        number = self._next_lease
        self._next_lease = number + 1
        self.leases[number] = lease
        worker = self.workers[lease.worker]
        worker.leases[number] = None
        worker.load += lease.requests
        self.load += lease.requests
        self.leased_bytes += lease.end - lease.start
        return number

    def held(self, lease_id: int, worker: int) -> Lease | None:
        """Return a lease if this worker holds it."""
        lease = self.leases.get(lease_id)
        return lease if lease is not None and lease.worker == worker else None

    def transfers_of(self, worker: int) -> set[int]:
        """Return the transfers that the worker holds a lease of."""
        return (
            {self.leases[lease].transfer for lease in self.workers[worker].leases} if worker in self.workers else set()
        )

    def let_go(self, lease_id: int, worker: int) -> Lease | None:
        """End a lease that its worker has let go of; None if this worker does not hold it."""
        lease = self.leases.get(lease_id)
        if lease is None or lease.worker != worker:
            return None
        del self.leases[lease_id]
        del self.workers[worker].leases[lease_id]
        holder = self.workers[worker]
        holder.load -= lease.requests
        self.load -= lease.requests
        self.leased_bytes -= lease.end - lease.start
        if holder.serving > holder.connections:
            holder.serving = max(holder.connections, holder.serving - lease.requests)
        return lease

    def _begun(self, worker: CrewMember) -> Iterator[int]:
        """Yield the leases that a worker has begun with, as its connections take them in order."""
        ahead = 0
        for lease_id in worker.leases:
            if ahead >= worker.serving:
                return
            ahead += self.leases[lease_id].requests
            yield lease_id

    def revoke_all(self, transfer: int, now_s: float, out: list[Instruction]) -> None:
        """Ask for every lease of a transfer back."""
        for lease_id, lease in self.leases.items():
            if lease.transfer == transfer:
                self._revoke(lease_id, lease, now_s, out)

    def _revoke(self, lease_id: int, lease: Lease, now_s: float, out: list[Instruction]) -> None:
        if not lease.revoked:
            lease.revoked = True
            lease.deadline_s = now_s + self._timeouts.release_s
            out.append(Revoke(lease.worker, lease_id))

    # Deadlines

    def expire(self, now_s: float, out: list[Instruction]) -> None:
        """Revoke leases without progress, and kill workers that are silent or hold on to one."""
        for worker_id, worker in self.workers.items():
            if now_s >= worker.silent_deadline_s:
                self.kill(worker_id, f"silence for {self._timeouts.heartbeat_s:g} s", out)
            begun = set(self._begun(worker))
            for lease_id in worker.leases:
                lease = self.leases[lease_id]
                if lease_id not in begun and not lease.revoked:
                    lease.deadline_s = now_s + lease.lease_s  # it waits its turn at the worker
                elif now_s < lease.deadline_s:
                    continue
                elif lease.revoked:
                    self.kill(worker_id, "holding on to a part", out)
                else:
                    self._revoke(lease_id, lease, now_s, out)

    def forgive_pause(self, pause_s: float) -> None:
        """Move every deadline by a pause of this process (stopped, suspended): it was late, not the others."""
        for worker in self.workers.values():
            worker.silent_deadline_s += pause_s
        for lease in self.leases.values():
            lease.deadline_s += pause_s


def _room(connections: int, *, batch: bool) -> int:
    """Return how many requests of batches, or small parts, a worker holds at most: those under way, and some ahead."""
    if batch:
        return max(connections * SMALL_PART_DEPTH, BATCHED_AHEAD)
    return connections + min(connections * (SMALL_PART_DEPTH - 1), SMALL_PARTS_AHEAD)
