"""Every document that S3 answers with, changed at random: taken for exactly what it says, or a TransferError."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bulkhaul.errors import TransferError
from bulkhaul.model.objects import Checksum, ChecksumKind, ObjectHead
from bulkhaul.model.writing import CopySource, Doomed, ObjectOptions, UploadedPart
from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.learned import PAGES_V2
from bulkhaul.wire.sdk import object_attributes
from bulkhaul.wire.sdk.client import SdkClient
from tests.unit.both_ways import (
    Client,
    complete_upload,
    copy_object,
    copy_part,
    create_upload,
    delete_objects,
    head_object,
    list_buckets,
    list_folder,
    list_parts,
    list_uploads,
    list_versions,
    object_tags,
)
from tests.unit.canned import Canned, Sent
from tests.unit.canned_lane import CannedLane

from . import truths
from .documents import Element, NoTruthError, Reply, element, every_change, mutated

Ask = Callable[[Any], object]
BUCKET, PREFIX, KEY = truths.BUCKET, truths.PREFIX, truths.KEY
TIME = "2026-01-02T03:04:05.000Z"
FUZZ = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Answered(Canned):
    """A client that is answered with one reply, whatever it asks, and at most ten times."""

    reply = Reply()

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        assert len(self.sent) < 10, "it asks for ever"
        reply = self.reply
        self.replies = [(reply.status, reply.body)]
        names = {name for name, _ in reply.headers}
        self.headers = {name: str(reply.header(name)) for name in names}
        return super()._answer(request)


class AnsweredLane(CannedLane):
    """The same, by the lane."""

    reply = Reply()

    def _answer(self, sent: Sent) -> tuple[ReplyHead, bytes]:
        assert len(self.sent) < 10, "it asks for ever"
        reply = self.reply
        self.replies = [(reply.status, reply.body)]
        self.headers = {name: str(reply.header(name)) for name in {name for name, _ in reply.headers}}
        return super()._answer(sent)


Clients = Answered | AnsweredLane

ONLY_SDK = frozenset({("lane", "GetObjectAttributes")})
"""What the lane does not speak."""


@pytest.fixture(scope="module")
def by_sdk() -> Answered:
    """One client for all examples: making one takes as long as a hundred of them."""
    return Answered()


@pytest.fixture
def client(way: str, by_sdk: Answered) -> Clients:
    """The client of the way that is tested."""
    return by_sdk if way == "sdk" else AnsweredLane()


def asked(client: Clients, reply: Reply, ask: Ask) -> object:
    """Return what is made of a reply."""
    client.reply, client.sent[:] = reply, []
    client.sdk.learned._refused.clear()
    return ask(client.sdk)


def judge(client: Clients, reply: Reply, ask: Ask, truth: Callable[[Reply], object]) -> None:
    """A value is the truth; where there is none, or nothing is said, it is a TransferError."""
    try:
        got = asked(client, reply, ask)
    except TransferError:
        return
    try:
        expected = truth(reply)
    except NoTruthError:
        raise AssertionError(f"{got!r} was made of nonsense: {reply.headers} {reply.body}") from None
    assert got == expected, f"{reply.headers} {reply.body}"


# Good replies


def content(name: str) -> Element:
    """Return one object of a listing."""
    return element(
        "Contents",
        element("Key", name),
        element("LastModified", TIME),
        element("ETag", '"d41d8"'),
        element("Size", 5),
        element("StorageClass", "GLACIER"),
    )


FOLDER = element("CommonPrefixes", element("Prefix", "p/x/"))
LISTED = (element("Name", BUCKET), element("Prefix", PREFIX), element("MaxKeys", 1000))
V2 = element(
    "ListBucketResult", *LISTED, element("KeyCount", 3), element("IsTruncated", "true"), element("EncodingType", "url"),
    element("NextContinuationToken", "t0ken"), content("p/a%20b"), content("p/c"), FOLDER,
)  # fmt: skip
V1 = element(
    "ListBucketResult", *LISTED, element("Marker", ""), element("IsTruncated", "true"), element("EncodingType", "url"),
    element("NextMarker", "p/y+z"), content("p/a%20b"), content("p/c"), FOLDER,
)  # fmt: skip
VERSIONS = element(
    "ListVersionsResult", *LISTED, element("IsTruncated", "true"), element("NextKeyMarker", "p/c"),
    element("NextVersionIdMarker", "v9"),
    element("Version", element("Key", "p/a"), element("VersionId", "v1"), element("IsLatest", "true"),
            element("LastModified", TIME), element("ETag", '"e"'), element("Size", 7)),
    element("DeleteMarker", element("Key", "p/b"), element("VersionId", "v2"), element("IsLatest", "false"),
            element("LastModified", TIME)),
)  # fmt: skip
PARTS = element(
    "ListPartsResult", element("Bucket", BUCKET), element("Key", KEY), element("UploadId", "id"),
    element("IsTruncated", "true"), element("NextPartNumberMarker", 2),
    *(element("Part", element("PartNumber", number), element("ETag", '"e"'), element("Size", 9),
              element("ChecksumCRC32", "AAAAAA==")) for number in (1, 2)),
)  # fmt: skip
UPLOADS = element(
    "ListMultipartUploadsResult", element("Bucket", BUCKET), element("IsTruncated", "true"),
    element("NextKeyMarker", "p/b"), element("NextUploadIdMarker", "u2"),
    *(element("Upload", element("Key", f"p/{name}"), element("UploadId", "u1"), element("Initiated", TIME))
      for name in "ab"),
)  # fmt: skip
BUCKETS = element(
    "ListAllMyBucketsResult", element("ContinuationToken", "t"),
    element("Buckets", *(element("Bucket", element("Name", name), element("CreationDate", TIME)) for name in "ab")),
)  # fmt: skip
RESULT = (element("ETag", '"e-2"'), element("ChecksumCRC32", "AAAAAA=="), element("ChecksumType", "FULL_OBJECT"))
COMPLETED = element("CompleteMultipartUploadResult", element("Bucket", BUCKET), element("Key", KEY), *RESULT)
COPIED = element("CopyObjectResult", element("LastModified", TIME), *RESULT)
COPIED_PART = element("CopyPartResult", element("LastModified", TIME), *RESULT[:2])
BEGUN = element(
    "InitiateMultipartUploadResult", element("Bucket", BUCKET), element("Key", KEY), element("UploadId", "id")
)
DELETED = element(
    "DeleteResult",
    element("Deleted", element("Key", "c")),
    *(element("Error", element("Key", name), element("Code", code), element("Message", "no"))
      for name, code in (("a", "AccessDenied"), ("b", "NoSuchKey"))),
)  # fmt: skip
ATTRIBUTES = element(
    "GetObjectAttributesResponse",
    element("ObjectParts", element("IsTruncated", "false"), *(
        element("Part", element("PartNumber", number), element("Size", size), element("ChecksumCRC32", "AAAAAA=="))
        for number, size in ((1, 5), (2, 4)))),
)  # fmt: skip
TAGS = element(
    "Tagging", element("TagSet", *(element("Tag", element("Key", name), element("Value", "1")) for name in "ab"))
)
VERSIONED = (("x-amz-version-id", "v1"),)
KEPT = (("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "FULL_OBJECT"))
OF_PARTS = ObjectHead(KEY, 9, '"e-2"', checksum=Checksum("CRC32", "AAAAAA==-2", ChecksumKind.COMPOSITE))

# How they are asked for


def folder(sdk: Client) -> object:
    """List, by the quick reader where it can."""
    page = list_folder(sdk, BUCKET, PREFIX, "")
    return page.objects, page.prefixes, page.next_token


def old_folder(sdk: Client) -> object:
    """List an endpoint that is known to have no second version."""
    sdk.does_without(PAGES_V2)
    return folder(sdk)


def versions(sdk: Client) -> object:
    """List versions; their order is the client's."""
    page = list_versions(sdk, BUCKET, PREFIX, "", "")
    return list(page.versions), page.next_key_marker, page.next_version_marker


