"""The table of s5cmd's command lines: each is run by both programs on one server, and ends as its row says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.guide import DOCS
from tests.integration.command import environment, run
from tests.integration.peers.s5cmd_rows import MOVING
from tests.integration.peers.s5cmd_rows_listing import LOOKING
from tests.integration.peers.scenario import Ended, Row, carry_out
from tests.patience import PATIENCE_S
from tests.servers.ministack import ministack
from tests.servers.process import RunningServer, find_program

ROWS = (*MOVING, *LOOKING)
Factory = pytest.TempPathFactory


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server that keeps odd keys, and lists in the order of bytes."""
    with ministack() as running:
        yield running


def variables(server: RunningServer, place: Path) -> dict[str, str]:
    """Return what the environment of both programs has."""
    return {
        **server.keys(),
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "S3_ENDPOINT_URL": server.endpoint_url,
        "BULKHAUL_STATE_DIR": f"{place}-state",
    }


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Any:
    """A client of the server."""
    return server.client()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows(row: Row, server: RunningServer, client: Any, tmp_path_factory: Factory) -> None:
    """Ours ends as the row says; theirs ends alike, or where we have a reason, otherwise."""

    def ours(words: list[str], place: Path, given: bytes) -> Ended:
        return run(*words, variables=variables(server, place), given=given, folder=place)

    def theirs(words: list[str], place: Path, given: bytes) -> Ended:
        command = [find_program("s5cmd"), "-r", "0", *words]
        env = environment(**variables(server, place))
        done = subprocess.run(command, cwd=place, env=env, input=given, capture_output=True, timeout=PATIENCE_S)
        return Ended(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    above = tmp_path_factory.mktemp("row")
    left, ended = carry_out(row, row.typed, ours, client, above / f"{above.name}-ours")
    assert left == row.expected, ended
    assert row.prints in ended.stdout
    assert not row.omits or row.omits not in ended.stdout
    their_left, their_end = carry_out(row, row.theirs, theirs, client, above / f"{above.name}-theirs")
    assert (their_left == left) is not bool(row.ours_because), (their_left, their_end)


def test_the_page_tells_what_we_keep() -> None:
    """docs/coming-from/s5cmd.md has a point for each reason of a row, and no other."""
    text = (DOCS / "coming-from/s5cmd.md").read_text()
    kept = text.partition("## What is ours\n")[2].partition("\n## ")[0]
    points = [" ".join(point.split()) for point in kept.split("\n- ")[1:]]
    assert sorted(points) == sorted({row.ours_because for row in ROWS if row.ours_because})


def test_names_are_unique() -> None:
    """A row that fails can be found."""
    assert len({row.name for row in ROWS}) == len(ROWS)
