"""Control operations on real servers: uploads, copies, deletes, versions, presigned URLs; gaps of each are declared.

A gap is asserted as well: a server that learns the missing thing fails its test, and the gap is struck off.
"""

from __future__ import annotations

import asyncio
import random
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from bulkhaul.errors import (
    Conflict,
    CredentialsError,
    NotFound,
    PreconditionFailed,
    ServerError,
    TransferError,
    Unsupported,
    UsageError,
)
from bulkhaul.model.limits import MAX_DELETE_BATCH
from bulkhaul.model.objects import Checksum, Content
from bulkhaul.model.writing import CopySource, Doomed, ObjectOptions, UploadedPart
from bulkhaul.wire.checksums import encoded_crc, fold, updater
from bulkhaul.wire.fast_transport import FastTransport
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.learned import Learned
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.values import Credentials, Target
from tests.faultserver import MIB
from tests.patience import PATIENCE_S
from tests.servers import RunningServer, moto, weed
from tests.unit.both_ways import (
    Client,
    abort_upload,
    bucket_region,
    complete_upload,
    copy_object,
    copy_part,
    create_bucket,
    create_upload,
    delete_bucket,
    delete_object,
    delete_objects,
    head_object,
    list_buckets,
    list_folder,
    list_page,
    list_parts,
    list_uploads,
    list_versions,
    object_tags,
    presign,
    put_small,
    set_object_tags,
)
from tests.unit.canned_lane import LaneClient
from tests.unit.test_sdk_client import settings

KEY = "dir/a b+c/ü%41"
BODY = random.Random(5).randbytes(5 * MIB + 1000)
PIECES = (BODY[: 5 * MIB], BODY[5 * MIB :])
SSE_C_KEY = b"0123456789abcdef0123456789abcdef"
OPTIONS = ObjectOptions(
    content=Content(
        content_type="text/x-test",
        content_disposition="attachment",
        content_encoding="gzip",
        content_language="de",
        cache_control="no-store",
        expires="Wed, 21 Oct 2026 07:28:00 GMT",
        metadata={"colour": "deep blue", "n": "1"},
    ),
    storage_class="STANDARD_IA",
    tags={"t 1": "v+"},
)

GAPS: dict[str, dict[str, str]] = {
    "weed": {
        "refusal of full buckets": "it removes a bucket with all that is in it",
        "size at completion": "it does not read x-amz-mp-object-size",
        "checksum of a copy": "CopyObjectResult holds none; HEAD tells it",
        "region": "its reply to HEAD of a bucket names none",
        "class of a copy": "a replaced copy keeps the storage class of its source",
        "control characters": "its listings of uploads and versions put U+FFFD in their place",
        "object and folder": "where others go on from a key, it completes no upload (500), and copies no part (404)",
        "customer's key for copied parts": "501: UploadPartCopy takes no key",
    },
    "moto": {
        "signatures": "it checks none, so a changed presigned URL works",
        "size at completion": "it does not read x-amz-mp-object-size",
        "checksum at completion": "it compares no checksum of the whole object",
        "checksum told at completion": "CompleteMultipartUploadResult holds none; HEAD tells it",
        "condition of a copy": "it does not read x-amz-copy-source-if-match",
        "customer's key": "it stores in the clear whatever comes with a key, and asks for none",
        "control characters": "it answers 500: it checks its own XML",
        "CRC32C": "it stores the CRC32 instead where no package crc32c is installed",
        "line breaks": "no route of it matches a path with one",
    },
}


class Service(msgspec.Struct, frozen=True):
    """A running server, our client for it, and what it is known not to do.

    Attributes:
        loop: that the lane's requests run on; None for a client of the SDK.
    """

    name: str
    server: RunningServer
    boto: SdkClient
    loop: asyncio.AbstractEventLoop | None
    sdk: Any

    def lacks(self, what: str) -> bool:
        """Whether a gap is declared."""
        return what in GAPS[self.name]

    def client(self, **changes: object) -> Any:
        """Return another client of ours."""
        return client_of(self.server, self.loop, **changes)

    def put(self, key: str, body: bytes, **parameters: object) -> None:
        """Store an object by boto3's own means."""
        self.boto.client.put_object(Bucket="bucket", Key=key, Body=body, **parameters)


