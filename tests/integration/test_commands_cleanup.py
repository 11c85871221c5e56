"""cleanup as users run it: uploads and temp files of runs that are dead, and none of those that live."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import msgspec
import pytest

from bulkhaul.disk import download_records
from bulkhaul.disk.download_journal import DownloadJournal
from bulkhaul.disk.download_records import Plan, Wanted
from bulkhaul.disk.journal import Journal
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.records import VERSION, Intent
from tests.faultserver import FaultServer, Status
from tests.integration.command import run
from tests.s3_client import client_for


class Shop:
    """A server, a state folder, and what lies in both."""

    def __init__(self, server: FaultServer, folder: Path) -> None:
        self.server = server
        self.state = folder / "state"
        self.uploads = self.state / "uploads"
        self.uploads.mkdir(parents=True)
        self.client = client_for(server)

    def begin(self, key: str) -> str:
        """Begin an upload at the service."""
        return str(self.client.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"])

    def pending(self) -> list[str]:
        """Return the keys of pending uploads."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket="bucket").get("Uploads", ())]

    def journal(self, key: str, upload_id: str, *, endpoint: str = "") -> Journal:
        """Write the journal of an upload; it is this process's until it is closed."""
        endpoint = endpoint or self.server.endpoint_url
        intent = Intent(
            VERSION,
            endpoint,
            "bucket",
            key,
            "token",
            None,
            2**23,
            "",
            "",
            time.time(),
        )
        journal = Journal.create(str(self.uploads), intent, resumable=True)
        if upload_id:
            journal.begun(upload_id, "")
        return journal

    def cleanup(self, *words: str) -> tuple[CompletedProcess[str], list[dict[str, Any]]]:
        """Run the command; return it with its lines, without the summary."""
        done = run(
            *("cleanup", "--json", "--endpoint-url", self.server.endpoint_url, *words),
            variables={"BULKHAUL_STATE_DIR": str(self.state)},
        )
        *lines, summary = map(json.loads, done.stdout.splitlines())
        assert summary["found"] == len(lines)
        assert summary["success"] == (done.returncode == 0)
        return done, lines

    def journals(self) -> int:
        """Return how many journals there are."""
        return len(list(self.uploads.iterdir()))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An empty bucket and an empty state folder."""
    with FaultServer(buckets=["bucket"]) as server:
        yield Shop(server, tmp_path)


def test_looking_makes_no_folder(tmp_path: Path) -> None:
    """Where nothing was ever uploaded there is nothing to find, and cleanup leaves the disk as it was."""
    state = tmp_path / "state"
    for words in ([], ["--yes"]):
        done = run("cleanup", *words, "--json", variables={"BULKHAUL_STATE_DIR": str(state)})
        assert (done.returncode, done.stderr) == (0, "")
        assert not state.exists()


def test_uploads_of_dead_and_living_runs(shop: Shop) -> None:
    """Dry by default; with --yes a dead run's upload is aborted, and one whose run lives is never touched."""
    living = shop.journal("living", shop.begin("living"))
    shop.journal("dead", shop.begin("dead")).close()
    shop.journal("gone", "no-such-upload").close()
    _, dry = shop.cleanup()
    _, asked = shop.cleanup("--dry-run")
    assert asked == dry, "which is what it does anyway"
    assert (shop.pending(), shop.journals()) == (["dead", "living"], 3)
    done, lines = shop.cleanup("--yes")
    assert done.returncode == 0
    for found in (dry, lines):
        assert sorted((one["name"], one["kind"]) for one in found) == [
            ("s3://bucket/dead", "upload"),
            ("s3://bucket/gone", "journal"),
        ]
    assert [one["cleared"] for one in dry + lines] == [False, False, True, True]
    assert (shop.pending(), shop.journals()) == (["living"], 1)
    living.close()


def test_what_cannot_be_told_stays(shop: Shop) -> None:
    """Another endpoint's upload, one without a known id, and a file that is no journal are reported and stay."""
    shop.journal("elsewhere", "id", endpoint="https://s3.example").close()
    shop.journal("unnamed", "").close()
    shop.journal("never", "").close()
    shop.begin("unnamed")
    shop.begin("unnamed-too")
    (shop.uploads / "notes.txt").write_text("mine")
    done, lines = shop.cleanup("--yes")
    by_name = {one["name"]: one for one in lines}
    assert done.returncode == 0
    assert "https://s3.example" in by_name["s3://bucket/elsewhere"]["remedy"]
    assert "--older-than" in by_name["s3://bucket/unnamed"]["remedy"]
    assert by_name["s3://bucket/never"]["cleared"]
    assert sorted(name for name, one in by_name.items() if one["remedy"]) == sorted(
        ["s3://bucket/elsewhere", "s3://bucket/unnamed", str(shop.uploads / "notes.txt")]
    )
    assert (shop.pending(), shop.journals()) == (["unnamed", "unnamed-too"], 3)


