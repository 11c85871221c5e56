"""Runs the rows of aws-cli with the aws-cli that it is given, and tells which it leaves otherwise than they say."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.integration.command import environment
from tests.integration.peers.aws_rows import ROWS
from tests.integration.peers.scenario import Ended, carry_out
from tests.patience import PATIENCE_S
from tests.servers.moto import moto


def main(*aws: str) -> None:
    """Run all rows with a program, and print those that it leaves otherwise."""
    with moto() as server, tempfile.TemporaryDirectory() as above:
        variables = environment(
            **server.keys(), AWS_SESSION_TOKEN="", AWS_DEFAULT_REGION="us-east-1", AWS_ENDPOINT_URL=server.endpoint_url
        )

        def theirs(words: list[str], place: Path, given: bytes) -> Ended:
            command = [*aws, "s3", *words]
            done = subprocess.run(
                command, cwd=place, env=variables, input=given, capture_output=True, timeout=PATIENCE_S
            )
            return Ended(command, done.returncode, done.stdout.decode(), done.stderr.decode())

        for number, row in enumerate(ROWS):
            left, ended = carry_out(row, row.theirs, theirs, server.client(), Path(above) / f"row-{number}")
            if left != row.seen:
                print(f"{row.name}\n  seen {row.seen}\n  left {left}\n  {ended.stderr.strip()[-200:]}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
