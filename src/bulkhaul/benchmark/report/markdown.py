"""Writes a report as Markdown: its sentences and tables, and of its figures what one sees in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bulkhaul.benchmark.report.content import Block, Figures, Paragraph, Table, Tiles
from bulkhaul.benchmark.report.sections import sections
from bulkhaul.benchmark.report.words import shown
from bulkhaul.benchmark.results import Result

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")


def markdown(result: Result) -> str:
    """Return the report; GitHub's tables, and no markup of anybody else's.

    Raises:
        UsageError: hdrhistogram is not installed.
    """
    lines = [f"# Benchmark {escaped(shown(result.name))}", ""]
    lines += [f"{escaped(shown(result.url))} at {escaped(shown(result.endpoint))}", ""]
    for section in sections(result):
        lines += [f"## {escaped(section.title)}", ""]
        for block in section.blocks:
            lines += [*_block(block), ""]
    lines.append(f"Measured and written by bulkhaul {escaped(shown(result.version))}.")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    r"""Return text in which nothing is markup.

    >>> print(escaped("a|b <i>"))
    a\|b \<i\>
    """
    return _MARKS.sub(r"\\\1", text)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph():
            text = escaped(block.text)
            yield f"**{text}**" if block.tone in ("strong", "warning") else text
        case Tiles():
            yield from (
                f"- {escaped(what)}: **{escaped(value)}** ({escaped(note)})" for what, value, note in block.tiles
            )
        case Figures():
            if block.title:
                yield f"### {escaped(block.title)}"
                yield ""
            yield from (f"- {escaped(figure.title)}: {escaped(figure.alt)}" for figure in block.figures)
        case Table():
            yield f"{escaped(block.caption)}:"
            yield ""
            yield _row(block.head)
            yield "|" + "|".join("---" if at in block.texts else "--:" for at in range(len(block.head))) + "|"
            yield from map(_row, block.rows)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(map(escaped, cells)) + " |"
