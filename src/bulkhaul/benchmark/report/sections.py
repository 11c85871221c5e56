"""Decides what a report says of a result, and in which order: what limited it comes first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bulkhaul.benchmark.report.content import Block, Figures, Paragraph, Section
from bulkhaul.benchmark.report.drawing import Figure
from bulkhaul.benchmark.report.figures_of_requests import (
    connection_figures,
    latency_figures,
    share_figures,
    size_figures,
)
from bulkhaul.benchmark.report.figures_over_time import client_figures, failure_figures, moved_figures
from bulkhaul.benchmark.report.tables import (
    Gathered,
    connections_table,
    failures_table,
    fields_table,
    floors_table,
    gathered,
    latency_table,
    operations_table,
    processes_table,
    runs_table,
    shares_table,
    tiles,
    workload_table,
)
from bulkhaul.benchmark.report.words import counted, loop, sentence, shown
from bulkhaul.benchmark.results import Result, Run

SHOWN_RUNS = 6
"""Runs whose figures are shown at most: a page stays small, and its figures few enough to be looked at."""


def sections(result: Result) -> tuple[Section, ...]:
    """Return all of a report."""
    runs = result.runs
    if not runs:
        return (Section("limits", "No run was recorded", (Paragraph(loop(result)),)), _setting(result))
    parts = gathered(runs)
    return (
        _limits(result, parts),
        Section("runs", "Runs", tuple(_runs(runs))),
        Section("time", "Over time", tuple(_over_time(runs))),
        _latency(result, parts),
        _sizes(parts),
        _connections(runs),
        _failures(runs),
        _client(runs),
        _floors(result),
        _setting(result),
    )


def all_figures(told: Sequence[Section]) -> list[Figure]:
    """Return the figures of sections, in their order."""
    return [figure for part in told for block in part.blocks if isinstance(block, Figures) for figure in block.figures]


def _limits(result: Result, parts: list[Gathered]) -> Section:
    several = len(result.runs) > 1
    blocks: list[Block] = []
    for told in dict.fromkeys(run.limit.sentence for run in result.runs):
        own = [run for run in result.runs if run.limit.sentence == told]
        which = f"{_which(own)}: " if several else ""
        blocks.append(Paragraph(f"{which}{sentence(told)}", "strong"))
    never = [run for run in result.runs if not run.steady.reached]
    if never:
        blocks.append(Paragraph(_never_steady(never, several), "warning"))
    cut = [run for run in result.runs if run.interrupted]
    if cut:
        blocks.append(Paragraph(f"{_which(cut)} ended early; what was measured until then counts.", "warning"))
    if left := sum(run.never_begun for run in result.runs):
        due = counted(left, "request")
        blocks.append(
            Paragraph(f"Due, and never begun before the time was over: {due}. No number has them.", "warning")
        )
    blocks += [tiles(result, parts), Paragraph(loop(result), "soft")]
    blocks += _figures("", share_figures(result.runs, SHOWN_RUNS))
    if any(run.limit.shares for run in result.runs):
        blocks.append(shares_table(result.runs))
    return Section("limits", "What limited it", tuple(blocks))


def _never_steady(never: Sequence[Run], several: bool) -> str:
    which = f" in {_which(never).lower()}" if several else ""
    return (
        f"Throughput never became steady{which}: all of the run counts, its beginning included, and another run may"
        " differ much. Measure for longer."
    )


def _which(runs: Sequence[Run]) -> str:
    """Name runs: ``Run 1``, or ``Runs 1, 2, 3``."""
    return f"Run{'s' if len(runs) > 1 else ''} {', '.join(str(run.number) for run in runs)}"


def _runs(runs: Sequence[Run]) -> list[Block]:
    return [runs_table(runs), Paragraph("A MiB is 1,048,576 bytes. Sent again: TCP segments, by the client.", "soft")]


def _over_time(runs: Sequence[Run]) -> list[Block]:
    blocks: list[Block] = []
    if any(run.steady.reached and not run.steady.replayed for run in runs):
        blocks.append(Paragraph("The steady part of a run counts; figures have it shaded.", "soft"))
    return blocks + _of_each_run(runs, moved_figures)


def _of_each_run(runs: Sequence[Run], drawn: Callable[[Run], tuple[Figure, ...]]) -> list[Block]:
    blocks: list[Block] = []
    for run in runs[:SHOWN_RUNS]:
        figures = drawn(run)
        title = f"Run {run.number}" if len(runs) > 1 else ""
        blocks += _figures(title, figures)
        if not figures:
            blocks.append(Paragraph(f"Run {run.number} was too short to draw."))
    if len(runs) > SHOWN_RUNS:
        rest = counted(len(runs) - SHOWN_RUNS, "more run")
        blocks.append(Paragraph(f"{rest} not drawn; windows.csv holds all of them.", "soft"))
    return blocks


def _figures(title: str, figures: tuple[Figure, ...]) -> list[Block]:
    return [Figures(title, figures)] if figures else []


def _latency(result: Result, parts: list[Gathered]) -> Section:
    together = "All runs together: their histograms are added, which is exact. " if len(result.runs) > 1 else ""
    since = "the instant at which it was due" if result.open_loop else "its beginning"
    exact = "Times are exact to three digits; failed requests are not in them."
    note = f"{together}The latency of a request counts from {since}. {exact}"
    blocks = [Paragraph(note, "soft"), *_figures("", latency_figures(parts)), latency_table(parts)]
    return Section("latency", "Latency", tuple(blocks))


def _sizes(parts: list[Gathered]) -> Section:
    blocks: list[Block] = [*_figures("", size_figures(parts)), operations_table(parts)]
    return Section("sizes", "By size", tuple(blocks))


def _connections(runs: Sequence[Run]) -> Section:
    table = connections_table(runs)
    if not table.rows:
        return Section("connections", "By connection", (Paragraph("No connection was measured."),))
    note = Paragraph(
        "Each connection has one request at a time; its rate is what it moved in the seconds in which it had one.",
        "soft",
    )
    return Section("connections", "By connection", (note, *_figures("", connection_figures(runs, SHOWN_RUNS)), table))


def _failures(runs: Sequence[Run]) -> Section:
    if not any(run.failures for run in runs):
        return Section("failures", "Failures", (Paragraph("No request failed."),))
    figures = tuple(figure for run in runs[:SHOWN_RUNS] for figure in failure_figures(run))
    return Section("failures", "Failures", (*_figures("", figures), failures_table(runs)))


def _client(runs: Sequence[Run]) -> Section:
    again = sum(run.retransmits for run in runs)
    told = (
        f"The client sent {counted(again, 'TCP segment')} again." if again else "The client sent no TCP segment again."
    )
    blocks = _of_each_run(runs, client_figures)
    return Section("client", "The client", (Paragraph(told), *blocks, processes_table(runs)))


def _floors(result: Result) -> Section:
    title = "What is possible here"
    if result.floors is None:
        why = f": {shown(result.no_floors)}" if result.no_floors else ""
        return Section("floors", title, (Paragraph(f"Nothing was probed{why}."),))
    note = "The same endpoint and disk, used by a few raw sockets and writes, before the runs."
    if not result.floors.connection_bytes_per_s:
        note += " Objects are too small to tell the rates of connections."
    if result.floors.no_disk:
        note += f" The disk could not be probed: {shown(result.floors.no_disk)}."
    return Section("floors", title, (Paragraph(note, "soft"), floors_table(result.floors, result)))


def _setting(result: Result) -> Section:
    blocks: list[Block] = [workload_table(result)]
    if result.settings:
        blocks.append(fields_table("Settings of the program", result.settings))
    if result.machine:
        blocks.append(fields_table("The client's machine", result.machine))
    return Section("settings", "Settings and machine", tuple(blocks))
