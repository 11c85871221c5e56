"""Options of an object: checked where a caller says them, and one set of headers whoever sends them."""

from __future__ import annotations

import re
from collections.abc import Callable

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.cli.commands import cp
from bulkhaul.cli.option_values import carried, parsed_date, parsed_metadata
from bulkhaul.errors import UsageError
from bulkhaul.model.objects import Content
from bulkhaul.model.writing import CopySource, ObjectOptions
from bulkhaul.policy.described import checked, header_text, told_content
from bulkhaul.policy.storerules import content_of
from bulkhaul.wire.option_headers import put_headers
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.copy_object import copy_object
from bulkhaul.wire.sdk.multipart_upload import create_upload
from tests.unit.canned import Canned

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
    "amz-sdk-invocation-id", "amz-sdk-request", "authorization", "content-length", "content-md5", "expect", "host",
    "transfer-encoding", "user-agent", "x-amz-content-sha256", "x-amz-copy-source", "x-amz-date",
    "x-amz-metadata-directive", "x-amz-security-token", "x-amz-tagging-directive",
}  # fmt: skip
BEGUN = "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>"
COPIED = "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"


def create(sdk: SdkClient, options: ObjectOptions) -> None:
    """Begin an upload."""
    create_upload(sdk, "bucket", "k", options, algorithm="", token="")


def copy(sdk: SdkClient, options: ObjectOptions) -> None:
    """Copy an object."""
    copy_object(sdk, "bucket", "k", CopySource("b", "k"), options=options)


def sent(canned: Canned) -> dict[str, str]:
    """Return the headers that were sent because of options."""
    return {name: value for name, value in canned.sent[-1].headers.items() if name not in _OWN}


@pytest.fixture(scope="module")
def creating() -> Canned:
    """A client whose requests end before a socket."""
    return Canned((200, BEGUN))


def test_the_sdk_sends_the_headers_of_a_put(creating: Canned) -> None:
    """Whichever way its bytes go, an object is stored alike, in the words of the S3 API."""
    assert dict(put_headers(checked(FULL))) == EXPECTED
    create(creating.sdk, checked(FULL))
    assert sent(creating) == EXPECTED
    copying = Canned((200, COPIED))
    copy(copying.sdk, checked(FULL))
    assert sent(copying) == EXPECTED


_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12).map(str.strip)


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
def test_any_options_are_sent_as_they_are(creating: Canned, options: ObjectOptions) -> None:
    """Whatever the options, the SDK sends exactly our headers, and none for empty fields."""
    headers = put_headers(checked(options))
    assert len(dict(headers)) == len(headers)
    create(creating.sdk, checked(options))
    assert sent(creating) == dict(headers)


def _utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def test_a_copy_that_keeps_all_says_nothing_of_it() -> None:
    """To keep metadata and tags is what the service does unasked, and some stores refuse to be told so.

    Class and redirect are never copied along: they go with it.
    """
    canned = Canned((200, COPIED))
    copy_object(
        canned.sdk, "bucket", "k", CopySource("b", "k"), options=None,
        storage_class="GLACIER", website_redirect="/new",
    )  # fmt: skip
    assert sent(canned) == {"x-amz-storage-class": "GLACIER", "x-amz-website-redirect-location": "/new"}
    assert not [name for name in canned.sent[0].headers if name.endswith("-directive")]
    copy(canned.sdk, ObjectOptions(content=Content(content_type="a/b")))
    assert canned.sent[1].headers["x-amz-metadata-directive"] == "REPLACE"
    assert "x-amz-tagging-directive" not in canned.sent[1].headers


def test_outer_spaces_are_no_part_of_a_value() -> None:
    """HTTP drops those that a service told, so they are not sent back: what is signed is what arrives."""
    options = ObjectOptions(content=Content(cache_control=" no-store\t", metadata={"a": " b  c "}))
    assert put_headers(options) == [("cache-control", "no-store"), ("x-amz-meta-a", "b  c")]


def test_no_options_are_no_headers() -> None:
    """What is not said is left to the service."""
    assert put_headers(checked(ObjectOptions())) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (ObjectOptions(content=Content(metadata={"a": "x\r\nx-amz-acl: public-read"})), "metadata 'a'"),
        (ObjectOptions(content=Content(metadata={"a": "ü"})), "metadata 'a'"),
        (ObjectOptions(content=Content(metadata={"a b": "1"})), "'a b'"),
        (ObjectOptions(content=Content(metadata={"": "1"})), "''"),
        (ObjectOptions(content=Content(metadata={"A": "1", "a": "2"})), "'a' is given twice"),
        (ObjectOptions(content=Content(metadata={"a": " x"})), "metadata 'a'"),
        (ObjectOptions(content=Content(content_type="a\nb")), "content type"),
        (ObjectOptions(content=Content(cache_control="no-store\t")), "cache control"),
        (ObjectOptions(content=Content(content_disposition="attachment; filename=ü")), "content disposition"),
        (ObjectOptions(content=Content(expires="tomorrow-ish")), "expires"),
        (ObjectOptions(storage_class="A\x00"), "storage class"),
        (ObjectOptions(tags={"\ud800": "1"}), "tags"),
    ],
    ids=["forged header", "metadata not ASCII", "name with a space", "no name", "twice", "outer space", "line break",
         "outer tab", "not ASCII", "no date", "control character", "not UTF-8"],
)  # fmt: skip
def test_what_no_header_can_carry_is_refused(options: ObjectOptions, named: str) -> None:
    """What a caller says must arrive unchanged, and forge no header; the message names it."""
    with pytest.raises(UsageError, match=named):
        checked(options)


