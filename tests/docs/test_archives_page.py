"""docs/archives.md: its commands bring archived objects back from a server, or they fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.faultserver import FaultServer, make_object
from tests.faultserver.archives import HOUR_S
from tests.integration.command import environment, problems
from tests.patience import PATIENCE_S

PAGE = Path(__file__).parents[2] / "docs/archives.md"
SCRIPT = "".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
OBJECTS = {"a.bin": "STANDARD", "b.bin": "GLACIER", "deep/c.bin": "DEEP_ARCHIVE", "d.bin": "GLACIER_IR"}


def test_its_commands(tmp_path: Path) -> None:
    """Everything is there afterwards; what is there already is not asked for again."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/bulkhaul"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bulkhaul "$@"\n')
    program.chmod(0o755)
    with FaultServer(buckets=["bucket"]) as server:
        for name, storage_class in OBJECTS.items():
            stored = replace(make_object(name.encode()), storage_class=storage_class)
            server.store.put("bucket", f"run-7/{name}", stored)
            if "/" in name or name == "b.bin":
                server.store.archives.ask(("bucket", f"run-7/{name}"), stored, 7, "Bulk")
        server.store.archives.advance(49 * HOUR_S)
        path = f"{program.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-eu", "-c", SCRIPT],
            cwd=tmp_path,
            env=environment(PATH=path, S3_ENDPOINT_URL=server.endpoint_url),
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE_S,
        )
        assert (done.returncode, problems(done.stderr)) == (0, "")
        assert server.requests_for("RestoreObject") == []
    assert {name: (tmp_path / "run-7" / name).read_bytes() for name in OBJECTS} == {
        name: name.encode() for name in OBJECTS
    }
    assert "run-7/b.bin (GLACIER)" in done.stdout
    assert "2 of them archived" in done.stdout
    assert "it is archived (DEEP_ARCHIVE)" in done.stdout
    assert "4 planned = 2 succeeded, 0 failed, 2 skipped, 0 left" in done.stdout
