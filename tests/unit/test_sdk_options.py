"""Options of an object: spelled for the SDK and as raw headers, both the same request; nothing here is sent."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.errors import UsageError
from bulkhaul.model.objects import Content
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.options import put_headers, put_parameters
from bulkhaul.wire.values import Credentials
from tests.unit.test_sdk_client import settings

FULL = ObjectOptions(
    content=Content(
        content_type="text/plain; charset=utf-8",
        content_disposition='attachment; filename="a  b.txt"',
        content_encoding="gzip",
        content_language="de",
        cache_control="max-age=60",
        expires="Wed, 21 Oct 2026 07:28:00 GMT",
        metadata={"Colour": "deep  blue", "x.y_z": "", "n": "1"},
    ),
    storage_class="STANDARD_IA",
    acl="bucket-owner-full-control",
    sse="aws:kms",
    sse_kms_key_id="arn:aws:kms:us-east-1:1:key/2",
    tags={"a b": "c&d=e+f", "ü": "/"},
)

#: What S3's API Reference says PutObject looks like for FULL.
EXPECTED = {
    "content-type": "text/plain; charset=utf-8",
    "content-disposition": 'attachment; filename="a  b.txt"',
    "content-encoding": "gzip",
    "content-language": "de",
    "cache-control": "max-age=60",
    "expires": "Wed, 21 Oct 2026 07:28:00 GMT",
    "x-amz-storage-class": "STANDARD_IA",
    "x-amz-acl": "bucket-owner-full-control",
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-east-1:1:key/2",
    "x-amz-tagging": "a%20b=c%26d%3De%2Bf&%C3%BC=%2F",
    "x-amz-meta-colour": "deep  blue",
    "x-amz-meta-x.y_z": "",
    "x-amz-meta-n": "1",
}

#: Headers of the SDK's requests that options have no part in.
_OWN = {
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "content-length",
    "content-md5",
    "expect",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-date",
    "x-amz-metadata-directive",
    "x-amz-tagging-directive",
}


@pytest.fixture(scope="module")
def sdk() -> SdkClient:
    """A client whose requests end before a socket; each reply tells the headers that it would have sent."""
    made = SdkClient(settings())
    made.use(Credentials("AKIDEXAMPLE", "secret"))

    def answer(request: Any, **_: object) -> AWSResponse:
        def told(value: object) -> str:
            return value.decode("latin-1") if isinstance(value, bytes) else str(value)

        headers = {f"sent-{name}": told(value) for name, value in request.headers.items()}
        reply = AWSResponse(request.url, 200, headers, None)
        reply._content = b""
        return reply

    made.client.meta.events.register("before-send.s3", answer)
    return made


def sent(sdk: SdkClient, operation: str, options: ObjectOptions) -> dict[str, str]:
    """Return the headers that boto3 sends because of ``options``."""
    extra = {"CopySource": {"Bucket": "b", "Key": "k"}} if operation == "copy_object" else {}
    reply = getattr(sdk.client, operation)(Bucket="b", Key="k", **extra, **put_parameters(options))
    headers = {
        name.lower().removeprefix("sent-"): value for name, value in reply["ResponseMetadata"]["HTTPHeaders"].items()
    }
    return {name: value for name, value in headers.items() if name not in _OWN}


@pytest.mark.parametrize("operation", ["create_multipart_upload", "put_object", "copy_object"])
def test_both_spellings_are_the_same_request(sdk: SdkClient, operation: str) -> None:
    """Raw headers and SDK parameters store an object alike, in the words of the S3 API."""
    assert dict(put_headers(FULL)) == EXPECTED
    assert sent(sdk, operation, FULL) == EXPECTED


_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)


@given(
    st.builds(
        ObjectOptions,
        content=st.builds(
            Content,
            content_type=_text,
            content_disposition=_text,
            cache_control=_text,
            expires=st.sampled_from(["", "0", "2026-10-21T07:28:00Z", "Wed, 21 Oct 2026 07:28:00 GMT"]),
            metadata=st.dictionaries(st.from_regex(r"[a-z0-9._-]{1,6}", fullmatch=True), _text, max_size=3),
        ),
        storage_class=st.sampled_from(["", "GLACIER"]),
        tags=st.dictionaries(st.text(max_size=6).filter(lambda text: _utf8(text)), _text, max_size=3),
    )
)
def test_any_options_are_spelled_alike(sdk: SdkClient, options: ObjectOptions) -> None:
    """Whatever the options, boto3 serialises the parameters into exactly our headers, and empty fields into none."""
    headers = put_headers(options)
    assert len(dict(headers)) == len(headers)
    assert sent(sdk, "create_multipart_upload", options) == dict(headers)


def _utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def test_outer_spaces_are_no_part_of_a_value() -> None:
    """HTTP drops them, so neither spelling sends them: what is signed is what arrives."""
    options = ObjectOptions(content=Content(cache_control=" no-store\t", metadata={"a": " b  c "}))
    assert put_headers(options) == [("cache-control", "no-store"), ("x-amz-meta-a", "b  c")]
    assert put_parameters(options) == {"CacheControl": "no-store", "Metadata": {"a": "b  c"}}


def test_no_options_are_no_headers() -> None:
    """What is not said is left to the service."""
    assert put_headers(ObjectOptions()) == []
    assert put_parameters(ObjectOptions()) == {}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (ObjectOptions(content=Content(metadata={"a": "x\r\nx-amz-acl: public-read"})), "metadata 'a'"),
        (ObjectOptions(content=Content(metadata={"a": "ü"})), "metadata 'a'"),
        (ObjectOptions(content=Content(metadata={"a b": "1"})), "'a b'"),
        (ObjectOptions(content=Content(metadata={"": "1"})), "''"),
        (ObjectOptions(content=Content(metadata={"A": "1", "a": "2"})), "'a' twice"),
        (ObjectOptions(content=Content(content_type="a\nb")), "content type"),
        (ObjectOptions(content=Content(content_disposition="attachment; filename=ü")), "content disposition"),
        (ObjectOptions(content=Content(expires="tomorrow-ish")), "expires"),
        (ObjectOptions(storage_class="A\x00"), "storage class"),
        (ObjectOptions(tags={"\ud800": "1"}), "tags"),
    ],
    ids=["forged header", "metadata not ASCII", "name with a space", "no name", "twice", "line break", "not ASCII",
         "no date", "control character", "not UTF-8"],
)  # fmt: skip
def test_what_no_header_can_carry_is_refused(options: ObjectOptions, named: str) -> None:
    """Neither spelling lets through what would be changed on the way or forge a header; the message names it."""
    for spell in (put_headers, put_parameters):
        with pytest.raises(UsageError, match=named):
            spell(options)
