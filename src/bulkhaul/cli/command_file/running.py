"""Carries out the lines of a file of commands side by side, by one engine, and yields what each object came to.

file ─▶ reader (a thread) ─┬─▶ rows of one kind, page by page ─▶ a thread ─┬─▶ results
                           ╰─▶ any other line ────────────────▶ a thread ─╯
"""

from __future__ import annotations

import asyncio
import functools
import os
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator

import msgspec

from bulkhaul.cli.command_file.parsing import COMMANDS, Prepared
from bulkhaul.cli.command_file.reading import numbered_lines
from bulkhaul.cli.command_file.report import LineResult, of_line
from bulkhaul.cli.command_file.rows import Kind, RowStream, row_of
from bulkhaul.cli.run_query import Lines
from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.loop.threads import no_thread
from bulkhaul.model.errors import ErrorInfo, TransferError, UsageError, error_of
from bulkhaul.model.limits import KIB
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Row
from bulkhaul.policy.command_lines import BLANKS, PlainLine, plain_line, plain_words, words_of
from bulkhaul.policy.reach import ClosedPlaces, Reach, ends_lines, reach_of
from bulkhaul.policy.selection import named_object

LINES_AT_ONCE = 32
"""Lines that are carried out at the same time, apart from those of single objects: each may list a prefix, and hold a
few pages of it. One line alone fills the window of requests."""

_MAX_WAITING = 1024
"""Results that wait to be taken: a few hundred KiB."""

_LOOK_UP_S = 0.1
"""How often a full queue of results is given up, if the engine has ended."""

_READ_BYTES = 64 * KIB
"""What is read of an object for stdout at a time. Source: the capacity of a pipe (pipe(7))."""

Prepare = Callable[[list[str]], list[Prepared]]
Streams = Callable[[Engine, int], Iterator[TransferResult]]


