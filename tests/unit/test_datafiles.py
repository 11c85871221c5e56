"""The quick reader of the SDK's data files gives what botocore's own gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.loaders import Loader

from bulkhaul.wire.sdk.datafiles import QuickLoader


@pytest.mark.parametrize("service", ["s3", "sts", "sso"])
@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1"])
def test_a_model_is_the_same(service: str, kind: str) -> None:
    """Every service that is used is loaded to equal content, in equal order."""
    ours, theirs = (loader.load_service_model(service, kind) for loader in (QuickLoader(None), Loader()))
    assert ours == theirs
    assert list(ours) == list(theirs)


def test_other_data_is_the_same() -> None:
    """So are the files that belong to no service."""
    for name in ("endpoints", "partitions", "sdk-default-configuration"):
        assert QuickLoader(None).load_data(name) == Loader().load_data(name)


def test_every_service_is_known() -> None:
    """No service that botocore knows is missing."""
    assert set(Loader().list_available_services("service-2")) <= set(
        QuickLoader(None).list_available_services("service-2")
    )


def test_a_home_that_nobody_knows_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path of AWS_DATA_PATH below an unknown home is left out; it is never looked for below the current folder."""
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "models") in QuickLoader(f"~nobody-of-this-name/models:{tmp_path}/models").search_paths
    assert not [path for path in QuickLoader("~nobody-of-this-name/models").search_paths if path.startswith("~nobody")]
