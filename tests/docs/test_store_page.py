"""docs/store.md: its table is the contract, its examples run, and each row is shown where it says."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from pathlib import Path

import pytest

from bulkhaul import ObjectStore
from tests.contract.suite.rows import ELSEWHERE, ROWS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/store.md"
TABLE = re.findall(r"^\| C(\d+) \| (.+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_every_row_is_in_the_table_once() -> None:
    """C1 to C72, in their order."""
    assert [int(row) for row, _, _ in TABLE] == sorted(ROWS)


@pytest.mark.parametrize(("row", "links"), [(int(row), links) for row, _, links in TABLE])
def test_a_row_is_shown_by_what_it_names(row: int, links: str) -> None:
    """Each file that a row names has a test of its name, or is said to show it; and none that has one is left out."""
    named = {path.removeprefix("../") for path in re.findall(r"\]\(([^)]+)\)", links)}
    suite = (ROOT / "tests/contract/suite").glob("test_*.py")
    shown = {f"{path.relative_to(ROOT)}" for path in suite if f"\ndef test_c{row}_" in path.read_text()}
    assert named == shown | ({ELSEWHERE[row][1]} if row in ELSEWHERE else set())


def test_every_method_is_listed() -> None:
    """The table of methods has those of the protocol."""
    methods = {name for name, _ in inspect.getmembers(ObjectStore, inspect.isfunction) if not name.startswith("_")}
    assert set(re.findall(r"^\| `(\w+)\(", PAGE.read_text(), re.MULTILINE)) == methods


def test_the_examples_of_the_session_are_true() -> None:
    """Every ``>>>`` of the page gives what stands below it."""
    parser, runner, names = doctest.DocTestParser(), doctest.DocTestRunner(), {"__name__": "page"}
    for number, block in enumerate(blocks("pycon")):
        runner.run(parser.get_doctest(block, names, f"store.md block {number}", str(PAGE), 0), clear_globs=False)
    assert runner.tries > 10
    assert runner.failures == 0


def test_the_programs_are_programs() -> None:
    """They compile, and use methods that stores have."""
    methods = {name for name in dir(ObjectStore) if not name.startswith("_")}
    programs = [ast.parse(block) for block in blocks("python")]
    assert len(programs) == 2
    used = {
        node.attr
        for program in programs
        for node in ast.walk(program)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "store"
    }
    assert used <= methods
    assert used >= {"put_path", "get_to_file", "put_if_absent", "list", "get_bytes_range"}
