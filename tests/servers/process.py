"""A server process: found, started, waited for, killed.

Job: the life of a child process with its output in a file. Must not know what it serves.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import boto3
from botocore.config import Config

from tests.patience import PATIENCE_S

_POLL_S = 0.02
_TAIL_LINES = 40


@dataclass(frozen=True, slots=True)
class RunningServer:
    """How to reach a server that is up, and which process it is.

    Attributes:
        metrics_url: where it tells what it has counted, as Prometheus reads it; empty if it does not.
    """

    endpoint_url: str
    access_key: str
    secret_key: str
    process_ids: tuple[int, ...]
    folder: Path
    ca_bundle: Path | None = None
    region: str = "us-east-1"
    metrics_url: str = ""

    @property
    def port(self) -> int:
        """The port that the endpoint listens on."""
        return int(self.endpoint_url.rpartition(":")[2])

    def client(self, **settings: Any) -> Any:
        """Return a path-style boto3 client for this server; ``settings`` go to its Config."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            verify=None if self.ca_bundle is None else str(self.ca_bundle),
            config=Config(**{"s3": {"addressing_style": "path"}, **settings}),
        )

    def keys(self) -> dict[str, str]:
        """Return the environment variables that hold the server's credentials."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def environment(self) -> dict[str, str]:
        """Return this process's environment with the server's credentials instead of any others."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        trusted = {} if self.ca_bundle is None else {"AWS_CA_BUNDLE": str(self.ca_bundle)}
        return kept | trusted | {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip


def find_program(name: str) -> str:
    """Return the path of a program installed with this Python, or else on PATH.

    Raises:
        FileNotFoundError: it is in neither; install the ``test`` extra.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: pip install 'bulkhaul[test]'")
    return found


def answers(url: str) -> bool:
    """Tell whether a plain HTTP server answers at ``url``, with whatever status."""
    try:
        build_opener(ProxyHandler({})).open(url, timeout=1).close()
    except HTTPError as error:
        error.close()
    except (URLError, OSError):
        return False
    return True


def accepts(port: int) -> bool:
    """Tell whether something on 127.0.0.1 accepts connections at ``port``."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(
    command: Sequence[str],
    *,
    folder: Path,
    ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    deadline_s: float = PATIENCE_S,
    end_by: signal.Signals = signal.SIGKILL,
) -> Iterator[int]:
    """Run a program until the block ends, and yield its process id once it is ready.

    Args:
        end_by: how it is ended; by SIGTERM if it has children to end.

    Raises:
        AssertionError: it ended or was not ready within ``deadline_s``; shows the end of its output.
    """
    output = folder / "output.log"
    with (
        output.open("wb") as sink,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            _wait_until(ready, process, output, deadline_s)
            yield process.pid
        finally:
            process.send_signal(end_by)


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], output: Path, deadline_s: float) -> None:
    end_s = time.monotonic() + deadline_s
    while not ready():
        ended = process.poll()
        if ended is not None or time.monotonic() > end_s:
            tail = "\n".join(output.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
            story = f"not ready within {deadline_s} s" if ended is None else f"ended with {ended}"
            raise AssertionError(f"{process.args!r} {story}; its output ends with:\n{tail}")
        time.sleep(_POLL_S)
