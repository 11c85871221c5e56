"""Collects what one turn of the loop has leased and sends it: many small objects then share a frame."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator

from bulkhaul.engine.messages.messages import LONGEST_BYTES, AnyLease, Leases
from bulkhaul.engine.pool.batch_job import Job
from bulkhaul.model.errors import ErrorInfo, TransferError

MAX_LEASES = 48
"""Leases of one frame at most; fewer where they are long."""

NUMBERS_BYTES = 64
"""By how much the numbers in a lease may be longer than those of its template."""


class Outbox:
    """New leases, by worker. Their descriptors stay open until they are sent: a job ends only when its leases have."""

    def __init__(
        self,
        *,
        send: Callable[[int, Leases, list[int]], None],
        on_unsent: Callable[[int, int, ErrorInfo], None],
        guard: Callable[[Callable[..., object]], Callable[..., object]],
    ) -> None:
        """Take what is called.

        Args:
            send: sends a worker a message with descriptors, or raises TransferError.
            on_unsent: called with the worker, the lease and the error of each lease that could not be sent.
            guard: wraps what the loop calls.
        """
        self._send = send
        self._on_unsent = on_unsent
        self._loop = asyncio.get_running_loop()
        self._flush = guard(self._send_all)
        self._leases: dict[int, list[tuple[AnyLease, Job]]] = defaultdict(list)

    def put(self, worker: int, lease: AnyLease, job: Job) -> None:
        """Send a lease at the end of this turn of the loop."""
        if not self._leases:
            self._loop.call_soon(self._flush)
        self._leases[worker].append((lease, job))

    def _send_all(self) -> None:
        outgoing, self._leases = self._leases, defaultdict(list)
        for worker, leases in outgoing.items():
            for some in _framed(leases):
                try:
                    self._send(worker, Leases([lease for lease, _ in some]), [job.fd for _, job in some])
                except TransferError as error:  # of these leases alone; the others still go out
                    for lease, _ in some:
                        self._on_unsent(worker, lease.lease, error.info)


def _framed(leases: list[tuple[AnyLease, Job]]) -> Iterator[list[tuple[AnyLease, Job]]]:
    """Cut leases so that each piece fits a frame."""
    piece: list[tuple[AnyLease, Job]] = []
    length = 0
    for lease, job in leases:
        most_bytes = job.lease_bytes + NUMBERS_BYTES
        if piece and (length + most_bytes > LONGEST_BYTES or len(piece) == MAX_LEASES):
            yield piece
            piece, length = [], 0
        piece.append((lease, job))
        length += most_bytes
    if piece:
        yield piece
