"""Makes the lines that every command may print: JSON, errors, interruptions, and that the output cannot be written."""

from __future__ import annotations

from typing import Any, Literal

from bulkhaul.model.errors import ErrorInfo, error_of
from bulkhaul.policy.naming import printable

Kind = Literal[
    "object",
    "prefix",
    "bucket",
    "version",
    "delete_marker",
    "storage_class",
    "url",
    "check",
    "leftover",
    "job",
    "explanation",
    "window",
    "run",
    "comparison",
    "error",
    "summary",
]
"""What a line of JSON tells of; docs/commands.md explains each."""


def json_text(kind: Kind, fields: dict[str, Any]) -> str:
    """Return one line of JSON, in ASCII: whatever a key holds, it is valid everywhere."""
    import json

    return json.dumps({"type": kind, **fields}) + "\n"


def error_text(operation: str, failure: ErrorInfo) -> str:
    """Return the line of JSON that says why a command failed as a whole."""
    return json_text("error", {"operation": operation, "success": False, "error": error_fields(failure)})


def error_fields(failure: ErrorInfo) -> dict[str, str]:
    """Return the ``error`` field of a line of JSON."""
    return {"code": failure.code, "message": str(error_of(failure))}


def error_line(failure: ErrorInfo) -> str:
    """Return the line for people that says what failed."""
    return problem_line(printable(str(error_of(failure))))


def problem_line(text: str) -> str:
    """Return the line for people that says what is wrong, in words without control characters."""
    return f"bulkhaul: error: {text}\n"


def interrupted_text(signal_name: str) -> str:
    """Return how a line, and the JSON of a failure, says that a signal ended the command."""
    return f"interrupted by {signal_name}"


def output_lost_line(error: OSError) -> str:
    """Return the line for people that says why nothing more can be written."""
    return problem_line(f"the output cannot be written: {error.strerror or error}")
