"""What the package imports is what its installation brings along."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported(path: Path) -> Iterator[str]:
    """Yield the package of every absolute import of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def normal(name: str) -> str:
    """Return the name of a package as indexes compare it. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_imports_are_declared() -> None:
    """Nothing is had by another package's grace: that one may bring a release that the code cannot work with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["parquet"], *extras["fsspec"], *extras["bench"]]
    names = {normal(re.split("[<>=!~ ;[]", text)[0]) for text in declared} | {"botocore"}  # boto3 goes with one of it
    found = {name for path in ROOT.glob("src/**/*.py") for name in imported(path)} - {
        "bulkhaul",
        "_typeshed",  # type checkers alone have it
        "pytest",  # it loads bulkhaul.testing.fixtures itself
    }
    foreign = found - sys.stdlib_module_names
    assert foreign > {"boto3", "msgspec"}
    homes = packages_distributions()
    assert {name for name in foreign if not names & {normal(home) for home in homes.get(name, ())}} == set()