def client_of(server: RunningServer, loop: asyncio.AbstractEventLoop | None, **changes: object) -> Client:
    """Return a client of ours: the lane's on a loop, the SDK's without one."""
    changed = settings(endpoint_url=server.endpoint_url, **changes)
    credentials = Credentials(server.access_key, server.secret_key)
    sdk = SdkClient(changed)
    sdk.use(credentials)
    if loop is None:
        return sdk
    learned, parts = Learned(), urlsplit(server.endpoint_url)
    fast = FastTransport(changed, ca_bundle=None, user_agent="test", learned=learned)
    lane = Lane(changed, fast, learned)
    for one in (fast, lane):
        one.use(credentials if changed.sign_requests else None)
    target = Target("http", parts.hostname or "", parts.port or 80, "/", "us-east-1", fast=True)
    return LaneClient(lane, target, loop.run_until_complete, sdk.client)


@pytest.fixture(scope="module", params=["weed-sdk", "weed-lane", "moto-sdk", "moto-lane"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """A real server with an empty bucket and one with versions, and a client of either way."""
    name, _, way = request.param.partition("-")
    loop = asyncio.new_event_loop() if way == "lane" else None
    with weed() if name == "weed" else moto() as server:
        boto = client_of(server, None)
        assert isinstance(boto, SdkClient)
        for bucket in ("bucket", "versioned"):
            boto.client.create_bucket(Bucket=bucket)
        boto.client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
        yield Service(name, server, boto, loop, client_of(server, loop))
    if loop is not None:
        watchers = asyncio.all_tasks(loop)  # of the transports
        for task in watchers:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*watchers, return_exceptions=True))
        loop.close()


def send_parts(sdk: Any, key: str, upload_id: str, algorithm: str) -> list[UploadedPart]:
    """Upload PIECES, with their checksums."""
    parts = []
    for number, piece in enumerate(PIECES, 1):
        checksum = encoded_crc(algorithm, updater(algorithm)(piece, 0))
        reply = sdk.client.upload_part(
            Bucket="bucket", Key=key, UploadId=upload_id, PartNumber=number, Body=piece,
            **{f"Checksum{algorithm}": checksum},
        )  # fmt: skip
        parts.append(UploadedPart(number, len(piece), reply["ETag"], checksum))
    return parts


def whole_checksum(algorithm: str) -> str:
    """Return the checksum of BODY."""
    update = updater(algorithm)
    return encoded_crc(algorithm, fold(algorithm, [(update(piece, 0), len(piece)) for piece in PIECES]))


def stored_bytes(sdk: Any, key: str) -> bytes:
    """Return what is stored."""
    body: bytes = sdk.client.get_object(Bucket="bucket", Key=key)["Body"].read()
    return body


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32C", "CRC32"])
def test_an_upload_from_begin_to_end(service: Service, algorithm: str) -> None:
    """What was asked for at the beginning is what HEAD tells at the end, and the checksum covers the whole object."""
    sdk, key = service.sdk, f"{KEY}.{algorithm}"
    begun = create_upload(sdk, "bucket", key, OPTIONS, algorithm=algorithm, token="nonce")
    assert begun.algorithm == algorithm
    sent = send_parts(sdk, key, begun.upload_id, algorithm)
    page = list_parts(sdk, "bucket", key, begun.upload_id, 0)
    assert [(part.number, part.size_bytes, part.etag) for part in page.parts] == [
        (part.number, part.size_bytes, part.etag) for part in sent
    ]
    assert [part.number for part in list_parts(sdk, "bucket", key, begun.upload_id, 1).parts] == [2]
    stored = complete_upload(
        sdk, "bucket", key, begun.upload_id, sent, size_bytes=len(BODY), algorithm=algorithm,
        checksum=whole_checksum(algorithm),
    )  # fmt: skip
    told = head_object(sdk, "bucket", key)
    expected = Checksum(algorithm, whole_checksum(algorithm))
    assert stored.checksum == (None if service.lacks("checksum told at completion") else expected)
    assert (told.etag, told.size) == (stored.etag, len(BODY))
    assert (told.checksum == expected) is not service.lacks(algorithm)
    assert (told.content, told.token) == (OPTIONS.content, "nonce")
    assert (told.storage_class, told.tags) == ("STANDARD_IA", 1)
    assert object_tags(sdk, "bucket", key, "") == OPTIONS.tags
    assert stored_bytes(sdk, key) == BODY


