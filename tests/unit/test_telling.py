"""What a worker says fits frames, whatever a service has told it: nothing is lost, and the worker lives on."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.engine.messages.channel import MAX_FRAME_BYTES, frame_of
from bulkhaul.engine.messages.messages import Answer, Done, Failed, Report
from bulkhaul.engine.worker.frames import tell_answer, tell_ended, tell_reached
from bulkhaul.model.errors import ErrorInfo, OtherError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import Stored
from bulkhaul.wire.values import Target

LENGTHS = st.sampled_from([0, 10, 1000, 50_000, 100_000, 200_000])


class Frames:
    """Takes what fits frames, as a channel does."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def send(self, message: object) -> None:
        """Take a message, or refuse it."""
        self.frames.append(frame_of(message))

    def reports(self) -> list[Report]:
        """Return what was taken."""
        return [msgspec.msgpack.decode(frame, type=Report) for frame in self.frames]


@given(st.lists(LENGTHS, max_size=12), st.lists(LENGTHS, max_size=12))
def test_every_lease_is_reported_once(done: list[int], failed: list[int]) -> None:
    """However long what belongs to each: what fits is told as it is, the rest as an error of its lease."""
    frames = Frames()
    ended = [Done(n, 7, 9, stored=Stored(etag="e" * length)) for n, length in enumerate(done)]
    broken = [
        Failed(100 + n, 3, 5, ErrorInfo("NetworkError", "m" * length, cause="c" * length))
        for n, length in enumerate(failed)
    ]
    tell_ended(frames.send, ended, broken)
    told_done = {one.lease: one for report in frames.reports() for one in report.done}
    told_failed = {one.lease: one for report in frames.reports() for one in report.failed}
    assert sorted([*told_done, *told_failed]) == [*range(len(done)), *range(100, 100 + len(failed))]
    assert all(len(frame) <= MAX_FRAME_BYTES for frame in frames.frames)
    for n, length in enumerate(done):
        if length < MAX_FRAME_BYTES - 1000:
            assert told_done[n] == ended[n]
        else:
            assert told_failed[n].error.code == "OtherError"
            assert told_failed[n].received_bytes == 0
    for n, length in enumerate(failed):
        told = told_failed[100 + n]
        assert (told.received_bytes, told.crc, told.error.code) == (3, 5, "NetworkError")
        if length < MAX_FRAME_BYTES // 2 - 1000:
            assert told == broken[n]


def test_usual_reports_take_one_frame() -> None:
    """Everything that has ended in one turn of the loop goes together."""
    frames = Frames()
    tell_ended(frames.send, [Done(n, 1, 2, stored=Stored(etag='"e"')) for n in range(200)], [])
    assert len(frames.frames) == 1


def test_text_that_has_no_encoding() -> None:
    """Half a surrogate pair in a reply fails its object, and an error that quotes it is told all the same."""
    frames = Frames()
    half = "half \udc80"
    tell_ended(
        frames.send,
        [Done(1, 7, 9, stored=Stored(etag=half)), Done(2, 7, 9)],
        [Failed(3, 0, 0, ErrorInfo("NotFound", half))],
    )
    assert [one.lease for report in frames.reports() for one in report.done] == [2]
    told = {one.lease: one.error for report in frames.reports() for one in report.failed}
    assert sorted(told) == [1, 3]
    assert (told[3].code, told[3].message) == ("NotFound", "half ?")


@pytest.mark.parametrize("count", [0, 1, 5_000, 20_000])
def test_progress_of_many_leases(count: int) -> None:
    """However many are active, all are told, and a sign of life is given without any."""
    frames = Frames()
    reached = [(2**60 + n, 2**60) for n in range(count)]
    tell_reached(frames.send, reached)
    assert frames.frames
    assert [one for report in frames.reports() for one in report.reached] == reached


@pytest.mark.parametrize(
    "part",
    [
        Answer(1, objects=[ObjectHead("k" * 200_000, 1)], last=False),
        Answer(1, markers=("t" * 200_000,)),
        Answer(1, target=Target("http", "h" * 200_000, 80, "/", "r", fast=True)),
        Answer(1, error=ErrorInfo("NotFound", "m" * 200_000, host_id="h" * 200_000)),
    ],
    ids=["item", "marker", "target", "error"],
)
def test_answer_that_does_not_fit(part: Answer) -> None:
    """It ends in an error, of its own kind if it was one; nothing follows."""
    frames = Frames()
    tell_answer(frames.send, [Answer(1, last=False, objects=[ObjectHead("k", 1)]), part, Answer(1)])
    first, last = [msgspec.msgpack.decode(frame, type=Answer) for frame in frames.frames]
    assert first.objects
    assert last.error is not None
    assert last.error.code == (part.error.code if part.error else "OtherError")


def test_refused_for_another_reason() -> None:
    """What cannot be sent at all is not swallowed: the worker must end in the open."""

    def refuse(_: object) -> None:
        raise OtherError("no room")

    with pytest.raises(OtherError, match="no room"):
        tell_ended(refuse, [Done(1, 7, 9)], [])
