"""What the tests of lean processes share: what is heavy, a few objects on a server, a hook in every interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engines import serving
from tests.faultserver import FaultServer, make_object

HEAVY = frozenset({"boto3", "botocore", "s3transfer", "urllib3", "awscrt", "numpy", "rich"})


@contextmanager
def serving_a_few_objects() -> Iterator[FaultServer]:
    """Run a server with a few small objects."""
    with serving() as started:
        for name in ("one", "two", "folder/three"):
            started.store.put("bucket", name, make_object(name.encode() * 100))
        yield started


def hooked(folder: Path, hook: str, log: Path, server: FaultServer) -> dict[str, str]:
    """Return the variables of a program whose interpreters run ``hook`` first; it writes to ``LEAN_LOG``."""
    log.touch()
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(hook)
    return {
        "PYTHONPATH": str(folder / "hook"),
        "LEAN_LOG": str(log),
        "AWS_ENDPOINT_URL": server.endpoint_url,
    }
