"""Writes the reference pages from the program itself: its help pages, settings, errors, schemas and public names.

Each function returns Markdown, which takes the place of the comment ``<!-- made from NAME -->`` of a page.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec

import bulkhaul
from bulkhaul.cli.group import cli
from bulkhaul.model import errors
from bulkhaul.model.settings import Settings, Timeouts

SCHEMAS = Path(__file__).parent / "schemas"


def command_lines(group: click.Group, parent: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every command below a group with its context, in the order of the help page, groups before theirs."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent)
        yield command, context
        if isinstance(command, click.Group):
            yield from command_lines(command, context)


def commands() -> str:
    """Return the help page of every command."""
    top = click.Context(cli, info_name="bulkhaul", terminal_width=92, **cli.context_settings)
    pages = [(cli, top), *command_lines(cli, top)]
    return "\n".join(
        f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n" for command, context in pages
    )


def _attributes(kind: type) -> dict[str, str]:
    """Return what the docstring of a class says of each attribute."""
    text = inspect.getdoc(kind) or ""
    section = re.search(r"^Attributes:\n((?: .*\n|\n)*)", text + "\n", re.MULTILINE)
    found: dict[str, str] = {}
    for line in inspect.cleandoc(section[1]).splitlines() if section else []:
        if begun := re.match(r"(\w+): (.*)", line):
            name = begun[1]
            found[name] = begun[2]
        else:
            found[name] += f" {line.strip()}"
    return found


def _summary(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n\n")[0].replace("\n", " ")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _fields(kind: type[msgspec.Struct]) -> str:
    said = _attributes(kind)
    annotations = kind.__annotations__
    rows = []
    for field in msgspec.structs.fields(kind):
        default = getattr(field.default, "value", field.default)
        plain = default is None or isinstance(default, bool | int | float | str)
        shown = f"`{default!r}`" if plain else f"`{type(default).__name__}()`"
        rows.append((f"`{field.name}`", f"`{annotations[field.name]}`", shown, said.get(field.name, "")))
    return _table(("field", "type", "default", "meaning"), rows).replace("``", "`")


def settings() -> str:
    """Return the fields of the settings and of their timeouts, with defaults and reasons."""
    return f"{_fields(Settings)}\n## Timeouts\n\n{_fields(Timeouts)}"


def error_table() -> str:
    """Return every error with the exit status that it alone gives a command, and what it means."""
    kinds = [getattr(errors, name) for name in errors.__all__]
    rows = [(f"`{kind.__name__}`", str(kind.exit_code), _summary(kind)) for kind in kinds]
    return _table(("error", "exit status", "meaning"), rows).replace("``", "`")


def schemas() -> str:
    """Return the JSON schemas of the files of a job."""
    parts = []
    for path in sorted(SCHEMAS.glob("*.json")):
        text = path.read_text()
        title = json.loads(text).get("title", path.name)
        parts.append(f"## {title}\n\n[{path.name}](../schemas/{path.name})\n\n```json\n{text.rstrip()}\n```\n")
    return "\n".join(parts)


_HEADINGS: tuple[tuple[str, Callable[[str, object], bool]], ...] = (
    ("Engines", lambda name, _: name in ("Engine", "AsyncEngine", "open")),
    ("Stores", lambda name, _: name.endswith("Store")),
    ("Errors", lambda _, value: isinstance(value, type) and issubclass(value, Exception)),
    ("Modules", lambda _, value: inspect.ismodule(value)),
    ("Values", lambda name, _: not name.startswith("_")),
)


def api() -> str:
    """Return what documents every public name from its docstring."""
    left = {name: getattr(bulkhaul, name) for name in bulkhaul.__all__}
    text = ""
    for title, belongs in _HEADINGS:
        chosen = [name for name, value in left.items() if belongs(name, value)]
        text += f"## {title}\n\n"
        for name in chosen:
            text += _documented(name, left.pop(name))
    return text


def _documented(name: str, value: object) -> str:
    if inspect.ismodule(value):
        names = ", ".join(f"`{one}`" for one in getattr(value, "__all__", ()))
        return f"### bulkhaul.{name}\n\n{_summary(value)}\n\n{names}\n\n"
    kind = "autofunction" if inspect.isroutine(value) else "autoclass" if isinstance(value, type) else "autodata"
    options = "" if kind != "autoclass" else "\n   :members:\n   :inherited-members: Struct, Exception, StrEnum, str"
    return f"```{{eval-rst}}\n.. {kind}:: bulkhaul.{name}{options}\n```\n\n"


MADE: dict[str, Callable[[], str]] = {
    "the help pages": commands,
    "the settings": settings,
    "the errors": error_table,
    "the schemas": schemas,
    "the public names": api,
}
"""What a page's comment may name."""


def filled(text: str) -> str:
    """Return a page with what its comments ask for."""
    return re.sub(r"<!-- made from (.+?) -->\n", lambda comment: MADE[comment[1]](), text)
