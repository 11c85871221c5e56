"""Writes lines that any command may print: JSON, what failed, and that the output is lost."""

from __future__ import annotations

import json
from typing import Any

from bulkhaul.model.errors import ErrorInfo, error_of
from bulkhaul.policy.naming import printable


def json_text(fields: dict[str, Any]) -> str:
    """Return one line of JSON, in ASCII: whatever a key holds, it is valid everywhere."""
    return json.dumps(fields) + "\n"


def error_fields(failure: ErrorInfo) -> dict[str, str]:
    """Return what the JSON of a failure tells of it."""
    return {"code": failure.code, "message": str(error_of(failure))}


def error_line(failure: ErrorInfo) -> str:
    """Return the line for people that says what failed."""
    return f"bulkhaul: error: {printable(str(error_of(failure)))}\n"


def output_lost_line(error: OSError) -> str:
    """Return the line for people that says why nothing more can be written."""
    return f"bulkhaul: error: the output cannot be written: {error.strerror or error}\n"
