"""Serve until SIGTERM: ``python -m bench.distant_server --objects 5000x64KiB --objects 1x2GiB``.

Prints one line of JSON when it is ready: the port, and where the certificate authority's PEM file is.
"""

import argparse
import gc
import json
import os
import re
import resource
import signal
import socket
import ssl
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from bulkhaul.policy.sizes import parse_size

from .catalogue import CHECKSUMS, Catalogue
from .connections import BACKLOG, Loop
from .content import Content
from .distance import Counters, Distance
from .service import Service

MEGABYTE = 10**6
NICE = -10


def specification(text: str) -> tuple[int, int]:
    """Return number and size of ``5000x64KiB``, for argparse."""
    match = re.fullmatch(r"(\d+)[x×](\w+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"not N×SIZE: {text!r}; write 5000x64KiB")
    try:
        return int(match[1]), parse_size(match[2])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.distant_server", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--objects", type=specification, action="append", default=[], metavar="N×SIZE",
        help="generated as N×SIZE/00000000.bin …; may be repeated",
    )  # fmt: skip
    parser.add_argument("--bucket", default="bench", help="of the generated objects (default: bench)")
    parser.add_argument("--latency-ms", type=float, default=30.0, help="before each reply (default: 30)")
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="up to this is added to it (default: 0)")
    parser.add_argument("--late-share", type=float, default=0.0, help="of the replies that are late (default: 0)")
    parser.add_argument("--late", type=float, default=2.0, metavar="SECONDS", help="late by this (default: 2)")
    parser.add_argument(
        "--rate", type=float, default=60.0, help="MB/s of each connection, each way (default: 60; 0 for no limit)"
    )
    parser.add_argument("--checksum", choices=CHECKSUMS, default="crc64nvme", help="of objects (default: crc64nvme)")
    parser.add_argument("--keep", action="store_true", help="keep, hash and give back what is uploaded")
    parser.add_argument("--tls", type=Path, metavar="FOLDER", help="speak TLS; its certificates are written to FOLDER")
    return parser.parse_args()


def server_context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return the server's side of TLS for 127.0.0.1, and the authority that clients have to trust."""
    from tests.servers import make_certificates  # not needed without TLS, and slow to import

    made = make_certificates(folder)
    return made.server_context(), made.ca_bundle


def go_first() -> int:
    """Take precedence over the clients on this machine, where that is allowed; return the niceness that is had.

    A reply that waits for a core looks like a longer way to whoever is measured.
    """
    allowed = os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20 - NICE
    return os.nice(NICE) if allowed else os.nice(0)


def main() -> None:
    """Serve."""
    arguments = parse_arguments()
    nice = go_first()
    # A client may hold thousands of connections.
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    is_over = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_over
        is_over = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    content, counters = Content(), Counters()
    catalogue = Catalogue(content)
    catalogue.fill(arguments.bucket, arguments.objects, checksum=arguments.checksum, now_s=time.time())

    def statistics() -> bytes:
        seen = asdict(counters) | {"cpu_s": time.process_time(), "nice": nice}
        counters.begin_peaks()
        return json.dumps(seen).encode()

    service = Service(catalogue, keeps_bodies=arguments.keep, statistics=statistics)
    tls, ca_bundle = server_context(arguments.tls) if arguments.tls else (None, None)
    rate = arguments.rate * MEGABYTE if arguments.rate else float("inf")
    distance = Distance(
        arguments.latency_ms / 1000, arguments.jitter_ms / 1000, rate, arguments.late_share, arguments.late
    )
    # What was made so far stays; looking through a million objects again and again would be a pause each time.
    gc.collect()
    gc.freeze()
    with socket.create_server(("127.0.0.1", arguments.port), backlog=BACKLOG) as listener:
        loop = Loop(listener, service, content, distance, counters, tls=tls)
        ready = {"port": listener.getsockname()[1], "ca_bundle": ca_bundle and str(ca_bundle)}
        print(json.dumps(ready), flush=True)
        loop.run(lambda: is_over)


if __name__ == "__main__":
    main()
