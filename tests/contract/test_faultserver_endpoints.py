"""Endpoints that are not quite S3: modes that hold for every request."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import pytest
from botocore.exceptions import ClientError

from tests.faultserver import (
    Credentials,
    FaultServer,
    IgnoreChecksums,
    IgnoreHeader,
    NoChecksumTypes,
    RefuseChecksums,
    ignore_if_none_match,
)
from tests.s3_client import ACCESS_KEY, SECRET_KEY, client_for, crc, refused

PLACE = {"Bucket": "bucket", "Key": "key"}


@pytest.mark.parametrize(("code", "status"), [("InvalidArgument", 400), ("NotImplemented", 501)])
def test_checksums_refused(code: Literal["InvalidArgument", "NotImplemented"], status: int) -> None:
    """Any request with a header about checksums is refused, and all others pass."""
    mode = RefuseChecksums(code=code)
    with FaultServer(buckets=["bucket"], faults=[mode]) as server:
        client = client_for(server, calculate="when_supported")
        for _ in range(2):
            with refused(code, status):
                client.put_object(**PLACE, Body=b"1")
        with refused(code, status):
            client.create_multipart_upload(**PLACE, ChecksumAlgorithm="CRC32C")
        upload = client.create_multipart_upload(**PLACE)["UploadId"]
        with refused(code, status):
            client.upload_part(**PLACE, UploadId=upload, PartNumber=1, Body=b"1")
        assert server.fired(mode) == 4
        plain = client_for(server)
        plain.put_object(**PLACE, Body=b"1")
        part = plain.upload_part(**PLACE, UploadId=upload, PartNumber=1, Body=b"12")
        named = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        plain.complete_multipart_upload(**PLACE, UploadId=upload, MultipartUpload=named)
        assert plain.get_object(**PLACE, ChecksumMode="ENABLED")["Body"].read() == b"12"
        assert server.fired(mode) == 4


def told(reply: dict[str, Any]) -> list[str]:
    """Return what a reply tells about checksums."""
    return [name for name in reply if name.startswith("Checksum")]


def test_checksums_ignored() -> None:
    """Wrong checksums pass, and no reply tells any."""
    mode = IgnoreChecksums()
    with FaultServer(buckets=["bucket"], faults=[mode]) as server:
        client = client_for(server)
        assert told(client.put_object(**PLACE, Body=b"1", ChecksumCRC32=crc("CRC32", b"2"))) == []
        assert told(client.head_object(**PLACE, ChecksumMode="ENABLED")) == []
        assert told(client.list_objects_v2(Bucket="bucket")["Contents"][0]) == []
        created = client.create_multipart_upload(**PLACE, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
        upload = {**PLACE, "UploadId": created["UploadId"]}
        sent = {"ChecksumCRC64NVME": crc("CRC64NVME", b"other")}
        part = client.upload_part(**upload, PartNumber=1, Body=b"12", **sent)
        parts = client.list_parts(**upload)
        named = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        done = client.complete_multipart_upload(**upload, MultipartUpload=named, **sent)
        for reply in (created, part, parts, parts["Parts"][0], done):
            assert told(reply) == []
        assert client.get_object(**PLACE)["Body"].read() == b"12"
        assert server.fired(mode) == len(server.requests) - 1


@pytest.mark.parametrize("echo", [True, False])
def test_no_checksum_types(*, echo: bool) -> None:
    """The type that is asked for has no effect, and none is told: CRC32 becomes a checksum of checksums."""
    with FaultServer(buckets=["bucket"], faults=[NoChecksumTypes(echo=echo)]) as server:
        client = client_for(server)
        created = client.create_multipart_upload(**PLACE, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
        assert told(created) == (["ChecksumAlgorithm"] if echo else [])
        upload = {**PLACE, "UploadId": created["UploadId"]}
        part = client.upload_part(**upload, PartNumber=1, Body=b"12", ChecksumCRC32=crc("CRC32", b"12"))
        bare: dict[str, Any] = {"PartNumber": 1, "ETag": part["ETag"]}
        with pytest.raises(ClientError, match="must include the checksum for each part"):
            client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [bare]})
        named = {**bare, "ChecksumCRC32": part["ChecksumCRC32"]}
        done = client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [named]})
        assert "ChecksumType" not in done
        assert done["ChecksumCRC32"].endswith("-1")


def test_if_none_match_ignored() -> None:
    """What exists is overwritten by PUT and by Complete, although neither was to."""
    mode = ignore_if_none_match()
    with FaultServer({"bucket/key": b"there"}, [mode]) as server:
        client = client_for(server)
        client.put_object(**PLACE, Body=b"1", IfNoneMatch="*")
        assert client.get_object(**PLACE)["Body"].read() == b"1"
        upload = {**PLACE, "UploadId": client.create_multipart_upload(**PLACE)["UploadId"]}
        part = client.upload_part(**upload, PartNumber=1, Body=b"2")
        named = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(**upload, MultipartUpload=named, IfNoneMatch="*")
        assert client.get_object(**PLACE)["Body"].read() == b"2"
        assert server.fired(mode) == 2


def test_any_header_ignored() -> None:
    """A copy ignores its condition where the endpoint does not know that header."""
    mode = IgnoreHeader(name="x-amz-copy-source-if-*")
    with FaultServer({"bucket/source": b"1"}, [mode]) as server:
        client = client_for(server)
        client.copy_object(**PLACE, CopySource="bucket/source", CopySourceIfMatch='"other"')
        assert client.get_object(**PLACE)["Body"].read() == b"1"
        server.assert_all_fired()


@pytest.mark.parametrize("credentials", [None, Credentials(ACCESS_KEY, SECRET_KEY)], ids=["anybody", "signed"])
def test_clock_of_the_endpoint(credentials: Credentials | None) -> None:
    """An endpoint whose clock is far off refuses what is signed now, and tells its time; a little is fine."""
    with FaultServer({"bucket/key": b"1"}, credentials=credentials, clock_offset_s=-7200) as server:
        with refused("RequestTimeTooSkewed", 403):
            client_for(server).put_object(**PLACE, Body=b"2")
        got = server.store.get("bucket", "key")
        assert got is not None
        assert got.body == b"1"
    with FaultServer({"bucket/key": b"1"}, credentials=credentials, clock_offset_s=600) as server:
        reply = client_for(server).get_object(**PLACE)
        assert reply["Body"].read() == b"1"
        ahead_s = parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp() - time.time()
        assert 590 < ahead_s <= 600
