"""What the command says about each object, in total, and in its log."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from bulkhaul.cli.commands.doctor import table
from bulkhaul.cli.logs import log_to
from bulkhaul.cli.report import TransferReport, human_line, json_line
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Integrity
from bulkhaul.model.results import TransferResult
from bulkhaul.policy.findings import Finding, Verdict


def result_of(**changes: Any) -> TransferResult:
    """Return a verified result, with changes."""
    fields: dict[str, Any] = {
        "source": "s3://bucket/a/b",
        "destination": "out/b",
        "bucket": "bucket",
        "key": "a/b",
        "size": 5,
        "etag": '"e"',
        "integrity": Integrity.CHECKSUM,
        "seconds": 0.25,
    }
    return TransferResult(**(fields | changes))


def failed(code: str = "NotFound", message: str = "it is not there") -> TransferResult:
    """Return a failed result."""
    return result_of(integrity=None, failure=ErrorInfo(code, message, "s3://bucket/a/b"))


class TestLines:
    """What is printed for one object."""

    def test_json_schema(self) -> None:
        """A line of JSON has the fields that scripts were promised."""
        line = json.loads(
            json_line(result_of(version_id="v", last_modified=datetime(2024, 5, 17, 12, 34, 56, tzinfo=UTC)))
        )
        assert line == {
            "type": "object",
            "operation": "cp",
            "success": True,
            "source": "s3://bucket/a/b",
            "destination": "out/b",
            "object": {
                "key": "a/b",
                "size": 5,
                "etag": '"e"',
                "version_id": "v",
                "last_modified": "2024-05-17T12:34:56+00:00",
            },
            "integrity": "checksum",
            "seconds": 0.25,
        }

    def test_json_failure(self) -> None:
        """A failure carries code and message, and no claim of integrity."""
        line = json.loads(json_line(failed()))
        assert (line["success"], line["integrity"]) == (False, None)
        assert line["error"] == {"code": "NotFound", "message": "s3://bucket/a/b: it is not there"}

    @pytest.mark.parametrize("key", ["a\nb", "\x1b[2J", "\u202egnp", "\udcff", "ключ", '"\\'])
    def test_json_holds_any_key(self, key: str) -> None:
        """Whatever a key holds, its line is one line of printable ASCII, and the key can be read back."""
        line = json_line(result_of(key=key))
        assert line.isascii()
        assert line.removesuffix("\n").isprintable()
        assert json.loads(line)["object"]["key"] == key

    def test_control_characters_are_escaped(self) -> None:
        """A key cannot speak to the terminal."""
        line = human_line(result_of(source="s3://b/\x1b[2J\r\n", destination="out/\u202e"))
        assert line == "cp s3://b/\\x1b[2J\\x0d\\x0a out/\\u202e\n"


class TestReport:
    """What goes to stdout and stderr, and the count."""

    def report(self, **changes: Any) -> tuple[TransferReport, list[str], list[str]]:
        """Return a report with what it writes."""
        out: list[str] = []
        err: list[str] = []
        return TransferReport(out.append, err.append, **({"operation": "cp"} | changes)), out, err

    def test_for_people(self) -> None:
        """Verified objects, and why others are skipped, are told on stdout, failures and the summary on stderr."""
        report, out, err = self.report()
        for result in (result_of(), failed(), result_of(skipped="a folder", integrity=None)):
            report.ended(result)
        report.summary(1.0, success=False)
        assert out == ["cp s3://bucket/a/b out/b\n", "(skipped) cp s3://bucket/a/b out/b: a folder\n"]
        assert err[0] == "bulkhaul: error: s3://bucket/a/b: it is not there\n"
        assert "".join(err[1:]) == (
            "cp: 1 done, 1 skipped, 1 failed; 5 B in 1.0 s (5 B/s)\n"
            "  checked: 1 by checksum\n"
            "  skipped: 1, a folder\n"
            "  failed: 1, NotFound: it is not there\n"
            "    s3://bucket/a/b\n"
        )

    def test_quiet(self) -> None:
        """--quiet silences success and nothing else."""
        report, out, err = self.report(quiet=True)
        report.ended(result_of())
        report.ended(failed())
        assert (out, len(err)) == ([], 1)

    def test_failure_is_escaped(self) -> None:
        """What an endpoint says cannot speak to the terminal either."""
        report, _, err = self.report()
        report.ended(failed(message="no\x1b]0;x\x07"))
        assert err == ["bulkhaul: error: s3://bucket/a/b: no\\x1b]0;x\\x07\n"]

    def test_failures_are_grouped(self) -> None:
        """Each cause is told once with its number, three objects, and where all are; most frequent ones first."""
        report, _, err = self.report()
        for number in range(5):
            info = ErrorInfo("NotFound", "it is not there", f"s3://bucket/{number}", service_code="NoSuchKey")
            report.ended(result_of(failure=info, integrity=None))
        report.ended(failed())
        report.ended(result_of(retries=2, resumed_bytes=3 << 20))
        err.clear()
        report.summary(2.0, success=False)
        assert "".join(err) == (
            "cp: 1 done, 0 skipped, 6 failed; 5 B in 2.0 s (2 B/s)\n"
            "  checked: 1 by checksum\n"
            "  resumed: 3.0 MiB were there already\n"
            "  retries: 2\n"
            "  failed: 5, NoSuchKey: it is not there\n"
            "    s3://bucket/0\n    s3://bucket/1\n    s3://bucket/2\n    and 2 more\n"
            "  failed: 1, NotFound: it is not there\n    s3://bucket/a/b\n"
            "  the same command with --json tells of each of them\n"
        )

    def test_what_failed_alike_has_no_line(self) -> None:
        """An object that was not tried, because another one had met the same, is counted and told in the summary."""
        report, out, err = self.report()
        report.ended(failed())
        untried = msgspec.structs.replace(failed().failure or ErrorInfo("", ""), again=True)
        report.ended(result_of(failure=untried, integrity=None))
        assert (len(out), len(err), report.counts.failed) == (0, 1, 2)

    def test_one_object_or_quiet_is_not_summed_up(self) -> None:
        """People are told of one object by its line, and with --quiet of failures alone."""
        report, _, err = self.report()
        report.ended(result_of())
        report.summary(1.0, success=True)
        assert err == []
        report, _, err = self.report(quiet=True)
        report.ended(result_of())
        report.ended(result_of())
        report.summary(1.0, success=True)
        assert err == []

    def test_summary_adds_up(self) -> None:
        """What was planned = verified + failed + skipped, and bytes are those that were verified."""
        report, out, _ = self.report(as_json=True)
        for result in (result_of(), result_of(), failed(), result_of(skipped="a folder", integrity=None)):
            report.ended(result)
        report.cancelled(3, "SIGINT")
        report.summary(2.0, success=False)
        assert len(out) == 6
        assert json.loads(out[3])["skipped"] == "a folder"
        assert json.loads(out[4])["error"] == {
            "code": "Cancelled",
            "message": "interrupted by SIGINT; 3 planned objects not confirmed",
        }
        assert json.loads(out[-1]) == {
            "type": "summary",
            "operation": "summary",
            "success": False,
            "planned": 7,
            "verified": 2,
            "failed": 4,
            "skipped": 1,
            "bytes": 10,
            "seconds": 2.0,
            "bytes_per_s": 5,
            "integrity": {"checksum": 2},
            "skipped_reasons": {"a folder": 1},
            "failed_causes": {"NotFound: it is not there": 1},
        }

    def test_dry_run_verifies_nothing(self) -> None:
        """A dry run says so in every line and counts nothing as copied."""
        report, out, _ = self.report(as_json=True, dry_run=True)
        report.ended(result_of(integrity=None))
        report.summary(0.0, success=True)
        lines = [json.loads(line) for line in out]
        assert all(line["dryrun"] for line in lines)
        assert (lines[-1]["planned"], lines[-1]["verified"], lines[-1]["skipped"]) == (1, 0, 1)

    def test_operation(self) -> None:
        """Every line begins with the command that it is of."""
        people, people_out, _ = self.report(operation="mv")
        people.ended(result_of())
        machine, machine_out, _ = self.report(operation="mv", as_json=True)
        machine.ended(result_of())
        assert people_out == ["mv s3://bucket/a/b out/b\n"]
        assert json.loads(machine_out[0])["operation"] == "mv"

    @pytest.mark.parametrize(
        ("count", "says"),
        [
            (0, "bulkhaul: interrupted by SIGINT; no partial object was made\n"),
            (1, "bulkhaul: interrupted by SIGINT; 1 planned object not confirmed; no partial object was made\n"),
            (2, "bulkhaul: interrupted by SIGINT; 2 planned objects not confirmed; no partial object was made\n"),
        ],
    )
    def test_interrupted(self, count: int, says: str) -> None:
        """An interruption says how much is not done, and what it leaves."""
        report, _, err = self.report(remains="no partial object was made")
        report.cancelled(count, "SIGINT")
        assert err == [says]

    def test_interrupted_with_more_to_tell(self) -> None:
        """Where downloads are to be resumed, the interruption says so in place of what it usually leaves."""
        report, _, err = self.report(remains="no partial file was left behind")
        report.cancelled(1, "SIGINT", "run it again")
        assert err == ["bulkhaul: interrupted by SIGINT; 1 planned object not confirmed; run it again\n"]

    def test_resumed(self) -> None:
        """People and machines are told what an earlier run had moved; where there was none nobody is."""
        result = result_of(size=3 * 1024**2, resumed_bytes=2 * 1024**2)
        report, out, _ = self.report()
        report.ended(result)
        assert out == ["cp s3://bucket/a/b out/b (resumed: 2.0 MiB of 3.0 MiB were there)\n"]
        report, machine_out, _ = self.report(as_json=True)
        report.ended(result)
        report.ended(result_of())
        assert [json.loads(line).get("resumed_bytes") for line in machine_out] == [2 * 1024**2, None]

    def test_dry_run_for_people(self) -> None:
        """Nobody takes a dry run for a copy."""
        report, out, _ = self.report(dry_run=True)
        report.ended(result_of(integrity=None))
        assert out == ["(dry run) cp s3://bucket/a/b out/b\n"]


class TestLogs:
    """What --log-level shows."""

    def test_secrets_stay_with_the_sdk(self) -> None:
        """Whatever is asked for, botocore does not log at DEBUG, where it shows signatures."""
        import logging

        lines: list[str] = []
        log_to(lines.append, "debug")
        logging.getLogger("botocore.auth").debug("a signature")
        logging.getLogger("bulkhaul.engine").debug("the key %s", "a\x1bb")
        assert not logging.getLogger("botocore.auth").isEnabledFor(logging.DEBUG)
        assert len(lines) == 1
        assert "the key a\\x1bb\n" in lines[0]

    def test_below_the_level(self) -> None:
        """What is below the level is not shown."""
        import logging

        lines: list[str] = []
        log_to(lines.append, "warning")
        logging.getLogger("bulkhaul.engine").info("no news")
        assert lines == []


def test_what_fails_as_a_whole_is_no_object() -> None:
    """A line that says that a command or a source failed tells of no object; that of an object does."""
    whole, one = (json.loads(json_line(failed(), whole=is_whole)) for is_whole in (True, False))
    assert (whole["type"], one["type"]) == ("error", "object")
    assert not whole.keys() & {"object", "integrity"}
    assert one["object"]["key"]
    assert whole["error"] == one["error"]


class Terminal(io.StringIO):
    """A stdout that is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_doctor_cuts_nothing_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that is longer than its column is folded: all of it is there to be read."""
    url = "http://endpoint.example.internal:28335/and/a/path"
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    shown = table([Finding("settings", Verdict.OK, f"endpoint_url = {url} (AWS_ENDPOINT_URL)")])
    assert "…" not in shown
    assert url in "".join(shown.split())
