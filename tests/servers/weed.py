"""SeaweedFS as one process (`weed mini`), the embedded server: a real storage server that enforces SigV4.

Job: give tests its keys and a client. Know its limits: it merges `a//b` into `a/b`, sorts `/` first
in listings, and its GetObjectAttributes has no Checksum.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bulkhaul.embedded.seaweed import seaweed
from tests.patience import PATIENCE_S

from .process import RunningServer

_LOOK_S = 0.05


@contextmanager
def weed() -> Iterator[RunningServer]:
    """Run an empty SeaweedFS; takes 1 to 2 s to be ready."""
    with seaweed(metrics=True) as server:
        for _ in server.until_ready(PATIENCE_S):
            time.sleep(_LOOK_S)
        keys, process_ids = server.credentials, (server.process_id,)
        yield RunningServer(
            server.endpoint_url, keys.access_key, keys.secret_key, process_ids, server.folder,
            metrics_url=server.metrics_url,
        )  # fmt: skip
