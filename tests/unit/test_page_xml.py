"""The reading of a page by the lane: the same as the SDK's, and never a guess."""

from __future__ import annotations

import contextlib
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.errors import OtherError, Throttled, TransferError, UnexpectedReply
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.wire import documents, listing
from bulkhaul.wire.lane.list_objects import PAGE
from bulkhaul.wire.learned import PAGES_V2
from bulkhaul.wire.replies.listing_checks import require_bucket
from tests.unit.both_ways import Canned as CannedEither
from tests.unit.both_ways import list_folder, list_page, list_versions
from tests.unit.canned import Canned
from tests.unit.canned_lane import CannedLane

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
    """One reply, read by the lane and by the SDK."""

    def __init__(self, lane: CannedLane, sdk: Canned) -> None:
        self._clients: tuple[CannedLane | Canned, ...] = (lane, sdk)

    def both(self, body: str) -> tuple[object, object]:
        """Return what a page of the folder reads as: by the lane, and by the SDK; an error by its kind and cause."""
        found: list[object] = []
        for canned in self._clients:
            canned.replies = [(200, body)]
            canned.sdk.learned._refused.clear()
            try:
                found.append(list_folder(canned.sdk, "bucket", "", ""))
            except TransferError as error:
                found.append((type(error), error.info.status, error.info.service_code))
        return found[0], found[1]


@pytest.fixture(scope="module")
def readings() -> Readings:
    """Two clients."""
    return Readings(CannedLane(), Canned())


OWNER = "<Owner><ID>0123</ID><DisplayName>me</DisplayName></Owner>"
TRUNCATED = "<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>"
URL = "<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><Prefix/><Delimiter>%2F</Delimiter>"

SWAPPED = (
    "<Contents><Size>7</Size><ETag>&quot;f&quot;</ETag><LastModified>2024-05-17T12:34:56.000Z</LastModified>"
    "<Key>swapped</Key></Contents>"
)

PLAIN = [
    page(),
    page(attributes=""),
    page(entry()),
    page(entry(), entry("b", 5 * 2**40)),
    page(entry("a b&amp;c&lt;&#x1F600;&#10;&apos;&#39;")),
    page(entry("a%20b+c%2Bd%0A%01/é"), about=URL),
    page(entry("a%20b+c"), "<CommonPrefixes><Prefix>x%2By/</Prefix></CommonPrefixes>", about=URL),
    page(entry("a%20b+c")),
    page(entry("a%20b"), entry("b+c"), entry("d"), about=URL),
    page(*(entry(f"{number:03}", number, more="<StorageClass>STANDARD</StorageClass>") for number in range(50))),
    page(
        entry("a", more="<StorageClass>STANDARD</StorageClass>"),
        entry("b", more="<StorageClass>GLACIER</StorageClass>"),
    ),
    page(entry("a"), entry("b", more="<StorageClass>GLACIER</StorageClass>"), entry("c")),
    page(entry("a"), "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>", entry("c")),
    page("<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>", entry("b"), entry("c")),
    page(*(entry(key, more=f"<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>{OWNER}") for key in "abc")),
    page(*(entry(key, more="<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumAlgorithm/>") for key in "abc")),
    page(*(entry(key, more="<ChecksumType>FULL_OBJECT</ChecksumType>") for key in "abc")),
    page(entry("a"), entry("b"), entry("c", modified="2024-05-17T12:34:56.789Z")),
    page(entry("a"), SWAPPED, entry("c")),
    page(SWAPPED, SWAPPED.replace("swapped", "again")),
    page(entry("a"), "<Contents><Key>b</Key><Size>7</Size></Contents>", entry("c")),
    page(entry(more=f"<StorageClass>GLACIER</StorageClass>{OWNER}")),
    page(entry(more="<StorageClass>STANDARD</StorageClass><ChecksumType>COMPOSITE</ChecksumType>")),
    page(entry(), about=TRUNCATED),
    page(entry(modified="2024-05-17T12:34:56Z"), entry(modified="2024-05-17T12:34:56.123Z")),
    page(entry(modified="2024-05-17T12:34:56+02:00"), entry(modified="Fri, 17 May 2024 12:34:56 GMT")),
    page(entry(" leading and trailing ")),
    page("\n  ", entry(), "\n", "<CommonPrefixes>\n<Prefix>f/</Prefix></CommonPrefixes>", "\n"),
]

