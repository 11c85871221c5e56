"""The fault server's multipart uploads without faults, with boto3 as the independent judge."""

from __future__ import annotations

import random
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import md5
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.faultserver import Credentials, FaultServer, generated_object, make_object
from tests.s3_client import ACCESS_KEY, MIN_PART_SIZE_BYTES, SECRET_KEY, client_for, crc, refused

BODY = random.Random(3).randbytes(200_000)
PARTS = [BODY[:60_000], BODY[60_000:120_000], BODY[120_000:120_007]]
WHOLE = b"".join(PARTS)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that asks for signatures, with one bucket and an object to copy."""
    credentials = Credentials(ACCESS_KEY, SECRET_KEY)
    source = make_object(BODY, algorithm="CRC32C", metadata={"a": "b"})
    with FaultServer(
        {"bucket/source/a b+c": source}, credentials=credentials, min_part_size_bytes=MIN_PART_SIZE_BYTES
    ) as running:
        yield running
        assert running.protocol_errors == []


def begin(client: Any, key: str = "key", **options: object) -> str:
    """Return the id of a new upload."""
    upload_id: str = client.create_multipart_upload(Bucket="bucket", Key=key, **options)["UploadId"]
    return upload_id


def upload(client: Any, upload_id: str, algorithm: str | None = None, key: str = "key") -> list[dict[str, Any]]:
    """Upload all parts, and return what a completion names."""
    named: list[dict[str, Any]] = []
    for number, body in enumerate(PARTS, 1):
        sent = {} if algorithm is None else {f"Checksum{algorithm}": crc(algorithm, body)}
        address = {"Bucket": "bucket", "Key": key, "UploadId": upload_id, "PartNumber": number}
        reply = client.upload_part(**address, Body=body, **sent)
        assert {name: reply.get(name) for name in sent} == sent
        assert reply["ETag"] == f'"{md5(body).hexdigest()}"'
        named.append({"PartNumber": number, "ETag": reply["ETag"], **sent})
    return named


def complete(client: Any, upload_id: str, named: list[dict[str, Any]], key: str = "key", **options: object) -> Any:
    """Complete an upload of these parts."""
    parts = {"Parts": named}
    return client.complete_multipart_upload(
        Bucket="bucket", Key=key, UploadId=upload_id, MultipartUpload=parts, **options
    )


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        (None, None),
        ("CRC64NVME", "FULL_OBJECT"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC32C", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_multipart(server: FaultServer, algorithm: str | None, kind: str | None) -> None:
    """Parts become the object, with the ETag and the checksum that S3 computes for its type."""
    client = client_for(server)
    options = {} if algorithm is None else {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    created = client.create_multipart_upload(Bucket="bucket", Key="key", Metadata={"m": "1"}, **options)
    assert {name: created.get(name) for name in options} == options
    named = upload(client, created["UploadId"], algorithm)
    kept = algorithm or "CRC64NVME"
    whole = crc(kept, WHOLE)
    if kind == "COMPOSITE":
        digests = b"".join(b64decode(crc(kept, body)) for body in PARTS)
        whole = f"{crc(kept, digests)}-3"
    sent = {} if kind != "FULL_OBJECT" else {f"Checksum{kept}": whole}
    done = complete(client, created["UploadId"], named, MpuObjectSize=len(WHOLE), **sent)
    etag = f'"{md5(b"".join(md5(body).digest() for body in PARTS)).hexdigest()}-3"'
    assert (done["ETag"], done[f"Checksum{kept}"], done["ChecksumType"]) == (etag, whole, kind or "FULL_OBJECT")
    reply = client.get_object(Bucket="bucket", Key="key", ChecksumMode="ENABLED")
    assert (reply["Body"].read(), reply["Metadata"], reply[f"Checksum{kept}"]) == (WHOLE, {"m": "1"}, whole)
    second = client.get_object(Bucket="bucket", Key="key", PartNumber=2)
    assert (second["Body"].read(), second["PartsCount"]) == (PARTS[1], 3)
    with refused("NoSuchUpload", 404):
        complete(client, created["UploadId"], named)


def test_default_multipart_of_boto3(server: FaultServer) -> None:
    """The transfers of boto3 with its default checksums pass as they are."""
    client = client_for(server, calculate="when_supported")
    upload_id = begin(client)
    named = []
    for number, body in enumerate(PARTS, 1):
        reply = client.upload_part(Bucket="bucket", Key="key", UploadId=upload_id, PartNumber=number, Body=body)
        sent = {name: reply[name] for name in ("ETag", "ChecksumCRC32")}
        assert sent["ChecksumCRC32"] == b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        named.append({"PartNumber": number, **sent})
    complete(client, upload_id, named)
    assert server.store.get("bucket", "key").body == WHOLE  # type: ignore[union-attr]


def test_part_checksums_must_suit_the_upload(server: FaultServer) -> None:
    """A part's checksum is the upload's: required if composite, optional if of the full object, any if none."""
    client = client_for(server)
    part = {"Bucket": "bucket", "Key": "key", "PartNumber": 1, "Body": b"x"}
    with_none, full, composite = (
        begin(client),
        begin(client, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"),
        begin(client, ChecksumAlgorithm="CRC32"),
    )
    assert client.upload_part(**part, UploadId=with_none, ChecksumCRC32=crc("CRC32", b"x"))["ChecksumCRC32"]
    with refused("BadDigest", 400):
        client.upload_part(**part, UploadId=with_none, ChecksumCRC32=crc("CRC32", b"y"))
    with refused("InvalidRequest", 400):
        client.upload_part(**part, UploadId=full, ChecksumCRC32C=crc("CRC32C", b"x"))
    with refused("InvalidRequest", 400):
        client.upload_part(**part, UploadId=composite)
    with refused("BadDigest", 400):
        client.upload_part(**part, UploadId=full, ChecksumCRC32=crc("CRC32", b"y"))
    assert "ChecksumCRC32" not in client.upload_part(**part, UploadId=full)
    (listed,) = client.list_parts(Bucket="bucket", Key="key", UploadId=full)["Parts"]
    assert (listed["PartNumber"], listed["ChecksumCRC32"]) == (1, crc("CRC32", b"x"))
    with refused("InvalidRequest", 400):
        begin(client, ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT")
    with refused("InvalidRequest", 400):
        begin(client, ChecksumAlgorithm="CRC64NVME", ChecksumType="COMPOSITE")


def test_completion_is_checked(server: FaultServer) -> None:
    """Whatever does not fit is refused with S3's own code, and the upload stays."""
    client = client_for(server)
    options = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
    upload_id = begin(client, **options)
    named = upload(client, upload_id, "CRC32")
    with refused("InvalidPartOrder", 400):
        complete(client, upload_id, named[::-1])
    with refused("InvalidPart", 400):
        complete(client, upload_id, [*named, {"PartNumber": 4, "ETag": "x"}])
    with refused("InvalidPart", 400):
        complete(client, upload_id, [{**named[0], "ETag": named[1]["ETag"]}, *named[1:]])
    with refused("InvalidPart", 400):
        complete(client, upload_id, [{**named[0], "ChecksumCRC32": "AAAAAA=="}, *named[1:]])
    with refused("MalformedXML", 400):
        complete(client, upload_id, [])
    with refused("InvalidRequest", 400):
        complete(client, upload_id, named, MpuObjectSize=len(WHOLE) + 1)
    with refused("BadDigest", 400):
        complete(client, upload_id, named, ChecksumCRC32="AAAAAA==")
    with refused("BadDigest", 400):
        complete(client, upload_id, named, ChecksumType="COMPOSITE")
    server.store.put("bucket", "key", make_object(b"there already"))
    with refused("PreconditionFailed", 412):
        complete(client, upload_id, named, IfNoneMatch="*")
    with refused("NoSuchUpload", 404):
        complete(client, "other", named)
    with refused("NoSuchUpload", 404):
        complete(client, upload_id, named, key="other")
    client.upload_part(Bucket="bucket", Key="key", UploadId=upload_id, PartNumber=9, Body=b"not named")
    complete(
        client, upload_id, named, ChecksumCRC32=crc("CRC32", WHOLE), IfMatch=f'"{md5(b"there already").hexdigest()}"'
    )
    assert server.store.get("bucket", "key").body == WHOLE  # type: ignore[union-attr]
    composite = begin(client, ChecksumAlgorithm="CRC32")
    named = upload(client, composite, "CRC32")
    with refused("InvalidRequest", 400):
        complete(client, composite, [{"PartNumber": one["PartNumber"], "ETag": one["ETag"]} for one in named])
    with refused("InvalidPartOrder", 400):
        complete(client, composite, named[1:])


