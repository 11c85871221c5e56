"""Reports what the lines of a file of commands did: as their commands would, with the number of the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from bulkhaul.cli.lines import problem_line
from bulkhaul.cli.report import TransferReport, human_line, json_line, operation_of
from bulkhaul.model.errors import error_of
from bulkhaul.model.results import Progress, RowResult, SourceResult, TransferResult
from bulkhaul.policy.naming import printable


class LineResult(TransferResult, frozen=True, kw_only=True):
    """What one object of a line came to, or what a line that asks was told.

    Attributes:
        line: its number, from 1.
        operation: the line's command, empty where it has none.
        dry_run: nothing was done.
        counted: the engine's progress tells of this object.
        text: lines for stdout; then there is no object.
        data: bytes of objects for stdout; likewise.
        note: what people are told of the line; likewise.
        whole: the line, or a source of it, failed as a whole, and not an object.
        source_fd: where bytes for stdout come from, until their end; -1 for nowhere.
    """

    line: int
    operation: str = ""
    dry_run: bool = False
    counted: bool = False
    text: str = ""
    data: bytes = b""
    note: str = ""
    whole: bool = False
    source_fd: int = -1


def of_line(result: TransferResult, **fields: Any) -> LineResult:
    """Return a result as that of a line; a sync tells by itself what it has done with the object."""
    if isinstance(result, RowResult):
        fields["operation"] = operation_of(result.action)
    fields["whole"] = isinstance(result, SourceResult)
    return LineResult(**{name: getattr(result, name) for name in TransferResult.__struct_fields__}, **fields)


class CommandFileReport(TransferReport):
    """The lines of ``run``.

    Attributes:
        outside: objects and lines reported so far that the engine's progress does not tell of.
    """

    def __init__(self, *args: Any, name: str, in_flight: Callable[[], int], **kwargs: Any) -> None:
        """Take the file's name, and what tells how many lines have begun and not ended; see ``TransferReport``."""
        super().__init__(*args, **kwargs)
        self._name = name
        self._in_flight = in_flight
        self.outside = 0

    def unfinished(self, progress: Progress) -> int:
        """Return how many objects, or at least lines, that were begun have not been reported."""
        reported = self.counts.planned - self.outside
        return max(progress.planned_objects - reported, self._in_flight(), 0)

    def ended(self, result: TransferResult) -> None:
        """Report one object, or the lines of a query."""
        assert isinstance(result, LineResult)
        if result.text:
            self._out(_numbered(result.text, result.line) if self._as_json else result.text)
        elif result.data:
            cast("Callable[[bytes], None]", self._out)(result.data)  # as what takes stdout's lines takes bytes, too
        elif result.note:
            self.note(f"{self._name}:{result.line}: {result.note}")
        else:
            self._ended(result)

    def _ended(self, result: LineResult) -> None:
        self.outside += not result.counted
        self.count(result, dry_run=result.dry_run, where=f"{self._name}:{result.line}")
        if result.failure is not None and self._tells(result.failure):
            self._err(problem_line(f"{self._name}:{result.line}: {printable(str(error_of(result.failure)))}"))
        if self._as_json:
            told = json_line(
                result,
                operation=result.operation,
                dry_run=result.dry_run,
                number=result.line,
                whole=result.whole,
            )
            self._out(told)
        elif not self._quiet and result.failure is None and result.operation != "cat":
            self._out(human_line(result, operation=result.operation, dry_run=result.dry_run))


def _numbered(text: str, number: int) -> str:
    r"""Return lines of JSON with the number of the line that asked for them, behind their type.

    >>> _numbered('{"type": "object", "key": "a"}\n{"type": "prefix", "key": "b/"}\n', 7)
    '{"type": "object", "line": 7, "key": "a"}\n{"type": "prefix", "line": 7, "key": "b/"}\n'
    """
    types = (line.partition(", ") for line in text.splitlines(keepends=True))
    return "".join(f'{kind}, "line": {number}, {rest}' for kind, _, rest in types)
