"""Unit tests of what is asked to inspect an object, whoever makes the requests."""

from collections.abc import Callable, Mapping

import pytest

from bulkhaul.model.errors import ErrorInfo, NotFound, TransferError, error_of
from bulkhaul.model.objects import ObjectHead
from bulkhaul.wire.inspection import FirstByte, Head, Step, bucket_inspection, inspection
from bulkhaul.wire.learned import CHECKSUM_MODE, Learned
from bulkhaul.wire.steps import carried_out

HOST = "store.example"
FOUND = {"content-length": "5", "etag": '"e"'}
ASKS, PLAIN = Head(checksum=True), Head(checksum=False)
BARE = error_of(ErrorInfo("OtherError", "refused", status=400))


class Service:
    """Gives its answers in turn; remembers what it was asked for."""

    def __init__(self, *answers: Mapping[str, str] | TransferError) -> None:
        self.answers = list(answers)
        self.asked: list[Step] = []

    def make(self, step: Step) -> Mapping[str, str]:
        """Answer a request."""
        self.asked.append(step)
        answer = self.answers.pop(0)
        if isinstance(answer, TransferError):
            raise answer
        return answer


def ask(service: Service, learned: Learned) -> ObjectHead:
    """Ask for an object."""
    return carried_out(inspection("k", learned, HOST, "s3://b/k"), service.make)


def ask_for_bucket(service: Service, learned: Learned) -> Mapping[str, str]:
    """Ask for the bucket itself."""
    return carried_out(bucket_inspection(learned, HOST, "s3://b"), service.make)


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([FOUND], [ASKS]),
        ([BARE, {}, FOUND], [ASKS, FirstByte(), ASKS]),
        ([BARE, error_of(ErrorInfo("RangeNotSatisfiable", "empty", status=416)), FOUND], [ASKS, FirstByte(), ASKS]),
        ([BARE, {}, BARE, FOUND], [ASKS, FirstByte(), ASKS, PLAIN]),
        ([error_of(ErrorInfo("Unsupported", "no", status=501)), FOUND], [ASKS, PLAIN]),
    ],
    ids=["answered", "the GET found the way", "the object is empty", "the header was it", "501"],
)
def test_what_follows_from_each_refusal(answers: list[Mapping[str, str] | TransferError], asked: list[Step]) -> None:
    """The object is found in the end, by no more requests than needed; a header that was in the way is left out."""
    service, learned = Service(*answers), Learned()
    assert ask(service, learned).size == 5
    assert service.asked == asked
    assert learned.takes(HOST, CHECKSUM_MODE) == (PLAIN not in asked)


@pytest.mark.parametrize("answers", [[BARE, NotFound("k")], [BARE, {}, NotFound("k")], [NotFound("k")]])
def test_a_reason_ends_it(answers: list[Mapping[str, str] | TransferError]) -> None:
    """Of the GET, or of a HEAD: it is what is told."""
    service, learned = Service(*answers), Learned()
    with pytest.raises(NotFound):
        ask(service, learned)
    assert not service.answers
    assert learned.takes(HOST, CHECKSUM_MODE)


def test_a_400_with_a_reason_needs_no_get() -> None:
    """It says why."""
    refused = error_of(ErrorInfo("OtherError", "refused", status=400, service_code="UserKeyMustBeSpecified"))
    service = Service(refused)
    with pytest.raises(TransferError) as caught:
        ask(service, Learned())
    assert caught.value is refused
    assert service.asked == [ASKS]


def test_a_reply_that_was_unpacked_is_asked_for_once_more() -> None:
    """Its length is not that of the object; the host is known from then on."""
    unpacked = {"etag": '"e"', "x-goog-stored-content-encoding": "gzip", "x-goog-stored-content-length": "5"}
    service, learned = Service(unpacked, FOUND), Learned()
    assert ask(service, learned).size == 5
    assert learned.unpacks(HOST)


def test_a_header_that_was_left_out_is_not_what_is_refused() -> None:
    """The same HEAD would be refused again."""
    refused, learned = error_of(ErrorInfo("Unsupported", "no", status=501)), Learned()
    learned.does_without(HOST, CHECKSUM_MODE)
    service = Service(refused)
    with pytest.raises(TransferError) as caught:
        ask(service, learned)
    assert caught.value is refused
    assert service.asked == [PLAIN]


