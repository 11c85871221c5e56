"""Computes Student's t distribution: how far the mean of a few values may be off by chance."""

from __future__ import annotations

import functools
import math

_STEPS = 300
_PRECISION = 1e-10


@functools.lru_cache(maxsize=256)
def quantile(probability: float, freedom: float) -> float:
    """Return the value below which Student's t lies with a probability.

    Args:
        probability: above 0.5 and below 1.
        freedom: degrees of freedom, above 0; need not be whole.

    >>> round(quantile(0.975, 4), 3), round(quantile(0.975, 1e6), 3)
    (2.776, 1.96)
    """
    low, high = 0.0, 1.0
    while _below(high, freedom) < probability:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if _below(middle, freedom) < probability:
            low = middle
        else:
            high = middle
        if high - low <= _PRECISION * high:
            break
    return high


def _below(value: float, freedom: float) -> float:
    """Return how probable it is that t lies below a value of at least 0."""
    return 1 - _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + value * value)) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function.

    Source: DLMF 8.17.22, the continued fraction, evaluated as Lentz does it; 8.17.4, the symmetry.
    """
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, _STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + term * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + term / c
            c = c if abs(c) > tiny else tiny
            fraction *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return front * fraction
