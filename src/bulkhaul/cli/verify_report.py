"""Reports what ``verify`` found: a line a name as far as it was asked for, and the totals of its verdicts."""

from __future__ import annotations

from typing import Any

from bulkhaul.cli.lines import error_line, error_text
from bulkhaul.cli.report import TransferReport
from bulkhaul.cli.summary import pace_text
from bulkhaul.cli.verify_lines import human_line, json_line, json_summary
from bulkhaul.jobs.verify_options import VerifyCounts
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.results import CheckedResult, TransferResult
from bulkhaul.model.verdicts import PairResult, Verdict
from bulkhaul.policy.selection import named_object


class NameResult(CheckedResult, frozen=True, kw_only=True):
    """The verdict on one name, as the result of a command: a failure unless it is equal."""

    pair: PairResult


def of_pair(pair: PairResult) -> NameResult:
    """Return the result of a name."""
    failure = None
    if pair.verdict is not Verdict.EQUAL:
        failure = ErrorInfo(pair.verdict.capitalize(), pair.reason, pair.missing or pair.one or pair.other)
    bucket, key = named_object(pair.other if pair.other.startswith("s3://") else pair.one)
    return NameResult(
        source=pair.one,
        destination=pair.other,
        bucket=bucket,
        key=key,
        size=pair.size,
        seconds=pair.seconds,
        failure=failure,
        verdict=pair.verdict,
        evidence=pair.evidence,
        pair=pair,
    )


class VerifyReport(TransferReport):
    """The lines of one comparison."""

    def __init__(
        self,
        *args: Any,
        verdicts: VerifyCounts,
        shows_equal: bool,
        seed: int | None = None,
        certificate: bool = False,
        **kwargs: Any,
    ) -> None:
        """See ``TransferReport``.

        Args:
            verdicts: what the comparison counts.
            shows_equal: people get a line for what is equal, too.
            seed: of the sample that is checked, None where that is everything.
            certificate: one is to be written.
        """
        super().__init__(*args, **kwargs)
        self._verdicts = verdicts
        self._shows_equal = shows_equal and not self._quiet
        self._seed = seed
        self._certificate = certificate
        self._last: PairResult | None = None
        self._whole = True

    def ended(self, result: TransferResult) -> None:
        """Report one name."""
        assert isinstance(result, NameResult)
        self.count(result, dry_run=False)
        self._last = result.pair
        if self._as_json:
            self._out(json_line(result.pair))
        elif self._shows_equal or result.failure is not None:
            self._out(human_line(result.pair))

    def ended_whole(self, result: TransferResult) -> None:
        """Report that the comparison failed as a whole; no name did."""
        self._whole = False
        assert result.failure is not None
        if self._as_json:
            self._out(error_text(self._operation, result.failure))
        else:
            self._err(error_line(result.failure))

    def cancelled(self, count: int, signal_name: str, remains: str = "") -> None:
        """Count names that were not compared, because of a signal: none of them failed."""
        self._whole = False
        self._not_done = count
        self.interrupted(count, signal_name, remains)

    def summary(self, seconds: float, *, success: bool, seen: dict[str, int] | None = None) -> None:  # noqa: ARG002 - nothing else is counted here
        """Report the totals: as JSON, or for people on stderr, where there is more than one name."""
        found, root = self._verdicts, self._verdicts.root
        seed = self._seed if found.compared else None  # before that there was no sample
        if self._as_json:
            told = self._summary.fields()
            more = {name: told[name] for name in ("failed_causes",) if name in told}
            if self._not_done:
                more["not_done"] = self._not_done
            if self._certificate:
                more["certificate_written"] = bool(root)
            self._out(json_summary(found, seconds, success=success, seed=seed, more=more))
            return
        if self._certificate and not root and self._whole:
            self._err("bulkhaul: no certificate was written: not everything is equal\n")
        if self._quiet and success:
            return
        only = self._last if self.counts.planned == 1 else None
        if only is not None and only.verdict is Verdict.EQUAL and not (self._shows_equal or self._quiet):
            self._out(human_line(only))
        if seed is not None:
            self._out(f"verify: a sample, with --seed {seed}\n")
        if root:
            self._out(f"verify: the certificate's root is {root}\n")
        if self._quiet or self.counts.planned + self._not_done < 2:
            return
        verdicts = ", ".join(f"{found.verdicts[verdict]} {verdict}" for verdict in Verdict)
        left = f", {self._not_done} not compared" if self._not_done else ""
        pace = pace_text(self.counts.planned, found.read_bytes, seconds, " read")
        self._err(f"verify: {verdicts}{left}; {pace}\n")
        self._err(self._summary.lines(full_list=self._full_list, failed="not equal"))
