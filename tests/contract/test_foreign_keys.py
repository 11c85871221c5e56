"""Listings that name what nobody has asked for: nothing is made of such a page, by whichever operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import Engine
from bulkhaul.engine.operations.cleanup import Cleanup
from bulkhaul.engine.operations.delete_many import Deletion, delete_sources
from bulkhaul.errors import UnexpectedReply
from bulkhaul.model.objects import ObjectRef
from bulkhaul.policy.selection import parse_source
from tests.engines import running_engine
from tests.faultserver import ForeignEntry, make_object
from tests.servers import RunningServer, weed
from tests.writing import WriteRig, running_write_rig

Operation = Callable[[Engine, Path], list[Any]]
IN = "s3://bucket/in/"


def listed(engine: Engine, how: str) -> list[Any]:
    """List what is below the prefix."""
    return list(engine.each(getattr(engine.aio.control, how)("bucket", "in/")))


def removing(engine: Engine, url: str, **more: Any) -> list[Any]:
    """Remove what a prefix names, and raise the failure of the prefix as a whole."""
    results = list(
        engine.each(delete_sources(engine.aio.control, Deletion(sources=(parse_source(url, recursive=True),), **more)))
    )
    for result in results:
        if result.error is not None:
            raise result.error
    return results


def tidying(engine: Engine, prefix: str) -> list[Any]:
    """Abort every upload below a prefix, whatever its age."""
    return list(
        engine.each(Cleanup(engine.aio.control, clears=True).uploads("bucket", prefix, older_than_s=-60, now_s=1e10))
    )


OPERATIONS: dict[str, tuple[str, Operation]] = {
    "pages": ("ListObjectsV2", lambda engine, _: listed(engine, "pages")),
    "folder": ("ListObjectsV2", lambda engine, _: listed(engine, "folder")),
    "versions": ("ListObjectVersions", lambda engine, _: listed(engine, "versions")),
    "download": ("ListObjectsV2", lambda engine, folder: list(engine.download_many(IN, folder / "down"))),
    "copy": ("ListObjectsV2", lambda engine, _: list(engine.copy_many(IN, "s3://bucket/to/"))),
    "move": ("ListObjectsV2", lambda engine, _: list(engine.copy_many(IN, "s3://bucket/to/", move=True))),
    "remove": ("ListObjectsV2", lambda engine, _: removing(engine, IN)),
    "remove a pattern": ("ListObjectsV2", lambda engine, _: removing(engine, "s3://bucket/in/*")),
    "remove versions": ("ListObjectVersions", lambda engine, _: removing(engine, IN, all_versions=True)),
    "abort": ("ListMultipartUploads", lambda engine, _: tidying(engine, "in/")),
}  # fmt: skip


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[WriteRig]:
    """An engine before a fault server that has an object and an upload, each in and outside of ``in/``."""
    with running_write_rig(tmp_path) as running:
        for key in ("in/a", "out/b"):
            running.server.store.put("bucket", key, make_object(b"x"))
            running.engine.run(running.engine.aio.control.begin_upload, ObjectRef("bucket", key))
        yield running


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_page_with_a_foreign_key_is_refused(rig: WriteRig, tmp_path: Path, operation: str) -> None:
    """The error names the key, and neither it nor its neighbours are touched."""
    listing, work = OPERATIONS[operation]
    rig.server.add_fault(ForeignEntry(operation=listing, name="out/b"))
    with pytest.raises(UnexpectedReply, match="'out/b', which does not begin with"):
        work(rig.engine, tmp_path)
    assert sorted(rig.server.store.in_bucket("bucket")) == ["in/a", "out/b"]
    assert len(rig.pending()) == 2


def test_a_foreign_folder_is_refused(rig: WriteRig) -> None:
    """Common prefixes are held to the prefix like keys: whoever walks a tree goes where they lead."""
    rig.server.add_fault(ForeignEntry(name="out/", folder=True))
    with pytest.raises(UnexpectedReply, match="'out/', which does not begin with"):
        list(rig.engine.each(rig.engine.aio.control.folder("bucket", "in/")))


@pytest.fixture(scope="module")
def seaweed() -> Iterator[RunningServer]:
    """A SeaweedFS with a bucket: it takes several slashes for one, also in prefixes."""
    with weed() as server:
        server.client().create_bucket(Bucket="bars")
        yield server


@pytest.mark.parametrize("prefix", ["a//", "dir//", "/a/"])
@pytest.mark.parametrize("all_versions", [False, True], ids=["keys", "versions"])
def test_doubled_slashes_remove_nothing(seaweed: RunningServer, prefix: str, all_versions: bool) -> None:
    """Keys that do not begin with what the user typed stay, however the server reads it."""
    client = seaweed.client()
    keys = ["a/b", "a/c/d", "dir/x"]
    for key in keys:
        client.put_object(Bucket="bars", Key=key, Body=b"x")
    variables = {"AWS_ACCESS_KEY_ID": seaweed.access_key, "AWS_SECRET_ACCESS_KEY": seaweed.secret_key}
    with running_engine(seaweed.endpoint_url, variables) as engine:
        results = list(
            engine.each(
                delete_sources(
                    engine.aio.control,
                    Deletion(sources=(parse_source(f"s3://bars/{prefix}", recursive=True),), all_versions=all_versions),
                )
            )
        )
    assert all(result.failure is not None for result in results)  # of some prefixes it lists no version
    assert results or all_versions
    assert [one["Key"] for one in client.list_objects_v2(Bucket="bars")["Contents"]] == keys
