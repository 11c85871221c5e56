"""Does the work of ``bulkhaul bench report`` and ``compare``, which ask no service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click
import msgspec

from bulkhaul.benchmark.compare import compare
from bulkhaul.benchmark.compare_lines import lines
from bulkhaul.benchmark.extra import require
from bulkhaul.benchmark.latencies import decoded
from bulkhaul.benchmark.report.writing import ReportFormat, write
from bulkhaul.benchmark.results import FORMAT, RESULTS, Result
from bulkhaul.cli.bench_lines import comparison_json
from bulkhaul.disk.oserrors import read_error
from bulkhaul.model.errors import UsageError
from bulkhaul.policy.differences import parse_threshold
from bulkhaul.policy.naming import printable


class _Format(msgspec.Struct):
    """What all versions of a result tell."""

    format: int
    version: str


_FORMATS = msgspec.json.Decoder(_Format)


def read_result(name: str) -> Result:
    """Return the result in a folder, or the one that an op-log tells.

    Raises:
        UsageError: it is neither, or damaged, or a newer version has written it.
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
        told = _FORMATS.decode(data)
        if told.format > FORMAT:
            newer = f"was written by a newer version of bulkhaul, {printable(told.version)}; upgrade this one"
            raise UsageError(f"{name} {newer}")
        result = RESULTS.decode(data)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{name} holds no result of this version of bulkhaul bench", cause=str(error)) from error
    require("hdrh")
    try:
        for measured in (one for run in result.runs for one in run.measured):
            for latencies in filter(None, (measured.whole, measured.first_byte)):
                decoded(latencies)
    except UsageError as error:
        raise UsageError(error.message, name, error.cause) from error
    return result


def write_report(folder: str, formats: Sequence[str], out: str) -> None:
    """Write a report, and name its files.

    Args:
        out: where it goes; empty for where the result is.

    Raises:
        UsageError: that is no folder of a result, but an op-log.
        TransferError: there is no result, or it cannot be written.
    """
    result, place = read_result(folder), Path(folder)
    if not out and not place.is_dir() and place.suffix != ".json":
        raise UsageError(f"{folder} is an op-log; name a folder for its report with --out")
    target = Path(out) if out else place if place.is_dir() else place.parent
    for path in write(result, target, cast("Sequence[ReportFormat]", formats)):
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
