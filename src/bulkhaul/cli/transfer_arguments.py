"""Checks SRC, DEST and the options of a transfer, and tells its direction.

s3://… ─▶ path  download     path ─▶ s3://…  upload     s3://… ─▶ s3://…  copy
s3://… ─▶ -     to stdout    -    ─▶ s3://…  from stdin
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bulkhaul.cli.object_options import FIELDS
from bulkhaul.cli.standard_streams import named_stdin, named_stdout

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkhaul.model.objects import ObjectRef

SCHEME = "s3://"
_OTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
STREAM = "-"
WILDCARD = re.compile(r"[*?]")
_OPEN = re.compile(r"/dev/(?:fd/\d+|std(?:in|out|err))$|/proc/(?:self|\d+)/fd/\d+$")


class Direction(Enum):
    """The direction of a transfer; the value is its name in errors."""

    DOWNLOAD = "a download"
    UPLOAD = "an upload"
    COPY = "a copy between buckets"
    FROM_STDIN = "an upload from stdin"
    TO_STDOUT = "a download to stdout"


REMAINS = {
    Direction.DOWNLOAD: "no partial file was left behind",
    Direction.UPLOAD: "no partial object was made",
    Direction.COPY: "no partial object was made",
    Direction.FROM_STDIN: "no partial object was made",
    Direction.TO_STDOUT: "what was written is not whole",
}
"""What an interruption leaves, as people are told."""

NOTHING = "nothing was to be done: SRC is an empty folder, or --include and --exclude leave out all that is there"
"""What people are told where a selection holds nothing."""

_DOWNLOADS = frozenset({Direction.DOWNLOAD, Direction.TO_STDOUT})
_WRITES = frozenset({Direction.UPLOAD, Direction.COPY, Direction.FROM_STDIN})
_FILES = frozenset({Direction.DOWNLOAD, Direction.UPLOAD, Direction.COPY})

_APPLIES: dict[str, frozenset[Direction]] = {
    **dict.fromkeys(FIELDS, _WRITES),
    **dict.fromkeys(("recursive", "include", "exclude", "files_from", "files_from0"), _FILES),
    **dict.fromkeys(("no_clobber", "if_size_differs", "if_source_newer", "if_etag_differs"), _FILES),
    **dict.fromkeys(("flatten", "explain"), _FILES),
    **dict.fromkeys(("checksum_algorithm", "multipart_threshold_bytes"), _WRITES),
    **dict.fromkeys(("landing", "sparse", "fsync"), frozenset({Direction.DOWNLOAD})),
    "verify": _DOWNLOADS,
    "preserve": _FILES,
    **dict.fromkeys(("restore_tier", "restore_days"), frozenset({Direction.DOWNLOAD, Direction.COPY})),
    "version_id": _DOWNLOADS | {Direction.COPY},
    **dict.fromkeys(("all_versions", "metadata_directive"), frozenset({Direction.COPY})),
    "raw": frozenset(Direction) - {Direction.FROM_STDIN},
    "resume": _FILES,
    "follow_symlinks": frozenset({Direction.UPLOAD}),
    "symlinks": frozenset({Direction.UPLOAD, Direction.DOWNLOAD}),
    **dict.fromkeys(
        ("source_endpoint_url", "source_region", "source_profile", "source_sign_requests"), frozenset({Direction.COPY})
    ),
}
"""The directions that an option applies to; an option that is not named applies to all."""


def direction_of(source: str, destination: str) -> Direction:
    """Return the direction of a transfer from ``source`` to ``destination``.

    Raises:
        click.UsageError: neither of them is in S3, or one is empty.
    """
    for name, place in (("SRC", source), ("DEST", destination)):
        if not place:
            raise click.UsageError(f"{name} is empty.")
        if not place.startswith(SCHEME) and _OTHER_SCHEME.match(place):
            raise click.UsageError(
                f"{name} must be s3://… or a local path, and ./ before a path that looks like a URL."
            )
    if source.startswith(SCHEME):
        if destination.startswith(SCHEME):
            return Direction.COPY
        return Direction.TO_STDOUT if destination == STREAM else Direction.DOWNLOAD
    if not destination.startswith(SCHEME):
        raise click.UsageError("SRC or DEST must begin with s3://; these are both local.")
    return Direction.FROM_STDIN if source == STREAM else Direction.UPLOAD


def without_streams(source: str, destination: str) -> tuple[str, str]:
    """Return (SRC, DEST) with ``-`` for the other names of stdin and stdout.

    Raises:
        click.UsageError: one is a pipe, as a FIFO or a process substitution is; the message says what to type.
    """
    if destination.startswith(SCHEME):
        stored = f"bulkhaul pipe {shlex.quote(destination)}"
        source = _without_stream(source, "SRC", named_stdin, f"COMMAND | {stored}", f"{stored} <")
    if source.startswith(SCHEME):
        written = f"bulkhaul cat {shlex.quote(source)}"
        destination = _without_stream(destination, "DEST", named_stdout, f"{written} | COMMAND", f"{written} >")
    return source, destination


def _without_stream(path: str, role: str, is_stream: Callable[[str], bool], piped: str, redirected: str) -> str:
    """Return a path, or ``-`` where it is another name of that.

    Args:
        piped: what to type where a shell has made the pipe.
        redirected: what to type before the name of another one.

    Raises:
        click.UsageError: it is a pipe.
    """
    if is_stream(path):
        return STREAM
    if _is_pipe(path):
        typed = piped if _OPEN.match(path) else f"{redirected} {shlex.quote(path)}"
        what = "a pipe" if _is_fifo(path) else "an open descriptor"
        raise click.UsageError(f"{role} is {what}, not the path of a file. Type: {typed}")
    return path


def _is_pipe(path: str) -> bool:
    """Whether a path is a FIFO, or an open descriptor by its number, whatever that is."""
    return bool(_OPEN.match(path)) or _is_fifo(path)


def _is_fifo(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def two_places(paths: tuple[str, ...]) -> tuple[str, str]:
    """Return (SRC, DEST).

    Raises:
        click.UsageError: there are not two.
    """
    if len(paths) < 2:
        raise click.UsageError("Missing argument 'SRC'." if not paths else "Missing argument 'DEST'.")
    if len(paths) > 2:
        text = (
            f"one SRC and one DEST, not {len(paths)} arguments; quote a pattern of s3:// so that the shell leaves it"
            " alone."
        )
        raise click.UsageError(text)
    return paths[0], paths[1]


def is_whole_folder(path: str) -> bool:
    """Whether a local SRC is everything below a folder without ``--recursive``, as it ends in a slash."""
    return path.endswith("/") and os.path.isdir(path)


def synced_folder(source: str) -> str:
    """Return SRC of a sync; of ``folder/*`` that the shell has left the folder.

    Raises:
        click.UsageError: it is another pattern of local files.
    """
    if source.startswith(SCHEME) or os.path.lexists(source) or not WILDCARD.search(source):
        return source
    folder = source.removesuffix("*")
    if WILDCARD.search(folder) or (folder and not folder.endswith("/")):
        raise click.UsageError(
            "of files sync takes a folder, or all in one (folder/*); --include takes other patterns."
        )
    return folder or os.curdir


def refuse_misplaced(ctx: click.Context, direction: Direction) -> None:
    """Refuse the first option of the command line that does not apply to this direction.

    Raises:
        click.UsageError: there is one; the message names it.
    """
    for param in ctx.command.params:
        name = param.name or ""
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and direction not in _APPLIES.get(name, frozenset(Direction)):
            spellings = param.secondary_opts if ctx.params.get(name) is False else []
            raise click.UsageError(f"{(spellings or param.opts)[0]} means nothing for {direction.value}.")


def refuse_unselective(direction: Direction, source: str, given: Mapping[str, Any]) -> None:
    """Refuse a folder that is not said to be taken whole, and a prefix with wildcards that are to be taken literally.

    Args:
        given: the options.

    Raises:
        click.UsageError: it cannot mean what it says.
    """
    if direction is Direction.UPLOAD:
        if given["recursive"] or source.endswith("/") or not os.path.isdir(source):
            return
        if given["follow_symlinks"] is not False or not os.path.islink(source):
            raise click.UsageError(f"{source} is a folder; add --recursive, or a slash, for all that is in it.")
        return
    from bulkhaul.policy.selection import parse_source

    if given["raw"] and given["recursive"] and parse_source(source, recursive=True).pattern:
        raise click.UsageError("--raw takes one object; it cannot be had with --recursive where SRC holds * or ?.")


def refuse_with_all_versions(given: Mapping[str, Any]) -> None:
    """Refuse what says otherwise which versions are copied, or waits for single ones.

    Args:
        given: the options, with what ``take_list``, ``take_restore`` and ``take_choice`` have made of them.

    Raises:
        click.UsageError: there is such an option.
    """
    if not given["all_versions"]:
        return
    others = {
        "--version-id": given["version_id"],
        "--files-from": given["listed"],
        "--restore": given["restore"],
        "--explain": given.get("explain"),
        "what chooses objects by their destination": given["choice"],
    }
    for option, value in others.items():
        if value:
            raise click.UsageError(f"--all-versions copies the versions that a listing finds; leave {option} out.")


def refuse_many(urls: Sequence[str], option: str, *, recursive: bool = False, raw: bool = False) -> None:
    """Make sure that the URLs are one object, for an option that needs this.

    Raises:
        click.UsageError: there are several, or it is a prefix or a pattern.
    """
    from bulkhaul.policy.selection import parse_source

    if len(urls) > 1 or parse_source(urls[0], recursive=recursive, literal=raw, marker=raw).many:
        raise click.UsageError(f"{option} goes with the URL of one object.")


def require_object(url: str, *, role: str, marker: bool = False, what: str = "a destination in S3") -> None:
    """Make sure that a URL names one object, which a stream needs.

    Args:
        marker: see ``parse_source``.
        what: names the argument in the error for something that is no URL of S3.

    Raises:
        click.UsageError: it names a bucket, a prefix or a pattern.
        InvalidUrl: it is no URL of S3.
    """
    from bulkhaul.policy.selection import parse_destination

    key = parse_destination(url, what)[1]
    if not key or (key.endswith("/") and not marker):
        from bulkhaul.policy.naming import printable

        hint = " `bulkhaul cp --raw URL -` writes a key that ends in a slash." if key else ""
        raise click.UsageError(f"{role} must name one object, with its key; {printable(url)} does not.{hint}")


def one_object(source: str) -> str | ObjectRef:
    """Return the object that SRC names: its URL, or for a key that ends in a slash its ``ObjectRef``.

    Only ``--raw`` allows such a key; as a URL it would be a prefix.
    """
    if not source.endswith("/"):
        return source
    from bulkhaul.model.objects import ObjectRef
    from bulkhaul.policy.selection import parse_source

    named = parse_source(source, literal=True, marker=True)
    return ObjectRef(named.bucket, named.key)


def refuse_pattern(url: str) -> None:
    """Make sure that a source for stdout is no pattern, which may match many objects.

    Raises:
        click.UsageError: it is one.
    """
    from bulkhaul.policy.selection import parse_source

    if parse_source(url).many:
        raise click.UsageError("SRC is a pattern, and stdout takes one object; `bulkhaul cat` writes several.")
