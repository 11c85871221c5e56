"""SeaweedFS as one process (`weed mini`), the embedded server: a real storage server that enforces SigV4.

Job: give tests a client, and all servers the same keys, so that one engine can ask two of them. Know its limits: it
merges `a//b` into `a/b`, sorts `/` first in listings, and its GetObjectAttributes has no Checksum.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bulkhaul.embedded.seaweed import seaweed
from bulkhaul.wire.values import Credentials
from tests.patience import PATIENCE_S

from .process import RunningServer

ACCESS_KEY = "weed-access-key"
SECRET_KEY = "weed-secret-key"

_LOOK_S = 0.05


@contextmanager
def weed() -> Iterator[RunningServer]:
    """Run an empty SeaweedFS; takes 1 to 2 s to be ready."""
    with seaweed(credentials=Credentials(ACCESS_KEY, SECRET_KEY), metrics=True) as server:
        for _ in server.until_ready(PATIENCE_S):
            time.sleep(_LOOK_S)
        process_ids, told = (server.process_id,), server.metrics_url
        yield RunningServer(server.endpoint_url, ACCESS_KEY, SECRET_KEY, process_ids, server.folder, metrics_url=told)
