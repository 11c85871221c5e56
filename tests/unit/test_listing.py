"""Unit tests of what is asked for a page of a listing, whoever makes the requests."""

from collections.abc import Mapping
from typing import Any

import pytest

from bulkhaul.model.errors import ErrorInfo, OtherError, TransferError, error_of
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.wire.learned import PAGES_V2, Learned
from bulkhaul.wire.listing import ByKey, ByToken, Step, listing_page
from bulkhaul.wire.steps import carried_out

HOST = "store.example"
EMPTY = {"IsTruncated": False}
OLDER = {"IsTruncated": True, "NextMarker": "m"}


def refusal(status: int, code: str = "OtherError", service_code: str = "") -> TransferError:
    """Return a refusal of the service."""
    return error_of(ErrorInfo(code, "refused", status=status, service_code=service_code))


class Service:
    """Answers each operation as it is told; remembers what it was asked for."""

    def __init__(self, by_token: Mapping[str, Any] | TransferError, by_key: Mapping[str, Any] | TransferError) -> None:
        self.by_token, self.by_key = by_token, by_key
        self.asked: list[Step] = []

    def make(self, step: Step) -> Mapping[str, Any]:
        """Answer a request."""
        self.asked.append(step)
        reply = self.by_token if isinstance(step, ByToken) else self.by_key
        if isinstance(reply, TransferError):
            raise reply
        return reply


def ask(service: Service, learned: Learned, token: str = "", start_after: str = "") -> ObjectsPage:
    """Ask for a page."""
    steps = listing_page(token, start_after, learned, HOST, bucket="b", prefix="", subject="s3://b/")
    return carried_out(steps, service.make)


@pytest.mark.parametrize(
    "refused",
    [refusal(501, "Unsupported", "NotImplemented"), refusal(400, service_code="InvalidArgument"),
     refusal(405, "Unsupported", "MethodNotAllowed"), OLDER],
    ids=["501", "400", "405", "ignored"],
)  # fmt: skip
def test_an_endpoint_that_does_not_know_it_is_asked_the_older_way(refused: Any) -> None:
    """The page begins where it should, and the next question goes the older way at once."""
    service, learned = Service(refused, EMPTY), Learned()
    assert ask(service, learned, start_after="k") == ObjectsPage((), "", ())
    ask(service, learned)
    assert service.asked == [ByToken("", "k"), ByKey("k"), ByKey("")]


@pytest.mark.parametrize(
    "refused", [refusal(403, "AccessDenied"), refusal(404, "NotFound"), refusal(500, "ServerError")]
)
def test_any_other_failure_is_told_as_it_is(refused: TransferError) -> None:
    """It does not say that the operation is unknown."""
    service = Service(refused, EMPTY)
    with pytest.raises(TransferError) as caught:
        ask(service, Learned())
    assert caught.value is refused
    assert service.asked == [ByToken("", "")]


def test_within_a_listing_the_operation_is_known() -> None:
    """A token is from this endpoint, so a refusal is not about the operation."""
    refused = refusal(501, "Unsupported", "NotImplemented")
    service = Service(refused, EMPTY)
    with pytest.raises(TransferError) as caught:
        ask(service, Learned(), token="t")
    assert caught.value is refused
    assert service.asked == [ByToken("t", "")]


def test_where_both_fail_the_first_reason_is_told_and_nothing_is_learnt() -> None:
    """The older operation was only a guess."""
    refused, learned = refusal(501, "Unsupported", "NotImplemented"), Learned()
    with pytest.raises(TransferError) as caught:
        ask(Service(refused, refusal(403, "AccessDenied")), learned)
    assert caught.value is refused
    assert learned.takes(HOST, PAGES_V2)


def test_an_ignored_operation_whose_older_form_fails_goes_on_nowhere() -> None:
    """The page said that it goes on, and told no place."""
    with pytest.raises(OtherError, match="goes on, but not where"):
        ask(Service(OLDER, refusal(403, "AccessDenied")), Learned())
