"""The table of aws-cli's command lines: ours ends as each row says, and the page for aws-cli's users tells the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.guide import Guide
from tests.integration.command import run
from tests.integration.peers.aws_row import AwsRow
from tests.integration.peers.aws_rows import EVERY_DAY, ROWS
from tests.integration.peers.scenario import Ended, carry_out
from tests.servers.moto import moto
from tests.servers.process import RunningServer

PAGE = "coming-from/aws-cli.md"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server that keeps odd keys, and gives nothing that is archived."""
    with moto() as running:
        yield running


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows(row: AwsRow, server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ours ends as the row says, which is what aws-cli was seen to leave, or has a reason."""
    place = tmp_path_factory.mktemp("row") / "row"
    place = place.with_name(f"{place.parent.name}-ours")
    where = {"AWS_SESSION_TOKEN": "", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": server.endpoint_url}

    def ours(words: list[str], folder: Path, given: bytes) -> Ended:
        return run(*words, variables={**server.keys(), **where}, given=given, folder=folder)

    left, ended = carry_out(row, row.typed, ours, server.client(), place)
    assert left == row.expected, ended
    assert row.prints in ended.stdout
    assert (row.seen == row.expected) is not bool(row.ours_because)


def test_the_page_tells_what_we_keep(server: RunningServer, tmp_path: Path) -> None:
    """docs/coming-from/aws-cli.md has a point for each reason of a row, and no other."""
    kept = Guide(PAGE, server, tmp_path).text.partition("## What is ours\n")[2].partition("\n## ")[0]
    points = [" ".join(point.split()) for point in kept.split("\n- ")[1:]]
    assert sorted(points) == sorted({row.ours_because for row in ROWS if row.ours_because})


def test_the_page_shows_rows_of_the_table(server: RunningServer, tmp_path: Path) -> None:
    """Each example of the page is a row that is run here, and each row for it is an example."""
    names = {"B": "bucket", "B2": "other", "W": "."}
    rows = {
        (f"aws s3 {row.theirs.format(**names)}", f"bulkhaul {row.typed.format(**names)}") for row in ROWS
    }  # of both programs
    shown = set(Guide(PAGE, server, tmp_path).rows())
    assert shown <= rows
    assert {row.theirs.format(**names) for row in EVERY_DAY} <= {theirs.removeprefix("aws s3 ") for theirs, _ in shown}


def test_the_first_example(server: RunningServer, tmp_path: Path) -> None:
    """What stands before the table is run as it is."""
    guide = Guide(PAGE, server, tmp_path)
    guide.client.create_bucket(Bucket="bucket")
    (tmp_path / "run-7").mkdir()
    (tmp_path / "run-7/a.bin").write_text("a")
    guide.run("")
    assert guide.keys("bucket") == ["run-7/a.bin"]
    assert guide.ended()


def test_names_are_unique() -> None:
    """A row that fails can be found."""
    assert len({row.name for row in ROWS}) == len(ROWS)
