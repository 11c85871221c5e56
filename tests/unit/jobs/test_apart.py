"""A job is never about the files that account for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bulkhaul import jobs
from bulkhaul.jobs.apart import require_apart
from bulkhaul.jobs.describing import described
from bulkhaul.jobs.sync_options import SyncOptions
from bulkhaul.model.errors import UsageError
from bulkhaul.model.settings import Settings


def made(source: str, destination: str = "", **more: Any) -> Any:
    """Describe a copy, or a deletion where there is no destination."""
    return described(source, destination, kind="copy" if destination else "delete", **more)


IN_SOURCE = [
    ("s3://b/p/job", made("s3://b/p/")),
    ("s3://b/p/job", made("s3://b", "s3://c")),
    ("s3://b/p/job", made("s3://b/p/j*", "/to")),
    ("s3://b/p/job/", made("s3://b/p/job/plan")),
    ("s3://b/p/job", made("s3://b/p", include=["*.gz"])),
    ("/data/job", made("/data", "s3://b/p")),
    ("/data", made("/data", "s3://b/p", exclude=["*.json"])),
    ("/data", described("/data", "s3://b/p", kind="sync", sync=SyncOptions(exclude=("*.json",)))),
]


@pytest.mark.parametrize(("job", "description"), IN_SOURCE, ids=range(len(IN_SOURCE)))
def test_in_its_source(job: str, description: Any) -> None:
    """A deletion would delete its own plan, and a copy the file that says that it runs."""
    with pytest.raises(UsageError, match="lies in its source"):
        require_apart(job, description)


COMPARED = [
    ("/data/job", described("/data", "/other", kind="verify")),
    ("/data/job", described("/other", "/data", kind="verify")),
    ("s3://b/p/job", described("/data", "s3://b/p/", kind="verify")),
    ("s3://b/p/job", described("s3://c", "s3://b/p/", kind="verify", origin=Settings(region="eu-west-1"))),
]


@pytest.mark.parametrize(("job", "description"), COMPARED, ids=range(len(COMPARED)))
def test_in_a_place_that_is_compared(job: str, description: Any) -> None:
    """Its files would be names that one of the places has."""
    with pytest.raises(UsageError, match="lies in one of its places"):
        require_apart(job, description)


IN_DESTINATION = [
    ("/data/job", made("s3://b/p", "/data")),
    ("/data", made("s3://b/p", "/data/done")),
    ("s3://b/p/job", made("/data", "s3://b/p")),
    ("s3://b/p/job", made("s3://c", "s3://b")),
    ("s3://b/p/job", made("s3://b", "s3://b/p", origin=Settings(region="eu-west-1"))),
    ("/data/job", made("", "/data", manifests=["list"])),
]


@pytest.mark.parametrize(("job", "description"), IN_DESTINATION, ids=range(len(IN_DESTINATION)))
def test_in_its_destination(job: str, description: Any) -> None:
    """An object with the name of one of the job's files would take its place, and its word."""
    with pytest.raises(UsageError, match="lies in its destination"):
        require_apart(job, description)


def synced(source: str, **more: Any) -> Any:
    """Describe a sync, which has filters of its own."""
    return described(source, "s3://b/p", kind="sync", sync=SyncOptions(**more))


APART = [
    ("/data/job", synced("/data", exclude=("job/*",))),
    ("/data/job", synced("/data", include=("*.csv",))),
    ("/data/job", described("/data", "/other", kind="verify", exclude=["job/*"])),
    ("s3://b/job", described("s3://b", "s3://c", kind="verify", origin=Settings(region="eu-west-1"))),
    ("s3://b/job", made("s3://b/p/")),
    ("s3://b/p-job", made("s3://b/p")),
    ("s3://b/job", made("s3://b/*.csv")),
    ("s3://b/p/job", made("s3://b/p", exclude=["job/*"])),
    ("s3://b/p/job", made("s3://b/p", "/to", origin=Settings(region="eu-west-1"))),
    ("s3://c/p/job", made("s3://b/p")),
    ("/data/job", made("s3://b/p", "/data/job/to")),
    ("/data-job", made("s3://b/p", "/data")),
    ("/data/job", made("/data", "s3://b/p", exclude=["job/*"])),
]


@pytest.mark.parametrize(("job", "description"), APART, ids=range(len(APART)))
def test_apart(job: str, description: Any) -> None:
    """What is not selected may lie anywhere."""
    require_apart(job, description)


def test_nothing_is_made_in_a_folder_that_is_part_of_the_job(tmp_path: Path) -> None:
    """A link into the destination is the destination; the folder is not even made."""
    (tmp_path / "to").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "to")
    with pytest.raises(UsageError, match="lies in its destination"):
        jobs.create_job(tmp_path / "link" / "job", "s3://b/p", tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []
