"""The distant server as a process of its own, started and stopped for a benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.own_servers import own_server


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
    tls = [] if tls_folder is None else ["--tls", str(tls_folder)]
    with own_server("bench.distant_server", [*options, *tls]) as (process_id, ready):
        scheme, bundle = "https" if tls else "http", ready["ca_bundle"]
        yield DistantServer(f"{scheme}://127.0.0.1:{ready['port']}", bundle and Path(bundle), process_id)
