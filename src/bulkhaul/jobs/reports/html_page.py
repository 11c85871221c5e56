"""Writes the report of a job as one HTML page for people, which loads nothing and runs nothing.

Totals, throughput over time, how to go on, failures by cause and common prefix, skipped rows by reason, what success
rests on. The page is below 1 MiB whatever the number of rows and whatever their keys: the largest groups are shown, and
how many more there are. Its policy forbids every source; the one style sheet is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from bulkhaul.jobs.reports.html_chart import rate_chart, share_bar
from bulkhaul.jobs.reports.html_parts import escaped, moment, name, number, objects, span, table
from bulkhaul.jobs.reports.html_style import STYLE
from bulkhaul.jobs.reports.reported_job import ReportedJob
from bulkhaul.jobs.reports.summary import Summary, Tally
from bulkhaul.model.rows import ReportRow
from bulkhaul.policy.row_groups import CauseGroup, Example, PrefixGroup, total
from bulkhaul.policy.sizes import format_size

SHOWN_CAUSES = 12
"""Causes shown of failures, and as many of skipped rows."""

SHOWN_PREFIXES = 8
"""Prefixes shown of each cause."""

_EVIDENCE = {
    "checksum": "every byte is covered by a checksum that the service stores",
    "etag": "every reply carried the same ETag, and every length matched",
    "length": "lengths matched; there was nothing else to compare",
    "": "no bytes to compare, or nothing was told",
}


class HtmlWriter:
    """Adds up rows, and writes the page at the end."""

    def __init__(self, out: BinaryIO, job: ReportedJob) -> None:
        self._out = out
        self._job = job
        self._tally = Tally()

    def add(self, rows: Iterable[ReportRow]) -> None:
        """Count rows."""
        self._tally.add_all(rows)

    def finish(self) -> None:
        """Write the page."""
        self._out.write(page(self._tally.summary(self._job.planned), self._job).encode("utf-8"))


def page(summary: Summary, job: ReportedJob) -> str:
    """Return the page."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = f"Report of {escaped(job.name)}" if job.name else "Report of a job"
    sections = (
        _totals(summary),
        _throughput(summary),
        _next_steps(summary, job),
        _failures(summary),
        _skips(summary),
        _evidence(summary),
        _verdicts(summary),
        _plans(summary),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{_header(summary, job, title)}\n"
        + "\n".join(section for section in sections if section)
        + f"\n{_footer(job)}\n"
        "</main>\n</body>\n</html>\n"
    )


def _header(summary: Summary, job: ReportedJob, title: str) -> str:
    lines = [f"<h1>{title}</h1>"]
    if job.source:
        arrow = f" → {name(job.destination)}" if job.destination else ""
        kind = f"{escaped(job.kind)} " if job.kind else ""
        lines.append(f'<p class="soft">{kind}{name(job.source)}{arrow}</p>')
    tone, verdict = _verdict(summary, job)
    lines.append(f'<p class="verdict {tone}">{verdict}</p>')
    return "<header>" + "".join(lines) + "</header>"


def _verdict(summary: Summary, job: ReportedJob) -> tuple[str, str]:
    if summary.excess:
        return (
            "bad",
            f"{number(summary.excess)} more rows were reported than were planned: do not rely on this report.",
        )
    failed = f"{objects(summary.failed)} failed" if summary.failed else ""
    left = f"{objects(summary.left)} not done yet" if summary.left else ""
    planning = "the plan is not whole yet" if job.planning else ""
    if failed or left or planning:
        verdict = ", ".join(text for text in (failed, left, planning) if text)
        return "bad" if failed else "wait", f"{verdict[0].upper()}{verdict[1:]}."
    if not summary.objects:
        return "pale", "Nothing was planned."
    return "good", f"All of {objects(summary.objects)} accounted for: nothing failed, nothing is missing."


