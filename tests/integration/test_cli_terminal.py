"""The command on a terminal: where progress is shown, and where it is not."""

from __future__ import annotations

import errno
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

from tests.engines import temp_files
from tests.faultserver import MIB, Drip, FaultServer, Stall, generated_object
from tests.integration.command import arguments, environment, lines

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BODY = {"bucket/key": generated_object(8 * MIB)}
SLOW = Drip(bytes_per_s=4 * MIB, attempt="every")


class Terminal:
    """A pseudo-terminal with a command on it."""

    def __init__(self, *words: str | Path, stdout: int | None = None) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            arguments(*words),
            env=environment(TERM="xterm-256color", COLUMNS="120"),
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            start_new_session=True,
            # The terminal sends its signals to whom it controls.
            preexec_fn=lambda: os.close(os.open(os.ttyname(2), os.O_RDWR)),
        )
        os.close(theirs)
        self._seen = ""

    def read_until(self, text: str | None = None, *, timeout_s: float = 20.0) -> str:
        """Return what was shown up to ``text``, without control sequences; without a text, up to the end."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if text is not None and text in self._seen:
                return self._seen
            if not select.select([self._ours], [], [], 0.1)[0]:
                continue
            try:
                self._seen += CONTROL.sub("", os.read(self._ours, 65536).decode())
            except OSError as error:
                assert error.errno == errno.EIO  # noqa: PT017 - how Linux tells that nobody has it open
                return self._seen
        raise AssertionError(f"{text!r} was not shown within {timeout_s} s, but {self._seen[-2000:]!r}")

    def press_ctrl_c(self) -> None:
        """Type it."""
        os.write(self._ours, b"\x03")

    def close(self) -> int:
        """Return the exit code."""
        try:
            return self.process.wait(15)
        finally:
            self.process.kill()
            os.close(self._ours)


def test_progress(tmp_path: Path) -> None:
    """On a terminal bytes, rate, objects and ETA are shown while they come, and the line of the object above them."""
    with FaultServer(BODY, [SLOW]) as server:
        terminal = Terminal("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/key", tmp_path)
        shown = terminal.read_until()
        assert terminal.close() == 0
    assert f"cp s3://bucket/key {tmp_path}/key\r\n" in shown
    assert re.search(r"[1-9][.\d]* MiB of 8\.0 MiB", shown)
    assert re.search(r"[1-9][.\d]* MiB/s", shown)
    assert "0 of 1 object" in shown
    assert "ETA" in shown
    assert shown.rstrip().splitlines()[-1].count("8.0 MiB of 8.0 MiB") == 1
    assert "1 of 1 object" in shown


def test_no_progress(tmp_path: Path) -> None:
    """--no-progress and --quiet keep the terminal clean."""
    with FaultServer(BODY) as server:
        for option, said in (("--no-progress", f"cp s3://bucket/key {tmp_path}/key\r\n"), ("--quiet", "")):
            terminal = Terminal("cp", option, "--endpoint-url", server.endpoint_url, "s3://bucket/key", tmp_path)
            assert terminal.read_until() == said
            assert terminal.close() == 0


def test_stdout_is_never_touched(tmp_path: Path) -> None:
    """Progress goes to the terminal; a redirected stdout gets JSON and nothing else."""
    with FaultServer(BODY, [SLOW]) as server, (tmp_path / "stdout").open("w+") as stdout:
        words = ["cp", "--json", "--endpoint-url", server.endpoint_url, "s3://bucket/key", str(tmp_path / "out")]
        terminal = Terminal(*words, stdout=stdout.fileno())
        shown = terminal.read_until()
        assert terminal.close() == 0
    assert "MiB/s" in shown
    objects, summary = lines((tmp_path / "stdout").read_text())
    assert (len(objects), summary["verified"]) == (1, 1)


def test_errors_stand_above_the_progress(tmp_path: Path) -> None:
    """An error is shown whole while the others go on, and the count of failures with it."""
    objects = {"bucket/p/../x": b"1", "bucket/p/slow": b"2" * MIB}
    with FaultServer(objects, [Drip(bytes_per_s=MIB / 2, attempt="every")]) as server:
        words = ["cp", "--endpoint-url", server.endpoint_url, "--recursive", "s3://bucket/p/", str(tmp_path)]
        terminal = Terminal(*words)
        shown = terminal.read_until()
        assert terminal.close() == 1
    assert re.search(r"bulkhaul: error: s3://bucket/p/\.\./x: [^\r]*\r\n", shown)
    assert "2 of 2 objects, 1 failed" in shown


def test_ctrl_c_on_the_terminal(tmp_path: Path) -> None:
    """Ctrl-C as it is typed, which reaches every process at once, ends the command within 2 s and cleanly."""
    with FaultServer(BODY, [Stall(after_bytes=100, attempt="every")]) as server:
        terminal = Terminal("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/key", tmp_path)
        terminal.read_until("of 8.0 MiB")
        server.wait_for(lambda it: bool(it.requests_for("GetObject")))
        began_s = time.monotonic()
        terminal.press_ctrl_c()
        shown = terminal.read_until()
        assert terminal.close() == 130
    assert time.monotonic() - began_s < 2.0
    assert "interrupted by SIGINT" in shown
    assert "Traceback" not in shown
    assert (temp_files(tmp_path), os.listdir(tmp_path)) == ([], [])