ODD = [
    page(entry("a<!-- b -->")),
    page(entry("<![CDATA[a&b]]>")),
    page(entry("a\rb")),
    page(entry(more="<Nested><Key>inner</Key></Nested>")),
    page(entry(more='<StorageClass a="b">GLACIER</StorageClass>')),
    page("<Owner><ID>1</ID></Owner>"),
]


@pytest.mark.parametrize("body", PLAIN)
def test_a_plain_page_reads_as_the_sdk_reads_it(readings: Readings, body: str) -> None:
    """What services write reads exactly as the SDK reads it."""
    lane, sdk = readings.both(body)
    assert isinstance(lane, ObjectsPage), lane
    assert lane == sdk


@pytest.mark.parametrize("body", ODD)
def test_what_is_odd_reads_as_the_sdk_reads_it(readings: Readings, body: str) -> None:
    """What no service writes has one reading all the same, or is refused by both."""
    lane, sdk = readings.both(body)
    assert lane == sdk


REFUSED = [
    "",
    "<html>welcome</html>",
    page(entry())[:-3],
    page(entry()) + "x",
    page(about=""),
    page(about="<IsTruncated>false</IsTruncated><IsTruncated>true</IsTruncated>"),
    page(about="<IsTruncated>yes</IsTruncated>"),
    page(entry("&unknown;")),
    page(entry("a & b")),
    page(entry("a\x01b")),
    page(entry("&#1;")),
    page(entry("a]]>b")),
    page(entry("")),
    page(entry(size="-1")),
    page(entry(size="")),
    page(entry(size="1_0")),
    page(entry(size="\u0661")),
    page(entry(more="<Key>second</Key>")),
    page(entry(modified="")),
    page(entry(modified="2024-13-17T12:34:56Z")),
    page("<CommonPrefixes><Prefix>a/</Prefix><Prefix>b/</Prefix></CommonPrefixes>"),
    page(entry("<b>k</b>")),
    '<!DOCTYPE x [<!ENTITY e "v">]>' + page(entry("&e;"))[39:],
    "<!DOCTYPE x>" + page(entry())[39:],
    "<Error><Code>SlowDown</Code><Message>slow</Message></Error>",
]


@pytest.mark.parametrize("body", REFUSED)
def test_a_page_without_one_reading_is_refused(readings: Readings, body: str) -> None:
    """By both, as the same error."""
    lane, sdk = readings.both(body)
    assert not isinstance(lane, ObjectsPage), lane
    assert lane == sdk


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize(
    "bad",
    [
        entry("elsewhere"),
        entry("p/" + "x" * 5000),
        entry(""),
        entry("p/x", "-1"),
        entry("p/x", "9" * 30),
        entry("p/x", ""),
        entry("p/x").replace("&quot;e&quot;", "&quot;e"),
        "<Contents><Key>p/x</Key></Contents>",
    ],
    ids=["prefix", "long key", "no key", "negative", "large", "empty size", "ETag", "no size"],
)
def test_one_item_that_can_be_none_refuses_the_page(bad: str, at: int) -> None:
    """Wherever it stands among others that are alike."""
    items = [entry("p/a"), entry("p/b")]
    items.insert(at, bad)
    canned = CannedLane()
    canned.replies = [(200, page(*items))]
    with pytest.raises((OtherError, UnexpectedReply)):
        list_page(canned.sdk, "bucket", "p/", "")