def _totals(summary: Summary) -> str:
    seconds = summary.seconds
    tiles = [
        ("planned", "", number(summary.objects), ""),
        ("succeeded", "good", number(summary.succeeded), _percent(summary.succeeded, summary.objects)),
        ("failed", "bad" if summary.failed else "", number(summary.failed), _percent(summary.failed, summary.objects)),
        ("skipped", "", number(summary.skipped), _percent(summary.skipped, summary.objects)),
    ]
    parts = [("good", summary.succeeded), ("bad", summary.failed), ("pale", summary.skipped)]
    equation = (
        f"{number(summary.objects)} planned = {number(summary.succeeded)} succeeded + {number(summary.failed)} failed"
        f" + {number(summary.skipped)} skipped"
    )
    if summary.left:
        tiles.append(("not done", "wait", number(summary.left), _percent(summary.left, summary.objects)))
        parts.append(("wait", summary.left))
        equation += f" + {number(summary.left)} not done"
    tiles.append(("moved", "", format_size(summary.size_bytes), f"{number(summary.size_bytes)} bytes"))
    if seconds:
        tiles.append(("time", "", span(seconds), f"from {moment(summary.began_s)}"))
        rate = f"{format_size(summary.size_bytes / seconds)}/s"
        tiles.append(("average", "", rate, f"{number(summary.succeeded / seconds)} objects/s"))
    told = "".join(_tile(*tile) for tile in tiles)
    retried = f" {number(summary.retried)} failed rows were planned again." if summary.retried else ""
    return (
        f'<section aria-label="Totals"><dl class="tiles">{told}</dl>{share_bar(parts, equation)}'
        f'<p class="soft small">{equation}.{retried}</p></section>'
    )


def _tile(label: str, tone: str, text: str, note: str) -> str:
    small = f"<small>{note}</small>" if note else ""
    return f'<div><dt>{label}</dt><dd class="{tone}">{text}{small}</dd></div>'


def _percent(count: int, every: int) -> str:
    """Return a share that is 100 % or 0 % only where it is exactly so."""
    if every <= 0 or not 0 <= count <= every:
        return ""
    share = count * 100 / every
    if 0 < count < every:
        share = min(max(share, 0.01), 99.99)
    return f"{share:.4g} %"


def _throughput(summary: Summary) -> str:
    slices, width = summary.throughput, summary.slice_s
    if len(slices) < 2:
        return ""
    began_s = slices[0].start_s
    charts = []
    rates = [part.size_bytes / width for part in slices]
    if any(rates):
        charts.append(rate_chart("Bytes", rates, f"{format_size(max(rates))}/s", began_s=began_s, width_s=width))
    rates = [part.objects / width for part in slices]
    charts.append(rate_chart("Objects", rates, f"{number(max(rates))}/s", began_s=began_s, width_s=width))
    note = f'<p class="soft small">Average of each {span(width)}; objects that succeeded.</p>'
    return f'<section><h2>Throughput</h2><div class="charts">{"".join(charts)}</div>{note}</section>'


def _failures(summary: Summary) -> str:
    if not summary.failures:
        return ""
    earlier = summary.failed - total(summary.failures)
    note = f'<p class="soft small">{objects(earlier)} failed in earlier plans.</p>' if earlier > 0 else ""
    return f"<section><h2>Failures by cause</h2>{_causes(summary.failures, ' · ')}{note}</section>"


def _skips(summary: Summary) -> str:
    if not summary.skips:
        return ""
    return f"<section><h2>Skipped, by reason</h2>{_causes(summary.skips, ': ')}</section>"


def _causes(groups: Sequence[CauseGroup], joint: str) -> str:
    told = []
    for group in groups[:SHOWN_CAUSES]:
        head = escaped(joint.join(dict.fromkeys(group.cause))) or "various causes"
        detail = group.prefixes[0].examples[0].detail
        said = f'<p class="small soft">{escaped(detail, 300)}</p>' if detail else ""
        prefixes = "".join(_prefix(prefix, detail) for prefix in group.prefixes[:SHOWN_PREFIXES])
        more = _more(group.prefixes[SHOWN_PREFIXES:], "prefix", "prefixes")
        count = objects(group.count)
        told.append(
            f'<div class="cause"><header><h3>{head}</h3><span>{count}</span></header>{said}{prefixes}{more}</div>'
        )
    return "".join(told) + _more(groups[SHOWN_CAUSES:], "cause", "causes")


