"""The benchmarks' distant server: it is as far away as it says, and what it serves is S3."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from bench.distant_server.launch import DistantServer, distant_server
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = "bench"
MIB = 1 << 20
LATENCY_S = 0.1
MB_PER_S = 20
#: What goes ahead of the rate: a quantum, and what is made good after a pause.
AHEAD_BYTES = MIB


def client_of(server: DistantServer) -> Any:
    """Return a boto3 client that never tries again, so that a wrong reply is seen."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        region_name="us-east-1",
        verify=str(server.ca_bundle) if server.ca_bundle else None,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module", params=["plain", "tls"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server without distance that keeps what is uploaded, plain and over TLS."""
    tls_folder: Path | None = tmp_path_factory.mktemp("tls") if request.param == "tls" else None
    options = ["--objects", "25x1KiB", "--objects", "1x4MiB", "--keep", "--latency-ms", "0", "--rate", "0"]
    with distant_server(options, tls_folder=tls_folder) as server:
        yield client_of(server)


@pytest.fixture(scope="module")
def far_client() -> Iterator[Any]:
    """A distant server that keeps nothing."""
    options = ["--objects", "1x4MiB", "--latency-ms", str(LATENCY_S * 1000), "--rate", str(MB_PER_S)]
    with distant_server(options) as server:
        yield client_of(server)


def test_a_reply_begins_after_the_latency(far_client: Any) -> None:
    """However fast the machine, no reply is there before."""
    began_s = time.monotonic()
    far_client.head_object(Bucket=BUCKET, Key="1x4MiB/00000000.bin")
    assert time.monotonic() - began_s >= LATENCY_S


def test_some_replies_are_late() -> None:
    """As many as is asked for: all of them here."""
    with distant_server(["--objects", "1x1KiB", "--latency-ms", "0", "--late-share", "1", "--late", "0.3"]) as server:
        began_s = time.monotonic()
        client_of(server).head_object(Bucket=BUCKET, Key="1x1KiB/00000000.bin")
        assert time.monotonic() - began_s >= 0.3


@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_connection_carries_no_more_than_its_rate(far_client: Any, direction: str) -> None:
    """4 MiB take at least their time in both directions."""
    began_s = time.monotonic()
    if direction == "down":
        far_client.get_object(Bucket=BUCKET, Key="1x4MiB/00000000.bin")["Body"].read()
    else:
        far_client.put_object(Bucket=BUCKET, Key="up", Body=bytes(4 * MIB))
    least_s = LATENCY_S + (4 * MIB - AHEAD_BYTES) / (MB_PER_S * 10**6)
    assert time.monotonic() - began_s >= least_s