def versions_in_order(reply: Reply) -> object:
    """By key, the latest first, then the newest."""
    found, following, number = truths.versions_page(reply)
    found.sort(key=lambda one: one.last_modified or datetime.min.replace(tzinfo=UTC), reverse=True)
    found.sort(key=lambda one: (one.key.encode(), not one.latest))
    return found, following, number


def parts(sdk: Client) -> object:
    """List the parts of an upload."""
    page = list_parts(sdk, BUCKET, KEY, "id", 0)
    return page.parts, page.next_marker


def uploads(sdk: Client) -> object:
    """List uploads."""
    page = list_uploads(sdk, BUCKET, PREFIX, "", "")
    return page.uploads, page.next_key_marker, page.next_id_marker


def buckets(sdk: Client) -> object:
    """List buckets."""
    page = list_buckets(sdk, "")
    return page.buckets, page.next_token


def complete(sdk: Client) -> object:
    """Complete an upload."""
    sent = [UploadedPart(1, 7, '"a"')]
    return complete_upload(sdk, BUCKET, KEY, "id", sent, size_bytes=7, algorithm="", checksum="")


def copy(sdk: Client) -> object:
    """Copy an object."""
    return copy_object(sdk, BUCKET, KEY, CopySource("b", "k"), options=None)


def copy_a_part(sdk: Client) -> object:
    """Copy a part of ten bytes."""
    return copy_part(sdk, BUCKET, KEY, "id", 3, CopySource("b", "k"), start=0, end=10)


def told_parts(sdk: SdkClient) -> object:
    """Ask for the parts of an object, and for nothing else where they are not told."""
    return tuple(object_attributes._attribute_parts(sdk, OF_PARTS, {"Bucket": BUCKET, "Key": KEY}))


def create(sdk: Client) -> object:
    """Begin an upload."""
    return create_upload(sdk, BUCKET, KEY, ObjectOptions(), algorithm="CRC32", token="t")