def test_an_upload_without_checksum(service: Service) -> None:
    """An upload that asked for no checksum is begun and completed without one, and nothing is echoed."""
    begun = create_upload(service.sdk, "bucket", "plain", ObjectOptions(), algorithm="", token="")
    assert begun.algorithm == ""
    parts = send_parts(service.sdk, "plain", begun.upload_id, "CRC32")
    stored = complete_upload(
        service.sdk, "bucket", "plain", begun.upload_id, parts, size_bytes=len(BODY), algorithm="", checksum=""
    )
    assert head_object(service.sdk, "bucket", "plain").etag == stored.etag


@pytest.mark.parametrize("wrong", ["size at completion", "checksum at completion"])
def test_completion_of_other_bytes(service: Service, wrong: str) -> None:
    """A size or a checksum that is not that of the parts is refused, and nothing is stored."""
    sdk, key = service.sdk, f"wrong/{wrong}"
    begun = create_upload(sdk, "bucket", key, ObjectOptions(), algorithm="CRC32", token="")
    parts = send_parts(sdk, key, begun.upload_id, "CRC32")
    claimed = {"size_bytes": len(BODY) + 1, "checksum": whole_checksum("CRC32")}
    if wrong == "checksum at completion":
        claimed = {"size_bytes": len(BODY), "checksum": encoded_crc("CRC32", 1)}
    try:
        complete_upload(sdk, "bucket", key, begun.upload_id, parts, algorithm="CRC32", **claimed)
    except TransferError:
        assert not service.lacks(wrong)
        with pytest.raises(NotFound):
            head_object(sdk, "bucket", key)
    else:
        assert service.lacks(wrong)
        # The engine has the last word: what HEAD tells of the bytes is true.
        assert head_object(sdk, "bucket", key).checksum == Checksum("CRC32", whole_checksum("CRC32"))


def test_abort(service: Service) -> None:
    """An aborted upload is gone, aborting it again is success, and a bucket that is not there is an error."""
    sdk = service.sdk
    begun = create_upload(sdk, "bucket", KEY, ObjectOptions(), algorithm="", token="")
    send_parts(sdk, KEY, begun.upload_id, "CRC32")
    for _ in range(2):
        abort_upload(sdk, "bucket", KEY, begun.upload_id)
        with pytest.raises(NotFound) as raised:
            list_parts(sdk, "bucket", KEY, begun.upload_id, 0)
        assert raised.value.info.service_code == "NoSuchUpload"
    with pytest.raises(NotFound):
        abort_upload(sdk, "no-such-bucket", KEY, begun.upload_id)


ODD_KEYS = ["odd/a b+c", "odd/a+b", "odd/x%41", "odd/ü&<>\"'", "odd/tab\t", "odd/cr\rlf\n", "odd/a\x01b", "odd/\ufffe"]


def carried(service: Service, key: str) -> bool:
    """Whether a key can be begun and listed on this server."""
    if service.lacks("line breaks") and "\n" in key:
        return False
    return not (service.lacks("control characters") and any(one in key for one in "\x01\ufffe"))


