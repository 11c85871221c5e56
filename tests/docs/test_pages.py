"""Every page's links lead somewhere, and the pages say what the program says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md"))
    if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
)
_LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that is there, and each anchor a heading of it."""
    text = _FENCE.sub("", page.read_text())
    for link in _LINK.findall(text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} in {page.name}"
        assert not anchor or anchor in _anchors(target), f"{link} in {page.name}"


def test_pages_are_found() -> None:
    """The checks above see the README and the architecture page; they cannot pass for want of pages."""
    assert {"README.md", "architecture.md", "CHANGELOG.md"} <= {page.name for page in PAGES}


def test_the_readme_has_two_commands() -> None:
    """One command sets up and runs the demo, one the tests; each is one line."""
    readme = (ROOT / "README.md").read_text()
    for name in ("demo command", "test command"):
        found = re.search(rf"<!-- {name} -->\n```sh\n(.+)\n```\n<!-- end -->", readme)
        assert found is not None
        assert found.group(1).count("&&") == 2


def _named(page: str) -> set[str]:
    """Return the modules and folders that the tables of a page name; without a room they are below ``engine/``."""
    rows = [line for line in (ROOT / page).read_text().splitlines() if line.startswith("|")]
    found: set[str] = set()
    for row in rows:
        folder = ""
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", row):
            # A second file of the same folder is named without it.
            folder = name.rpartition("/")[0] if "/" in name else folder
            found.add(name if "/" in name else f"{folder}/{name}")
    return found


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_the_files_that_the_map_names_are_there(page: str) -> None:
    """A map that names a file which has moved leads astray."""
    places = (ROOT, ROOT / "src/bulkhaul", ROOT / "src/bulkhaul/engine")
    named = _named(page)
    assert len(named) > 10
    assert [name for name in sorted(named) if not any((place / name).exists() for place in places)] == []
