"""Histograms of latencies: exact to three digits, and merged without loss."""

from __future__ import annotations

import sys

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.benchmark.latencies import decoded, histogram, latencies, merged, record
from bulkhaul.benchmark.results import Latencies
from bulkhaul.model.errors import UsageError

HOUR_NS = 3_600 * 10**9


def measured(took_ns: npt.NDArray[np.int64]) -> Latencies:
    """Return the latencies of some requests."""
    counted = histogram()
    record(counted, took_ns)
    return latencies(counted)


def drawn(count: int, median_ms: float, seed: int) -> npt.NDArray[np.int64]:
    """Return times with a long tail, int64[count], in ns."""
    return (np.random.default_rng(seed).lognormal(np.log(median_ms * 1e6), 1.0, count)).astype(np.int64)


@pytest.mark.parametrize("median_ms", [0.05, 3.0, 700.0, 60_000.0])
def test_percentiles_are_those_of_the_values_to_three_digits(median_ms: float) -> None:
    """Each differs from the percentile of the values themselves by a thousandth at most, or by a microsecond."""
    took_ns = drawn(50_001, median_ms, seed=1)
    told = measured(took_ns)
    capped_ms = np.minimum(took_ns, HOUR_NS) / 1e6
    for percentile, value_ms in ((50, told.p50_ms), (90, told.p90_ms), (99, told.p99_ms), (99.9, told.p999_ms)):
        true_ms = float(np.percentile(capped_ms, percentile, method="inverted_cdf"))
        assert value_ms == pytest.approx(true_ms, rel=1e-3, abs=1e-3)
    assert told.mean_ms == pytest.approx(float(capped_ms.mean()), rel=1e-4)
    assert told.max_ms == pytest.approx(float(capped_ms.max()), rel=1e-3)
    assert told.count == 50_001


@given(st.lists(st.lists(st.integers(0, 2 * HOUR_NS), max_size=30), max_size=5))
def test_merged_is_the_same_as_counted_together(parts: list[list[int]]) -> None:
    """However requests were spread over workers and runs, nothing is lost, not even a count of the histogram."""
    together = measured(np.array([value for part in parts for value in part], dtype=np.int64))
    apart = merged(measured(np.array(part, dtype=np.int64)) for part in parts)
    assert apart == together
    assert list(decoded(apart).counts) == list(decoded(together).counts)


def test_latencies_are_the_same_after_a_file() -> None:
    """What result.json holds is what the histogram said: read, merged with nothing and written again, it is equal."""
    told = measured(drawn(10_000, 20.0, seed=2))
    read = msgspec.json.decode(msgspec.json.encode(told), type=Latencies)
    assert read == told == latencies(decoded(read)) == merged([read])


def test_nothing_counted_is_nothing() -> None:
    """No request gives zeros, whether it was counted or merged."""
    told = measured(np.array([], dtype=np.int64))
    assert msgspec.structs.astuple(told)[:-1] == (0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert merged([]) == told


def test_what_is_out_of_range_counts_at_its_end() -> None:
    """A request of no time, or one longer than an hour, is a request."""
    told = measured(np.array([0, 400, 5 * HOUR_NS], dtype=np.int64))
    assert told.count == 3
    assert told.p50_ms == 0.001
    assert told.max_ms == pytest.approx(HOUR_NS / 1e6, rel=1e-3)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no hdrhistogram is told how to get it."""
    monkeypatch.setitem(sys.modules, "hdrh", None)  # so it cannot be imported
    with pytest.raises(UsageError, match=r"this needs hdrh; pip install 'bulkhaul\[bench\]'"):
        histogram()


@pytest.mark.parametrize("damage", ["cut", "changed", "no ASCII", "another's"])
def test_a_damaged_histogram_is_told_as_such(damage: str) -> None:
    """Text that was cut or changed in a file, and the histogram of other requests, are refused."""
    told = measured(drawn(1000, 20.0, seed=3))
    text = told.histogram
    texts = {
        "cut": text[: len(text) // 2],
        "changed": text[:40] + ("B" if text[40] == "A" else "A") + text[41:],
        "no ASCII": "é" + text[1:],
        "another's": measured(drawn(999, 20.0, seed=3)).histogram,
    }
    with pytest.raises(UsageError, match="the result is damaged: a histogram of it"):
        merged([msgspec.structs.replace(told, histogram=texts[damage])])
