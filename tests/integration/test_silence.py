"""What never answers: a service, a forkserver, a source of credentials; every wait ends in an error by name."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bulkhaul import Engine, errors
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.model.settings import Timeouts
from tests.engines import QUICK, aws_environment, descendants, eventually, keys, running_engine, serving
from tests.faultserver import hang_before_head, make_object
from tests.integration.test_credentials import Issuer
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.usefixtures("real_workers")


def test_question_that_is_never_answered(tmp_path: Path) -> None:
    """A worker that does not answer a question in ``ask_s`` is not waited for: StallTimeout, after a few tries."""
    timeouts = msgspec.structs.replace(QUICK, ask_s=1.5, read_s=PATIENCE_S, heartbeat_s=PATIENCE_S)
    with serving() as server, running_engine(server.endpoint_url, timeouts=timeouts) as engine:
        server.store.put("bucket", "key", make_object(b"body"))
        hanging = hang_before_head(operation="HeadObject", key="key", attempt="every")
        server.add_fault(hanging)
        began_s = time.monotonic()
        with pytest.raises(errors.StallTimeout, match=r"no answer within 1\.5 s") as caught:
            engine.download("s3://bucket/key", tmp_path / "restored")
        assert caught.value.subject == "s3://bucket/key"
        assert time.monotonic() - began_s < PATIENCE_S
        assert server.fired(hanging) >= 1


@pytest.mark.parametrize("transport", ["fast", "sdk"])
def test_writes_that_are_never_answered(transport: str) -> None:
    """What a service answers at once has ``timeout_s``, not the ``ack_s`` of copies: the user's limit holds."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        long = msgspec.structs.replace(Timeouts(), ack_s=100 * PATIENCE_S, ask_s=100 * PATIENCE_S)
        with running_engine(url, timeouts=long, timeout_s=1.0, retries=0, transport=transport) as engine:
            writes: list[Callable[[], object]] = [
                lambda: engine.create_bucket("bucket"),
                lambda: engine.set_tags("s3://bucket/key", {"a": "b"}),
                lambda: engine.delete_tags("s3://bucket/key"),
                lambda: engine.delete("s3://bucket/key"),
            ]
            for write in writes:
                with pytest.raises(errors.StallTimeout):
                    write()


def test_forkserver_that_is_stopped_at_start(tmp_path: Path) -> None:
    """A forkserver that falls silent before its workers are there is killed after ``start_s`` and replaced."""
    before = set(descendants())
    with serving() as server, aws_environment(keys()):
        server.store.put("bucket", "key", make_object(b"body"))
        forkserver = ForkserverProcess()
        os.kill(forkserver.process.pid, signal.SIGSTOP)
        timeouts = msgspec.structs.replace(QUICK, start_s=8.0)
        with Engine(endpoint_url=server.endpoint_url, workers=2, forkserver=forkserver, timeouts=timeouts) as engine:
            began_s = time.monotonic()
            assert engine.download("s3://bucket/key", tmp_path / "restored").size == 4
            assert time.monotonic() - began_s < PATIENCE_S
    assert (tmp_path / "restored").read_bytes() == b"body"
    eventually(lambda: set(descendants()) <= before, "the stopped forkserver is left")


def test_every_forkserver_is_stopped(tmp_path: Path) -> None:
    """When each new forkserver falls silent as well, the transfer ends in WorkerDied; it does not hang."""
    before = set(descendants())
    stopping = threading.Event()

    def stop_all() -> None:
        while not stopping.wait(0.002):
            for pid in set(descendants()) - before:
                try:
                    os.kill(pid, signal.SIGSTOP)
                except ProcessLookupError:
                    continue  # it has ended meanwhile

    stopper = threading.Thread(target=stop_all)
    with serving() as server, aws_environment(keys()):
        stopper.start()
        try:
            timeouts = Timeouts(start_s=0.5, shutdown_s=0.5)
            with Engine(endpoint_url=server.endpoint_url, workers=2, timeouts=timeouts) as engine:
                began_s = time.monotonic()
                with pytest.raises(errors.WorkerDied):
                    engine.download("s3://bucket/key", tmp_path / "restored")
                assert time.monotonic() - began_s < PATIENCE_S
        finally:
            stopping.set()
            stopper.join(PATIENCE_S)
    assert list(tmp_path.iterdir()) == []
    eventually(lambda: set(descendants()) <= before, "a stopped process is left")


def test_refresh_that_never_succeeds(tmp_path: Path) -> None:
    """Credentials that expire while their source hangs end the transfer by name, within ``ask_s`` for each try."""
    (tmp_path / "issuer").mkdir()
    issuer = Issuer(tmp_path / "issuer")
    timeouts = msgspec.structs.replace(QUICK, ask_s=3.0)
    server = serving(tokens=("canary-1",))
    with server, running_engine(server.endpoint_url, issuer.variables, timeouts=timeouts) as engine:
        server.store.put("bucket", "key", make_object(b"body"))
        engine.download("s3://bucket/key", tmp_path / "first")
        (issuer.folder / "process.py").write_text(f"import time; time.sleep(30)  # {sys.executable}")
        assert server.credentials is not None
        server.credentials.expire("canary-1")
        began_s = time.monotonic()
        with pytest.raises(errors.CredentialsError, match="expired"):
            engine.download("s3://bucket/key", tmp_path / "second")
        assert time.monotonic() - began_s < PATIENCE_S
        assert not (tmp_path / "second").exists()
