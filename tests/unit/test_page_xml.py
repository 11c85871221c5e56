"""The quick reading of a page: the same as the SDK's wherever it reads at all, and never a guess."""

from __future__ import annotations

import contextlib
import re
from typing import Any
from unittest.mock import patch
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.engine.messages.requests import ListPage
from bulkhaul.engine.worker import control
from bulkhaul.engine.worker.control import Asked, answer
from bulkhaul.errors import OtherError, TransferError, UnexpectedReply
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.wire.learned import PAGES_V2
from bulkhaul.wire.sdk.list_objects import list_folder, list_page
from bulkhaul.wire.sdk.list_versions import list_versions
from bulkhaul.wire.sdk.listing_checks import require_bucket
from bulkhaul.wire.sdk.page_xml import QUICKLY_READ, read_page
from tests.unit.canned import Canned
from tests.unit.test_sdk_client import settings

ADDRESS = re.compile("0x[0-9a-f]+")
XMLNS = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>&quot;{etag}&quot;</ETag>"
    "<Size>{size}</Size>{more}</Contents>"
)


def page(*content: str, attributes: str = XMLNS, about: str = "<IsTruncated>false</IsTruncated>") -> str:
    """Return a page with these items in it."""
    inside = "".join(content)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult{attributes}>{about}{inside}</ListBucketResult>'


def entry(key: str = "k", size: object = 1, modified: str = "2024-05-17T12:34:56.000Z", more: str = "") -> str:
    """Return one item; the key is written as it is."""
    return ENTRY.format(key=key, size=size, modified=modified, etag="e", more=more)


class Readings:
    """One reply, read both ways."""

    def __init__(self, quick: Canned, slow: Canned) -> None:
        self._quick, self._slow = quick, slow

    def both(self, body: str) -> tuple[object, object]:
        """Return what a page of the folder reads as: by us, and by the SDK alone."""
        found: list[object] = []
        for canned in (self._quick, self._slow):
            canned.replies = [(200, body)]
            try:
                found.append(list_folder(canned.sdk, "bucket", "", ""))
            except (TransferError, ValueError, OverflowError, TypeError) as error:
                found.append(error)
        quick, slow = (found[0], found[1])
        if isinstance(quick, Exception) or ADDRESS.search(repr(quick)):  # the SDK's own garbage
            return ADDRESS.sub("", repr(quick)), ADDRESS.sub("", repr(slow))
        return quick, slow


@pytest.fixture(scope="module")
def readings() -> Readings:
    """Two clients, one without the hook."""
    quick, slow = Canned((200, "")), Canned((200, ""))
    slow.sdk.client.meta.events.unregister("before-parse.s3.*", read_page)
    return Readings(quick, slow)


def read_quickly(body: str) -> dict[str, Any]:
    """Return what the hook makes of a body, empty if it leaves it to the SDK."""
    read: dict[str, Any] = {}
    reply = {"status_code": 200, "body": body.encode()}
    read_page(type("Model", (), {"name": "ListObjectsV2"}), reply, read)
    assert reply["body"] == (b"" if read else body.encode())
    return read


OWNER = "<Owner><ID>0123</ID><DisplayName>me</DisplayName></Owner>"
TRUNCATED = "<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>"
URL = "<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><Prefix/><Delimiter>%2F</Delimiter>"

PLAIN = [
    page(),
    page(attributes=""),
    page(entry()),
    page(entry(), entry("b", 5 * 2**40)),
    page(entry("a b&amp;c&lt;&#x1F600;&#10;&apos;&#39;")),
    page(entry("a%20b+c%2Bd%0A%01/é"), about=URL),
    page(entry("a%20b+c"), "<CommonPrefixes><Prefix>x%2By/</Prefix></CommonPrefixes>", about=URL),
    page(entry("a%20b+c")),
    page(entry(more=f"<StorageClass>GLACIER</StorageClass>{OWNER}")),
    page(entry(more="<StorageClass>STANDARD</StorageClass><ChecksumType>COMPOSITE</ChecksumType>")),
    page(entry(), about=TRUNCATED),
    page(entry(modified="2024-05-17T12:34:56Z"), entry(modified="2024-05-17T12:34:56.123Z")),
    page(entry(modified="2024-05-17T12:34:56+02:00"), entry(modified="Fri, 17 May 2024 12:34:56 GMT")),
    page(entry(" leading and trailing ")),
    page("\n  ", entry(), "\n", "<CommonPrefixes>\n<Prefix>f/</Prefix></CommonPrefixes>", "\n"),
]

