"""The command on a terminal: where progress is shown, and where it is not."""

from __future__ import annotations

import errno
import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bulkhaul.cli.progress import TICK_S
from tests.engines import temp_files
from tests.faultserver import MIB, Drip, FaultServer, Stall, generated_object
from tests.integration.command import arguments, environment, lines
from tests.patience import PATIENCE_S, SOON_S
from tests.servers.moto import moto

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BODY = {"bucket/key": generated_object(8 * MIB)}
SLOW = Drip(bytes_per_s=4 * MIB, attempt="every")


class Terminal:
    """A pseudo-terminal with a command on it."""

    def __init__(
        self,
        *words: str | Path,
        stdout: int | None = None,
        variables: Mapping[str, str] | None = None,
        columns: int = 0,
    ) -> None:
        self._ours, theirs = pty.openpty()
        if columns:
            termios.tcsetwinsize(theirs, (24, columns))
        self.process = subprocess.Popen(
            arguments(*words),
            env=environment(TERM="xterm-256color", COLUMNS="120", **(variables or {})),
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            start_new_session=True,
            # The terminal sends its signals to whom it controls.
            preexec_fn=lambda: os.close(os.open(os.ttyname(2), os.O_RDWR)),
        )
        os.close(theirs)
        self._seen = ""

    def read_until(self, text: str | None = None, *, timeout_s: float = PATIENCE_S) -> str:
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

    def resize(self, columns: int) -> None:
        """Make it narrower or wider."""
        termios.tcsetwinsize(self._ours, (24, columns))

    def type(self, text: str) -> None:
        """Type it."""
        os.write(self._ours, text.encode())

    def press_ctrl_c(self) -> None:
        """Type it."""
        os.write(self._ours, b"\x03")

    def close(self) -> int:
        """Return the exit code."""
        try:
            return self.process.wait(PATIENCE_S)
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
    assert time.monotonic() - began_s < SOON_S
    assert "interrupted by SIGINT" in shown
    assert "Traceback" not in shown
    assert (temp_files(tmp_path), os.listdir(tmp_path)) == ([], [])


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_widths(tmp_path: Path, columns: int) -> None:
    """No line of progress is longer than the terminal, also after that was resized, and none is left half erased."""
    objects = {f"bucket/p/{number:02}": generated_object(MIB) for number in range(12)}
    with FaultServer(objects, [Drip(bytes_per_s=MIB, attempt="every")]) as server:
        words = ["cp", "--recursive", "--concurrency", "4", "--endpoint-url", server.endpoint_url, "s3://bucket/p/"]
        with (tmp_path / "stdout").open("w") as stdout:
            terminal = Terminal(*words, tmp_path / "out", stdout=stdout.fileno(), columns=columns)
            terminal.read_until("objects")
            terminal.resize(40)
            shown = terminal.read_until()
        assert terminal.close() == 0
    updates = [line for part in shown.splitlines() for line in part.split("\r") if " objects" in line]
    assert all(len(line) < columns for line in updates if "done," not in line)
    assert "12 of 12 objects" in shown
    assert "cp: 12 done, 0 skipped, 0 failed; 12.0 MiB in " in shown


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_comparison_has_progress(columns: int) -> None:
    """It tells names, and the bytes that are read, in lines that fit; the lines of names stand above."""
    objects = {f"bucket/{side}/{number:02}": generated_object(MIB) for number in range(12) for side in "ab"}
    objects["bucket/b/05"] = generated_object(MIB, seed=7)
    with FaultServer(objects, [Drip(bytes_per_s=2 * MIB, attempt="every")]) as server:
        words = ("verify", "--read-all", "--endpoint-url", server.endpoint_url, "s3://bucket/a/", "s3://bucket/b/")
        terminal = Terminal(*words, columns=columns)
        # 40 columns hold names and time left, and no more.
        terminal.read_until("MiB of 24.0 MiB" if columns > 40 else "of 12 objects  ETA")
        terminal.resize(40)
        shown = terminal.read_until()
        assert terminal.close() == 1
    updates = [line for part in shown.splitlines() for line in part.split("\r") if " objects" in line]
    assert all(len(line) < columns for line in updates)
    assert "of 12 objects" in shown
    told = r"[1-9][.\d]* MiB of 24\.0 MiB  .*[0-9] of 12 objects" if columns > 40 else r"[1-9]\d? of 12 objects.*  ETA"
    assert any(re.search(told, line) for line in updates)
    assert re.search(r"[^\r\n]*12 of 12 objects, 1 failed\r\nverify: 11 equal, 1 different, ", shown)
    assert "different s3://bucket/a/05 s3://bucket/b/05: the SHA256 differs: " in shown
    assert "verify: 11 equal, 1 different, 0 missing, 0 undecidable; 24.0 MiB read in " in shown


