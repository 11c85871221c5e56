"""ministack as a server process: objects in memory, keys and listing order as S3 has them, and quickly.

Job: start it. Know its limits: no authentication but of presigned URLs, no EntityTooSmall for short parts, HEAD
tells no PartsCount.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulkhaul.embedded.ports import free_ports

from .process import RunningServer, answers, find_program, running

ACCESS_KEY = "ministack-access-key"
SECRET_KEY = "ministack-secret-key"


@contextmanager
def ministack() -> Iterator[RunningServer]:
    """Run an empty ministack; any credentials will do, but presigned URLs need the right secret.

    It is ready when its health page answers: its one process listens when every service is loaded. Beside S3 it
    would open an MQTT port on all interfaces, and it keeps a note of its process id in the folder for temp files.
    """
    with free_ports(1) as (port,), tempfile.TemporaryDirectory(prefix="ministack-") as name:
        url = f"http://127.0.0.1:{port}"
        environment = {
            "SERVICES": "s3",
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "TMPDIR": name,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        ready_url = f"{url}/_ministack/health"
        with running(
            [find_program("ministack")], folder=Path(name), ready=lambda: answers(ready_url), environment=environment
        ) as process_id:
            yield RunningServer(url, ACCESS_KEY, SECRET_KEY, (process_id,), Path(name))
