"""Unit tests of the log of requests: bounded, without secrets, and nothing at all while it is off."""

import asyncio

import pytest

from bulkhaul.engine.messages.channel import MAX_FRAME_BYTES, frame_of
from bulkhaul.engine.messages.records import Told
from bulkhaul.engine.worker.record_sender import RecordSender
from bulkhaul.wire.masking import Mask
from bulkhaul.wire.request_log import ATTEMPT, MOST_LINES, RequestLog


def test_a_line_tells_what_became_of_a_request() -> None:
    """Method, URL, status, time, attempt and request id; a known secret and a signature are hidden."""
    log = RequestLog()
    log.hide = Mask(["a-secret-key"]).hide
    ATTEMPT.set(3)
    log.note("GET", "http://h/b/a-secret-key?X-Amz-Signature=f00", 0.0, status=503, request_id="R1")
    ((_, line),), dropped = log.take()
    assert line.startswith("GET http://h/b/***?X-Amz-Signature=*** -> 503 in ")
    assert line.endswith(" ms, attempt 3, request id R1")
    assert dropped == 0


def test_a_flood_is_counted() -> None:
    """What does not fit is dropped, and told as a number; the next lines find room again."""
    log = RequestLog()
    for number in range(MOST_LINES + 7):
        log.note("GET", f"http://h/{number}", 0.0, status=200)
    lines, dropped = log.take()
    assert (len(lines), dropped) == (MOST_LINES, 7)
    assert log.take() == ([], 0)


@pytest.mark.parametrize("behind", [False, True])
def test_long_lines_fit_frames_and_none_is_sent_to_who_is_behind(behind: bool) -> None:
    """Whatever a key holds, messages have room for the lines; a coordinator that is behind gets none."""
    sent: list[object] = []

    async def play() -> None:
        log = RequestLog()
        sender = RecordSender(log, sent.append, lambda: behind)
        sender.turn(True)
        for _ in range(MOST_LINES):
            log.note("GET", "http://h/" + "\U0001f600" * 1024, 0.0, failure="x")
        sender.send("the answer")
        sender.turn(False)

    asyncio.run(play())
    assert sent[-1] == "the answer"
    assert sum(len(one.lines) for one in sent if isinstance(one, Told)) == (0 if behind else MOST_LINES)
    assert all(len(frame_of(one)) <= MAX_FRAME_BYTES for one in sent)


def test_nothing_is_sent_while_it_is_off() -> None:
    """A message passes, and no line is looked for."""
    sent: list[object] = []
    sender = RecordSender(RequestLog(), sent.append, lambda: False)
    sender.send("the answer")
    assert sent == ["the answer"]
