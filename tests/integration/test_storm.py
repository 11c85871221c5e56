"""A service that asks to slow down: the whole host does, and comes back when it is over."""

from __future__ import annotations

import random
from pathlib import Path

from bulkhaul import errors
from bulkhaul.model.settings import Timeouts
from tests.engines import PART_BYTES, assert_nothing_held, running_rig
from tests.faultserver import Latency, Status, generated_object, make_object, storm
from tests.patience import PATIENCE_S

PARTS = 48
BODY = random.Random(25).randbytes(PARTS * PART_BYTES)
STORED = make_object(BODY, part_size_bytes=8 * PART_BYTES, algorithm="CRC64NVME")
SMALLEST_PART_BYTES = 64 * 1024
PATIENT = Timeouts(throttle_s=30.0)


def test_rate_falls_in_a_storm(tmp_path: Path) -> None:
    """Row 24: in three seconds of 503 the requests of the whole host become few, however many parts wait."""
    many = generated_object(1000 * SMALLEST_PART_BYTES)
    chosen = {"concurrency": 16, "part_size_bytes": SMALLEST_PART_BYTES, "timeouts": PATIENT}
    with running_rig(tmp_path, **chosen) as rig:
        rig.restore(b"workers are up")
        outcome = rig.restore(many, storm(for_s=3.0))
        outcome.succeeded()
        refused = [get.arrived_s for get in outcome.gets if get.status == 503]
        ages = [at - refused[0] for at in refused]
        # One request after the other, without any pause, would be some thousands.
        assert 16 <= len(ages) <= 700
        assert sum(2.0 <= age < 3.0 for age in ages) <= sum(age < 1.0 for age in ages) / 4
        assert outcome.seconds < PATIENCE_S


def test_window_opens_again(tmp_path: Path) -> None:
    """After a storm the host finds its way back to many requests at once."""
    many = generated_object(200 * SMALLEST_PART_BYTES)
    with running_rig(tmp_path, concurrency=8, part_size_bytes=SMALLEST_PART_BYTES, timeouts=PATIENT) as rig:
        outcome = rig.restore(many, storm(times=20), Latency(seconds=0.05))
        outcome.succeeded()
        served = [get for get in outcome.gets if get.status == 206]
        assert most_at_once([(get.arrived_s, get.finished_s or get.arrived_s) for get in served[-24:]]) >= 4


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """Return how many spans of time overlap at most."""
    return max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)


def test_storm_that_does_not_end(tmp_path: Path) -> None:
    """A service that only ever throttles is given up on after ``throttle_s``, as Throttled."""
    with running_rig(tmp_path, timeouts=Timeouts(throttle_s=1.5)) as rig:
        outcome = rig.restore(STORED, storm(for_s=60), old=b"old")
        outcome.failed(errors.Throttled)
        assert 1.5 <= outcome.seconds < PATIENCE_S
        assert len(outcome.gets) < 150


def test_storm_over_listing_and_head(tmp_path: Path) -> None:
    """Questions are throttled like parts: they are asked again, ever more rarely, until they are answered."""
    with running_rig(tmp_path, timeouts=PATIENT) as rig:
        for number in range(5):
            rig.server.store.put("bucket", f"dir/{number}", STORED)
        everything = Status(code="SlowDown", operation=None, attempt="every", key="dir/*", times=5)
        rig.server.add_fault(everything)
        assert [one.error for one in rig.engine.download_many("s3://bucket/dir/", tmp_path / "dir")] == [None] * 5
        assert rig.server.fired(everything) == 5
        assert_nothing_held(rig.engine, tmp_path)


def test_retry_after_is_kept(tmp_path: Path) -> None:
    """``Retry-After`` is waited for before the part is asked for again."""
    with running_rig(tmp_path, timeouts=PATIENT) as rig:
        outcome = rig.restore(make_object(BODY[:1000]), storm(times=1, retry_after_s=2))
        outcome.succeeded()
        first, second = outcome.gets
        assert second.arrived_s - first.arrived_s >= 1.9


def test_everything_fails(tmp_path: Path) -> None:
    """Row 25: with nothing but 500 the host-wide budget ends it: no hammering, and a typed error."""
    with running_rig(tmp_path, concurrency=32, timeouts=PATIENT) as rig:
        outcome = rig.restore(STORED, Status(code="InternalError", attempt="every"), old=b"old")
        outcome.failed(errors.ServerError)
        assert outcome.seconds < PATIENCE_S
        assert len(outcome.gets) <= PARTS + 100
