"""Archived objects, by the SDK and by the lane: what is asked, and what replies tell of them, friendly or not."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bulkhaul.errors import (
    AccessDenied,
    Archived,
    Conflict,
    NotFound,
    OtherError,
    RetrievalUnavailable,
    ServerError,
    TransferError,
    UnexpectedReply,
    Unsupported,
)
from bulkhaul.model.archives import RestoreAnswer, Tier
from bulkhaul.wire.documents import Columns, read
from bulkhaul.wire.lane.list_objects import PAGE
from tests.unit.both_ways import Canned, head_object, list_page, restore_object

pytestmark = pytest.mark.usefixtures("way")

ATTRIBUTES = "x-amz-optional-object-attributes"
XMLNS = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def error(code: str) -> str:
    """Return an error document."""
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>"


# RestoreObject


def test_a_restore_names_version_days_and_tier() -> None:
    """As the S3 API Reference has it: POST ?restore, with a RestoreRequest."""
    canned = Canned((202, ""))
    assert restore_object(canned.sdk, "bucket", "a b", "v1", days=7, tier=Tier.BULK) is RestoreAnswer.BEGUN
    (sent,) = canned.sent
    assert (sent.method, sent.path) == ("POST", "/bucket/a%20b")
    assert sent.query == {"restore": "", "versionId": "v1"}
    root = ElementTree.fromstring(sent.body)  # noqa: S314 - our own
    assert root.tag == f"{XMLNS}RestoreRequest"
    assert {element.tag.removeprefix(XMLNS): (element.text or "") for element in root.iter()} == {
        "RestoreRequest": "", "Days": "7", "GlacierJobParameters": "", "Tier": "Bulk",
    }  # fmt: skip


@pytest.mark.parametrize(("tier", "named"), [(Tier.STANDARD, "Standard"), (Tier.EXPEDITED, "Expedited")])
def test_without_days_none_are_named(tier: Tier, named: str) -> None:
    """INTELLIGENT_TIERING refuses them: its objects come back for good."""
    canned = Canned((202, ""))
    restore_object(canned.sdk, "bucket", "k", days=0, tier=tier)
    root = ElementTree.fromstring(canned.sent[0].body)  # noqa: S314 - our own
    assert [element.text for element in root.iter(f"{XMLNS}Tier")] == [named]
    assert list(root.iter(f"{XMLNS}Days")) == []
    assert canned.sent[0].query == {"restore": ""}


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ((202, ""), RestoreAnswer.BEGUN),
        ((200, ""), RestoreAnswer.EXTENDED),
        ((409, error("RestoreAlreadyInProgress")), RestoreAnswer.UNDER_WAY),
    ],
)
def test_each_answer_says_that_the_object_comes(reply: tuple[int, str], answer: RestoreAnswer) -> None:
    """A request can be repeated: whatever the state of the object, it is an answer and no failure."""
    assert restore_object(Canned(reply).sdk, "bucket", "k", days=1, tier=Tier.STANDARD) is answer


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ((409, error("OperationAborted")), Conflict),
        ((403, error("InvalidObjectState")), Unsupported),
        ((403, error("AccessDenied")), AccessDenied),
        ((404, error("NoSuchKey")), NotFound),
        ((501, error("NotImplemented")), Unsupported),
        ((503, error("GlacierExpeditedRetrievalNotAvailable")), RetrievalUnavailable),
        ((500, error("InternalError")), ServerError),
        ((200, error("InternalError")), ServerError),
        ((204, ""), UnexpectedReply),
        ((201, ""), UnexpectedReply),
    ],
)
def test_anything_else_is_a_failure(reply: tuple[int, str], kind: type[TransferError]) -> None:
    """With its own name, and about the object."""
    with pytest.raises(kind) as caught:
        restore_object(Canned(reply).sdk, "bucket", "k", days=1, tier=Tier.EXPEDITED)
    assert type(caught.value) is kind
    assert caught.value.subject == "s3://bucket/k"


def test_no_capacity_is_not_asked_for_again() -> None:
    """A 503 of this kind is no storm that passes: nobody slows down for it, nor tries it again."""
    assert not RetrievalUnavailable.retryable
    with pytest.raises(RetrievalUnavailable, match="STANDARD"):
        restore_object(
            Canned((503, error("GlacierExpeditedRetrievalNotAvailable"))).sdk,
            "bucket", "k", days=1, tier=Tier.EXPEDITED,
        )  # fmt: skip


# HEAD


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ('ongoing-request="true"', "ongoing"),
        ('ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"', "2012-12-21T00:00:00+00:00"),
        ('ongoing-request="false"', ""),
        (None, ""),
    ],
)
def test_head_tells_whether_an_object_comes(header: str | None, told: str) -> None:
    """The forms of the S3 API Reference, and none."""
    headers = {"content-length": "3", "etag": '"e"', "x-amz-storage-class": "GLACIER"}
    headers |= {"x-amz-restore": header} if header else {}
    head = head_object(Canned((200, ""), headers=headers).sdk, "bucket", "k")
    assert (head.restore, head.archive) == (told, "")


def test_head_tells_the_archive_of_intelligent_tiering() -> None:
    """Its class does not say that the object cannot be read."""
    headers = {"content-length": "3", "etag": '"e"', "x-amz-storage-class": "INTELLIGENT_TIERING",
               "x-amz-archive-status": "DEEP_ARCHIVE_ACCESS"}  # fmt: skip
    assert head_object(Canned((200, ""), headers=headers).sdk, "bucket", "k").archive == "DEEP_ARCHIVE_ACCESS"


@pytest.mark.parametrize(
    "header",
    ["", "true", "ongoing-request=true", 'ongoing-request="maybe"', 'ongoing-request="false", expiry-date="soon"',
     'ongoing-request="false", expiry-date=""', 'ongoing-request="true" and more'],
)  # fmt: skip
def test_a_restore_that_can_be_none_is_refused(header: str) -> None:
    """Nothing is guessed: an object that is taken for restored would fail, one for archived would be paid for again."""
    headers = {"content-length": "3", "etag": '"e"', "x-amz-restore": header}
    with pytest.raises(UnexpectedReply):
        head_object(Canned((200, ""), headers=headers).sdk, "bucket", "k")


def test_an_archived_object_says_how_it_can_be_read() -> None:
    """403 InvalidObjectState has a name of its own, which is no lack of permission."""
    with pytest.raises(Archived, match="--restore") as caught:
        list_page(Canned((403, error("InvalidObjectState"))).sdk, "bucket", "", "")
    assert isinstance(caught.value, OtherError)


# Listings

ONGOING = "<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>"
UNTIL = (
    "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>"
    "<RestoreExpiryDate>2012-12-21T00:00:00.000Z</RestoreExpiryDate></RestoreStatus>"
)


def page(*entries: str) -> str:
    """Return a page whose entries have the same fields, and what is given of each."""
    fixed = "<Size>1</Size><ETag>&quot;e&quot;</ETag><LastModified>2024-05-17T12:34:56.000Z</LastModified>"
    contents = "".join(
        f"<Contents><Key>{at}</Key>{fixed}<StorageClass>GLACIER</StorageClass>{more}</Contents>"
        for at, more in enumerate(entries)
    )
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"


def statuses(*entries: str) -> list[str]:
    """Return what is read of the entries."""
    listed = list_page(Canned((200, page(*entries))).sdk, "bucket", "", "", restores=True)
    assert [head.storage_class for head in listed.objects] == ["GLACIER"] * len(entries)
    return [head.restore for head in listed.objects]


def test_a_listing_tells_the_status_of_each_object() -> None:
    """Whichever of them have one."""
    until = "2012-12-21T00:00:00+00:00"
    assert statuses("", ONGOING, UNTIL, "") == ["", "ongoing", until, ""]
    assert statuses(UNTIL, UNTIL, UNTIL) == [until] * 3
    assert statuses(ONGOING) == ["ongoing"]
    assert statuses("", "", "<RestoreStatus></RestoreStatus>") == [""] * 3
    assert statuses(*["<RestoreStatus></RestoreStatus>"] * 3) == [""] * 3
    assert statuses(*["<RestoreStatus/>"] * 3) == [""] * 3


def test_a_page_without_a_status_is_read_by_columns() -> None:
    """As fast as one of which none was asked for; a page with one is read item by item."""
    contents = read(page("", "", "").encode(), PAGE).members["Contents"]
    assert isinstance(contents, Columns)
    assert isinstance(read(page("", UNTIL, "").encode(), PAGE).members["Contents"], list)


@pytest.mark.parametrize(
    "status",
    [
        ONGOING + UNTIL,
        ONGOING.replace("true", "perhaps"),
        UNTIL.replace("2012-12-21T00:00:00.000Z", "tomorrow"),
        ONGOING.replace("</Is", "<A/></Is"),
    ],
    ids=["twice", "no-truth", "no-time", "nested"],
)
def test_a_status_that_can_be_none_is_refused(status: str) -> None:
    """A listing decides what is paid for: nothing of it is guessed."""
    with pytest.raises(UnexpectedReply):
        statuses(UNTIL, status)


def test_the_status_is_asked_for_only_where_it_is_wanted() -> None:
    """By both listings; an ordinary one sends what it always sent."""
    canned = Canned((200, page("")))
    list_page(canned.sdk, "bucket", "", "", restores=True)
    list_page(canned.sdk, "bucket", "", "")
    list_page(canned.sdk, "bucket", "", "bulkhaul:after:a", restores=True)
    assert [one.headers.get(ATTRIBUTES) for one in canned.sent] == ["RestoreStatus", None, "RestoreStatus"]
    assert ["list-type" in one.query for one in canned.sent] == [True, True, False]


@pytest.mark.parametrize("refusal", [(400, error("InvalidArgument")), (501, error("NotImplemented"))])
def test_an_endpoint_that_refuses_the_question_is_listed_without_it(refusal: tuple[int, str]) -> None:
    """And is never asked again; the first page costs the extra requests."""
    canned = Canned(refusal, refusal, (200, page("", "")))
    assert len(list_page(canned.sdk, "bucket", "", "", restores=True).objects) == 2
    assert canned.sent[0].headers[ATTRIBUTES] == "RestoreStatus"
    assert ATTRIBUTES not in canned.sent[-1].headers
    assert canned.sent[-1].query["list-type"] == "2"
    asked = len(canned.sent)
    list_page(canned.sdk, "bucket", "", "", restores=True)
    assert [ATTRIBUTES in one.headers for one in canned.sent[asked:]] == [False]


def test_another_failure_teaches_nothing() -> None:
    """A listing that is refused, or fails, is told so, and the next one asks again."""
    canned = Canned((403, error("AccessDenied")), (200, page("")))
    with pytest.raises(AccessDenied):
        list_page(canned.sdk, "bucket", "", "", restores=True)
    list_page(canned.sdk, "bucket", "", "", restores=True)
    assert [one.headers.get(ATTRIBUTES) for one in canned.sent] == ["RestoreStatus"] * 2