class _End:
    """Marks the end in the queue of results, with what ended it before its time."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class CommandFile:
    """One run of a file of commands.

    Attributes:
        whole: all lines were read.
    """

    def __init__(self, fd: int, prepare: Prepare, *, dry_run: bool) -> None:
        """Take the file, open for reading, and what makes the work of a line from its words."""
        self.whole = False
        self._fd = fd
        self._prepare = prepare
        self._dry_run = dry_run
        self._streams: dict[Kind, RowStream] = {}
        self._gathered: defaultdict[Kind, list[Row]] = defaultdict(list)
        self._closed = ClosedPlaces()
        self._lines = 0  # that are carried out one by one, now
        self._out = queue.Queue[LineResult | _End](_MAX_WAITING)
        self._slots = threading.BoundedSemaphore(LINES_AT_ONCE)
        self._lock = threading.Lock()
        self._threads = 0

    @property
    def in_flight(self) -> int:
        """Lines that have begun and not ended."""
        return self._lines + sum(len(stream.waiting) for stream in self._streams.values())

    def results(self, engine: Engine) -> Iterator[LineResult]:
        """Carry out all lines; one that fails stops no other, unless each would fail alike.

        Raises:
            LocalError: the file cannot be read any further.
            OtherError: no thread can be started.
            TransferError: one line has met what every other one would meet, such as a wrong secret.
        """
        closed = engine.start_task(asyncio.Event().wait)
        closed.add_done_callback(lambda _: self._put(engine, _End()))
        self._start(engine, lambda: self._read(engine))
        try:
            while not isinstance(item := self._out.get(), _End):
                if item.source_fd < 0:
                    yield item
                else:
                    yield from _read_out(item)
            if item.error is not None:
                raise item.error
        finally:
            closed.cancel()

    def _start(self, engine: Engine, work: Callable[[], None]) -> None:
        """Run work in a thread; when the last one has ended, so have the results."""

        def run() -> None:
            error: BaseException | None = None
            try:
                work()
            except BaseException as caught:  # noqa: BLE001 - it is raised where the results are taken
                error = caught
            with self._lock:
                self._threads -= 1
                last = not self._threads
            if last or error is not None:
                self._put(engine, _End(error))

        with self._lock:
            self._threads += 1
        # A daemon: one that waits for stdin, or for a reader of results that has gone, must not keep the program.
        threading.Thread(target=run, name="bulkhaul-lines", daemon=True).start()

    def _put(self, engine: Engine, item: LineResult | _End) -> None:
        while True:
            try:
                self._out.put(item, timeout=_LOOK_UP_S)
            except queue.Full:
                if not engine.ended:
                    continue
            return

    # Reading

    def _read(self, engine: Engine) -> None:
        try:
            for lines in numbered_lines(self._fd):
                for number, text in lines:
                    if engine.ended:
                        return
                    self._begin(engine, number, text)
                self._hand_over(engine)
            self.whole = True
            for stream in self._streams.values():
                engine.run(stream.end)
        except OSError as error:
            raise local_error(error) from error
        except BaseException:
            if not engine.ended:
                raise

    def _begin(self, engine: Engine, number: int, text: str | None) -> None:
        """Begin one line, as soon as there is room for it."""
        operation = ""
        try:
            if text is None:
                raise UsageError("the line is too long")
            if "\0" in text:
                raise UsageError("the line holds NUL, which no path and no argument can")
            if self._begin_row(number, plain_line(text := text.strip(BLANKS))):
                return
            if not (words := words_of(text)):
                return
            operation = words[0] if words[0] in COMMANDS else ""
            if self._begin_row(number, plain_words(words)):
                return
            for work in self._prepare(words):
                if not self._slots.acquire(blocking=False):
                    self._hand_over(engine)
                    self._slots.acquire()
                with self._lock:
                    self._lines += 1
                self._start(engine, functools.partial(self._line, engine, number, work))
        except TransferError as error:
            if not engine.ended:
                self._put(engine, _failed(number, operation, error))
        except RuntimeError as error:
            raise no_thread(error) or error from error

    # Rows

    def _begin_row(self, number: int, plain: PlainLine | None) -> bool:
        """Take a line that can go together with others; return False if it cannot."""
        if plain is None or (found := row_of(plain, number)) is None:
            return False
        kind, row = found
        self._gathered[kind].append(row)
        return True

    def _hand_over(self, engine: Engine) -> None:
        """Hand over what was gathered."""
        for kind, rows in self._gathered.items():
            if (stream := self._streams.get(kind)) is None:
                stream = self._streams[kind] = RowStream(kind, dry_run=self._dry_run)
                self._start(engine, functools.partial(self._rows, engine, kind.operation, stream))
            engine.run(stream.put, rows)
        self._gathered.clear()

    def _rows(self, engine: Engine, operation: str, stream: RowStream) -> None:
        """Carry out rows of one kind."""
        try:
            for result in engine.each(stream.results(engine)):
                dry_run = self._dry_run
                told = of_line(result, line=result.row, operation=operation, dry_run=dry_run, counted=not dry_run)
                self._put(engine, told)
        except BaseException:
            if not engine.ended:
                raise

    # Lines

    def _line(self, engine: Engine, number: int, line: Prepared) -> None:
        """Carry out one line; where the engine ends before it, it stays in flight."""
        try:
            try:
                if (failure := self._known(line)) is None:
                    self._carry_out(engine, number, line)
                else:
                    self._put(engine, _failed(number, line.operation, error_of(failure), line))
            except (TransferError, OSError) as error:
                if engine.ended:
                    return
                known = error if isinstance(error, TransferError) else local_error(error)
                if ends_lines(known.info, own_source=line.own_source):
                    raise known from error
                self._put(engine, _failed(number, line.operation, self._judged(known, line), line))
            with self._lock:
                self._lines -= 1
        except BaseException:
            if not engine.ended:
                raise
        finally:
            self._slots.release()

    def _known(self, line: Prepared) -> ErrorInfo | None:
        """Return the failure of a line whose buckets are known to fail all, None if it is to be tried."""
        if line.job is None or line.own_source:
            return None
        return self._closed.untried(line.job.source, line.job.destination)

    def _judged(self, error: TransferError, line: Prepared) -> TransferError:
        """Note what a failure means for the lines of the same buckets; return it, marked if it came before.

        Which folder a full disk has refused, its text alone tells: another line for that disk finds out by itself.
        """
        if line.job is None or line.own_source or reach_of(error.info) is not Reach.BUCKETS:
            return error
        with self._lock:
            judged = self._closed.judged(error.info, line.job.source, line.job.destination)
        return error if judged is error.info else error_of(judged)

    def _carry_out(self, engine: Engine, number: int, line: Prepared) -> None:
        if line.job is not None and line.job.streams is not None:
            self._stream(engine, number, line, line.job.streams)
        elif line.job is not None:
            counted = line.operation != "rm" and not line.dry_run
            for result in line.job.results(engine):
                told = of_line(result, line=number, operation=line.operation, dry_run=line.dry_run, counted=counted)
                self._put(engine, told)
            if note := line.job.note:
                self._put(engine, LineResult(source="", destination="", bucket="", key="", line=number, note=note))
        elif line.work is not None:
            names = TransferResult(source="", destination="", bucket="", key="")
            engine.run(line.work, engine.aio, _Text(of_line(names, line=number, operation=line.operation), self._offer))

    def _stream(self, engine: Engine, number: int, line: Prepared, streams: Streams) -> None:
        """Have the bytes of a line's objects written to stdout in one piece; what became of them is told behind them.

        Whoever takes the results reads them from a pipe, and meanwhile takes no others.
        """
        reading, writing = os.pipe2(os.O_CLOEXEC)
        names = TransferResult(source="", destination="", bucket="", key="")
        self._put(engine, of_line(names, line=number, operation=line.operation, source_fd=reading))
        told: list[LineResult] = []
        try:
            told.extend(
                of_line(result, line=number, operation=line.operation, counted=True)
                for result in streams(engine, writing)
            )
        finally:
            os.close(writing)
            for one in told:
                self._put(engine, one)

    async def _offer(self, item: LineResult) -> None:
        """Put lines for stdout into the queue, on the engine's loop, which must not wait for room there."""
        while True:
            try:
                self._out.put_nowait(item)
            except queue.Full:
                await asyncio.sleep(_LOOK_UP_S)
            else:
                return


