"""Says what to type here for commands and options of aws-cli, s5cmd, rclone, mc and gsutil that have other names."""

from __future__ import annotations

from collections.abc import Iterable

_COMMANDS = {
    **dict.fromkeys(("list", "dir", "lsd", "lsl", "lsf", "lsjson"), "ls"),
    **dict.fromkeys(("stat", "info", "head-object", "head-bucket"), "head"),
    **dict.fromkeys(("copy", "copyto", "get", "put", "upload", "download"), "cp"),
    **dict.fromkeys(("move", "moveto", "rename"), "mv"),
    **dict.fromkeys(("remove", "delete", "del", "purge", "deletefile"), "rm"),
    **dict.fromkeys(("mirror", "rsync"), "sync"),
    **dict.fromkeys(("size", "usage"), "du"),
    **dict.fromkeys(("check", "cryptcheck", "diff"), "verify"),
    **dict.fromkeys(("rcat",), "pipe"),
    **dict.fromkeys(("mkdir", "make-bucket", "create-bucket"), "mb"),
    **dict.fromkeys(("rmdir", "remove-bucket", "delete-bucket"), "rb"),
    **dict.fromkeys(("signurl", "share", "link"), "presign"),
    **dict.fromkeys(("batch", "exec"), "run"),
    **dict.fromkeys(("completions", "autocomplete"), "completion"),
}
"""Names of others, and the command of the same job."""

_WHOLE = {
    "ls": "bulkhaul ls s3://BUCKET/PREFIX",
    "head": "bulkhaul head s3://BUCKET/KEY",
    "cp": "bulkhaul cp SRC DEST",
    "mv": "bulkhaul mv SRC DEST",
    "rm": "bulkhaul rm s3://BUCKET/KEY",
    "sync": "bulkhaul sync SRC DEST",
    "du": "bulkhaul du s3://BUCKET/PREFIX",
    "verify": "bulkhaul verify A B",
    "pipe": "bulkhaul pipe s3://BUCKET/KEY",
    "presign": "bulkhaul presign s3://BUCKET/KEY",
    "run": "bulkhaul run FILE",
    "completion": "bulkhaul completion bash",
    "mb": "bulkhaul mb s3://BUCKET",
    "rb": "bulkhaul rb s3://BUCKET",
}

_OTHER_COMMANDS = {
    "s3": "leave s3 out: bulkhaul cp, bulkhaul ls …",
    "s3api": "bulkhaul head tells what is known of an object; other requests of the API are aws-cli's",
    "select": "AWS has closed S3 Select to new customers; bulkhaul cat writes the object, for a filter",
    "bucket-version": "bulkhaul does not set the versioning of buckets; `aws s3api put-bucket-versioning` does",
    **dict.fromkeys(
        ("md5sum", "sha1sum", "hashsum"), "bulkhaul ls --etag tells ETags, bulkhaul head checksums, and verify compares"
    ),
    "website": "bulkhaul configures no buckets; `aws s3 website` does",
    "config": "bulkhaul has no configuration of its own; `aws configure` writes the one that it reads",
    "configure": "bulkhaul has no configuration of its own; `aws configure` writes the one that it reads",
}

