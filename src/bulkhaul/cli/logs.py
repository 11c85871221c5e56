"""Sends log records to stderr, without secrets.

botocore logs headers and signatures at DEBUG, so its level never goes below INFO, whatever is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from bulkhaul.policy.naming import printable

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_TALKATIVE = ("boto3", "botocore", "s3transfer", "urllib3")


class _LineHandler(logging.Handler):
    """Passes each record to ``write`` as lines."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; control characters of keys are escaped."""
        self._write("\n".join(map(printable, self.format(record).splitlines())) + "\n")


def log_to(write: Callable[[str], None], level: str) -> None:
    """Send the records of bulkhaul, from ``level`` up, to ``write``."""
    logger = logging.getLogger("bulkhaul")
    logger.handlers[:] = [_LineHandler(write)]
    logger.setLevel(level.upper())
    logger.propagate = False
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.INFO, logger.level))
