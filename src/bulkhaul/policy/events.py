"""Defines what goes into the transfer state machine (events) and what comes out of it (instructions).

Workers, transfers and leases are named by integers, and none of them is used twice.
"""

from __future__ import annotations

import msgspec

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy.layout import Layout


class WorkerReady(msgspec.Struct, frozen=True):
    """A worker has started and takes leases."""

    worker: int


class WorkerLost(msgspec.Struct, frozen=True):
    """A worker is dead, so it can no longer touch a file.

    Attributes:
        blameless: it worked well until it was ended, so its death says nothing about the parts that it held.
    """

    worker: int
    reason: str
    blameless: bool = False


class TransferAdded(msgspec.Struct, frozen=True):
    """Planned bytes whose file is ready to receive or to give them.

    Attributes:
        lease_s: a lease without any progress for this long is taken back; 0 for ``Timeouts.lease_s``.
        sends: the bytes go to the service, so their progress does not show that it answers.
        requests: how many requests its one lease stands for; more than one for a batch of small objects.
        kept: (index, checksum) of the parts that are in the file already, as an earlier run has left them.
    """

    transfer: int
    layout: Layout
    lease_s: float = 0.0
    sends: bool = False
    requests: int = 1
    kept: tuple[tuple[int, int], ...] = ()


class Heard(msgspec.Struct, frozen=True):
    """A worker spoke.

    Attributes:
        reached: (lease, bytes received so far) of its active leases.
        through: (lease, objects that have arrived so far) of batches among them.
        heads: replies that have begun since it last spoke.
        ttfb_sum_s: their times to first byte, added up.
        share: of a CPU that it has used since its last heartbeat; None between heartbeats.
        lag_s: how late its loop came to this one.
    """

    worker: int
    reached: tuple[tuple[int, int], ...] = ()
    through: tuple[tuple[int, int], ...] = ()
    heads: int = 0
    ttfb_sum_s: float = 0.0
    share: float | None = None
    lag_s: float = 0.0


class PartDone(msgspec.Struct, frozen=True):
    """A lease is fulfilled and let go: ``received_bytes`` of it arrived, ``crc`` covers the part up to its end.

    Attributes:
        answered: requests that the service has done what they asked for.
    """

    worker: int
    lease: int
    received_bytes: int
    crc: int
    answered: int = 1


class PartFailed(msgspec.Struct, frozen=True):
    """A lease is let go unfulfilled; the first ``received_bytes`` of it are in place, covered by ``crc``.

    Attributes:
        answered: requests of a batch that the service has done what they asked for.
        failures: requests that have failed like this.
        left: requests that are still to be made.
        kept_bytes: of ``received_bytes``, those of objects that stay at their destinations whatever becomes of others.
    """

    worker: int
    lease: int
    received_bytes: int
    crc: int
    error: ErrorInfo
    answered: int = 0
    failures: int = 1
    left: int = 1
    kept_bytes: int = 0


class PartsRejected(msgspec.Struct, frozen=True):
    """Verification found these parts (indices) to be wrong; they are fetched once more."""

    transfer: int
    indices: tuple[int, ...]
    error: ErrorInfo


class TransferClosed(msgspec.Struct, frozen=True):
    """A transfer that was handed over for verification has ended; ``kept`` if its bytes are at their destination.

    Attributes:
        lost_bytes: bytes of objects of a batch that are not at theirs.
    """

    transfer: int
    kept: bool
    lost_bytes: int = 0


class TransferAborted(msgspec.Struct, frozen=True):
    """A transfer must stop: cancelled, or its temp file is gone."""

    transfer: int
    error: ErrorInfo


class CredentialsReplaced(msgspec.Struct, frozen=True):
    """Every worker has the credentials of this generation."""

    generation: int


class Tick(msgspec.Struct, frozen=True):
    """Time has passed."""


Event = (
    WorkerReady
    | WorkerLost
    | TransferAdded
    | Heard
    | PartDone
    | PartFailed
    | PartsRejected
    | TransferClosed
    | TransferAborted
    | CredentialsReplaced
    | Tick
)


class Assign(msgspec.Struct, frozen=True):
    """Lease ``[start, end)`` of the object to a worker; ``crc`` covers what comes before in the same part.

    Attributes:
        single: requests of a batch are made one after the other.
    """

    worker: int
    lease: int
    transfer: int
    index: int
    start: int
    end: int
    crc: int
    attempt: int
    single: bool = False


class Retry(msgspec.Struct, frozen=True):
    """Tell that a part which has failed is tried again after ``wait_s``, or when the endpoint is back."""

    transfer: int
    index: int
    error: ErrorInfo
    wait_s: float


class Revoke(msgspec.Struct, frozen=True):
    """Ask a worker to let go of a lease; it answers PartDone or PartFailed."""

    worker: int
    lease: int


class Resize(msgspec.Struct, frozen=True):
    """Have a worker serve leases over so many connections from now on; what it has begun ends first.

    Attributes:
        often: have it report more often than with each heartbeat: the window looks for its size.
    """

    worker: int
    connections: int
    often: bool = False


class Kill(msgspec.Struct, frozen=True):
    """Kill a worker; WorkerLost follows when it is reaped."""

    worker: int
    reason: str


class Spawn(msgspec.Struct, frozen=True):
    """Start another worker."""


class RefreshCredentials(msgspec.Struct, frozen=True):
    """Credentials of ``generation`` have expired: get new ones, once."""

    generation: int


class HandOver(msgspec.Struct, frozen=True):
    """Every part has arrived and no lease is out: check and publish."""

    transfer: int


class Fail(msgspec.Struct, frozen=True):
    """The transfer has failed and no lease is out: its temp file can go."""

    transfer: int
    error: ErrorInfo


Instruction = Assign | Resize | Revoke | Kill | Spawn | RefreshCredentials | HandOver | Fail | Retry