def test_uploads_of_odd_keys(service: Service) -> None:
    """A pending upload is listed under the very key that it was begun with, whatever the server says of encoding."""
    sdk = service.sdk
    keys = [key for key in ODD_KEYS if carried(service, key)]
    for key in keys:
        create_upload(sdk, "bucket", key, ObjectOptions(), algorithm="", token="")
    page = list_uploads(sdk, "bucket", "odd/", "", "")
    assert sorted(one.key for one in page.uploads) == sorted(keys)
    assert all(one.initiated for one in page.uploads)
    for one in page.uploads:
        abort_upload(sdk, "bucket", one.key, one.upload_id)
    assert list_uploads(sdk, "bucket", "odd/", "", "").uploads == ()


def test_odd_keys_are_listed_and_deleted(service: Service) -> None:
    """Whatever the key, a listing tells it and a batch deletes it: also what XML cannot carry."""
    sdk = service.sdk
    keys = [key for key in ODD_KEYS if not (service.lacks("line breaks") and "\n" in key)]
    for key in keys:
        service.put(key, b"x")
    assert sorted(entry.key for entry in list_page(sdk, "bucket", "odd/", "").objects) == sorted(keys)
    if not service.lacks("control characters"):
        versions = list_versions(sdk, "bucket", "odd/", "", "").versions
        assert sorted(one.key for one in versions) == sorted(keys)
    doomed = [Doomed(key) for key in [*keys, "odd/was never there"]]
    assert delete_objects(sdk, "bucket", doomed) == ()
    assert list_page(sdk, "bucket", "odd/", "").objects == ()


def test_a_thousand_keys_at_once(service: Service) -> None:
    """One batch takes a thousand keys, most of which never were."""
    service.put("batch/7", b"x")
    doomed = [Doomed(f"batch/{number}") for number in range(MAX_DELETE_BATCH)]
    assert delete_objects(service.sdk, "bucket", doomed) == ()
    with pytest.raises(NotFound):
        head_object(service.sdk, "bucket", "batch/7")
    with pytest.raises(NotFound):
        delete_objects(service.sdk, "no-such-bucket", doomed[:1])


def test_a_copy_in_parts(service: Service) -> None:
    """Half-open ranges of a source make the same object, on condition of its ETag."""
    sdk = service.sdk
    service.put("source/parts", BODY)
    source = CopySource("bucket", "source/parts", head_object(sdk, "bucket", "source/parts").etag)
    begun = create_upload(sdk, "bucket", "copied/ü", ObjectOptions(), algorithm="", token="nonce")
    parts = [
        copy_part(sdk, "bucket", "copied/ü", begun.upload_id, number, source, start=start, end=end)
        for number, start, end in ((1, 0, 5 * MIB), (2, 5 * MIB, len(BODY)))
    ]
    assert [part.size_bytes for part in parts] == [5 * MIB, 1000]
    complete_upload(sdk, "bucket", "copied/ü", begun.upload_id, parts, size_bytes=len(BODY), algorithm="", checksum="")
    assert stored_bytes(sdk, "copied/ü") == BODY
    assert head_object(sdk, "bucket", "copied/ü").token == "nonce"


def test_a_copy_keeps_or_replaces(service: Service) -> None:
    """A copy has its source's headers and metadata, or those that it was given, never a mixture; likewise its tags."""
    sdk = service.sdk
    begun = create_upload(sdk, "bucket", KEY, OPTIONS, algorithm="CRC32", token="")
    parts = send_parts(sdk, KEY, begun.upload_id, "CRC32")
    source = complete_upload(
        sdk, "bucket", KEY, begun.upload_id, parts, size_bytes=len(BODY), algorithm="CRC32",
        checksum=whole_checksum("CRC32"),
    )  # fmt: skip
    named = CopySource("bucket", KEY, source.etag)
    kept = copy_object(sdk, "bucket", "copy/kept", named, options=None)
    told = head_object(sdk, "bucket", "copy/kept")
    assert (told.etag, told.content) == (kept.etag, OPTIONS.content)
    assert object_tags(sdk, "bucket", "copy/kept", "") == OPTIONS.tags
    assert (kept.checksum is None) == service.lacks("checksum of a copy")
    given = ObjectOptions(content=Content(content_type="x/y", metadata={"z": "1"}))
    copy_object(sdk, "bucket", "copy/given", named, options=given)
    told = head_object(sdk, "bucket", "copy/given")
    assert (told.content, object_tags(sdk, "bucket", "copy/given", "")) == (given.content, OPTIONS.tags)
    retagged = ObjectOptions(content=Content(content_type="x/y"), tags={"only": "this"})
    copy_object(sdk, "bucket", "copy/retagged", named, options=retagged)
    assert object_tags(sdk, "bucket", "copy/retagged", "") == {"only": "this"}
    assert told.storage_class == ("STANDARD_IA" if service.lacks("class of a copy") else "")
    assert stored_bytes(sdk, "copy/kept") == stored_bytes(sdk, "copy/given") == BODY


