"""Engines for tests: in front of a fault server, and watched for what they leave behind.

Job: start an engine that asks a fault server, restore objects through it, and check after each what
must hold whatever happened: I1 (the destination is absent, old, or exactly new), I3 (no temp file,
no descriptor, no process is left) and I5 (no secret in an error). Must not know which faults.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import socket
import struct
import tempfile
import termios
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest
import uvloop

from bulkhaul import AsyncEngine, Engine, TransferResult
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.errors import TransferError
from bulkhaul.model.settings import Timeouts
from tests.faultserver import MIB, Credentials, Fault, FaultServer, Request, StoredObject, make_object
from tests.patience import PATIENCE_S

ACCESS_KEY, SECRET_KEY, TOKEN = "AKIDCANARY", "secret-canary-3f81", "token-canary-9c27"
SECRETS = (SECRET_KEY, TOKEN)
#: Just above what the engine takes for a small part.
PART_BYTES = 5 * MIB // 4

#: The waits for a service, so short that a test sees them run out. Those for a worker are as long as a busy machine
#: may need: a test that is about one of them sets its own.
QUICK = Timeouts(
    connect_s=10.0,
    read_s=2.0,
    idle_s=5.0,
    speed_window_s=2.0,
    min_speed_bytes_per_s=16 * 1024,
    lease_s=15.0,
    heartbeat_s=20.0,
    start_s=60.0,
    release_s=5.0,
    throttle_s=6.0,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one restore ended, and what the server was asked for it."""

    path: Path
    result: TransferResult | None
    error: TransferError | None
    seconds: float
    requests: tuple[Request, ...] = field(repr=False)

    @property
    def gets(self) -> list[Request]:
        """The GETs, in order of arrival."""
        return [one for one in self.requests if one.operation == "GetObject"]

    def succeeded(self) -> TransferResult:
        """Return the result; fail the test with the engine's error if there is none."""
        if self.error is not None:
            raise AssertionError(f"it failed: {self.error}") from self.error
        assert self.result is not None
        return self.result

    def failed(self, kind: type[TransferError]) -> TransferError:
        """Return the error, which must be of this very kind."""
        assert self.error is not None, f"it succeeded: {self.result}"
        assert type(self.error) is kind, f"{type(self.error).__name__}: {self.error}"
        return self.error


@dataclass(slots=True)
class Rig:
    """A fault server, an engine that asks it, and the folder that it restores to."""

    server: FaultServer
    engine: Engine
    folder: Path
    cases: int = 0

    def prepare(self, stored: StoredObject | bytes, *faults: Fault) -> tuple[str, list[Fault]]:
        """Store an object under a key of its own and return the key, with the faults that hit it alone."""
        self.cases += 1
        key = f"case-{self.cases}"
        self.server.store.put("bucket", key, make_object(stored) if isinstance(stored, bytes) else stored)
        addressed = [replace(fault, key=key) for fault in faults]
        for fault in addressed:
            self.server.add_fault(fault)
        return key, addressed

    def restore(self, stored: StoredObject | bytes, *faults: Fault, old: bytes | None = None) -> Outcome:
        """Restore an object under faults, onto nothing or an old file, and check I1, I3 and I5.

        Raises:
            AssertionError: an invariant is broken, or a fault never fired.
        """
        key, addressed = self.prepare(stored, *faults)
        folder = self.folder / key
        folder.mkdir()
        path = folder / "restored"
        if old is not None:
            path.write_bytes(old)
        result, error = None, None
        began_s = time.monotonic()
        try:
            result = self.engine.download(f"s3://bucket/{key}", path)
        except TransferError as raised:
            error = raised
        seconds = time.monotonic() - began_s
        asked = tuple(one for one in self.server.requests if one.key == key)
        outcome = Outcome(path, result, error, seconds, asked)
        assert [fault for fault in addressed if not self.server.fired(fault)] == []
        self._check(outcome, key, old)
        return outcome

    def _check(self, outcome: Outcome, key: str, old: bytes | None) -> None:
        if outcome.result is not None:
            stored = self.server.store.get("bucket", key)
            assert stored is not None
            assert outcome.path.read_bytes() == stored.body, "the destination is not the object"
        elif old is None:
            assert not outcome.path.exists(), "a failure left something at the destination"
        else:
            assert outcome.path.read_bytes() == old, "a failure changed the destination"
        if outcome.error is not None:
            assert_no_secret(outcome.error)
        assert_nothing_held(self.engine, outcome.path.parent)


