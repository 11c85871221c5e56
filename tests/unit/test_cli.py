"""What the command line accepts, and what it begins before it has read it all."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bulkhaul.cli import copying, early
from bulkhaul.cli.group import cli
from bulkhaul.cli.options import make_settings
from bulkhaul.errors import UsageError
from bulkhaul.model.objects import Verify


class FakeForkserver:
    """Stands for the process that a command starts before it has read its whole command line."""

    running = 0

    def __init__(self) -> None:
        FakeForkserver.running += 1
        self.process = SimpleNamespace(kill=lambda: None)

    def close(self) -> None:
        """End it."""
        FakeForkserver.running -= 1


class Ran:
    """What the command handed over to be carried out."""

    def __init__(self) -> None:
        self.job: copying.Job | None = None
        self.output: dict[str, Any] = {}

    def copy(self, job: copying.Job, _forkserver: FakeForkserver, **output: Any) -> int:
        """Take the place of the real thing."""
        self.job, self.output = job, output
        return 0


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    """Commands that stop where processes and the network would begin."""
    ran = Ran()
    FakeForkserver.running = 0
    monkeypatch.setattr("bulkhaul.engine.boot.ForkserverProcess", FakeForkserver)
    monkeypatch.setattr(copying, "copy", ran.copy)
    yield ran
    assert FakeForkserver.running == (ran.job is not None)


def invoke(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli, list(arguments))


class TestUsage:
    """Command lines that mean nothing, and those that do."""

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["cp"], "Missing argument"),
            (["cp", "s3://bucket/key"], "Missing argument"),
            (["cp", "a", "b"], "SRC must begin with s3://"),
            (["cp", "a", "s3://bucket/key"], "uploads are not there yet"),
            (["cp", "s3://bucket/key", "s3://other/key"], "copies between buckets are not there yet"),
            (["cp", "s3://bucket/key", "-"], "DEST must name a file or a folder"),
            (["cp", "s3://", "b"], "the bucket name is missing"),
            (["cp", "s3://bucket/prefix/", "b"], "add --recursive"),
            (["cp", "--include", "x", "s3://bucket/key", "b"], "need --recursive or a pattern"),
            (["cp", "-p", "8X", "s3://bucket/key", "b"], "is not a size"),
            (["cp", "-p", "1K", "s3://bucket/key", "b"], "part size must be"),
            (["cp", "-c", "0", "s3://bucket/key", "b"], "concurrency must be"),
            (["cp", "--workers", "many", "s3://bucket/key", "b"], "--workers"),
            (["cp", "--verify", "some", "s3://bucket/key", "b"], "--verify"),
            (["cp", "--no-such-option", "s3://bucket/key", "b"], "No such option"),
            (["cp", "s3://bucket/\x1b[2Jk/", "b"], r"\x1b[2J"),
            (["mv", "s3://bucket/key", "b"], "No such command"),
            (["demo", "--size", "0"], "at least one byte"),
        ],
    )
    def test_refused(self, ran: Ran, arguments: list[str], says: str) -> None:
        """A command line that makes no sense exits with 2, says why, and has begun nothing."""
        result = invoke(*arguments)
        assert (result.exit_code, ran.job) == (2, None)
        assert says in result.output

    def test_options_become_settings(self, ran: Ran) -> None:
        """Every option reaches the setting or the job that it names."""
        result = invoke(
            *["cp", "--recursive", "--include", "*.a", "--include", "b/*", "--exclude", "*.tmp", "--dryrun"],
            *["--endpoint-url", "http://127.0.0.1:9", "--region", "eu-west-1", "--profile", "p", "--no-sign-request"],
            *["--no-verify-ssl", "--allow-http", "--workers", "3", "-c", "6", "-p", "8MB", "--verify", "full"],
            *["--fsync", "--transport", "sdk", "--landing", "written", "--addressing-style", "path"],
            *["--no-progress", "--quiet", "--json", "--log-level", "debug", "s3://bucket/prefix", "out"],
        )
        assert result.exit_code == 0, result.output
        assert ran.job is not None
        settings = ran.job.settings
        assert (settings.endpoint_url, settings.region, settings.profile) == ("http://127.0.0.1:9", "eu-west-1", "p")
        assert (settings.sign_requests, settings.verify_tls, settings.allow_http) == (False, False, True)
        assert (settings.workers, settings.concurrency, settings.part_size_bytes) == (3, 6, 8_000_000)
        assert (settings.verify, settings.fsync) == (Verify.FULL, True)
        assert (settings.transport, settings.landing, settings.addressing_style) == ("sdk", "written", "path")
        job = ran.job
        assert (job.source, job.destination, job.many, job.dry_run) == ("s3://bucket/prefix", "out", True, True)
        assert (job.include, job.exclude) == (("*.a", "b/*"), ("*.tmp",))
        assert ran.output == {"as_json": True, "quiet": True, "progress": False, "log_level": "debug"}

    def test_nothing_given_is_the_engine_s_default(self, ran: Ran) -> None:
        """An option that is not given leaves the setting to the engine."""
        assert invoke("cp", "s3://bucket/key", "out").exit_code == 0
        assert ran.job is not None
        assert ran.job.settings == make_settings({})
        assert ran.job.settings.sign_requests

    def test_out_of_range_is_a_usage_error(self) -> None:
        """Settings refuse what they cannot use as the caller's mistake."""
        with pytest.raises(UsageError, match="workers"):
            make_settings({"workers": 0})

    def test_help_and_version(self) -> None:
        """Help names both commands, and every option of cp; the version is the package's."""
        assert {"cp", "demo"} <= set(invoke("--help").output.split())
        text = invoke("cp", "--help").output
        assert all(f"--{name}" in text for name in ("recursive", "dry-run", "dryrun", "part-size", "json", "fsync"))
        from bulkhaul import __version__

        assert __version__ in invoke("--version").output


class TestEarly:
    """The forkserver that starts before the command line is read."""

    @pytest.mark.parametrize("arguments", [[], ["--help"], ["cp", "--help"], ["cp", "a", "-h"], ["demo"], ["mv", "a"]])
    def test_not_for_nothing(self, ran: Ran, arguments: list[str]) -> None:
        """What transfers nothing starts nothing."""
        early.start(arguments)
        assert FakeForkserver.running == 0

    def test_taken(self, ran: Ran) -> None:
        """The command gets the one that was started, once."""
        early.start(["cp", "s3://bucket/key", "out"])
        assert FakeForkserver.running == 1
        assert invoke("cp", "s3://bucket/key", "out").exit_code == 0
        assert FakeForkserver.running == 1

    def test_abandoned(self, ran: Ran) -> None:
        """One that nobody took is ended, and that can be said twice."""
        early.start(["cp", "a", "b"])
        assert invoke("cp", "a", "b").exit_code == 2
        early.abandon()
        early.abandon()
        assert FakeForkserver.running == 0
