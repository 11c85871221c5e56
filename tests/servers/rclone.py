"""`rclone serve s3`: the rude server, which a client must refuse cleanly.

Job: start it on a folder, whose folders are buckets. Know its rudeness: it answers a Range with status 200, ignores
If-Match and If-None-Match, changes an ETag once a multipart upload is complete, and drops metadata in copies.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulkhaul.embedded.ports import free_ports

from .process import RunningServer, answers, find_program, running

ACCESS_KEY = "rclone-access-key"
SECRET_KEY = "rclone-secret-key"


@contextmanager
def rclone() -> Iterator[RunningServer]:
    """Run an empty rclone server that checks signatures.

    It is ready when it answers a request, be it with a refusal: it has no page for this, and it listens once its
    folder is open, a tenth of a second after the start.
    """
    with free_ports(1) as (port,), tempfile.TemporaryDirectory(prefix="rclone-") as name:
        url = f"http://127.0.0.1:{port}"
        (Path(name) / "data").mkdir()
        command = [
            find_program("rclone"),
            "serve",
            "s3",
            "--addr",
            f"127.0.0.1:{port}",
            "--auth-key",
            f"{ACCESS_KEY},{SECRET_KEY}",
            "--vfs-cache-mode",
            "off",
            "--config",
            os.devnull,
            f"{name}/data",
        ]
        with running(command, folder=Path(name), ready=lambda: answers(url)) as process_id:
            yield RunningServer(url, ACCESS_KEY, SECRET_KEY, (process_id,), Path(name))
