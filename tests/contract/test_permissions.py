"""Permissions that are missing are named before anything is begun, and no try of one leaves anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import AsyncEngine, Engine, errors, jobs
from bulkhaul.jobs.permissions import PROBE_NAME, Checked, check_permissions
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.syncing import sync
from bulkhaul.model.preserving import Kept
from bulkhaul.model.rows import Action
from bulkhaul.policy.permissions import Need, needed
from tests.engines import running_engine
from tests.faultserver import Status, make_object
from tests.servers import RunningServer, moto
from tests.writing import WriteRig, engine_at, serving_site

PLACES = {"source": ("bucket", "ours/"), "destination": ("bucket", "theirs/")}
ALL = needed(
    [Action.COPY],
    lists=["source", "destination"],
    preserve={Kept.TAGS, Kept.ACL},
    move=True,
)
ALL = tuple(need for need in ALL if not (need.side == "destination" and need.action.startswith("s3:GetObject")))
"""Without what reads copies back: there are none yet."""


def checked(engine: Engine, needs: Sequence[Need] = ALL, *, writes: bool = True) -> Checked:
    """Try what a move with its tags and grants needs."""

    async def work(running: AsyncEngine) -> Checked:
        return await check_permissions(running, needs, **PLACES, writes=writes)  # type: ignore[arg-type]

    return engine.run(work, engine.aio)


@pytest.fixture
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteRig]:
    """An engine before a fault server with one object."""
    with serving_site(tmp_path_factory.mktemp("permissions")) as site, engine_at(site) as running:
        running.server.store.put("bucket", "ours/a", make_object(b"bytes"))
        yield running


NEEDS = [need for need in ALL if need.action not in ("s3:GetObjectAcl", "s3:PutObjectAcl")]
"""Without grants, which the fault server does not know."""


@pytest.mark.parametrize(
    ("operation", "side", "action"),
    [
        ("ListObjectsV2", "source", "s3:ListBucket"),
        ("GetObject", "source", "s3:GetObject"),
        ("GetObjectTagging", "source", "s3:GetObjectTagging"),
        ("CreateMultipartUpload", "destination", "s3:PutObject"),
        ("DeleteObject", "source", "s3:DeleteObject"),
    ],
)
def test_missing_is_named(rig: WriteRig, operation: str, side: str, action: str) -> None:
    """The error names the action and the side, and what was tried left nothing."""
    rig.server.add_fault(Status(code="AccessDenied", operation=operation, attempt="every"))
    with pytest.raises(errors.MissingPermission, match=f"{action} is missing at the {side}") as caught:
        checked(rig.engine, NEEDS)
    assert caught.value.info.status == 403
    assert caught.value.exit_code == 1
    assert_nothing_left(rig)


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidAccessKeyId"])
def test_wrong_keys_are_no_missing_permission(rig: WriteRig, code: str) -> None:
    """A service that accepts nothing of these keys says nothing of an action."""
    rig.server.add_fault(Status(code=code, attempt="every"))
    with pytest.raises(errors.AccessDenied, match="key") as caught:
        checked(rig.engine, NEEDS)
    assert not isinstance(caught.value, errors.MissingPermission)


def test_one_object_of_others(rig: WriteRig) -> None:
    """What is forbidden for one object fails with that object, as long as others may be read."""
    for name in ("ours/0", "ours/b", "ours/c"):
        rig.server.store.put("bucket", name, make_object(b"bytes"))
    for operation in ("GetObject", "GetObjectTagging"):
        rig.server.add_fault(Status(code="AccessDenied", operation=operation, key="ours/0", attempt="every"))
    found = checked(rig.engine, NEEDS)
    assert (list(found.tried), found.untried) == (NEEDS, ())
    asked = [one.key for one in rig.server.requests if one.operation == "GetObject"]
    assert asked == ["ours/0", "ours/a"]


@pytest.mark.parametrize("status", [400, 404])
def test_an_object_that_cannot_be_read_at_all(rig: WriteRig, status: int) -> None:
    """It was deleted meanwhile, or needs a key of its customer: that says nothing of a permission."""
    code = {400: "InvalidRequest", 404: "NoSuchKey"}[status]
    rig.server.add_fault(Status(status=status, code=code, operation="GetObject", attempt="every"))
    found = checked(rig.engine, NEEDS)
    assert [one.need.action for one in found.untried] == ["s3:GetObject"]


def test_what_is_left_out_is_not_tried(rig: WriteRig, tmp_path: Path) -> None:
    """A job is not stopped by an object that it does not mean."""
    rig.server.store.put("bucket", "ours/.private", make_object(b"bytes"))
    rig.server.add_fault(Status(code="AccessDenied", operation="GetObject", key="ours/.private", attempt="every"))
    rig.server.add_fault(Status(code="AccessDenied", operation="GetObject", key="ours/a", attempt="every"))
    where: dict[str, Any] = {"endpoint_url": rig.server.endpoint_url, "workers": 1}
    rig.server.store.put("bucket", "ours/b", make_object(b"bytes"))
    jobs.create_job(tmp_path / "job", "s3://bucket/ours/", str(tmp_path / "down"), include=["b"], **where)
    assert "ours/.private" not in {one.key for one in rig.server.requests}


@pytest.mark.parametrize("status", [403, 404])
def test_copies_that_cannot_be_read_back(rig: WriteRig, status: int) -> None:
    """What a copy has kept is read back, so that is tried at the destination, if there is anything to try it on."""
    needs = needed([Action.COPY], preserve={Kept.TAGS, Kept.METADATA})
    if status == 403:
        rig.server.store.put("bucket", "theirs/old", make_object(b"bytes"))
        rig.server.add_fault(
            Status(code="AccessDenied", operation="GetObjectTagging", key="theirs/old", attempt="every")
        )
        with pytest.raises(errors.MissingPermission, match="s3:GetObjectTagging is missing at the destination"):
            checked(rig.engine, needs)
    else:
        found = checked(rig.engine, needs)
        assert {one.need for one in found.untried} == {
            Need("destination", "s3:GetObject"),
            Need("destination", "s3:GetObjectTagging"),
        }


def test_grants_are_tried(rig: WriteRig) -> None:
    """By the operation of their own."""
    rig.server.add_fault(Status(code="AccessDenied", operation="GET acl", attempt="every"))
    with pytest.raises(errors.MissingPermission, match="s3:GetObjectAcl is missing at the source"):
        checked(rig.engine)


def test_upload_that_cannot_be_aborted(rig: WriteRig) -> None:
    """It is named, with the action that is missing, so that somebody can remove it."""
    rig.server.add_fault(Status(code="AccessDenied", operation="AbortMultipartUpload", attempt="every"))
    with pytest.raises(errors.MissingPermission, match=rf"s3:AbortMultipartUpload.*theirs/{PROBE_NAME}"):
        checked(rig.engine, NEEDS)


def test_all_there(rig: WriteRig) -> None:
    """Everything was tried, on one object, and nothing is left."""
    found = checked(rig.engine, NEEDS)
    assert (list(found.tried), found.untried) == (NEEDS, ())
    assert_nothing_left(rig)


def test_only_reads(rig: WriteRig, caplog: pytest.LogCaptureFixture) -> None:
    """A dry run writes nothing, and says what it has not tried, in the log, too."""
    caplog.set_level("INFO", "bulkhaul")
    found = checked(rig.engine, NEEDS, writes=False)
    told = "s3:DeleteObject at s3://bucket/ours/ was not tried before: nothing is written now"
    assert told in [record.getMessage() for record in caplog.records]
    assert {need.action for need in found.tried} == {"s3:ListBucket", "s3:GetObject", "s3:GetObjectTagging"}
    assert {one.need.action for one in found.untried} == {"s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject"}
    assert {one.operation for one in rig.server.requests} == {"ListObjectsV2", "GetObject", "GetObjectTagging"}


def test_nothing_to_try_it_on(rig: WriteRig) -> None:
    """Without any object, reads are not taken for allowed."""
    rig.server.store.delete("bucket", "ours/a")
    found = checked(rig.engine, NEEDS)
    assert {one.need.action for one in found.untried} == {"s3:GetObject", "s3:GetObjectTagging"}


def test_sync_names_what_would_be_missing_at_its_end(rig: WriteRig) -> None:
    """A sync that deletes, or keeps tags, moves nothing without the permission; its dry run tries no deletion."""
    rig.server.add_fault(Status(code="AccessDenied", operation="DeleteObject", attempt="every"))
    with pytest.raises(errors.MissingPermission, match="s3:DeleteObject is missing at the destination"):
        list(sync(rig.engine, "s3://bucket/ours/", "s3://bucket/theirs/", SyncOptions(delete=True)))
    assert rig.server.store.get("bucket", "theirs/a") is None
    list(sync(rig.engine, "s3://bucket/ours/", "s3://bucket/theirs/", SyncOptions(delete=True, dry_run=True)))
    list(sync(rig.engine, "s3://bucket/ours/", "s3://bucket/theirs/"))
    assert rig.server.store.get("bucket", "theirs/a") is not None


def test_a_sync_that_is_a_job_names_it_as_well(rig: WriteRig, tmp_path: Path) -> None:
    """Nothing is planned, nor moved, without what its deletions need; once that is allowed the same call goes on."""
    where: dict[str, Any] = {"endpoint_url": rig.server.endpoint_url, "workers": 1}
    places = (tmp_path / "job", "s3://bucket/ours/", "s3://bucket/theirs/")
    rig.server.add_fault(Status(code="AccessDenied", operation="DeleteObject", times=1))
    with pytest.raises(errors.MissingPermission, match="s3:DeleteObject is missing at the destination"):
        list(jobs.sync_job(*places, SyncOptions(delete=True), **where))
    assert not list((tmp_path / "job").glob("plan*/*"))
    assert rig.server.store.get("bucket", "theirs/a") is None
    (row,) = jobs.sync_job(*places, SyncOptions(delete=True), **where)
    assert row.error is None


def test_job_names_what_is_missing(rig: WriteRig, tmp_path: Path) -> None:
    """A job is not planned without what its run will need; its plan tells what that costs."""
    where: dict[str, Any] = {"endpoint_url": rig.server.endpoint_url, "workers": 1}
    places = (tmp_path / "job", "s3://bucket/ours/", "s3://bucket/theirs/")
    denied = Status(code="AccessDenied", operation="GetObjectTagging", times=1)
    rig.server.add_fault(denied)
    with pytest.raises(errors.MissingPermission, match="s3:GetObjectTagging is missing at the source"):
        jobs.create_job(*places, preserve=[Kept.TAGS], **where)
    assert not list((tmp_path / "job").glob("plan*/*"))
    status = jobs.create_job(*places, preserve=[Kept.TAGS], **where)
    assert (status.request_classes, status.routes) == ({"get": 3, "put": 1}, {"copied": len(b"bytes")})
    assert_nothing_left(rig)
    (row,) = jobs.run_job(tmp_path / "job", **where)
    assert row.error is None
    asked = [one.operation for one in rig.server.requests if one.key == "theirs/a"]
    assert "GetObjectTagging" in asked, "what the copy has kept is read back"


def test_dry_run_tells_costs(rig: WriteRig) -> None:
    """Counts of requests by class, and bytes by their way; ten deletions are a listing more, and one that is free."""
    told = {"get_requests": 1, "put_requests": 1, "copied_bytes": len(b"bytes")}
    for deletions in (False, True):
        counts, options = SyncCounts(), SyncOptions(dry_run=True, delete=deletions)
        list(sync(rig.engine, "s3://bucket/ours/", "s3://bucket/theirs/", options, counts=counts))
        assert counts.costs == told
        for number in range(10):
            rig.server.store.put("bucket", f"theirs/{number}", make_object(b""))
        told |= {"put_requests": 2, "free_requests": 1}


def assert_nothing_left(rig: WriteRig) -> None:
    """There is the one object, and no upload."""
    assert list(rig.server.store.in_bucket("bucket")) == ["ours/a"]
    assert rig.pending() == []


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """moto with one object in a bucket."""
    with moto() as running:
        running.client().create_bucket(Bucket="bucket")
        running.client().put_object(Bucket="bucket", Key="ours/a", Body=b"1")
        yield running


def test_on_a_server(server: RunningServer) -> None:
    """moto, which knows all of it: in a bucket that keeps versions, no deletion is tried, and no marker is left."""
    keys = {"AWS_ACCESS_KEY_ID": "moto", "AWS_SECRET_ACCESS_KEY": "moto", "AWS_REGION": "us-east-1"}
    client = server.client()
    with running_engine(server.endpoint_url, keys) as engine:
        found = checked(engine)
        assert (list(found.tried), found.untried) == (list(ALL), ())
        client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        found = checked(engine)
        assert [one.need.action for one in found.untried] == ["s3:DeleteObject"]
        assert "delete marker" in found.untried[0].why
    listed = client.list_object_versions(Bucket="bucket")
    assert [one["Key"] for one in listed["Versions"]] == ["ours/a"]
    assert "DeleteMarkers" not in listed
    assert "Uploads" not in client.list_multipart_uploads(Bucket="bucket")
