"""Random orders of everything that can happen to transfers; tests.unit.world watches the invariants."""

from __future__ import annotations

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy.events import Heard, PartDone, PartFailed
from bulkhaul.policy.layout import Layout
from tests.unit.strategies import layouts, parts_of
from tests.unit.world import FINAL_CODES, World

RETRIED = ("NetworkError", "ServerError", "StallTimeout", "UnexpectedReply", "Throttled", "ExpiredCredentials")

PICK = st.integers(0, 2**16)
"""Chooses among whatever there is at that moment."""


class AnyOrder(RuleBasedStateMachine):
    """Workers start, work, fail, fall silent and die; transfers come, fail and go; in any order."""

    @initialize(
        workers=st.integers(1, 3),
        connections=st.integers(1, 3),
        respawns=st.sampled_from([0, 1, 3, 20]),
    )
    def begin(self, workers: int, connections: int, respawns: int) -> None:
        """Start an engine that has nothing to do yet."""
        self.world = World(workers=workers, max_in_flight=workers * connections, respawns=respawns)
        self.silent: set[int] = set()

    def one_lease(self, pick: int) -> int:
        """Return some lease that is held."""
        held = list(self.world.leases)
        return held[pick % len(held)]

    @precondition(lambda self: len(self.world.open) < 4)
    @rule(layout=layouts())
    def add(self, layout: Layout) -> None:
        """Another object is planned."""
        self.world.add(layout)

    @precondition(lambda self: self.world.starting)
    @rule(pick=PICK)
    def worker_ready(self, pick: int) -> None:
        """A worker has started."""
        self.world.ready(self.world.starting[pick % len(self.world.starting)])

    @precondition(lambda self: self.world.starting)
    @rule()
    def all_ready(self) -> None:
        """Every worker that was started is ready."""
        self.world.all_ready()

    @precondition(lambda self: (self.world.starting or self.world.workers) and self.world.open)
    @rule(pick=PICK)
    def worker_dies(self, pick: int) -> None:
        """Any worker dies: one that is starting, at work, or killed."""
        alive = [*self.world.starting, *self.world.workers]
        self.world.lose(alive[pick % len(alive)])

    @precondition(lambda self: self.world.leases)
    @rule(pick=PICK, share=st.floats(0, 1))
    def progress(self, pick: int, share: float) -> None:
        """A worker says how far it is, even less far than it said before."""
        lease = self.one_lease(pick)
        assign = self.world.leases[lease]
        self.world.heard(lease, int((assign.end - assign.start) * share))

    @precondition(lambda self: self.world.leases)
    @rule(pick=PICK)
    def part_done(self, pick: int) -> None:
        """A worker fulfils a lease, revoked or not."""
        self.world.done(self.one_lease(pick))

    @precondition(lambda self: self.world.leases)
    @rule(pick=PICK)
    def all_parts_of_one_done(self, pick: int) -> None:
        """All leases of one transfer are fulfilled at once."""
        for assign in self.world.of(self.world.leases[self.one_lease(pick)].transfer):
            self.world.done(assign.lease)

    @precondition(lambda self: self.world.leases)
    @rule(pick=PICK, share=st.sampled_from([0.0, 0.1, 0.5, 1.0]), code=st.sampled_from(RETRIED))
    def part_failed(self, pick: int, share: float, code: str) -> None:
        """A worker lets go of a lease after some of its bytes."""
        lease = self.one_lease(pick)
        assign = self.world.leases[lease]
        received = int((assign.end - assign.start) * share)
        self.world.failed(lease, received, ErrorInfo(code, "it failed", retry_after_s=share))

    @precondition(lambda self: self.world.leases)
    @rule(pick=PICK, code=st.sampled_from(sorted(FINAL_CODES)))
    def part_failed_for_good(self, pick: int, code: str) -> None:
        """A worker meets an error that no retry mends."""
        self.world.failed(self.one_lease(pick), 0, code)

    @precondition(lambda self: self.world.leases)
    @rule(pick=PICK, off=st.sampled_from([-1, 1, 1000]))
    def wrong_length(self, pick: int, off: int) -> None:
        """A worker says that a lease is fulfilled with another length."""
        assign = self.world.leases[self.one_lease(pick)]
        length = max(0, assign.end - assign.start + off)
        self.world.send(PartDone(assign.worker, assign.lease, length, 1))
        assert assign.worker in self.world.killed
        assert assign.lease in self.world.leases

    @precondition(lambda self: self.world.ended)
    @rule(pick=PICK, fails=st.booleans())
    def late_reply(self, pick: int, fails: bool) -> None:
        """A reply comes about a lease that has ended, perhaps a second time."""
        worker, assign = self.world.ended[pick % len(self.world.ended)]
        before = self.world.machine.late_events
        if fails:
            self.world.send(PartFailed(worker, assign.lease, 1, 5, ErrorInfo("NotFound", "late")))
        else:
            self.world.send(self.world.done_event(assign))
        assert self.world.machine.late_events == before + 1

    @precondition(lambda self: self.world.leases and len(self.world.workers) > 1)
    @rule(pick=PICK)
    def reply_of_another(self, pick: int) -> None:
        """A worker replies about a lease that another one holds: nothing changes."""
        assign = self.world.leases[self.one_lease(pick)]
        other = next(worker for worker in self.world.workers if worker != assign.worker)
        self.world.send(PartDone(other, assign.lease, assign.end - assign.start, 5))
        self.world.send(Heard(other, ((assign.lease, 1),)))
        assert assign.lease in self.world.leases

    @precondition(lambda self: self.world.workers)
    @rule(pick=PICK)
    def fall_silent(self, pick: int) -> None:
        """A worker stops to speak, as after SIGSTOP."""
        self.silent.add(list(self.world.workers)[pick % len(self.world.workers)])

    @rule(seconds=st.sampled_from([0.05, 1.0, 4.0, 6.0, 46.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        """Workers that are not silent speak in time; then the clock strikes."""
        world = self.world
        began = world.now_s
        while world.now_s < began + seconds:
            world.now_s = min(began + seconds, world.now_s + 4.0)
            for worker in [w for w in world.workers if w not in self.silent]:
                world.send(Heard(worker))
        world.pass_time(0.0)
        for worker in self.silent & set(world.workers):
            assert seconds < world.timeouts.heartbeat_s or worker in world.killed

    @rule(pause_s=st.sampled_from([0.5, 60.0]))
    def this_process_slept(self, pause_s: float) -> None:
        """The coordinator itself was suspended: nobody is killed for it."""
        killed = set(self.world.killed)
        self.world.pass_time(0.0)
        self.world.machine.forgive_pause(pause_s)
        before = set(self.world.killed)
        self.world.pass_time(pause_s)
        assert self.world.killed == before >= killed

    @precondition(lambda self: sum(not self.world.books[t].verifying for t in self.world.open) > 2)
    @rule(pick=PICK)
    def abort(self, pick: int) -> None:
        """Somebody cancels a transfer that is not being verified."""
        waiting = [t for t in self.world.open if not self.world.books[t].verifying]
        self.world.abort(waiting[pick % len(waiting)])

    @precondition(lambda self: any(book.verifying for book in self.world.books.values()))
    @rule(
        pick=PICK,
        indices=st.sets(st.integers(0, 50), min_size=1, max_size=3),
        good=st.sampled_from([True, False, None]),
    )
    def verification_ends(self, pick: int, indices: set[int], good: bool | None) -> None:
        """Verification succeeds, fails for good, or finds some parts wrong."""
        verifying = [t for t, book in self.world.books.items() if book.verifying]
        transfer = verifying[pick % len(verifying)]
        n_parts = len(self.world.books[transfer].layout)
        if good is not None or not n_parts:
            self.world.close(transfer, kept=good is not False)
        else:
            self.world.reject(transfer, *{index % n_parts for index in indices})

    @precondition(lambda self: self.world.refreshing is not None)
    @rule()
    def credentials_come(self) -> None:
        """Every worker has new credentials."""
        self.world.replace_credentials()

    def teardown(self) -> None:
        """Everything that was planned ends, once each, and nothing stays leased."""
        if not hasattr(self, "world") or not self.world.sound:
            return
        self.world.finish()
        outcomes = [book.outcome for book in self.world.books.values()]
        assert len(outcomes) == outcomes.count("verified") + outcomes.count("failed")
        for book in self.world.books.values():
            assert book.outcome == "failed" or not book.must_fail
            assert book.outcome == "failed" or book.kept == [part.size_bytes for part in parts_of(book.layout)]


TestAnyOrder = AnyOrder.TestCase
# Shrinking a failure takes minutes; add Phase.shrink by hand where a long story is hard to read.
TestAnyOrder.settings = settings(max_examples=120, stateful_step_count=50, phases=[Phase.generate])
