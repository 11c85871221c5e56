"""The fault server of bulkhaul.testing: it passes on what a real server replies, and misbehaves as it is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import (
    Engine,
    IntegrityError,
    NetworkError,
    NotFound,
    PreconditionFailed,
    ServerError,
    Throttled,
    TransferError,
)
from bulkhaul.embedded.ports import free_ports
from bulkhaul.testing import (
    EmbeddedServer,
    Fault,
    FaultServer,
    corrupt_byte,
    cut_body,
    embedded_server,
    error_in_200,
    other_etag,
    refusal,
    slow_down,
    stall,
)
from tests.servers.process import RunningServer

MIB = 1024 * 1024
BODY = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A real server with a bucket and an object."""
    with embedded_server() as running:
        with running.engine(workers=1) as engine:
            engine.create_bucket("bucket")
            engine.put_bytes("s3://bucket/key", BODY)
        yield running


@pytest.fixture
def before(server: EmbeddedServer) -> Iterator[FaultServer]:
    """What stands before it."""
    with FaultServer(server.endpoint_url) as faulty:
        yield faulty


@pytest.fixture
def engine(server: EmbeddedServer, before: FaultServer) -> Iterator[Engine]:
    """An engine that tries nothing again, so that each fault is seen."""
    with server.behind(before.endpoint_url).engine(workers=1, retries=0, timeout_s=5.0) as made:
        yield made


def boto3_client(server: EmbeddedServer, endpoint_url: str) -> Any:
    """Return a client of another make."""
    running = RunningServer(endpoint_url, server.access_key, server.secret_key, (), None)  # type: ignore[arg-type]
    return running.client(retries={"total_max_attempts": 1})


def test_it_passes_everything_on(server: EmbeddedServer, before: FaultServer) -> None:
    """What boto3 does through it has the effects and the answers that it has without it; signatures hold."""
    through, direct = boto3_client(server, before.endpoint_url), boto3_client(server, server.endpoint_url)
    through.create_bucket(Bucket="other")
    through.put_object(Bucket="other", Key="a b/ü", Body=BODY, Metadata={"made-by": "hand"})
    assert direct.get_object(Bucket="other", Key="a b/ü")["Body"].read() == BODY
    for client in (through, direct):
        got = client.get_object(Bucket="other", Key="a b/ü", Range="bytes=7-99")
        assert (got["Body"].read(), got["ContentRange"]) == (BODY[7:100], f"bytes 7-99/{len(BODY)}")
        assert client.get_object(Bucket="other", Key="a b/ü")["Body"].read() == BODY
    heads = [client.head_object(Bucket="other", Key="a b/ü") for client in (through, direct)]
    for name in ("ETag", "ContentLength", "Metadata", "LastModified"):
        assert heads[0][name] == heads[1][name]
    assert heads[0]["ContentLength"] == len(BODY)
    upload = through.create_multipart_upload(Bucket="other", Key="large")["UploadId"]
    parts = [b"a" * 5 * MIB, b"end"]
    etags = [
        through.upload_part(Bucket="other", Key="large", UploadId=upload, PartNumber=at, Body=part)["ETag"]
        for at, part in enumerate(parts, 1)
    ]
    known = [{"PartNumber": at, "ETag": etag} for at, etag in enumerate(etags, 1)]
    through.complete_multipart_upload(Bucket="other", Key="large", UploadId=upload, MultipartUpload={"Parts": known})
    assert direct.get_object(Bucket="other", Key="large")["Body"].read() == b"".join(parts)
    through.copy_object(Bucket="other", Key="copy", CopySource={"Bucket": "other", "Key": "a b/ü"})
    listed = [one["Key"] for one in through.list_objects_v2(Bucket="other")["Contents"]]
    assert sorted(listed) == ["a b/ü", "copy", "large"]
    for key in listed:
        through.delete_object(Bucket="other", Key=key)
    with pytest.raises(through.exceptions.NoSuchKey):
        through.get_object(Bucket="other", Key="large")
    through.delete_bucket(Bucket="other")
    with pytest.raises(through.exceptions.ClientError, match="SignatureDoesNotMatch"):
        boto3_client(replace(server, secret_key="wrong"), before.endpoint_url).list_buckets()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (slow_down(operation="GetObject"), Throttled),
        (refusal("InternalError", operation="GetObject"), ServerError),
        (refusal("NoSuchKey", operation="GetObject"), NotFound),
        (cut_body(5000), NetworkError),
        (cut_body(-1), NetworkError),
        (corrupt_byte(len(BODY) - 1), IntegrityError),
    ],
    ids=lambda one: one.kind if isinstance(one, Fault) else one.__name__,
)
def test_a_fault_hits_once_and_is_over(
    engine: Engine, before: FaultServer, fault: Fault, error: type[TransferError]
) -> None:
    """The engine tells what happened; the next read is as always."""
    with before.misbehaving(fault), pytest.raises(error):
        engine.get_bytes("s3://bucket/key")
    assert engine.get_bytes("s3://bucket/key") == BODY


