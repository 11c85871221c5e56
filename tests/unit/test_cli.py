"""What the command line accepts, and what it begins before it has read it all."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bulkhaul.cli import early, job, run_job
from bulkhaul.cli.group import cli
from bulkhaul.cli.option_values import parsed_duration, parsed_size
from bulkhaul.cli.options import make_settings
from bulkhaul.errors import UsageError
from bulkhaul.model.objects import Content, Verify
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions


class FakeForkserver:
    """Stands for the process that a command forks when its command line makes sense."""

    running = 0

    def __init__(self, *, fork: bool) -> None:
        assert fork
        FakeForkserver.running += 1

    def close(self) -> None:
        """End it."""
        FakeForkserver.running -= 1


class Ran:
    """What the command handed over to be carried out."""

    def __init__(self) -> None:
        self.job: job.Job | None = None
        self.output: dict[str, Any] = {}

    def carry_out(self, given: job.Job, forkserver: FakeForkserver | None, **output: Any) -> int:
        """Take the place of the real thing."""
        assert (forkserver is not None) == given.asks
        self.job, self.output = given, output
        return 0

    @property
    def given(self) -> job.Job:
        """The job, which there must be."""
        assert self.job is not None
        return self.job

    def calls(self) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """Return what the job asks of an engine."""
        engine = AskedEngine()
        assert list(self.given.results(engine)) == [ANY_RESULT]  # type: ignore[arg-type]
        return engine.calls


ANY_RESULT = TransferResult(source="", destination="", bucket="", key="")


class AskedEngine:
    """An engine that notes what it is asked for, and does nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.aio = SimpleNamespace(control="control")

    def __getattr__(self, name: str) -> Any:
        def note(*arguments: Any, **options: Any) -> Any:
            self.calls.append((name, arguments, options))
            return [ANY_RESULT] if name.endswith("_many") else ANY_RESULT

        return note

    def beside(self, settings: Settings) -> Settings:
        """Stand for an engine with these settings."""
        return settings


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    """Commands that stop where processes and the network would begin."""
    ran = Ran()
    FakeForkserver.running = 0
    monkeypatch.setattr("bulkhaul.engine.pool.forkserver_process.ForkserverProcess", FakeForkserver)
    monkeypatch.setattr(run_job, "carry_out", ran.carry_out)
    monkeypatch.setattr(early, "_own_process", True)
    for name in ("ALLOW_HTTP", "BULKHAUL_ALLOW_HTTP"):
        monkeypatch.delenv(name, raising=False)
    yield ran
    assert FakeForkserver.running == (ran.job is not None and ran.job.asks)


def invoke(*arguments: str | Path) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli, list(map(str, arguments)))


KEY = bytes(range(32))
FILTERS = ["--recursive", "--include", "*.a", "--include", "b/*", "--exclude", "*.tmp"]
FILTERED = {"include": ("*.a", "b/*"), "exclude": ("*.tmp",)}
COPIED: dict[str, object] = {"origin": None, "preserve": frozenset()}
CURRENT = {"version_id": "", "dry_run": False}
MANY = {"recursive": True, "include": (), "exclude": ()}


