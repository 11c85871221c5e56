"""How far away the server is, and what it counts. Does nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distance:
    """How far away the server is.

    Attributes:
        latency_s: from the last byte of a request to the first of its reply.
        jitter_s: to this is added a random time between 0 and this.
        bytes_per_s: most that a connection carries, each way.
        late_share: of the replies that begin later by ``late_s``, at random.
    """

    latency_s: float
    jitter_s: float
    bytes_per_s: float
    late_share: float = 0.0
    late_s: float = 0.0


@dataclass(slots=True)
class Counters:
    """What happened since the server started.

    Attributes:
        late_s: by how much all replies together began later than they should; else than the server's own
            slowness, it shows that of a machine whose cores are taken.
        latest_s, most_connections, most_waiting: peaks since the last look at these counters.
        accepted: connections that were ever opened.
    """

    requests: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    connections: int = 0
    most_connections: int = 0
    most_waiting: int = 0
    late_s: float = 0.0
    latest_s: float = 0.0
    accepted: int = 0

    def begin_peaks(self) -> None:
        """Forget the peaks."""
        self.latest_s, self.most_waiting, self.most_connections = 0.0, 0, self.connections
