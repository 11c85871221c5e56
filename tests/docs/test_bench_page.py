"""docs/bench.md: its workload file runs, its commands are such, and its tables have every field."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from bench.distant_server.launch import distant_server

from bulkhaul.benchmark.op_log import COLUMNS
from bulkhaul.benchmark.results import Window
from bulkhaul.cli.commands.bench import bench
from bulkhaul.model.workloads import Workload
from tests.integration.command import run

PAGE = (Path(__file__).parents[2] / "docs/bench.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_workload_file_is_run(tmp_path: Path) -> None:
    """The example is a workload, of which a shorter run has the fields that are not typed."""
    (example,) = blocks("toml")
    (tmp_path / "load.toml").write_text(example)
    words = ("--workload", tmp_path / "load.toml", "s3://bench/tmp/", "--duration", "1s", "--repeat", "1")
    with distant_server(["--keep", "--rate", "100"]) as server:
        variables = {
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_REGION": "us-east-1",
            "BULKHAUL_STATE_DIR": str(tmp_path),
        }
        more = ("--objects", "20", "--out", tmp_path / "out")
        done = run("bench", "run", *words, *more, variables=variables)
    assert done.returncode in (0, 3), done.stderr
    asked: dict[str, Any] = json.loads((tmp_path / "out/result.json").read_bytes())["workload"]
    assert asked["mix"] == {"get": 70, "put": 20, "list": 5, "delete": 5}
    assert (asked["size"], asked["prefixes"], asked["rate"]) == ("weights:64KiB=80,1MiB=20", 16, 200)


def test_the_table_of_the_file_has_every_field_and_its_default() -> None:
    """Its rows are the fields of a workload, in their order, with what they are where they are left out."""
    part = PAGE[PAGE.index("## A workload file") : PAGE.index("## Op-logs")]
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (?:`(.+?)`)?[^`|]*\|$", part, re.MULTILINE))
    assert tuple(rows) == Workload.__struct_fields__
    defaults = {name: json.loads(text) for name, text in rows.items() if text}
    plain = Workload(mix={"get": 1})
    assert defaults == {name: getattr(plain, name) for name in Workload.__struct_fields__ if name != "mix"}


@pytest.mark.parametrize(
    "line", [line for block in blocks("sh") for line in block.splitlines() if line.startswith("bulkhaul bench ")]
)
def test_every_command_is_one(line: str) -> None:
    """Each line of ``bulkhaul bench`` names a command and options that it has."""
    words = shlex.split(line.partition(" || ")[0], comments=True)[2:]
    if words[0].startswith("--"):
        bench.make_context("bench", words)
        return
    command = bench.get_command(click.Context(bench), words[0])
    assert command is not None
    command.make_context(words[0], words[1:])


def test_windows_and_columns_are_named() -> None:
    """The page names every field of a window, and every column of an op-log."""
    row = next(line for line in PAGE.splitlines() if line.startswith("| `window` |"))
    assert set(re.findall(r"`(\w+)`", row)) == {"window", "run", *Window.__struct_fields__}
    assert " ".join(COLUMNS) in PAGE
