"""The distant server as a process of its own, started and stopped for a benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.serving import STOP_TIMEOUT_S

PROJECT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class DistantServer:
    """A running server.

    Attributes:
        endpoint: its URL, without a slash at the end.
        ca_bundle: what a client has to trust, or None without TLS.
    """

    endpoint: str
    ca_bundle: Path | None
    process_id: int


@contextmanager
def distant_server(options: Sequence[str], *, tls_folder: Path | None = None) -> Iterator[DistantServer]:
    """Run the server until the block ends.

    Args:
        options: as of ``python -m bench.distant_server``.
        tls_folder: speak TLS with certificates that are written here.

    Raises:
        RuntimeError: it did not start; its reason is on stderr.
    """
    command = [sys.executable, "-m", "bench.distant_server", *options]
    if tls_folder is not None:
        command += ["--tls", str(tls_folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the distant server did not start")
        ready: dict[str, Any] = json.loads(line)
        scheme = "http" if tls_folder is None else "https"
        bundle = ready["ca_bundle"]
        yield DistantServer(f"{scheme}://127.0.0.1:{ready['port']}", bundle and Path(bundle), process.pid)
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)
        if process.stdout is not None:
            process.stdout.close()
