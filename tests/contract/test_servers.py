"""The real servers start, answer, agree with the fault server's objects, and go away."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from bulkhaul.embedded import ports
from bulkhaul.embedded.ports import free_ports
from bulkhaul.errors import OtherError
from tests.engines import descendants, is_alive
from tests.faultserver import MIB, make_object
from tests.faultserver.objects import Algorithm, ChecksumType
from tests.servers import (
    RunningServer,
    make_certificates,
    ministack,
    moto,
    nginx_files,
    nginx_proxy,
    rclone,
    weed,
)
from tests.servers.process import running

BODY = random.Random(3).randbytes(5 * MIB + 1000)
KEY = "dir/a b+c/ü"


@pytest.fixture(scope="module")
def seaweed() -> Iterator[RunningServer]:
    """A SeaweedFS with an empty bucket."""
    with weed() as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


def upload_in_parts(server: RunningServer, algorithm: Algorithm, checksum_type: ChecksumType) -> None:
    """Upload BODY as two parts."""
    client = server.client()
    names = {"Bucket": "bucket", "Key": KEY}
    upload = client.create_multipart_upload(**names, ChecksumAlgorithm=algorithm, ChecksumType=checksum_type)[
        "UploadId"
    ]
    parts = []
    for number, body in enumerate((BODY[: 5 * MIB], BODY[5 * MIB :]), start=1):
        sent = client.upload_part(**names, UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        checksum = f"Checksum{algorithm}"
        parts.append({"PartNumber": number, "ETag": sent["ETag"], checksum: sent[checksum]})
    client.complete_multipart_upload(
        **names, UploadId=upload, ChecksumType=checksum_type, MultipartUpload={"Parts": parts}
    )


@pytest.mark.parametrize(("algorithm", "checksum_type"), [("CRC32C", "COMPOSITE"), ("CRC64NVME", "FULL_OBJECT")])
def test_weed_agrees_with_our_objects(
    seaweed: RunningServer, algorithm: Algorithm, checksum_type: ChecksumType
) -> None:
    """A multipart upload to weed gets the ETag and checksum that make_object computes."""
    client = seaweed.client()
    upload_in_parts(seaweed, algorithm, checksum_type)
    expected = make_object(BODY, algorithm=algorithm, checksum_type=checksum_type, part_size_bytes=5 * MIB)
    head = client.head_object(Bucket="bucket", Key=KEY, ChecksumMode="ENABLED")
    assert head["ETag"] == f'"{expected.etag}"'
    assert (head["ChecksumType"], head[f"Checksum{algorithm}"]) == (
        checksum_type,
        expected.checksums[algorithm],
    )
    part = client.get_object(Bucket="bucket", Key=KEY, Range="bytes=5242870-5242889")
    assert part["Body"].read() == BODY[5242870:5242890]


def test_weed_enforces_signatures(seaweed: RunningServer) -> None:
    """A wrong secret is refused, so tests of credentials mean something."""
    stranger = RunningServer(seaweed.endpoint_url, seaweed.access_key, "wrong", (), seaweed.folder)
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.client().list_objects_v2(Bucket="bucket")


def test_nginx_with_tls_before_weed(seaweed: RunningServer, tmp_path: Path) -> None:
    """Signed requests for odd keys survive the proxy, with TLS that the client verifies."""
    seaweed.client().put_object(Bucket="bucket", Key=KEY, Body=BODY)
    with nginx_proxy(seaweed, certificates=make_certificates(tmp_path)) as server:
        assert server.endpoint_url.startswith("https://")
        reply = server.client().get_object(Bucket="bucket", Key=KEY, Range="bytes=1000-1999")
        assert reply["Body"].read() == BODY[1000:2000]
        assert server.client().list_objects_v2(Bucket="bucket", Prefix="dir/a b+")["KeyCount"] == 1
        (process_id,) = server.process_ids
        assert is_alive(process_id)
    assert not is_alive(process_id)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_nginx_files(secure: bool, tmp_path: Path) -> None:
    """A folder is a bucket: ranges and If-Match work as in S3."""
    (tmp_path / "root" / "bucket").mkdir(parents=True)
    (tmp_path / "root" / "bucket" / "key").write_bytes(BODY)
    certificates = make_certificates(tmp_path) if secure else None
    with nginx_files(tmp_path / "root", certificates=certificates) as server:
        client = server.client()
        head = client.head_object(Bucket="bucket", Key="key")
        reply = client.get_object(Bucket="bucket", Key="key", Range="bytes=-9", IfMatch=head["ETag"])
        assert (head["ContentLength"], reply["Body"].read()) == (len(BODY), BODY[-9:])
        with pytest.raises(ClientError, match="412"):
            client.get_object(Bucket="bucket", Key="key", IfMatch='"other"')


def test_moto() -> None:
    """moto answers as another judge of our objects, and is gone afterwards."""
    with moto() as server:
        client = server.client()
        client.create_bucket(Bucket="bucket")
        upload_in_parts(server, "CRC32", "COMPOSITE")
        expected = make_object(BODY, algorithm="CRC32", checksum_type="COMPOSITE", part_size_bytes=5 * MIB)
        head = client.head_object(Bucket="bucket", Key=KEY, ChecksumMode="ENABLED")
        assert (head["ETag"], head["ContentLength"]) == (f'"{expected.etag}"', len(BODY))
    assert not any(map(is_alive, server.process_ids))
    assert not server.folder.exists()


def test_ministack() -> None:
    """ministack agrees with our objects, lists in the order of bytes, keeps odd keys, and is gone afterwards."""
    with ministack() as server:
        client = server.client()
        client.create_bucket(Bucket="bucket")
        upload_in_parts(server, "CRC32", "COMPOSITE")
        expected = make_object(BODY, algorithm="CRC32", checksum_type="COMPOSITE", part_size_bytes=5 * MIB)
        head = client.head_object(Bucket="bucket", Key=KEY, ChecksumMode="ENABLED")
        assert (head["ETag"], head["ChecksumCRC32"]) == (f'"{expected.etag}"', expected.checksums["CRC32"])
        for key in ("a//b", "a/b", "a", "../x", "a/"):
            client.put_object(Bucket="bucket", Key=key, Body=key.encode())
        listed = [entry["Key"] for entry in client.list_objects_v2(Bucket="bucket")["Contents"]]
        assert listed == ["../x", "a", "a/", "a//b", "a/b", KEY]
        with pytest.raises(ClientError, match="PreconditionFailed"):
            client.put_object(Bucket="bucket", Key="a", Body=b"", IfNoneMatch="*")
    assert not any(map(is_alive, server.process_ids))
    assert not server.folder.exists()


def test_rclone_is_rude() -> None:
    """rclone stores and gives back, refuses a wrong secret, and is as rude as its tests need it to be."""
    with rclone() as server:
        client = server.client(response_checksum_validation="when_required")
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="key", Body=BODY)
        assert client.get_object(Bucket="bucket", Key="key")["Body"].read() == BODY
        reply = client.get_object(Bucket="bucket", Key="key", Range="bytes=0-9")
        assert reply["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert client.get_object(Bucket="bucket", Key="key", IfMatch='"other"')["Body"].read() == BODY
        client.put_object(Bucket="bucket", Key="key", Body=b"second", IfNoneMatch="*")
        assert client.head_object(Bucket="bucket", Key="key")["ContentLength"] == 6
        stranger = RunningServer(server.endpoint_url, server.access_key, "wrong", (), server.folder)
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            stranger.client().list_objects_v2(Bucket="bucket")
    assert not any(map(is_alive, server.process_ids))
    assert not server.folder.exists()


def test_environment_has_only_the_servers_credentials(seaweed: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program started with the server's environment cannot pick up other AWS settings."""
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "mine")
    environment = seaweed.environment()
    assert "mine" not in environment.values()
    assert environment["AWS_ACCESS_KEY_ID"] == seaweed.access_key


