"""docs/guides/fsspec.md: its programs run, one after the other, on a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.integration.command import environment
from tests.patience import PATIENCE_S
from tests.servers.weed import weed

PAGE = Path(__file__).parents[2] / "docs/guides/fsspec.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SAID = ["499500", "", "[{'name': 'bucket/run-7/file'", "n: [[2,3]]", "6", "[10 11 12"]


def test_the_programs_run(tmp_path: Path) -> None:
    """Each ends well, and says what it computed."""
    (tmp_path / "run-7").mkdir()
    (tmp_path / "run-7/file").write_text("text")
    assert len(PROGRAMS) == len(SAID)
    with weed() as server:
        client = server.client()
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="csv/1.csv", Body=b"n\n1\n2\n3\n")
        for program, said in zip(PROGRAMS, SAID, strict=True):
            text = program.replace("http://127.0.0.1:9000", server.endpoint_url).replace('"/data/', f'"{tmp_path}/')
            done = subprocess.run(
                [sys.executable, "-c", text],
                env=environment(
                    AWS_ACCESS_KEY_ID=server.access_key,
                    AWS_SECRET_ACCESS_KEY=server.secret_key,
                    AWS_ENDPOINT_URL=server.endpoint_url,
                    AWS_SESSION_TOKEN="",
                    AWS_REGION="us-east-1",
                    PATH=os.environ["PATH"],
                ),
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert said in done.stdout
        assert client.get_object(Bucket="bucket", Key="note.txt")["Body"].read() == b"by bulkhaul"
    assert (tmp_path / "back/file").read_text() == "text"
