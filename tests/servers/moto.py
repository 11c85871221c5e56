"""moto as a server process: objects in memory, odd keys and listing order as S3 has them.

Job: start it. Know its limits: no authentication, and 46 ms of CPU for a request.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import RunningServer, answers, find_program, free_ports, running


@contextmanager
def moto() -> Iterator[RunningServer]:
    """Run an empty moto; any credentials will do."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="moto-") as name:
        command = [find_program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        with running(command, folder=Path(name), ready=lambda: answers(f"{url}/moto-api/")) as process_id:
            yield RunningServer(url, "moto", "moto", (process_id,), Path(name))
