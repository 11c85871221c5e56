"""Decides which size each object of a benchmark has, from its place alone, and reads how people write such sizes.

A size is drawn by a hash of the seed and the object's place, so every process knows it, and no list of sizes is kept.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from statistics import NormalDist

from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.workloads import FixedSize, LogNormalSizes, Sizes, UniformSizes, WeightedSizes
from bulkhaul.policy.sizes import parse_size

MOST_BYTES = 1024 * MIB
"""Largest object of a benchmark: each worker keeps one body of that size in memory, and sends it by one PUT."""

FORMS = "64KiB, uniform:4KiB..1MiB, lognormal:1MiB,sigma=1.5 or weights:64KiB=80,16MiB=20"

CLASS_BOUNDS = (4 * KIB, 64 * KIB, MIB, 16 * MIB, 256 * MIB)
"""Sizes up to each of these, and those beyond the last, are measured apart: what a request costs grows by its size."""

CLASS_NAMES = ("up to 4 KiB", "4 to 64 KiB", "64 KiB to 1 MiB", "1 to 16 MiB", "16 to 256 MiB", "over 256 MiB")


def parse_sizes(text: str) -> Sizes:
    """Read sizes as people write them.

    >>> parse_sizes("64KiB")
    FixedSize(size_bytes=65536)
    >>> parse_sizes("uniform:4KiB..1MiB")
    UniformSizes(least_bytes=4096, most_bytes=1048576)
    >>> parse_sizes("lognormal:1MiB,σ=1.5").sigma
    1.5
    >>> parse_sizes("weights:64KiB=80,16MiB=20").choices
    ((65536, 80.0), (16777216, 20.0))

    Raises:
        UsageError: it is none of these, or a size is out of range.
    """
    kind, colon, rest = text.partition(":")
    try:
        if not colon:
            return FixedSize(_size(text))
        if kind == "uniform":
            least, dots, most = rest.partition("..")
            if dots and _size(least) <= _size(most):
                return UniformSizes(_size(least), _size(most))
        if kind == "lognormal":
            median, _, sigma = rest.partition(",")
            name, equals, number = sigma.partition("=")
            if equals and name.strip() in ("σ", "sigma", "s") and 0 <= float(number) <= 10 and _size(median):
                return LogNormalSizes(_size(median), float(number), MOST_BYTES)
        if kind == "weights":
            pairs = [one.partition("=") for one in rest.split(",")]
            choices = tuple((_size(size), float(weight)) for size, _, weight in pairs)
            if all(0 < weight < math.inf for _, weight in choices):
                return WeightedSizes(choices)
    except ValueError:
        pass
    raise UsageError(f"{text!r} is no size of objects; write it as {FORMS}")


def _size(text: str) -> int:
    """Return a size in bytes.

    Raises:
        UsageError: it is too large for a benchmark.
        ValueError: it is none.
    """
    size_bytes = parse_size(text.strip())
    if size_bytes > MOST_BYTES:
        raise UsageError(f"an object of a benchmark has at most 1 GiB, not {text}: it is sent by one PUT from memory")
    return size_bytes


def size_of(sizes: Sizes, seed: int, place: int) -> int:
    """Return the size of the object at a place, in bytes."""
    match sizes:
        case FixedSize():
            return sizes.size_bytes
        case UniformSizes():
            return sizes.least_bytes + int(_chance(seed, place) * (sizes.most_bytes - sizes.least_bytes + 1))
        case LogNormalSizes():
            drawn = NormalDist().inv_cdf(max(_chance(seed, place), 1e-12))
            return min(sizes.most_bytes, round(sizes.median_bytes * math.exp(min(sizes.sigma * drawn, 100.0))))
        case WeightedSizes():
            bounds = _bounds(sizes)
            drawn = bisect.bisect_right(bounds, _chance(seed, place) * bounds[-1])
            return sizes.choices[min(drawn, len(bounds) - 1)][0]  # a product may be rounded up to the last bound


def largest(sizes: Sizes) -> int:
    """Return the most bytes that an object can have."""
    match sizes:
        case FixedSize():
            return sizes.size_bytes
        case WeightedSizes():
            return max(size_bytes for size_bytes, _ in sizes.choices)
        case UniformSizes() | LogNormalSizes():
            return sizes.most_bytes


def class_of(size_bytes: int) -> int:
    """Return the place in ``CLASS_NAMES`` of a size.

    >>> [class_of(size) for size in (0, 4096, 4097, 1 << 20, 1 << 40)]
    [0, 0, 1, 2, 5]
    """
    return bisect.bisect_left(CLASS_BOUNDS, size_bytes)


@functools.lru_cache(maxsize=8)
def _bounds(sizes: WeightedSizes) -> list[float]:
    return list(itertools.accumulate(weight for _, weight in sizes.choices))


def _chance(seed: int, place: int) -> float:
    """Return a number in [0, 1) that looks drawn by chance.

    Source: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    """
    mask = (1 << 64) - 1
    state = (seed * 0xD1342543DE82EF95 + (place + 1) * 0x9E3779B97F4A7C15) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return float((state ^ (state >> 31)) >> 11) / (1 << 53)
