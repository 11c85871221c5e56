"""What limited a run is told from what its requests waited for; each limit has a case that is nothing else."""

from __future__ import annotations

import msgspec
import pytest

from bulkhaul.policy.limits import Observed, limit_of

CALM = Observed(
    requests=10_000,
    failed=0,
    throttled=0,
    refusal="",
    connections=16,
    first_byte_s=0.0305,
    body_s=0.0005,
    disk_s=0,
    disk_busy=0,
    queued_s=0,
    queue_grows=False,
    bytes_per_s=33e6,
    body_bytes_per_s=0,
    busiest="worker 1",
    largest_cpu=0.06,
    largest_starved=0.01,
    latest="worker 0",
    lag_s=0.001,
    client_cpu=0.09,
    machine_cpu=0.2,
    cores=4,
    machine_cores=4,
    floor_first_byte_s=0.030,
)
"""16 connections to a store 30 ms away, and nothing else in the way."""


BODIES = {"body_s": 0.2, "floor_connection_bytes_per_s": 60e6}
"""Most of the time goes to bodies, and one connection alone brings 60 MB/s."""

DISK = {"written_bytes_per_s": 90e6, "floor_disk_bytes_per_s": 100e6}
"""A worker writes nearly as fast as writes alone were."""

LOSSES = {"segments": 20_000, "retransmits": 600}

REFUSED = {"refusal": "503 SlowDown"}


def told(**fields: object) -> tuple[str, str]:
    """Return the name and the sentence of a run that differs from the calm one."""
    name, sentence, shares = limit_of(msgspec.structs.replace(CALM, **fields))
    assert sum(shares.values()) == pytest.approx(1, abs=0.01) or not CALM.requests
    return name, sentence


def test_first_byte() -> None:
    """Nearly all of the time is waiting, and the client is idle: more connections help, until it is full."""
    name, sentence = told()
    assert name == "first byte"
    assert "98 % of the time" in sentence
    # 0.09 of 4 cores for 16 connections: 0.85 * 4 / 0.09 times as many would fill them, were others not busy, too.
    assert "up to about 300" in sentence


def test_a_store_that_is_asked_too_much() -> None:
    """The first byte comes far later than over one idle connection: more connections only wait longer."""
    name, sentence = told(first_byte_s=0.2)
    assert name == "first byte"
    assert "more connections would only wait longer" in sentence


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"machine_cpu": 3.9}, "this machine has no CPU left for more: the client took 0.1 cores and others 3.8 of 4"),
        ({"client_cpu": 3.0, "machine_cpu": 3.0, "machine_cores": 8}, "the client has no CPU left for more"),
        ({"connections": 9900}, "there are 9900 already"),
        ({"floor_sockets_bytes_per_s": 30 << 20}, "they bring 31.5 MiB/s, several sockets alone brought 30.0 MiB/s"),
    ],
)
def test_why_more_connections_would_not_help(fields: dict[str, object], why: str) -> None:
    """What is full already is named, and who fills it."""
    name, sentence = told(**fields)
    assert name == "first byte"
    assert sentence.endswith(f"; more connections would not help, as {why}")


@pytest.mark.parametrize(
    ("fields", "name", "words"),
    [
        ({**BODIES, "body_bytes_per_s": 58e6}, "connection rate", "its body"),
        ({**BODIES, "body_bytes_per_s": 8e6}, "network", "all connections share"),
        ({"body_s": 0.2, "disk_s": 0.15, "disk_busy": 0.9}, "disk", "90 % of its time"),
        ({"largest_cpu": 0.97, "client_cpu": 1.2}, "client CPU", "worker 1, took 97 % of a core"),
        ({"busiest": "coordinator", "largest_cpu": 0.97}, "client CPU", "coordinator, took 97 % of a core"),
        ({"busiest": "coordinator", "largest_cpu": 0.97}, "client CPU", "a faster core would help"),
        ({"largest_cpu": 0.9, "client_cpu": 3.5}, "client CPU", "3.5 of 4"),
        ({"machine_cpu": 3.9, "first_byte_s": 0.2}, "machine CPU", "others 3.8"),
        ({"machine_cpu": 3.9, **BODIES, "body_bytes_per_s": 8e6}, "machine CPU", "others 3.8"),
        ({"machine_cpu": 3.9, "largest_starved": 0.9}, "machine CPU", "others 3.8"),
        ({"machine_cpu": 3.9}, "first byte", "waiting for it"),
        ({"machine_cpu": 3.9, "floor_first_byte_s": 0.0}, "machine CPU", "others 3.8"),
        ({**REFUSED, "throttled": 500, "failed": 500}, "throttling", "5 % of the requests with 503 SlowDown"),
        ({**REFUSED, "throttled": 40_000, "failed": 40_000}, "throttling", "80 % of the requests with 503 SlowDown"),
        ({**REFUSED, "throttled": 1000, "failed": 20_000}, "failures", "67 % of the requests failed"),
        ({"failed": 20_000}, "failures", "67 % of the requests failed"),
        ({"rate": 200.0, "queued_s": 0.0001}, "rate asked for", "200 requests a second"),
        ({"rate": 900.0, "queued_s": 2.0, "queue_grows": True}, "rate not held", "98 % of the time of a request"),
        ({"lag_s": 0.02}, "event loop", "that of worker 0 comes 20 ms late on average, a request takes 31 ms"),
        ({"lag_s": 0.02, "machine_cpu": 3.9}, "machine CPU", "others 3.8"),
        ({"lag_s": 0.01}, "first byte", "waiting for it"),
        ({"first_byte_s": 0.001, "lag_s": 0.002}, "first byte", "waiting for it"),
        ({"rate": 200.0, "lag_s": 0.02}, "event loop", "worker 0"),
        ({**DISK, "disk_busy": 0.3}, "disk", "its time and writes 85.8 MiB/s, where writes alone came to 95.4 MiB/s"),
        ({**DISK, "disk_busy": 0.1}, "first byte", "waiting for it"),
        ({**DISK, "disk_busy": 0.3, "written_bytes_per_s": 900e6}, "first byte", "waiting for it"),
        ({**DISK, "disk_busy": 0.3, "written_bytes_per_s": 40e6}, "first byte", "waiting for it"),
        (LOSSES, "network", "3 % of the TCP segments that the client sent"),
        ({"segments": 20_000, "retransmits": 100}, "first byte", "waiting for it"),
        ({"segments": 100, "retransmits": 9}, "first byte", "waiting for it"),
        ({**LOSSES, "rate": 200.0}, "rate asked for", "200 requests a second"),
        ({**LOSSES, "rate": 900.0, "queued_s": 2.0}, "network", "3 % of the TCP segments"),
        ({"requests": 0}, "unknown", "no request ended"),
    ],
)  # fmt: skip
def test_each_limit(fields: dict[str, object], name: str, words: str) -> None:
    """One thing is in the way, and it is named."""
    found, sentence = told(**fields)
    assert found == name
    assert words in sentence
