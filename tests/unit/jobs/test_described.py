"""What a job is described by, before a row of it is planned."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from bulkhaul.jobs.describing import described
from bulkhaul.model.errors import UsageError
from bulkhaul.model.settings import Settings


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    """The files of a job are text, so one that they cannot name is refused before anything is written."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    with pytest.raises(UsageError, match="UTF-8"):
        described("s3://bucket/", path)
    with pytest.raises(UsageError, match="UTF-8"):
        described(path, "s3://bucket/")
    with pytest.raises(UsageError, match="UTF-8"):
        described("", "s3://bucket/", manifests=[path])


@pytest.mark.parametrize("setting", ["preserve_times", "preserve_mode", "store_links"])
def test_settings_of_files(setting: str) -> None:
    """They are kept where files may be moved: rows of a manifest may name some; between buckets they are refused."""
    settings = replace(Settings(), **{setting: True})
    uploading = described("", "s3://bucket/", manifests=["/list.jsonl"], settings=settings)
    downloading = described("", "/folder", manifests=["/list.jsonl"], settings=settings)
    assert uploading.settings == downloading.settings == {setting: True}
    for source, manifests in (("s3://one/", []), ("", ["/list.jsonl"])):
        kind, destination = ("delete", "") if manifests else ("copy", "s3://bucket/")
        with pytest.raises(UsageError, match=f"{setting} means nothing for this job"):
            described(source, destination, kind=kind, manifests=manifests, settings=settings)
