"""A role, or a service, that can upload and abort and list nothing: what it confirms counts, and what fails is said."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import errors
from tests.engines import eventually
from tests.faultserver import Fault, Latency, Status
from tests.integration.test_commands_cleanup import Shop, shop  # noqa: F401 - a fixture
from tests.integration.test_upload_resume import (
    ABORT,
    BODY,
    COMPLETE,
    CREATE,
    PARTS,
    again,
    interrupt,
    source_of,
)
from tests.writing import PART_BYTES, Site, running_write_rig, serving_site

REFUSALS = {
    "403": {"status": 403, "code": "AccessDenied"},
    "400": {"status": 400, "code": "InvalidRequest"},
    "405": {"status": 405, "code": "MethodNotAllowed"},
    "501": {"status": 501, "code": "NotImplemented"},
    "500": {"status": 500, "code": "InternalError"},
}
EACH = pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)


def refusing(refusal: dict[str, object], *operations: str) -> list[Fault]:
    """Return the faults of a service that refuses these operations."""
    return [Status(operation=one, attempt="every", **refusal) for one in operations]  # type: ignore[arg-type]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the user was told."""
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Site]:
    """A fault server; engines come later, when programs have died."""
    with serving_site(tmp_path) as site:
        yield site


@EACH
def test_a_killed_upload_begins_anew(rig: Site, caplog: pytest.LogCaptureFixture, refusal: dict[str, object]) -> None:
    """Where parts cannot be listed, the same upload after a kill begins anew, says so, and leaves nothing."""
    path = source_of(rig)
    interrupt(rig, path)
    (old,) = rig.pending("key")
    for fault in refusing(refusal, "ListParts", "ListMultipartUploads"):
        rig.server.add_fault(fault)
    second = again(rig, path)
    assert second.sent == list(range(1, PARTS + 1))
    assert (second.asked[CREATE], second.asked[COMPLETE]) == (1, 1)
    assert old in {one.upload_id for one in rig.server.requests_for(ABORT, "key")}
    assert rig.stored("key") == BODY
    (said,) = warnings(caplog)
    assert "cannot be resumed" in said
    assert "begins anew" in said


def test_keys_that_are_refused_for_everything_cost_nothing(rig: Site) -> None:
    """A wrong signature says nothing of listing parts: the upload stays for a run with the right keys."""
    path = source_of(rig)
    interrupt(rig, path)
    wrong = Status(operation="ListParts", status=403, code="SignatureDoesNotMatch", attempt="every")
    rig.server.add_fault(wrong)
    with pytest.raises(errors.AccessDenied):
        again(rig, path)
    assert (len(rig.pending("key")), len(rig.journals("key"))) == (1, 1)
    assert rig.server.requests_for(ABORT, "key") == []


@EACH
def test_a_confirmed_abort_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture, refusal: dict[str, object]) -> None:
    """An upload that fails is aborted, its journal goes, and nobody calls it a failure, though no part is listed."""
    with running_write_rig(tmp_path) as rig:
        for fault in refusing(refusal, "ListParts"):
            rig.server.add_fault(fault)
        rig.server.add_fault(Status(operation="UploadPart", status=403, code="AccessDenied", part=2, attempt="every"))
        (rig.folder / "source").write_bytes(b"x" * (3 * PART_BYTES))
        with pytest.raises(errors.AccessDenied):
            rig.engine.upload(rig.folder / "source", "s3://bucket/key")
        assert (rig.pending(), rig.journals()) == ([], [])
    assert warnings(caplog) == []


def test_an_abort_is_sent_again_for_parts_that_were_under_way(tmp_path: Path) -> None:
    """Where nobody can look whether such a part has landed, a second abort takes it away."""
    with running_write_rig(tmp_path) as rig:
        for fault in refusing(REFUSALS["403"], "ListParts"):
            rig.server.add_fault(fault)
        rig.server.add_fault(Latency(operation="UploadPart", seconds=60))
        (rig.folder / "source").write_bytes(b"x" * (3 * PART_BYTES))
        future = rig.engine.start_task(rig.engine.aio.upload, rig.folder / "source", "s3://bucket/key")
        rig.server.wait_for(lambda it: len(it.requests_for("UploadPart")) >= 2)
        assert future.cancel()
        eventually(lambda: not rig.journals(), "the upload was not aborted")
        assert rig.pending() == []
        assert len(rig.server.requests_for(ABORT)) == 2
        assert len(rig.server.requests_for("ListParts")) == 1


@pytest.mark.parametrize("refusal", [REFUSALS["403"], REFUSALS["501"]], ids=["403", "501"])
def test_cleanup_aborts_what_it_cannot_list(shop: Shop, refusal: dict[str, object]) -> None:  # noqa: F811 - a fixture
    """A journal that knows the upload's id is enough; one that knows none stays, and says what can be done."""
    shop.journal("dead", shop.begin("dead")).close()
    shop.journal("gone", "no-such-upload").close()
    shop.journal("unnamed", "").close()
    for fault in refusing(refusal, "ListParts", "ListMultipartUploads"):
        shop.server.add_fault(fault)
    done, dry = shop.cleanup()
    assert done.returncode == 0
    done, lines = shop.cleanup("--yes")
    assert (done.returncode, done.stderr) == (0, "")
    for found in (dry, lines):
        assert {one["name"] for one in found} == {"s3://bucket/dead", "s3://bucket/gone", "s3://bucket/unnamed"}
    cleared = {one["name"]: (one["cleared"], bool(one["remedy"])) for one in lines}
    assert cleared == {
        "s3://bucket/dead": (True, False),
        "s3://bucket/gone": (True, False),
        "s3://bucket/unnamed": (False, True),
    }
    assert shop.journals() == 1
    assert [one.key for one in shop.server.store.uploads.pending("bucket")] == []
