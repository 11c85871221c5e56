"""What is done to run an op-log again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.benchmark.op_log import Op, write
from bulkhaul.benchmark.replay import replay_of
from bulkhaul.engine.messages.load_run import SCHEDULED
from bulkhaul.model.errors import UsageError
from bulkhaul.model.workloads import OPERATIONS, FixedSize
from bulkhaul.policy.replaying import ReplayPlan, parse_speed

GET, PUT, LIST, STAT, DELETE = range(len(OPERATIONS))
BEGIN_NS = 1_767_323_045_000_000_000
MS = 1_000_000


def op(name: str, key: str, start_ms: int, size: int = 0) -> Op:
    """Return a request that took 5 ms."""
    start_ns = BEGIN_NS + start_ms * MS
    return Op(0, name, "c", 1, size, "http://h", key, "", start_ns, 0, 0, start_ns + 5 * MS)


def rows(*schedules: bytes) -> list[list[tuple[int, ...]]]:
    """Return the rows of schedules: ns, place, operation, bytes."""
    return [list(SCHEDULED.iter_unpack(schedule)) for schedule in schedules]


def kept(folder: Path, ops: list[Op]) -> Path:
    """Return the path of a log."""
    write(folder / "log.tsv", ops)
    return folder / "log.tsv"


LOG = [
    op("GET", "a", 0, 100),
    op("PUT", "b", 20, 50),
    op("STAT", "c", 10),  # the log is not in the order of time
    op("GET", "b", 30, 50),
    op("GET", "a", 40, 300),
    op("LIST", "some/prefix", 50),
    op("DELETE", "c", 60),
]


class TestReplay:
    """Requests of a log, as schedules."""

    def test_requests_keep_their_order_and_their_times(self, tmp_path: Path) -> None:
        """Each request is due as long after the first as it was, with the object and the bytes that it was about."""
        replay = replay_of(kept(tmp_path, LOG), workers=1)
        assert rows(*replay.schedules) == [
            [
                (0, 0, GET, 100),
                (10 * MS, 2, STAT, 0),
                (20 * MS, 1, PUT, 50),
                (30 * MS, 1, GET, 50),
                (40 * MS, 0, GET, 300),
                (50 * MS, 0, LIST, 0),
                (60 * MS, 2, DELETE, 0),
            ]
        ]
        assert (replay.requests, replay.seconds) == (7, 0.06)
        assert replay.table.objects == 3
        assert replay.table.sizes == FixedSize(300)

    def test_what_was_there_before_is_prepared(self, tmp_path: Path) -> None:
        """Objects whose first request is no PUT are stored before, with what was read of them; others are not."""
        replay = replay_of(kept(tmp_path, LOG), workers=1)
        assert rows(*replay.prepared) == [[(0, 0, PUT, 300), (0, 2, PUT, 0)]]

    def test_twice_the_speed_is_half_of_the_time(self, tmp_path: Path) -> None:
        """Speed divides times, and nothing else."""
        replay = replay_of(kept(tmp_path, LOG), workers=1, speed=2)
        assert [row[0] for row in rows(*replay.schedules)[0]] == [at * MS for at in (0, 5, 10, 15, 20, 25, 30)]
        assert replay.seconds == 0.03

    @given(st.integers(1, 9))
    def test_workers_share_all_requests(self, workers: int) -> None:
        """Whatever the number of workers, each request is made once, and no worker has two more than another."""
        with tempfile.TemporaryDirectory() as folder:
            path = kept(Path(folder), LOG)
            alone, shared = replay_of(path, workers=1), replay_of(path, workers=workers)
        for one, several in ((alone.schedules, shared.schedules), (alone.prepared, shared.prepared)):
            parts = rows(*several)
            assert sorted(row for part in parts for row in part) == sorted(rows(*one)[0])
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
            assert all(part == sorted(part, key=lambda row: row[0]) for part in parts)

    def test_tells_what_cannot_be_made_again(self, tmp_path: Path) -> None:
        """Other operations, deletions that name no key and objects that are too large are left out and counted."""
        odd = [op("COMMIT", "x", 1), op("DELETE", "", 2), op("DELETE", "", 3), op("PUT", "y", 4, (1 << 30) + 1)]
        replay = replay_of(kept(tmp_path, [*LOG, *odd]), workers=2)
        assert replay.requests == len(LOG)
        assert replay.left_out == {"COMMIT": 1, "DELETE without a key": 2, "PUT of more than 1 GiB": 1}
        assert replay.table.objects == 3
        with pytest.raises(UsageError, match="no request that can be made again"):
            replay_of(kept(tmp_path, odd), workers=2)


class TestPlan:
    """Which objects must be there."""

    def test_the_earliest_request_decides_not_the_first_line(self) -> None:
        """An object that was stored before it was read is not prepared, although its GET stands first in the log."""
        plan = ReplayPlan()
        plan.take("GET", "k", 10, 200)
        plan.take("PUT", "k", 10, 100)
        assert list(plan.must_exist()) == []

    @pytest.mark.parametrize("text", ["", "x", "0", "-1x", "nan", "1e9x", "2y"])
    def test_a_speed_is_a_factor(self, text: str) -> None:
        """What is no factor is refused."""
        with pytest.raises(UsageError, match="no speed"):
            parse_speed(text)
