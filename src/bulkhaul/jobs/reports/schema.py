"""Makes the JSON Schemas of plan rows and report rows from the structs that are written; ``docs/schemas`` holds them.

python -m bulkhaul.jobs.reports.schema docs/schemas
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from bulkhaul.model.rows import ReportRow, Row

SCHEMAS: dict[str, type[msgspec.Struct]] = {"plan-row.schema.json": Row, "report-row.schema.json": ReportRow}
"""The struct of each file."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(rows: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of one line of a file of such rows."""
    return {"$schema": DIALECT, **_cleaned(msgspec.json.schema(rows))}


def schema_text(rows: type[msgspec.Struct]) -> str:
    """Return the schema as the text of its file."""
    return json.dumps(schema_of(rows), indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> None:
    """Write the file of each schema into a folder that exists."""
    for name, rows in SCHEMAS.items():
        (folder / name).write_text(schema_text(rows), encoding="utf-8")


def _cleaned(schema: Any) -> Any:
    """Return the same with descriptions that are indented as from Python 3.13 on, which strips docstrings itself."""
    if isinstance(schema, dict):
        return {
            name: inspect.cleandoc(part) if name == "description" and isinstance(part, str) else _cleaned(part)
            for name, part in schema.items()
        }
    return [_cleaned(part) for part in schema] if isinstance(schema, list) else schema


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