_OPTIONS = {
    **dict.fromkeys(("--endpoint", "--host", "--s3-endpoint"), "type --endpoint-url"),
    **dict.fromkeys(("--dry", "-dryrun"), "type --dry-run"),
    **dict.fromkeys(("--transfers", "--checkers", "--parallel", "--max-concurrent-requests"), "type --concurrency N"),
    **dict.fromkeys(("--jobs", "-j", "--threads", "--max-workers"), "type --workers N, or --concurrency N"),
    **dict.fromkeys(("--max-bandwidth", "--limit-upload", "--limit-download"), "type --bwlimit RATE"),
    **dict.fromkeys(("--s3-chunk-size", "--multipart-chunksize", "--chunk-size"), "type --part-size SIZE"),
    **dict.fromkeys(("--progress", "--show-progress", "-P", "--sp"), "leave it out: progress is shown on a terminal"),
    **dict.fromkeys(("--stat", "--stats"), "leave it out: what was done is told at the end, and with --json as a line"),
    "--humanize": "type --human-readable (-H)",
    "--expire": "type --expires-in TIME",
    "--use-json-log": "type --json",
    "--output": "type --json for lines that programs read",
    "--query": "type --json, and filter its lines with jq",
    "--debug": "type -vv",
    "--ignore-existing": "type --no-clobber (-n)",
    "--skip-existing": "type --no-clobber (-n)",
    "--update": "type --if-source-newer (-u)",
    "--checksum": "sync takes --compare checksum; bulkhaul verify compares two places",
    "--delete-after": "type --delete, which deletes last",
    "--delete-excluded": "what is excluded is never deleted; bulkhaul rm deletes it",
    "--delete-removed": "type --delete",
    "--remove": "type --delete",
    "--no-traverse": "leave it out: one object is looked up without a listing",
    "--fast-list": "leave it out: listings are made in parallel",
    "--use-list-objects-v1": "leave it out: a service that lists in the old way only is found out",
    "--no-paginate": "leave it out: listings go to their end",
    "--retry-count": "type --retries N",
    "--cli-read-timeout": "type --timeout TIME",
    "--cli-connect-timeout": "type --timeout TIME",
    "--ca-bundle": "set AWS_CA_BUNDLE to the file",
    "--ca-cert": "set AWS_CA_BUNDLE to the file",
    "--no-check-certificate": "type --no-verify-ssl",
    "--insecure": "type --no-verify-ssl",
    "--credentials-file": "set AWS_SHARED_CREDENTIALS_FILE to the file",
    "--config": "set AWS_CONFIG_FILE to the file",
    "--color": "leave it out: the output has no colours",
    "--exit-on-error": "leave it out: after a failure sync goes on, deletes nothing and ends with status 1",
    "--install-completion": "type bulkhaul completion --install",
    "--source-region-name": "type --source-region",
    "--destination-region": "type --region, and --source-region for SRC",
    "--attr": "type --metadata K=V",
    "--sse-c-copy-source": "the key of --sse-c-key is that of both",
    "--no-guess-mime-type": "type --content-type binary/octet-stream",
    "--ignore-glacier-warnings": "leave it out: what is archived is told as failed; --restore brings it back",
    "--copy-props": "leave it out, or type --preserve tags,metadata",
    "--grants": "type --acl with a canned ACL; `aws s3api put-object-acl` grants to others",
    "--versions": "type --all-versions",
    "--max-depth": "ls without --recursive lists one folder; --include and --exclude choose below",
    "--filter": "type --include PATTERN and --exclude PATTERN",
    "--older-than": "bulkhaul chooses by names; filter the lines of ls --json, and give them to --files-from",
    "--newer-than": "bulkhaul chooses by names; filter the lines of ls --json, and give them to --files-from",
    "--min-age": "bulkhaul chooses by names; filter the lines of ls --json, and give them to --files-from",
    "--max-age": "bulkhaul chooses by names; filter the lines of ls --json, and give them to --files-from",
    "--force": "leave it out: nothing is asked back",
    "--quiet": "leave it out: what is printed here is the answer",
    "-R": "type --recursive (-r)",
    "-l": "leave it out: sizes and times are always told; -H writes sizes for people",
    "-V": "type --version, without a command",
}
"""Options of others, and what to do here. Those that mean exactly the same as one of ours are spellings of it."""


_OF_COMMANDS = {
    ("rb", "--force"): "type bulkhaul rm --recursive s3://BUCKET/, and then bulkhaul rb s3://BUCKET",
}
"""Command and option, where an option means something else there than of other commands."""


def command_hint(name: str) -> str:
    """Return what to type in place of a command of another program, empty where none is known.

    >>> command_hint("stat"), command_hint("nonsense")
    ('type bulkhaul head s3://BUCKET/KEY', '')
    """
    if (ours := _COMMANDS.get(name)) is not None:
        return f"type {_WHOLE[ours]}"
    return _OTHER_COMMANDS.get(name, "")


def option_hint(name: str, command: str = "") -> str:
    """Return what to type in place of an option of another program, empty where none is known."""
    return _OF_COMMANDS.get((command, name)) or _OPTIONS.get(name, "")


def unknown_command(name: str, commands: Iterable[str]) -> str:
    """Return the message for a command that is none."""
    if hint := command_hint(name):
        return f"No such command {name!r}: {hint}."
    from difflib import get_close_matches

    if found := get_close_matches(name.lower(), list(commands)):
        return f"No such command {name!r}. Did you mean {' or '.join(map(repr, found))}?"
    if alias := get_close_matches(name.lower(), _COMMANDS, 1):
        return f"No such command {name!r}. If {alias[0]!r} is meant: {command_hint(alias[0])}."
    if name.startswith("s3://"):
        return f"No such command {name!r}: a command comes first, as in bulkhaul ls {name}"
    return f"No such command {name!r}; `bulkhaul --help` lists them."