def test_a_comparison_of_one_pair_has_progress() -> None:
    """The bytes of both sides are the total, so a large pair has a time left; --no-progress and --quiet hide it."""
    objects = {"bucket/a": generated_object(4 * MIB), "bucket/b": generated_object(4 * MIB)}
    with FaultServer(objects, [Drip(bytes_per_s=4 * MIB, attempt="every")]) as server:
        # One side after the other: each is one block, which is told when it is there.
        words = (
            "verify",
            "--read-all",
            "-c",
            "1",
            "--endpoint-url",
            server.endpoint_url,
            "s3://bucket/a",
            "s3://bucket/b",
        )
        terminal = Terminal(*words)
        shown = terminal.read_until()
        assert terminal.close() == 0
        assert re.search(r"[1-9][.\d]* MiB of 8\.0 MiB  [1-9][.\d]* MiB/s  0 of 1 object  ETA 0:00:0", shown)
        for option, said in (("--no-progress", "equal s3://bucket/a s3://bucket/b (bytes)\r\n"), ("--quiet", "")):
            terminal = Terminal(*words, option)
            assert terminal.read_until() == said
            assert terminal.close() == 0


def test_streams_have_progress(tmp_path: Path) -> None:
    """A cat shows it where its bytes go elsewhere, and not where they go to that terminal."""
    with FaultServer(BODY, [SLOW]) as server:
        endpoint = ("--endpoint-url", server.endpoint_url)
        with (tmp_path / "stdout").open("wb") as stdout:
            terminal = Terminal("cat", *endpoint, "s3://bucket/key", stdout=stdout.fileno())
            assert re.search(r"[1-9][.\d]* MiB of 8\.0 MiB", terminal.read_until())
            assert terminal.close() == 0
        assert (tmp_path / "stdout").stat().st_size == 8 * MIB
    with FaultServer({"bucket/text": b"words"}) as server:
        terminal = Terminal("cat", "--endpoint-url", server.endpoint_url, "s3://bucket/text")
        assert terminal.read_until() == "words"
        assert terminal.close() == 0


SERIAL = "arn:aws:iam::123456789012:mfa/ann"


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a profile whose role is had with an MFA code."""
    config = tmp_path_factory.mktemp("aws") / "config"
    role = "role_arn = arn:aws:iam::123456789012:role/writer"
    config.write_text(
        f"[profile guarded]\n{role}\nsource_profile = plain\nmfa_serial = {SERIAL}\n"
        "[profile plain]\naws_access_key_id = AKIDPLAIN\naws_secret_access_key = plain-secret-0815\n"
    )
    with moto() as sts:
        yield {
            "AWS_CONFIG_FILE": str(config),
            "AWS_PROFILE": "guarded",
            "AWS_ENDPOINT_URL_STS": sts.endpoint_url,
            "AWS_REGION": "us-east-1",
            **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), ""),
        }


def test_mfa_code_is_asked_for(tmp_path: Path, profile: dict[str, str]) -> None:
    """The prompt stands alone until the code is typed, however long that takes; then progress begins."""
    with FaultServer(BODY, [SLOW]) as server:
        terminal = Terminal("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/key", tmp_path, variables=profile)
        prompt = f"Enter MFA code for {SERIAL}: "
        assert terminal.read_until(prompt) == prompt
        # Time enough for several ticks of a display, had there been one.
        assert not select.select([terminal._ours], [], [], 4 * TICK_S)[0]
        assert server.requests == ()
        terminal.type("123456\n")
        shown = terminal.read_until()
        assert terminal.close() == 0, shown
    assert "8.0 MiB of 8.0 MiB" in shown
    assert (tmp_path / "key").stat().st_size == 8 * MIB


def test_mfa_code_is_not_typed(tmp_path: Path, profile: dict[str, str]) -> None:
    """An empty line is an error, and Ctrl-C at the prompt an interruption; the terminal is left as it was."""
    for typed, status, says in (("\n", 1, "no MFA code was typed"), ("\x03", 130, "interrupted by SIGINT")):
        with FaultServer(BODY) as server:
            words = ("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/key", tmp_path)
            terminal = Terminal(*words, variables=profile)
            before = termios.tcgetattr(terminal._ours)
            terminal.read_until("Enter MFA code")
            terminal.type(typed)
            shown = terminal.read_until(says)
            terminal.read_until()
            after = termios.tcgetattr(terminal._ours)
            assert (terminal.close(), after, "Traceback" in shown) == (status, before, False)
            assert server.requests == ()


def test_mfa_code_without_a_terminal(tmp_path: Path, profile: dict[str, str]) -> None:
    """Where nobody can be asked the command fails at once, with what to do; stdin is not taken for an answer."""
    with FaultServer(BODY) as server:
        done = subprocess.run(
            arguments("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/key", str(tmp_path)),
            env=environment(**profile),
            input="123456\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            start_new_session=True,
        )
        assert server.requests == ()
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no terminal to type it on" in done.stderr
    assert "get-session-token" in done.stderr
    assert "Warning" not in done.stderr
