"""Each fault of a write does what it says, to a bare socket or to boto3, and to the store."""

from __future__ import annotations

import random
from collections.abc import Iterator
from hashlib import md5
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from tests.faultserver import (
    ErrorXmlWith200,
    Etag,
    Fault,
    FaultServer,
    LandLate,
    OnlyWhitespace,
    Status,
    hang_before_head,
    make_object,
    reply_lost,
)
from tests.s3_client import client_for, refused
from tests.wire_client import Wire

BODY = random.Random(4).randbytes(300_000)
ETAG = f'"{md5(BODY).hexdigest()}"'


def serve(*faults: Fault, **options: Any) -> FaultServer:
    """Return a server with an empty bucket, one object to copy, no minimum of a part, and these faults."""
    source = {"bucket/source": make_object(BODY, algorithm="CRC32")}
    return FaultServer(source, faults, min_part_size_bytes=1, **options)


def begin(client: Any, **options: Any) -> dict[str, str]:
    """Return the address of a new upload."""
    upload_id = client.create_multipart_upload(Bucket="bucket", Key="key", **options)["UploadId"]
    return {"Bucket": "bucket", "Key": "key", "UploadId": upload_id}


def completion() -> dict[str, Any]:
    """Return the list of one part that is the body."""
    return {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": ETAG}]}}


def stored(server: FaultServer, key: str = "key") -> bytes | None:
    """Return the bytes of an object, or None."""
    found = server.store.get("bucket", key)
    return None if found is None else found.body


@pytest.fixture
def begun() -> Iterator[tuple[FaultServer, Any, dict[str, str]]]:
    """A server with an upload whose part 1 is the body, and a client."""
    with serve() as server:
        client = client_for(server)
        address = begin(client)
        client.upload_part(**address, PartNumber=1, Body=BODY)
        yield server, client, address
        server.assert_all_fired()


def test_reply_lost() -> None:
    """What was asked has happened although nobody was told; a completion that is repeated finds no upload."""
    lost = ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload"]
    with serve(*(reply_lost(operation=one) for one in lost)) as server:
        client = client_for(server)
        with pytest.raises(ConnectionClosedError):
            client.put_object(Bucket="bucket", Key="lock", Body=b"mine", IfNoneMatch="*")
        assert stored(server, "lock") == b"mine"
        with refused("PreconditionFailed", 412):
            client.put_object(Bucket="bucket", Key="lock", Body=b"mine", IfNoneMatch="*")
        with pytest.raises(ConnectionClosedError):
            begin(client)
        (orphan,) = client.list_multipart_uploads(Bucket="bucket")["Uploads"]
        address = {"Bucket": "bucket", "Key": "key", "UploadId": orphan["UploadId"]}
        with pytest.raises(ConnectionClosedError):
            client.upload_part(**address, PartNumber=1, Body=BODY)
        assert [one["ETag"] for one in client.list_parts(**address)["Parts"]] == [ETAG]
        with pytest.raises(ConnectionClosedError):
            client.complete_multipart_upload(**address, **completion())
        assert stored(server) == BODY
        with refused("NoSuchUpload", 404):
            client.complete_multipart_upload(**address, **completion())
        address = begin(client)
        with pytest.raises(ConnectionClosedError):
            client.abort_multipart_upload(**address)
        assert server.store.uploads.pending("bucket") == []
        server.assert_all_fired()


def test_hang_before_the_reply() -> None:
    """The part has landed, no reply comes, and the connection stays open."""
    with serve(hang_before_head(operation="UploadPart", part=7)) as server:
        client = client_for(server)
        address = begin(client)
        with Wire(server) as wire:
            wire.head("PUT", f"/bucket/key?partNumber=7&uploadId={address['UploadId'].replace('+', '%2B')}", 3)
            wire.send(b"123")
            server.wait_for(lambda one: one.requests[-1].status == 200)
            wire.send_until_stuck(b"", timeout_s=0.1)
            with pytest.raises(TimeoutError):
                wire.reply()
        assert [one["PartNumber"] for one in client.list_parts(**address)["Parts"]] == [7]
        server.assert_all_fired()


@pytest.mark.parametrize(("etag", "seen"), [("other", '"other"'), (None, None)])
def test_wrong_or_missing_etag(begun: tuple[FaultServer, Any, dict[str, str]], etag: str | None, seen: str) -> None:
    """The reply to a write tells another ETag, or none: in its head, or in its document."""
    server, client, address = begun
    for operation in ("PutObject", "UploadPart", "CopyObject", "UploadPartCopy", "CompleteMultipartUpload"):
        server.add_fault(Etag(etag=etag, operation=operation, attempt="every", key="key"))
    source = {"CopySource": "bucket/source"}
    assert client.put_object(Bucket="bucket", Key="key", Body=BODY).get("ETag") == seen
    assert client.upload_part(**address, PartNumber=2, Body=BODY).get("ETag") == seen
    copied = client.copy_object(Bucket="bucket", Key="key", **source)["CopyObjectResult"]
    part = client.upload_part_copy(**address, PartNumber=1, **source)["CopyPartResult"]
    done = client.complete_multipart_upload(**address, **completion())
    assert [one.get("ETag") for one in (copied, part, done)] == [seen] * 3
    assert (stored(server), client.head_object(Bucket="bucket", Key="key")["ETag"][-3:]) == (BODY, '-1"')


@pytest.mark.parametrize("applied", [False, True])
def test_error_in_a_200(begun: tuple[FaultServer, Any, dict[str, str]], applied: bool) -> None:
    """Complete and copies answer 200 with an error document, before or after their effect."""
    server, client, address = begun
    for operation in ("CompleteMultipartUpload", "CopyObject", "UploadPartCopy"):
        server.add_fault(ErrorXmlWith200(code="SlowDown", operation=operation, applied=applied))
    source = {"CopySource": "bucket/source"}
    with refused("SlowDown", 500):
        client.copy_object(Bucket="bucket", Key="copy", **source)
    with refused("SlowDown", 500):
        client.upload_part_copy(**address, PartNumber=2, **source)
    assert (stored(server, "copy"), len(client.list_parts(**address)["Parts"])) == ((BODY, 2) if applied else (None, 1))
    with refused("SlowDown", 500):
        client.complete_multipart_upload(**address, **completion())
    assert [one.status for one in server.requests_for("CompleteMultipartUpload")] == [200]
    assert (stored(server), server.store.uploads.is_pending(address["UploadId"])) == (
        (BODY, False) if applied else (None, True)
    )


def test_whitespace_on_complete(begun: tuple[FaultServer, Any, dict[str, str]]) -> None:
    """A completion answers 200 with spaces alone, or with spaces before its document."""
    server, client, address = begun
    server.add_fault(OnlyWhitespace(count=5))
    with Wire(server) as wire:
        etag = ETAG.replace('"', "&quot;")
        document = (
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        ).encode()
        wire.head("POST", f"/bucket/key?uploadId={address['UploadId'].replace('+', '%2B')}", len(document))
        wire.send(document)
        status, text = wire.reply()
    assert (status, text.partition(b"\r\n\r\n")[2], stored(server)) == (200, b" " * 5, BODY)
    server.add_fault(OnlyWhitespace(document=True, key="copy", operation="CopyObject"))
    copied = client.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/source")
    assert copied["CopyObjectResult"]["ETag"] == ETAG


def test_errors_for_ever_and_errors_in_spite_of_success() -> None:
    """A service that always fails stores nothing; one that fails after the effect has stored it."""
    forever = Status(code="InternalError", operation="PutObject", key="a*", attempt="every")
    late = Status(code="InternalError", operation="PutObject", key="b", applied=True)
    with serve(forever, late) as server:
        client = client_for(server)
        for _ in range(3):
            with refused("InternalError", 500):
                client.put_object(Bucket="bucket", Key="a1", Body=BODY)
        with refused("InternalError", 500):
            client.put_object(Bucket="bucket", Key="b", Body=BODY)
        assert (server.fired(forever), stored(server, "a1"), stored(server, "b")) == (3, None, BODY)


def test_part_that_lands_after_the_abort() -> None:
    """The upload is back with the late part alone until it is aborted again."""
    with serve(LandLate(part=2)) as server:
        client = client_for(server)
        address = begin(client)
        client.upload_part(**address, PartNumber=1, Body=BODY)
        with Wire(server) as wire:
            wire.head("PUT", f"/bucket/key?partNumber=2&uploadId={address['UploadId'].replace('+', '%2B')}", 3)
            wire.send(b"123")
            server.wait_for(lambda one: one.requests[-1].bytes_received == 3)
            assert [one["PartNumber"] for one in client.list_parts(**address)["Parts"]] == [1]
            client.abort_multipart_upload(**address)
            assert wire.reply()[0] == 200
            assert [one["PartNumber"] for one in client.list_parts(**address)["Parts"]] == [2]
        client.abort_multipart_upload(**address)
        with refused("NoSuchUpload", 404):
            client.list_parts(**address)
        server.assert_all_fired()


def test_part_of_a_dead_client_lands_all_the_same() -> None:
    """Whoever sent the late part need not be there any more."""
    with serve(LandLate()) as server:
        client = client_for(server)
        address = begin(client)
        with Wire(server) as wire:
            wire.head("PUT", f"/bucket/key?partNumber=1&uploadId={address['UploadId'].replace('+', '%2B')}", 3)
            wire.send(b"123")
            server.wait_for(lambda one: one.requests[-1].bytes_received == 3)
        client.abort_multipart_upload(**address)
        server.wait_for(lambda one: one.requests[1].status == 200)
        assert [one["Size"] for one in client.list_parts(**address)["Parts"]] == [3]


def test_address_of_a_part() -> None:
    """A fault hits its part and attempt alone, in whatever order the parts come."""
    second = Status(code="SlowDown", operation="UploadPart", key="key", part=3, attempt=2)
    with serve(second) as server:
        client = client_for(server)
        address = begin(client)
        for number in (3, 1, 2, 1):
            client.upload_part(**address, PartNumber=number, Body=b"x")
        with refused("SlowDown", 503):
            client.upload_part(**address, PartNumber=3, Body=b"x")
        client.upload_part(**address, PartNumber=3, Body=b"x")
        assert [(one.part, one.attempt) for one in server.requests_for("UploadPart", "key")] == [
            (3, 1), (1, 1), (2, 1), (1, 2), (3, 2), (3, 3),
        ]  # fmt: skip
        assert server.fired(second) == 1