def serving(*, tls: Any = None, host: str = "127.0.0.1", tokens: tuple[str, ...] = (TOKEN,)) -> FaultServer:
    """Return a fault server with an empty bucket that wants requests signed with the canary's keys."""
    credentials = Credentials(ACCESS_KEY, SECRET_KEY, accept_tokens=tokens)
    return FaultServer(buckets=["bucket"], credentials=credentials, tls=tls, host=host)


def keys(token: str = TOKEN) -> dict[str, str]:
    """Return the environment variables that hold the canary's keys."""
    return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_SESSION_TOKEN": token}


@contextmanager
def aws_environment(variables: dict[str, str]) -> Iterator[None]:
    """Have exactly these AWS settings in the environment: nothing of the machine's own, and no proxy."""
    fixed = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "S3_ENDPOINT")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        for name, value in (fixed | variables).items():
            patch.setenv(name, value)
        yield


@contextmanager
def running_engine(
    endpoint_url: str | None, variables: dict[str, str] | None = None, **settings: Any
) -> Iterator[Engine]:
    """Run an engine of two workers, and check after its end that no process and no descriptor is left (I3).

    Nor may a worker have printed anything: what goes wrong is told as an error.
    """
    chosen: dict[str, Any] = {"workers": 2, "part_size_bytes": PART_BYTES, "timeouts": QUICK, "retry_for_s": 6.0}
    chosen |= settings
    uvloop.new_event_loop().close()  # the first loop of a process opens a pipe that stays
    with tempfile.TemporaryFile() as printed, aws_environment(keys() if variables is None else variables):
        children, descriptors = set(descendants()), open_descriptors()
        with nothing_logged(), ExitStack() as stack:
            with _stderr_into(printed.fileno()):
                made = Engine(endpoint_url=endpoint_url, forkserver=ForkserverProcess(), **chosen)
                engine = stack.enter_context(made)
                engine.run(start_every_worker, engine.aio)
            yield engine
        assert set(descendants()) <= children, "the engine left processes behind"
        left = sorted(open_descriptors().items() - descriptors.items())
        if left and all(what.startswith("AF_INET") for _, what in left):  # boto3's clients of tests lie in cycles
            gc.collect()
            left = sorted(open_descriptors().items() - descriptors.items())
        assert left == [], f"the engine left descriptors behind: {left}"
        printed.seek(0)
        assert (said := printed.read().decode()) == "", f"a worker printed something: {said}"


async def start_every_worker(engine: AsyncEngine) -> None:
    """Have an engine start all its workers, as if there were work for them: tests kill them, and count them."""
    engine._life.running().dispatcher.need(engine.settings.worker_count)


def await_workers(engine: Engine) -> Engine:
    """Wait until all workers of an engine run: one that begins beside it would take later ones for its own."""
    eventually(lambda: len(engine.worker_pids) == engine.settings.worker_count, "every worker has started")
    return engine


@contextmanager
def _stderr_into(descriptor: int) -> Iterator[None]:
    """Let what is started now, the forkserver and its workers, print its errors into a file."""
    kept = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def nothing_logged() -> Iterator[None]:
    """Fail if the event loop met an exception that nobody caught: it only logs such a one, and goes on lame."""
    complaints: list[str] = []
    listener = logging.Handler(logging.ERROR)
    listener.emit = lambda record: complaints.append(listener.format(record))  # type: ignore[method-assign]
    logging.getLogger("asyncio").addHandler(listener)
    try:
        yield
    finally:
        logging.getLogger("asyncio").removeHandler(listener)
    assert not complaints, "\n".join(complaints)


