"""The suite itself: every row has a test or a reason, and a declared gap cannot go unnoticed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from . import (
    test_aio,
    test_changes,
    test_downloads,
    test_endings,
    test_files,
    test_keys_and_listings,
    test_misuse,
    test_more_changes,
    test_opening,
    test_options,
    test_ranges,
    test_reading,
    test_rude_server,
    test_uploads,
    test_urls_and_errors,
    test_versions,
    test_wire_reading,
    test_wire_uploads,
    test_wire_writing,
)
from .rows import ELSEWHERE, ROWS
from .stores import STORES

ROOT = Path(__file__).parents[3]
ON_EVERY_STORE = (
    test_changes,
    test_downloads,
    test_keys_and_listings,
    test_reading,
    test_uploads,
    test_urls_and_errors,
)
ON_THE_WIRE = (test_opening, test_wire_reading, test_wire_uploads, test_wire_writing)
BESIDE = (
    *(test_aio, test_endings, test_files, test_misuse, test_more_changes),
    *(test_options, test_ranges, test_rude_server, test_versions),
)
"""Not about single rows."""

NAMES = [name for module in ON_EVERY_STORE for name in vars(module) if name.startswith("test_")]
WIRE_NAMES = [name for module in ON_THE_WIRE for name in vars(module) if name.startswith("test_")]


def test_every_row_has_a_test_or_a_reason() -> None:
    """C1 to C72: each is shown by a test of its name, or it is said where else and why."""
    tested = {int(found[1]) for name in NAMES + WIRE_NAMES if (found := re.match(r"test_c(\d+)_", name))}
    assert tested | ELSEWHERE.keys() == ROWS
    assert tested & ELSEWHERE.keys() == set()


@pytest.mark.parametrize("row", ELSEWHERE)
def test_a_row_that_is_shown_elsewhere_is_shown_there(row: int) -> None:
    """The named file exists, and has tests."""
    reason, path = ELSEWHERE[row]
    assert reason
    assert "\ndef test_" in (ROOT / path).read_text()


def test_every_module_of_the_suite_is_counted() -> None:
    """A new module of tests is listed here, and no test hides another by its name."""
    here = {path.stem for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).stem}
    modules = (*ON_EVERY_STORE, *ON_THE_WIRE, *BESIDE)
    assert {module.__name__.rpartition(".")[2] for module in modules} == here
    for names in (NAMES, WIRE_NAMES):
        assert len(names) == len(set(names))
        assert all(re.match(r"test_c\d+_", name) for name in names)


def test_every_gap_names_a_test_and_a_reason() -> None:
    """A gap that is misspelt, or outlives its test, would assert nothing."""
    assert [store.name for store in STORES] == ["memory", "local", "weed", "ministack", "moto"]
    for store in STORES:
        assert store.gaps
        assert set(store.gaps) <= set(NAMES)
        assert all(gap.reason for gap in store.gaps.values())


PROBE = """
import pytest
from tests.contract.suite.subjects import Gap, StoreUnderTest, memory_running

STORES = [
    StoreUnderTest("lacking", memory_running, {"test_row": Gap("it cannot"), "test_other": Gap("fails", (OSError,))}),
    StoreUnderTest("complete", memory_running),
]
every_store = pytest.mark.parametrize("opened", STORES, ids=lambda store: store.name)

@every_store
def test_row(opened):
    BODY

@every_store
def test_other(opened):
    if opened.name == "lacking":
        raise OSError("as declared")

@every_store
def test_kept(opened):
    assert opened.name
"""
"""Two stores and three rows; the hook is the one that runs for the suite."""


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("assert opened.name == 'complete'", "4 passed, 2 xfailed"),
        ("if opened.name == 'lacking': pytest.fail('DID NOT RAISE')", "4 passed, 2 xfailed"),
        ("pass", "1 failed, 4 passed, 1 xfailed"),
        ("if opened.name == 'lacking': raise KeyError('another way')", "1 failed, 4 passed, 1 xfailed"),
        ("assert False", "1 failed, 3 passed, 2 xfailed"),
    ],
    ids=["still-there", "nothing-raised", "closed", "another-failure", "undeclared"],
)
def test_a_gap_that_closes_fails_the_run(tmp_path: Path, body: str, outcome: str) -> None:
    """A gap is asserted, for its store alone: the run fails once it is closed, or when it fails in another way."""
    (tmp_path / "conftest.py").write_text("from tests.contract.suite.conftest import pytest_collection_modifyitems\n")
    (tmp_path / "test_probe.py").write_text(PROBE.replace("BODY", body))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == (1 if "failed" in outcome.split(",")[0] else 0)
