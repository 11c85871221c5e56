"""What does not fit into a message between processes fails alone and at once; no worker dies of it."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import Engine, TransferResult, errors
from bulkhaul.engine.messages.messages import GetLease, Leases
from bulkhaul.engine.pool.supervisor import Supervisor
from bulkhaul.model.objects import Content, ObjectRef
from bulkhaul.model.writing import Doomed, ObjectOptions
from tests.engines import running_rig, serving
from tests.faultserver import make_object
from tests.integration import command
from tests.patience import PATIENCE_S, SOON_S

BAD = os.fsdecode(b"bad\xff.txt")
HALF = "half \udc80 a pair"
LONG = "k" * 200_000


def test_file_whose_name_is_no_text(tmp_path: Path) -> None:
    """A file whose name cannot be a key fails at once and by name; a key that is named for it takes it."""
    (tmp_path / BAD).write_bytes(b"x")
    with serving() as server:
        began_s = time.monotonic()
        done = command.run("cp", "--endpoint-url", server.endpoint_url, tmp_path / BAD, "s3://bucket/")
        assert done.returncode == 1
        assert "not valid UTF-8" in done.stderr
        assert "bad" in done.stderr
        assert time.monotonic() - began_s < SOON_S
        planned = command.run("cp", "--dry-run", "--endpoint-url", server.endpoint_url, tmp_path / BAD, "s3://bucket/")
        assert planned.returncode == 1
        done = command.run("cp", "--endpoint-url", server.endpoint_url, tmp_path / BAD, "s3://bucket/good")
        assert done.returncode == 0, done.stderr
        stored = server.store.get("bucket", "good")
        assert stored is not None
        assert stored.body == b"x"


def test_folder_with_a_name_that_is_no_text(tmp_path: Path) -> None:
    """Of a folder that one file fails, and every other one is uploaded."""
    (tmp_path / BAD).write_bytes(b"x")
    for number in range(20):
        (tmp_path / f"good-{number}").write_bytes(b"y")
    with serving() as server:
        options = ("-r", "--json", "--endpoint-url", server.endpoint_url)
        done = command.run("cp", *options, tmp_path, "s3://bucket/all/")
        assert done.returncode == 1
        _, summary = command.lines(done.stdout)
        assert (summary["verified"], summary["failed"]) == (20, 1)


Try = Callable[[Engine, Path, str], object]

TRIES: dict[str, Try] = {
    "upload": lambda e, _, text: e.upload_bytes(b"x", ObjectRef("bucket", text)),
    "upload-file": lambda e, path, text: e.upload(path / "file", ObjectRef("bucket", text)),
    "upload-in-parts": lambda e, path, text: e.upload(path / "large", ObjectRef("bucket", text)),
    "metadata": lambda e, _, text: e.upload_bytes(b"x", "s3://bucket/k", stored_with(metadata={"a": text})),
    "content-type": lambda e, _, text: e.upload_bytes(b"x", "s3://bucket/k", stored_with(content_type=text)),
    "tags": lambda e, _, text: e.upload_bytes(b"x", "s3://bucket/k", ObjectOptions(tags={"a": text})),
    "bucket": lambda e, _, text: e.upload_bytes(b"x", ObjectRef(text, "k")),
    "download": lambda e, path, text: e.download(ObjectRef("bucket", text), path / "new"),
    "version": lambda e, path, text: e.download("s3://bucket/small", path / "new", version_id=text),
    "copy": lambda e, _, text: e.copy("s3://bucket/small", ObjectRef("bucket", text)),
    "copied": lambda e, _, text: e.copy(ObjectRef("bucket", text), "s3://bucket/new"),
    "head": lambda e, _, text: e.run(e.aio.control.head, ObjectRef("bucket", text)),
    "delete": lambda e, _, text: e.run(e.aio.control.delete, ObjectRef("bucket", text)),
    "presign": lambda e, _, text: e.run(e.aio.control.presign, ObjectRef("bucket", text), 60),
    "read": lambda e, _, text: e.run(e.aio.control.read, ObjectRef("bucket", text)),
    "tags-of": lambda e, _, text: e.run(e.aio.control.tags, ObjectRef("bucket", text)),
    "list": lambda e, _, text: list(e.each(e.aio.control.pages("bucket", text))),
    "folder": lambda e, _, text: list(e.each(e.aio.control.folder("bucket", text))),
    "versions": lambda e, _, text: list(e.each(e.aio.control.versions("bucket", text))),
    "uploads": lambda e, _, text: list(e.each(e.aio.control.pending_uploads("bucket", text))),
    "delete-many": lambda e, _, text: succeeded(e.each(e.aio.control.delete_many("bucket", several(Doomed(text))))),
}


def succeeded(results: Iterable[TransferResult]) -> None:
    """Raise the error of the first that failed."""
    for result in results:
        if result.error is not None:
            raise result.error


def stored_with(**headers: Any) -> ObjectOptions:
    """Return options with these content headers."""
    return ObjectOptions(content=Content(**headers))


async def several(*doomed: Doomed) -> AsyncIterator[Doomed]:
    """Yield these."""
    for one in doomed:
        yield one


@pytest.mark.parametrize("text", [HALF, LONG], ids=["half-a-pair", "long"])
def test_what_no_message_can_carry(tmp_path: Path, text: str) -> None:
    """Whatever a name or a value holds, it fails at once; what goes on beside it, and the workers, are unharmed."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "large").write_bytes(bytes(100_000))
    with running_rig(tmp_path, part_size_bytes=5 << 20, multipart_threshold_bytes=50_000) as rig:
        rig.server.store.put("bucket", "small", make_object(b"abc"))
        rig.engine.download("s3://bucket/small", tmp_path / "restored")
        workers = rig.engine.worker_pids
        # The keys of a batch go in memory, of any length: what becomes of them the service says.
        tries = {name: attempt for name, attempt in TRIES.items() if text == HALF or name != "delete-many"}
        for name, attempt in tries.items():
            beside = rig.engine.submit("s3://bucket/small", tmp_path / "beside")
            began_s = time.monotonic()
            with pytest.raises(errors.TransferError):
                attempt(rig.engine, tmp_path, text)
            assert time.monotonic() - began_s < SOON_S, name  # a lease that nobody has takes minutes
            beside.result(PATIENCE_S)
        assert rig.engine.worker_pids == workers


def test_a_frame_that_cannot_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the operating system does not take a frame of leases, these fail, and nothing waits for them."""
    send = Supervisor.send

    def refusing(self: Supervisor, number: int, message: object, descriptors: list[int] | None = None) -> None:
        if isinstance(message, Leases) and any(
            isinstance(lease, GetLease) and lease.request.key == "case-2" for lease in message.leases
        ):
            raise errors.LocalError("no room")
        send(self, number, message, descriptors)

    monkeypatch.setattr(Supervisor, "send", refusing)
    with running_rig(tmp_path) as rig:
        rig.restore(b"one").succeeded()
        workers = rig.engine.worker_pids
        error = rig.restore(b"two").failed(errors.LocalError)
        assert "no room" in str(error)
        rig.restore(b"three").succeeded()
        assert rig.engine.worker_pids == workers
