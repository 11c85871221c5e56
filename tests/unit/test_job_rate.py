"""How fast a job goes: by its last minute, whatever its pauses."""

from __future__ import annotations

import pytest

from bulkhaul.policy.job_rate import Rate, Span, rate, seconds_left


def test_pauses_do_not_count() -> None:
    """A job that was stopped for days goes as fast as in its last minute."""
    day_s = 86_400.0
    spans = [Span(1.0, 101.0, 1000, 1000), Span(day_s, day_s + 60, 600, 6000)]
    assert rate(spans) == Rate(10.0, 100.0)


def test_a_short_job_is_not_infinitely_fast() -> None:
    """What ended within an instant is measured over a second."""
    assert rate([Span(5.0, 5.0, 7, 70)]) == Rate(7.0, 70.0)


def test_nothing_is_known_at_the_beginning() -> None:
    """Without any row there is no rate and no time, and where nothing is left there is no wait."""
    assert rate([]) == Rate()
    assert seconds_left(Rate(), rows=5, size_bytes=5) is None
    assert seconds_left(Rate(), rows=0, size_bytes=0) == 0.0


@pytest.mark.parametrize(("rows", "size_bytes", "seconds"), [(100, 0, 10.0), (100, 5000, 50.0), (1000, 5000, 100.0)])
def test_what_takes_longer_counts(rows: int, size_bytes: int, seconds: float) -> None:
    """Many small objects are counted by rows, few large ones by bytes."""
    assert seconds_left(Rate(10.0, 100.0), rows=rows, size_bytes=size_bytes) == seconds
