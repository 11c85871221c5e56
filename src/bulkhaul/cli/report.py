"""Reports what happened to each object, for people or as JSON, and counts the outcomes.

planned = verified + failed + skipped, however the command ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bulkhaul.cli.lines import error_fields, error_line, error_text, interrupted_text, json_text, problem_line
from bulkhaul.cli.summary import Summary, totals_text
from bulkhaul.model.errors import Cancelled, ErrorInfo
from bulkhaul.model.results import CheckedResult, Progress, RowResult, SourceResult, TransferResult
from bulkhaul.model.rows import Action
from bulkhaul.policy.filetimes import iso_text
from bulkhaul.policy.naming import printable
from bulkhaul.policy.sizes import format_size

Write = Callable[[str], None]

FULL_LIST = "the same command with --json tells of each of them"
"""Where all failures are told, unless a job keeps them."""


class Counts(msgspec.Struct):
    """Outcomes of the objects that have ended so far."""

    verified: int = 0
    failed: int = 0
    skipped: int = 0
    bytes: int = 0

    @property
    def planned(self) -> int:
        """All objects that were planned and reported."""
        return self.verified + self.failed + self.skipped


class TransferReport:
    """The lines of one command.

    Attributes:
        counts: outcomes of the objects reported so far.
    """

    def __init__(
        self,
        out: Write,
        err: Write,
        *,
        operation: str,
        as_json: bool = False,
        quiet: bool = False,
        dry_run: bool = False,
        remains: str = "",
        full_list: str = FULL_LIST,
    ) -> None:
        """Take where lines go; each is handed over with its newline.

        Args:
            remains: what an interruption leaves of an object, for people.
            full_list: says where all failures are told.
        """
        self._summary = Summary()
        self._full_list = full_list
        self._not_done = 0
        self._why_not = ""
        self._operation = operation
        self.counts = Counts()
        self._done: Counter[str] = Counter()
        self._out = out
        self._err = err
        self._as_json = as_json
        self._quiet = quiet
        self._dry_run = dry_run
        self._remains = remains

    def ended(self, result: TransferResult) -> None:
        """Report one object."""
        self.count(result, dry_run=self._dry_run)
        if result.failure is not None and self._tells(result.failure):
            self._err(error_line(result.failure))
        operation = self._operation
        if isinstance(result, RowResult):
            operation = operation_of(result.action)
            self._tell_apart(result, operation)
        elif isinstance(result, CheckedResult):
            operation = "verify"
        if self._as_json:
            whole = isinstance(result, SourceResult)
            self._out(json_line(result, operation=operation, dry_run=self._dry_run, whole=whole))
        elif not self._quiet and result.failure is None:
            self._out(human_line(result, operation=operation, dry_run=self._dry_run))

    def ended_whole(self, result: TransferResult) -> None:
        """Report that the command failed as a whole, or all that is left of it, with what it was to do."""
        assert result.failure is not None
        self.count(result, dry_run=self._dry_run)
        if self._as_json:
            self._out(json_line(result, operation=self._operation, dry_run=self._dry_run, whole=True))
        elif self._tells(result.failure):
            self._err(error_line(result.failure))

    def note(self, text: str) -> None:
        """Tell people what programs see in the summary."""
        if not self._as_json and not self._quiet:
            self._err(f"bulkhaul: {text}\n")

    def unsuccessful(self, why: str) -> None:
        """Report why all in all it is no success, though no object may have failed."""
        self._why_not = why
        if not self._as_json:
            self._err(problem_line(why))

    def _tells(self, failure: ErrorInfo) -> bool:
        """Whether a line on stderr says what failed: JSON tells it, or the line for an object that failed alike."""
        return not self._as_json and not failure.again

    def count(self, result: TransferResult, *, dry_run: bool, where: str = "") -> None:
        """Count one object; ``where``: see ``Summary.add``."""
        self._summary.add(result, where)
        if result.failure is not None:
            self.counts.failed += 1
        elif result.skipped or dry_run:
            self.counts.skipped += 1
        else:
            self.counts.verified += 1
            if not isinstance(result, CheckedResult):
                self.counts.bytes += result.size

    def _tell_apart(self, result: RowResult, operation: str) -> None:
        """Count what a command that does several things has done with an object."""
        nothing = result.failure is not None or result.skipped or self._dry_run
        if not nothing and (what := _DONE.get(operation)):
            self._done[what] += 1

    def unfinished(self, progress: Progress) -> int:
        """Return how many of the objects that were planned have not been reported."""
        return max(0, progress.planned_objects - self.counts.planned)

    def cancelled(self, count: int, signal_name: str, remains: str = "") -> None:
        """Count objects that were planned and did not end, because of a signal.

        Args:
            remains: what the interruption leaves of them, where that is more than usual.
        """
        self.counts.failed += count
        self.interrupted(count, signal_name, remains)

    def interrupted(self, count: int, signal_name: str, remains: str = "") -> None:
        """Report that a signal ended the command; see ``cancelled``."""
        remains = remains or self._remains
        what = f"; {count} planned object{'s' * (count != 1)} not confirmed" if count and not self._dry_run else ""
        text = f"{interrupted_text(signal_name)}{what}{'; ' if remains else ''}{remains}"
        if self._as_json:
            self._out(error_text(self._operation, Cancelled(text).info))
        else:
            self._err(f"bulkhaul: {text}\n")

    def left(self, count: int) -> None:
        """Note how many objects that were planned were not begun, or given up, as nothing that is left can be done."""
        self._not_done = count

    def summary(self, seconds: float, *, success: bool, seen: dict[str, int] | None = None) -> None:
        """Report the totals: as JSON, or on stderr for people, where there is more than one object to sum up.

        Args:
            seen: what else was counted.
        """
        if self._as_json:
            told = {
                **self._summary.fields(),
                **({"not_done": self._not_done} if self._not_done else {}),
                **({"unfinished": self._why_not} if self._why_not else {}),
                **(seen or {}),
            }
            self._out(summary_line(self.counts, seconds, success=success, dry_run=self._dry_run, seen=told))
            return
        if self._quiet:
            return
        if seen:
            named = ", ".join(_counted(name, count) for name, count in {**self._done, **seen}.items())
            self._out(f"{self._operation}: {named}\n")
        if self._dry_run or self.counts.planned + self._not_done < 2:
            return
        counts = (self.counts.verified, self.counts.skipped, self.counts.failed)
        self._err(totals_text(self._operation, counts, self.counts.bytes, seconds))
        self._err(f", {self._not_done} not done\n" if self._not_done else "\n")
        self._err(self._summary.lines(full_list=self._full_list))


_DONE: Final = {"cp": "copied", "rm": "deleted"}
"""What people are told of an operation that was done."""


def operation_of(action: Action) -> str:
    """Return how the line of a row begins: as that of the command that does nothing else.

    >>> operation_of(Action.DELETE), operation_of(Action.UPLOAD)
    ('rm', 'cp')
    """
    return {Action.DELETE: "rm", Action.RESTORE: "restore", Action.VERIFY: "verify"}.get(action, "cp")


def _counted(name: str, count: int) -> str:
    """Return a count of a name as people read it.

    >>> _counted("put_requests", 3), _counted("up_bytes", 2048)
    ('3 put requests', '2.0 KiB up')
    """
    if name.endswith("_bytes"):
        return f"{format_size(count)} {name.removesuffix('_bytes')}"
    return f"{count} {name.replace('_', ' ')}"


def human_line(result: TransferResult, *, operation: str = "cp", dry_run: bool = False) -> str:
    r"""Return the line for people that says what was copied, as s5cmd does, or why it was not.

    >>> human_line(TransferResult(source="s3://b/a\n", destination="d", bucket="b", key="a\n"))
    'cp s3://b/a\\x0a d\n'
    >>> human_line(TransferResult(source="a", destination="", bucket="b", key="", skipped="a symbolic link"))
    '(skipped) cp a: a symbolic link\n'
    """
    prefix = "(dry run) " if dry_run else ""
    reason = ""
    if result.skipped:
        prefix, reason = f"{prefix}(skipped) ", f": {printable(result.skipped)}"
    elif dry_run and isinstance(result, RowResult):
        reason = f": {printable(result.reason)}"
    names = [printable(name) for name in (result.source, result.destination) if name]
    if result.source_version_id:
        what = "delete marker" if result.delete_marker else "version"
        made = f" as {result.version_id}" if result.version_id else ""
        reason = f" ({what} {result.source_version_id}{made}){reason}"
    elif operation == "rm" and result.version_id:
        reason = f" ({'delete marker' if result.delete_marker else 'version'} {result.version_id}){reason}"
    if isinstance(result, CheckedResult):
        reason = f" ({result.evidence})" if result.evidence else ""
    if result.resumed_bytes:
        reason += f" (resumed: {format_size(result.resumed_bytes)} of {format_size(result.size)} were there)"
    return f"{prefix}{operation} {' '.join(names)}{reason}\n"


def json_line(
    result: TransferResult, *, operation: str = "cp", dry_run: bool = False, number: int = 0, whole: bool = False
) -> str:
    """Return one object's outcome as a line of JSON, in ASCII: whatever the key holds, it is valid everywhere.

    Args:
        number: of the line of a file of commands that asked for it, 0 where there is no such file.
        whole: what failed is the command, that line or a source as a whole.
    """
    line: dict[str, Any] = {"operation": operation}
    if number:
        line["line"] = number
    line["success"] = result.failure is None
    if dry_run:
        line["dryrun"] = True
    line |= {"source": result.source, "destination": result.destination}
    if not whole:
        line["object"] = {
            "key": result.key,
            "size": result.size,
            "etag": result.etag,
            "version_id": result.version_id,
            "last_modified": iso_text(result.last_modified),
        }
        line["integrity"] = str(result.integrity) if result.integrity else None
    line["seconds"] = round(result.seconds, 6)
    if result.source_version_id:
        line["source_version_id"] = result.source_version_id
    if result.delete_marker:
        line["delete_marker"] = True
    if isinstance(result, RowResult) and result.reason:
        line["reason"] = result.reason
    if isinstance(result, CheckedResult):
        line |= {"verdict": result.verdict, "evidence": result.evidence}
    if result.resumed_bytes:
        line["resumed_bytes"] = result.resumed_bytes
    if result.skipped:
        line["skipped"] = result.skipped
    if result.failure is not None:
        line["error"] = error_fields(result.failure)
    return json_text("error" if whole else "object", line)


def summary_line(
    counts: Counts, seconds: float, *, success: bool, dry_run: bool = False, seen: dict[str, Any] | None = None
) -> str:
    """Return the totals as a line of JSON; ``seen``: what else was counted."""
    line: dict[str, Any] = {"operation": "summary", "success": success}
    if dry_run:
        line["dryrun"] = True
    line |= {
        "planned": counts.planned,
        "verified": counts.verified,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "bytes": counts.bytes,
        "seconds": round(seconds, 6),
        "bytes_per_s": round(counts.bytes / seconds) if seconds > 0 else 0,
        **(seen or {}),
    }
    return json_text("summary", line)
