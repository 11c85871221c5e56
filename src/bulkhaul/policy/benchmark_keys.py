"""Names the objects of a benchmark, below the prefix that it made for itself, and recognises its own names."""

from __future__ import annotations

import re

from bulkhaul.model.workloads import ObjectTable

_OWN = re.compile(r"(?:table/(?:[0-9a-f]{4}/)?[0-9]{10}|put/[0-9]{4}/(?:[0-9a-f]{4}/)?[0-9]{10})")

MARK = "bulkhaul-bench-"
"""How the last folder of a benchmark's prefix begins."""

RECORD_NAME = "benchmark.json"
"""The object that says which benchmark a prefix belongs to."""


def table_key(prefix: str, table: ObjectTable, place: int) -> str:
    """Return the key of a prepared object.

    >>> from bulkhaul.model.workloads import FixedSize
    >>> table_key("b/", ObjectTable(10, FixedSize(1)), 7)
    'b/table/0000000007'
    >>> table_key("b/", ObjectTable(10, FixedSize(1), prefixes=4), 7)
    'b/table/0003/0000000007'
    """
    return f"{prefix}table/{_folder(table, place)}{place:010d}"


def put_key(prefix: str, table: ObjectTable, worker: int, number: int) -> str:
    """Return the key of an object that is stored while it is measured; no two workers store the same."""
    return f"{prefix}put/{worker:04d}/{_folder(table, number)}{number:010d}"


def own_name(name: str) -> bool:
    """Return whether a benchmark gives its objects such a name, as it stands behind the prefix.

    >>> own_name("table/0000000007"), own_name("put/0001/0000000007"), own_name("table/report.pdf")
    (True, True, False)
    """
    return _OWN.fullmatch(name) is not None


def _folder(table: ObjectTable, place: int) -> str:
    return f"{place % table.prefixes:04x}/" if table.prefixes > 1 else ""
