"""The fault server without faults, with boto3 as the independent judge."""

from __future__ import annotations

import random
import socket
import time
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, FlexibleChecksumError, ResponseStreamingError

from tests.faultserver import (
    GIB,
    MIB,
    Credentials,
    FaultServer,
    FlipBit,
    Stall,
    StoredObject,
    generated_object,
    make_object,
)
from tests.faultserver.objects import Algorithm
from tests.patience import SOON_S
from tests.servers import Certificates, make_certificates

BODY = random.Random(1).randbytes(300_000)
ACCESS_KEY, SECRET_KEY = "access", "secret"
ALGORITHMS: tuple[Algorithm, ...] = ("CRC32", "CRC32C", "CRC64NVME", "SHA256")


def client_for(
    server: FaultServer,
    *,
    secret: str = SECRET_KEY,
    token: str | None = None,
    verify: Path | None = None,
    style: str = "path",
    signature_version: object = None,
) -> Any:
    """Return a boto3 client for the server that makes one attempt."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=secret,
        aws_session_token=token,
        region_name="us-east-1",
        verify=None if verify is None else str(verify),
        config=Config(
            s3={"addressing_style": style},
            retries={"total_max_attempts": 1},
            signature_version=signature_version,
        ),
    )


@contextmanager
def refused(code: str) -> Iterator[None]:
    """Expect boto3 to raise the S3 error ``code``."""
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and a server certificate."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("asked", "expected", "content_range"),
    [
        ("bytes=0-0", BODY[:1], "bytes 0-0/300000"),
        ("bytes=100000-199999", BODY[100_000:200_000], "bytes 100000-199999/300000"),
        ("bytes=299999-400000", BODY[299_999:], "bytes 299999-299999/300000"),
        ("bytes=200000-", BODY[200_000:], "bytes 200000-299999/300000"),
        ("bytes=-5", BODY[-5:], "bytes 299995-299999/300000"),
        ("bytes=-400000", BODY, "bytes 0-299999/300000"),
    ],
)
def test_ranges(asked: str, expected: bytes, content_range: str) -> None:
    """A range is answered by 206, the exact Content-Range and the exact bytes."""
    with FaultServer({"bucket/key": BODY}) as server:
        reply = client_for(server).get_object(Bucket="bucket", Key="key", Range=asked)
        assert reply["Body"].read() == expected
        assert reply["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert reply["ContentRange"] == content_range
        assert server.protocol_errors == []


@pytest.mark.parametrize("asked", ["bytes=5-3", "bytes=x-", "bytes=-", "bytes=0-1,3-4", "lines=1-2"])
def test_unusable_range_is_ignored(asked: str) -> None:
    """A range that S3 cannot read is answered by 200 and everything."""
    with FaultServer({"bucket/key": BODY}) as server:
        reply = client_for(server).get_object(Bucket="bucket", Key="key", Range=asked)
        assert (reply["ResponseMetadata"]["HTTPStatusCode"], reply["Body"].read()) == (200, BODY)


def test_refusals() -> None:
    """Missing things, unmet conditions and ranges past the end get S3's own codes."""
    with FaultServer({"bucket/key": BODY, "bucket/empty": b""}) as server:
        client = client_for(server)
        with refused("NoSuchKey"):
            client.get_object(Bucket="bucket", Key="none")
        with refused("404"):
            client.head_object(Bucket="bucket", Key="none")
        with refused("NoSuchBucket"):
            client.list_objects_v2(Bucket="none")
        with refused("PreconditionFailed"):
            client.get_object(Bucket="bucket", Key="key", IfMatch='"other"')
        with refused("InvalidRange"):
            client.get_object(Bucket="bucket", Key="key", Range="bytes=300000-")
        with refused("InvalidRange"):
            client.get_object(Bucket="bucket", Key="empty", Range="bytes=0-0")
        with refused("404"):
            client.head_bucket(Bucket="none")
        with refused("NotImplemented"):
            client.get_object_acl(Bucket="bucket", Key="key")
        with refused("NotImplemented"):
            client.get_bucket_location(Bucket="bucket")
        assert client.head_bucket(Bucket="bucket")["ResponseMetadata"]["HTTPStatusCode"] == 200
        etag = client.head_object(Bucket="bucket", Key="key")["ETag"]
        assert client.get_object(Bucket="bucket", Key="key", IfMatch=etag)["Body"].read() == BODY


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_full_object_checksum(algorithm: Algorithm) -> None:
    """boto3 verifies the checksum of a whole GET, and objects as soon as one bit is wrong."""
    flip = FlipBit(offset=123_456, attempt=2)
    with FaultServer({"bucket/key": make_object(BODY, algorithm=algorithm)}, [flip]) as server:
        client = client_for(server)
        head = client.head_object(Bucket="bucket", Key="key", ChecksumMode="ENABLED")
        whole = client.get_object(Bucket="bucket", Key="key")
        assert head["ChecksumType"] == "FULL_OBJECT"
        assert whole["Body"].read() == BODY
        assert whole[f"Checksum{algorithm}"] == head[f"Checksum{algorithm}"]
        assert f"Checksum{algorithm}" not in client.head_object(Bucket="bucket", Key="key")
        with pytest.raises(FlexibleChecksumError):
            client.get_object(Bucket="bucket", Key="key")["Body"].read()
        server.assert_all_fired()


