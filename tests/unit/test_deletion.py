"""Unit tests of what is asked to delete many keys, whoever makes the requests."""

import asyncio
import contextlib

import pytest

from bulkhaul.model.errors import ErrorInfo, TransferError, error_of
from bulkhaul.model.writing import Doomed
from bulkhaul.wire.deletion import Singly, Step, Together, deletion
from bulkhaul.wire.learned import BATCHES, Learned
from bulkhaul.wire.steps import carried_out, carried_out_async

HOST = "store.example"
TWO = [Doomed("a"), Doomed("b")]


def refusal(status: int, code: str = "OtherError", service_code: str = "") -> TransferError:
    """Return a refusal of the service."""
    return error_of(ErrorInfo(code, "refused", status=status, service_code=service_code))


class Service:
    """Refuses batches, and single keys, as it is told; remembers what it was asked for."""

    def __init__(self, batch: TransferError | None = None, single: TransferError | None = None) -> None:
        self.batch, self.single = batch, single
        self.asked: list[Step] = []

    def make(self, step: Step) -> list[object] | None:
        """Answer a request."""
        self.asked.append(step)
        refused = self.batch if isinstance(step, Together) else self.single
        if refused is not None:
            raise refused
        return [] if isinstance(step, Together) else None


def test_one_request_deletes_all() -> None:
    """A key that XML cannot carry goes by itself, after the others."""
    service = Service()
    odd = Doomed("o\x01dd")
    assert carried_out(deletion([odd, *TWO], Learned(), HOST), service.make) == ()
    assert service.asked == [Together(TWO), Singly(odd)]


def test_both_ways_to_carry_out_do_the_same() -> None:
    """The lane awaits, the SDK does not."""
    service, awaiting = Service(refusal(501, "Unsupported")), Service(refusal(501, "Unsupported"))

    async def make(step: Step) -> object:
        return awaiting.make(step)

    carried_out(deletion(TWO, Learned(), HOST), service.make)
    asyncio.run(carried_out_async(deletion(TWO, Learned(), HOST), make))
    assert service.asked == awaiting.asked == [Together(TWO), Singly(TWO[0]), Singly(TWO[1])]


def test_after_a_404_the_first_key_counts_as_known() -> None:
    """An endpoint that answers everything with 404 has deleted nothing."""
    service = Service(refusal(404, "NotFound"))
    carried_out(deletion(TWO, Learned(), HOST), service.make)
    assert service.asked == [Together(TWO), Singly(TWO[0], known=True), Singly(TWO[1])]


def test_a_batch_that_works_ends_the_row_of_failures() -> None:
    """Three batches in a row that end in a 500 are as good as none, not three at any time."""
    learned = Learned()
    for failing in (True, True, False, True, True):
        service = Service(refusal(500, "ServerError") if failing else None)
        with pytest.raises(TransferError, match="refused") if failing else contextlib.nullcontext():
            carried_out(deletion(TWO, learned, HOST), service.make)
        assert service.asked == [Together(TWO)]
    service = Service(refusal(500, "ServerError"))
    carried_out(deletion(TWO, learned, HOST), service.make)
    assert service.asked == [Together(TWO), Singly(TWO[0]), Singly(TWO[1])]
    assert learned.takes(HOST, BATCHES)  # a 500 may pass


def test_a_refusal_that_a_single_key_meets_too_is_raised() -> None:
    """It was not about the batch; the others are not tried."""
    denied = refusal(403, "AccessDenied", "AccessDenied")
    service = Service(denied, denied)
    with pytest.raises(TransferError, match="refused"):
        carried_out(deletion(TWO, Learned(), HOST), service.make)
    assert service.asked == [Together(TWO), Singly(TWO[0])]