LEFT_TO_THE_SDK = [
    "",
    "<html>welcome</html>",
    page(entry())[:-3],
    page(entry()) + "x",
    page(about=""),
    page(about="<IsTruncated>false</IsTruncated><IsTruncated>true</IsTruncated>"),
    page(entry("a<!-- b -->")),
    page(entry("<![CDATA[a&b]]>")),
    page(entry("&unknown;")),
    page(entry("a & b")),
    page(entry("a\rb")),
    page(entry("a\x01b")),
    page(entry("&#1;")),
    page(entry("a]]>b")),
    page(entry("")),
    page(entry(size="-1")),
    page(entry(size="")),
    page(entry(more="<Key>second</Key>")),
    page(entry(modified="")),
    page(entry(more="<Nested><Key>inner</Key></Nested>")),
    page(entry(more='<StorageClass a="b">GLACIER</StorageClass>')),
    page("<CommonPrefixes><Prefix>a/</Prefix><Prefix>b/</Prefix></CommonPrefixes>"),
    page("<Owner><ID>1</ID></Owner>"),
    '<!DOCTYPE x [<!ENTITY e "v">]>' + page(entry("&e;"))[39:],
    "<Error><Code>SlowDown</Code><Message>slow</Message></Error>",
]


@pytest.mark.parametrize("body", PLAIN)
def test_a_plain_page_reads_as_the_sdk_reads_it(readings: Readings, body: str) -> None:
    """What services write is read quickly, and exactly as the SDK reads it."""
    assert QUICKLY_READ in read_quickly(body)
    quick, slow = readings.both(body)
    assert isinstance(quick, ObjectsPage), quick
    assert quick == slow


@pytest.mark.parametrize("body", LEFT_TO_THE_SDK)
def test_anything_else_is_the_sdk_s(readings: Readings, body: str) -> None:
    """What is not plainly a page is left alone, and ends as it would without us."""
    assert read_quickly(body) == {}
    quick, slow = readings.both(body)
    assert quick == slow


@given(
    key=st.text(min_size=1, max_size=20),
    size=st.integers(-3, 2**63) | st.text(max_size=3),
    url=st.booleans(),
    more=st.sampled_from(["", OWNER, "<StorageClass>x</StorageClass>", "<Size>1</Size>", "<!-- -->", "<a/>", "\n"]),
    cut=st.integers(0, 400),
)
def test_both_readings_agree(readings: Readings, key: str, size: object, url: bool, more: str, cut: int) -> None:
    """Whatever a page holds, wherever it is cut: quickly or not, the same comes out."""
    key = key.encode("utf-8", "replace").decode()
    body = page(
        entry(escape(key), escape(str(size)), more=more), about=URL if url else "<IsTruncated>false</IsTruncated>"
    )
    body = body[: len(body) - cut] if cut > 350 else body
    quick, slow = readings.both(body.encode("utf-8", "replace").decode())
    assert quick == slow


def test_the_sdk_parses_nothing_of_it() -> None:
    """The hook runs before everything that parses a reply: the SDK's private name that this needs still works."""
    canned = Canned((200, page(entry())))
    with patch("botocore.handlers.ETree.XMLParser", side_effect=AssertionError("parsed for an error")):
        assert len(list_page(canned.sdk, "bucket", "", "").objects) == 1


def test_errors_are_not_pages() -> None:
    """A reply of another status is not looked at."""
    read: dict[str, Any] = {}
    read_page(type("Model", (), {"name": "ListObjectsV2"}), {"status_code": 503, "body": page().encode()}, read)
    read_page(type("Model", (), {"name": "ListObjects"}), {"status_code": 200, "body": page().encode()}, read)
    assert read == {}


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (TRUNCATED, ["a&b="]),
        (TRUNCATED.replace("true", "false"), []),
        (TRUNCATED.replace("</NextContinuationToken>", "</NextContinuationToken><!-- -->"), []),
        (TRUNCATED * 2, []),
        (TRUNCATED.replace("&amp;", "&#13;"), []),
        ("<IsTruncated>false</IsTruncated><NextContinuationToken></NextContinuationToken>", []),
    ],
    ids=["plain", "the last page", "with a comment", "twice", "a carriage return", "empty"],
)
def test_the_next_token_is_told_before_the_page_is_read(about: str, told: list[str]) -> None:
    """It is told early where it has one reading, once, and then is what the page says; else it comes with the page."""
    canned = Canned((200, page(entry(), about=about)))
    heard: list[str] = []
    with contextlib.suppress(TransferError):
        found = list_page(canned.sdk, "bucket", "", "", on_token=heard.append)
        assert heard in ([], [found.next_token])
    assert heard == told
    list_page(Canned((200, page(entry(), about=TRUNCATED))).sdk, "bucket", "", "")
    assert heard == told


@pytest.mark.parametrize(
    "alias",
    [
        "point-0123-s3alias", "point-0123-ext-s3alias", "point-0123--op-s3", "point--usw2-az1--xa-s3", "m0123.mrap",
        "arn:aws:s3:us-west-2:123456789012:accesspoint/point",
    ],
)  # fmt: skip
def test_an_alias_is_answered_with_the_bucket_that_it_stands_for(alias: str) -> None:
    """Access points of buckets, of Outposts and of directory buckets; any other name must be the bucket's own."""
    require_bucket("bucket", alias, "s3://point")
    require_bucket("", "bucket", "s3://bucket")
    require_bucket(None, "bucket", "s3://bucket")
    with pytest.raises(UnexpectedReply, match="another bucket"):
        require_bucket("bucket", "bucket-2", "s3://bucket-2")


