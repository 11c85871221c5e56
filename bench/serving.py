"""Server processes on loopback ports: find ports, wait until one accepts, stop. Knows no server."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


def free_ports(count: int) -> list[int]:
    """Return loopback ports that were free a moment ago, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(sock.getsockname()[1]) for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def accepts(port: int) -> bool:
    """Return whether somebody listens at the loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except ConnectionRefusedError:
        return False
    return True


def wait_until(ready: Callable[[], bool], *, what: str) -> None:
    """Return when ``ready()`` is true.

    Raises:
        TimeoutError: it took over READY_TIMEOUT_S.
    """
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while not ready():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what} was not ready after {READY_TIMEOUT_S:.0f} s")
        time.sleep(0.02)


@contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[None]:
    """Run a server until the block ends; the block begins when its port accepts.

    Args:
        command: its absolute path and arguments.
        environment: its whole environment; None for that of this process.
        log: where its output goes; None for where this process's goes.

    Raises:
        RuntimeError: it ended before it accepted.
    """

    def ready() -> bool:
        if process.poll() is not None:
            last = log.read_text(errors="replace")[-2000:] if log else "its reason is on stderr"
            raise RuntimeError(f"{name} ended with status {process.returncode}: {last}")
        return accepts(port)

    name = Path(command[0]).name
    with open(log or "/dev/null", "wb") as sink:
        output = sink if log else None
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            wait_until(ready, what=name)
            yield
        finally:
            process.terminate()
            process.wait(STOP_TIMEOUT_S)