def test_composite_checksum_and_part_map() -> None:
    """A multipart object tells its parts, page by page, with checksums that zlib agrees with."""
    stored = make_object(BODY, algorithm="CRC32", checksum_type="COMPOSITE", part_size_bytes=100_001)
    spans = [BODY[0:100_001], BODY[100_001:200_002], BODY[200_002:]]
    expected = [zlib.crc32(one).to_bytes(4, "big") for one in spans]
    with FaultServer({"bucket/key": stored}) as server:
        client = client_for(server)
        wanted = ["ETag", "Checksum", "ObjectParts", "ObjectSize", "StorageClass"]
        first = client.get_object_attributes(Bucket="bucket", Key="key", ObjectAttributes=wanted, MaxParts=2)
        rest = client.get_object_attributes(
            Bucket="bucket",
            Key="key",
            ObjectAttributes=wanted,
            PartNumberMarker=first["ObjectParts"]["NextPartNumberMarker"],
        )
    parts = first["ObjectParts"]["Parts"] + rest["ObjectParts"]["Parts"]
    whole = b64encode(zlib.crc32(b"".join(expected)).to_bytes(4, "big")).decode() + "-3"
    assert [part["ChecksumCRC32"] for part in parts] == [b64encode(one).decode() for one in expected]
    assert [(part["PartNumber"], part["Size"]) for part in parts] == [(1, 100_001), (2, 100_001), (3, 99_998)]
    assert first["ObjectParts"]["IsTruncated"]
    assert not rest["ObjectParts"]["IsTruncated"]
    assert first["ObjectParts"]["TotalPartsCount"] == 3
    assert first["Checksum"] == {"ChecksumCRC32": whole, "ChecksumType": "COMPOSITE"}
    assert (first["ETag"], first["ObjectSize"]) == (stored.etag, 300_000)
    assert stored.etag.endswith("-3")


def test_get_and_head_by_part_number() -> None:
    """A part number answers 206 with that part, the count of parts, and the part's checksum."""
    stored = make_object(BODY, algorithm="CRC64NVME", part_sizes=(250_000, 50_000))
    with FaultServer({"bucket/key": stored, "bucket/plain": BODY}) as server:
        client = client_for(server)
        head = client.head_object(Bucket="bucket", Key="key", PartNumber=2)
        part = client.get_object(Bucket="bucket", Key="key", PartNumber=2)
        assert (head["ContentLength"], head["PartsCount"]) == (50_000, 2)
        assert part["ContentRange"] == "bytes 250000-299999/300000"
        assert part["Body"].read() == BODY[250_000:]
        assert part["ChecksumCRC64NVME"] == stored.part_checksums["CRC64NVME"][1]
        plain = client.get_object(Bucket="bucket", Key="plain", PartNumber=1)
        assert (plain["Body"].read(), "PartsCount" in plain) == (BODY, False)
        with refused("InvalidPartNumber"):
            client.get_object(Bucket="bucket", Key="key", PartNumber=3)
        assert [one.part_number for one in server.requests_for("GetObject", "key")] == [2, 3]


