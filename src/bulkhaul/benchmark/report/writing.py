"""Writes reports to files, in the forms that are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

from bulkhaul.benchmark.report.comma_separated import csv_files
from bulkhaul.benchmark.report.drawing import png
from bulkhaul.benchmark.report.markdown import markdown
from bulkhaul.benchmark.report.page import html
from bulkhaul.benchmark.report.sections import all_figures, sections
from bulkhaul.benchmark.results import Result, written
from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.whole_files import whole_file

ReportFormat = Literal["html", "markdown", "csv", "json", "png"]

REPORT_FORMATS: tuple[ReportFormat, ...] = get_args(ReportFormat)
"""The names of all forms."""


def pngs(result: Result) -> dict[str, bytes]:
    """Return every figure of a report, by the name of its file.

    Raises:
        UsageError: matplotlib or hdrhistogram is not installed.
    """
    return {f"{figure.name}.png": png(figure) for figure in all_figures(sections(result))}


def write(result: Result, folder: Path, formats: Iterable[ReportFormat]) -> list[Path]:
    """Write a report into a folder, which is made if it is not there, and return the files, in the order written.

    ``report.html``, ``report.md``, ``operations.csv`` and ``windows.csv``, ``result.json``, ``figures/*.png``; what has
    such a name is replaced.

    Raises:
        LocalError: a file cannot be written.
        UsageError: a package is not installed.
    """
    paths = []
    for told in dict.fromkeys(formats):
        for name, data in _files(result, told):
            path = folder / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise local_error(error, str(path)) from error
            with whole_file(str(path)) as file:
                file.write(data)
            paths.append(path)
    return paths


def _files(result: Result, told: ReportFormat) -> Iterator[tuple[str, bytes]]:
    match told:
        case "html":
            yield "report.html", html(result).encode()
        case "markdown":
            yield "report.md", markdown(result).encode()
        case "csv":
            yield from ((name, text.encode()) for name, text in csv_files(result).items())
        case "json":
            yield "result.json", written(result)
        case "png":
            yield from ((f"figures/{name}", data) for name, data in pngs(result).items())
