"""Versions of objects in a bucket that keeps them: listed, read, signed for and removed by their ids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from urllib.request import urlopen

import pytest

from bulkhaul import S3Store, VersionInfo
from bulkhaul.errors import NotFound, TransferError
from tests.servers import moto

from .serving import environment


@pytest.fixture
def store() -> Iterator[S3Store]:
    """A store whose bucket keeps versions."""
    with moto() as server:
        client = server.client()
        client.create_bucket(Bucket="bucket")
        client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        url = f"s3+http://127.0.0.1:{server.port}/bucket"
        with environment(server, {}), S3Store.from_url(url, workers=1) as opened:
            yield opened


def test_each_version_is_read_by_its_id(store: S3Store, tmp_path: Path) -> None:
    """By every method that reads; without an id it is the current one."""
    first = store.put_bytes("key", b"first").version_id
    second = store.put_bytes("key", b"second one").version_id
    assert first != second
    assert store.get_bytes("key", version_id=first) == b"first"
    assert store.get_bytes("key") == store.get_bytes("key", version_id=second) == b"second one"
    assert store.get_bytes_range("key", 1, 3, version_id=first) == b"ir"
    assert store.get_bytes_range("key", 3, version_id=first) == b"st"
    assert store.get_bytes_suffix("key", 2, version_id=first) == b"st"
    assert store.get_ranges("key", [(0, 1), (4, 5)], version_id=first) == [b"f", b"t"]
    store.get_to_file("key", tmp_path / "file", version_id=first)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert (store.head("key", version_id=first).size, store.head("key").version_id) == (5, second)
    with urlopen(store.presigned_get_url("key", 60, version_id=first), timeout=30) as answer:  # noqa: S310
        assert answer.read() == b"first"
    store.set_tags("key", {"a": "b"}, version_id=first)
    assert (store.get_tags("key", version_id=first), store.get_tags("key")) == ({"a": "b"}, {})
    assert store.exists("key", version_id=first)


def test_versions_are_listed_and_removed(store: S3Store) -> None:
    """Delete markers are among them; removing one brings the object back, removing a version is for good."""
    first = store.put_bytes("d/key", b"first").version_id
    store.put_bytes("other", b"")
    store.delete("d/key")
    found = list(store.list_versions("d/"))
    assert [(one.key, one.delete_marker, one.latest, one.size) for one in found] == [
        ("d/key", True, True, 0),
        ("d/key", False, False, 5),
    ]
    assert isinstance(found[0], VersionInfo)
    assert found[1].version_id == first
    assert found[1].last_modified is not None
    assert found[1].last_modified.tzinfo == UTC
    with pytest.raises(NotFound):
        store.get_bytes("d/key")
    store.delete("d/key", version_id=found[0].version_id)
    assert store.get_bytes("d/key") == b"first"
    store.delete("d/key", version_id=first)
    assert list(store.list_versions("d/")) == []
    with pytest.raises(TransferError):
        store.get_bytes("d/key", version_id=first)
