"""``bulkhaul bench --demo``: all of it, on a server of its own, for a shorter time than a user's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.integration.command import environment
from tests.patience import PATIENCE_S

SHORT = """
import sys
from bulkhaul.cli.demo.benchmark import demonstrate
sys.exit(demonstrate(sys.argv[1], seconds=1.0))
"""


def test_the_whole_demo(tmp_path: Path) -> None:
    """Four kinds are measured without a failure, each with its report, and the server is gone at the end."""
    done = subprocess.run(
        [sys.executable, "-c", SHORT, str(tmp_path / "demo")],
        env=environment(TMPDIR=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for kind in ("get", "put", "mixed", "list"):
        result = json.loads((tmp_path / "demo" / kind / "result.json").read_bytes())
        (run,) = result["runs"]
        assert sum(measured["done"] for measured in run["measured"]) > 0
        assert run["failures"] == []
        assert "</html>" in (tmp_path / "demo" / kind / "report.html").read_text()
    assert f"Open {tmp_path / 'demo' / 'get' / 'report.html'} in a browser." in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo"]
