"""moto as a server process: objects in memory, odd keys and listing order as S3 has them.

Job: start it. Know its limits: no authentication, and 46 ms of CPU for a request.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulkhaul.embedded.ports import free_ports

from .process import RunningServer, answers, find_program, running


@contextmanager
def moto(*, page_keys: int = 1000, min_part_size_bytes: int = 5 * 1024 * 1024) -> Iterator[RunningServer]:
    """Run an empty moto; any credentials will do.

    Args:
        page_keys: keys on a page of a listing, where the request does not say.
        min_part_size_bytes: smallest part of an upload that it completes, the last one excepted.
    """
    with free_ports(1) as (port,), tempfile.TemporaryDirectory(prefix="moto-") as name:
        url = f"http://127.0.0.1:{port}"
        command = [find_program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        environment = {
            "MOTO_S3_DEFAULT_MAX_KEYS": f"{page_keys}",
            "S3_UPLOAD_PART_MIN_SIZE": f"{min_part_size_bytes}",
        }
        with running(
            command, folder=Path(name), ready=lambda: answers(f"{url}/moto-api/"), environment=environment
        ) as process_id:
            yield RunningServer(url, "moto", "moto", (process_id,), Path(name))
