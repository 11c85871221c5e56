"""Turns a worker's report into what the state machine hears of it."""

from __future__ import annotations

from bulkhaul.engine.messages.messages import Report
from bulkhaul.policy.events import Heard


def heard(worker: int, report: Report) -> Heard:
    """Return the sign of life that a report is, with all that it tells of leases under way."""
    load = report.load
    return Heard(
        worker,
        tuple(report.reached),
        tuple(report.through),
        report.heads,
        report.ttfb_sum_s,
        share=None if load is None else load.share,
        lag_s=0.0 if load is None else load.lag_s,
    )
