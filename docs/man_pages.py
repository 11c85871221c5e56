r"""Writes a manual page for each command, from the same objects as its help page.

Source: man(7) of groff. A hyphen is written ``\-``, so that a reader may copy an option; a line of text never begins
with a dot or an apostrophe.
"""

from __future__ import annotations

import inspect

import click
from generated import command_lines

import bulkhaul
from bulkhaul.cli.click_extensions import FIRST
from bulkhaul.cli.group import cli


def man_pages() -> dict[str, str]:
    """Return the pages by the names of their files: ``bulkhaul.1``, ``bulkhaul-cp.1``, ``bulkhaul-job-run.1``."""
    top = click.Context(cli, info_name="bulkhaul", **cli.context_settings)
    pages = [(cli, top), *command_lines(cli, top)]
    return {f"{_name(context)}.1": _page(command, context) for command, context in pages}


def _name(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _page(command: click.Command, context: click.Context) -> str:
    name = _name(context)
    lines = [
        f'.TH "{_plain(name.upper())}" 1 "" "bulkhaul {bulkhaul.__version__}" "bulkhaul"',
        ".SH NAME",
        f"{_plain(name)} \\- {_plain(command.get_short_help_str(limit=200).rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_plain(context.command_path)}",
        _text(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
        *_options(command, context),
    ]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for one in command.list_commands(context):
            below = command.get_command(context, one)
            assert below is not None
            lines += [".TP", f".B {_plain(one)}", _text(below.get_short_help_str(limit=200))]
    if command.epilog:
        lines += [".SH EXAMPLES", *_paragraphs(command.epilog)]
    if context.parent is not None:
        lines += [".SH SEE ALSO", f".BR {_plain(_name(context.parent))} (1)"]
    return "\n".join(lines) + "\n"


def _options(command: click.Command, context: click.Context) -> list[str]:
    """Return the options under the headings of the help page."""
    sections: dict[str, list[str]] = {}
    for one in command.get_params(context):
        if isinstance(one, click.Option) and (record := one.get_help_record(context)):
            title = getattr(one, "section", FIRST)
            sections.setdefault(title, []).extend([".TP", f".B {_plain(record[0])}", _text(record[1])])
    return [line for title, lines in sections.items() for line in (f".SH {_plain(title.upper())}", *lines)]


def _paragraphs(text: str) -> list[str]:
    """Return running text as filled paragraphs, and what follows click's mark, a backspace, line by line."""
    lines: list[str] = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        kept = paragraph.startswith("\b")
        shown = [_text(line) for line in paragraph.removeprefix("\b").strip("\n").splitlines()]
        lines += [".PP", *([".nf", *shown, ".fi"] if kept else shown)]
    return lines


def _text(line: str) -> str:
    plain = _plain(line)
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


def _plain(text: str) -> str:
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return "".join(one if one.isascii() else f"\\[u{ord(one):04X}]" for one in plain)  # groff reads bytes