def _prefix(group: PrefixGroup, said: str) -> str:
    """Return the rows with one prefix; details that are not what was said of the cause already."""

    def detail(example: Example) -> str:
        new = example.detail and example.detail != said
        return f'<div class="small soft">{escaped(example.detail)}</div>' if new else ""

    if group.count == 1:
        body = name(group.prefix) + detail(group.examples[0])
    else:
        few = len(group.examples) < group.count
        heading = f"{len(group.examples)} examples" if few else "all of them"
        listed = "".join(f"<li>{name(example.name)}{detail(example)}</li>" for example in group.examples)
        where = f"{name(group.prefix)}…" if group.prefix else "names that begin differently"
        body = f"{where}<details><summary>{heading}</summary><ul>{listed}</ul></details>"
    return f'<div class="prefix"><div class="number">{number(group.count)}</div><div>{body}</div></div>'


def _more(hidden: Sequence[CauseGroup] | Sequence[PrefixGroup], one: str, many: str) -> str:
    if not hidden:
        return ""
    noun = one if len(hidden) == 1 else many
    count = sum(group.count for group in hidden)
    return f'<p class="soft small">and {number(len(hidden))} more {noun} with {objects(count)}</p>'


def _next_steps(summary: Summary, job: ReportedJob) -> str:
    where = shlex.quote(job.name) if job.name else "JOB"
    steps = []
    if summary.failed > 0:
        steps.append("<p>What failed is planned again, and only that:</p>")
        steps.append(_commands(f"bulkhaul job retry {where}", f"bulkhaul job run {where}"))
        steps.append("<p>Every failed object, with its error, one a line:</p>")
        steps.append(_commands(f"bulkhaul job report {where} --format jsonl --only failed"))
    elif summary.left > 0 or job.planning:
        steps.append("<p>The job goes on where it stopped:</p>")
        steps.append(_commands(f"bulkhaul job run {where}"))
    return f"<section><h2>How to go on</h2>{''.join(steps)}</section>" if steps else ""


def _commands(*commands: str) -> str:
    return "<pre>" + "\n".join(escaped(command, 1_000) for command in commands) + "</pre>"


def _evidence(summary: Summary) -> str:
    if not summary.integrity:
        return ""
    rows = [(level or "none", number(n), _EVIDENCE.get(level, "")) for level, n in summary.integrity.items()]
    told = table(("integrity", "objects", "what it means"), rows, numbers=frozenset({1}))
    return f"<section><h2>What success rests on</h2>{told}</section>"


def _verdicts(summary: Summary) -> str:
    if not summary.verdicts:
        return ""
    rows = [
        (verdict, evidence or "none", number(n))
        for verdict, rests in summary.verdicts.items()
        for evidence, n in rests.items()
    ]
    told = table(("verdict", "evidence", "objects"), rows, numbers=frozenset({2}))
    return f"<section><h2>Verdicts, and what they rest on</h2>{told}</section>"


def _plans(summary: Summary) -> str:
    if len(summary.plans) < 2:
        return ""
    rows = [
        ("first" if not at else f"retry {at}", *map(number, (p.planned, p.succeeded, p.failed, p.skipped)))
        for at, p in enumerate(summary.plans)
    ]
    head = ("plan", "planned", "succeeded", "failed", "skipped")
    return f"<section><h2>Plans</h2>{table(head, rows, numbers=frozenset({1, 2, 3, 4}))}</section>"


def _footer(job: ReportedJob) -> str:
    when = f" on {moment(job.written_s)}" if job.written_s else ""
    return f"<footer>Written by bulkhaul{when}. Unprintable characters of names are shown as escapes.</footer>"
