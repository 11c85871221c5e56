"""What a command that does something to objects hands over to be carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bulkhaul.cli.report import TransferReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bulkhaul.engine.facade import Engine
    from bulkhaul.model.archives import RestoreCounts
    from bulkhaul.model.results import Progress, TransferResult
    from bulkhaul.model.settings import Settings

KEPT = (
    "what came of large objects is kept: run the same command again to go on;"
    " `bulkhaul cleanup --temp-files FOLDER` removes it"
)
"""What an interruption leaves where downloads are to be resumed, as people are told."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The work of one command.

    Attributes:
        operation: how its lines begin: cp, mv, rm …
        results: does the work and yields one result per object; with ``dry_run`` it only yields what it would do.
        source, destination: what the command line names, for a failure of the job as a whole.
        to_stdout: stdout takes the bytes of objects; errors are reported on stderr, successes nowhere.
        quietly: no progress display, because a person types what is uploaded.
        remains: says what an interruption leaves of an object.
        asks: the service is going to be asked for something, as far as one can tell.
        restores: counts the archived objects that are brought back; None where none are.
        seen: tells at the end what else was counted, by name; None where nothing was.
        report: makes the report of its results.
        streams: does the work as ``results`` does, into a descriptor in the place of stdout; None where nothing does.
        nothing: what people are told where nothing was to be done, empty where that says itself.
        note: what people are told when all is done, empty for nothing.
        grows: tells whether more objects may be planned that the engine does not know of; None where it knows of all.
        full_list: says where all failures are told, empty for with ``--json``.
        progress: tells how far the work is, None where the engine tells.
        unfinished: says at the end why it is no success, empty if it is one; None where it is one if nothing failed.
    """

    operation: str
    results: Callable[[Engine], Iterator[TransferResult]]
    source: str
    destination: str
    dry_run: bool
    settings: Settings
    to_stdout: bool = False
    quietly: bool = False
    remains: str = "no partial file was left behind"
    asks: bool = True
    restores: RestoreCounts | None = None
    seen: Callable[[], dict[str, int]] | None = None
    report: Callable[..., TransferReport] = TransferReport
    streams: Callable[[Engine, int], Iterator[TransferResult]] | None = None
    nothing: str = ""
    note: str = ""
    grows: Callable[[], bool] | None = None
    full_list: str = ""
    progress: Callable[[], Progress] | None = None
    unfinished: Callable[[], str] | None = None