class TestUsage:
    """Command lines that mean nothing."""

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["cp"], "Missing argument 'SRC'"),
            (["cp", "s3://bucket/key"], "Missing argument 'DEST'"),
            (["cp", "a", "b", "s3://bucket/k"], "must be a bucket, or end in a slash"),
            (["cp", "a", "b"], "SRC or DEST must begin with s3://"),
            (["cp", "-", "b"], "SRC or DEST must begin with s3://"),
            (["cp", "-", "-"], "SRC or DEST must begin with s3://"),
            (["cp", "", "s3://bucket/key"], "SRC is empty"),
            (["cp", "s3://bucket/key", ""], "DEST is empty"),
            (["cp", "s3://", "b"], "the bucket name is missing"),
            (["cp", "a", "s3:///key"], "the bucket name is missing"),
            (["cp", "s3://bucket/key", "s3:///key"], "the bucket name is missing"),
            (["cp", "s3://bucket/prefix/", "b"], "add --recursive"),
            (["cp", ".", "s3://bucket/key"], ". is a folder; add --recursive"),
            (["cp", "s3://bucket/prefix/", "-"], "must name one object"),
            (["cp", "s3://bucket", "-"], "must name one object"),
            (["cp", "-", "s3://bucket/prefix/"], "must name one object"),
            (["cp", "-p", "8X", "s3://bucket/key", "b"], "is not a size"),
            (["cp", "-p", "1K", "s3://bucket/key", "b"], "part size must be"),
            (["cp", "--multipart-threshold", "0", "a", "s3://bucket/key"], "multipart threshold must be"),
            (["cp", "-c", "0", "s3://bucket/key", "b"], "concurrency must be"),
            (["cp", "--raw", "-", "s3://bucket/key"], "--raw means nothing for an upload from stdin"),
            (["cp", "--raw", "--recursive", "s3://bucket/a*", "b"], "cannot be had with --recursive"),
            (
                ["cp", "--source-endpoint-url", "https://me:secret@host", "s3://bucket/a", "s3://bucket/b"],
                "--source-endpoint-url must hold no user",
            ),
            (["cp", "--sse-c", "AES256", "s3://bucket/a", "b"], "--sse-c-key"),
            (["cp", "--workers", "many", "s3://bucket/key", "b"], "'many' is neither a number nor auto"),
            (["cp", "-c", "1.5", "s3://bucket/key", "b"], "--concurrency"),
            (["cp", "--verify", "some", "s3://bucket/key", "b"], "--verify"),
            (["cp", "--checksum-algorithm", "MD5", "a", "s3://bucket/key"], "--checksum-algorithm"),
            (["cp", "--no-such-option", "s3://bucket/key", "b"], "No such option"),
            (["cp", "s3://bucket/\x1b[2Jk/", "b"], r"\x1b[2J"),
            (["cp", "s3://bucket/\x1b[2Jk/", "-"], r"\x1b[2J"),
            (["cp", "--metadata", "color", "a", "s3://bucket/key"], "'color' is not K=V"),
            (["cp", "--metadata", "a=1,A=2", "a", "s3://bucket/key"], "given twice"),
            (["cp", "--metadata", "ключ=1", "a", "s3://bucket/key"], "--metadata"),
            (["cp", "--metadata", '{"a": 1}', "a", "s3://bucket/key"], "must be text"),
            (["cp", "--metadata", '{"a"', "a", "s3://bucket/key"], "no JSON object"),
            (["cp", "--tags", "color", "a", "s3://bucket/key"], "k=v&k2=v2"),
            (["cp", "--tags", "a=1&a=2", "a", "s3://bucket/key"], "given twice"),
            (["cp", "--tags", "&".join(f"k{n}=v" for n in range(11)), "a", "s3://bucket/key"], "at most 10 tags"),
            (["cp", "--expires", "soon", "a", "s3://bucket/key"], "2030-12-31T23:59:59Z"),
            (["cp", "--sse-kms-key-id", "id", "a", "s3://bucket/key"], "needs --sse aws:kms"),
            (["cp", "--sse", "--sse-kms-key-id", "id", "a", "s3://bucket/key"], "needs --sse aws:kms"),
            (["cp", "--sse", "--sse-c-key", base64.b64encode(KEY).decode(), "a", "s3://b/k"], "exclude each other"),
            (["cp", "--content-type", "a\nb", "a", "s3://bucket/key"], "a header carries printable ASCII only"),
            (["cp", "--acl", "é", "a", "s3://bucket/key"], "a header carries printable ASCII only"),
            (["cp", "gs://bucket/key", "s3://bucket/key"], "SRC must be s3://… or a local path"),
            (["cp", "s3://bucket/key", "S3://bucket/key"], "DEST must be s3://… or a local path"),
            (["cp", "s3://bucket/a*", "-"], "`bulkhaul cat` writes several"),
            (["mv", "-", "s3://bucket/key"], "mv cannot move from stdin or to stdout"),
            (["mv", "s3://bucket/key", "-"], "mv cannot move from stdin or to stdout"),
            (["mv", "a", "b"], "SRC or DEST must begin with s3://"),
            (["cp", "--metadata-directive", "REPLACE", "s3://b/k", "s3://b/l"], "needs the new values"),
            (
                ["cp", "--metadata-directive", "REPLACE", "--website-redirect", "/x", "s3://b/k", "s3://b/l"],
                "needs the new values",
            ),
            (
                ["sync", "--metadata-directive", "COPY", "--expires", "0", "s3://b/k", "s3://c"],
                "--expires would replace",
            ),
            (["cp", "--checksum-mode", "DISABLED", "s3://b/k", "f"], "--checksum-mode"),
            (["cp", "--page-size", "0", "s3://b/k", "f"], "--page-size"),
            (["ls", "--page-size", "-5", "s3://b"], "--page-size"),
            (["cp", "--expected-size", "-1", "-", "s3://b/k"], "--expected-size"),
            (["pipe"], "Missing argument"),
            (["pipe", "file"], "must begin with s3://"),
            (["pipe", "s3://bucket/"], "must name one object"),
            (["cat"], "Missing argument"),
            (["cat", "--version-id", "1", "s3://bucket/prefix/"], "names a prefix, not an object"),
            (
                ["cat", "s3://bucket/key", "file"],
                "takes no local files: each URL must begin with s3://",
            ),
            (["head", "file"], "what is to be looked at must begin with s3://"),
            (["ls", "./file"], "./file: this begins with no bucket; type s3://BUCKET/KEY or BUCKET/KEY"),
            (["ls", "S3://bucket"], "begins with no bucket"),
            (["presign", "/bucket/key"], "begins with no bucket"),
            (["doctor", "file"], "what is to be tried out must begin with s3://"),
            (["cleanup", "file"], "where uploads are to be looked for must begin with s3://"),
            (["cat", "--version-id", "v", "s3://bucket/a", "s3://bucket/b"], "--version-id goes with"),
            (["cat", "--version-id", "v", "s3://bucket/a*"], "--version-id goes with"),
            (["cp", "--version-id", "v", "s3://bucket/a*", "out"], "--version-id goes with"),
            (["cp", "--version-id", "v", "--recursive", "s3://bucket/a", "s3://bucket/b"], "--version-id goes with"),
            (["cp", "--version-id", "v", "s3://bucket/a/", "out"], "names a prefix, not an object"),
            (["cp", "--version-id", "v", "file", "s3://bucket/a"], "--version-id means nothing for an upload"),
            (["mv", "--version-id", "v", "s3://bucket/a", "out"], "No such option"),
            (["frobnicate", "s3://bucket/key", "b"], "No such command"),
            (["demo", "--size", "0"], "at least one byte"),
        ],
    )
    def test_refused(self, ran: Ran, arguments: list[str], says: str) -> None:
        """A command line that makes no sense exits with 2, says why, and has begun nothing."""
        result = invoke(*arguments)
        assert (result.exit_code, ran.job) == (2, None)
        assert says in " ".join(result.output.split())

    @pytest.mark.parametrize("command", ["cp", "mv"])
    @pytest.mark.parametrize(
        ("option", "places", "direction"),
        [
            (["--content-type", "a/b"], ["s3://bucket/key", "b"], "a download"),
            (["--metadata", "a=b"], ["s3://bucket/key", "b"], "a download"),
            (["--storage-class", "X"], ["s3://bucket/key", "b"], "a download"),
            (["--sse"], ["s3://bucket/key", "b"], "a download"),
            (["--tags", "a=b"], ["s3://bucket/key", "b"], "a download"),
            (["--checksum-algorithm", "CRC32"], ["s3://bucket/key", "b"], "a download"),
            (["--multipart-threshold", "8M"], ["s3://bucket/key", "b"], "a download"),
            (["--no-follow-symlinks"], ["s3://bucket/key", "b"], "a download"),
            (["--follow-symlinks"], ["s3://bucket/key", "b"], "a download"),
            (["--source-region", "r"], ["s3://bucket/key", "b"], "a download"),
            (["--metadata-directive", "REPLACE"], ["s3://bucket/key", "b"], "a download"),
            (["--metadata-directive", "COPY"], ["a", "s3://bucket/key"], "an upload"),
            (["--verify", "full"], ["a", "s3://bucket/key"], "an upload"),
            (["--fsync"], ["a", "s3://bucket/key"], "an upload"),
            (["--landing", "written"], ["a", "s3://bucket/key"], "an upload"),
            (["--source-profile", "p"], ["a", "s3://bucket/key"], "an upload"),
            (["--fsync"], ["s3://bucket/key", "s3://bucket/b"], "a copy between buckets"),
            (["--verify", "full"], ["s3://bucket/key", "s3://bucket/b"], "a copy between buckets"),
            (["--no-follow-symlinks"], ["s3://bucket/key", "s3://bucket/b"], "a copy between buckets"),
        ],
    )
    def test_options_of_another_direction(
        self, ran: Ran, command: str, option: list[str], places: list[str], direction: str
    ) -> None:
        """An option that means nothing for this direction is refused by name, never passed over."""
        result = invoke(command, *option, *places)
        assert (result.exit_code, ran.job) == (2, None)
        assert f"{option[0]} means nothing for {direction}." in " ".join(result.output.split())

    @pytest.mark.parametrize(
        ("option", "places"),
        [
            ("--recursive", ["s3://bucket/key", "-"]),
            ("--fsync", ["s3://bucket/key", "-"]),
            ("--sse", ["s3://bucket/key", "-"]),
            ("--recursive", ["-", "s3://bucket/key"]),
            ("--no-resume", ["-", "s3://bucket/key"]),
        ],
    )
    def test_options_of_files_with_a_stream(self, ran: Ran, option: str, places: list[str]) -> None:
        """So is one that means nothing for stdin or stdout."""
        result = invoke("cp", option, *places)
        assert (result.exit_code, ran.job) == (2, None)
        assert f"{option} means nothing for " in result.output

    @pytest.mark.parametrize("value", ["c2VjcmV0", "not base64 at all", base64.b64encode(bytes(31)).decode()])
    def test_a_wrong_key_is_never_echoed(self, ran: Ran, value: str) -> None:
        """An SSE-C key that is none is refused without being shown, as it may be nearly one."""
        result = invoke("cp", "--sse-c-key", value, "a", "s3://bucket/key")
        assert result.exit_code == 2
        assert "--sse-c-key" in result.output
        assert value not in result.output

    @pytest.mark.parametrize("size_bytes", [0, 31, 33])
    def test_a_key_file_of_another_length(self, ran: Ran, tmp_path: Path, size_bytes: int) -> None:
        """A key file must hold 32 bytes, not one less or more."""
        path = tmp_path / "key"
        path.write_bytes(b"k" * size_bytes)
        assert "32 bytes" in invoke("cp", "--sse-c-key", f"fileb://{path}", "a", "s3://bucket/key").output
        assert "cannot be read" in invoke("cp", "--sse-c-key", f"fileb://{path}x", "a", "s3://bucket/key").output

    def test_closed_streams(self, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stream that the parent has closed is neither read nor written: its number may be anything by now."""
        monkeypatch.setattr("bulkhaul.cli.standard_streams.sys", SimpleNamespace(stdin=None, stdout=None))
        assert "stdin is closed" in invoke("pipe", "s3://bucket/key").output
        assert "stdin is closed" in invoke("cp", "-", "s3://bucket/key").output
        assert "stdout is closed" in invoke("cat", "s3://bucket/key").output
        assert "stdout is closed" in invoke("cp", "s3://bucket/key", "-").output

    def test_out_of_range_is_a_usage_error(self) -> None:
        """Settings refuse what they cannot use as the caller's mistake."""
        with pytest.raises(UsageError, match="workers"):
            make_settings({"workers": 0})


class TestSettings:
    """Options that become settings of the engine."""

    @pytest.mark.parametrize("option", [("--checksum-mode", "enabled"), ("--metadata-directive", "copy")])
    def test_choices_of_others_in_any_case(self, ran: Ran, option: tuple[str, str]) -> None:
        """What is taken as from aws-cli is so in small letters, too."""
        assert invoke("cp", *option, "s3://b/k", "s3://c/k").exit_code == 0
        assert ran.job is not None

    def test_downloads(self, ran: Ran) -> None:
        """Every option of a download reaches the setting or the line that it names."""
        result = invoke(
            *["cp", "--dryrun", "--endpoint-url", "http://127.0.0.1:9", "--region", "eu-west-1", "--profile", "p"],
            *["--no-sign-request", "--no-verify-ssl", "--allow-http", "--workers", "3", "-c", "6", "-p", "8MB"],
            *["--verify", "full", "--fsync", "--transport", "sdk", "--landing", "written"],
            *["--addressing-style", "path", "--request-payer", "--sse-c-key", base64.b64encode(KEY).decode()],
            *["--no-progress", "--only-show-errors", "--json", "--log-level", "debug", "s3://bucket/key", "out"],
        )
        assert result.exit_code == 0, result.output
        job = ran.given
        assert job.settings == Settings(
            endpoint_url="http://127.0.0.1:9",
            region="eu-west-1",
            profile="p",
            sign_requests=False,
            verify_tls=False,
            allow_http=True,
            workers=3,
            concurrency=6,
            part_size_bytes=8_000_000,
            verify=Verify.FULL,
            fsync=True,
            transport="sdk",
            landing="written",
            addressing_style="path",
            request_payer=True,
            sse_c_key=KEY,
        )
        assert (job.operation, job.source, job.destination) == ("cp", "s3://bucket/key", "out")
        assert job.dry_run
        assert ran.output == {"as_json": True, "quiet": True, "progress": False, "log_level": "debug"}

    def test_uploads(self, ran: Ran, tmp_path: Path) -> None:
        """So does every option of an upload."""
        key = tmp_path / "key"
        key.write_bytes(KEY)
        result = invoke(
            *["cp", "--multipart-threshold", "8MiB", "--checksum-algorithm", "crc32c", "--no-resume"],
            *["--request-payer", "requester", "--sse-c-key", f"fileb://{key}", "a", "s3://bucket/key"],
        )
        assert result.exit_code == 0, result.output
        assert ran.given.settings == Settings(
            multipart_threshold_bytes=8 * 1024**2,
            checksum_algorithm="CRC32C",
            resume=False,
            request_payer=True,
            sse_c_key=KEY,
        )

    @pytest.mark.parametrize("command", [["cp", "s3://bucket/key", "out"], ["pipe", "s3://bucket/key"]])
    def test_nothing_given_is_the_engine_s_default(self, ran: Ran, command: list[str]) -> None:
        """An option that is not given leaves the setting to the engine."""
        assert invoke(*command).exit_code == 0
        assert ran.given.settings == Settings()
        assert ran.given.settings.sign_requests

    @pytest.mark.parametrize(
        ("variables", "option", "allowed"),
        [
            ({}, [], False),
            ({"ALLOW_HTTP": "yes"}, [], True),
            ({"BULKHAUL_ALLOW_HTTP": "1"}, [], True),
            ({"BULKHAUL_ALLOW_HTTP": "enable"}, [], False),
            ({"BULKHAUL_ALLOW_HTTP": "0", "ALLOW_HTTP": "1"}, [], False),
            ({"BULKHAUL_ALLOW_HTTP": "0"}, ["--allow-http"], True),
        ],
    )
    def test_plain_http_by_the_environment(
        self, ran: Ran, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], option: list[str], allowed: bool
    ) -> None:
        """Plain http is allowed by a variable that is clearly on, ours first, and by the option in any case."""
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert invoke("cp", *option, "s3://bucket/key", "out").exit_code == 0
        assert ran.given.settings.allow_http is allowed