def test_a_field_beside_the_items_is_of_none_of_them() -> None:
    """What follows the last item is not taken for a field that it lacks."""
    items = "<Contents><Key>a</Key><Size>1</Size></Contents><Contents><Key>b</Key></Contents><Size>2</Size>"
    canned = CannedLane()
    canned.replies = [(200, page(items))]
    with pytest.raises((OtherError, UnexpectedReply)):
        list_page(canned.sdk, "bucket", "", "")


def test_an_error_in_a_namespace_is_told() -> None:
    """In place of a page it says what went wrong."""
    with pytest.raises(Throttled):
        list_folder(CannedLane((200, f"<Error{XMLNS}><Code>SlowDown</Code></Error>")).sdk, "bucket", "", "")


def test_declared_entities_are_never_expanded() -> None:
    """A document that would fill the memory is refused at its declaration."""
    lines = ['<!ENTITY a0 "aaaaaaaaaa">', *(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))]
    bomb = f"<!DOCTYPE x [{''.join(lines)}]>" + page(entry("&a11;"))[39:]
    with pytest.raises(UnexpectedReply, match="entities of its own"):
        list_folder(CannedLane((200, bomb)).sdk, "bucket", "", "")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("declared", [True, False])
def test_another_encoding_hides_no_declaration(encoding: str, declared: bool) -> None:
    """Every document is UTF-8, as all services write it; in no other one is an entity declared, let alone expanded."""
    body = ('<!DOCTYPE x [<!ENTITY e "v">]>' if declared else "") + page(entry("&e;" if declared else "k"))[39:]
    with pytest.raises(documents.Unreadable):
        documents.read(body.encode(encoding), PAGE)


@pytest.mark.parametrize("more", ["<a/>" * 600_000, "<a>" * 600_000], ids=["flat", "deep"])
def test_a_document_of_countless_elements_is_not_built(monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    """Within the bound on its length it would become a gigabyte of objects."""
    monkeypatch.setattr(documents, "XMLParser", None)
    with pytest.raises(UnexpectedReply, match="tags"):
        list_folder(CannedLane((200, page(entry(), more))).sdk, "bucket", "", "")


def test_a_long_page_is_read() -> None:
    """Ten thousand keys as long as S3 allows, as some stores give them at once, with all that S3 tells of an object."""
    long = "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>" + OWNER
    body = page(*(entry(f"{number:01024}", more=long) for number in range(10_000)))
    found = list_folder(CannedLane((200, body)).sdk, "bucket", "", "")
    assert len(found.objects) == 10_000


@given(
    key=st.text(min_size=1, max_size=20),
    size=st.integers(-3, 2**63) | st.text(max_size=3),
    url=st.booleans(),
    more=st.sampled_from(["", OWNER, "<StorageClass>x</StorageClass>", "<Size>1</Size>", "<!-- -->", "<a/>", "\n"]),
    cut=st.integers(0, 400),
)
def test_both_readings_agree(readings: Readings, key: str, size: object, url: bool, more: str, cut: int) -> None:
    """Whatever a page holds, wherever it is cut: by either, the same comes out."""
    key = key.encode("utf-8", "replace").decode()
    body = page(
        entry(escape(key), escape(str(size)), more=more), about=URL if url else "<IsTruncated>false</IsTruncated>"
    )
    body = body[: len(body) - cut] if cut > 350 else body
    lane, sdk = readings.both(body.encode("utf-8", "replace").decode())
    assert lane == sdk


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (TRUNCATED, ["a&b="]),
        (TRUNCATED.replace("true", "false"), []),
        (TRUNCATED.replace("</NextContinuationToken>", "</NextContinuationToken><!-- -->"), []),
        (TRUNCATED * 2, []),
        (TRUNCATED.replace("&amp;", "&#13;"), ["a\rb="]),
        (TRUNCATED.replace("&amp;", "&#1;"), []),
        ("<IsTruncated>false</IsTruncated><NextContinuationToken></NextContinuationToken>", []),
    ],
    ids=["plain", "the last page", "with a comment", "twice", "a carriage return", "a control character", "empty"],
)
def test_the_next_token_is_told_before_the_page_is_read(about: str, told: list[str]) -> None:
    """It is told early where it has one reading, once, and then is what the page says; else it comes with the page."""
    canned = CannedLane((200, page(entry(), about=about)))
    heard: list[str] = []
    with contextlib.suppress(TransferError):
        found = list_page(canned.sdk, "bucket", "", "", tell_early=heard.append)
        assert heard in ([], [found.next_token])
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
    canned = CannedEither((200, body))
    if kind == "versions":
        canned.replies = [(200, body.replace("Contents>", "Version>"))]
        return [one.key for one in list_versions(canned.sdk, "bucket", "", "", "").versions]
    if kind == "first version":
        canned.sdk.does_without(PAGES_V2)
    return [one.key for one in list_page(canned.sdk, "bucket", "", "").objects]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", KINDS)