def test_the_etag_is_the_md5_of_what_is_served_and_no_two_objects_are_the_same(client: Any) -> None:
    """A benchmark that compares MD5s compares the bytes."""
    bodies = set()
    for number in range(25):
        reply = client.get_object(Bucket=BUCKET, Key=f"25x1KiB/{number:08d}.bin", ChecksumMode="ENABLED")
        body = reply["Body"].read()  # boto3 checks the CRC64NVME
        assert len(body) == 1024
        assert reply["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        assert reply["ChecksumCRC64NVME"]
        bodies.add(body)
    assert len(bodies) == 25


def test_ranges_are_pieces_of_the_object(client: Any) -> None:
    """Every form of a range gives the bytes that the whole object has there."""
    key = "1x4MiB/00000000.bin"
    whole = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    for asked, wanted in {
        "bytes=0-0": whole[:1],
        "bytes=1048577-2097151": whole[1048577:2097152],
        "bytes=-5": whole[-5:],
        "bytes=4194300-": whole[4194300:],
        "bytes=4194300-9999999": whole[4194300:],
    }.items():
        reply = client.get_object(Bucket=BUCKET, Key=key, Range=asked)
        assert reply["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert reply["Body"].read() == wanted
        first = len(whole) - len(wanted) if asked.endswith("-") or "-5" in asked else int(asked[6:].split("-")[0])
        assert reply["ContentRange"] == f"bytes {first}-{first + len(wanted) - 1}/{len(whole)}"
    with pytest.raises(ClientError, match="InvalidRange"):
        client.get_object(Bucket=BUCKET, Key=key, Range="bytes=4194304-")


def test_conditions_are_looked_at(client: Any) -> None:
    """A GET of another version fails, and so does a PUT where something is."""
    key = "25x1KiB/00000000.bin"
    etag = client.head_object(Bucket=BUCKET, Key=key)["ETag"]
    assert client.get_object(Bucket=BUCKET, Key=key, IfMatch=etag)["ETag"] == etag
    for other in ('"0"', '"d41d8cd98f00b204e9800998ecf8427e"'):
        with pytest.raises(ClientError, match="PreconditionFailed"):
            client.get_object(Bucket=BUCKET, Key=key, IfMatch=other)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x", IfNoneMatch="*")


def test_pages_of_a_listing_hold_every_key_once_in_order(client: Any) -> None:
    """Both versions of the listing, whatever the size of pages."""
    wanted = [f"25x1KiB/{number:08d}.bin" for number in range(25)]
    for size in (1, 7, 25, 1000):
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix="25x1KiB/", PaginationConfig={"PageSize": size}
        )
        assert [stored["Key"] for page in pages for stored in page["Contents"]] == wanted
        old_pages = client.get_paginator("list_objects").paginate(
            Bucket=BUCKET, Prefix="25x1KiB/", PaginationConfig={"PageSize": size}
        )
        assert [stored["Key"] for page in old_pages for stored in page["Contents"]] == wanted
    after = client.list_objects_v2(Bucket=BUCKET, Prefix="25x1KiB/", StartAfter=wanted[20])
    assert [stored["Key"] for stored in after["Contents"]] == wanted[21:]
    assert client.list_objects_v2(Bucket=BUCKET, Prefix="nothing").get("Contents") is None


def test_common_prefixes_are_paged_like_keys(client: Any) -> None:
    """With a delimiter each prefix is on exactly one page."""
    for key in ("d/a", "d/b/1", "d/b/2", "d/c", "d/e/1"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"")
    for size in (1, 2, 1000):
        found = []
        for page in client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix="d/", Delimiter="/", PaginationConfig={"PageSize": size}
        ):
            found += [stored["Key"] for stored in page.get("Contents", ())]
            found += [folder["Prefix"] for folder in page.get("CommonPrefixes", ())]
        assert sorted(found) == ["d/a", "d/b/", "d/c", "d/e/"]


def test_what_is_kept_comes_back_whole(client: Any) -> None:
    """Parts in the wrong order too; and what is deleted is gone."""
    data = hashlib.sha256(b"seed").digest() * 300_000
    client.put_object(Bucket=BUCKET, Key="kept", Body=data)
    upload_id = client.create_multipart_upload(Bucket=BUCKET, Key="kept in parts")["UploadId"]
    cut = 5 * MIB
    parts: list[dict[str, Any]] = []
    for number, piece in ((2, data[cut:]), (1, data[:cut])):
        etag = client.upload_part(
            Bucket=BUCKET, Key="kept in parts", UploadId=upload_id, PartNumber=number, Body=piece
        )["ETag"]
        assert etag == f'"{hashlib.md5(piece).hexdigest()}"'
        parts.insert(0, {"PartNumber": number, "ETag": etag})
    completed = client.complete_multipart_upload(
        Bucket=BUCKET, Key="kept in parts", UploadId=upload_id, MultipartUpload={"Parts": parts}
    )
    digests = hashlib.md5(data[:cut]).digest() + hashlib.md5(data[cut:]).digest()
    assert completed["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-2"'
    for key in ("kept", "kept in parts"):
        assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == data
        client.delete_object(Bucket=BUCKET, Key=key)
        with pytest.raises(ClientError, match="404"):
            client.head_object(Bucket=BUCKET, Key=key)
