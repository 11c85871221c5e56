"""What an endpoint does not take is left out once it is known, and nothing is left out that it takes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from bulkhaul.errors import AccessDenied, NotFound, OtherError, ServerError, TransferError
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.writing import Doomed, NotDeleted, Stored, UploadedPart
from bulkhaul.policy.endpoints import may_go_without
from bulkhaul.wire.learned import CHECKSUM_MODE, OBJECT_SIZE, Learned
from bulkhaul.wire.sdk.client import SdkClient
from tests.unit.both_ways import Canned, Client, complete_upload, delete_objects, head_object
from tests.unit.canned import Canned as CannedSdk

LENGTH = {"Content-Length": "5", "ETag": '"e"'}
COMPLETED = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"


class Bucket(CannedSdk):
    """A client whose SDK may look for the bucket's region after a bare 400; that is answered, and not counted."""

    def _answer(self, request: Any, **more: object) -> AWSResponse:
        if request.method == "HEAD" and request.url.endswith("/bucket"):
            found = AWSResponse(request.url, 200, {}, None)
            found._content = b""
            return found
        reply = super()._answer(request, **more)
        reply.raw = io.BytesIO(reply.content)
        return reply


def bucket(*replies: tuple[int, str], **more: Any) -> Any:
    """Return a client of the way that is tested."""
    return Bucket(*replies, **more) if isinstance(Canned().sdk, SdkClient) else Canned(*replies, **more)


def error(code: str) -> str:
    """Return an error document."""
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>"


def modes(canned: Any) -> list[bool]:
    """Return which HEADs asked for the stored checksum."""
    return [CHECKSUM_MODE in one.headers for one in canned.sent if one.method == "HEAD"]


def delete(sdk: Client) -> tuple[NotDeleted, ...]:
    """Delete two keys."""
    return delete_objects(sdk, "bucket", [Doomed("a"), Doomed("b")])


def complete(sdk: Client) -> Stored:
    """Complete an upload of one part."""
    parts = [UploadedPart(1, 7, '"a"')]
    return complete_upload(sdk, "bucket", "k", "id", parts, size_bytes=7, algorithm="", checksum="")


@pytest.mark.usefixtures("way")
def test_a_head_that_may_not_ask_for_the_checksum() -> None:
    """A bare 400 that a GET cannot explain is tried without the header; where that works it is never sent again."""
    canned = bucket((400, ""), (206, "x"), (400, ""), (200, ""), headers=LENGTH)
    for _ in range(2):
        assert head_object(canned.sdk, "bucket", "k").size == 5
    assert modes(canned) == [True, True, False, False]
    assert [one.method for one in canned.sent].count("GET") == 1


@pytest.mark.usefixtures("way")
def test_a_head_that_is_refused_by_name() -> None:
    """A 501 needs no explanation: the header is left out at once."""
    canned = bucket((501, ""), (200, ""), headers=LENGTH)
    assert head_object(canned.sdk, "bucket", "k").size == 5
    assert modes(canned) == [True, False]
    assert {one.method for one in canned.sent} == {"HEAD"}


@pytest.mark.usefixtures("way")
def test_a_head_of_a_service_that_takes_it_costs_nothing_more() -> None:
    """One request for one question."""
    canned = Canned((200, ""), headers=LENGTH)
    head_object(canned.sdk, "bucket", "k")
    assert modes(canned) == [True]


@pytest.mark.usefixtures("way")
def test_nothing_is_learnt_from_a_head_that_fails_all_the_same() -> None:
    """The next question asks for the checksum again: that was not what was wrong."""
    canned = bucket((501, ""), (404, ""), (200, ""), headers=LENGTH)
    with pytest.raises(NotFound):
        head_object(canned.sdk, "bucket", "k")
    head_object(canned.sdk, "bucket", "k")
    assert modes(canned) == [True, False, True]


@pytest.mark.usefixtures("way")
def test_a_bare_400_is_explained_by_a_get() -> None:
    """A HEAD has no body to say why; the GET's reason is what is told."""
    canned = bucket((400, ""), (400, error("UserKeyMustBeSpecified")), headers=LENGTH)
    with pytest.raises(OtherError, match="UserKeyMustBeSpecified"):
        head_object(canned.sdk, "bucket", "k")
    assert [one.method for one in canned.sent] == ["HEAD", "GET"]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("get", [(206, "x"), (416, error("InvalidRange"))], ids=["with bytes", "empty"])
