"""The values that a report is made of, whatever it is written as: sections of paragraphs, tables and figures."""

from __future__ import annotations

from typing import Literal

import msgspec

from bulkhaul.benchmark.report.drawing import Figure

Tone = Literal["", "strong", "soft", "warning"]


class Paragraph(msgspec.Struct, frozen=True):
    """A paragraph of plain text."""

    text: str
    tone: Tone = ""


class Tiles(msgspec.Struct, frozen=True):
    """The few numbers that are looked for first: (what, number, note)."""

    tiles: tuple[tuple[str, str, str], ...]


class Table(msgspec.Struct, frozen=True):
    """A table of plain text, whose first column names what each row is about.

    Attributes:
        caption: what is told, in words.
        texts: places of the columns that hold no numbers.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: frozenset[int] = frozenset({0})


class Figures(msgspec.Struct, frozen=True):
    """Figures that belong together.

    Attributes:
        title: of them; empty if they are the only ones of their section.
    """

    title: str
    figures: tuple[Figure, ...]


Block = Paragraph | Tiles | Table | Figures


class Section(msgspec.Struct, frozen=True):
    """A part of the report, with a heading.

    Attributes:
        name: of its place in the page.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


__all__ = ["Block", "Figures", "Paragraph", "Section", "Table", "Tiles", "Tone"]
