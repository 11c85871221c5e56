"""What a job is described by, before a row of it is planned."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bulkhaul.jobs.describing import described
from bulkhaul.model.errors import UsageError


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    """The files of a job are text, so one that they cannot name is refused before anything is written."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    with pytest.raises(UsageError, match="UTF-8"):
        described("s3://bucket/", path)
    with pytest.raises(UsageError, match="UTF-8"):
        described(path, "s3://bucket/")
    with pytest.raises(UsageError, match="UTF-8"):
        described("", "s3://bucket/", manifests=[path])
