"""The window while it starts: reports come as often as a round lasts, from a path that is played in steps."""

from __future__ import annotations

from dataclasses import dataclass

from bulkhaul.policy.window import Window

KIB64 = 64 * 1024


@dataclass
class Near:
    """Requests whose replies begin after ``ttfb_s``, told of by two workers every 50 ms while the window starts.

    Attributes:
        served: requests that are answered side by side; the others queue.
        answers: whether replies come, or requests only move bytes, as the first part of an upload does.
    """

    window: Window
    served: int = 1 << 30
    ttfb_s: float = 0.03
    answers: bool = True
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.told_s = [self.now_s, self.now_s]
        self.ended = 0.0
        self.in_flight = 0

    def play(self, seconds: float) -> list[int]:
        """Go on for so long and return the size after each report."""
        sizes: list[int] = []
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            worker = len(sizes) % 2
            self.window.began(self.now_s, max(0, self.window.size - self.window.outstanding))
            before, self.in_flight = self.in_flight, min(self.window.size, self.served)
            self.now_s += 0.025
            since_s, self.told_s[worker] = self.told_s[worker], self.now_s
            if self.answers:
                self.ended += min(self.in_flight, before) * 0.025 / self.ttfb_s
                done = int(self.ended)
                self.ended -= done
                self.window.began(self.now_s, done)
                self.window.moved(
                    since_s, self.now_s, done * KIB64, ended=done, heads=done, ttfb_sum_s=done * self.ttfb_s
                )
            else:
                for _ in range(self.in_flight // 2):
                    self.window.moved(since_s, self.now_s, KIB64)
            self.window.told(min(self.told_s))
            sizes.append(self.window.size)
        return sizes


def test_close_reports_bring_it_to_the_ceiling_at_once() -> None:
    """A round takes as long as one and a half replies from 30 ms away, and what it delivered is known 50 ms later."""
    assert Near(Window()).play(0.375)[-1] == 512


def test_close_reports_end_it_as_well() -> None:
    """Where 16 are served side by side, more than eight times as many are never tried, and far fewer are held."""
    sizes = Near(Window(), served=16).play(2.0)
    assert max(sizes) <= 8 * 16
    assert 16 <= sizes[-1] <= 64


def test_a_near_service_is_asked_for_no_more_than_is_proven() -> None:
    """What is given out beyond what the line or the cores take runs to its end all the same."""
    sizes = Near(Window(), served=8, ttfb_s=0.005).play(1.0)
    assert max(sizes) <= 32
    assert sizes[-1] <= 16


def test_a_near_service_that_serves_more_is_given_more() -> None:
    """Twice what is known to deliver more, again and again."""
    assert max(Near(Window(), ttfb_s=0.005).play(3.0)) == 512


def test_a_busy_machine_near_a_service_holds_what_is_proven() -> None:
    """Its CPU may be all that larger rounds have shown."""
    near = Near(Window(), served=8, ttfb_s=0.005)
    near.play(0.1)
    grown = near.window.size
    near.window.saturated(near.now_s, 1.0)
    assert (grown, near.window.size) == (16, 8)


def test_what_goes_out_is_enough_for_the_first_doublings() -> None:
    """A part that is uploaded is answered at its end: until the first answers, 64 are as many as that may bring."""
    sizes = Near(Window(), answers=False).play(1.0)
    assert sizes[16] == 64
    assert max(sizes) == 64


def test_what_goes_out_is_not_enough_where_requests_fail() -> None:
    """A service that refuses each part once it has all of it has taken nothing."""
    near = Near(Window(), answers=False)
    near.play(0.05)
    near.window.let_go(near.now_s)
    grown = near.window.size
    assert set(near.play(1.0)) == {grown}


def test_a_round_that_was_shorter_than_those_of_now_is_weighed() -> None:
    """Replies that come later from now on make rounds longer; the start goes on all the same."""
    near = Near(Window())
    near.play(0.15)
    near.ttfb_s = 0.06
    assert near.window.starting
    assert near.play(1.5)[-1] == 512


def test_the_time_before_the_first_request_is_no_round() -> None:
    """An engine waits for credentials and listings; its first requests teach as much as if they had come at once."""
    assert Near(Window(), now_s=0.3).play(0.1)[:2] == [8, 16] == Near(Window()).play(0.1)[:2]


def test_a_bound_in_the_middle_of_a_trial_holds() -> None:
    """What is gone back to after a trial is not more than the bound, whatever was held before."""
    near = Near(Window(64, first=32))
    near.play(3.0)
    for _ in range(200):
        if near.window._trial is not None:
            break
        near.play(0.05)
    assert near.window._trial is not None
    near.window.bound(16, near.now_s)
    assert max(near.play(3.0)) <= 16
