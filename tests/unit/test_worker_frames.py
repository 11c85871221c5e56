"""What a worker says fits frames, whatever a service has told it: nothing is lost, and the worker lives on."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.engine.messages.channel import MAX_FRAME_BYTES, frame_of
from bulkhaul.engine.messages.messages import Done, Failed, Load, Report
from bulkhaul.engine.messages.requests import Answer
from bulkhaul.engine.worker.frames import PIECE_BYTES, tell_answer, tell_ended, tell_error, tell_reached
from bulkhaul.model.errors import ErrorInfo, OtherError
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
    load = Load(0.5, 0.01)
    through = reached[: count // 2]
    tell_reached(frames.send, Report(reached=reached, through=through, heads=3, ttfb_sum_s=0.5, load=load))
    assert frames.frames
    assert [one for report in frames.reports() for one in report.reached] == reached
    assert [one for report in frames.reports() for one in report.through] == through
    assert [report.load for report in frames.reports() if report.load is not None] == [load]
    assert sum(report.heads for report in frames.reports()) == 3


def test_replies_are_told_once_with_what_has_ended() -> None:
    """However many frames ended leases take, the replies that have begun are in the first of them alone."""
    frames = Frames()
    tell_ended(frames.send, [Done(n, 7, 9) for n in range(600)], [], heads=600, ttfb_sum_s=6.0)
    assert [(report.heads, report.ttfb_sum_s) for report in frames.reports()] == [(600, 6.0), (0, 0.0), (0, 0.0)]
    tell_ended(frames.send, [], [], heads=2, ttfb_sum_s=0.5)
    assert frames.reports()[-1].heads == 2


@pytest.mark.parametrize("length", [0, 1, PIECE_BYTES - 5, PIECE_BYTES - 4, 500_000])
def test_an_answer_of_any_length(length: int) -> None:
    """It goes in as many frames as it takes, the last one tells where the request went, and nothing is lost."""
    frames = Frames()
    target = Target("http", "h", 80, "/", "r", fast=True)
    value = ["k" * length]
    tell_answer(frames.send, 7, value, target)
    told = [msgspec.msgpack.decode(frame, type=Answer) for frame in frames.frames]
    assert msgspec.msgpack.decode(b"".join(one.piece for one in told)) == value
    assert [one.last for one in told] == [False] * (len(told) - 1) + [True]
    assert [one.target for one in told] == [None] * (len(told) - 1) + [target]
    assert len(told) == -(-len(msgspec.msgpack.encode(value)) // PIECE_BYTES)


@pytest.mark.parametrize(("value", "host"), [("half \udc80", "h"), ("k", "h" * 200_000)], ids=["no text", "target"])
def test_an_answer_that_cannot_be_told(value: str, host: str) -> None:
    """It ends in an error; nothing follows."""
    frames = Frames()
    tell_answer(frames.send, 1, value, Target("http", host, 80, "/", "r", fast=True))
    (told,) = [msgspec.msgpack.decode(frame, type=Answer) for frame in frames.frames]
    assert told.error is not None
    assert told.error.code == "OtherError"


def test_an_error_that_does_not_fit() -> None:
    """It keeps its kind, and its texts are cut."""
    frames = Frames()
    tell_error(frames.send, 1, ErrorInfo("NotFound", "m" * 200_000, host_id="h" * 200_000))
    (told,) = [msgspec.msgpack.decode(frame, type=Answer) for frame in frames.frames]
    assert told.error is not None
    assert told.error.code == "NotFound"


def test_refused_for_another_reason() -> None:
    """What cannot be sent at all is not swallowed: the worker must end in the open."""

    def refuse(_: object) -> None:
        raise OtherError("no room")

    with pytest.raises(OtherError, match="no room"):
        tell_ended(refuse, [Done(1, 7, 9)], [])
