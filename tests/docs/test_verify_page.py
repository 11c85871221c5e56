"""docs/verify.md: its commands and its program run, and it names all kinds of evidence."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul.model.verdicts import Evidence, Verdict
from tests.engines import ACCESS_KEY, SECRET_KEY
from tests.faultserver import Credentials, FaultServer, make_object
from tests.integration.command import problems, run

PAGE = Path(__file__).parents[2] / "docs/verify.md"
BLOCKS = dict.fromkeys(("sh", "python", "text"), "")
for kind, block in re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
    BLOCKS[kind] += block


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server that has what the page names, in a folder that has it, too."""
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    with FaultServer(buckets=["bucket", "copy"], credentials=Credentials(ACCESS_KEY, SECRET_KEY)) as running:
        for name in ("a.bin", "b.bin", "c.bin"):
            (tmp_path / "results" / name).write_bytes(name.encode())
            for bucket in ("bucket", "copy"):
                running.store.put(bucket, f"run-7/{name}", make_object(name.encode(), algorithm="CRC64NVME"))
        monkeypatch.setenv("PYTHONPATH", str(PAGE.parents[1] / "src"))
        yield running


def test_the_commands_run(server: FaultServer) -> None:
    """Each of them finds that everything is equal, one after the other."""
    commands = BLOCKS["sh"].splitlines()
    assert len(commands) == 11
    for command in commands:
        done = run(
            *shlex.split(command)[1:], variables={"AWS_ENDPOINT_URL": server.endpoint_url, "AWS_SESSION_TOKEN": ""}
        )
        assert (done.returncode, problems(done.stderr)) == (0, ""), command


def test_the_program_runs(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells each name."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint_url)
    exec(compile(BLOCKS["python"], str(PAGE), "exec"), {"__name__": "page"})  # noqa: S102 - the program is the page's
    assert capsys.readouterr().out.splitlines() == [f"equal {name}.bin computed-checksum " for name in "abc"]


def test_every_kind_of_evidence_is_explained() -> None:
    """The table has each of them, metadata and tags excepted; the verdict that needs it is explained."""
    rows = set(re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert rows == set(map(str, Evidence)) - {"metadata", "tags"}
    assert f"## {Verdict.UNDECIDABLE.capitalize()}" in PAGE.read_text()
