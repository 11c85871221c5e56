"""A success that no S3 service reports: told as that, by either way, and not taken for a failure of the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bulkhaul.errors import OtherError, ServerError, TransferError, UnexpectedReply
from bulkhaul.model.writing import Doomed, ObjectOptions
from tests.unit.both_ways import (
    Canned,
    create_bucket,
    create_upload,
    delete_bucket,
    delete_object,
    delete_objects,
    list_buckets,
    list_page,
    list_parts,
    list_uploads,
    list_versions,
    object_tags,
    set_object_tags,
)

pytestmark = pytest.mark.usefixtures("way")

HTML = "<html><body>Welcome to nginx!</body></html>"
UNCLOSED_HTML = "<!DOCTYPE html>\n<html><head><meta charset=utf-8><br>Sign in</html>"
BINARY = "\x89PNG\r\n\x1a\n\x00\x01"
CUT = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult><Name>bucket</Na'
OTHER = "<Welcome/>"

READS: dict[str, Callable[[Any], object]] = {
    "buckets": lambda sdk: list_buckets(sdk, ""),
    "objects": lambda sdk: list_page(sdk, "bucket", "", ""),
    "versions": lambda sdk: list_versions(sdk, "bucket", "", "", ""),
    "parts": lambda sdk: list_parts(sdk, "bucket", "k", "id", 0),
    "uploads": lambda sdk: list_uploads(sdk, "bucket", "", "", ""),
    "tags": lambda sdk: object_tags(sdk, "bucket", "k", ""),
}
WRITES: dict[str, Callable[[Any], object]] = {
    "mb": lambda sdk: create_bucket(sdk, "bucket", ""),
    "rb": lambda sdk: delete_bucket(sdk, "bucket"),
    "tags set": lambda sdk: set_object_tags(sdk, "bucket", "k", "", {"a": "b"}),
    "tags rm": lambda sdk: set_object_tags(sdk, "bucket", "k", "", {}),
    "delete": lambda sdk: delete_object(sdk, "bucket", "k", ""),
    "deletes": lambda sdk: delete_objects(sdk, "bucket", [Doomed("a"), Doomed("b")]),
    "upload": lambda sdk: create_upload(sdk, "bucket", "k", ObjectOptions(), algorithm="", token=""),
}


def failed(body: str, ask: Callable[[Any], object]) -> TransferError:
    """Return how a request ends whose every reply is a success with this document."""
    canned = Canned((200, body))
    with pytest.raises(TransferError) as caught:
        ask(canned.sdk)
    return caught.value


@pytest.mark.parametrize("body", [HTML, UNCLOSED_HTML, BINARY, "Welcome!"], ids=["html", "unclosed", "binary", "text"])
@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_what_is_no_document_of_s3(name: str, body: str) -> None:
    """HTML or bytes within a success: it is told what came, and where to look; no failure of the service is made up."""
    error = failed(body, (READS | WRITES)[name])
    assert isinstance(error, UnexpectedReply)  # which is asked for once more, not eight times
    assert "success" in error.message
    assert "check --endpoint-url" in error.message
    assert "500" not in f"{error.message} {error.info.cause}"


@pytest.mark.parametrize("name", [*READS, "mb", "tags set", "upload"])
def test_a_document_that_is_cut_off(name: str) -> None:
    """XML that does not end may end the next time: a failure that passes, but not the status that the service said."""
    error = failed(CUT, (READS | WRITES)[name])
    assert isinstance(error, ServerError)
    assert error.info.status == 200
    assert "cut off" in error.message
    assert "check --endpoint-url" in error.message
    assert "500" not in f"{error.message} {error.info.cause}"


@pytest.mark.parametrize("name", [*READS, "deletes", "upload"])
def test_another_document(name: str) -> None:
    """XML of something else: what was asked for is missing in it, and the remedy is the same."""
    error = failed(OTHER, (READS | WRITES)[name])
    assert isinstance(error, UnexpectedReply | OtherError)
    assert "check --endpoint-url" in error.message


def test_an_error_within_a_success() -> None:
    """What S3 itself reports so is its failure, as before."""
    error = failed("<Error><Code>InternalError</Code><Message>m</Message></Error>", READS["objects"])
    assert isinstance(error, ServerError)
    assert error.info.service_code == "InternalError"


MADE = ["mb", "tags set", "tags rm"]


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("body", ["", OTHER], ids=["nothing", "other"])
def test_an_endpoint_that_answers_everybody(name: str, body: str) -> None:
    """An empty success without a header of S3 says nothing: what only S3 answers is asked, and no success is told."""
    error = failed(body, WRITES[name])
    assert isinstance(error, UnexpectedReply)
    assert "unknown; check --endpoint-url" in error.message


@pytest.mark.parametrize("name", MADE)
def test_a_success_with_a_header_of_s3(name: str) -> None:
    """One request is enough where the reply shows that S3 wrote it."""
    canned = Canned((200, ""), headers={"x-amz-request-id": "4442587FB7D0A2F9"})
    WRITES[name](canned.sdk)
    assert len(canned.sent) == 1


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize(
    "answers",
    [
        (200, "<ListBucketResult><IsTruncated>false</IsTruncated><TagSet/></ListBucketResult>"),
        (403, "<Error><Code>AccessDenied</Code></Error>"),
    ],
    ids=["answered", "refused"],
)
def test_a_store_without_headers_of_s3(name: str, answers: tuple[int, str]) -> None:
    """A store that sends none of them is believed once it has answered as S3 does, be it by a refusal."""
    canned = Canned((200, ""), answers)
    WRITES[name](canned.sdk)
    assert [sent.method for sent in canned.sent][1:] == ["GET"]
