"""The report as Markdown, CSV, JSON and PNG, and as files."""

from __future__ import annotations

import csv
import io
import itertools
import re
import resource
from pathlib import Path

import msgspec
import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes

from bulkhaul.benchmark.latencies import histogram, latencies, record
from bulkhaul.benchmark.report import REPORT_FORMATS, csv_files, html, markdown, pngs, write
from bulkhaul.benchmark.report.drawing import LEAST_AXES, Figure, drawn, styled, svg
from bulkhaul.benchmark.report.sections import all_figures, sections
from bulkhaul.benchmark.results import RESULTS, FailureCount, Measured, Result, Steady
from bulkhaul.model.errors import LocalError
from tests.unit.benchmark.made_up import made_measured, made_result, made_run


@pytest.fixture(scope="module")
def result() -> Result:
    """Two small runs, the second of which was never steady."""
    runs = [made_run(n, classes=(1, 2), windows=6, connections=4, count=300) for n in (1, 2)]
    return made_result(runs[0], msgspec.structs.replace(runs[1], steady=Steady(0.0, 6.0, reached=False)))


def records(text: str) -> list[dict[str, str]]:
    """Return the records of a CSV."""
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def cells(line: str) -> list[str]:
    """Return the cells of a row of a table in Markdown, as a reader of it does."""
    assert re.fullmatch(r"\|.*\|", line)
    return [re.sub(r"\\(.)", r"\1", cell).strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_has_the_sentences_and_tables_of_the_page(result: Result) -> None:
    """What limited it is first, every table has as many cells in each row, and figures are told in words."""
    lines = markdown(result).splitlines()
    assert lines[0] == "# Benchmark mixed"
    headings = [line for line in lines if line.startswith("## ")]
    assert headings[:4] == ["## What limited it", "## Runs", "## Over time", "## Latency"]
    tables: list[list[list[str]]] = [[]]
    for line in lines:
        if line.startswith("|"):
            tables[-1].append(cells(line))
        elif tables[-1]:
            tables.append([])
    told = [table for table in tables if table]
    assert len(told) >= 9
    assert all(len({len(row) for row in table}) == 1 for table in told)
    assert any(row[:3] == ["GET", "4 to 64 KiB", "first byte"] for table in told for row in table)
    assert any(
        line.startswith("- Requests a second: Run 1, 6 s, steady from 3 to 6 s") for line in map(unescaped, lines)
    )


def unescaped(line: str) -> str:
    """Return a line without the backslashes before its signs."""
    return re.sub(r"\\(.)", r"\1", line)


def test_texts_of_others_are_no_markdown() -> None:
    """A message is text, and one line, whatever stands in it."""
    hostile = "a|b\n# c <img src=x> [d](http://e) *f* `g` \\| ![h](i) ~~j~~"
    run = made_run(1, operations=("stat",), windows=2, count=10, failures=(FailureCount("x", 0, 1, hostile),))
    text = markdown(made_result(run, text=hostile))
    shown = hostile.replace("\n", "\\x0a")
    rows = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert any(row[-1] == shown for row in rows)
    assert not re.search(r"(?<!\\)(<img|\[d|\*f|`g|~~j)", text)
    assert len([line for line in text.splitlines() if line.startswith("# ")]) == 1


def test_csv_has_a_record_for_each_operation_and_size_of_each_run(result: Result) -> None:
    """Numbers are those of the result; rates are over the part that counts."""
    told = records(csv_files(result)["operations.csv"])
    assert [(one["run"], one["operation"], one["size_name"]) for one in told] == [
        (run, operation, size)
        for run in ("1", "2")
        for operation in ("get", "put")
        for size in ("4 to 64 KiB", "64 KiB to 1 MiB")
    ]
    first, measured = told[0], result.runs[0].measured[0]
    assert float(first["requests_per_s"]) == pytest.approx(300 / 3)  # from 3 s to 6 s
    assert (first["steady"], told[4]["steady"]) == ("1", "0")
    assert float(told[4]["requests_per_s"]) == pytest.approx(300 / 6)
    assert float(first["whole_p99_ms"]) == measured.whole.p99_ms
    assert measured.first_byte is not None
    assert float(first["first_byte_p50_ms"]) == measured.first_byte.p50_ms
    assert told[2]["first_byte_p50_ms"] == ""  # a PUT has none


def test_csv_has_a_record_for_each_window(result: Result) -> None:
    """Every second of every run, and whether it is within the steady part."""
    told = records(csv_files(result)["windows.csv"])
    assert len(told) == 12
    assert [one["steady"] for one in told] == ["0"] * 3 + ["1"] * 3 + ["0"] * 6
    assert [int(one["done_get"]) for one in told[:6]] == [window.done["get"] for window in result.runs[0].windows]
    assert [one["done_list"] for one in told] == ["0"] * 12


def test_the_latencies_of_runs_are_those_of_all_their_requests() -> None:
    """The median of all runs together is read from the added histograms; medians of runs are not averaged."""

    def took(median_ms: float, count: int) -> Measured:
        counted = histogram()
        record(counted, np.full(count, median_ms * 1e6, dtype=np.int64))
        return msgspec.structs.replace(made_measured("stat", 0, count, 1), whole=latencies(counted))

    runs = [
        msgspec.structs.replace(made_run(n, operations=("stat",), windows=2, count=10), measured=(one,))
        for n, one in enumerate((took(10.0, 900), took(200.0, 100)), start=1)
    ]
    lines = [cells(line) for line in markdown(made_result(*runs)).splitlines() if line.startswith("| STAT")]
    (row,) = (row for row in lines if row[2] == "whole")
    assert row[3:6] == ["10 ms", "10 ms", "200 ms"]
    assert row[8:] == ["29 ms", "1,000"]


@pytest.fixture(scope="module")
def one_run() -> Result:
    """A result with few figures."""
    return made_result(made_run(1, operations=("stat",), windows=4, connections=4, count=50))


def test_pictures_are_those_of_the_page(one_run: Result) -> None:
    """Every figure of the page is a PNG, twice as fine as a screen, and not empty."""
    pictures = pngs(one_run)
    assert len(pictures) == html(one_run).count("<figure ")
    assert "latency-run-1.png" in pictures
    for data in pictures.values():
        pixels = image.imread(io.BytesIO(data))
        assert pixels.shape[1] == 920
        assert pixels[..., :3].std() > 0.05
    assert pngs(one_run) == pictures


def test_no_text_of_a_picture_lies_on_another() -> None:
    """Title, legend and the drawing of each figure have a place of their own."""
    parts = sections(made_result(made_run(1, waiting=True), made_run(2), made_run(3)))
    for figure in all_figures(parts):
        with styled(figure.name):
            canvas = drawn(figure, figure.title)
            canvas.draw_without_rendering()
            texts = list(canvas.texts)
            for legend in canvas.legends:
                texts += [legend.get_title(), *legend.get_texts()]
            boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in texts]
            boxes.append(("the axes", canvas.axes[0].get_window_extent()))
        assert figure.title in [text.get_text() for text in texts]
        for (one, a), (other, b) in itertools.combinations(boxes, 2):
            assert not a.overlaps(b), f"{figure.name}: {one!r} and {other!r}"


