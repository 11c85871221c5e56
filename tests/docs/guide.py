"""Runs the examples of one page of docs, as a reader would who types them one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.command import environment
from tests.patience import PATIENCE_S
from tests.servers.process import RunningServer

DOCS = Path(__file__).parents[2] / "docs"
RUN_7 = {"a.bin": b"a" * 300_000, "logs/b.txt": b"b", "note.txt": b"note", "scratch.tmp": b"tmp"}


class Guide:
    """One page, whose examples are run one after the other in one folder, against one server.

    Blocks of shell and of Python are run. One of Python that begins with ``# name.py`` is written to that file.

    Attributes:
        work: the folder; it is the home of the examples, too.
        server: it is run against.
        client: a boto3 client of it.
        error: what the last block wrote to stderr.
    """

    def __init__(
        self,
        page: str,
        server: RunningServer,
        work: Path,
        *,
        replaced: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Read the page.

        Args:
            replaced: what stands in the page, and what to put there to run it here.
            variables: of the environment, beyond those of the server.
        """
        self.text = (DOCS / page).read_text()
        for said, meant in (replaced or {}).items():
            assert said in self.text, f"{page} does not say {said}"
            self.text = self.text.replace(said, meant)
        self.work = work
        self.server = server
        self.client: Any = server.client()
        self.error = ""
        self._section = ""
        self._left = re.findall(r"^## (.+?)\n|^```(sh|python)\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)
        (work / "bin").mkdir()
        for name, module in (("bulkhaul", "bulkhaul"), ("pytest", "pytest -p no:cacheprovider")):
            program = work / "bin" / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
            program.chmod(0o755)
        theirs = environment(
            AWS_ACCESS_KEY_ID=server.access_key,
            AWS_SECRET_ACCESS_KEY=server.secret_key,
            AWS_SESSION_TOKEN="",
            AWS_ENDPOINT_URL=server.endpoint_url,
            AWS_REGION="us-east-1",
            AWS_DEFAULT_REGION="us-east-1",
            BULKHAUL_STATE_DIR=str(work / "state"),
            HOME=str(work),
            PATH=f"{work / 'bin'}:{os.environ['PATH']}",
            PYTHONPATH=os.pathsep.join([str(work), *filter(None, [os.environ.get("PYTHONPATH")])]),
        ) | dict(variables or {})
        # A page's own pytest is nobody's worker.
        self.environment = {name: value for name, value in theirs.items() if not name.startswith("PYTEST_")}

    def run(self, section: str, *, line: int | None = None, status: int = 0) -> str:
        """Run the next block of the page, which must stand in this section, and return what it printed.

        Args:
            section: its heading; empty for what stands before the first one.
            line: run this line of the block alone; the block is used up with its last one.
            status: what it must exit with.
        """
        while self._left[0][0]:
            self._section = self._left.pop(0)[0]
        assert self._section == section
        _, language, block = self._left[0]
        commands = block.splitlines()
        if line is None or line == len(commands) - 1:
            self._left.pop(0)
        script = "\n".join(commands if line is None else [commands[line]])
        if language == "python":
            if name := re.match(r"# (\w+\.py)\n", block):
                (self.work / name[1]).write_text(block)
                return ""
            return self.call([sys.executable, "-W", "error", "-c", script], status=status)
        return self.call(["bash", "-euo", "pipefail", "-c", script], status=status)

    def call(self, command: list[str], *, status: int = 0) -> str:
        """Run a command as the page's blocks are run, and return what it printed."""
        done = subprocess.run(
            command, cwd=self.work, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == status, f"{command[-1]}\n{done.stdout}{done.stderr}"
        self.error = done.stderr
        return done.stdout

    def blocks(self, language: str) -> list[str]:
        """Return the blocks of a language that is not run, as ``yaml``."""
        return re.findall(rf"^```{language}\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)

    def rows(self) -> list[tuple[str, str]]:
        """Return the first two columns of the page's table of examples."""
        found = re.findall(r"^\| `(.+?)` \| `(.+?)` \|", self.text, re.MULTILINE)
        return [(theirs.replace(r"\|", "|"), ours.replace(r"\|", "|")) for theirs, ours in found]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the keys of a bucket."""
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Store an object."""
        self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def ended(self) -> bool:
        """Whether all blocks were run."""
        return not any(block for _, _, block in self._left)


def files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder, by their paths in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def remove(client: Any, bucket: str) -> None:
    """Remove a bucket with all that is in it."""
    page = client.list_object_versions(Bucket=bucket)
    for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
        client.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
    client.delete_bucket(Bucket=bucket)


def fill(server: RunningServer, bucket: str, bodies: dict[str, bytes], prefix: str = "") -> None:
    """Make a bucket of these objects."""
    client = server.client()
    client.create_bucket(Bucket=bucket)
    for key, body in bodies.items():
        client.put_object(Bucket=bucket, Key=prefix + key, Body=body)


def write(folder: Path, bodies: dict[str, bytes]) -> None:
    """Write files below a folder."""
    for name, body in bodies.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
