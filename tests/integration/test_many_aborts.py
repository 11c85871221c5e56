"""However many uploads an engine has when it ends, and however far away the service is, none of them is forgotten."""

from __future__ import annotations

import logging
import signal
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from bulkhaul import TransferResult
from tests.engines import descendants, eventually, is_alive
from tests.faultserver import Fault, Latency, RawBody, Status
from tests.integration.command import start
from tests.patience import PATIENCE_S, SOON_S
from tests.writing import PART_BYTES, WriteRig, running_write_rig, serving_site, serving_writes

UPLOADS = 50
BODY = b"x" * (3 * PART_BYTES)
STILL_LISTED = (
    b"<ListPartsResult><Bucket>bucket</Bucket><Key>key</Key><IsTruncated>false</IsTruncated>"
    b'<Part><PartNumber>1</PartNumber><ETag>"0"</ETag><Size>1</Size></Part></ListPartsResult>'
)
#: What an engine that ends gives a service that is silent, and its own processes.
SILENCE_S = 5.0 + 1.0
SLACK_S = SOON_S


def away(seconds: float) -> list[Fault]:
    """Return the faults of a service that is so far away, and takes its time over parts."""
    every = [
        Latency(operation=operation, seconds=seconds, attempt="every")
        for operation in ("CreateMultipartUpload", "AbortMultipartUpload", "ListParts", "ListMultipartUploads")
    ]
    return [Latency(operation="UploadPart", seconds=60, attempt="every"), *every]


def begin_all(rig: WriteRig) -> list[Future[TransferResult]]:
    """Begin the uploads and wait until the service has all of them, and parts are under way."""
    path = rig.folder / "source"
    path.write_bytes(BODY)
    futures = [rig.engine.start_task(rig.engine.aio.upload, path, f"s3://bucket/key-{n}") for n in range(UPLOADS)]
    eventually(lambda: len(rig.pending()) == UPLOADS, "not all uploads began", timeout_s=PATIENCE_S)
    rig.server.wait_for(lambda it: len(it.requests_for("UploadPart")) >= 2)
    return futures


@pytest.mark.parametrize("seconds", [0.1, 0.25], ids=["100 ms", "250 ms"])
def test_closing_aborts_them_all(tmp_path: Path, caplog: pytest.LogCaptureFixture, seconds: float) -> None:
    """An engine that is closed aborts every upload, as long as the service answers, and says nothing untrue."""
    with running_write_rig(tmp_path) as rig:
        for fault in away(seconds):
            rig.server.add_fault(fault)
        futures = begin_all(rig)
        rig.engine.close()
        assert rig.pending() == []
        assert rig.journals() == []
        assert all(future.done() for future in futures)
    assert [one.message for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_a_silent_service_does_not_hold_an_engine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A service that answers nothing is given up in a bounded time; every upload is named, and that is said."""
    with running_write_rig(tmp_path) as rig:
        for fault in away(0.0):
            rig.server.add_fault(fault)
        begin_all(rig)
        rig.server.add_fault(Latency(operation="AbortMultipartUpload", seconds=60, attempt="every"))
        began_s = time.monotonic()
        rig.engine.close()
        assert time.monotonic() - began_s < SILENCE_S + SLACK_S
        assert len(rig.journals()) == UPLOADS
    said = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(said) == UPLOADS
    assert all("could not be aborted" in text and "bulkhaul cleanup" in text for text in said)


def test_what_was_aborted_but_not_looked_at_is_not_called_a_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the service confirms an abort and then falls silent, the journal stays, and the message says just that."""
    with running_write_rig(tmp_path) as rig:
        for fault in away(0.0):
            rig.server.add_fault(fault)
        path = rig.folder / "source"
        path.write_bytes(BODY)
        rig.engine.start_task(rig.engine.aio.upload, path, "s3://bucket/key")
        rig.server.wait_for(lambda it: len(it.requests_for("UploadPart")) >= 2)
        rig.server.add_fault(Latency(operation="ListParts", seconds=60, attempt="every"))
        rig.engine.close()
        assert (rig.pending(), len(rig.journals())) == ([], 1)
    (said,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert "was aborted" in said
    assert "could not be aborted" not in said


def test_parts_that_stay_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An upload that the service goes on listing is named by its journal, and the user hears of it."""
    with running_write_rig(tmp_path) as rig:
        rig.server.add_fault(Status(operation="UploadPart", status=403, code="AccessDenied", part=2, attempt="every"))
        rig.server.add_fault(RawBody(operation="ListParts", body=STILL_LISTED, attempt="every"))
        (rig.folder / "source").write_bytes(BODY)
        with pytest.raises(Exception, match="credentials do not allow"):
            rig.engine.upload(rig.folder / "source", "s3://bucket/key")
        assert len(rig.journals()) == 1
    (said,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert "parts of it may be left" in said


@pytest.mark.parametrize(("twice", "within_s"), [(False, 30.0), (True, 5.0)], ids=["once", "twice"])
def test_ctrl_c(tmp_path: Path, *, twice: bool, within_s: float) -> None:
    """Ctrl-C aborts all uploads of a folder at a service far away; a second one ends the command at once."""
    with serving_site(tmp_path, serving_writes()) as site:
        for fault in away(0.25):
            site.server.add_fault(fault)
        for number in range(UPLOADS):
            (site.folder / f"{number:02}").write_bytes(b"x" * (6 * 1024 * 1024))
        before = set(descendants())
        # A file of two parts takes two requests of those that may be in flight.
        words = ["cp", "-r", "--endpoint-url", site.server.endpoint_url, "--concurrency", str(2 * UPLOADS)]
        words += ["--part-size", "5MiB", "--multipart-threshold", "5MiB", str(site.folder), "s3://bucket/"]
        process = start(*words, variables={"BULKHAUL_STATE_DIR": str(site.state)})
        try:
            eventually(lambda: len(site.pending()) == UPLOADS, "not all uploads began", timeout_s=PATIENCE_S)
            children = sorted(set(descendants()) - before)
            process.send_signal(signal.SIGINT)
            began_s = time.monotonic()
            if twice:
                site.server.wait_for(lambda it: bool(it.requests_for("AbortMultipartUpload")))
                began_s = time.monotonic()
                process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_S)
            seconds = time.monotonic() - began_s
        finally:
            process.kill()
            process.communicate()
        assert process.returncode == 130
        assert seconds < within_s
        eventually(lambda: not [pid for pid in children if is_alive(pid)], "processes of it are left")
        # One whose Create was not answered yet is named by its key alone.
        named = {(one.state.intent.key, one.state.upload_id) for one in site.journals() if one.state is not None}
        pending = site.server.store.uploads.pending("bucket")
        assert [one for one in pending if named.isdisjoint({(one.key, one.upload_id), (one.key, "")})] == []
        if not twice:
            assert site.pending() == []
            assert site.journals() == []
            assert "could not be aborted" not in said
