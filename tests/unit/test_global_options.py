"""Options before the command, and the names that other programs have for ours."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bulkhaul.cli.command_file.parsing import command_of
from bulkhaul.cli.global_options import split
from bulkhaul.cli.group import cli
from bulkhaul.cli.peer_names import _COMMANDS, _OPTIONS, _OTHER_COMMANDS, _WHOLE
from bulkhaul.cli.verbosity import log_level


def typed(*words: str) -> tuple[int, str]:
    """Return the exit code and the output of a command line that is refused, or only shows a page."""
    done = CliRunner().invoke(cli, list(words), prog_name="bulkhaul")
    return done.exit_code, done.output


def parsed(*words: str) -> dict[str, object]:
    """Return the parameters of the command that a line comes to."""
    return context(*words).params


def context(*words: str) -> click.Context:
    """Return the context of the command that a line comes to."""
    with cli.make_context("bulkhaul", list(words), resilient_parsing=True) as group:
        line = [*group._protected_args, *group.args]
        command = cli.get_command(group, line[0])
        assert command is not None
        return command.make_context(line[0], line[1:], parent=group)


class TestNearMisses:
    """What is nearly a name, or one of another program, leads to the right one."""

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["rb", "--force", "s3://b"], "rm --recursive s3://BUCKET/, and then bulkhaul rb s3://BUCKET"),
            (["sync", "--explain", "a", "--explain", "b", "x", "s3://b/"], "one key at a time"),
            (["rm", "--force", "s3://b/k"], "nothing is asked back"),
            (["--hlep"], "Did you mean '--help'"),
            (["-V"], "type --version"),
            (["delte"], "bulkhaul rm s3://BUCKET/KEY"),
            (["mkdir"], "bulkhaul mb s3://BUCKET"),
            (["rmdir"], "bulkhaul rb s3://BUCKET"),
            (["md5sum"], "ls --etag"),
            (["CP"], "Did you mean 'cp'"),
            (["LS"], "Did you mean 'ls'"),
            (["ls", "--quiet", "s3://b/x"], "leave it out"),
            (["cp", "-R", "a", "s3://b"], "--recursive (-r)"),
            (["ls", "-lh", "s3://b"], "-H"),
            (["tags", "rm", "s3://b/k", "a"], "rm removes all tags"),
            (["tags", "get", "s3://b/k", "s3://b/l"], "get takes one object"),
            (["tags", "set", "s3://b/k"], "set needs NAME=VALUE"),
        ],
        ids=lambda one: " ".join(one) if isinstance(one, list) else "",
    )
    def test_is_told_what_to_type(self, words: list[str], said: str) -> None:
        """A line that is refused says what to type instead."""
        code, output = typed(*words)
        assert code == 2
        assert said in " ".join(output.split())

    def test_a_file_by_its_descriptor(self, tmp_path: Path) -> None:
        """A regular file that is open is not called a pipe; what to type is told all the same."""
        with (tmp_path / "f").open("wb") as file:
            code, output = typed("cp", "s3://b/k", f"/dev/fd/{file.fileno()}")
        assert code == 2
        assert "DEST is an open descriptor, not the path of a file. Type: bulkhaul cat s3://b/k" in output


class TestBeforeTheCommand:
    """What s5cmd and aws-cli have before the command."""

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["--endpoint-url", "http://h", "ls", "s3://b"], {"endpoint_url": "http://h"}),
            (["--profile=p", "--region", "r", "ls", "s3://b"], {"profile": "p", "region": "r"}),
            (["--json", "ls", "s3://b"], {"as_json": True}),
            (["--json", "cat", "s3://b/k"], {"as_json": True}),
            (["--no-sign-request", "--no-verify-ssl", "ls"], {"sign_requests": False, "verify_tls": False}),
            (["--quiet", "--log", "error", "rm", "s3://b/k"], {"quiet": True}),
            (["--numworkers", "3", "-c8", "-p", "8MiB", "cp", "a", "s3://b"],
             {"workers": 3, "concurrency": 8, "part_size_bytes": 8 << 20}),
            (["--dry-run", "rm", "s3://b/k"], {"dry_run": True}),
            (["--request-payer", "ls", "s3://b"], {"request_payer": True, "url": "s3://b"}),
            (["--request-payer", "requester", "ls", "s3://b"], {"request_payer": True, "url": "s3://b"}),
        ],
    )  # fmt: skip
    def test_means_the_same(self, words: list[str], expected: dict[str, object]) -> None:
        """An option before the command is the command's."""
        assert parsed(*words).items() >= expected.items()

    @pytest.mark.parametrize(
        ("words", "level"),
        [
            (["--log", "error", "ls"], "error"),
            (["-v", "ls"], "info"),
            (["-vv", "ls"], "debug"),
            (["--verbose", "ls", "-v"], "debug"),
            (["ls"], "warning"),
        ],
    )
    def test_tells_as_much(self, words: list[str], level: str) -> None:
        """What asks for a log does so before the command, too."""
        assert log_level(context(*words)) == level

    def test_the_one_behind_decides(self) -> None:
        """What stands before and behind has the value of the one behind."""
        assert parsed("--profile", "a", "ls", "--profile", "b")["profile"] == "b"

    def test_a_value_is_no_command(self) -> None:
        """A profile that has the name of a command stays one."""
        found = parsed("--profile", "cp", "ls", "s3://b")
        assert (found["profile"], found["url"]) == ("cp", "s3://b")

    def test_speed_of_what_has_none(self) -> None:
        """s5cmd takes --numworkers and --log with every command; ours that have no use for it do the same without."""
        assert parsed("--numworkers", "9", "--log", "error", "ls", "s3://b")["url"] == "s3://b"

    @pytest.mark.parametrize("command", ["ls", "head", "cat", "presign", "du"])
    def test_quiet_for_what_only_answers(self, command: str) -> None:
        """s5cmd's users type it with every command; what prints its answer alone has nothing to leave out."""
        assert "quiet" not in context("--quiet", command, "s3://b/k").params

    def test_below_a_group(self) -> None:
        """Options go behind the command of a group, too."""
        code, page = typed("--quiet", "job", "run", "--help")
        assert (code, "Usage: bulkhaul job run" in page) == (0, True)

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--json", "completion", "bash"], "prints a script for a shell, so there is no --json"),
            (["--json", "job", "report", "x"], "job report has no option --json"),
            (["--dry-run", "ls", "s3://b"], "ls has no option --dry-run"),
            (["--endpiont-url", "u", "ls"], "Did you mean '--endpoint-url'?"),
            (["--recursive", "cp", "a", "s3://b"], "behind the command: bulkhaul COMMAND --recursive"),
            (["--profile"], "'--profile' requires an argument"),
            (["--json=no", "ls"], "--json takes no value"),
            (["--install-completion"], "type bulkhaul completion --install"),
        ],
    )
    def test_refused(self, words: list[str], says: str) -> None:
        """What a command has not, or nothing has, is an error that says so."""
        code, page = typed(*words)
        assert (code, says in page) == (2, True), page

    def test_version_and_help_stay(self) -> None:
        """The program's own options work beside the others, and as the commands that others have."""
        for words in (["--version"], ["version"], ["--json", "--version"]):
            assert typed(*words)[1].startswith("bulkhaul ")
        assert "Usage: bulkhaul cp" in typed("help", "cp")[1]
        assert "Usage: bulkhaul job run" in typed("help", "job", "run")[1]
        assert "Commands:" in typed("help")[1]
        assert typed("--profile", "x", "--quiet", "version")[1].startswith("bulkhaul ")
        assert "Usage: bulkhaul cp" in typed("--endpoint-url", "http://h", "help", "cp")[1]
        assert "Commands:" in typed("--json", "help")[1]

    def test_lines_of_files(self) -> None:
        """A line of `bulkhaul run` is split by the same rules, with Go's one dash for two."""
        assert command_of(["-no-verify-ssl", "--profile", "cp", "rm", "x"]) == (
            "rm", ["--no-verify-ssl", "--profile=cp", "x"]
        )  # fmt: skip
        with pytest.raises(click.UsageError, match="no option of all commands"):
            command_of(["--frobnicate", "rm", "x"])

    def test_a_value_that_is_missing(self) -> None:
        """The option at the end of a line whose value is still to come is told, for completion."""
        found = split(["--json", "--profile"])
        assert (found.leading, found.rest, found.open_option and found.open_option.name) == (["--json"], [], "profile")


class TestOtherNames:
    """Names from aws-cli, s5cmd, rclone, mc and gsutil."""

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["list", "s3://b"], "type bulkhaul ls"),
            (["stat", "s3://b/k"], "type bulkhaul head"),
            (["copy", "a", "s3://b"], "type bulkhaul cp"),
            (["move", "a", "s3://b"], "type bulkhaul mv"),
            (["remove", "s3://b/k"], "type bulkhaul rm"),
            (["delete", "s3://b/k"], "type bulkhaul rm"),
            (["select", "s3://b/k"], "bulkhaul cat writes the object"),
            (["s3", "ls"], "leave s3 out"),
            (["snyc", "a", "s3://b"], "Did you mean 'sync'?"),
            (["s3://b/k"], "bulkhaul ls s3://b/k"),
            (["cp", "--endpoint", "u", "a", "s3://b"], "type --endpoint-url"),
            (["cp", "--transfers", "8", "a", "s3://b"], "type --concurrency N"),
            (["cp", "-P", "a", "s3://b"], "progress is shown on a terminal"),
            (["sync", "--checksum", "a", "s3://b"], "--compare checksum"),
            (["ls", "--no-paginate"], "leave it out"),
            (["du", "--humanize", "s3://b"], "type --human-readable (-H)"),
            (["cp", "--recursvie", "a", "s3://b"], "--recursive"),
        ],
    )  # fmt: skip
    def test_says_what_to_type(self, words: list[str], says: str) -> None:
        """A name of another program ends with status 2 and what to type here; a slip with the name that is like it."""
        code, page = typed(*words)
        assert (code, says in page) == (2, True), page

    def test_what_is_told_exists(self) -> None:
        """Every command and option that a hint names is there, and no name of others is one of ours."""
        context = click.Context(cli)
        ours = set(cli.list_commands(context))
        assert set(_COMMANDS.values()) == set(_WHOLE) <= ours
        assert not (set(_COMMANDS) | set(_OTHER_COMMANDS)) & ours
        commands = [command for name in ours if (command := cli.get_command(context, name)) is not None]
        spelled = {one for command in commands for param in command.params for one in param.opts}
        told = {word.strip("(),;").partition("=")[0] for hint in _OPTIONS.values() for word in hint.split()}
        assert {word for word in told if word.startswith("--")} <= spelled | {"--install", "--version"}
        assert set(_OPTIONS) & spelled <= {"--output", "--older-than", "--quiet"}  # of some commands alone
