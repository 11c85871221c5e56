"""Control operations that write: what they send, and what they make of friendly and unfriendly replies."""

from __future__ import annotations

import base64
import hashlib
import pickle
import socket
import threading

import pytest

from bulkhaul.errors import (
    Archived,
    EndpointRedirect,
    OtherError,
    ServerError,
    TransferError,
    UnexpectedReply,
    UsageError,
)
from bulkhaul.model.settings import Timeouts
from bulkhaul.model.writing import (
    CopySource,
    Doomed,
    ObjectOptions,
    UploadedPart,
)
from bulkhaul.wire.sdk.buckets import bucket_region, create_bucket
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.copy_object import copy_object, copy_part
from bulkhaul.wire.sdk.delete_objects import delete_object, delete_objects
from bulkhaul.wire.sdk.head_object import head_object
from bulkhaul.wire.sdk.list_objects import list_page
from bulkhaul.wire.sdk.multipart_upload import abort_upload, complete_upload, create_upload, list_parts
from bulkhaul.wire.sdk.object_tags import set_object_tags
from bulkhaul.wire.values import Credentials
from tests.unit.canned import Canned, Operation
from tests.unit.test_sdk_client import settings

KEY = "dir/a b+c/ü%41"
PATH = "/bucket/dir/a%20b%2Bc/%C3%BC%2541"
SSE_C_KEY = b"0123456789abcdef0123456789abcdef"
PARTS = (UploadedPart(1, 5, '"a"', "AAAAAA=="), UploadedPart(2, 2, '"b"', "BBBBBB=="))


def create(sdk: SdkClient) -> object:
    """Begin an upload."""
    return create_upload(sdk, "bucket", KEY, ObjectOptions(), algorithm="CRC32", token="nonce")


def complete(sdk: SdkClient, algorithm: str = "CRC32") -> object:
    """Complete an upload of PARTS."""
    return complete_upload(
        sdk, "bucket", KEY, "id", PARTS, size_bytes=7, algorithm=algorithm, checksum="CCCCCC=="
    )  # fmt: skip


def copy_a_part(sdk: SdkClient) -> object:
    """Copy a part from a version of an object with an ETag."""
    return copy_part(
        sdk, "bucket", "k", "id", 3, CopySource("from", KEY, '"e"', "v1"),
        start=10, end=20,
    )  # fmt: skip


def copy(sdk: SdkClient, options: ObjectOptions | None = None) -> object:
    """Copy an object."""
    return copy_object(sdk, "bucket", "k", CopySource("from", KEY, '"e"'), options=options)


def delete(sdk: SdkClient) -> object:
    """Delete two keys at once."""
    return delete_objects(sdk, "bucket", [Doomed("a"), Doomed("b", "v2")])


def delete_one(sdk: SdkClient) -> object:
    """Delete one key."""
    return delete_objects(sdk, "bucket", [Doomed("a")])


def tag(sdk: SdkClient) -> object:
    """Give an object a tag."""
    set_object_tags(sdk, "bucket", "k", "", {"a": "b"})
    return None


def make_bucket(sdk: SdkClient) -> object:
    """Make a bucket."""
    create_bucket(sdk, "bucket", "")
    return None


COPIED = '<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>'

# Both clients


@pytest.mark.parametrize("operation", [complete, copy, copy_a_part, delete], ids=lambda one: one.__name__)
def test_writes_are_waited_for(operation: Operation) -> None:
    """What takes a service long goes through the client that waits ``ack_s``, a question through that of ``read_s``."""
    canned = Canned((500, ""), timeouts=Timeouts(read_s=7.0, ack_s=70.0))
    used: list[object] = []
    canned.sdk.client.meta.events.register("before-send.s3", lambda **_: used.append("client"))
    canned.sdk.patient.meta.events.register("before-send.s3", lambda **_: used.append("patient"))
    with pytest.raises(ServerError):
        operation(canned.sdk)
    with pytest.raises(ServerError):
        head_object(canned.sdk, "bucket", "k")
    assert used == ["patient", "client"]
    assert canned.sdk.patient.meta.config.read_timeout == 70.0
    assert canned.sdk.client.meta.config.read_timeout == 7.0


@pytest.mark.parametrize("operation", [create, delete_one, tag, make_bucket], ids=lambda one: one.__name__)
def test_writes_that_are_answered_at_once(operation: Operation) -> None:
    """No service has to work for these: they wait ``read_s``, as questions do."""
    canned = Canned((500, ""), timeouts=Timeouts(read_s=7.0, ack_s=70.0))
    used: list[object] = []
    canned.sdk.client.meta.events.register("before-send.s3", lambda **_: used.append("client"))
    canned.sdk.patient.meta.events.register("before-send.s3", lambda **_: used.append("patient"))
    with pytest.raises(ServerError):
        operation(canned.sdk)
    assert used == ["client"]


def test_the_patient_client_is_made_once() -> None:
    """Threads that ask for it at once get the same one, and credentials that came before and after are its own."""
    canned = Canned((200, COPIED))
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(canned.sdk.patient)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(one) for one in found}) == 1
    for access_key in ("AKIDEXAMPLE", "AKIDRENEWED"):
        canned.sdk.use(Credentials(access_key, "secret"))
        copy(canned.sdk)
        assert f"Credential={access_key}/" in canned.sent[-1].headers["authorization"]
    target = canned.sdk.target("bucket", "k")
    assert (target.host, target.path_prefix, target.fast) == ("127.0.0.1", "/bucket/", True)


