"""Replies that begin late, over real sockets: a twin overtakes them, once, and only where that does no harm.

Where a reply comes after minutes, no test could wait for it: whatever ends well was overtaken.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bulkhaul.model.settings import Timeouts
from tests.engines import PART_BYTES, Rig, assert_nothing_held, running_rig
from tests.faultserver import CutHead, Drip, Fault, FlipBit, Latency, Request, Status, make_object
from tests.servers.certificates import make_certificates

MINUTES_S = 600.0
PATIENT = Timeouts(
    connect_s=30.0, read_s=MINUTES_S, speed_window_s=60.0, lease_s=2 * MINUTES_S, heartbeat_s=60.0, start_s=60.0
)
PARTS = 6
BODY = random.Random(3).randbytes(PARTS * PART_BYTES)
STORED = make_object(BODY, part_size_bytes=PART_BYTES, algorithm="CRC64NVME")
AT = 2 * PART_BYTES
COUNT = 30
SMALL = [random.Random(number).randbytes(4000 + number) for number in range(COUNT)]
VICTIM = "007"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An engine that waits for minutes, with one worker that has its whole budget and has seen no trouble."""
    with running_rig(tmp_path, timeouts=PATIENT, workers=1, concurrency=COUNT) as running:
        yield running


@pytest.fixture(params=["http", "https"])
def either_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """The same without and with TLS."""
    certificates = make_certificates(tmp_path)
    tls = certificates.server_context() if request.param == "https" else None
    with running_rig(
        tmp_path, tls=tls, ca_bundle=str(certificates.ca_bundle), timeouts=PATIENT, workers=1, concurrency=COUNT
    ) as running:
        yield running


def restore_batch(rig: Rig, *faults: Fault) -> list[Request]:
    """Restore a batch under faults, see that all of it is exact, and return its GETs."""
    for number, body in enumerate(SMALL):
        rig.server.store.put("bucket", f"batch/{number:03}", make_object(body, algorithm="CRC64NVME"))
    for fault in faults:
        rig.server.add_fault(fault)
    folder = rig.folder / "batch"
    results = list(rig.engine.download_many("s3://bucket/batch/", folder))
    assert [result.error for result in results if not result.ok] == []
    assert [(folder / f"{number:03}").read_bytes() for number in range(COUNT)] == SMALL
    assert_nothing_held(rig.engine, folder)
    return rig.server.requests_for("GetObject")


def row(fault: Fault, name: str = VICTIM) -> Fault:
    """Let a fault hit one object of the batch alone."""
    return replace(fault, key=f"batch/{name}")


def restore(rig: Rig, way: str, *faults: Fault) -> list[Request]:
    """Restore an object of parts, or a batch, with one part or object under faults; return the GETs of that one."""
    if way == "batch":
        gets = restore_batch(rig, *(row(fault) for fault in faults))
        return [one for one in gets if one.key.endswith(VICTIM)]
    outcome = rig.restore(STORED, *(replace(fault, start=AT) for fault in faults))
    assert outcome.succeeded().integrity == "checksum"
    return [one for one in outcome.gets if one.range is not None and one.range[1] == AT + PART_BYTES]


def require_overtaken(original: Request, twin: Request) -> None:
    """The twin asked for the same over another connection, and of the original not a byte was sent."""
    assert original.connection_id != twin.connection_id
    assert (original.range, original.bytes_sent, original.finished_s) == (twin.range, 0, None)
    for name in ("if-match", "range", "x-amz-checksum-mode"):
        assert original.headers.get(name) == twin.headers.get(name), name


def test_a_late_part_is_overtaken(either_rig: Rig) -> None:
    """One twin for the part, and one GET for each other part."""
    outcome = either_rig.restore(STORED, Latency(seconds=MINUTES_S, start=AT, attempt=1))
    assert outcome.succeeded().integrity == "checksum"
    asked = Counter(one.range[0] if one.range else -1 for one in outcome.gets)
    assert asked.pop(AT) == 2
    assert set(asked.values()) == {1}
    require_overtaken(*(one for one in outcome.gets if one.range and one.range[0] == AT))


def test_a_late_object_of_one_part_is_overtaken(either_rig: Rig) -> None:
    """A GET of a whole object is as safe to repeat as one of a range."""
    outcome = either_rig.restore(BODY[:5000], Latency(seconds=MINUTES_S, attempt=1))
    outcome.succeeded()
    require_overtaken(*outcome.gets)


def test_a_late_object_of_a_batch_is_overtaken(either_rig: Rig) -> None:
    """One twin for that object; all others are asked for once."""
    gets = restore_batch(either_rig, row(Latency(seconds=MINUTES_S, attempt=1)))
    asked = Counter(one.key.removeprefix("batch/") for one in gets)
    assert asked.pop(VICTIM) == 2
    assert set(asked.values()) == {1}
    require_overtaken(*(one for one in gets if one.key.endswith(VICTIM)))


def test_where_all_replies_are_late_few_get_twins(rig: Rig) -> None:
    """The budget pays for ten at first, and for one in twenty from then on."""
    gets = restore_batch(rig, Latency(seconds=3.0))
    assert COUNT < len(gets) <= COUNT + 10 + COUNT // 20


@pytest.mark.parametrize("way", ["part", "batch"])
@pytest.mark.parametrize("twin", [Status(code="SlowDown", attempt=2), CutHead(attempt=2)], ids=["503", "reset"])
def test_a_twin_that_fails_harms_nothing(rig: Rig, twin: Fault, way: str) -> None:
    """The original is waited for, and its reply is taken: there is no third request."""
    asked = restore(rig, way, Latency(seconds=4.0, attempt=1), twin)
    assert [one.attempt for one in asked] == [1, 2]


@pytest.mark.parametrize("way", ["part", "batch"])
def test_where_both_die_it_is_tried_again(rig: Rig, way: str) -> None:
    """As after any broken connection."""
    asked = restore(rig, way, Latency(seconds=3.0, attempt=1), CutHead(attempt=1), CutHead(attempt=2))
    assert [one.attempt for one in asked] == [1, 2, 3]


@pytest.mark.parametrize("way", ["part", "batch"])
def test_what_the_loser_sends_reaches_no_file(rig: Rig, way: str) -> None:
    """Its head comes in the middle of the twin's slow body, and its bytes are others: nothing is fetched again."""
    offset, bytes_per_s = (AT + 5, 300_000) if way == "part" else (5, 1000)
    slow = Drip(bytes_per_s=bytes_per_s, attempt=2)
    asked = restore(rig, way, Latency(seconds=3.0, attempt=1), FlipBit(offset=offset, attempt=1), slow)
    assert [one.attempt for one in asked] == [1, 2]


def test_no_twin_while_the_service_asks_for_less(rig: Rig) -> None:
    """A reply that is late beside a SlowDown is waited for."""
    gets = restore_batch(rig, row(Status(code="SlowDown", attempt=1), "000"), row(Latency(seconds=3.0, attempt=1)))
    assert sum(one.key.endswith(VICTIM) for one in gets) == 1
