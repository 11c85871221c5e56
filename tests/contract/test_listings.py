"""Restores of many objects: listings that lie or break off, checksums that only replies tell, results left waiting."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkhaul.errors import OtherError, TransferError, UnexpectedReply
from bulkhaul.model.objects import Integrity
from tests.engines import assert_nothing_held, running_rig
from tests.faultserver import FlipBit, RawBody, make_object

SMALL = 64 * 1024
BODY = bytes(range(256)) * (SMALL * 3 // 256)

TRUNCATED = (
    b'<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><IsTruncated>true</IsTruncated>'
    b"<Contents><Key>many/000</Key><Size>0</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
    b"</ListBucketResult>"
)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(TRUNCATED, OtherError), (b"<html>welcome</html>", UnexpectedReply)],
    ids=["goes on, but not where", "no listing"],
)
def test_a_listing_that_breaks_off_is_no_success(tmp_path: Path, reply: bytes, kind: type[TransferError]) -> None:
    """What a listing may have left out is an error: fewer objects than there are is never called all of them."""
    with running_rig(tmp_path) as rig:
        rig.server.store.put("bucket", "many/000", make_object(b""))
        rig.server.add_fault(RawBody(body=reply, operation="ListObjectsV2", attempt="every"))
        with pytest.raises(kind):
            list(rig.engine.download_many("s3://bucket/many/", tmp_path / "many"))


@pytest.mark.parametrize("flipped", [False, True], ids=["intact", "one bit flipped"])
def test_a_small_composite_object_is_checked(tmp_path: Path, flipped: bool) -> None:
    """An object that a listing found is checked against its composite checksum like one that was asked for singly."""
    stored = make_object(BODY, algorithm="CRC32C", checksum_type="COMPOSITE", part_size_bytes=SMALL)
    with running_rig(tmp_path) as rig:
        rig.server.store.put("bucket", "many/one", stored)
        if flipped:
            rig.server.add_fault(FlipBit(offset=5, key="many/one", attempt="every"))
        (result,) = rig.engine.download_many("s3://bucket/many/", tmp_path / "many")
        if flipped:
            assert result.failure is not None
            assert result.failure.code == "IntegrityError"
            assert list((tmp_path / "many").iterdir()) == []
        else:
            assert result.integrity is Integrity.CHECKSUM
            assert (tmp_path / "many" / "one").read_bytes() == BODY


def test_waiting_results_hold_back_the_rest(tmp_path: Path) -> None:
    """Results that nobody takes stop the fetching of more, and leaving them all behind ends the restore."""
    with running_rig(tmp_path, concurrency=1) as rig:
        for number in range(700):
            rig.server.store.put("bucket", f"many/{number:04}", make_object(b"x"))
        results = rig.engine.download_many("s3://bucket/many/", tmp_path / "many")
        assert next(results).error is None
        results.close()  # type: ignore[attr-defined] # it is a generator
        assert_nothing_held(rig.engine, tmp_path)
        assert rig.engine.progress().planning_done
