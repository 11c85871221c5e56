"""How the command waits, writes and listens: threads, descriptors and signals, no processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest

from bulkhaul.cli.background_iterator import BackgroundIterator
from bulkhaul.cli.demo.stages import Interrupted, Stages
from bulkhaul.cli.interruption import Interruption
from bulkhaul.cli.line_stream import ATOMIC_BYTES, FULL_BYTES, LineStream
from bulkhaul.cli.progress import Display, amount_text, progress_line
from bulkhaul.model.results import Progress
from bulkhaul.policy.recent_rate import RecentRate
from tests.patience import PATIENCE_S


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return the ends of a pipe: (read, write)."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError as error:
            assert error.errno == 9  # noqa: PT017 - a test may have closed it


@pytest.fixture
def signals() -> Iterator[None]:
    """Put the signal handlers back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class TestLineStream:
    """Lines on a descriptor whose reader may pause."""

    def test_writes_in_order(self, pipe: tuple[int, int]) -> None:
        """What is written arrives, whole and in order."""
        stream = LineStream(pipe[1])
        stream.write("one\n")
        stream.write("zwei é\n")
        assert stream.flush(PATIENCE_S)
        assert os.read(pipe[0], 100) == "one\nzwei é\n".encode()

    def test_surrogates_are_escaped(self, pipe: tuple[int, int]) -> None:
        """A path that is no UTF-8 does not break the output."""
        stream = LineStream(pipe[1])
        stream.write("a\udcffb\n")
        assert stream.flush(PATIENCE_S)
        assert os.read(pipe[0], 100) == b"a\\udcffb\n"

    def test_never_blocks(self, pipe: tuple[int, int]) -> None:
        """A reader that does not read stops neither write nor flush, and gets everything in the end."""
        stream = LineStream(pipe[1])
        line = "x" * 999 + "\n"
        count = 0
        while not stream.full:
            stream.write(line)
            stream.flush(0.0)
            count += 1
        assert not stream.flush(0.01)
        got = bytearray()
        while len(got) < count * len(line):
            got += os.read(pipe[0], ATOMIC_BYTES)
            stream.flush(0.0)
        assert got == line.encode() * count
        assert not stream.full

    def test_lost_reader(self, pipe: tuple[int, int]) -> None:
        """A reader that is gone is told, as an exception and not as a signal."""
        os.close(pipe[0])
        stream = LineStream(pipe[1])
        stream.write("x" * FULL_BYTES)
        with pytest.raises(BrokenPipeError):
            stream.flush(0.1)


class TestBackgroundIterator:
    """An iterator in a thread."""

    def test_items_then_end(self) -> None:
        """Items come in order, then the end."""
        feed = BackgroundIterator(lambda: iter(range(5)))
        taken = []
        while not feed.ended:
            if (item := feed.take(PATIENCE_S)) is not None:
                taken.append(item)
        assert taken == [0, 1, 2, 3, 4]
        assert feed.error is None

    def test_error_comes_last(self) -> None:
        """What the iterator raises is known at the end, after all its items."""

        def items() -> Iterator[int]:
            yield 1
            raise ValueError("broken")

        feed = BackgroundIterator(items)
        assert feed.take(PATIENCE_S) == 1
        assert feed.take(PATIENCE_S) is None
        assert feed.ended
        assert isinstance(feed.error, ValueError)

    def test_take_keeps_its_time(self) -> None:
        """A wait without news ends, and is not taken for the end."""
        gate = threading.Event()

        def items() -> Iterator[int]:
            gate.wait(PATIENCE_S)
            yield 1

        feed = BackgroundIterator(items)
        assert feed.take(0.0) is None
        assert feed.take(0.01) is None
        assert not feed.ended
        gate.set()
        assert feed.take(PATIENCE_S) == 1

    def test_take_keeps_its_time_while_a_signal_is_handled(self) -> None:
        """Its time ends while the handler runs: it waits no longer."""
        gate = threading.Event()

        def items() -> Iterator[int]:
            gate.wait(PATIENCE_S)
            yield 1

        feed = BackgroundIterator(items)
        handled: list[float] = []

        def handle(*_: object) -> None:
            time.sleep(0.2)
            handled.append(time.monotonic())

        before = signal.signal(signal.SIGUSR1, handle)
        opener = threading.Timer(10.0, gate.set)  # for a wait that does not end
        sender = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
        opener.start()
        sender.start()
        try:
            while not handled:  # a late signal finds another wait
                assert feed.take(0.1) is None
            assert not gate.is_set()
        finally:
            sender.join()
            signal.signal(signal.SIGUSR1, before)
            opener.cancel()
            gate.set()

    def test_full_feed_waits(self) -> None:
        """An iterator goes no further than the feed holds, until somebody takes."""
        made: list[int] = []

        def items() -> Iterator[int]:
            for number in range(5000):
                made.append(number)
                yield number

        feed = BackgroundIterator(items)
        deadline_s = time.monotonic() + PATIENCE_S
        while len(made) < 1025 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        time.sleep(0.1)
        assert len(made) == 1025  # 1,024 wait, and one more is in hand
        taken = []
        while not feed.ended:
            if (item := feed.take(PATIENCE_S)) is not None:
                taken.append(item)
        assert taken == list(range(5000))

    def test_abandoned_thread_ends(self) -> None:
        """A feed that nobody takes from any more closes its iterator and ends its thread."""
        closed = threading.Event()

        def items() -> Iterator[int]:
            try:
                while True:
                    yield 1
            finally:
                closed.set()

        feed = BackgroundIterator(items)
        assert feed.take(PATIENCE_S) == 1
        feed.abandon()
        feed.join(PATIENCE_S)
        assert closed.wait(PATIENCE_S)


