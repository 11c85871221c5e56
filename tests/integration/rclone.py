"""Runs rclone, which reads and writes what we keep of files by the same conventions."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.servers.process import RunningServer, find_program


def rclone(server: RunningServer, *words: str | Path) -> str:
    """Run rclone, which knows the server as ``there:``; return what it says on stderr."""
    variables = {
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_THERE_TYPE": "s3",
        "RCLONE_CONFIG_THERE_PROVIDER": "SeaweedFS",
        "RCLONE_CONFIG_THERE_ENDPOINT": server.endpoint_url,
        "RCLONE_CONFIG_THERE_ACCESS_KEY_ID": server.access_key,
        "RCLONE_CONFIG_THERE_SECRET_ACCESS_KEY": server.secret_key,
    }
    command = [find_program("rclone"), *map(str, words)]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr
