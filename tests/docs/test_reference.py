"""docs/reference/: pages made from the program, which leave out no command, setting, error, name or variable."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import bulkhaul
from bulkhaul.model.settings import Settings, Timeouts

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """What writes the pages; it stands beside the site's configuration."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    yield import_module("generated")
    sys.modules.pop("generated")


def test_each_page_is_made_from_something_else(generated: ModuleType) -> None:
    """Every comment names what there is, nothing there is made in vain, and no comment is left."""
    pages = [page.read_text() for page in REFERENCE.glob("*.md")]
    asked = [name for text in pages for name in re.findall(r"<!-- made from (.+?) -->", text)]
    assert sorted(asked) == sorted(generated.MADE)
    assert not [text for text in pages if "<!-- made" in generated.filled(text)]


def test_the_help_pages_have_every_command(generated: ModuleType) -> None:
    """Commands of commands too, each with its usage as it is typed."""
    text = generated.commands()
    for name in ("cp", "ls", "job create", "job report", "doctor"):
        assert f"## bulkhaul {name}\n\n```text\nUsage: bulkhaul {name} " in text
    assert text.count("--help  ") == text.count("## bulkhaul")


def test_the_settings_have_every_field_and_its_default(generated: ModuleType) -> None:
    """A field has a row, which says what it is where nobody chose."""
    text = generated.settings()
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert rows == [*Settings.__struct_fields__, *Timeouts.__struct_fields__]
    assert not re.search(r"\| +\|$", text, re.MULTILINE), "a field without a meaning"
    assert re.search(r"^\| `retry_for_s` \| `float` \| `60.0` \| how long an endpoint that is away", text, re.MULTILINE)
    assert re.search(r"^\| `verify` \| `Verify` \| `'auto'` \|", text, re.MULTILINE)


def test_the_errors_have_their_exit_status(generated: ModuleType) -> None:
    """What is wrong with a command line is 2, an interruption 130, and what failed 1."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", generated.error_table(), re.MULTILINE))
    assert (rows["UsageError"], rows["Cancelled"], rows["NotFound"]) == ("2", "130", "1")


def test_the_api_has_every_public_name(generated: ModuleType) -> None:
    """Each is documented once."""
    named = re.findall(r"(?:^\.\. auto\w+:: |^### )bulkhaul\.(\w+)", generated.api(), re.MULTILINE)
    assert sorted(named) == sorted(set(bulkhaul.__all__) - {"__version__"})


def test_the_environment_has_every_variable_that_is_read() -> None:
    """A variable that the program looks at is on the page, and no other is."""
    page = set(re.findall(r"`([A-Z][A-Z0-9_]{3,})`", (REFERENCE / "environment.md").read_text()))
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    read = re.findall(r"""environ(?:ment)?(?:\.get\(|\[)"([A-Z0-9_]+)"|^_?VARIABLES = \((.*)\)""", source, re.MULTILINE)
    names = {name for one, several in read for name in (one, *re.findall(r'"(\w+)"', several)) if name}
    assert len(names) > 12
    assert names - page - {"OPENBLAS_NUM_THREADS", "_BULKHAUL_COMPLETE", "COMP_WORDS", "COMP_CUR"} == set()
    of_the_sdk = {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"}  # which it reads by their endings
    assert [name for name in page - of_the_sdk if name not in source] == []
