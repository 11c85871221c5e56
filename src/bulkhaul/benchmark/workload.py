"""Checks a workload as a whole, and says what of it the objects must be."""

from __future__ import annotations

import math

from bulkhaul.model.errors import UsageError
from bulkhaul.model.workloads import OPERATIONS, ObjectTable, Workload
from bulkhaul.policy.object_sizes import parse_sizes
from bulkhaul.policy.sizes import parse_size

MOST_OBJECTS = 1 << 31
"""The number of a prepared object has 31 bits in what workers record."""

MOST_PREFIXES = 1 << 16
"""The name of a folder has four hexadecimal digits."""


def checked(workload: Workload) -> Workload:
    """Return a workload that makes sense.

    Raises:
        UsageError: a field does not; the message names it.
    """
    if not workload.mix or not any(workload.mix.values()):
        raise UsageError(f"the mix is empty; give an operation a weight, of {', '.join(OPERATIONS)}")
    for operation, weight in workload.mix.items():
        if not 0 <= weight < math.inf:
            raise UsageError(f"the weight of {operation} must be a number from 0 on, not {weight}")
    _within("objects", workload.objects, 1, MOST_OBJECTS)
    _within("prefixes", workload.prefixes, 1, MOST_PREFIXES)
    _within("duration_s", workload.duration_s, 1, 7 * 24 * 3600)
    _within("concurrency", workload.concurrency, 0, 10_000)
    _within("rate", workload.rate, 0, 1e6)
    _within("repeat", workload.repeat, 1, 1000)
    _within("compressible", workload.compressible, 1, 1000)
    if workload.rate and drains(workload):
        raise UsageError("deletions alone have no rate: each prepared object is deleted once; leave the rate out")
    parse_sizes(workload.size)
    range_bytes(workload)
    return workload


def table_of(workload: Workload) -> ObjectTable:
    """Return the objects that a workload needs."""
    return ObjectTable(workload.objects, parse_sizes(workload.size), workload.prefixes, workload.seed)


def weights_of(workload: Workload) -> tuple[float, ...]:
    """Return the weight of each operation of ``OPERATIONS``."""
    return tuple(float(workload.mix.get(operation, 0)) for operation in OPERATIONS)


def range_bytes(workload: Workload) -> int:
    """Return the length of ranged GETs, 0 for whole objects.

    Raises:
        UsageError: it is no size.
    """
    try:
        return parse_size(workload.range) if workload.range else 0
    except ValueError as error:
        raise UsageError(f"range: {error}") from error


def needs_objects(workload: Workload) -> bool:
    """Return whether objects have to be there before: all but a benchmark of nothing but PUTs."""
    return any(weight for operation, weight in workload.mix.items() if operation != "put")


def drains(workload: Workload) -> bool:
    """Return whether nothing is done but deleting: then each prepared object is deleted once, and that is the end."""
    return all(operation == "delete" for operation, weight in workload.mix.items() if weight)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UsageError(f"{name} must be {least:g} to {most:g}, not {value:g}")