def test_small_parts(server: FaultServer) -> None:
    """Every part but the last must have the minimum size; a part that came twice counts as its last."""
    client = client_for(server)
    upload_id = begin(client)
    part = {"Bucket": "bucket", "Key": "key", "UploadId": upload_id}
    small = client.upload_part(**part, PartNumber=1, Body=b"x" * (MIN_PART_SIZE_BYTES - 1))["ETag"]
    last = client.upload_part(**part, PartNumber=5, Body=b"")["ETag"]
    with refused("EntityTooSmall", 400):
        complete(client, upload_id, [{"PartNumber": 1, "ETag": small}, {"PartNumber": 5, "ETag": last}])
    large = client.upload_part(**part, PartNumber=1, Body=b"y" * MIN_PART_SIZE_BYTES)["ETag"]
    with refused("InvalidPart", 400):
        complete(client, upload_id, [{"PartNumber": 1, "ETag": small}])
    complete(client, upload_id, [{"PartNumber": 1, "ETag": large}, {"PartNumber": 5, "ETag": last}])
    assert server.store.get("bucket", "key").body == b"y" * MIN_PART_SIZE_BYTES  # type: ignore[union-attr]
    for number in (0, 10_001):
        with refused("InvalidArgument", 400):
            client.upload_part(**part, PartNumber=number, Body=b"x")