class _Text(Lines):
    """The output of a line that asks; what it writes goes where the results go."""

    def __init__(self, line: LineResult, offer: Callable[[LineResult], Coroutine[None, None, None]]) -> None:
        self._line = line
        self._offer = offer

    async def write(self, text: str) -> None:
        """Hand over lines, and wait until there is room for them."""
        if text:
            await self._offer(msgspec.structs.replace(self._line, text=text))

    async def note(self, text: str) -> None:
        """Hand over what people are told of the line, likewise."""
        await self._offer(msgspec.structs.replace(self._line, note=text))


def _read_out(item: LineResult) -> Iterator[LineResult]:
    """Yield the bytes that come for stdout, to their end."""
    try:
        while data := os.read(item.source_fd, _READ_BYTES):
            yield msgspec.structs.replace(item, source_fd=-1, data=data)
    finally:
        os.close(item.source_fd)


def _failed(number: int, operation: str, error: TransferError, line: Prepared | None = None) -> LineResult:
    """Return the result of a line that failed as a whole; without ``line`` it was not even begun.

    The text of a line is not told: a key may stand in it.
    """
    job = line.job if line is not None else None
    source, destination = (job.source, job.destination) if job is not None else ("", "")
    bucket, key = named_object(source if source.startswith("s3://") else destination)
    return LineResult(
        source=source,
        destination=destination,
        bucket=bucket,
        key=key,
        failure=error.info,
        line=number,
        operation=operation,
        dry_run=line is not None and line.dry_run,
        counted=job is not None and operation != "rm",
        whole=True,
    )
