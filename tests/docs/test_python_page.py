"""docs/python.md: its programs run, and the operations that it names are those that there are."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from bulkhaul.engine.facade import Engine
from bulkhaul.engine.small_operations import SmallOperations
from tests.faultserver import Credentials, FaultServer, make_object

PAGE = Path(__file__).parents[2] / "docs/python.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
KEYS = ["key", "other", "prefix/x", "prefix/y", "a", "run-7/note.txt", "run-7/deep/b"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(PROGRAMS.index(program)))
def test_the_programs_run(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each does what it says on a server that has what it names, and no object of it fails."""
    (tmp_path / "run-7").mkdir()
    for name in ("backup.tar", "a.json", "run-7/file"):
        (tmp_path / name).write_bytes(b"{}")
    with FaultServer(buckets=["bucket", "other"], credentials=Credentials("AKIDPAGE", "secret-of-page")) as server:
        for key in KEYS:
            server.store.put("bucket", key, make_object(key.encode()))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDPAGE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-page")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint_url)
        text = program.replace("http://127.0.0.1:9000", server.endpoint_url).replace('"/data/', f'"{tmp_path}/')
        exec(compile(text, str(PAGE), "exec"), {"__name__": "page"})  # noqa: S102 - the programs are the page's
    assert "Error" not in capsys.readouterr().out


def test_every_small_operation_is_named() -> None:
    """The page lists them all, and no other."""
    methods = {name for name, _ in inspect.getmembers(SmallOperations, inspect.isfunction) if not name.startswith("_")}
    (listed,) = re.findall(r"\*\*Small operations\*\* are `([\w\s]+)`", PAGE.read_text())
    assert set(listed.split()) == methods
    assert methods <= set(dir(Engine))
