"""Does the work of ``bulkhaul bench report`` and ``compare``, which ask no service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click
import msgspec

from bulkhaul.benchmark.compare import compare
from bulkhaul.benchmark.compare_lines import lines
from bulkhaul.benchmark.report.writing import ReportFormat, write
from bulkhaul.benchmark.results import RESULTS, Result
from bulkhaul.cli.bench_lines import comparison_json
from bulkhaul.disk.oserrors import read_error
from bulkhaul.model.errors import UsageError
from bulkhaul.policy.differences import parse_threshold


def read_result(name: str) -> Result:
    """Return the result in a folder, or the one that an op-log tells.

    Raises:
        UsageError: it is neither.
        LocalError: it cannot be read.
    """
    path = Path(name)
    if not path.is_dir() and path.suffix != ".json":
        from bulkhaul.benchmark.op_log_result import result_of

        return result_of(path)
    file = path / "result.json" if path.is_dir() else path
    try:
        data = file.read_bytes()
    except OSError as error:
        raise read_error(error, str(file)) from error
    try:
        return RESULTS.decode(data)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{name} holds no result of this version of bulkhaul bench", cause=str(error)) from error


def write_report(folder: str, formats: Sequence[str], out: str) -> None:
    """Write a report, and name its files.

    Raises:
        TransferError: there is no result, or it cannot be written.
    """
    for path in write(read_result(folder), Path(out), cast("Sequence[ReportFormat]", formats)):
        click.echo(path)


def compare_results(names: Sequence[str], threshold: str, *, forced: bool, as_json: bool) -> int:
    """Print a comparison, and return the exit code.

    Raises:
        UsageError: the results cannot be compared.
    """
    share = parse_threshold(threshold)
    comparison = compare([read_result(name) for name in names], names, threshold=share, forced=forced)
    if as_json:
        for pair in comparison.pairs:
            click.echo(comparison_json(pair), nl=False)
    else:
        for line in lines(comparison):
            click.echo(line)
    return 1 if comparison.regression else 0