class TestStoring:
    """Options that say how an object is stored."""

    OPTIONS = (
        *("--content-type", "text/x", "--content-disposition", "inline", "--content-encoding", "gzip"),
        *("--content-language", "en", "--cache-control", "no-cache", "--expires", "2030-12-31T23:59:59Z"),
        *("--metadata", "A=1,b=2=2", "--metadata", '{"c": "x,y"}', "--storage-class", "STANDARD_IA"),
        *("--acl", "private", "--sse", "aws:kms", "--sse-kms-key-id", "id", "--tags", "k=v%26w&l="),
    )
    EXPECTED = ObjectOptions(
        content=Content(
            content_type="text/x",
            content_disposition="inline",
            content_encoding="gzip",
            content_language="en",
            cache_control="no-cache",
            expires="Tue, 31 Dec 2030 23:59:59 GMT",
            metadata={"a": "1", "b": "2=2", "c": "x,y"},
        ),
        storage_class="STANDARD_IA",
        acl="private",
        sse="aws:kms",
        sse_kms_key_id="id",
        tags={"k": "v&w", "l": ""},
    )

    @pytest.mark.parametrize(
        ("command", "method"),
        [
            (["cp", "a", "s3://bucket/key"], "upload"),
            (["mv", "a", "s3://bucket/key"], "upload"),
            (["cp", "--recursive", ".", "s3://bucket/key"], "upload_many"),
            (["cp", "s3://bucket/a", "s3://bucket/key"], "copy"),
            (["mv", "s3://bucket/a*", "s3://bucket/key"], "copy_many"),
            (["cp", "-", "s3://bucket/key"], "upload_stream"),
            (["pipe", "s3://bucket/key"], "upload_stream"),
        ],
    )
    def test_reach_the_engine(self, ran: Ran, command: list[str], method: str) -> None:
        """They reach the engine whichever way an object is written."""
        result = invoke(*command, *self.OPTIONS)
        assert result.exit_code == 0, result.output
        ((asked, arguments, _),) = ran.calls()
        assert asked == method
        assert arguments[2] == self.EXPECTED

    @pytest.mark.parametrize("places", [["a", "s3://bucket/key"], ["s3://bucket/a", "s3://bucket/key"]])
    @pytest.mark.parametrize(
        ("given", "sse"),
        [(["--sse"], "AES256"), (["--sse", "AES256"], "AES256"), (["--sse=aws:kms:dsse"], "aws:kms:dsse")],
    )
    def test_encryption_without_a_name(self, ran: Ran, places: list[str], given: list[str], sse: str) -> None:
        """--sse alone means AES256, also right before SRC, as in aws-cli."""
        assert invoke("cp", *given, *places).exit_code == 0
        ((_, arguments, _),) = ran.calls()
        assert arguments == (*places, ObjectOptions(sse=sse))

    def test_a_file_that_is_called_like_an_option(self, ran: Ran) -> None:
        """What follows -- is a name, also where it looks like an option whose value was left out."""
        assert invoke("cp", "--", "--sse", "s3://bucket/key").exit_code == 0
        ((_, arguments, _),) = ran.calls()
        assert arguments == ("--sse", "s3://bucket/key", ObjectOptions())

    @pytest.mark.parametrize(
        ("text", "stored"),
        [
            ("Tue, 31 Dec 2030 23:59:59 GMT", "Tue, 31 Dec 2030 23:59:59 GMT"),
            ("2030-12-31T23:59:59", "Tue, 31 Dec 2030 23:59:59 GMT"),
            ("2031-01-01T01:59:59+02:00", "Tue, 31 Dec 2030 23:59:59 GMT"),
            ("2030-12-31", "Tue, 31 Dec 2030 00:00:00 GMT"),
        ],
    )
    def test_dates(self, ran: Ran, text: str, stored: str) -> None:
        """A date is taken as an HTTP date or in ISO 8601, in UTC where it names no zone (RFC 9110 §5.6.7)."""
        assert invoke("cp", "--expires", text, "a", "s3://bucket/key").exit_code == 0
        ((_, arguments, _),) = ran.calls()
        assert arguments[2].content.expires == stored

    def test_a_copy_keeps_all_by_default(self, ran: Ran) -> None:
        """Without such an option a copy is told nothing, so that headers, metadata and tags are kept."""
        assert invoke("cp", "s3://bucket/a", "s3://bucket/b").exit_code == 0
        ((_, arguments, _),) = ran.calls()
        assert arguments == ("s3://bucket/a", "s3://bucket/b", None)


class TestDirections:
    """What each pair of places asks of the engine."""

    @pytest.mark.parametrize(("command", "move"), [("cp", False), ("mv", True)])
    def test_files_and_objects(self, ran: Ran, command: str, move: bool) -> None:
        """Down, up and across, one or many, with the filters; mv says that it moves, and nothing else."""
        none = ObjectOptions()
        for given, asked in (
            (["s3://b/k", "out"], ("download", ("s3://b/k", "out"), {"move": move, **CURRENT})),
            (
                [*FILTERS, "s3://b/p", "out"],
                ("download_many", ("s3://b/p", "out"), {**MANY, **FILTERED, "move": move, "dry_run": False}),
            ),
            (
                ["s3://b/p*", "out"],
                ("download_many", ("s3://b/p*", "out"), {**MANY, "recursive": False, "move": move, "dry_run": False}),
            ),
            (["a", "s3://b/p/"], ("upload", ("a", "s3://b/p/", none), {"move": move, "dry_run": False})),
            (
                [*FILTERS, "--no-follow-symlinks", "--dry-run", ".", "s3://b/p"],
                (
                    "upload_many",
                    (".", "s3://b/p", none),
                    {**FILTERED, "follow_symlinks": False, "move": move, "dry_run": True},
                ),
            ),
            (
                ["--recursive", ".", "s3://b"],
                (
                    "upload_many",
                    (".", "s3://b", none),
                    {"include": (), "exclude": (), "follow_symlinks": None, "move": move, "dry_run": False},
                ),
            ),
            (["s3://b/k", "s3://c"], ("copy", ("s3://b/k", "s3://c", None), {**COPIED, "move": move, **CURRENT})),
            (
                [*FILTERS, "s3://b/p", "s3://c/q"],
                (
                    "copy_many",
                    ("s3://b/p", "s3://c/q", None),
                    {**MANY, **FILTERED, **COPIED, "move": move, "dry_run": False},
                ),
            ),
        ):
            result = invoke(command, *given)
            assert result.exit_code == 0, result.output
            assert ran.calls() == [asked]
            assert ran.given.operation == command
            FakeForkserver.running = 1

    def test_streams(self, ran: Ran) -> None:
        """stdin is descriptor 0 and stdout is descriptor 1; only the latter is for bytes alone."""
        assert invoke("cp", "-", "s3://b/k").exit_code == 0
        assert ran.calls() == [("upload_stream", (0, "s3://b/k", ObjectOptions()), {"dry_run": False})]
        assert (ran.given.operation, ran.given.to_stdout) == ("cp", False)
        FakeForkserver.running = 0
        assert invoke("pipe", "s3://b/k").exit_code == 0
        assert ran.calls() == [("upload_stream", (0, "s3://b/k", ObjectOptions()), {"dry_run": False})]
        assert (ran.given.operation, ran.given.to_stdout) == ("pipe", False)
        FakeForkserver.running = 0
        assert invoke("cp", "s3://b/k", "-").exit_code == 0
        assert ran.calls() == [("download_stream", ("s3://b/k", 1), CURRENT)]
        assert ran.given.to_stdout
        FakeForkserver.running = 0
        assert invoke("cat", "--version-id", "v", "s3://b/k").exit_code == 0
        assert ran.calls() == [("download_stream", ("s3://b/k", 1), {"version_id": "v"})]
        assert ran.given.to_stdout

    @pytest.mark.parametrize(
        ("destination", "method"), [("out", "download"), ("s3://c", "copy"), ("-", "download_stream")]
    )
    def test_a_named_version(self, ran: Ran, destination: str, method: str) -> None:
        """cp takes an older version of one object, whichever way it goes."""
        assert invoke("cp", "--version-id", "v", "s3://b/k", destination).exit_code == 0
        ((called, _, options),) = ran.calls()
        assert (called, options["version_id"]) == (method, "v")

    def test_what_is_preserved(self, ran: Ran) -> None:
        """It is a list of names; what is replaced by an option, or is no copy, is refused."""
        assert invoke("cp", "--preserve", "tags,storage-class", "s3://b/k", "s3://c/k").exit_code == 0
        ((_, _, options),) = ran.calls()
        assert options["preserve"] == {"tags", "storage-class"}
        for arguments in (
            ["--preserve", "tags,times", "s3://b/k", "s3://c/k"],
            ["--preserve", "", "s3://b/k", "s3://c/k"],
            ["--preserve", "tags", "--tags", "a=b", "s3://b/k", "s3://c/k"],
            ["--preserve", "tags", "s3://b/k", "out"],
        ):
            assert invoke("cp", *arguments).exit_code == 2, arguments

    def test_source_of_its_own(self, ran: Ran) -> None:
        """Any --source- option makes an engine for SRC, which is DEST's but for what is given."""
        sourced = ["--source-endpoint-url", "https://s", "--source-region", "r", "--source-profile", "p"]
        base = ["cp", "--endpoint-url", "https://d", "--profile", "q", "-p", "8M", "s3://b/k", "s3://c/k"]
        assert invoke(*base, *sourced, "--source-no-sign-request").exit_code == 0
        assert ran.given.settings == Settings(endpoint_url="https://d", profile="q", part_size_bytes=8 * 1024**2)
        ((method, _, options),) = ran.calls()
        origin = Settings(
            endpoint_url="https://s", region="r", profile="p", part_size_bytes=8 * 1024**2, sign_requests=False
        )
        assert (method, options) == ("copy", {**COPIED, "origin": origin, "move": False, **CURRENT})
        FakeForkserver.running = 0
        assert invoke(*base, "--source-profile", "p").exit_code == 0
        ((_, _, options),) = ran.calls()
        assert options["origin"] == Settings(endpoint_url="https://d", profile="p", part_size_bytes=8 * 1024**2)


class TestHelp:
    """The pages."""

    def test_help_and_version(self) -> None:
        """Help names the commands; the version is the package's."""
        assert {"cp", "mv", "cat", "pipe", "demo"} <= set(invoke("--help").output.split())
        from bulkhaul import __version__

        assert __version__ in invoke("--version").output

    @pytest.mark.parametrize("command", ["cp", "mv", "cat", "pipe"])
    def test_every_option_has_a_place_and_a_word(self, command: str) -> None:
        """A page shows every option under a heading, says what it does, and gives examples."""
        text = invoke(command, "--help").output
        shown = cli.get_command(None, command)  # type: ignore[arg-type]
        assert shown is not None
        for param in shown.params:
            if param.param_type_name == "option":
                assert param.opts[0] in text
                assert getattr(param, "help", "")
        assert "Options:" not in text
        assert all(heading in text for heading in ("Connection:", "Output:", "Examples:"))
        assert f"bulkhaul {command} " in text.partition("Examples:")[2]


class TestEarly:
    """The forkserver that is forked when the command line has been read."""

    @pytest.mark.parametrize(
        "arguments",
        [[], ["--help"], ["cp", "--help"], ["cp", "a", "b"], ["cp", "--nonsense"], ["mv", "--help"], ["--version"]],
    )
    def test_not_for_nothing(self, ran: Ran, arguments: list[str]) -> None:
        """What transfers nothing starts nothing."""
        invoke(*arguments)
        assert ran.job is None
        assert FakeForkserver.running == 0

    @pytest.mark.parametrize(
        ("arguments", "asks"),
        [
            (["cp", "s3://bucket/key", "out"], True),
            (["cp", "--dry-run", "s3://bucket/key", "out"], True),
            (["cp", "a-file", "s3://bucket/key"], True),
            (["cp", "no-file", "s3://bucket/key"], False),
            (["cp", "--dry-run", "a-file", "s3://bucket/key"], False),
            (["cp", "--dry-run", "-", "s3://bucket/key"], False),
            (["cp", "--dry-run", "s3://bucket/key", "s3://bucket/other"], True),
            (["cat", "s3://bucket/key"], True),
            (["rm", "s3://bucket/key"], True),
            (["pipe", "s3://bucket/key"], True),
        ],
    )
    def test_for_what_asks_the_service(
        self, ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], asks: bool
    ) -> None:
        """It is there where a request is going to be made; what is missing, or a dry run of what is here, has none."""
        monkeypatch.chdir(tmp_path)
        Path("a-file").write_bytes(b"x")
        assert invoke(*arguments).exit_code == 0
        assert ran.given.asks == asks
        assert FakeForkserver.running == asks

    def test_no_process_but_the_commands_own_is_forked(self, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
        """A program that calls the commands' code has threads and locks: the engine starts one by exec for it."""
        monkeypatch.setattr(early, "_own_process", False)
        early.start()
        assert early.take() is None

    def test_abandoned(self, ran: Ran) -> None:
        """One that nobody took is ended, and that can be said twice."""
        early.start()
        assert FakeForkserver.running == 1
        early.abandon()
        early.abandon()
        assert FakeForkserver.running == 0


class TestEndpoints:
    """What an endpoint may be, wherever it is named."""

    @pytest.mark.parametrize(
        "url",
        [
            *(
                "https://me:secret@host",
                "http://secret@host:9000",
                "https://me:secret/x@host",
                "https://me:1#secret@host",
            ),
            *("secret", "ftp://secret", "https://", "https://:9000", "https://host:secret", "https://host:70000"),
            *("https://host:0", "https://[secret"),
        ],
    )
    def test_refused_without_being_shown(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        """It needs http or https, a host and a possible port, and holds no password, which no message repeats."""
        with pytest.raises(UsageError, match=r"^--endpoint-url must") as caught:
            make_settings({"endpoint_url": url})
        assert "secret" not in str(caught.value)
        for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL"):
            monkeypatch.setenv(name, url)
            with pytest.raises(UsageError, match=rf"^{name} \(or --endpoint-url\) must") as caught:
                make_settings({})
            assert "secret" not in str(caught.value)
            assert make_settings({"endpoint_url": "https://host"}).endpoint_url == "https://host"
            monkeypatch.delenv(name)

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "https://[::1]:9000/", "HTTPS://s3.example/path"])
    def test_taken(self, url: str) -> None:
        """What has a scheme, a host and perhaps a port and a path is taken as it is."""
        assert make_settings({"endpoint_url": url}).endpoint_url == url


@pytest.mark.parametrize(
    ("destination", "name"), [("out", "download"), ("-", "download_stream"), ("s3://b/other", "copy")]
)
def test_raw_takes_one_object(ran: Ran, destination: str, name: str) -> None:
    """With --raw a source with * and ? is the one object of that name, in every direction."""
    assert invoke("mv" if name != "download_stream" else "cp", "--raw", "s3://b/a*?", destination).exit_code == 0
    ((called, (source, *_), _),) = ran.calls()
    assert (called, source) == (name, "s3://b/a*?")


def test_names_of_other_tools(ran: Ran) -> None:
    """--numworkers is s5cmd's name of --workers, and aws-cli's --sse-c goes before its key."""
    key = base64.b64encode(KEY).decode()
    assert invoke("cp", "--numworkers", "3", "--sse-c", "AES256", "--sse-c-key", key, "s3://b/a", "out").exit_code == 0
    assert (ran.given.settings.workers, ran.given.settings.sse_c_key) == (3, KEY)


@pytest.mark.parametrize(
    ("words", "workers", "concurrency"),
    [
        ([], None, None),
        (["--workers", "auto", "--concurrency", "auto"], None, None),
        (["--numworkers", "AUTO", "-c", "12"], None, 12),
        (["--workers", "1", "-c", "auto"], 1, None),
    ],
)
def test_numbers_that_are_left_to_the_engine(
    ran: Ran, words: list[str], workers: int | None, concurrency: int | None
) -> None:
    """The word auto is the default, written out; each number may be named without the other."""
    assert invoke("cp", *words, "s3://b/a", "out").exit_code == 0
    assert (ran.given.settings.workers, ran.given.settings.concurrency) == (workers, concurrency)


def test_options_that_are_not_given_cost_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """What parses sizes and spans of time is not loaded for a command line that has none."""
    for name in ("sizes", "durations"):
        monkeypatch.setitem(sys.modules, f"bulkhaul.policy.{name}", None)
    context, option = click.Context(cli), click.Option(["--any"])
    assert parsed_size(context, option, None) is None
    assert parsed_duration(context, option, None) is None
