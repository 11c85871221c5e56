"""A server and the commands that work on it, and what kills one of these with all its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engines import descendants, eventually, is_alive
from tests.integration.command import arguments, environment, run
from tests.patience import PATIENCE_S, SOON_S
from tests.servers.process import RunningServer

OBJECTS = int(os.environ.get("BULKHAUL_TEST_OBJECTS", "1000"))


@dataclass(frozen=True)
class Place:
    """A server with objects, and a folder with the same bytes in files."""

    server: RunningServer
    client: Any
    folder: Path
    bodies: dict[str, str]

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return run(*words, variables=self.variables, limit_s=PATIENCE_S + OBJECTS / 50)

    @property
    def variables(self) -> dict[str, str]:
        """The variables by which commands reach the server."""
        return {**self.server.keys(), "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL": self.server.endpoint_url}

    def stored(self, prefix: str) -> dict[str, str]:
        """Return the MD5 of each object below a prefix, by what is left of its key; all are uploaded in one part."""
        found: dict[str, str] = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=prefix):
            for one in page.get("Contents", ()):
                found[one["Key"].removeprefix(prefix)] = one["ETag"].strip('"')
        return found


def killed(place: Place, *words: str | Path, after_s: float, once: Callable[[], bool] = lambda: True) -> bool:
    """Run a command, and kill it with all its processes; return whether it had ended before.

    Args:
        after_s: so many seconds after ``once`` was true.
    """
    process = subprocess.Popen(
        arguments(*words),
        env=environment(**place.variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    before = set(descendants()) - {process.pid}
    while not once() and process.poll() is None:
        time.sleep(0.005)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        family = [process.pid, *(set(descendants()) - before)]
        for pid in family:
            try:
                if os.getsid(pid) == process.pid:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
        eventually(lambda: not any(map(is_alive, family[:1])), "it lives on", timeout_s=SOON_S)
        return False
    return True