def test_older_than(shop: Shop) -> None:
    """By age only those below the prefix that are old enough go, and none that a journal names."""
    for key in ("p/one", "p/two", "q"):
        shop.begin(key)
    living = shop.journal("p/mine", shop.begin("p/mine"))
    _, young = shop.cleanup("--yes", "--older-than", "1h", "s3://bucket/p/")
    assert young == []
    done, lines = shop.cleanup("--yes", "--older-than", "0", "s3://bucket/p/")
    assert done.returncode == 0
    assert [one["name"] for one in lines] == ["s3://bucket/p/one", "s3://bucket/p/two"]
    assert shop.pending() == ["p/mine", "q"]
    living.close()


def test_a_refused_abort_keeps_the_journal(shop: Shop) -> None:
    """What could not be aborted is an error with exit code 1, and its journal still names it."""
    shop.journal("dead", shop.begin("dead")).close()
    shop.server.add_fault(Status(operation="AbortMultipartUpload", status=403, code="AccessDenied", attempt="every"))
    done, (line,) = shop.cleanup("--yes")
    assert (done.returncode, line["error"]["code"], line["cleared"]) == (1, "AccessDenied", False)
    assert (line["name"], done.stderr) == ("s3://bucket/dead", "")
    assert (shop.pending(), shop.journals()) == (["dead"], 1)


def left_download(folder: Path) -> tuple[Path, DownloadJournal]:
    """Leave a temp file with a journal that names it; both are this process's until they are closed."""
    fd = os.open(folder, os.O_RDONLY)
    landing = Landing.create(fd, "big", str(folder / "big"), 2**20, allocate=True, prefer_mapped=False)
    found = os.fstat(landing.fd)
    wanted = Wanted("http://s3.example", "bucket", "k/big", "", '"etag"', 2**20, 2**18, "", "CRC32")
    plan = Plan(
        download_records.VERSION, landing.temp, "big", found.st_dev, found.st_ino, "boot", time.time() - 60, wanted
    )
    journal = DownloadJournal.create(fd, plan)
    assert journal is not None
    journal.allocated(mapped=False)
    journal.part(1, 0, 2**18)
    landing.keep()
    return folder / landing.temp, journal


def test_downloads_to_be_resumed(shop: Shop, tmp_path: Path) -> None:
    """What can be resumed is listed with its age and its bytes, and goes with its journal; a living run's stays."""
    folder = tmp_path / "data" / "deep"
    folder.mkdir(parents=True)
    temp, journal = left_download(folder)
    words = ("--temp-files", str(tmp_path / "data"))
    _, lines = shop.cleanup(*words, "--yes")
    assert (lines, temp.exists()) == ([], True), "its run lives"
    journal.close()
    _, (line,) = shop.cleanup(*words)
    assert (line["kind"], line["name"], line["size_bytes"], line["cleared"]) == ("download", str(temp), 2**20, False)
    assert "256.0 KiB of 1.0 MiB of s3://bucket/k/big for big" in line["why"]
    age_s = time.time() - datetime.fromisoformat(line["since"]).timestamp()
    assert 59 <= age_s < 59 + 600
    assert temp.exists()
    _, (line,) = shop.cleanup(*words, "--yes")
    assert line["cleared"]
    assert list(folder.iterdir()) == []


def test_journals_of_downloads_that_cannot_be_read(shop: Shop, tmp_path: Path) -> None:
    """A journal of another version protects its temp file and stays; one whose temp file is gone goes."""
    folder = tmp_path / "data"
    folder.mkdir()
    temp, journal = left_download(folder)
    journal.close()
    (path,) = folder.glob("*.journal")
    state, _ = download_records.read_journal(path.read_bytes())
    assert isinstance(state, download_records.DownloadState)
    later = msgspec.structs.replace(state.plan, version=download_records.VERSION + 1)
    kept = path.read_bytes()
    path.write_bytes(download_records.frame(later))
    _, (line,) = shop.cleanup("--temp-files", str(folder), "--yes")
    assert (line["kind"], line["cleared"], bool(line["remedy"]), temp.exists()) == ("journal", False, True, True)
    path.write_bytes(kept)
    temp.unlink()
    _, (line,) = shop.cleanup("--temp-files", str(folder), "--yes")
    assert (line["kind"], line["cleared"]) == ("journal", True)
    assert list(folder.iterdir()) == []


def test_temp_files(shop: Shop, tmp_path: Path) -> None:
    """Temp files that nobody holds go, at any depth; one that is held, and what only looks like one, stay."""
    deep = tmp_path / "data" / "deep"
    deep.mkdir(parents=True)
    stale, held = deep / ".a.bulkhaul-0123456789abcdef.tmp", deep / ".b.bulkhaul-0123456789abcdef.tmp"
    other, link = deep / "a.bulkhaul-0123456789abcdef.tmp", deep / ".c.bulkhaul-0123456789abcdef.tmp"
    for path in (stale, held, other):
        path.write_bytes(b"x")
    link.symlink_to(other)
    words = ("--temp-files", str(tmp_path / "data"))
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _, dry = shop.cleanup(*words)
        assert stale.exists()
        _, lines = shop.cleanup("--yes", *words)
    assert [one["name"] for one in dry] == [one["name"] for one in lines] == [str(stale)]
    assert lines[0]["cleared"]
    assert sorted(os.listdir(deep)) == sorted(path.name for path in (held, other, link))
