"""What the lane sends is what the SDK sends, and where the service sends it elsewhere, the SDK is asked."""

from __future__ import annotations

import calendar
import contextlib
import functools
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.errors import NotFound, TransferError, UsageError
from bulkhaul.model.objects import Content
from bulkhaul.model.presigning import Method
from bulkhaul.model.writing import CopySource, Doomed, ObjectOptions, UploadedPart
from bulkhaul.policy.resolution import AskSdk
from bulkhaul.wire.lane.client import SdkNeeded
from bulkhaul.wire.learned import Learned
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.settled import Settled, settle
from bulkhaul.wire.sigv4 import Signer
from bulkhaul.wire.values import Credentials
from tests.unit.both_ways import (
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
from tests.unit.canned import Canned, Sent
from tests.unit.canned_lane import CannedLane
from tests.unit.test_sdk_client import settings

KEY = "dir/a b+c/ü%41'(x)~"
OPTIONS = ObjectOptions(
    content=Content(content_type="a/b", cache_control="no-store", metadata={"m": "1 2"}),
    storage_class="GLACIER", acl="private", sse="aws:kms", sse_kms_key_id="k", tags={"a b": "ü"},
)  # fmt: skip
SOURCE = CopySource("from", KEY, '"e"', "v1.-_")
PARTS = [UploadedPart(1, 5, '"a"', "AAAAAA=="), UploadedPart(2, 2, '"b"')]

Operation = Callable[[Any], object]

OPERATIONS: dict[str, Operation] = {
    "head": lambda one: head_object(one, "bucket", KEY, "v+1"),
    "page": lambda one: list_page(one, "bucket", "p /ü", "", 7),
    "next page": lambda one: list_page(one, "bucket", "", "t/+="),
    "folder": lambda one: list_folder(one, "bucket", "p/", ""),
    "versions": lambda one: list_versions(one, "bucket", "p", "k+", "v"),
    "put": lambda one: put_small(
        one, "bucket", KEY, b"body", algorithm="CRC32", checksum="AAAAAA==", only_if_absent=True
    ),
    "delete": lambda one: delete_object(one, "bucket", KEY, "v1", '"e"'),
    "batch": lambda one: delete_objects(one, "bucket", [Doomed("a&<>\"'\r\n\tü"), Doomed("b", "v2")]),
    "batch with ETags": lambda one: delete_objects(one, "bucket", [Doomed("a", etag='"e<1>"'), Doomed("b", etag="f")]),
    "create": lambda one: create_upload(one, "bucket", KEY, OPTIONS, algorithm="CRC64NVME", token="t"),
    "create plain": lambda one: create_upload(one, "bucket", KEY, ObjectOptions(), algorithm="", token=""),
    "parts": lambda one: list_parts(one, "bucket", KEY, "id+/=", 3),
    "complete": lambda one: complete_upload(
        one, "bucket", KEY, "id+/=", PARTS, size_bytes=7, algorithm="CRC32", checksum="CCCCCC=="
    ),
    "complete plain": lambda one: complete_upload(
        one, "bucket", KEY, "id", PARTS, size_bytes=7, algorithm="", checksum=""
    ),
    "abort": lambda one: abort_upload(one, "bucket", KEY, "id+/="),
    "uploads": lambda one: list_uploads(one, "bucket", "p", "k", "u"),
    "copy": lambda one: copy_object(one, "bucket", KEY, SOURCE, options=None, storage_class="GLACIER"),
    "copy with a redirect": lambda one: copy_object(
        one, "bucket", KEY, SOURCE, options=None, website_redirect="/a b?c=d"
    ),
    "copy anew": lambda one: copy_object(one, "bucket", KEY, SOURCE, options=OPTIONS),
    "copy part": lambda one: copy_part(one, "bucket", KEY, "id", 3, SOURCE, start=10, end=20),
    "buckets": lambda one: list_buckets(one, ""),
    "more buckets": lambda one: list_buckets(one, "t/+="),
    "tags": lambda one: object_tags(one, "bucket", KEY, "v1"),
    "set tags": lambda one: set_object_tags(one, "bucket", KEY, "v1", {"a&<>\"'": "b ü"}),
    "no tags": lambda one: set_object_tags(one, "bucket", KEY, "v1", {}),
    "region": lambda one: bucket_region(one, "bucket"),
    "make a bucket": lambda one: create_bucket(one, "bucket", ""),
    "make a bucket elsewhere": lambda one: create_bucket(one, "bucket", "eu-central-1"),
    "remove a bucket": lambda one: delete_bucket(one, "bucket"),
}

#: What the SDK adds that says nothing: its name, its count of tries, its signature (the lane's transport signs).
OF_THE_SDK = frozenset(
    {
        "user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "authorization", "x-amz-date", "x-amz-content-sha256",
        "x-amz-security-token", "x-amz-sdk-checksum-algorithm", "content-length", "content-type", "expect",
        "host",
    }
)  # fmt: skip


def first_request(canned: Canned | CannedLane, operation: Operation) -> Sent:
    """Return the first request of an operation, whatever becomes of its reply."""
    with contextlib.suppress(TransferError):
        operation(canned.sdk)
    return canned.sent[0]


@pytest.mark.parametrize("more", [{}, {"request_payer": True, "sse_c_key": b"k" * 32}], ids=["plain", "with headers"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_lane_sends_what_the_sdk_sends(name: str, more: dict[str, Any]) -> None:
    """Method, path, query, body, and every header that says something."""
    lane, sdk = (first_request(canned, OPERATIONS[name]) for canned in (CannedLane(**more), Canned(**more)))
    assert (lane.method, lane.path, lane.query) == (sdk.method, sdk.path, sdk.query)
    told = {header: value for header, value in sdk.headers.items() if header not in OF_THE_SDK}
    # Content-Type goes along where it was chosen, and as the SDK's own guess, which services take no notice of.
    said = {header: value for header, value in lane.headers.items() if header != "content-type"}
    assert said == told
    assert lane.body == (sdk.body if isinstance(sdk.body, bytes) else sdk.body.read())
    if "content-type" in lane.headers:
        assert lane.headers["content-type"] == sdk.headers["content-type"]


REGION = "<Error><Code>{}</Code><Message>no</Message><Region>eu-west-1</Region></Error>"


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (301, ""), (301, REGION.format("PermanentRedirect")), (302, ""), (307, REGION.format("TemporaryRedirect")),
        (308, ""), (400, REGION.format("AuthorizationHeaderMalformed")),
        (400, REGION.format("IllegalLocationConstraintException")),
    ],
)  # fmt: skip
def test_what_lives_elsewhere_is_the_sdks(name: str, status: int, body: str) -> None:
    """A redirect and a refusal about regions are followed by the SDK; nothing else was sent before that."""
    canned = CannedLane((status, body))
    with pytest.raises(SdkNeeded):
        OPERATIONS[name](canned.sdk)
    assert [one.method for one in canned.sent][1:] == (["GET"] if name == "head" and status == 400 else [])


def test_a_head_that_a_get_finds_elsewhere_is_the_sdks() -> None:
    """A HEAD has no body that could name the region; a GET of one byte has."""
    canned = CannedLane((400, ""), (400, REGION.format("AuthorizationHeaderMalformed")))
    with pytest.raises(SdkNeeded):
        head_object(canned.sdk, "bucket", "k")
    assert [one.method for one in canned.sent] == ["HEAD", "GET"]
    with pytest.raises(SdkNeeded):
        bucket_region(CannedLane((400, "")).sdk, "bucket")


@functools.cache
def clients() -> tuple[CannedLane, Canned]:
    """Return two clients, the same ones always: making one takes as long as many tests."""
    return CannedLane(), Canned()


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 412, 416, 429, 500, 501, 503])
@pytest.mark.parametrize("code", ["", "AccessDenied", "NoSuchKey", "NoSuchBucket", "SlowDown", "ExpiredToken", "Odd"])
@pytest.mark.parametrize(
    "name", [name for name in OPERATIONS if name not in ("head", "region", "batch", "page", "folder")]
)
def test_errors_are_the_same_both_ways(name: str, code: str, status: int) -> None:
    """Type, status, code, and what they are about."""
    body = f"<Error><Code>{code}</Code><Message>a &amp; b</Message></Error>" if code else ""
    headers = {"x-amz-request-id": "r", "Retry-After": "3"}
    found = []
    for canned in clients():
        canned.replies, canned.headers, canned.sdk.learned = [(status, body)], headers, Learned()
        if isinstance(canned, CannedLane):
            canned.sdk.lane.learned = canned.sdk.learned
        try:
            found.append(OPERATIONS[name](canned.sdk))
        except TransferError as error:
            info = error.info
            cause = info.cause if body else ""  # without a document the SDK tells the status in words
            found.append((type(error), info.message, info.subject, cause, info.status, info.service_code,
                          info.request_id, info.retry_after_s))  # fmt: skip
    assert found[0] == found[1]


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1"])
@pytest.mark.parametrize("endpoint_url", [None, "http://127.0.0.1:9", "http://127.0.0.1:9/path"])
def test_buckets_are_asked_for_where_the_sdk_asks(
    monkeypatch: pytest.MonkeyPatch, region: str, endpoint_url: str | None
) -> None:
    """At the endpoint of the region, signed for it; an endpoint with a path is the SDK's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (("ACCESS_KEY_ID", "AKID"), ("SECRET_ACCESS_KEY", "secret"), ("CONFIG_FILE", os.devnull),
                        ("SHARED_CREDENTIALS_FILE", os.devnull)):  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    chosen = settings(region=region, endpoint_url=endpoint_url)
    settled = settle(chosen)
    assert isinstance(settled, Settled)
    ours = settled.service()
    if endpoint_url is not None and endpoint_url.endswith("/path"):
        assert isinstance(ours, AskSdk)
        return
    canned = Canned((200, ""), region=region, endpoint_url=endpoint_url)
    with contextlib.suppress(TransferError):
        list_buckets(canned.sdk, "")
    assert ours == canned.sdk.target("")


# Presigned URLs


@given(
    key=st.text(min_size=1, max_size=30).filter(lambda text: text.encode("utf-8", "ignore").decode() == text),
    version=st.sampled_from(["", "v1", "a/b+c="]),
    token=st.sampled_from(["", "to/ke+n=="]),
    payer=st.booleans(),
    ttl_s=st.integers(1, 604_800),
    use=st.sampled_from([("GET", ""), ("HEAD", ""), ("DELETE", ""), ("PUT", ""), ("PUT", "text/csv; header=present")]),
)
def test_presigned_urls_are_botocores(
    key: str, version: str, token: str, payer: bool, ttl_s: int, use: tuple[Method, str]
) -> None:
    """For any key, version and token, to the byte: one signature is made again at the SDK's instant."""
    credentials = Credentials("AKIDEXAMPLE", "secret/canary", token)
    method, content_type = use
    version = "" if method == "PUT" else version
    more = {"method": method, "content_type": content_type}
    ours, url = (presign(one, "bucket", key, version, ttl_s, **more) for one in _presigners(payer, credentials))
    theirs, mine = urlsplit(url), urlsplit(ours)
    assert (mine.scheme, mine.netloc, mine.path) == (theirs.scheme, theirs.netloc, theirs.path)
    plain = theirs.query.partition("X-Amz-Algorithm")[0].rstrip("&")
    assert mine.query.startswith(plain)
    now_s = calendar.timegm(time.strptime(dict(parse_qsl(theirs.query))["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    signer = Signer(credentials, "us-east-1")
    again = signer.presign(
        method, theirs.netloc, theirs.path, query=plain, ttl_s=ttl_s, now_s=now_s, content_type=content_type
    )
    # The order of the parameters is not signed, and the SDK's two signers differ in it.
    assert sorted(again.split("&")) == sorted(theirs.query.split("&"))
    assert {piece.partition("=")[0] for piece in mine.query.split("&")} == {
        piece.partition("=")[0] for piece in theirs.query.split("&")
    }


_made: dict[bool, tuple[Any, SdkClient]] = {}


def _presigners(payer: bool, credentials: Credentials) -> tuple[Any, SdkClient]:
    if payer not in _made:
        _made[payer] = CannedLane(request_payer=payer).sdk, Canned(request_payer=payer).sdk
    lane, sdk = _made[payer]
    lane.lane.use(credentials)
    sdk.use(credentials)
    return lane, sdk


def test_a_name_that_is_no_text_is_refused() -> None:
    """Half a surrogate pair has no UTF-8, and so no request."""
    for operation in (
        lambda one: head_object(one, "bucket", "\ud800"),
        lambda one: list_page(one, "bucket", "\ud800", ""),
        lambda one: presign(one, "bucket", "\ud800", "", 60),
    ):
        with pytest.raises(UsageError, match="UTF-8"):
            operation(CannedLane().sdk)


def test_an_error_names_what_it_is_about() -> None:
    """As the SDK's do."""
    with pytest.raises(NotFound, match=r"s3://bucket/k: "):
        head_object(CannedLane((404, "")).sdk, "bucket", "k")