def test_listing_pages() -> None:
    """Pages of any size add up to every key in UTF-8 byte order, odd keys included."""
    odd = ["a b", "a+b", "a%2Fb", "a&<>\"'", "a\x01b", "ä", "\ue000", "\U0001f600", "../x", "a//b", "a/"]
    keys = sorted([*odd, *(f"n/{number:03d}" for number in range(25))], key=str.encode)
    with FaultServer({f"bucket/{key}": b"1" for key in keys}) as server:
        pages = client_for(server).get_paginator("list_objects_v2")
        for size in (1, 7, 1000):
            got = list(pages.paginate(Bucket="bucket", PaginationConfig={"PageSize": size}))
            assert [entry["Key"] for page in got for entry in page["Contents"]] == keys
        for key in odd:
            assert client_for(server).get_object(Bucket="bucket", Key=key)["Body"].read() == b"1"


def test_listing_folds_at_the_delimiter() -> None:
    """Common prefixes come once, count as one entry, and carry on over pages."""
    keys = ["a", "b/1", "b/2", "b/c/3", "c", "d/4"]
    with FaultServer({f"bucket/x/{key}": b"1" for key in keys}) as server:
        pages = client_for(server).get_paginator("list_objects_v2")
        for size in (1, 2, 1000):
            settings = {"PageSize": size}
            got = list(pages.paginate(Bucket="bucket", Prefix="x/", Delimiter="/", PaginationConfig=settings))
            assert [e["Key"] for page in got for e in page.get("Contents", [])] == ["x/a", "x/c"]
            folded = [e["Prefix"] for page in got for e in page.get("CommonPrefixes", [])]
            assert folded == ["x/b/", "x/d/"]
            assert len(got) == -(-4 // size)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_put_object(secure: bool, certificates: Certificates) -> None:
    """What boto3 puts, plainly or aws-chunked, comes back without the framing."""
    tls = certificates.server_context() if secure else None
    with FaultServer(buckets=["bucket"], tls=tls, credentials=Credentials(ACCESS_KEY, SECRET_KEY)) as server:
        client = client_for(server, verify=certificates.ca_bundle)
        client.put_object(Bucket="bucket", Key="key", Body=BODY, Metadata={"a": "b"}, ChecksumAlgorithm="CRC32")
        reply = client.get_object(Bucket="bucket", Key="key")
        assert (reply["Body"].read(), reply["Metadata"]) == (BODY, {"a": "b"})
        assert "ContentEncoding" not in reply
        with refused("BadDigest"):
            client.put_object(Bucket="bucket", Key="key", Body=b"x", ChecksumCRC32="AAAAAA==")
        client.delete_object(Bucket="bucket", Key="key")
        assert server.store.get("bucket", "key") is None


def test_signatures() -> None:
    """Only requests that are signed right pass, for odd keys and queries as well."""
    credentials = Credentials(ACCESS_KEY, SECRET_KEY)
    key = "dir/a b+c~d=e&f/ü//../(x)*!'"
    with FaultServer({f"bucket/{key}": BODY}, credentials=credentials) as server:
        client = client_for(server)
        assert client.get_object(Bucket="bucket", Key=key, Range="bytes=0-4")["Body"].read() == BODY[:5]
        assert client.list_objects_v2(Bucket="bucket", Prefix="dir/a b+", StartAfter="a=b")["KeyCount"] == 1
        with refused("SignatureDoesNotMatch"):
            client_for(server, secret="wrong").get_object(Bucket="bucket", Key=key)
        with refused("AccessDenied"):
            client_for(server, signature_version=UNSIGNED).get_object(Bucket="bucket", Key=key)


def test_session_tokens() -> None:
    """A token that is not known is invalid, and one that was expired on the way says so."""
    credentials = Credentials(ACCESS_KEY, SECRET_KEY, accept_tokens=["one"])
    with FaultServer({"bucket/key": BODY}, credentials=credentials) as server:
        client = client_for(server, token="one")
        assert client.get_object(Bucket="bucket", Key="key")["Body"].read() == BODY
        with refused("InvalidToken"):
            client_for(server).get_object(Bucket="bucket", Key="key")
        credentials.expire("one")
        credentials.accept("two")
        with refused("ExpiredToken"):
            client.get_object(Bucket="bucket", Key="key")
        assert client_for(server, token="two").get_object(Bucket="bucket", Key="key")["Body"].read() == BODY


def test_virtual_hosted_style(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket in the host name is found, with a signature over that very host."""
    resolve = socket.getaddrinfo
    resolve_here = lambda _host, *rest, **more: resolve("127.0.0.1", *rest, **more)  # noqa: E731
    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)
    with FaultServer({"bucket/key": BODY}, host="localhost", credentials=Credentials(ACCESS_KEY, SECRET_KEY)) as server:
        client = client_for(server, style="virtual")
        assert client.get_object(Bucket="bucket", Key="key")["Body"].read() == BODY
        (request,) = server.requests
    assert request.headers["host"] == f"bucket.localhost:{server.port}"
    assert (request.bucket, request.key) == ("bucket", "key")


def test_generated_object_needs_no_memory() -> None:
    """100 GiB answer like any object, deep inside too, and differ from part to part."""
    stored = generated_object(100 * GIB, part_size_bytes=64 * MIB)
    with FaultServer({"bucket/key": stored}) as server:
        client = client_for(server)
        head = client.head_object(Bucket="bucket", Key="key", PartNumber=1600)
        assert (head["ContentLength"], head["PartsCount"]) == (64 * MIB, 1600)
        deep = client.get_object(Bucket="bucket", Key="key", Range=f"bytes={99 * GIB}-{99 * GIB + 3 * MIB - 1}")
        assert deep["Body"].read() == bytes(stored.content.read(99 * GIB, 99 * GIB + 3 * MIB))
    assert stored.content.read(0, MIB) != stored.content.read(MIB, 2 * MIB)


def test_requests_are_recorded() -> None:
    """Every request is kept in order, with its part, its attempt and what was sent."""
    with FaultServer({"bucket/key": BODY}) as server:
        client = client_for(server)
        client.head_object(Bucket="bucket", Key="key")
        for asked in ("bytes=0-99", "bytes=100-199", "bytes=150-199"):
            client.get_object(Bucket="bucket", Key="key", Range=asked)["Body"].read()
        server.wait_for(lambda one: one.requests[-1].finished_s is not None)
        head, *gets = server.requests
    assert (head.operation, head.range, head.bytes_sent) == ("HeadObject", None, 0)
    assert [(one.range, one.part, one.attempt, one.bytes_sent) for one in gets] == [
        ((0, 100), 1, 1, 100),
        ((100, 200), 2, 1, 100),
        ((150, 200), 2, 2, 50),
    ]
    assert {one.connection_id for one in gets} == {0}
    assert server.max_in_flight == 1


def test_stops_promptly_with_stalled_connections() -> None:
    """Leaving the block closes connections that a fault holds open."""
    with FaultServer({"bucket/key": BODY}, [Stall(after_bytes=10, attempt="every")]) as server:
        stalled = [client_for(server).get_object(Bucket="bucket", Key="key")["Body"] for _ in range(5)]
        left_s = time.monotonic()
    assert time.monotonic() - left_s < SOON_S
    for body in stalled:
        with closing(body), pytest.raises(ResponseStreamingError):
            body.read()


def test_part_sizes_must_add_up() -> None:
    """An object whose parts are not its size cannot be made."""
    with pytest.raises(ValueError, match="add up to 3"):
        make_object(b"1234", part_sizes=(1, 2))
    with pytest.raises(ValueError, match="needs parts"):
        make_object(b"1234", algorithm="CRC32", checksum_type="COMPOSITE")
    assert isinstance(make_object(b"", part_size_bytes=5), StoredObject)