def test_a_server_that_ends_shows_its_output(tmp_path: Path) -> None:
    """A start that fails says so at once, with what the program printed."""
    command = [sys.executable, "-c", "print('no such disk'); raise SystemExit(3)"]
    with (
        pytest.raises(AssertionError, match=r"(?s)ended with 3.*no such disk"),
        running(command, folder=tmp_path, ready=lambda: False),
    ):
        raise AssertionError("it was never ready")


def test_a_server_that_is_never_ready_is_killed(tmp_path: Path) -> None:
    """A start that hangs fails at its deadline and leaves no process."""
    before, seen = set(descendants()), set[int]()

    def ready() -> bool:
        seen.update(set(descendants()) - before)
        return False

    with (
        pytest.raises(AssertionError, match="not ready within"),
        running([sys.executable, "-c", "import time; time.sleep(3600)"], folder=tmp_path, ready=ready, deadline_s=0.5),
    ):
        raise AssertionError("it was never ready")
    assert seen
    assert not any(map(is_alive, seen))


def test_free_ports_differ() -> None:
    """Ports are distinct, and so are their partners."""
    with free_ports(20, offsets=(0, 10000)) as found:
        assert len(set(found)) == 20
        assert all(port + 10000 < 32768 for port in found)


def test_a_free_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port is its server's own before that listens: nobody else is given it, until it is given back."""
    with free_ports(1) as (port,):
        monkeypatch.setattr(ports, "PORTS", range(port, port + 1))
        with pytest.raises(OtherError, match="no 1 free ports"), free_ports(1):
            raise ZeroDivisionError
    with free_ports(1) as again:
        assert again == [port]