def test_pages_of_parts(server: FaultServer) -> None:
    """Pages of any size add up to every part by number, with size, ETag and checksum."""
    client = client_for(server)
    upload_id = begin(client, ChecksumAlgorithm="CRC32C")
    numbers = [10_000, 3, 7, 1, 2]
    for number in numbers:
        client.upload_part(Bucket="bucket", Key="key", UploadId=upload_id, PartNumber=number, Body=b"%d" % number,
                           ChecksumCRC32C=crc("CRC32C", b"%d" % number))  # fmt: skip
    pages = client.get_paginator("list_parts")
    for size in (1, 2, 1000):
        settings = {"PageSize": size}
        got = list(pages.paginate(Bucket="bucket", Key="key", UploadId=upload_id, PaginationConfig=settings))
        parts = [part for page in got for part in page["Parts"]]
        assert [part["PartNumber"] for part in parts] == sorted(numbers)
        assert parts[0]["ChecksumCRC32C"] == crc("CRC32C", b"1")
        assert (parts[-1]["Size"], parts[-1]["ETag"]) == (5, f'"{md5(b"10000").hexdigest()}"')
        assert len(got) == -(-len(numbers) // size)
    assert (got[0]["ChecksumAlgorithm"], got[0]["ChecksumType"]) == ("CRC32C", "COMPOSITE")


def test_pages_of_uploads(server: FaultServer) -> None:
    """Pages of any size add up to every upload by key and age, odd keys included."""
    client = client_for(server)
    keys = sorted(["a", "a", "a+b c", "b/\x01", "b/ü", "c&<"], key=str.encode)
    ids = [server.store.uploads.begin("bucket", key).upload_id for key in keys]
    for size in (1, 2, 1000):
        found: list[tuple[str, str]] = []
        markers: dict[str, str] = {}
        while True:
            page = client.list_multipart_uploads(Bucket="bucket", MaxUploads=size, EncodingType="url", **markers)
            found += [(unquote_plus(one["Key"]), one["UploadId"]) for one in page.get("Uploads", [])]
            if not page["IsTruncated"]:
                break
            markers = {"KeyMarker": unquote_plus(page["NextKeyMarker"]), "UploadIdMarker": page["NextUploadIdMarker"]}
        assert found == list(zip(keys, ids, strict=True))
    folded = client.list_multipart_uploads(Bucket="bucket", Prefix="", Delimiter="/", EncodingType="url")
    assert [one["Prefix"] for one in folded["CommonPrefixes"]] == ["b/"]
    alone = client.list_multipart_uploads(Bucket="bucket", KeyMarker="a", EncodingType="url")["Uploads"]
    assert [one["UploadId"] for one in alone] == ids[2:]
    below = client.list_multipart_uploads(Bucket="bucket", Prefix="a+")["Uploads"]
    assert [one["UploadId"] for one in below] == [ids[2]]
    client.abort_multipart_upload(Bucket="bucket", Key="a", UploadId=ids[0])
    assert len(client.list_multipart_uploads(Bucket="bucket", EncodingType="url")["Uploads"]) == 5
    with refused("NoSuchUpload", 404):
        client.abort_multipart_upload(Bucket="bucket", Key="a", UploadId=ids[0])
    with refused("NoSuchUpload", 404):
        client.list_parts(Bucket="bucket", Key="a", UploadId=ids[0])
    with refused("NoSuchUpload", 404):
        client.upload_part(Bucket="bucket", Key="a", UploadId=ids[0], PartNumber=1, Body=b"late")


def test_upload_part_copy(server: FaultServer) -> None:
    """Parts copied from ranges become the object; a changed source or a range outside is refused."""
    client = client_for(server)
    source = {"Bucket": "bucket", "Key": "source/a b+c"}
    etag = client.head_object(**source)["ETag"]
    upload_id = begin(client, ChecksumAlgorithm="CRC64NVME")
    part = {"Bucket": "bucket", "Key": "key", "UploadId": upload_id, "CopySource": source}
    named = []
    for number, (first, last) in enumerate([(0, 99_999), (100_000, 199_999)], 1):
        reply = client.upload_part_copy(
            **part, PartNumber=number, CopySourceRange=f"bytes={first}-{last}", CopySourceIfMatch=etag
        )["CopyPartResult"]
        assert reply["ETag"] == f'"{md5(BODY[first : last + 1]).hexdigest()}"'
        assert reply["ChecksumCRC64NVME"] == crc("CRC64NVME", BODY[first : last + 1])
        named.append({"PartNumber": number, "ETag": reply["ETag"]})
    with refused("PreconditionFailed", 412):
        client.upload_part_copy(**part, PartNumber=3, CopySourceIfMatch='"other"')
    for wrong in ("bytes=0-200000", "bytes=5-", "bytes=5-4"):
        with refused("InvalidArgument", 400):
            client.upload_part_copy(**part, PartNumber=3, CopySourceRange=wrong)
    assert complete(client, upload_id, named)["ChecksumCRC64NVME"] == crc("CRC64NVME", BODY)
    assert server.store.get("bucket", "key").body == BODY  # type: ignore[union-attr]
    server.store.put("bucket", "giant", generated_object(6 * 2**30))
    with refused("InvalidRequest", 400):
        client.copy_object(Bucket="bucket", Key="key", CopySource="bucket/giant")
    upload_id = begin(client)
    part = {"Bucket": "bucket", "Key": "key", "UploadId": upload_id, "CopySource": "bucket/giant"}
    with refused("InvalidRequest", 400):
        client.upload_part_copy(**part, PartNumber=1)


def test_uploads_are_recorded(server: FaultServer) -> None:
    """A part is known by its number, its upload and its attempt, with headers and the length that came."""
    client = client_for(server)
    first, second = begin(client), begin(client)
    for upload_id, number in ((first, 7), (first, 2), (second, 7)):
        client.upload_part(Bucket="bucket", Key="key", UploadId=upload_id, PartNumber=number, Body=b"x" * number)
    server.wait_for(lambda one: one.requests[-1].finished_s is not None)
    seen = server.requests_for("UploadPart", "key")
    assert [(one.upload_id, one.part, one.part_number, one.attempt) for one in seen] == [
        (first, 7, 7, 1),
        (first, 2, 2, 1),
        (second, 7, 7, 2),
    ]
    assert [(one.body_size_bytes, one.bytes_received) for one in seen] == [(7, 7), (2, 2), (7, 7)]
    assert seen[0].headers["content-length"] == "7"
