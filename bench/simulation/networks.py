"""The six modelled networks and the three workloads, as numbers and what they are taken from. Knows no events."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from random import Random

KIB = 1024
MIB = 1024 * KIB
PART_BYTES = 16 * MIB
OBJECT_BYTES = 64 * KIB
FIRST_FLIGHT_BYTES = 10 * 1460
"""What a fresh TCP connection sends before the first acknowledgement. Source: RFC 6928."""


@dataclass(frozen=True, slots=True)
class Network:
    """A service, the way to it, and the machine in front of it.

    Attributes:
        rtt_s: of the path; a fresh connection takes ``connect_rtts`` of it and then starts slowly.
        latency_s: median time to first byte of a request on an open connection.
        spread: σ of the time to first byte's logarithm.
        connection_bytes_per_s: the most that one connection carries.
        shared_bytes_per_s: the most that all carry together.
        limit_per_s: requests beyond are answered 503; None for no limit. A bucket of ``burst`` fills at this rate.
        tail: share of replies that take ``tail_s``.
        workers: processes of the client, a core each.
        request_cpu_s: CPU time of a request in its worker.
        crowding: each request in flight beyond 8 costs this share more CPU, and as much of the shared rate.
    """

    name: str
    rtt_s: float
    latency_s: float
    spread: float
    connection_bytes_per_s: float
    shared_bytes_per_s: float
    connect_rtts: int = 2
    limit_per_s: float | None = None
    burst: float = 100.0
    tail: float = 0.0
    tail_s: float = 2.0
    workers: int = 2
    request_cpu_s: float = 150e-6
    crowding: float = 0.0

    def first_byte_s(self, rng: Random) -> float:
        """Return a time to first byte; with a tail, now and then a long one."""
        if self.tail and rng.random() < self.tail:
            return self.tail_s
        return self.latency_s * math.exp(self.spread * rng.gauss(0.0, 1.0))

    def slow_start_s(self, size_bytes: int) -> float:
        """Return what the first body of a fresh connection takes longer, doubling its flight each round trip."""
        flight_bytes = min(self.connection_bytes_per_s * self.rtt_s, float(size_bytes))
        if flight_bytes <= FIRST_FLIGHT_BYTES:
            return 0.0
        return self.rtt_s * math.log2(flight_bytes / FIRST_FLIGHT_BYTES)

    def crowd(self, in_flight: int) -> float:
        """Return how many times dearer everything is with so many requests in flight."""
        return 1.0 + self.crowding * max(0, in_flight - 8)


IN_REGION = Network(
    # 20 to 40 ms are the 5th and the 95th percentile; 80 MB/s a connection. Source: S3 performance guidelines.
    "S3 in region", 0.001, 0.0283, 0.21, 80e6, 12.5e9, workers=8, request_cpu_s=150e-6,
)  # fmt: skip

NETWORKS = {
    "loopback": Network("loopback", 0.00005, 0.0002, 0.2, 2.5e9, 2.5e9, crowding=0.005),
    "lan": Network("LAN", 0.0002, 0.001, 0.2, 1.25e9, 1.25e9),
    "s3": IN_REGION,
    "wan": Network("WAN", 0.150, 0.160, 0.05, 125e6, 125e6),
    "slowdown": replace(IN_REGION, name="SlowDown above 500/s", limit_per_s=500.0),
    "tails": replace(IN_REGION, name="tails", tail=0.01),
}


@dataclass(frozen=True, slots=True)
class Workload:
    """What is fetched, without an end; the same for every seed, so that chance in the mixture is no regret.

    Attributes:
        sizes_bytes: of the requests, over and over.
    """

    name: str
    sizes_bytes: tuple[int, ...]


WORKLOADS = {
    "parts": Workload("parts of 16 MiB", (PART_BYTES,)),
    "objects": Workload("objects of 64 KiB", (OBJECT_BYTES,)),
    "mixture": Workload("one part to 16 objects", (PART_BYTES, *(OBJECT_BYTES,) * 16)),
}