# Refusals that do not say why

DENIED = error_of(ErrorInfo("AccessDenied", "denied", status=403))
MISSING = error_of(ErrorInfo("NotFound", "no bucket or key", status=404))


def coded(code: str, kind: str, status: int) -> TransferError:
    """Return what a GET is refused with, whose reply has a body."""
    return error_of(ErrorInfo(kind, f"because of {code}", status=status, service_code=code))


WRONG_SECRET = coded("SignatureDoesNotMatch", "AccessDenied", 403)
NO_BUCKET = coded("NoSuchBucket", "NotFound", 404)
NO_KEY = coded("NoSuchKey", "NotFound", 404)
NOT_ALLOWED = coded("AccessDenied", "AccessDenied", 403)


def refusals(learned: Learned, *answers: Mapping[str, str] | TransferError) -> tuple[list[str], list[Step]]:
    """Ask for objects of one bucket until there are no more answers; return the codes told, and what was asked."""
    service, codes = Service(*answers), []
    while service.answers:
        with pytest.raises(TransferError) as caught:
            ask(service, learned)
        codes.append(caught.value.info.service_code)
    return codes, service.asked


def test_a_reason_that_holds_for_the_bucket_is_asked_for_once() -> None:
    """The second refusal has the reason of the first, without a further request."""
    codes, asked = refusals(Learned(), DENIED, WRONG_SECRET, DENIED)
    assert codes == ["SignatureDoesNotMatch"] * 2
    assert asked == [ASKS, FirstByte(), ASKS]


def test_a_bucket_that_is_made_is_there() -> None:
    """That there was none is not remembered: the next 404 may mean the key alone."""
    codes, asked = refusals(Learned(), MISSING, NO_BUCKET, MISSING, NO_KEY, MISSING)
    assert codes == ["NoSuchBucket", "NoSuchKey", "NoSuchKey"]
    assert asked == [ASKS, FirstByte(), ASKS, FirstByte(), ASKS]


@pytest.mark.parametrize("object_first", [True, False])
def test_a_bucket_is_refused_for_the_reason_of_its_objects(*, object_first: bool) -> None:
    """What was found out of one is not asked for again of the other, whichever comes first."""
    learned, service = Learned(), Service(DENIED, WRONG_SECRET, DENIED)
    for of_object in (object_first, not object_first):
        inquire: Callable[[Service, Learned], object] = ask if of_object else ask_for_bucket
        with pytest.raises(TransferError) as caught:
            inquire(service, learned)
        assert caught.value.info.service_code == "SignatureDoesNotMatch"
    assert service.asked.count(FirstByte()) == 1


def test_a_reason_that_holds_for_one_object_is_not_told_of_others() -> None:
    """What is not allowed of one key may be allowed of another, so of that only the refusal is told."""
    assert refusals(Learned(), DENIED, NOT_ALLOWED, DENIED) == (["AccessDenied", ""], [ASKS, FirstByte(), ASKS])


def test_a_missing_key_is_known_where_the_bucket_is_there() -> None:
    """After anything was found in a bucket, or a key was said to be missing, a 404 means the key: nothing is asked."""
    learned = Learned()
    ask(Service(FOUND), learned)
    service = Service(MISSING)
    with pytest.raises(NotFound, match="no such key"):
        ask(service, learned)
    assert service.asked == [ASKS]


@pytest.mark.parametrize(
    "answer",
    [FOUND, error_of(ErrorInfo("NetworkError", "reset")), error_of(ErrorInfo("Throttled", "", status=503)), NO_KEY],
    ids=["it is answered", "the network fails", "throttled", "another status"],
)
def test_what_is_no_reason_is_not_told(answer: Mapping[str, str] | TransferError) -> None:
    """Where the GET does not explain the refusal, the refusal itself is told."""
    service = Service(DENIED, answer)
    with pytest.raises(TransferError, match="denied") as caught:
        ask(service, Learned())
    assert caught.value.info == DENIED.info


def test_a_reason_is_asked_for_again_with_other_credentials() -> None:
    """What was refused with the last credentials says nothing of the next ones."""
    learned = Learned()
    refusals(learned, DENIED, WRONG_SECRET)
    learned.forget_reasons()  # as the clients do when credentials come
    assert refusals(learned, DENIED, NOT_ALLOWED)[0] == ["AccessDenied"]