KINDS: dict[str, tuple[Reply, Ask, Callable[[Reply], object]]] = {
    "ListObjectsV2": (Reply(V2), folder, truths.objects_page),
    "ListObjects": (Reply(V1), old_folder, truths.old_page),
    "ListObjectVersions": (Reply(VERSIONS), versions, versions_in_order),
    "ListParts": (Reply(PARTS), parts, truths.parts_page),
    "ListMultipartUploads": (Reply(UPLOADS), uploads, truths.uploads_page),
    "ListBuckets": (Reply(BUCKETS), buckets, truths.buckets_page),
    "CompleteMultipartUpload": (Reply(COMPLETED, VERSIONED), complete, truths.completed),
    "CopyObject": (Reply(COPIED, VERSIONED), copy, truths.completed),
    "UploadPartCopy": (Reply(COPIED_PART), copy_a_part, truths.copied_part),
    "CreateMultipartUpload": (Reply(BEGUN, KEPT), create, truths.begun),
    "DeleteObjects": (
        Reply(DELETED), lambda sdk: delete_objects(sdk, BUCKET, [*map(Doomed, "abc")]), truths.deleted,
    ),
    "GetObjectAttributes": (
        Reply(ATTRIBUTES), told_parts,
        truths.attributes,
    ),
    "GetObjectTagging": (Reply(TAGS), lambda sdk: object_tags(sdk, BUCKET, KEY, ""), truths.tags),
}  # fmt: skip


WAYS = pytest.mark.parametrize("way", ["sdk", "lane"])
WAYS_AND_KINDS = pytest.mark.parametrize(
    ("way", "kind"), [(way, kind) for kind in KINDS for way in ("sdk", "lane") if (way, kind) not in ONLY_SDK]
)


@WAYS_AND_KINDS
def test_good_replies_are_believed(client: Clients, kind: str) -> None:
    """Unchanged, each reply is what the model says that it is: the tests below are about something."""
    good, ask, truth = KINDS[kind]
    assert asked(client, good, ask) == truth(good)


@WAYS_AND_KINDS
def test_no_single_change_is_believed_too_far(client: Clients, kind: str) -> None:
    """Each field with each nonsense, missing, doubled, renamed, nested, broken off: one at a time, all of them."""
    good, ask, truth = KINDS[kind]
    for reply in every_change(good):
        judge(client, reply, ask, truth)


@WAYS_AND_KINDS
@FUZZ
@given(data=st.data())
def test_changed_replies_are_the_truth_or_refused(client: Clients, kind: str, data: st.DataObject) -> None:
    """Values missing, doubled, renamed, nested, broken off, or nonsense: never a wrong one, never a crash."""
    good, ask, truth = KINDS[kind]
    judge(client, data.draw(mutated(good)), ask, truth)


ERROR = element("Error", element("Code", "NoSuchKey"), element("Message", "no"), element("RequestId", "r"))


@WAYS_AND_KINDS
@FUZZ
@given(reply=mutated(Reply(ERROR)), status=st.sampled_from([400, 403, 404, 405, 409, 412, 416, 500, 501, 503]))
def test_errors_are_errors(client: Clients, kind: str, reply: Reply, status: int) -> None:
    """Whatever is left of an error document, it is a TransferError of bounded length, and no value."""
    _, ask, _ = KINDS[kind]
    with pytest.raises(TransferError) as caught:
        asked(client, Reply(reply.document, reply.headers, reply.cut, status), ask)
    assert len(str(caught.value)) < 2000


HEAD = Reply(
    headers=(
        ("Content-Length", "5"), ("ETag", '"e-2"'), ("Last-Modified", "Wed, 21 Oct 2026 07:28:00 GMT"),
        ("x-amz-version-id", "v1"), ("x-amz-storage-class", "GLACIER"), ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-checksum-type", "FULL_OBJECT"), ("Content-Type", "a/b"), ("x-amz-tagging-count", "2"),
        ("Expires", "0"), ("x-amz-meta-a", "b"),
    )
)  # fmt: skip


def head(sdk: Client) -> object:
    """Ask for an object, and pick what the model tells of."""
    info = head_object(sdk, BUCKET, KEY)
    return (
        info.size, info.etag, info.version_id, info.storage_class, info.checksum, info.content.content_type,
        info.tags,
    )  # fmt: skip


@WAYS
def test_a_good_head_is_believed(client: Clients) -> None:
    """Unchanged, it is what the model says."""
    assert asked(client, HEAD, head) == truths.head(HEAD)


@WAYS
def test_no_single_change_of_a_head_is_believed_too_far(client: Clients) -> None:
    """Each header with each nonsense, missing, doubled, or under another name."""
    for reply in every_change(HEAD):
        judge(client, reply, head, truths.head)


@WAYS
@FUZZ
@given(reply=mutated(HEAD))
def test_changed_heads_are_the_truth_or_refused(client: Clients, reply: Reply) -> None:
    """A header that is missing, doubled, or nonsense makes no other object of it."""
    judge(client, reply, head, truths.head)
