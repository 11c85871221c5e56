"""Objects that are written as files and given up: by a failed write, by Ctrl-C, in a child that was forked."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import pytest

from bulkhaul import Engine, LocalStore, errors
from bulkhaul.model.limits import DEFAULT_LIMITS
from tests.engines import aws_environment, eventually, keys, more_open, open_descriptors, running_engine, serving
from tests.faultserver import MIB, FaultServer, StallReceiving, Status
from tests.patience import PATIENCE_S, SOON_S


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FaultServer, Engine]]:
    """A server, and an engine that asks it."""
    with serving() as server, running_engine(server.endpoint_url) as engine:
        yield server, engine


def test_a_failed_write_gives_the_object_up(served: tuple[FaultServer, Engine]) -> None:
    """Whoever closes after an error, as wrappers do, is told again, and what the key had stays."""
    server, engine = served
    engine.put_bytes("s3://bucket/refused", b"old")
    server.add_fault(Status(code="AccessDenied", operation="CreateMultipartUpload", key="refused", attempt="every"))
    before = open_descriptors()
    file = engine.open("s3://bucket/refused", "wb")
    with pytest.raises(errors.AccessDenied):
        file.write(bytes(400 * MIB))
    with pytest.raises(errors.AccessDenied):
        file.write(b"more")
    with pytest.raises(errors.AccessDenied):
        file.close()
    file.close()
    assert (file.closed, file.result) == (True, None)
    assert engine.get_bytes("s3://bucket/refused") == b"old"
    assert not more_open(before)


def test_a_failed_write_to_a_folder_gives_the_object_up(tmp_path: Path) -> None:
    """Of what was taken before nothing is stored."""
    store = LocalStore(tmp_path, limits=msgspec.structs.replace(DEFAULT_LIMITS, max_object_bytes=10))
    store.put_bytes("key", b"old")
    file = store.open("key", "wb")
    file.write(b"12345678")
    with pytest.raises(errors.PayloadTooLarge):
        file.write(b"12345678")
    with pytest.raises(errors.PayloadTooLarge):
        file.close()
    assert store.get_bytes("key") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_an_argument_that_is_no_data_gives_nothing_up(served: tuple[FaultServer, Engine]) -> None:
    """A text is refused before anything is taken of it."""
    _, engine = served
    with engine.open("s3://bucket/typed", "wb") as file:
        with pytest.raises(TypeError):
            file.write(cast("Any", "text"))
        file.write(b"data")
    assert engine.get_bytes("s3://bucket/typed") == b"data"


def test_writes_to_a_closed_engine_leave_no_descriptors(served: tuple[FaultServer, Engine]) -> None:
    """However often somebody tries."""
    server, _ = served
    with aws_environment(keys()):
        with Engine(endpoint_url=server.endpoint_url, workers=1) as engine:
            file = engine.open("s3://bucket/closed", "wb")
        before = open_descriptors()
        for _ in range(3):
            with pytest.raises(errors.UsageError, match="closed"):
                file.write(bytes(5 * MIB))
        file.abort()
    assert not more_open(before)


def test_ctrl_c_while_it_is_closed(served: tuple[FaultServer, Engine]) -> None:
    """It ends the upload, at once, and stores nothing."""
    server, engine = served
    go_on = threading.Event()
    server.add_fault(StallReceiving(key="interrupted", after_bytes=MIB, until=go_on))
    file = engine.open("s3://bucket/interrupted", "wb")
    file.write(bytes(12 * MIB))

    def interrupt() -> None:
        eventually(lambda: bool(server.requests_for("PutObject", "interrupted")), "it is sent")
        time.sleep(0.2)  # close has begun to wait: nothing shows that
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    waiting = threading.Thread(target=interrupt)
    waiting.start()
    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        file.close()
    assert time.monotonic() - began_s < SOON_S
    waiting.join()
    go_on.set()
    assert (file.closed, file.result) == (True, None)
    assert "interrupted" not in server.store.in_bucket("bucket")
    assert not server.store.uploads.pending("bucket")


FORKING = """
import io, os, sys, time
import bulkhaul
url = "s3://bucket/forked"
with bulkhaul.Engine(endpoint_url=sys.argv[1], workers=1) as engine:
    file = engine.open(url, "wb")
    file.write(b"p" * (5 << 20))
    told, tell = os.pipe()
    pid = os.fork()
    if not pid:
        said = []
        for call in (lambda: file.write(b"FROM-CHILD"), file.close):
            try:
                call()
                said.append("taken")
            except bulkhaul.UsageError as error:
                said.append("refused" if "process" in str(error) else str(error))
        os.write(tell, " ".join(said).encode())
        time.sleep(600)
    try:
        print(os.read(told, 100).decode())
        file.close()
        print(engine.get_bytes(url) == b"p" * (5 << 20))
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
"""

STREAMED = """
import io, os, sys, time
import bulkhaul
class Forking(io.RawIOBase):
    pid = 0
    def read(self, size=-1):
        if self.pid:
            return b""
        self.pid = os.fork()
        if not self.pid:
            time.sleep(600)
        return b"q" * (1 << 20)
with bulkhaul.Engine(endpoint_url=sys.argv[1], workers=1) as engine:
    source = Forking()
    try:
        print(engine.upload_stream(source, "s3://bucket/streamed").size)
    finally:
        os.kill(source.pid, 9)
        os.waitpid(source.pid, 0)
"""


@pytest.mark.parametrize(
    ("script", "said"), [(FORKING, ["refused refused", "True"]), (STREAMED, ["1048576"])], ids=["writer", "stream"]
)
def test_a_forked_child_writes_nothing_and_holds_up_nobody(script: str, said: list[str]) -> None:
    """It has copies of all descriptors, for as long as it lives: the parent's object ends without it."""
    with serving() as server, aws_environment(keys() | {"PYTHONPATH": ":".join(sys.path)}):
        words = [sys.executable, "-c", script, server.endpoint_url]
        run = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (run.returncode, run.stdout.splitlines()) == (0, said), run.stderr


def test_a_stream_that_failed_is_written_no_more(served: tuple[FaultServer, Engine]) -> None:
    """The caller's file object gets what was under way, and nothing after that."""
    _, engine = served
    engine.upload_bytes(bytes(12 * MIB), "s3://bucket/many-pieces")
    begun, going = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []
    written: list[int] = []

    class Slow(io.RawIOBase):
        def write(self, data: Any) -> int:
            threads.append(threading.current_thread())
            begun.set()
            going.wait(PATIENCE_S)
            written.append(len(data))
            return len(data)

    future = engine.start_task(engine.aio.download_stream, "s3://bucket/many-pieces", cast("BinaryIO", Slow()))
    assert begun.wait(PATIENCE_S)
    future.cancel()
    eventually(lambda: not engine.aio._life._tasks, "the transfer ends", timeout_s=SOON_S)
    going.set()
    threads[0].join(PATIENCE_S)
    assert len(written) == 1


@pytest.mark.parametrize("raises", [True, False])
def test_text_is_written_as_the_docs_say(served: tuple[FaultServer, Engine], raises: bool) -> None:
    """A wrapper that is detached at the end of the block stores all of the text, or nothing if the block raises."""
    _, engine = served
    url = f"s3://bucket/text-{raises}"
    try:
        with engine.open(url, "wb") as file:
            text = io.TextIOWrapper(file, "utf-8", newline="")
            text.write("ü" * 1000)
            assert not raises, "in the middle"
            text.detach()
    except AssertionError:
        assert not engine.exists(url)
    else:
        assert engine.get_bytes(url) == b"\xc3\xbc" * 1000