def test_a_head_is_asked_again_where_the_get_found_the_way(get: tuple[int, str]) -> None:
    """The SDK follows a GET to the bucket's region, and knows it from then on: the question is answered there."""
    canned = bucket((400, ""), get, (200, ""), headers=LENGTH)
    assert head_object(canned.sdk, "bucket", "k").size == 5
    assert [one.method for one in canned.sent] == ["HEAD", "GET", "HEAD"]
    assert modes(canned) == [True, True], "nothing was wrong with the header"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "InvalidArgument"), (400, "NotImplemented"), (400, "InvalidURI"), (403, "Forbidden"), (404, "NoSuchKey"),
     (405, "MethodNotAllowed"), (501, "NotImplemented")],
)  # fmt: skip
def test_a_store_that_has_no_batches_of_deletes(status: int, code: str) -> None:
    """However it says so, keys are deleted one by one; the next batch is not tried at all."""
    canned = Canned((status, error(code)), (204, ""))
    assert delete(canned.sdk) == delete(canned.sdk) == ()
    assert [one.method for one in canned.sent] == ["POST", *["DELETE"] * 4]


@pytest.mark.usefixtures("way")
def test_a_store_that_answers_batches_with_500_for_ever() -> None:
    """A failure that may pass is tried again by the engine; the third in a row is taken for the endpoint's way."""
    canned = Canned((500, error("InternalError")), (500, error("InternalError")), (500, ""), (204, ""))
    for _ in range(2):
        with pytest.raises(ServerError):
            delete(canned.sdk)
    assert delete(canned.sdk) == ()
    assert [one.method for one in canned.sent] == ["POST", "POST", "POST", "DELETE", "DELETE"]


@pytest.mark.usefixtures("way")
def test_what_is_refused_to_a_single_key_too_is_no_matter_of_batches() -> None:
    """Credentials that may not delete are told so after one more request, not after a thousand."""
    canned = Canned((403, error("AccessDenied")))
    with pytest.raises(AccessDenied):
        delete(canned.sdk)
    assert [one.method for one in canned.sent] == ["POST", "DELETE"]


@pytest.mark.usefixtures("way")
def test_a_batch_is_protected_by_md5_alone() -> None:
    """Stores that refuse checksum headers refuse the SDK's CRC32; the MD5 was always part of the API."""
    canned = Canned((200, "<DeleteResult/>"))
    delete(canned.sdk)
    (sent,) = canned.sent
    assert "content-md5" in sent.headers
    assert not [name for name in sent.headers if name.startswith(("x-amz-checksum", "x-amz-sdk"))]


@pytest.mark.usefixtures("way")
def test_the_size_of_the_object_is_left_out_where_it_is_refused() -> None:
    """Complete tells the size as a check; a store that refuses the header loses the check, not the upload."""
    canned = Canned((400, error("InvalidArgument")), (200, COMPLETED))
    assert complete(canned.sdk).etag == complete(canned.sdk).etag == '"e"'
    assert [OBJECT_SIZE in one.headers for one in canned.sent] == [True, False, False]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("status", "code"), [(400, "InvalidPart"), (404, "NoSuchUpload"), (403, "AccessDenied")])
def test_a_refused_complete_is_not_sent_twice(status: int, code: str) -> None:
    """Only what may be about a header is tried without it."""
    canned = Canned((status, error(code)))
    with pytest.raises(TransferError):
        complete(canned.sdk)
    assert len(canned.sent) == 1


def test_what_is_documented_need_not_be_learnt() -> None:
    """Backblaze B2 and Google Cloud Storage are never asked for checksums; AWS always is, and is never doubted."""
    learned, refusal = Learned(), ErrorInfo("OtherError", "no", status=400, service_code="InvalidArgument")
    for host in ("s3.eu-central-003.backblazeb2.com", "storage.googleapis.com"):
        assert not learned.takes(host, CHECKSUM_MODE)
    assert learned.takes("s3.eu-west-1.amazonaws.com", CHECKSUM_MODE)
    assert not may_go_without("s3.eu-west-1.amazonaws.com", refusal)
    assert may_go_without("minio.example.com", refusal)
