"""Parses one line of a file of commands by the command that it names, as that would parse its own command line.

What s5cmd writes otherwise is taken as s5cmd means it: ``-acl X`` for ``--acl X``, ``du --humanize``, a folder that
ends in a slash, patterns of local files, and the sync of one object. Nothing of a line is passed over: what does not
exist here is refused.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec
from click.core import ParameterSource

from bulkhaul.cli.command_file.syncing import sync_words
from bulkhaul.cli.file_list import LINES, NUL
from bulkhaul.cli.launch import Taken
from bulkhaul.cli.options import OUTPUT, SETTINGS
from bulkhaul.cli.source_options import OF_SOURCE
from bulkhaul.cli.standard_streams import named_stdin
from bulkhaul.cli.transfer_arguments import SCHEME, STREAM, without_streams
from bulkhaul.model.errors import NotFound, Unsupported, UsageError
from bulkhaul.model.preserving import Kept
from bulkhaul.policy.preserving import parse_kept

if TYPE_CHECKING:
    from bulkhaul.cli.job import Job
    from bulkhaul.cli.run_query import Work

COMMANDS = ("cp", "mv", "sync", "rm", "cat", "pipe", "ls", "du", "head", "presign", "tags", "mb", "rb")
"""What a line may ask for."""

_NOT_HERE = {
    "select": "AWS has closed S3 Select to new customers; `cat` writes the object, for a program that filters it",
    "bucket-version": "bulkhaul does not set the versioning of buckets; `aws s3api put-bucket-versioning` does",
    "run": "a file of commands runs no other one",
}
"""Commands of s5cmd that no line can be, and what to do."""

_TAKEN = "that is the file of commands"

_QUERIES = ("ls", "du", "head", "presign", "tags", "mb", "rb")

_CHANGES = ("tags", "mb", "rb")
"""Those of them that change something, and have no dry run."""

_SPELLINGS = {
    "--humanize": "--human-readable",
    "--expire": "--expires-in",
    **dict.fromkeys(("--show-progress", "--sp", "-show-progress", "-sp"), ""),
    **dict.fromkeys(("--force-glacier-transfer", "-force-glacier-transfer"), ""),
}
"""Options of s5cmd that have another name here, or none: it is for ``run`` to show progress, and every object is asked
for, archived or not."""


class Stdin:
    """Who reads the stdin of the program.

    Attributes:
        taken: why a line cannot, empty as long as one can.
    """

    def __init__(self, taken: str = "") -> None:
        self.taken = taken


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """The work of one line; either ``job`` or ``work`` is there.

    Attributes:
        own_source: it has an endpoint, a region or keys for its source alone.
    """

    operation: str
    dry_run: bool = False
    job: Job | None = None
    work: Work | None = None
    own_source: bool = False


def prepared(
    words: Sequence[str],
    group: click.Context,
    shared: Mapping[str, Any],
    *,
    as_json: bool,
    dry_run: bool,
    quiet: bool = False,
    stdin: Stdin | None = None,
) -> list[Prepared]:
    """Return the work of a line: one, or for a pattern of local files one for each file.

    Args:
        group: the context of the group of commands.
        shared: the engine's options, as ``run`` was given them.
        stdin: of the program; None where no line may read it.

    Raises:
        UsageError: the line makes no sense; the message names what is wrong.
        TransferError: it cannot be carried out.
    """
    try:
        name, arguments = command_of(words, lambda name: _command(group, name))
    except click.UsageError as error:
        raise UsageError(error.format_message().rstrip(".")) from error
    if (why := _NOT_HERE.get(name)) is not None:
        raise Unsupported(f"{name!r} is no command for a line: {why}")
    if name not in COMMANDS:
        told = name.partition("=")[0]  # not the value of a variable that a shell would set
        raise UsageError(f"{told!r} is no command for a line; those are {', '.join(COMMANDS)}")
    changed: dict[str, Any] = {}
    try:
        if name == "sync":
            name, arguments, changed = sync_words(arguments, _parsed(group, name, arguments))
        with _parsed(group, name, arguments) as ctx:
            command = ctx.command
            if ctx.params.get("explain") is not None:
                raise UsageError("--explain goes with a command of its own, and not with a line")
            _take_shared(ctx, shared)
            ctx.params |= changed
            if name in ("cat", "pipe"):
                return [_stream(command, ctx, stdin or Stdin(_TAKEN), as_json=as_json, dry_run=dry_run)]
            if name in _QUERIES:
                if dry_run and name in _CHANGES and arguments[:1] != ["get"]:
                    raise UsageError(f"{name!r} cannot be tried without doing it; leave its lines out of a dry run")
                ctx.params["as_json"] = ctx.params.get("as_json") or as_json
                if "quiet" in ctx.params:
                    ctx.params["quiet"] = ctx.params["quiet"] or quiet
                return [_made(command, ctx, dry_run=False)]
            if "paths" in ctx.params and len(ctx.params["paths"]) == 2:
                ctx.params["paths"] = without_streams(*ctx.params["paths"])
            lists = [name for name in (ctx.params.get(LINES), ctx.params.get(NUL)) if name is not None]
            if STREAM in (*lists, *ctx.params.get("paths", ())) or any(map(named_stdin, lists)):
                raise UsageError("stdin and stdout are the file of commands and its results here, and not for a line")
            ctx.params["dry_run"] = dry_run = ctx.params["dry_run"] or dry_run
            if name in ("rm", "sync"):
                return [_made(command, ctx, dry_run=dry_run)]
            found = []
            named, follow = ctx.params["paths"], ctx.params["follow_symlinks"]
            enters = name != "mv" or follow is not None or ctx.params["symlinks"] is not None
            for paths, recursive in _places(ctx):
                # A link to a folder that a pattern has found is skipped by mv.
                left = not enters and recursive and paths[0] != named[0] and os.path.islink(paths[0])
                ctx.params |= {"paths": paths, "recursive": recursive}
                ctx.params["follow_symlinks"] = False if left else follow
                found.append(_made(command, ctx, dry_run=dry_run))
            return found
    except click.ClickException as error:
        raise UsageError(error.format_message().rstrip(".")) from error


def command_of(
    words: Sequence[str], command_named: Callable[[str], click.Command | None] = lambda _: None
) -> tuple[str, list[str]]:
    """Return the command of a line, and the other words, where s5cmd has options before it.

    Args:
        command_named: returns a command; what only says how fast or how loud it goes is left out if it has it not.

    Raises:
        click.UsageError: an option before the command is none of all commands.

    >>> command_of(["--dry-run", "cp", "a", "s3://b/"]), command_of(["--no-verify-ssl"])
    (('cp', ['--dry-run', 'a', 's3://b/']), ('--no-verify-ssl', []))
    """
    if not words[0].startswith("-"):
        return words[0], list(words[1:])
    from bulkhaul.cli.global_options import fitting, split

    leading, rest, _ = split(words)
    if not rest:
        return words[0], list(words[1:])
    command = command_named(rest[0])
    return rest[0], [*(leading if command is None else fitting(command, rest[0], leading)), *rest[1:]]


def _command(group: click.Context, name: str) -> click.Command | None:
    assert isinstance(group.command, click.Group)
    return group.command.get_command(group, name)


def _stream(command: click.Command, ctx: click.Context, stdin: Stdin, *, as_json: bool, dry_run: bool) -> Prepared:
    """Return the work of a line that writes objects to stdout, or reads stdin.

    Raises:
        UsageError: stdout takes JSON, or stdin is for something else.
    """
    if ctx.info_name == "cat":
        if as_json:
            raise UsageError("cat writes the bytes of objects, which --json has no place for")
        if dry_run:
            raise UsageError("cat changes nothing, and has no dry run")
        return _made(command, ctx, dry_run=False)
    if stdin.taken:
        raise UsageError(f"pipe reads stdin, and {stdin.taken}")
    ctx.params["dry_run"] = dry_run = ctx.params["dry_run"] or dry_run
    made = _made(command, ctx, dry_run=dry_run)
    stdin.taken = "an earlier line does"
    return made


def _parsed(group: click.Context, name: str, arguments: Sequence[str]) -> click.Context:
    """Return the context of a line; there is no --help for lines, and no way to leave the program."""
    command = _command(group, name)
    assert command is not None
    options = {spelling for param in command.params for spelling in param.opts}
    spelled = []
    for argument in arguments:
        head, equals, value = argument.partition("=")
        if head in _SPELLINGS and head not in options:
            if not (head := _SPELLINGS[head]):
                continue
        elif head.startswith("-") and f"-{head}" in options:
            head = f"-{head}"  # Go's flags take one dash or two
        spelled.append(head + equals + value)
    return command.make_context(name, spelled, obj=Taken(), help_option_names=[])


def _take_shared(ctx: click.Context, shared: Mapping[str, Any]) -> None:
    """Give the line the engine's options, and refuse others of its own: all lines share one engine.

    Raises:
        click.UsageError: it has one.
    """
    for param in ctx.command.params:
        name = param.name or ""
        of_engine = name in SETTINGS
        if not of_engine and (name not in OUTPUT or ctx.info_name in _QUERIES):
            continue
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and (name not in shared or shared[name] != ctx.params[name]):
            raise click.UsageError(f"{param.opts[0]} is for all lines: give it to `bulkhaul run`.")
        if of_engine:
            ctx.params[name] = shared.get(name)
    if "symlinks" in ctx.params and not all(path.startswith(SCHEME) for path in ctx.params["paths"]):
        _require_shared_of_files(ctx.params, shared)


def _require_shared_of_files(given: dict[str, Any], shared: Mapping[str, Any]) -> None:
    """Hold a line that uploads or downloads to what ``run`` was told of files; a copy preserves by itself.

    Raises:
        click.UsageError: the line says otherwise.
    """
    kept = {Kept.TIMESTAMPS: shared.get("preserve_times"), Kept.MODE: shared.get("preserve_mode")}
    if given["preserve"] is not None and parse_kept(given["preserve"]) != {one for one in kept if kept[one]}:
        raise click.UsageError("--preserve of files is for all lines: give it to `bulkhaul run`.")
    if shared.get("store_links"):
        if given["symlinks"] not in (None, "store") or given["follow_symlinks"] is not None:
            raise click.UsageError("`bulkhaul run --symlinks store` is for all lines, and this one says otherwise.")
        given["symlinks"] = "store"
    elif given["symlinks"] == "store":
        raise click.UsageError("--symlinks store is for all lines: give it to `bulkhaul run`.")


def _made(command: click.Command, ctx: click.Context, *, dry_run: bool) -> Prepared:
    """Return what the command would launch."""
    ctx.obj = taken = Taken()
    with contextlib.suppress(click.exceptions.Exit):
        click.Command.invoke(command, ctx)
    assert taken.job is not None or taken.work is not None
    own = any(ctx.params.get(name) is not None for name in OF_SOURCE)
    return Prepared(operation=str(ctx.info_name), dry_run=dry_run, job=taken.job, work=taken.work, own_source=own)


def _places(ctx: click.Context) -> list[tuple[tuple[str, ...], bool]]:
    """Return (SRC, DEST) of a transfer, and whether it is recursive: for a pattern of local files those of each.

    Raises:
        NotFound: no file matches.
        UsageError: there is one DEST for several files.
    """
    paths, recursive = ctx.params["paths"], ctx.params["recursive"]
    listed = ctx.params[LINES] is not None or ctx.params[NUL] is not None
    if len(paths) != 2 or recursive or listed or paths[0].startswith(SCHEME) or not paths[1].startswith(SCHEME):
        return [(paths, recursive)]
    source, destination = paths
    if destination == SCHEME:
        return [(paths, recursive)]  # it names no bucket, and is refused as such
    if source.endswith("/"):
        return [(paths, os.path.isdir(source))]
    wildcard = min((at for at in map(source.find, "*?") if at >= 0), default=-1)
    if os.path.lexists(source) or wildcard < 0:
        wildcard = len(source)
        found = [source]
    elif not (found := sorted(glob.glob(source, include_hidden=True))):
        raise NotFound("no file matches", source)
    if "/" in destination.removeprefix(SCHEME) and not destination.endswith("/"):
        if wildcard < len(source):
            raise UsageError("DEST of a pattern must be a bucket, or end in a slash")
        return [(paths, False)]
    cut = source.rfind("/", 0, wildcard) + 1
    above = destination if destination.endswith("/") else f"{destination}/"
    if ctx.params["flatten"]:
        return _flattened(found, above)
    return [((path, above + path[cut:]), os.path.isdir(path)) for path in found]


def _flattened(found: Sequence[str], above: str) -> list[tuple[tuple[str, ...], bool]]:
    """Return (SRC, DEST) of files without their folders, and of folders, of which each is flattened by itself.

    Raises:
        UsageError: two files have one name.
    """
    names: dict[str, str] = {}
    for path in found:
        if not os.path.isdir(path) and (earlier := names.setdefault(os.path.basename(path), path)) != path:
            raise UsageError(f"without their folders {earlier!r} and {path!r} are one object")
    return [((path, above), os.path.isdir(path)) for path in found]
