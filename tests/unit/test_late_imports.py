"""Heavy packages are not imported before they are used: start-up time is part of every transfer's."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"numpy", "awscrt", "rich", "boto3", "botocore"}


def imported_by(*words: str) -> set[str]:
    """Return the packages that a program of Python imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True, timeout=60
    )
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}


@pytest.mark.parametrize(
    "words", [["-c", "import bulkhaul"], ["-m", "bulkhaul", "--version"]], ids=["import", "version"]
)
def test_nothing_heavy_is_imported(words: list[str]) -> None:
    """Neither the package nor the version brings any of them in."""
    loaded = imported_by(*words)
    assert "bulkhaul" in loaded
    assert loaded & HEAVY == set()


def test_only_workers_read_xml() -> None:
    """Documents of the service are read by its workers; a command that waits for them starts without a parser."""
    loaded = imported_by("-c", "import bulkhaul.cli.run_job, bulkhaul.cli.run_query")
    assert "bulkhaul" in loaded
    assert "xml" not in loaded
