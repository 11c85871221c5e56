"""Tells which part of which transfer is to be leased next: due retries first, then the others in order."""

from __future__ import annotations

import heapq
from collections import deque
from enum import Enum

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.limits import MIB
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.parttable import new_part_table
from bulkhaul.policy.patience import Patience

PROGRESS_BYTES = MIB
"""An attempt that brought this much (or a quarter of the part) was no failure: the path works, slowly or rudely."""


class Phase(Enum):
    """Where a transfer is; docs/architecture.md defines each."""

    ACTIVE = "active"
    VERIFYING = "verifying"
    FAILING = "failing"


class Transfer:
    """The parts of one object and how far they are.

    Attributes:
        lease_s: a lease without progress for this long is taken back.
        sends: the bytes go to the service.
        requests: how many requests a lease of it stands for.
        moved_bytes: bytes that are in place or were reported by leases that still run, each counted once.
        kept_bytes: those of them that are in place even if the transfer fails.
        next_index: parts before it were leased at least once, or are kept.
        fresh_parts: parts that nobody ever had.
        done: parts that are whole.
        leases: leases that workers hold.
        rejected: parts of it were found wrong once.
        patience: by index, of parts that have failed.
        error: what it fails with.
    """

    def __init__(self, layout: Layout, lease_s: float, *, sends: bool, requests: int = 1) -> None:
        self.layout = layout
        self.lease_s = lease_s
        self.sends = sends
        self.requests = requests
        self.moved_bytes = self.kept_bytes = 0
        self.n_parts = len(layout)
        self.table = new_part_table(self.n_parts)
        self.phase = Phase.ACTIVE
        self.next_index = 0
        self.fresh_parts = self.n_parts
        self.done = 0
        self.leases = 0
        self.retries = 0
        self.rejected = False
        self.patience: dict[int, Patience] = {}
        self.error: ErrorInfo | None = None

    def begin_with(self, kept: tuple[tuple[int, int], ...]) -> int:
        """Count parts as whole that an earlier run has left, (index, checksum); returns how many bytes they are."""
        for index, crc in kept:
            self.keep(index, self.layout[index].size_bytes, crc)
            self.moved_bytes += self.layout[index].size_bytes
        self.done = len(kept)
        self.fresh_parts = self.n_parts - self.done
        self._pass_kept()
        return self.moved_bytes

    def take_fresh(self) -> None:
        """Pass the first part that nobody ever had."""
        self.next_index += 1
        self.fresh_parts -= 1
        self._pass_kept()

    def _pass_kept(self) -> None:
        while self.next_index < self.n_parts and self.table[self.next_index]["bytes"]:
            self.next_index += 1

    def patience_with(self, index: int) -> Patience:
        """Return the failures of a part so far."""
        return self.patience.setdefault(index, Patience())

    def keep(self, index: int, received_bytes: int, crc: int) -> None:
        """So many more bytes of a part are in place; ``crc`` covers the part up to their end."""
        row = self.table[index]
        row["bytes"] = int(row["bytes"]) + received_bytes
        row["crc"] = crc

    def progresses(self, index: int, received_bytes: int) -> bool:
        """Whether an attempt that brought so much of a part was no failure."""
        return received_bytes >= min(PROGRESS_BYTES, self.layout[index].size_bytes // 4 + 1)

    def reject(self, index: int) -> int:
        """Begin a part anew whose bytes were wrong; returns how many they are."""
        row = self.table[index]
        rejected_bytes = int(row["bytes"])
        self.moved_bytes -= rejected_bytes
        row["bytes"], row["crc"] = 0, 0
        if (patience := self.patience.get(index)) is not None:
            patience.reject()
        self.done -= 1
        return rejected_bytes


class PartQueue:
    """Parts that nobody has.

    Attributes:
        fresh: transfers with parts that were never leased, in order.
    """

    def __init__(self, transfers: dict[int, Transfer]) -> None:
        """Take the transfers by number; parts of those that are gone or not active are left out."""
        self.fresh: deque[int] = deque()
        self._transfers = transfers
        self._retries: list[tuple[float, int, int]] = []  # heap of (not before, transfer, index)

    def retry(self, transfer: int, index: int, not_before_s: float) -> None:
        """Put a part back."""
        self._transfers[transfer].retries += 1
        heapq.heappush(self._retries, (not_before_s, transfer, index))

    @property
    def next_retry_s(self) -> float:
        """The instant of the first retry, infinite without one."""
        return self._retries[0][0] if self._retries else float("inf")

    @property
    def waiting(self) -> int:
        """How many requests nobody makes; those of transfers that are gone may be among them."""
        fresh = (self._transfers.get(transfer_id) for transfer_id in self.fresh)
        return len(self._retries) + sum(one.fresh_parts * one.requests for one in fresh if one is not None)

    def first(self, now_s: float) -> tuple[int, int, bool] | None:
        """Return (transfer, index, retried) of the part to lease next; it stays in the queue until ``take``."""
        while self._retries and self._retries[0][0] <= now_s:
            _, transfer_id, index = self._retries[0]
            if self._is_active(transfer_id):
                return transfer_id, index, True
            heapq.heappop(self._retries)
        while self.fresh:
            transfer_id = self.fresh[0]
            if self._is_active(transfer_id):
                return transfer_id, self._transfers[transfer_id].next_index, False
            self.fresh.popleft()
        return None

    def take(self, transfer: Transfer, *, retried: bool) -> None:
        """Remove the part that ``first`` has returned."""
        if retried:
            heapq.heappop(self._retries)
            return
        transfer.take_fresh()
        if transfer.next_index == transfer.n_parts:
            self.fresh.popleft()

    def _is_active(self, transfer_id: int) -> bool:
        transfer = self._transfers.get(transfer_id)
        return transfer is not None and transfer.phase is Phase.ACTIVE
