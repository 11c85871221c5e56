"""Completion as shells ask for it, against a real server, and where its script is installed."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.command import environment, run
from tests.patience import PATIENCE_S
from tests.servers.process import RunningServer
from tests.servers.weed import weed

Ask = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def seaweed() -> Iterator[RunningServer]:
    """A real server with two buckets, and keys in a folder."""
    with weed() as server:
        client = server.client()
        for bucket in ("bucket", "other"):
            client.create_bucket(Bucket=bucket)
        for key in ("run/a.txt", "run/b c.txt", "top.bin"):
            client.put_object(Bucket="bucket", Key=key, Body=b"x")
        for key in ("date=2024/part=1.bin", "user@host/mail", "t12:30.log", "it's.txt", "do$lar.txt", "a b/c@d=e.txt"):
            client.put_object(Bucket="other", Key=key, Body=b"x")
        yield server


@pytest.fixture
def variables(seaweed: RunningServer, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that finds the command, the server's keys and a profile."""
    command = tmp_path / "bulkhaul"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m bulkhaul "$@"\n')
    command.chmod(0o755)
    config = tmp_path / "config"
    config.write_text("[default]\n[profile work]\n[sso-session no]\n")
    keys = tmp_path / "credentials"
    keys.write_text(f"[work]\naws_access_key_id = {seaweed.access_key}\naws_secret_access_key = {seaweed.secret_key}\n")
    return environment(
        PATH=f"{tmp_path}:/usr/bin:/bin",
        AWS_CONFIG_FILE=str(config),
        AWS_SHARED_CREDENTIALS_FILE=str(keys),
        AWS_ACCESS_KEY_ID=seaweed.access_key,
        AWS_SECRET_ACCESS_KEY=seaweed.secret_key,
        AWS_SESSION_TOKEN="",
        AWS_REGION=seaweed.region,
        AWS_ENDPOINT_URL="",
        LC_ALL="C.UTF-8",
        HOME=str(tmp_path),
        TERM="dumb",
    )


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with files and folders."""
    here = tmp_path / "here"
    (here / "src dir").mkdir(parents=True)
    (here / "file.txt").touch()
    (here / "of=day@1").mkdir()
    (here / "of=day@1" / "x y.txt").touch()
    return here


@pytest.fixture
def ask(seaweed: RunningServer, here: Path, variables: dict[str, str], tmp_path: Path) -> Ask:
    """What bash completes a line to; URL stands for the server."""
    script = tmp_path / "completion.bash"
    script.write_text(run("completion", "bash").stdout)
    program = 'source "$1"; COMP_LINE="$2"; COMP_POINT=${#COMP_LINE}; _bulkhaul_completion bulkhaul; '
    program += 'printf "%s\\n" "${COMPREPLY[@]}"'

    def asked(line: str) -> list[str]:
        words = ["bash", "-c", program, "bash", str(script), line.replace("URL", seaweed.endpoint_url)]
        done = subprocess.run(words, env=variables, cwd=here, capture_output=True, text=True, timeout=PATIENCE_S)
        return sorted(filter(None, done.stdout.split("\n")))

    return asked


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bulkhaul cp fi", ["file.txt"]),
        ("bulkhaul cp s", ["s3://", "src dir"]),
        ("bulkhaul cp --files-from f", ["file.txt"]),
        ("bulkhaul --profi", ["--profile"]),
        ("bulkhaul --profile ", ["default", "work"]),
        ("bulkhaul ls --profile w", ["work"]),
        ("bulkhaul --json l", ["ls"]),
        ("bulkhaul cp --transport ", ["auto", "fast", "sdk"]),
        ("bulkhaul cp --verify=f", ["full"]),
        ("bulkhaul --frobnicate x", []),
        ("bulkhaul ls --endpoint-url http://127.0.0.1:1 s3://b", []),
    ],
)
def test_words(ask: Ask, line: str, expected: list[str]) -> None:
    """Files, options, choices and profiles complete; what makes no sense, or is not there, is silent."""
    assert ask(line) == expected


def test_buckets_and_keys(ask: Ask) -> None:
    """Buckets, folders and keys come from the service of the line; bash gets what stands behind its last colon."""
    assert ask("bulkhaul --endpoint-url URL ls s3://") == ["//bucket/", "//other/"]
    assert ask("bulkhaul ls --endpoint-url URL s3://bu") == ["//bucket/"]
    assert ask("bulkhaul cp --endpoint-url URL file.txt s3://bucket/") == ["//bucket/run/", "//bucket/top.bin"]
    assert ask("bulkhaul cp --endpoint-url URL s3://bucket/run/b\\ ") == ["//bucket/run/b\\ c.txt"]
    assert ask("bulkhaul cp --endpoint-url URL 's3://bucket/run/b") == ["s3://bucket/run/b c.txt"]


SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        r"""PS1='read''y> '; source FILE; bind -x '"\C-g": printf "<<%s>>" "$READLINE_LINE"'""",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        (
            r"""PS1='read''y> '; autoload compinit; compinit -uD; source FILE; """
            r"""d() {print -rn "<<$BUFFER>>"}; zle -N d; bindkey ^G d"""
        ),
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        r"""function fish_prompt; echo -n 'read''y> '; end; source FILE; bind \cg 'printf "<<%s>>" (commandline)'""",
    ),
}
"""How each shell is begun, and what is typed first: a prompt, the script, and Ctrl-G for what the line holds."""

INSTALLED = [shell for shell in SHELLS if shell == "bash" or shutil.which(shell)]


class Terminal:
    """An interactive shell on a pseudo-terminal."""

    def __init__(self, shell: str, script: Path, variables: dict[str, str], here: Path) -> None:
        words, first = SHELLS[shell]
        self._pid, self._fd = pty.fork()
        if not self._pid:
            os.chdir(here)
            os.execvpe(words[0], words, variables)  # noqa: S606 - it is the shell that is tested
        self._type(first.replace("FILE", str(script)) + "\n")
        self._read_to(r"ready> ")

    def completed(self, line: str) -> str:
        """Return what a line is after a press of TAB; it is pressed again while the service is too slow for it."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            self._type(f"\x15{line}\t\x07")
            now = self._read_to(r"(?s)<<(.*?)>>")
            if now != line or time.monotonic() > deadline_s:
                return now

    def end(self) -> None:
        """End the shell."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._fd)

    def _type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def _read_to(self, pattern: str) -> str:
        shown, deadline_s = "", time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, shown)):
            ready, _, _ = select.select([self._fd], [], [], deadline_s - time.monotonic())
            assert ready, f"the shell shows {shown!r}"
            shown += os.read(self._fd, 65536).decode(errors="replace")
        return found.group(found.re.groups)


@pytest.mark.parametrize("shell", INSTALLED)
def test_what_a_shell_makes_of_a_line(
    shell: str, seaweed: RunningServer, variables: dict[str, str], here: Path, tmp_path: Path
) -> None:
    """Keys and files with =, @, :, blanks and quotes complete to what names them, however the word was begun."""
    script = tmp_path / "script"
    script.write_text(run("completion", shell).stdout)
    terminal = Terminal(shell, script, variables | {"AWS_ENDPOINT_URL": seaweed.endpoint_url}, here)
    try:
        for word, expected in {
            "s3://ot": "s3://other/",
            "s3://other/da": "s3://other/date=2024/",
            "s3://other/date=": "s3://other/date=2024/",
            "s3://other/date=2024/part=": "s3://other/date=2024/part=1.bin ",
            "s3://other/user@": "s3://other/user@host/",
            "s3://other/user@host/m": "s3://other/user@host/mail ",
            "s3://other/t12:": "s3://other/t12:30.log ",
            r"s3://other/a\ b/c@d": r"s3://other/a\ b/c@d=e.txt ",
            "'s3://other/a b/c@d=": "'s3://other/a b/c@d=e.txt' ",
            "s3://other/it": r"s3://other/it\'s.txt ",
            "'s3://other/it": r"'s3://other/it'\''s.txt' ",
            '"s3://other/do': r'"s3://other/do\$lar.txt" ',
            "of=day@1/x": r"of=day@1/x\ y.txt ",
            "--files-from=of=day@1/x": r"--files-from=of=day@1/x\ y.txt ",
            "--verify=f": "--verify=full ",
        }.items():
            if shell == "fish":  # it knows backslashes between single quotes
                expected = expected.replace(r"'\''", r"\'")
            assert terminal.completed(f"bulkhaul cp {word}") == f"bulkhaul cp {expected}"
    finally:
        terminal.end()


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".local/share/bash-completion/completions/bulkhaul"),
        ("zsh", ".zfunc/_bulkhaul"),
        ("fish", ".config/fish/completions/bulkhaul.fish"),
    ],
)
def test_install(tmp_path: Path, shell: str, place: str) -> None:
    """--install writes the script of the shell in $SHELL to its place, says so, and changes nothing else."""
    variables = {"HOME": str(tmp_path), "SHELL": f"/usr/bin/{shell}", "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}
    done = run("completion", "--install", variables=variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Wrote {tmp_path / place}\n" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / place]
    assert (tmp_path / place).read_text() == run("completion", shell).stdout
