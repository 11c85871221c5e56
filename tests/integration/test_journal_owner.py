"""The owner of a journal is a process: its lock goes with it, however it ends, and what it wrote stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul.disk.pending import discard_journal, open_for_resume, scan
from bulkhaul.disk.records import PartSent
from bulkhaul.disk.state import state_folder

PLACE = ("https://s3.example", "bucket", "key")

OWNER = """
import sys
from bulkhaul.disk.journal import Journal
from bulkhaul.disk.records import VERSION, Intent

intent = Intent(VERSION, "https://s3.example", "bucket", "key", "token", None, 5, "CRC32", "", 0.0)
journal = Journal.create(sys.argv[1], intent, resumable=True)
journal.begun("id-1", "CRC32")
print(journal.path, flush=True)
number = 0
while True:
    number += 1
    journal.part(number % 10_000 + 1, '"etag"' * 20, number, number)
    if number == 50:
        print("writing", flush=True)
"""

RACER = """
import sys
from bulkhaul.disk.pending import open_for_resume

print("ready", flush=True)
sys.stdin.readline()
found = open_for_resume(sys.argv[1], "https://s3.example", "bucket", "key")
print("taken" if found else "left", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A state folder of this test's own."""
    return state_folder(str(tmp_path))


@pytest.fixture
def owner(folder: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a journal and writes to it without end."""
    with subprocess.Popen([sys.executable, "-c", OWNER, folder], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == str(next(Path(folder).iterdir()))
            assert process.stdout.readline().strip() == "writing"
            yield process
        finally:
            process.kill()


def test_killed_owner_leaves_a_journal_to_resume(folder: str, owner: subprocess.Popen[str]) -> None:
    """Nobody takes a journal from a living owner; after SIGKILL in the middle of writing it is free and readable."""
    [seen] = scan(folder)
    assert seen.locked
    assert seen.state is not None
    assert open_for_resume(folder, *PLACE) is None
    assert not discard_journal(seen.path)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    found = open_for_resume(folder, *PLACE)
    assert found is not None
    journal, state = found
    assert state.upload_id == "id-1"
    assert len(state.parts) >= 50
    assert all(part.etag == '"etag"' * 20 and part.crc == part.size_bytes for part in state.parts.values())
    journal.part(1, "mine", 1, 1)
    journal.close()
    again = open_for_resume(folder, *PLACE)
    assert again is not None
    assert again[1].parts == {**state.parts, 1: PartSent(1, "mine", 1, 1)}
    again[0].finish()
    assert os.listdir(folder) == []


def test_stopped_owner_keeps_its_journal(folder: str, owner: subprocess.Popen[str]) -> None:
    """An owner that does not move is alive: its journal is looked at without waiting for it, and stays its own."""
    owner.send_signal(signal.SIGSTOP)
    try:
        assert [one.locked for one in scan(folder)] == [True]
        assert open_for_resume(folder, *PLACE) is None
    finally:
        owner.send_signal(signal.SIGCONT)


def test_one_process_of_many_resumes(folder: str, owner: subprocess.Popen[str]) -> None:
    """Of several runs that find the same journal at once, exactly one goes on with it."""
    owner.kill()
    owner.wait()
    command = [sys.executable, "-c", RACER, folder]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # closed below
        for _ in range(4)
    ]
    try:
        answers = []
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        for racer in racers:
            assert racer.stdout is not None
            answers.append(racer.stdout.readline().strip())
        assert sorted(answers) == ["left", "left", "left", "taken"]
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