@pytest.mark.parametrize("title", ["", "What is drawn"])
def test_nothing_of_a_picture_is_cut_off(title: str) -> None:
    """Labels of the axes are within it, and below what stands above them, however long they are."""
    runs = [made_run(n, waiting=True, windows=6, connections=8, count=300) for n in (1, 2, 3)]
    parts = sections(made_result(*runs, open_loop=True))
    figures = [*all_figures(parts), wide_labels(1), wide_labels(6)]
    for figure in figures:
        with styled(figure.name):
            canvas = drawn(figure, title)
            canvas.draw_without_rendering()
            inside = canvas.axes[0].get_tightbbox()
            above = [one.get_window_extent() for one in (*canvas.legends, *canvas.texts)]
        assert inside is not None
        for box in (inside, *above):
            assert 0 <= box.x0 < box.x1 <= canvas.bbox.width, figure.name
            assert 0 <= box.y0 < box.y1 <= canvas.bbox.height, figure.name
        assert all(inside.y1 <= box.y0 for box in above), figure.name


def wide_labels(lines: int, most: float = 1_234_567) -> Figure:
    """Return a figure of numbers that take room, with so many lines, each with a row of the legend to itself."""

    def draw(axes: Axes) -> None:
        for number in range(lines):
            axes.plot([0, 1], [0, most], label=f"a line with a long name, number {number}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f} requests/s")
        axes.set_xlabel("seconds since the beginning")

    return Figure("wide", "Wide labels", "", draw, 1.75 + 0.21 * lines)


@pytest.mark.parametrize(("lines", "most"), [(60, 1.0), (2, 1e300)])
def test_what_has_no_room_ends_no_report(lines: int, most: float) -> None:
    """A damaged result may have any number of shares, and of any size; the other figures are still to be seen."""
    figure = msgspec.structs.replace(wide_labels(lines, most), height_in=2.0)
    assert svg(figure).startswith("<svg ")
    with styled(figure.name):
        box = drawn(figure).axes[0].get_position()
    assert min(box.width, box.height) >= LEAST_AXES - 1e-9


def test_files_are_written_where_they_are_asked_for(one_run: Result, tmp_path: Path) -> None:
    """Each form has its files; those that are there are replaced, and result.json is the result."""
    folder = tmp_path / "new" / "folder"
    paths = write(one_run, folder, REPORT_FORMATS)
    names = [str(path.relative_to(folder)) for path in paths]
    assert names[:5] == ["report.html", "report.md", "operations.csv", "windows.csv", "result.json"]
    assert {name.partition("/")[0] for name in names[5:]} == {"figures"}
    assert all(path.stat().st_size > 100 for path in paths)
    assert RESULTS.decode((folder / "result.json").read_bytes()) == one_run
    assert (folder / "report.html").read_text() == html(one_run)
    assert write(one_run, folder, ["csv"]) == paths[2:4]


def test_a_file_that_cannot_be_written_is_named(result: Result, tmp_path: Path) -> None:
    """The error says which file, and what is in its way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match=r"file/result\.json"):
        write(result, tmp_path / "file", ["json"])


def test_a_full_disk_takes_nothing_of_the_file_before(one_run: Result, result: Result, tmp_path: Path) -> None:
    """A file that could not be written to its end leaves the old one as it was, and nothing beside it."""
    write(one_run, tmp_path, ("json",))
    before = (tmp_path / "result.json").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(LocalError, match=r"result\.json"):
            write(result, tmp_path, ("json",))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "result.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
