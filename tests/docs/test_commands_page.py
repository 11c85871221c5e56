"""docs/commands.md: it has every command with its options and no others, and its examples are command lines."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bulkhaul.cli.group import cli
from bulkhaul.cli.report import Counts, json_line, summary_line
from bulkhaul.model.results import TransferResult

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/commands.md"
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE.read_text(), re.MULTILINE))
NAMES = cli.list_commands(click.Context(cli))
EVERYWHERE = {"--help", "-h", "--version"}


def command(name: str) -> click.Command:
    """Return a command of the group."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def options_of(name: str) -> set[str]:
    """Return the options that a command takes, or one of its own commands, in all their spellings."""
    found = command(name)
    commands = [found, *found.commands.values()] if isinstance(found, click.Group) else [found]
    options = [parameter for one in commands for parameter in one.params if isinstance(parameter, click.Option)]
    return {spelling for option in options for spelling in (*option.opts, *option.secondary_opts)}


def documented(title: str) -> set[str]:
    """Return the options in the first column of a section's tables, and of the sections that its options refer to."""
    section = SECTIONS[title]
    rows = re.findall(r"^\| (`-.+?) \| ", section, re.MULTILINE)
    own = {spelling for row in rows for spelling in re.findall(r"`(--?[a-z0-9-]+|-[A-Za-z])", row)}
    said = re.search(r"^Options: (.+?)(?:\n\n|\.)", section, re.MULTILINE | re.DOTALL)
    titles = {heading.lower().replace(" ", "-"): heading for heading in SECTIONS}
    anchors = re.findall(r"\]\(#([a-z-]+)\)", said.group(1)) if said else []
    return own.union(*(documented(titles[anchor]) for anchor in anchors))


def examples(page: Path) -> Iterator[str]:
    """Yield each command line of ours in the page's shell blocks, without what else is in its pipeline."""
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            yield from re.findall(r"(?:^|\| |\$\()(bulkhaul [a-z][^|)]*?)(?=\s*(?:[|)#>]|$))", line)


EXAMPLES = [
    (page.name, example)
    for page in (PAGE, ROOT / "README.md", ROOT / "docs/index.md")
    for example in examples(page)
    if "[" not in example and "{" not in example  # a synopsis is no example
]


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_documented(name: str) -> None:
    """A command's section names each of its options, there or by the sections it refers to, and no other."""
    assert documented(name) == options_of(name)


def test_no_option_is_made_up() -> None:
    """What the page calls an option anywhere is one."""
    real = {option for name in NAMES for option in options_of(name)} | EVERYWHERE
    assert set(re.findall(r"`(--[a-z][a-z-]*)", PAGE.read_text())) - real == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_introduced(name: str) -> None:
    """A command has a row in the table at the top, a synopsis with its own metavars, and an example."""
    assert f"| [{name}](#{name}) |" in PAGE.read_text()
    arguments = [parameter for parameter in command(name).params if isinstance(parameter, click.Argument)]
    pieces = [argument.make_metavar(click.Context(command(name))) for argument in arguments]
    synopsis = next(line for line in SECTIONS[name].splitlines() if line.startswith(f"bulkhaul {name} "))
    assert synopsis.endswith(" ".join(pieces))
    assert any(example.split()[1] == name for page, example in EXAMPLES if page == PAGE.name)


@pytest.mark.parametrize(("page", "example"), EXAMPLES)
def test_the_examples_are_command_lines(page: str, example: str) -> None:
    """Each example parses: command and options exist, and their values are of the right kind."""
    _, name, *arguments = shlex.split(example)
    called = command(name)
    if isinstance(called, click.Group) and not arguments[0].startswith("-"):
        name, *arguments = arguments
        called = called.commands[name]
    assert called.make_context(name, arguments).command is called, page


def test_the_json_lines_have_the_fields_they_have() -> None:
    """The lines shown for an object, a failure and the summary have the fields of real ones, in their order."""
    found = re.search(r"<!-- json lines -->\n```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    text, shown = found.group(1), []
    while text:
        line, end = json.JSONDecoder().raw_decode(text)
        shown.append(line)
        text = text[end:].lstrip()
    done = json.loads(json_line(TransferResult(source="s3://b/k", destination="k", bucket="b", key="k")))
    total = json.loads(summary_line(Counts(), 1.0, success=True))
    assert [list(line) for line in shown] == [list(done), [*done, "error"], list(total)]
    assert all(line["object"].keys() == done["object"].keys() for line in shown[:2])
