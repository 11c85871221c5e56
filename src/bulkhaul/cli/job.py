"""What one command is to do, as a value; it must not know how it is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bulkhaul.engine.facade import Engine
    from bulkhaul.model.results import TransferResult
    from bulkhaul.model.settings import Settings


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one command is to do.

    Attributes:
        operation: how its lines begin: cp, mv, rm …
        results: does it and yields one result an object; with ``dry_run`` it only says what it would do.
        source, destination: what the command line names, for a failure of the job as a whole.
        to_stdout: stdout is for the bytes of objects; success is told to nobody, all else to stderr.
        quietly: no progress display: a person types what is uploaded.
        remains: what an interruption leaves of an object, for people.
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
