"""Sends log records to stderr, without secrets, and drops them, counted, where stderr is read too slowly.

botocore logs headers and signatures at DEBUG, so its level never goes below INFO, whatever is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from bulkhaul.cli.verbosity import THIS_COMMAND, noted_sources
from bulkhaul.policy.naming import printable
from bulkhaul.policy.provenance import GIVEN
from bulkhaul.wire.masking import hidden_by_place

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_TALKATIVE = ("boto3", "botocore", "s3transfer", "urllib3")


class _LineHandler(logging.Handler):
    """Passes each record to ``write`` as lines; while its reader is behind, only what is a warning or worse."""

    def __init__(self, write: Callable[[str], None], full: Callable[[], bool]) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
        self._write = write
        self._full = full
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; control characters of keys are escaped."""
        if record.levelno < logging.WARNING and self._full():
            self._dropped += 1
            return
        if self._dropped:
            self._write(f"bulkhaul: {self._dropped} lines of the log were dropped: stderr is read too slowly\n")
            self._dropped = 0
        lines = hidden_by_place(self.format(record)).splitlines()
        self._write("\n".join(map(printable, lines)) + "\n")


def log_to(write: Callable[[str], None], level: str, *, full: Callable[[], bool] = lambda: False) -> None:
    """Send the records of bulkhaul, from ``level`` up, to ``write``.

    Args:
        full: whether lines that were written before wait for their reader.
    """
    logger = logging.getLogger("bulkhaul")
    logger.handlers[:] = [_LineHandler(write, full)]
    logger.setLevel(level.upper())
    logger.propagate = False
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.INFO, logger.level))
    logging.getLogger("bulkhaul.settings").filters[:] = [_named_by(noted_sources())]


def _named_by(sources: Mapping[str, str]) -> Callable[[logging.LogRecord], bool]:
    """Return what names, in records of settings, the option or variable that has given one."""

    def name(record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 3 and record.args[2] == GIVEN:
            setting, value, _ = record.args
            record.args = (setting, value, sources.get(str(setting), THIS_COMMAND))
        return True

    return name
