"""Defines what the report of a job tells of the job beside its rows."""

from __future__ import annotations

import msgspec


class ReportedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as far as its report tells of it; what is empty is not told.

    Attributes:
        name: where the job lies, as ``job retry`` takes it.
        kind: what it does: copy, restore, verify, delete.
        source, destination: as they were given.
        planned: rows of each plan, by its number; empty where nobody counted them.
        planning: the first plan is not whole yet, so that ``planned`` still grows.
        written_s: when the report is written, in seconds since the epoch.
    """

    name: str = ""
    kind: str = ""
    source: str = ""
    destination: str = ""
    planned: dict[int, int] = msgspec.field(default_factory=dict)
    planning: bool = False
    written_s: float = 0.0