def test_an_object_that_is_a_folder_too(service: Service) -> None:
    """A key that others go on from, after a slash, is uploaded and copied like any other."""
    sdk = service.sdk
    service.put("both", b"x")
    service.put("both/more", b"y")
    service.put("upload/more", b"y")
    named = CopySource("bucket", "both")
    copy_object(sdk, "bucket", "both-copied", named, options=None)
    assert stored_bytes(sdk, "both-copied") == b"x"
    begun = create_upload(sdk, "bucket", "upload", ObjectOptions(), algorithm="", token="")
    parts = send_parts(sdk, "upload", begun.upload_id, "CRC32")

    def complete() -> None:
        complete_upload(
            sdk, "bucket", "upload", begun.upload_id, parts, size_bytes=len(BODY), algorithm="", checksum=""
        )

    def copy_a_part() -> None:
        upload_id = create_upload(sdk, "bucket", "b", ObjectOptions(), algorithm="", token="").upload_id
        copy_part(sdk, "bucket", "b", upload_id, 1, named, start=0, end=1)

    for operation, kind in ((complete, ServerError), (copy_a_part, NotFound)):
        if service.lacks("object and folder"):
            with pytest.raises(kind):
                operation()
        else:
            operation()


def test_a_copy_of_what_has_changed(service: Service) -> None:
    """A source with another ETag, or none at all, is not copied; the error names the source."""
    sdk = service.sdk
    service.put("source/changed", b"x" * 10)
    stale = CopySource("bucket", "source/changed", '"old"')
    begun = create_upload(sdk, "bucket", "copy/part", ObjectOptions(), algorithm="", token="")

    def copy() -> None:
        copy_object(sdk, "bucket", "copy/changed", stale, options=None)

    def copy_a_part() -> None:
        copy_part(sdk, "bucket", "copy/part", begun.upload_id, 1, stale, start=0, end=10)

    for operation in (copy, copy_a_part):
        if service.lacks("condition of a copy"):
            operation()
        else:
            with pytest.raises(PreconditionFailed, match="s3://bucket/source/changed"):
                operation()
    with pytest.raises(NotFound, match="s3://bucket/nowhere"):
        copy_object(sdk, "bucket", "copy/none", CopySource("bucket", "nowhere", '"old"'), options=None)


def test_versions(service: Service) -> None:
    """Every version and delete marker is listed, asked for, copied and deleted by its id."""
    sdk, key = service.sdk, "k +ü"
    for body in (b"1", b"22", b"333"):
        sdk.client.put_object(Bucket="versioned", Key=key, Body=body)
    delete_object(sdk, "versioned", key, "")
    listed = list_versions(sdk, "versioned", "k", "", "").versions
    assert {one.key for one in listed} == {key}
    assert sorted((one.size, one.delete_marker, one.latest) for one in listed) == [
        (0, True, True), (1, False, False), (2, False, False), (3, False, False),
    ]  # fmt: skip
    oldest = next(one for one in listed if one.size == 1)
    told = head_object(sdk, "versioned", key, oldest.version_id)
    assert (told.size, told.version_id, told.etag) == (1, oldest.version_id, oldest.etag)
    stored = copy_object(
        sdk, "versioned", "restored", CopySource("versioned", key, oldest.etag, oldest.version_id), options=None
    )  # fmt: skip
    assert head_object(sdk, "versioned", "restored").version_id == stored.version_id != ""
    assert head_object(sdk, "versioned", "restored").size == 1
    with pytest.raises(NotFound):
        head_object(sdk, "versioned", key)
    delete_object(sdk, "versioned", key, next(one for one in listed if one.delete_marker).version_id)
    assert head_object(sdk, "versioned", key).size == 3
    assert delete_objects(sdk, "versioned", [Doomed(one.key, one.version_id) for one in listed]) == ()
    assert list_versions(sdk, "versioned", "k", "", "").versions == ()