KINDS = ("second version", "first version", "versions")
ENCODED = "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"


def listed_keys(body: str, kind: str) -> list[str]:
    """Return the keys of a page, as each of the listings reads it."""
    canned = Canned((200, body))
    if kind == "versions":
        canned.replies = [(200, body.replace("Contents>", "Version>"))]
        return [one.key for one in list_versions(canned.sdk, "bucket", "", "", "").versions]
    if kind == "first version":
        canned.sdk.does_without(PAGES_V2)
    return [one.key for one in list_page(canned.sdk, "bucket", "", "").objects]


@pytest.mark.parametrize("kind", KINDS)
def test_a_replacement_character_is_one_of_the_key(kind: str) -> None:
    """Programs that took a name for another encoding have stored it so; the key is listed, and can be removed."""
    for about, key in ((ENCODED, "a%EF%BF%BDb"), ("<IsTruncated>false</IsTruncated>", "a\ufffdb")):
        assert listed_keys(page(entry(key), about=about), kind) == ["a\ufffdb"]
        assert listed_keys(page(entry(key), "<!-- read by the SDK -->", about=about), kind) == ["a\ufffdb"]


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        *((kind, entry("a%FFb")) for kind in KINDS),
        *((kind, "<CommonPrefixes><Prefix>a%FFb/</Prefix></CommonPrefixes>") for kind in KINDS),
        ("first version", "<NextMarker>a%FFb</NextMarker>"),
        ("versions", "<NextKeyMarker>a%FFb</NextKeyMarker>"),
    ],
)
def test_what_is_not_utf_8_is_no_key(kind: str, bad: str) -> None:
    """The SDK would put replacement characters in its place, and make another key of it."""
    with pytest.raises(UnexpectedReply, match="not valid UTF-8"):
        listed_keys(page(entry(), bad, about=ENCODED), kind)


def test_a_page_may_end_with_any_key() -> None:
    """Where the token is the last key, as with Ceph, or the marker is, it may hold line breaks and the like."""
    about = "<IsTruncated>true</IsTruncated>{}"
    token = "<NextContinuationToken>a&#10;b\u0085c</NextContinuationToken>"
    found = list_page(Canned((200, page(entry(), about=about.format(token)))).sdk, "bucket", "", "")
    assert found.next_token == "a\nb\x85c"
    marker = "<EncodingType>url</EncodingType><NextMarker>a%0Ab%C2%85c</NextMarker>"
    canned = Canned((200, page(entry(), about=about.format(marker))), (200, page(entry())))
    canned.sdk.does_without(PAGES_V2)
    found = list_page(canned.sdk, "bucket", "", "")
    list_page(canned.sdk, "bucket", "", found.next_token)
    assert canned.sent[-1].query["marker"] == "a\nb\x85c"


def test_a_token_is_never_taken_for_a_key() -> None:
    """A worker that was told of ListObjectsV2 by another one's token asks with it, whatever it has learnt itself.

    As the marker of ListObjects it would skip every key before it.
    """
    canned = Canned((200, page(entry())))
    canned.sdk.does_without(PAGES_V2)
    list_page(canned.sdk, "bucket", "", "t0ken")
    assert canned.sent[-1].query.get("continuation-token") == "t0ken"
    assert "marker" not in canned.sent[-1].query


def test_the_next_token_travels_ahead_of_the_page() -> None:
    """A worker tells it at once, while it has the rest to read yet."""
    canned = Canned((200, page(entry("one"), about=TRUNCATED)))
    ahead: list[str] = []
    listed, _ = answer(ListPage("bucket", "", ""), Asked(settings(), canned.sdk, -1, ahead.append))
    assert ahead == ["a&b="]
    assert isinstance(listed, ObjectsPage)
    assert ([one.key for one in listed.objects], listed.next_token) == (["one"], "a&b=")


@pytest.mark.parametrize("whole", ["three", ""], ids=["another place", "no place"])
def test_a_page_that_contradicts_its_early_token_is_an_error(monkeypatch: pytest.MonkeyPatch, whole: str) -> None:
    """Which of the two is right cannot be known, so nothing is listed that may have a gap."""

    def contradicting(*arguments: Any) -> ObjectsPage:
        arguments[-1]("two")
        return ObjectsPage((ObjectHead("a", 1),), whole)

    monkeypatch.setattr(control, "list_page", contradicting)
    with pytest.raises(OtherError, match="two places"):
        answer(ListPage("bucket", "", ""), Asked(settings(), Canned().sdk, -1, lambda _: None))