def test_an_error_that_looks_like_a_success(engine: Engine, before: FaultServer) -> None:
    """A copy is not done because the status says so, and there is none then."""
    with before.misbehaving(error_in_200("CopyObject")), pytest.raises(ServerError):
        engine.copy("s3://bucket/key", "s3://bucket/copy")
    assert not engine.exists("s3://bucket/copy")
    engine.copy("s3://bucket/key", "s3://bucket/copy")
    assert engine.get_bytes("s3://bucket/copy") == BODY


def test_an_object_that_seems_replaced(engine: Engine, before: FaultServer, tmp_path: Path) -> None:
    """An ETag that is not that of the HEAD before, however often it is asked for, is a change of the object."""
    with before.misbehaving(other_etag(times=99)), pytest.raises(PreconditionFailed):
        engine.download("s3://bucket/key", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_requests_at_the_same_time_share_the_number(server: EmbeddedServer, before: FaultServer) -> None:
    """Of twelve that are under way together, three are hit."""
    client = boto3_client(server, before.endpoint_url)
    with before.misbehaving(other_etag("other", times=3)), ThreadPoolExecutor(12) as threads:
        replies = threads.map(lambda _: client.get_object(Bucket="bucket", Key="key")["ETag"], range(12))
        assert list(replies).count('"other"') == 3


def test_a_byte_of_the_object(server: EmbeddedServer, before: FaultServer) -> None:
    """It is counted from the object's beginning, whatever range is asked for; a range without it is left alone."""
    client = boto3_client(server, before.endpoint_url)
    with before.misbehaving(corrupt_byte(1150)):
        parts = [
            client.get_object(Bucket="bucket", Key="key", Range=f"bytes={start}-{start + 99}")["Body"].read()
            for start in (1000, 1100)
        ]
    wrong = [at for at, (got, right) in enumerate(zip(b"".join(parts), BODY[1000:1200], strict=True)) if got != right]
    assert wrong == [150]


def test_a_stall_is_waited_for(engine: Engine, before: FaultServer) -> None:
    """A pause in a body is as long as was said, and everything comes."""
    began_s = time.monotonic()
    with before.misbehaving(stall(1.0, after_bytes=1000)):
        assert engine.get_bytes("s3://bucket/key") == BODY
    assert time.monotonic() - began_s >= 1.0


def test_a_number_of_requests(server: EmbeddedServer, before: FaultServer) -> None:
    """The next n requests of an operation for a key are hit, those of others never, and then none."""
    client = boto3_client(server, before.endpoint_url)
    said = []
    with before.misbehaving(slow_down(2, operation="HeadObject", key="k*")):
        for operation, key in [("head", "key"), ("get", "key"), ("head", "other"), ("head", "key"), ("head", "key")]:
            try:
                reply = getattr(client, f"{operation}_object")(Bucket="bucket", Key=key)
            except client.exceptions.ClientError as error:
                reply = error.response
            said.append(reply["ResponseMetadata"]["HTTPStatusCode"])
    assert said == [503, 200, 404, 503, 200]
    assert [one.status for one in before.requests] == said


def test_a_fault_that_hit_nothing_is_told(before: FaultServer) -> None:
    """A test whose fault never struck has proved nothing; the server forgets the fault all the same."""
    with pytest.raises(AssertionError, match="never fired"), before.misbehaving(slow_down()):
        pass
    before.assert_all_fired()


def test_an_error_of_the_block_comes_first(before: FaultServer) -> None:
    """It says more than that a fault did not strike."""
    with pytest.raises(ZeroDivisionError), before.misbehaving(slow_down()):
        raise ZeroDivisionError


def test_nothing_behind_it(server: EmbeddedServer) -> None:
    """A client is told that, and by whom."""
    with free_ports(1) as (port,), FaultServer(f"http://127.0.0.1:{port}") as alone:
        client = boto3_client(server, alone.endpoint_url)
        with pytest.raises(client.exceptions.ClientError, match=rf"BadGateway.*no reply of 127.0.0.1:{port}"):
            client.list_buckets()