def test_the_patient_client_is_tuned() -> None:
    """Redirects are refused, sockets have timers and interim replies are passed over there too."""
    canned = Canned((307, ""), headers={"location": "http://127.0.0.1:9/bucket/k"})
    with pytest.raises(EndpointRedirect):
        copy(canned.sdk)
    assert len(canned.sent) == 1
    sessions = [client._endpoint.http_session for client in (canned.sdk.client, canned.sdk.patient)]
    for session in sessions:
        assert (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30) in session._socket_options
        assert {pool.__module__ for pool in session._pool_classes_by_scheme.values()} == {
            "bulkhaul.wire.sdk.connections"
        }


def test_an_idle_client_closes_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections of either client are dropped when neither was used for long."""
    canned = Canned((200, COPIED))
    closed: list[str] = []
    monkeypatch.setattr(canned.sdk.client, "close", lambda: closed.append("client"))
    monkeypatch.setattr(canned.sdk.patient, "close", lambda: closed.append("patient"))
    canned.sdk.last_used_s -= 100
    copy(canned.sdk)
    canned.sdk.close_if_idle(50)
    assert closed == []
    canned.sdk.last_used_s -= 100
    canned.sdk.close_if_idle(50)
    assert closed == ["client", "patient"]


# What the settings add

ASKS: dict[str, Operation] = {
    "HeadObject": lambda sdk: head_object(sdk, "bucket", "k"),
    "ListParts": lambda sdk: list_parts(sdk, "bucket", "k", "id", 0),
    "CreateMultipartUpload": create,
    "CompleteMultipartUpload": complete,
    "UploadPartCopy": copy_a_part,
    "CopyObject": copy,
    "GetObjectAttributes": lambda sdk: sdk.client.get_object_attributes(
        Bucket="bucket", Key="k", ObjectAttributes=["ObjectParts"]
    ),
    "ListObjectsV2": lambda sdk: list_page(sdk, "bucket", "", ""),
    "DeleteObjects": delete,
    "DeleteObject": lambda sdk: delete_object(sdk, "bucket", "k", ""),
    "AbortMultipartUpload": lambda sdk: abort_upload(sdk, "bucket", "k", "id"),
    "HeadBucket": lambda sdk: bucket_region(sdk, "bucket"),
}

#: Operations whose documented request has the headers. Source: S3 API Reference.
ENCRYPTED = set(list(ASKS)[:7])
COPIES = {"UploadPartCopy", "CopyObject"}


@pytest.mark.parametrize("operation", ASKS)
def test_settings_reach_every_operation_that_takes_them(operation: str) -> None:
    """The payer and the customer's key go with each request that has a place for them, and with no other."""
    canned = Canned((599, ""), request_payer=True, sse_c_key=SSE_C_KEY)
    with pytest.raises(Exception, match="599"):
        ASKS[operation](canned.sdk)
    headers = canned.sent[0].headers
    key, digest = base64.b64encode(SSE_C_KEY).decode(), base64.b64encode(hashlib.md5(SSE_C_KEY).digest()).decode()
    expected = {} if operation == "HeadBucket" else {"x-amz-request-payer": "requester"}
    prefixes = ["x-amz-"] * (operation in ENCRYPTED) + ["x-amz-copy-source-"] * (operation in COPIES)
    for prefix in (f"{prefix}server-side-encryption-customer-" for prefix in prefixes):
        expected |= {f"{prefix}algorithm": "AES256", f"{prefix}key": key, f"{prefix}key-md5": digest}
    assert {name: value for name, value in headers.items() if "customer" in name or "payer" in name} == expected


def test_settings_that_say_nothing_add_nothing() -> None:
    """Without a payer and a key no request names them."""
    canned = Canned((200, COPIED))
    copy(canned.sdk)
    assert not [name for name in canned.sent[0].headers if "customer" in name or "payer" in name]


def test_a_customers_key_never_goes_over_plain_http() -> None:
    """Plain http beyond this machine is refused with SSE-C, however much else is allowed; https is not."""
    with pytest.raises(UsageError, match="SSE-C"):
        SdkClient(settings(endpoint_url="http://store.example.com", allow_http=True, sse_c_key=SSE_C_KEY))
    assert SdkClient(settings(endpoint_url="https://store.example.com", sse_c_key=SSE_C_KEY)).encrypts


def test_errors_hold_no_secret() -> None:
    """Neither the key nor the credentials are in an error, however it is shown or pickled (I5)."""
    canned = Canned((403, "<Error><Code>AccessDenied</Code></Error>"), sse_c_key=SSE_C_KEY)
    with pytest.raises(TransferError) as raised:
        complete(canned.sdk)
    shown = [str(raised.value), repr(raised.value.info), repr(pickle.dumps(raised.value))]
    shown.append(repr(settings(sse_c_key=SSE_C_KEY)))
    for secret in (SSE_C_KEY.decode(), base64.b64encode(SSE_C_KEY).decode(), "secret-canary", "token-canary"):
        assert not [text for text in shown if secret in text]


def test_a_refusal_keeps_its_name_whatever_its_document_says() -> None:
    """Nonsense in an error document makes no other failure of it, least of all one that is tried again."""
    hostile = "<!DOCTYPE a [<!ENTITY b 'c'>]><Error><Code>NoSuchKey</Code></Error>"
    twice = "<Error><Code>InvalidObjectState</Code><StorageClass>A</StorageClass><StorageClass>B</StorageClass></Error>"
    with pytest.raises(OtherError) as plain:
        list_page(Canned((400, hostile)).sdk, "bucket", "", "x")
    assert type(plain.value) is OtherError
    with pytest.raises(Archived, match="--restore"):
        head_object(Canned((403, twice)).sdk, "bucket", "k")
    with pytest.raises(UnexpectedReply):
        list_page(Canned((200, hostile.replace("Error", "ListBucketResult"))).sdk, "bucket", "", "")
