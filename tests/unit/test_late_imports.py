"""Heavy packages are not imported before they are used: start-up time is part of every transfer's."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"numpy", "awscrt", "rich", "boto3", "botocore"}


@pytest.mark.parametrize(
    "words", [["-c", "import bulkhaul"], ["-m", "bulkhaul", "--version"]], ids=["import", "version"]
)
def test_nothing_heavy_is_imported(words: list[str]) -> None:
    """Neither the package nor the version brings any of them in."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "bulkhaul" in loaded
    assert loaded & HEAVY == set()