@contextmanager
def running_rig(folder: Path, *, tls: Any = None, **settings: Any) -> Iterator[Rig]:
    """Run an engine in front of a fault server of its own."""
    with serving(tls=tls) as server, running_engine(server.endpoint_url, **settings) as engine:
        yield Rig(server, engine, folder)


def descendants() -> list[int]:
    """Return the process ids of everything below this process."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (status := _status(int(entry.name))) is not None:
            children.setdefault(status[1], []).append(int(entry.name))
    found = list(children.get(os.getpid(), ()))
    for pid in found:  # grows while it is walked
        found += children.get(pid, ())
    return found


def eventually(condition: Callable[[], bool], promise: str, *, timeout_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds, and fail with ``promise`` if it does not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, promise
        time.sleep(0.01)


def open_descriptors() -> dict[int, str]:
    """Return what each descriptor of this process leads to, without a server's side of its connections.

    A server may keep such a one for long after its client has gone: one that reads no more never
    gets to the end of what was sent.
    """
    found, listening = {}, set()
    for number in (int(name) for name in os.listdir("/proc/self/fd")):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
            if found[number].startswith("socket:"):
                with socket.socket(fileno=os.dup(number)) as twin:
                    found[number] = f"{twin.family.name} {twin.getsockname()}"
                    if twin.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        listening.add(found[number])
        except OSError:
            continue  # the one that listed the folder, or closed meanwhile
    return {number: what for number, what in found.items() if what not in listening}


def more_open(before: dict[int, str]) -> list[tuple[int, str]]:
    """Return the descriptors that are open now, and were not then.

    An idle connection may have been closed meanwhile, and another one have been made in its place.
    """
    now = open_descriptors()
    connections = [{one for one in items if one[1].startswith("AF_INET")} for items in (before.items(), now.items())]
    more = now.items() - before.items()
    return sorted(more - connections[1] if len(connections[1]) <= len(connections[0]) else more)


def waiting_in(pipe: int | IO[bytes] | None) -> int:
    """Return how many bytes wait in a pipe, at whichever of its ends."""
    assert pipe is not None
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0])


def is_alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    status = _status(pid)
    return status is not None and status[0] not in "ZX"


def temp_files(folder: Path) -> list[str]:
    """Return the names of what an engine may have left in a folder and below."""
    return [path.name for path in folder.rglob("*") if ".bulkhaul-" in path.name]


def assert_nothing_held(engine: Engine, folder: Path) -> None:
    """No temp file lies in the folder, and neither this process nor a worker has a file in it open."""
    assert temp_files(folder) == []
    holders = [os.getpid(), *engine.worker_pids]
    eventually(
        lambda: not any(_open_below(pid, folder) for pid in holders),
        f"descriptors below {folder} are still open in {holders}",
    )


def assert_no_secret(error: BaseException) -> None:
    """Neither an error nor what it was made from, however printed, shows a secret."""
    texts = [str(error), repr(error), "".join(traceback.format_exception(error))]
    if isinstance(error, TransferError):
        texts.append(msgspec.json.encode(error.info).decode())
    for text in texts:
        assert [secret for secret in SECRETS if secret in text] == []
        assert "Signature=" not in text


def _status(pid: int) -> tuple[str, int] | None:
    """Return a process's state letter and its parent, None if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1])


def _open_below(pid: int, folder: Path) -> list[str]:
    found = []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                continue  # closed meanwhile
            if target.startswith(f"{folder}/") or target == str(folder):
                found.append(target)
    except FileNotFoundError:
        return []  # the process has ended, and its descriptors with it
    return found