# What a service has stored

#: UTF-8 in headers, as HTTP libraries give it: a letter for each byte.
MOJIBAKE = "attachment; filename=\u00e2\u0082\u00ac \u00c3\u00a0.pdf"
WHO = "J\u00c3\u00b6rg"
TOLD = Content(content_type="text/\xfc", content_disposition=MOJIBAKE, expires="never", metadata={"who": WHO})


def test_what_a_service_told_goes_back_as_it_came(creating: Canned) -> None:
    """Bytes beyond ASCII, and an Expires that is no date, are kept byte for byte, whoever sends them."""
    options = ObjectOptions(content=msgspec.structs.replace(TOLD, content_type="text/x"))
    expected = {
        "content-type": "text/x",
        "content-disposition": MOJIBAKE,
        "expires": "never",
        "x-amz-meta-who": WHO,
    }
    assert dict(put_headers(options)) == expected
    create(creating.sdk, options)
    assert sent(creating) == expected  # the canned client reads bytes as latin-1


def test_headers_are_shown_in_letters() -> None:
    """People see the text that was meant; what is no UTF-8 is shown as HTTP says, letter by letter."""
    shown = told_content(TOLD)
    assert shown.content_disposition == "attachment; filename=€ à.pdf"
    assert shown.metadata == {"who": "Jörg"}
    assert shown.content_type == "text/ü"
    assert header_text("plain") == "plain"


@pytest.mark.parametrize("value", ["a\r\nx-amz-acl: public-read", "a\x00", "a\x7f", "€"])
def test_nothing_forges_a_header(value: str) -> None:
    """Also what a service told is not sent where it would be more than one header, or none."""
    with pytest.raises(UsageError, match=re.escape("metadata 'a'")):
        put_headers(ObjectOptions(content=Content(metadata={"a": value})))


@pytest.mark.parametrize("text", ["", "a", "a b", "a\tb", "~", " a", "a ", "\ta", "a\t", "a\nb", "\x7f", "é"])
def test_stores_engines_and_commands_carry_the_same_texts(text: str) -> None:
    """A text that one of them takes the others take too, and unchanged; what one refuses they all refuse."""
    context = click.Context(cp.cp)
    option = next(one for one in cp.cp.params if one.name == "content_disposition")
    taken: list[object] = []
    ways: tuple[Callable[[], object], ...] = (
        lambda: content_of(text).content_disposition,
        lambda: content_of(metadata={"a": text}).metadata["a"],
        lambda: checked(ObjectOptions(content=Content(content_disposition=text))).content.content_disposition,
        lambda: checked(ObjectOptions(content=Content(metadata={"a": text}))).content.metadata["a"],
        lambda: carried(context, option, text),
        lambda: parsed_metadata(context, option, (f"a={text}",))["a"],
    )
    for take in ways:
        try:
            taken.append(take())
        except (UsageError, click.BadParameter):
            taken.append(None)
    assert taken == [text if text in ("", "a", "a b", "a\tb", "~") else None] * 6


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Tue, 31 Dec 2030 23:59:59 GMT", "Tue, 31 Dec 2030 23:59:59 GMT"),
        ("2031-01-01T01:59:59+02:00", "Tue, 31 Dec 2030 23:59:59 GMT"),
        ("20301231", "Tue, 31 Dec 2030 00:00:00 GMT"),
        ("1924991999", "Tue, 31 Dec 2030 23:59:59 GMT"),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
    ],
)
def test_engines_and_commands_read_the_same_dates(text: str, stored: str | None) -> None:
    """Seconds since 1970 are a date for both, and eight digits are a day for both."""
    context = click.Context(cp.cp)
    option = next(one for one in cp.cp.params if one.name == "expires")
    if stored is None:
        with pytest.raises(UsageError):
            checked(ObjectOptions(content=Content(expires=text)))
        with pytest.raises(click.BadParameter):
            parsed_date(context, option, text)
    else:
        assert checked(ObjectOptions(content=Content(expires=text))).content.expires == stored
        assert parsed_date(context, option, text) == stored