def test_a_folder(service: Service) -> None:
    """What lies in a folder, its folders apart; one entry a page where a page is asked to be short."""
    sdk = service.sdk
    for key in ("folder/a", "folder/b", "folder/c d/e", "folder/c d/f", "folder/g/h"):
        service.put(key, b"x")
    page = list_folder(sdk, "bucket", "folder/", "")
    assert sorted(entry.key for entry in page.objects) == ["folder/a", "folder/b"]
    assert sorted(page.prefixes) == ["folder/c d/", "folder/g/"]
    assert page.next_token == ""
    short = list_page(sdk, "bucket", "folder/", "", 1)
    assert len(short.objects) == 1
    rest = list_page(sdk, "bucket", "folder/", short.next_token)
    assert len(rest.objects) == 4
    assert {entry.key for entry in rest.objects}.isdisjoint({entry.key for entry in short.objects})


def fetch(url: str) -> bytes:
    """GET a URL without any header of ours."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=PATIENCE_S) as reply:
        body: bytes = reply.read()
    return body


def test_a_presigned_url(service: Service) -> None:
    """A stranger can fetch with it, and with no other; whether the object exists is not asked (C37)."""
    service.put(KEY, b"for strangers")
    url = presign(service.client(request_payer=True), "bucket", KEY, "", 60)
    assert fetch(url) == b"for strangers"
    changed = url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000")
    if service.lacks("signatures"):
        assert fetch(changed) == b"for strangers"
    else:
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            fetch(changed)
        refused.value.close()
    assert presign(service.sdk, "bucket", "nowhere", "", 60).startswith(service.server.endpoint_url)
    with pytest.raises(CredentialsError):
        presign(service.client(sign_requests=False), "bucket", KEY, "", 60)


def test_buckets_are_listed(service: Service) -> None:
    """With the time of their making."""
    page = list_buckets(service.sdk, "")
    assert {"bucket", "versioned"} <= {one.name for one in page.buckets}
    assert all(one.created for one in page.buckets)
    assert page.next_token == ""


def test_the_region(service: Service) -> None:
    """The region is told for a bucket that there is, where the service tells any."""
    assert bucket_region(service.sdk, "bucket") == ("" if service.lacks("region") else "us-east-1")
    with pytest.raises(NotFound):
        bucket_region(service.sdk, "no-such-bucket")


def test_a_customers_key(service: Service) -> None:
    """With SSE-C objects are uploaded, asked for, copied and copied in parts by their key, and by no other means."""
    sdk = service.client(sse_c_key=SSE_C_KEY, request_payer=True)
    begun = create_upload(sdk, "bucket", "secret", ObjectOptions(), algorithm="CRC32", token="")
    parts = send_parts(sdk, "secret", begun.upload_id, "CRC32")
    listed = list_parts(sdk, "bucket", "secret", begun.upload_id, 0).parts
    assert [part.size_bytes for part in listed] == [5 * MIB, 1000]
    source = complete_upload(
        sdk, "bucket", "secret", begun.upload_id, parts, size_bytes=len(BODY), algorithm="CRC32",
        checksum=whole_checksum("CRC32"),
    )  # fmt: skip
    named = CopySource("bucket", "secret", source.etag)
    copy_object(sdk, "bucket", "secret-copy", named, options=None)
    begun = create_upload(sdk, "bucket", "secret-parts", ObjectOptions(), algorithm="", token="")
    keys = ["secret", "secret-copy"]
    try:
        part = copy_part(sdk, "bucket", "secret-parts", begun.upload_id, 1, named, start=0, end=len(BODY))
    except Unsupported:
        assert service.lacks("customer's key for copied parts")
    else:
        assert not service.lacks("customer's key for copied parts")
        complete_upload(
            sdk, "bucket", "secret-parts", begun.upload_id, [part], size_bytes=len(BODY), algorithm="", checksum=""
        )
        keys.append("secret-parts")
    for key in keys:
        assert head_object(sdk, "bucket", key).size == len(BODY)
        assert stored_bytes(sdk, key) == BODY
        if service.lacks("customer's key"):
            assert head_object(service.sdk, "bucket", key).encryption == ""
        else:
            assert head_object(sdk, "bucket", key).encryption == "SSE-C"
            with pytest.raises(TransferError, match="customer"):
                head_object(service.sdk, "bucket", key)


def test_options_that_no_header_carries(service: Service) -> None:
    """What would forge a header is refused before anything is sent: no upload is begun."""
    forged = ObjectOptions(content=Content(metadata={"a": "1\r\nx-amz-acl: public-read"}))
    with pytest.raises(UsageError):
        create_upload(service.sdk, "bucket", "forged", forged, algorithm="", token="")
    assert list_uploads(service.sdk, "bucket", "forged", "", "").uploads == ()


def test_tags_are_replaced_and_taken_away(service: Service) -> None:
    """What is set stands instead of what was there; without any, none are left; an object that is not there is told."""
    service.put("tagged", b"body")
    set_object_tags(service.sdk, "bucket", "tagged", "", {"team": "ml", "a b/c": "=+-._:/@ 1"})
    assert object_tags(service.sdk, "bucket", "tagged", "") == {"team": "ml", "a b/c": "=+-._:/@ 1"}
    set_object_tags(service.sdk, "bucket", "tagged", "", {"only": ""})
    assert object_tags(service.sdk, "bucket", "tagged", "") == {"only": ""}
    set_object_tags(service.sdk, "bucket", "tagged", "", {})
    assert object_tags(service.sdk, "bucket", "tagged", "") == {}
    with pytest.raises(NotFound):
        set_object_tags(service.sdk, "bucket", "nowhere", "", {"only": ""})


def test_buckets_are_made_and_removed(service: Service) -> None:
    """One that holds an object stays, and the error says what to do; an empty one goes."""
    create_bucket(service.sdk, "made-here", "")
    put_small(service.sdk, "made-here", "key", b"body", algorithm="", checksum="", only_if_absent=False)
    if service.lacks("refusal of full buckets"):
        delete_bucket(service.sdk, "made-here")
        return
    with pytest.raises(Conflict, match="rm --recursive --all-versions"):
        delete_bucket(service.sdk, "made-here")
    delete_object(service.sdk, "made-here", "key", "", "")
    delete_bucket(service.sdk, "made-here")
    assert "made-here" not in {one.name for one in list_buckets(service.sdk, "").buckets}
    with pytest.raises(NotFound):
        delete_bucket(service.sdk, "made-here")


def sent(url: str, method: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> int:
    """Send a request as a stranger does, and return the status of its reply."""
    request = urllib.request.Request(url, body, headers or {}, method=method)  # noqa: S310 - a server of these tests
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=PATIENCE_S) as reply:
        status: int = reply.status
    return status


def test_a_presigned_put(service: Service) -> None:
    """A stranger stores with it, by the content type that was signed."""
    url = presign(service.sdk, "bucket", "from/strangers", "", 60, method="PUT", content_type="text/csv")
    assert sent(url, "PUT", b"a,b", {"content-type": "text/csv"}) == 200
    assert stored_bytes(service.sdk, "from/strangers") == b"a,b"
    assert head_object(service.sdk, "bucket", "from/strangers").content.content_type == "text/csv"
    url = presign(service.sdk, "bucket", "from/strangers", "", 60, method="DELETE")
    assert sent(url, "DELETE") == 204
