"""Sums up a run over many objects for people: what was done, what it rests on, and what failed for which causes.

Memory is bounded: causes and reasons beyond the first few are counted together.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.results import CheckedResult, TransferResult
from bulkhaul.model.verdicts import Verdict
from bulkhaul.policy.naming import printable
from bulkhaul.policy.sizes import format_size

EXAMPLES = 3
"""Objects that are named of each cause."""

MAX_CAUSES = 16
"""Causes, and reasons, that are told apart; more would be no summary."""

OTHERS = "other causes"


class Cause:
    """Objects that failed alike.

    Attributes:
        count: how many.
        examples: names of the first of them.
    """

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[str] = []


class Summary:
    """What became of the objects of a run, without their number, which the report counts."""

    def __init__(self) -> None:
        self.retries = 0
        self.resumed_bytes = 0
        self.integrity = Counter[str]()
        self.skipped = Counter[str]()
        self.causes: dict[str, Cause] = {}

    def add(self, result: TransferResult, where: str = "") -> None:
        """Take the result of one object.

        Args:
            where: names what asked for it, for a failure that is about no object.
        """
        self.retries += result.retries
        self.resumed_bytes += result.resumed_bytes
        if result.failure is not None:
            told = cause_of_check(result) if isinstance(result, CheckedResult) else cause_of(result.failure)
            cause = self.causes.setdefault(_one_of(self.causes, told), Cause())
            cause.count += 1
            if len(cause.examples) < EXAMPLES:
                cause.examples.append(result.failure.subject or result.source or where)
        elif result.skipped:
            self.skipped[_one_of(self.skipped, result.skipped)] += 1
        elif isinstance(result, CheckedResult):
            self.integrity[str(result.evidence or "nothing")] += 1
        elif result.integrity is not None:
            self.integrity[str(result.integrity)] += 1

    def lines(self, *, full_list: str, failed: str = "failed") -> str:
        """Return the lines for people that follow the totals.

        Args:
            full_list: says where every failure is told.
            failed: what people are told of those that failed.
        """
        text = ""
        if self.integrity:
            text += f"  checked: {', '.join(f'{count} by {by}' for by, count in self.integrity.most_common())}\n"
        if self.resumed_bytes:
            text += f"  resumed: {format_size(self.resumed_bytes)} were there already\n"
        if self.retries:
            text += f"  retries: {self.retries}\n"
        for reason, count in self.skipped.most_common():
            text += f"  skipped: {count}, {printable(reason)}\n"
        for told, cause in sorted(self.causes.items(), key=lambda item: -item[1].count):
            text += f"  {failed}: {cause.count}, {printable(told)}\n"
            text += "".join(f"    {printable(name)}\n" for name in cause.examples)
            if cause.count > len(cause.examples):
                text += f"    and {cause.count - len(cause.examples)} more\n"
        if any(cause.count > len(cause.examples) for cause in self.causes.values()):
            text += f"  {full_list}\n"
        return text

    def fields(self) -> dict[str, Any]:
        """Return the same for the line of JSON; each is left out where there is nothing to tell."""
        causes = {cause: failed.count for cause, failed in self.causes.items()}
        told = {
            "integrity": dict(self.integrity),
            "resumed_bytes": self.resumed_bytes,
            "retries": self.retries,
            "skipped_reasons": dict(self.skipped),
            "failed_causes": causes,
        }
        return {name: value for name, value in told.items() if value}


def cause_of(failure: ErrorInfo) -> str:
    """Return what failures that have one cause share.

    >>> cause_of(ErrorInfo("NotFound", "there is no such key", "s3://b/k", "HTTP 404", service_code="NoSuchKey"))
    'NoSuchKey: there is no such key'
    """
    return f"{failure.service_code or failure.code}: {failure.message}"


def cause_of_check(result: CheckedResult) -> str:
    """Return what names that are not equal have in common; digests and names are their own.

    >>> from bulkhaul.model.verdicts import Evidence
    >>> info = ErrorInfo("Different", "different by md5: the MD5 differs: 00 and 11", "s3://b/k")
    >>> told = {"source": "s3://b/k", "destination": "d/k", "bucket": "b", "key": "k", "failure": info}
    >>> cause_of_check(CheckedResult(**told, verdict=Verdict.DIFFERENT, evidence=Evidence.MD5))
    'different by md5'
    """
    text = f"{result.verdict} by {result.evidence}" if result.evidence is not None else str(result.verdict)
    if result.verdict is not Verdict.UNDECIDABLE or result.failure is None:
        return text
    reason = result.failure.message.removeprefix(f"{text}: ")
    for name in (result.source, result.destination):
        reason = reason.replace(f"{name}: ", "") if name else reason
    return f"{text}: {reason}"


def totals_text(operation: str, counts: tuple[int, int, int], size_bytes: int, seconds: float) -> str:
    """Return the first line for people.

    Args:
        counts: objects done, skipped and failed.

    >>> totals_text("cp", (3, 0, 1), 3 << 20, 1.5)
    'cp: 3 done, 0 skipped, 1 failed; 3.0 MiB in 1.5 s (2.0 MiB/s)'
    >>> totals_text("rm", (20, 0, 0), 0, 2.0)
    'rm: 20 done, 0 skipped, 0 failed; 2.0 s (10.0 objects/s)'
    """
    done, skipped, failed = counts
    return f"{operation}: {done} done, {skipped} skipped, {failed} failed; {pace_text(done, size_bytes, seconds)}"


def pace_text(objects: int, size_bytes: int, seconds: float, what: str = "") -> str:
    """Return the bytes, the seconds and the rate of a run; where no bytes were moved, the objects a second.

    Args:
        what: was done to the bytes, with a blank before it, empty where that is clear.

    >>> pace_text(3, 2 << 20, 2.0, " read"), pace_text(20, 0, 2.0)
    ('2.0 MiB read in 2.0 s (1.0 MiB/s)', '2.0 s (10.0 objects/s)')
    """
    seconds_ = max(seconds, 1e-3)
    if size_bytes:
        return f"{format_size(size_bytes)}{what} in {seconds:.1f} s ({format_size(round(size_bytes / seconds_))}/s)"
    return f"{seconds:.1f} s ({objects / seconds_:.1f} objects/s)"


def _one_of(known: dict[str, Any], text: str) -> str:
    return text if text in known or len(known) < MAX_CAUSES else OTHERS
