"""docs/troubleshooting.md: each message on it is one that the program prints."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MESSAGES = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def texts() -> str:
    """Every string of the source, as Python joins them."""
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        found += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join(found)


@pytest.mark.parametrize("message", MESSAGES)
def test_the_message_is_in_the_source(message: str, texts: str) -> None:
    """Who looks for it by its words finds it on the page."""
    assert message in texts


def test_messages_are_found() -> None:
    """The test above sees the tables."""
    assert len(MESSAGES) > 20
