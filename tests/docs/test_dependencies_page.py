"""docs/dependencies.md: it has what the package depends on, and no more."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs/dependencies.md").read_text()


def test_every_dependency_has_a_row() -> None:
    """In the order of the alphabet, as in pyproject.toml."""
    named = re.findall(r"^\| `([\w-]+)`", PAGE, re.MULTILINE)
    assert named == [re.split(r"[^\w-]", one)[0] for one in PROJECT["dependencies"]]


def test_every_extra_has_a_row() -> None:
    """By the name that pip takes."""
    assert set(re.findall(r"`bulkhaul\[(\w+)\]`", PAGE)) == set(PROJECT["optional-dependencies"])
