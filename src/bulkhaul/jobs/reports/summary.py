"""Adds up the rows of a report: what succeeded, what failed and why, how fast.

    Tally.add(row) for each row ─▶ Tally.summary(planned)

A retry plans the failed rows once more, as the next plan of the same job. So an object may have a row in each plan, and
the last one counts: objects = succeeded + failed + skipped + left, where ``succeeded`` and ``skipped`` are those of
all plans, and ``failed`` those that no later plan has taken up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from bulkhaul.model.objects import Integrity
from bulkhaul.model.rows import Action, ReportRow, Status
from bulkhaul.model.verdicts import Verdict
from bulkhaul.policy.row_groups import CauseGroup, Example, RowGroups
from bulkhaul.policy.throughput import Slice, Throughput

_MAX_DETAIL = 300
"""Characters kept of a message, a code or a reason."""


class Counts(msgspec.Struct, kw_only=True):
    """Rows of one plan.

    Attributes:
        planned: rows of the plan; as many as were reported where nobody knows the plan.
        size_bytes: of all objects that succeeded.
    """

    planned: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    size_bytes: int = 0

    @property
    def reported(self) -> int:
        """Return how many rows have ended."""
        return self.succeeded + self.failed + self.skipped


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says in all.

    Attributes:
        plans: the counts of each plan, the first one first.
        objects: planned objects, each once, however often it was tried.
        succeeded, failed, skipped: how objects ended.
        left: planned, without an end so far. Below 0, rows were reported that nobody planned.
        excess: rows that were reported and that their plan does not have: those of one make up for none of another.
        retried: rows that were planned again.
        size_bytes: of all objects that succeeded.
        began_s, ended_s: seconds since the epoch of the first beginning and the last end; 0 where no row tells.
        integrity: what the objects that succeeded rest on, strongest first; an empty name stands for no evidence, as
            for deletions.
        verdicts: of comparisons in their last try: how many came out in which way, by what that rests on; an empty
            name stands for no evidence.
        actions: rows by what was to be done.
        slice_s: width of a slice of ``throughput``, in seconds.
        throughput: what moved when; objects that succeeded only.
        failures: the failed rows of the last plan; causes are (class of the error, code of the service).
        skips: the skipped rows of all plans; a cause is the reason.
    """

    plans: tuple[Counts, ...] = ()
    objects: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    left: int = 0
    excess: int = 0
    retried: int = 0
    size_bytes: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    integrity: dict[str, int] = msgspec.field(default_factory=dict)
    verdicts: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    actions: dict[str, int] = msgspec.field(default_factory=dict)
    slice_s: int = 1
    throughput: tuple[Slice, ...] = ()
    failures: tuple[CauseGroup, ...] = ()
    skips: tuple[CauseGroup, ...] = ()

    @property
    def seconds(self) -> float:
        """Return how long it took from the first beginning to the last end, pauses included."""
        return max(0.0, self.ended_s - self.began_s)

    @property
    def complete(self) -> bool:
        """Return whether every planned object succeeded or was skipped, and no row is missing or too many."""
        return not self.failed and not self.left and not self.excess


