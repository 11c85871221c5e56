"""Makes the lines that every command may print: JSON, errors, and that the output cannot be written."""

from __future__ import annotations

import json
from typing import Any

from bulkhaul.model.errors import ErrorInfo, error_of
from bulkhaul.policy.naming import printable


def json_text(fields: dict[str, Any]) -> str:
    """Return one line of JSON, in ASCII: whatever a key holds, it is valid everywhere."""
    return json.dumps(fields) + "\n"


def error_fields(failure: ErrorInfo) -> dict[str, str]:
    """Return the ``error`` field of a line of JSON."""
    return {"code": failure.code, "message": str(error_of(failure))}


def error_line(failure: ErrorInfo) -> str:
    """Return the line for people that says what failed."""
    return f"bulkhaul: error: {printable(str(error_of(failure)))}\n"


def output_lost_line(error: OSError) -> str:
    """Return the line for people that says why nothing more can be written."""
    return f"bulkhaul: error: the output cannot be written: {error.strerror or error}\n"
