"""What a dry run of one object tells: what the real run would do, or the error that it would end with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bulkhaul import Engine, TransferResult
from bulkhaul.errors import TransferError
from bulkhaul.model.objects import ObjectRef
from tests.faultserver import make_object
from tests.writing import WriteRig, running_write_rig

URL = "s3://bucket/there"
Run = Callable[[Engine, Path, bool], TransferResult]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteRig]:
    """An engine before a server with one object, and a folder with one file."""
    with running_write_rig(tmp_path_factory.mktemp("planned")) as running:
        running.server.store.put("bucket", "there", make_object(b"object"))
        (running.folder / "file").write_bytes(b"a file")
        yield running


#: Each method that moves one object, with what its result names and how long it says the object is.
DONE: dict[str, tuple[Run, str, str, int]] = {
    "download": (lambda e, f, dry: e.download(URL, f"{f}/", dry_run=dry), URL, "{}/there", 6),
    "move": (lambda e, f, dry: e.download(URL, f / "new", move=True, dry_run=dry), URL, "{}/new", 6),
    "upload": (
        lambda e, f, dry: e.upload(f / "file", "s3://bucket/up/", dry_run=dry),
        "{}/file",
        "s3://bucket/up/file",
        6,
    ),
    "upload_stream": (lambda e, _, dry: e.upload_stream(-1, "s3://bucket/up", dry_run=dry), "-", "s3://bucket/up", 0),
    "download_stream": (lambda e, _, dry: e.download_stream(URL, -1, dry_run=dry), URL, "-", 6),
    "copy": (lambda e, _, dry: e.copy(URL, "s3://bucket/to/", dry_run=dry), URL, "s3://bucket/to/there", 6),
    "relay": (
        lambda e, _, dry: e.copy(URL, "s3://bucket/to/", origin=e.beside(e.settings), dry_run=dry),
        URL,
        "s3://bucket/to/there",
        6,
    ),
}

#: What cannot be done.
REFUSED: dict[str, Run] = {
    "download: no object": lambda e, f, dry: e.download("s3://bucket/none", f / "new", dry_run=dry),
    "download: no folder": lambda e, f, dry: e.download(URL, f / "none" / "new", dry_run=dry),
    "download: no name": lambda e, f, dry: e.download(ObjectRef("bucket", ".."), f"{f}/", dry_run=dry),
    "download: a device": lambda e, _, dry: e.download(URL, os.devnull, dry_run=dry),
    "move: an older version": lambda e, f, dry: e.download(URL, f / "new", move=True, version_id="v", dry_run=dry),
    "upload: no file": lambda e, f, dry: e.upload(f / "none", "s3://bucket/up", dry_run=dry),
    "upload: a folder": lambda e, f, dry: e.upload(f, "s3://bucket/up", dry_run=dry),
    "upload: no key": lambda e, f, dry: e.upload(f"{f}/file/", "s3://", dry_run=dry),
    "upload_stream: a prefix": lambda e, _, dry: e.upload_stream(-1, "s3://bucket/up/", dry_run=dry),
    "download_stream: no object": lambda e, _, dry: e.download_stream("s3://bucket/none", -1, dry_run=dry),
    "copy: no object": lambda e, _, dry: e.copy("s3://bucket/none", "s3://bucket/to", dry_run=dry),
    "copy: onto itself": lambda e, _, dry: e.copy(URL, URL, dry_run=dry),
    "copy: nothing onto itself": lambda e, _, dry: e.copy("s3://bucket/none", "s3://bucket/none", dry_run=dry),
    "relay: no object": lambda e, _, dry: e.copy("s3://bucket/none", URL, origin=e.beside(e.settings), dry_run=dry),
    "relay: moved onto itself": lambda e, _, dry: e.copy(URL, URL, origin=e.beside(e.settings), move=True, dry_run=dry),
}


@pytest.mark.parametrize("what", DONE)
def test_what_would_be_done_is_told(rig: WriteRig, what: str) -> None:
    """The result names source, destination and size; both sides are as they were, and no total has grown."""
    run, source, destination, size_bytes = DONE[what]
    before = len(rig.server.requests)
    total = rig.engine.progress().planned_objects
    told = run(rig.engine, rig.folder, True)
    assert (told.source, told.destination) == (source.format(rig.folder), destination.format(rig.folder))
    assert (told.size, told.integrity) == (size_bytes, None)
    assert {one.operation for one in rig.server.requests[before:]} <= {"HeadObject"}
    assert os.listdir(rig.folder) == ["file"]
    assert rig.engine.progress().planned_objects == total
    rig.assert_nothing_left("there")


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_fail_fails_alike(rig: WriteRig, what: str) -> None:
    """A dry run ends with the error of the real run, word for word."""
    told = []
    for dry_run in (True, False):
        with pytest.raises(TransferError) as caught:
            REFUSED[what](rig.engine, rig.folder, dry_run)
        told.append((type(caught.value), caught.value.message, caught.value.subject))
    assert told[0] == told[1]
    assert rig.stored("there") == b"object"


def test_what_is_refused_counts_as_one_that_failed(rig: WriteRig) -> None:
    """However early it is refused: by its destination, or by a folder that is missing."""
    before = rig.engine.progress().failed_objects
    for path in (os.devnull, rig.folder / "missing" / "file"):
        with pytest.raises(TransferError):
            rig.engine.download(URL, path)
    assert rig.engine.progress().failed_objects == before + 2
