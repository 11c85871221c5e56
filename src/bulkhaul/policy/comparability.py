"""Decides whether two benchmarks asked the same of a store, so that their numbers may be set side by side."""

from __future__ import annotations

from collections.abc import Sequence

from bulkhaul.model.workloads import Operation, Workload
from bulkhaul.policy.object_sizes import parse_sizes
from bulkhaul.policy.sizes import parse_size

RECORDED = "recorded"
"""The size of a workload that was read from an op-log: nobody said it, it follows from what was moved."""

_SHARES_APART = 0.05
"""Shares of an operation may differ by so much: those of an op-log follow from what happened."""

_SIZES_APART = 0.10
"""Mean sizes may differ by so much, where one was recorded."""

_MINOR = ("objects", "prefixes", "order", "compressible", "seed")
"""What else differs is told, not refused: it matters, but a change of it may be what is compared."""


def why_not(
    base: Workload,
    other: Workload,
    base_bytes: dict[Operation, float],
    other_bytes: dict[Operation, float],
) -> list[str]:
    """Return why two benchmarks cannot be compared; empty if they can.

    Args:
        base_bytes, other_bytes: operation → mean bytes that a request moved.
    """
    reasons = []
    shares, others = _shares(base), _shares(other)
    if any(abs(shares.get(name, 0) - others.get(name, 0)) > _SHARES_APART for name in shares.keys() | others.keys()):
        reasons.append(f"operations differ: {_mix_text(shares)} and {_mix_text(others)}")
    if RECORDED in (base.size, other.size):
        for name in sorted(base_bytes.keys() & other_bytes.keys()):
            a, b = base_bytes[name], other_bytes[name]
            if abs(a - b) > _SIZES_APART * max(a, b):
                reasons.append(f"sizes differ: {name} moves {a:.0f} and {b:.0f} bytes a request")
    else:
        if parse_sizes(base.size) != parse_sizes(other.size):
            reasons.append(f"sizes differ: {base.size} and {other.size}")
        if _range_bytes(base) != _range_bytes(other):
            reasons.append(f"ranges differ: {base.range or 'whole objects'} and {other.range or 'whole objects'}")
    if base.rate != other.rate:
        reasons.append(f"rates differ: {_rate_text(base)} and {_rate_text(other)}")
    return reasons


def told_apart(
    base: Workload, other: Workload, base_in_flight: Sequence[int], other_in_flight: Sequence[int]
) -> list[str]:
    """Return what else differs between two benchmarks: whoever compares may have changed it on purpose.

    Args:
        base, other: of results, so ``folder`` is what bodies were written to: ``a folder``, ``a pipe``.
        base_in_flight, other_in_flight: requests in flight at most, each number that a run had once, in order.
    """
    told = []
    if base_in_flight != other_in_flight:
        text = f"requests in flight: {_numbers(base_in_flight)} and {_numbers(other_in_flight)}"
        found = not base.concurrency or not other.concurrency
        told.append(f"{text}; nobody said how many: give both the same --concurrency" if found else text)
    if RECORDED not in (base.size, other.size):
        pairs = ((name, getattr(base, name), getattr(other, name)) for name in _MINOR)
        told += [f"{name}: {a} and {b}" for name, a, b in pairs if a != b]
    if base.folder != other.folder:
        told.append(f"bodies: {_bodies_text(base)} and {_bodies_text(other)}")
    return told


def _shares(workload: Workload) -> dict[Operation, float]:
    total = sum(workload.mix.values())
    return {name: weight / total for name, weight in workload.mix.items() if weight > 0}


def _mix_text(shares: dict[Operation, float]) -> str:
    if len(shares) == 1:
        return next(iter(shares))
    return ",".join(f"{name}={100 * share:.0f}" for name, share in sorted(shares.items()))


def _range_bytes(workload: Workload) -> int:
    return parse_size(workload.range) if workload.range else 0


def _bodies_text(workload: Workload) -> str:
    return f"written to {workload.folder}" if workload.folder else "thrown away"


def _numbers(several: Sequence[int]) -> str:
    return ", ".join(map(str, several))


def _rate_text(workload: Workload) -> str:
    return f"{workload.rate:g} requests/s" if workload.rate else "as many as are answered"


__all__ = ["RECORDED", "told_apart", "why_not"]