def test_a_replacement_character_is_one_of_the_key(kind: str) -> None:
    """Programs that took a name for another encoding have stored it so; the key is listed, and can be removed."""
    for about, key in ((ENCODED, "a%EF%BF%BDb"), ("<IsTruncated>false</IsTruncated>", "a\ufffdb")):
        assert listed_keys(page(entry(key), about=about), kind) == ["a\ufffdb"]
        assert listed_keys(page(entry(key), "<!-- odd -->", about=about), kind) == ["a\ufffdb"]


@pytest.mark.usefixtures("way")
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


@pytest.mark.usefixtures("way")
def test_a_page_may_end_with_any_key() -> None:
    """Where the token is the last key, as with Ceph, or the marker is, it may hold line breaks and the like."""
    about = "<IsTruncated>true</IsTruncated>{}"
    token = "<NextContinuationToken>a&#10;b\u0085c</NextContinuationToken>"
    found = list_page(CannedEither((200, page(entry(), about=about.format(token)))).sdk, "bucket", "", "")
    assert found.next_token == "a\nb\x85c"
    marker = "<EncodingType>url</EncodingType><NextMarker>a%0Ab%C2%85c</NextMarker>"
    canned = CannedEither((200, page(entry(), about=about.format(marker))), (200, page(entry())))
    canned.sdk.does_without(PAGES_V2)
    found = list_page(canned.sdk, "bucket", "", "")
    list_page(canned.sdk, "bucket", "", found.next_token)
    assert canned.sent[-1].query["marker"] == "a\nb\x85c"


@pytest.mark.usefixtures("way")
def test_a_token_is_never_taken_for_a_key() -> None:
    """A worker that was told of ListObjectsV2 by another one's token asks with it, whatever it has learnt itself.

    As the marker of ListObjects it would skip every key before it.
    """
    canned = CannedEither((200, page(entry())))
    canned.sdk.does_without(PAGES_V2)
    list_page(canned.sdk, "bucket", "", "t0ken")
    assert canned.sent[-1].query.get("continuation-token") == "t0ken"
    assert "marker" not in canned.sent[-1].query


@pytest.mark.parametrize("whole", ["three", ""], ids=["another place", "no place"])
def test_a_page_that_contradicts_its_early_token_is_an_error(monkeypatch: pytest.MonkeyPatch, whole: str) -> None:
    """Which of the two is right cannot be known, so nothing is listed that may have a gap."""
    monkeypatch.setattr(listing, "page_by_token", lambda *_: ObjectsPage((ObjectHead("a", 1),), whole))
    canned = CannedLane((200, page(entry("one"), about=TRUNCATED)))
    with pytest.raises(OtherError, match="two places"):
        list_page(canned.sdk, "bucket", "", "", tell_early=lambda _: None)


def test_a_page_of_objects_is_none_of_versions() -> None:
    """An endpoint that does not know ``versions`` lists objects; that is not taken for no versions at all."""
    with pytest.raises(UnexpectedReply, match="one of objects"):
        list_versions(CannedLane((200, page(entry()))).sdk, "bucket", "", "", "")
    assert list_versions(CannedLane((200, page())).sdk, "bucket", "", "", "").versions == ()