class TestInterruption:
    """The first and the second signal."""

    def test_first_is_noted(self, signals: None) -> None:
        """The first signal is noted and nothing else happens."""
        interruption = Interruption(lambda: pytest.fail("it was only the first"))
        interruption.install()
        signal.raise_signal(signal.SIGTERM)
        assert (interruption.signum, interruption.name, interruption.exit_code) == (signal.SIGTERM, "SIGTERM", 143)

    def test_second_leaves(self, signals: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second signal says the last words and leaves at once with the code of the first."""
        said: list[object] = []
        monkeypatch.setattr(os, "_exit", said.append)
        interruption = Interruption(lambda: said.append("killed"))
        interruption.install()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert said == ["killed", 130]

    def test_ignored_signals_stay_ignored(self, signals: None) -> None:
        """A command under nohup survives the hangup."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        interruption = Interruption(lambda: None)
        interruption.install()
        signal.raise_signal(signal.SIGHUP)
        assert interruption.signum == 0


class TestProgress:
    """What the display says."""

    def test_growing_total_is_no_total(self) -> None:
        """While the listing goes on, the number of objects is shown as a lower bound."""
        assert amount_text(Progress(planned_objects=1000, verified_objects=7)) == "7 of 1000+ objects"

    def test_all_ends_count(self) -> None:
        """An object has ended however it ended, and failures are named."""
        progress = Progress(
            planned_objects=4, verified_objects=1, failed_objects=1, skipped_objects=1, planning_done=True
        )
        assert amount_text(progress) == "3 of 4 objects, 1 failed"

    def test_lines_are_kept_without_a_bar(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Lines for a display that was never drawn are printed when it closes."""
        display = Display()
        display.above("bulkhaul: error: early\n")
        display.settle()
        assert capsys.readouterr().err == "bulkhaul: error: early\n"

    def test_bar_and_lines(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Lines stand above the bar, and the last state of the bar stays; stdout is untouched."""
        display = Display()
        display.update(Progress(planned_objects=1))
        display.above("cp s3://bucket/[bold]key out\n")
        display.update(Progress(planned_objects=1, planned_bytes=2048, received_bytes=1024, planning_done=True))
        display.settle()
        written = capsys.readouterr()
        assert "cp s3://bucket/[bold]key out\n" in written.err
        assert "1.0 KiB of 2.0 KiB" in written.err
        assert written.out == ""

    def test_what_follows_stands_below(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The summary comes after the last state of the bar, which is drawn once."""
        display = Display()
        display.update(Progress(planned_objects=1, verified_objects=1, planning_done=True))
        display.settle()
        display.above("cp: 1 done\n")
        display.settle()
        written = capsys.readouterr().err
        assert written.endswith("1 of 1 object\ncp: 1 done\n"), written

    def test_one_line_on_a_narrow_terminal(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All of it stands on one line of 80 columns: only the bar itself gives way."""
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("TERM", "xterm")
        display = Display()
        display.update(
            Progress(
                planned_objects=1234,
                verified_objects=999,
                planned_bytes=1023 * 1024**2,
                received_bytes=1000 * 1024**2,
                planning_done=True,
            )
        )
        display.settle()
        drawn = capsys.readouterr().err.rstrip("\n")
        assert "1000.0 MiB of 1023.0 MiB" in drawn
        assert "999 of 1234 objects" in drawn
        assert "\n" not in drawn


class TestStages:
    """Stages one after the other."""

    def test_one_line_each(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Without a terminal a stage is one line on stderr, when it is done."""
        with Stages(Interruption(lambda: None)) as stages:
            taken, seconds = stages.run("count", lambda: iter([1024, 1024]), total_bytes=2048, done=sum_of)
        assert taken == [1024, 1024]
        assert seconds >= 0
        assert capsys.readouterr().err.startswith("count: 2.0 KiB of 2.0 KiB")

    def test_error_passes(self) -> None:
        """What a stage raises ends the run."""

        def items() -> Iterator[int]:
            raise ValueError("broken")
            yield 1

        with Stages(Interruption(lambda: None)) as stages, pytest.raises(ValueError, match="broken"):
            stages.run("fail", items)

    def test_signal_ends_a_stage(self, signals: None) -> None:
        """A signal ends a stage that would go on for ever."""
        interruption = Interruption(lambda: None)
        interruption.install()
        gate = threading.Event()

        def items() -> Iterator[int]:
            gate.wait(PATIENCE_S)
            yield 1

        signal.raise_signal(signal.SIGINT)
        with Stages(interruption) as stages, pytest.raises(Interrupted):
            stages.run("wait", items)
        gate.set()


def sum_of(items: list[int]) -> int:
    """Return the bytes that are done."""
    return sum(items)


class TestFit:
    """The line of progress at each width."""

    @pytest.mark.parametrize("columns", [10, 20, 39, 40, 79, 80, 199, 200])
    @pytest.mark.parametrize("planning_done", [True, False])
    def test_it_fits(self, columns: int, *, planning_done: bool) -> None:
        """Whatever the width, the line is no longer, and from 40 columns on it tells how far objects or bytes are."""
        progress = Progress(
            planned_objects=123456, verified_objects=99999, failed_objects=7, planned_bytes=1023 << 30,
            received_bytes=1000 << 30, planning_done=planning_done,
        )  # fmt: skip
        line = progress_line(progress, rate_of((0.0, 0, 0), (10.0, 1 << 30, 1000)), columns)
        assert len(line) <= columns
        if columns >= 39:
            assert "100006 of 123456" in line or "1000.0 GiB of 1023.0" in line

    def test_one_object_shows_its_bytes_on_a_narrow_terminal(self) -> None:
        """At 40 columns a count of one says nothing: bytes and the time that is left stay."""
        rate = rate_of((0.0, 0, 0), (10.0, 20 << 20, 0))
        one = Progress(planned_objects=1, planned_bytes=40 << 20, received_bytes=20 << 20, planning_done=True)
        line = progress_line(one, rate, 39)
        assert "20.0 MiB of 40.0 MiB" in line
        assert "ETA 0:00:10" in line
        assert "objects" not in line

    def test_no_full_bar_and_no_eta_before_they_are_true(self) -> None:
        """A total that grows has neither; with all bytes there, and not all objects done, no bar is full."""
        rate = rate_of((0.0, 0, 0), (10.0, 1000, 10))
        growing = Progress(planned_objects=20, verified_objects=10, planned_bytes=1000 << 20, received_bytes=500 << 20)
        line = progress_line(growing, rate, 200)
        assert "10 of 20+ objects" in line
        assert "1000.0+ MiB" in line
        assert "ETA" not in line
        assert "━" not in line
        told = msgspec.structs.replace(growing, planning_done=True, received_bytes=1000 << 20)
        assert "━─" in progress_line(told, rate, 200)
        over = msgspec.structs.replace(told, verified_objects=20)
        line = progress_line(over, rate, 200)
        assert "─" not in line
        assert "ETA" not in line

    def test_small_objects_are_told_a_second(self) -> None:
        """Where requests take the time, they tell the rate and the end: 1,000 of 3,000 in 10 s leave 20 s."""
        progress = Progress(
            planned_objects=3000, verified_objects=1000, planned_bytes=300, received_bytes=100, planning_done=True
        )
        line = progress_line(progress, rate_of((0.0, 0, 0), (10.0, 100, 1000)), 200)
        assert "100 objects/s" in line
        assert line.endswith("ETA 0:00:20")

    def test_a_terminal_that_becomes_narrower(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The rows that the line has been broken into are erased, and the new line fits."""
        widths = iter([120, 40, 40])
        display = Display(columns=lambda: next(widths))
        progress = Progress(planned_objects=2, verified_objects=1, planned_bytes=9 << 20, planning_done=True)
        display.update(progress)
        first = capsys.readouterr().err
        display.update(progress)
        second = capsys.readouterr().err
        rows = (len(first) - 1) // 40
        assert rows >= 1
        assert second.startswith(f"\x1b[{rows}A\r\x1b[J")
        assert len(second.removeprefix(f"\x1b[{rows}A\r\x1b[J")) < 40


def rate_of(*seen: tuple[float, int, int]) -> RecentRate:
    """Return the rate of what was done at these instants."""
    rate = RecentRate()
    for one in seen:
        rate.add(*one)
    return rate
