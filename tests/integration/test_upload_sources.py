"""The files that are uploaded: changed, cut, replaced or strange; what is stored is the file or nothing."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bulkhaul import errors
from bulkhaul.errors import TransferError
from bulkhaul.model.settings import Timeouts
from tests.faultserver import MIB, SlowReceiving, StallReceiving
from tests.patience import PATIENCE_S, SOON_S
from tests.writing import HASTY, PART_BYTES, THRESHOLD_BYTES, WriteRig, Written, running_write_rig, serving_writes

BODY = random.Random(51).randbytes(6 * PART_BYTES + 99)
OLD = b"what was there before"
PATIENT = Timeouts(read_s=30.0, lease_s=30.0, heartbeat_s=30.0)


@pytest.fixture(scope="module", params=["fast", "sdk"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteRig]:
    """An engine of one transport that writes to a fault server whose connections hold little."""
    server = serving_writes(receive_buffer_bytes=64 * 1024)
    folder = tmp_path_factory.mktemp("sources")
    with running_write_rig(
        folder, server=server, transport=request.param, workers=2, concurrency=2, timeouts=PATIENT
    ) as running:
        yield running


def changed_while_sent(rig: WriteRig, body: bytes, change: Callable[[Path], None]) -> Written:
    """Upload a file that is changed while the server waits in the middle of a body, and check the invariants."""
    operation = "PutObject" if len(body) < THRESHOLD_BYTES else "UploadPart"
    go_on = threading.Event()
    wait = StallReceiving(operation=operation, attempt="every", times=1, until=go_on, after_bytes=1000)
    key, faults = rig.new_key(wait, old=OLD)
    path = rig.folder / key
    path.write_bytes(body)
    os.utime(path, (1, 1))  # whatever is written now shows, however coarse the file system's clock is

    def act() -> None:
        rig.server.wait_for(lambda s: bool(s.requests_for(operation, key)))
        change(path)
        go_on.set()

    acting = threading.Thread(target=act)
    acting.start()
    try:
        return rig.watch(lambda: rig.engine.upload(path, f"s3://bucket/{key}"), key, body, faults, OLD)
    finally:
        acting.join(PATIENCE_S)


def rewrite(path: Path) -> None:
    """Write other bytes of the same length into the same file."""
    with path.open("r+b") as file:
        file.write(os.urandom(100))


def grow(path: Path) -> None:
    """Append to the file."""
    with path.open("ab") as file:
        file.write(b"more")


def cut(path: Path) -> None:
    """Cut the file to a little more than one page."""
    os.truncate(path, 5000)


def empty(path: Path) -> None:
    """Cut the file to nothing."""
    os.truncate(path, 0)


@pytest.mark.parametrize("change", [rewrite, grow, cut, empty])
def test_changed_in_parts(rig: WriteRig, change: Callable[[Path], None]) -> None:
    """A file that changes while its parts are sent makes no object (C27), and the error tells what to do."""
    written = changed_while_sent(rig, BODY, change)
    assert "upload it again" in str(written.failed(errors.SourceChanged)) or "send it again" in str(written.error)
    assert written.of("CompleteMultipartUpload") == []
    assert written.of("AbortMultipartUpload")


@pytest.mark.parametrize("transport", ["fast", "sdk"])
@pytest.mark.parametrize("change", [rewrite, grow, cut])
def test_changed_before_the_last_piece(tmp_path: Path, change: Callable[[Path], None], transport: str) -> None:
    """The last piece of a single PUT leaves only if the file is unchanged: else no object comes of it (C27)."""
    server, go_on = serving_writes(receive_buffer_bytes=64 * 1024), threading.Event()
    body = random.Random(52).randbytes(16 * MIB)
    with running_write_rig(
        tmp_path, server=server, transport=transport, multipart_threshold_bytes=17 * MIB, timeouts=PATIENT
    ) as rig:
        key, faults = rig.new_key(StallReceiving(after_bytes=MIB, until=go_on), old=OLD)
        path = rig.folder / key
        path.write_bytes(body)
        os.utime(path, (1, 1))

        def act() -> None:
            rig.server.wait_for(lambda s: any(r.bytes_received >= MIB for r in s.requests_for("PutObject", key)))
            change(path)
            go_on.set()

        acting = threading.Thread(target=act)
        acting.start()
        written = rig.watch(lambda: rig.engine.upload(path, f"s3://bucket/{key}"), key, body, faults, OLD)
        acting.join(PATIENCE_S)
        written.failed(errors.SourceChanged)


def test_cut_while_windows_are_mapped(tmp_path: Path) -> None:
    """A worker that is killed by SIGBUS because the file was cut is no riddle: the error says SourceChanged."""
    server = serving_writes(receive_buffer_bytes=64 * 1024)
    with running_write_rig(tmp_path, server=server, transport="fast", part_size_bytes=8 * MIB, concurrency=2) as rig:
        body = random.Random(53).randbytes(32 * MIB)
        key, faults = rig.new_key(SlowReceiving(operation="UploadPart", attempt="every", bytes_per_s=4 * MIB), old=OLD)
        path = rig.folder / key
        path.write_bytes(body)

        def act() -> None:
            rig.server.wait_for(lambda s: len([r for r in s.requests_for("UploadPart") if r.bytes_received]) >= 2)
            # The pages that are gone are still in the window of whoever sends them.
            os.truncate(path, 0)

        acting = threading.Thread(target=act)
        acting.start()
        written = rig.watch(lambda: rig.engine.upload(path, f"s3://bucket/{key}"), key, body, faults, OLD)
        acting.join(PATIENCE_S)
        written.failed(errors.SourceChanged)
        assert written.seconds < HASTY.lease_s + HASTY.ack_s + SOON_S

        assert rig.upload(BODY).succeeded().integrity == "checksum"


def test_replaced_by_rename(rig: WriteRig) -> None:
    """What is uploaded is the file that was opened, whatever takes its name meanwhile."""

    def replace(path: Path) -> None:
        (path.parent / "other").write_bytes(b"other")
        (path.parent / "other").rename(path)

    assert changed_while_sent(rig, BODY, replace).succeeded().integrity == "checksum"


def test_removed_meanwhile(rig: WriteRig) -> None:
    """A file whose name is removed while it is sent is uploaded whole."""
    assert changed_while_sent(rig, BODY, Path.unlink).succeeded().integrity == "checksum"


def test_moved_only_if_unchanged(rig: WriteRig) -> None:
    """A move removes the file that was stored, and never another one that has taken its place."""
    path = rig.folder / "moved"
    path.write_bytes(BODY)
    rig.engine.upload(path, "s3://bucket/moved", move=True)
    assert not path.exists()
    assert rig.stored("moved") == BODY
    path.write_bytes(BODY)
    go_on = threading.Event()
    other = StallReceiving(operation="UploadPart", key="again", attempt="every", times=1, until=go_on)
    rig.server.add_fault(other)
    future = rig.engine.start_task(lambda: rig.engine.aio.upload(path, "s3://bucket/again", move=True))
    rig.server.wait_for(lambda s: bool(s.requests_for("UploadPart", "again")))
    (rig.folder / "new").write_bytes(b"new")
    (rig.folder / "new").rename(path)
    go_on.set()
    with pytest.raises(errors.SourceChanged, match="not removed"):
        future.result(timeout=PATIENCE_S)
    assert (path.read_bytes(), rig.stored("again")) == (b"new", BODY)


@pytest.mark.parametrize(
    "size",
    [0, 1, 65536, 65537, PART_BYTES, THRESHOLD_BYTES - 1, THRESHOLD_BYTES, THRESHOLD_BYTES + 1, 3 * PART_BYTES],
)
def test_sizes(rig: WriteRig, size: int) -> None:
    """Files of any length are stored exactly: by one PUT below the threshold (C24), in parts from there on."""
    written = rig.upload(random.Random(size).randbytes(size))
    result = written.succeeded()
    assert (result.size, result.integrity) == (size, "checksum")
    assert result.parts == (1 if size < THRESHOLD_BYTES else -(-size // PART_BYTES))
    assert len(written.of("PutObject")) == (1 if size < THRESHOLD_BYTES else 0)


def test_sparse_file(rig: WriteRig) -> None:
    """Holes are zeros."""
    path = rig.folder / "sparse"
    with path.open("wb") as file:
        file.truncate(3 * PART_BYTES + 5)
        file.seek(PART_BYTES + 7)
        file.write(b"island")
    assert rig.engine.upload(path, "s3://bucket/sparse").integrity == "checksum"
    assert rig.stored("sparse") == path.read_bytes()


def strange_files(folder: Path) -> dict[str, tuple[Path, type[TransferError], str]]:
    """Make what is no regular file; returns what the error must say of each."""
    folder.mkdir(exist_ok=True)
    fifo = folder / "fifo"
    if not fifo.exists():
        os.mkfifo(fifo)
    return {
        "folder": (folder, errors.LocalError, "folder"),
        "fifo": (fifo, errors.LocalError, "FIFO.*`pipe` stores"),
        "device": (Path("/dev/null"), errors.LocalError, "device.*`pipe` stores"),
        "missing": (folder / "missing", errors.LocalError, "does not exist"),
    }


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "missing"])
def test_no_regular_file(rig: WriteRig, kind: str) -> None:
    """What is no regular file is refused by what it is, at once and before any request."""
    path, error, says = strange_files(rig.folder / "strange")[kind]
    before = len(rig.server.requests)
    began_s = time.monotonic()
    with pytest.raises(error, match=says) as caught:
        rig.engine.upload(path, "s3://bucket/strange")
    assert str(path) in str(caught.value)
    assert time.monotonic() - began_s < SOON_S
    assert [one for one in rig.server.requests[before:] if one.key == "strange"] == []


def test_stream_is_not_moved(rig: WriteRig) -> None:
    """A name that stands for an open file, as /dev/stdin does, is never removed: its file has another one."""
    path, link = rig.folder / "opened", rig.folder / "standing"
    path.write_bytes(b"body")
    with path.open("rb") as file:
        link.symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        with pytest.raises(errors.LocalError, match="open stream"):
            rig.engine.upload(link, "s3://bucket/stream", move=True)
        assert rig.stored("stream") is None
        assert rig.engine.upload(link, "s3://bucket/stream").size == 4
    assert path.exists()
    assert link.is_symlink()


LIARS = {
    "more": ("/proc/version", "it has more than its length says.*use `pipe`"),
    "less": ("/sys/kernel/mm/transparent_hugepage/enabled", "it has less than its length says.*use `pipe`"),
}


@pytest.mark.parametrize(("path", "says"), LIARS.values(), ids=LIARS)
def test_length_that_is_not_true(rig: WriteRig, path: str, says: str) -> None:
    """Neither an empty nor a cut object is made of a file whose length the kernel made up; the error names the file."""
    with pytest.raises(errors.LocalError, match=f"^{path}: {says}") as caught:
        rig.engine.upload(path, "s3://bucket/liar", move=True)
    assert type(caught.value) is errors.LocalError
    assert rig.stored("liar") is None


def test_file_that_cannot_be_mapped(rig: WriteRig) -> None:
    """A file of a file system that maps none is read, and stored as it is."""
    path = Path("/sys/kernel/notes")
    assert rig.engine.upload(path, "s3://bucket/notes").integrity == "checksum"
    assert rig.stored("notes") == path.read_bytes()