class Tally:
    """Adds up rows, in any order, in bounded memory."""

    def __init__(self) -> None:
        self._plans: dict[int, Counts] = {}
        self._integrity = dict.fromkeys((*Integrity, ""), 0)
        self._verdicts = Counter[tuple[Verdict, str]]()
        self._actions = dict.fromkeys(Action, 0)
        self._throughput = Throughput()
        self._failures = RowGroups()
        self._skips = RowGroups()
        self._latest = -1
        self._began_s, self._ended_s = math.inf, 0.0

    def add_all(self, rows: Iterable[ReportRow]) -> None:
        """Count rows."""
        for row in rows:
            self.add(row)

    def add(self, row: ReportRow) -> None:
        """Count one row."""
        counts = self._plans.get(row.plan)
        if counts is None:
            counts = self._plans[row.plan] = Counts()
        if row.plan > self._latest:
            # What failed before is planned again, and so ends in this plan.
            self._latest, self._failures = row.plan, RowGroups()
            self._verdicts = Counter({one: n for one, n in self._verdicts.items() if one[0] is Verdict.EQUAL})
        self._actions[row.action] += 1
        if row.verdict is not None and (row.verdict is Verdict.EQUAL or row.plan == self._latest):
            self._verdicts[row.verdict, row.evidence or ""] += 1
        if row.ended > 0:
            self._began_s = min(self._began_s, row.ended - max(0.0, row.seconds))
            self._ended_s = max(self._ended_s, row.ended)
        if row.status == Status.SUCCEEDED:
            size_bytes = 0 if row.action is Action.VERIFY else row.size or 0
            counts.succeeded += 1
            counts.size_bytes += size_bytes
            if row.verdict is None:
                self._integrity[row.integrity or ""] += 1
            self._throughput.add(size_bytes, row.seconds, row.ended)
        elif row.status == Status.FAILED:
            counts.failed += 1
            if row.plan == self._latest:
                self._failures.add(_cause(row), row.source, Example((row.plan, row.n), row.source, _detail(row)))
        else:
            counts.skipped += 1
            reason = row.reason or "no reason was given"
            self._skips.add(
                tuple(reason[:_MAX_DETAIL].split(": ", 1)), row.source, Example((row.plan, row.n), row.source)
            )

    def summary(self, planned: Mapping[int, int] | None = None) -> Summary:
        """Return what the rows say in all.

        Args:
            planned: rows of each plan, by its number; where it is not told, what was reported was planned.
        """
        told = planned or {}
        numbers = sorted({*self._plans, *told})
        plans = [self._counts(number, told) for number in numbers]
        retried = sum(counts.planned for number, counts in zip(numbers, plans, strict=True) if number > 0)
        return Summary(
            plans=tuple(plans),
            objects=sum(counts.planned for counts in plans) - retried,
            succeeded=sum(counts.succeeded for counts in plans),
            failed=sum(counts.failed for counts in plans) - retried,
            skipped=sum(counts.skipped for counts in plans),
            left=sum(counts.planned - counts.reported for counts in plans),
            excess=sum(max(0, counts.reported - counts.planned) for counts in plans),
            retried=retried,
            size_bytes=sum(counts.size_bytes for counts in plans),
            began_s=self._began_s if self._ended_s else 0.0,
            ended_s=self._ended_s,
            integrity={str(name): count for name, count in self._integrity.items() if count},
            verdicts=self._told_verdicts(),
            actions={str(name): count for name, count in self._actions.items() if count},
            slice_s=self._throughput.width_s,
            throughput=self._throughput.slices(),
            failures=self._failures.groups() if numbers[-1:] == [self._latest] else (),
            skips=self._skips.groups(),
        )

    def _told_verdicts(self) -> dict[str, dict[str, int]]:
        told: dict[str, dict[str, int]] = {}
        for verdict in Verdict:
            rests = {evidence: count for (one, evidence), count in self._verdicts.most_common() if one is verdict}
            if rests:
                told[str(verdict)] = {str(evidence): count for evidence, count in rests.items()}
        return told

    def _counts(self, number: int, planned: Mapping[int, int]) -> Counts:
        counts = self._plans.get(number, Counts())
        return msgspec.structs.replace(counts, planned=planned.get(number, counts.reported))


def _cause(row: ReportRow) -> tuple[str, ...]:
    if row.error is None:
        return ("no error was given",)
    texts = (row.error.code, row.error.service_code) if row.error.service_code else (row.error.code,)
    return tuple(text[:_MAX_DETAIL] for text in texts)


def _detail(row: ReportRow) -> str:
    if row.error is None:
        return ""
    text = f"{row.error.message} (cause: {row.error.cause})" if row.error.cause else row.error.message
    return text if len(text) <= _MAX_DETAIL else text[: _MAX_DETAIL - 1] + "…"
