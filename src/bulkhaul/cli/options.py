"""Declares the options that several commands share, and makes the ``Settings`` of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.click_extensions import adding, section
from bulkhaul.cli.filter_options import filter_options as made_filter_options
from bulkhaul.cli.option_values import parsed_count, parsed_duration, parsed_key, parsed_payer, parsed_size
from bulkhaul.cli.verbosity import LEVELS, ask_for_level, note_sources

if TYPE_CHECKING:
    from bulkhaul.model.settings import Settings


_connection = section("Connection")
_selection = section("Selection")
_speed = section("Speed")
_safety = section("Integrity")
_output = section("Output")

MAX_RETRIES = 1000
"""As in ``model.settings``, whose import help pages do not need."""

log_options = adding(
    _output(
        "--verbose",
        "-v",
        count=True,
        expose_value=False,
        callback=ask_for_level,
        help="Tell on stderr which settings are in force and where each came from, the source of the credentials, the"
        " endpoint, and each retry; -vv: each request, too.",
    ),
    _output(
        "--log-level",
        "--log",
        expose_value=False,
        callback=ask_for_level,
        type=click.Choice(LEVELS),
        help="What to log on stderr; info is -v, debug is -vv.  [default: warning]",
    ),
)
"""What a command tells of its work, for every command that asks a service."""

connection_options = adding(
    _connection("--endpoint-url", metavar="URL", help="Endpoint of an S3-compatible store."),
    _connection("--region", metavar="NAME", help="Region of the bucket."),
    _connection("--profile", metavar="NAME", help="Profile of the AWS configuration files."),
    _connection("--no-sign-request", "sign_requests", flag_value=False, default=None, help="Send unsigned requests."),
    _connection("--no-verify-ssl", "verify_tls", flag_value=False, default=None, help="Accept any certificate."),
    _connection(
        "--allow-http",
        flag_value=True,
        default=None,
        help="Allow plain http beyond this machine; so does BULKHAUL_ALLOW_HTTP=1 (or ALLOW_HTTP=1).",
    ),
    _connection(
        "--addressing-style",
        type=click.Choice(["auto", "path", "virtual"]),
        help="Where the bucket is named: in the path or the host.",
    ),
    _connection(
        "--retry-for",
        "retry_for_s",
        metavar="TIME",
        callback=parsed_duration,
        help="How long to wait for an endpoint that is away: 90, 5m …; 0 for not at all.  [default: 60s]",
    ),
    _connection(
        "--retries",
        type=click.IntRange(0, MAX_RETRIES),
        metavar="N",
        help="How often a request or a part is made again after an error that may pass; 0 for never, nor is an endpoint"
        " waited for that is away. Else AWS_MAX_ATTEMPTS, or max_attempts of the profile, less one."
        "  [default: by the error, up to 8]",
    ),
    _connection(
        "--timeout",
        "timeout_s",
        metavar="TIME",
        callback=parsed_duration,
        help="How long a reply, or the next bytes of one, may take before the request is made again: 90, 5m …; what a"
        " service works for (storing, copying, assembling, deleting several) has 5 minutes at least  [default: 30s]",
    ),
    _connection(
        "--request-payer",
        type=click.Choice(["requester"]),
        bare="requester",
        callback=parsed_payer,
        metavar="[requester]",
        help="The requester pays for every request.",
    ),
    _connection(
        "--sse-c-key",
        callback=parsed_key,
        metavar="KEY",
        help="The customer's key of SSE-C: base64 of 32 bytes, or fileb://PATH, which no list of processes shows.",
    ),
    _connection(
        "--sse-c",
        type=click.Choice(["AES256"]),
        bare="AES256",
        metavar="[AES256]",
        help="The algorithm of SSE-C, which has no other; needs the key.",
    ),
    log_options,
)
"""How the store is reached, for every command that asks one."""

speed_options = adding(
    _speed(
        "--workers",
        "--numworkers",
        "workers",
        callback=parsed_count,
        metavar="N|auto",
        help="Worker processes at most, started as there is work.  [default: auto: one a usable core, 2 to 8]",
    ),
    _speed(
        "--concurrency",
        "-c",
        callback=parsed_count,
        metavar="N|auto",
        help="Requests in flight at most, all workers together.  [default: auto: as many as deliver more]",
    ),
    _speed(
        "--part-size",
        "-p",
        "part_size_bytes",
        callback=parsed_size,
        metavar="SIZE",
        help="Length of a ranged GET, or of an uploaded part (then at least 5 MiB): 8MiB, 8MB, 8M (= MiB) or bytes."
        "  [default: by the object's size, and for streams 4 MiB down, 8 MiB and more up]",
    ),
    _speed(
        "--bwlimit",
        "bandwidth_bytes_per_s",
        callback=parsed_size,
        metavar="RATE",
        help="At most so much a second, all transfers together, as 10MiB; one worker process then."
        "  [default: no limit]",
    ),
    _speed("--transport", type=click.Choice(["auto", "fast", "sdk"]), help="What carries the bytes."),
)

threshold_option = _speed(
    "--multipart-threshold",
    "multipart_threshold_bytes",
    callback=parsed_size,
    metavar="SIZE",
    help="From this size on an object is uploaded or copied in parts.  [default: 64 MiB]",
)

landing_option = _speed("--landing", type=click.Choice(["auto", "mapped", "written"]), help="How bytes reach a file.")

sparse_option = _speed(
    "--sparse", flag_value=True, default=None, help="Blocks of zeros of a download take no room on the disk."
)

verify_option = _safety(
    "--verify",
    type=click.Choice(["auto", "full", "none"]),
    help="Of what is downloaded. auto: the stored checksum; full: a plain-MD5 ETag too; none: lengths and ETags.",
)

fsync_option = _safety(
    "--fsync", flag_value=True, default=None, help="Flush file and folder before a download counts as success."
)

checksum_option = _safety(
    "--checksum-algorithm",
    type=click.Choice(["auto", "CRC64NVME", "CRC32C", "CRC32", "none"], case_sensitive=False),
    help="What an upload is protected by.  [default: auto: CRC64NVME on AWS, CRC32 elsewhere]",
)

resume_option = _safety(
    "--no-resume",
    "resume",
    flag_value=False,
    default=None,
    help="Begin anew where an earlier run was killed in the middle of a large object, and keep nothing of this one.",
)

transfer_settings_options = adding(
    verify_option,
    fsync_option,
    checksum_option,
    resume_option,
    speed_options,
    threshold_option,
    landing_option,
    sparse_option,
    connection_options,
)
"""How objects are moved, whatever is moved where."""

filter_options = made_filter_options(_selection)
"""What is left out of everything below a prefix or a folder."""

output_options = adding(
    _output("--no-progress", is_flag=True, help="No progress display (there is one on a terminal only)."),
    _output("--quiet", "--only-show-errors", "quiet", is_flag=True, help="Print errors only."),
    _output("--json", "as_json", is_flag=True, help="One line of JSON an object, and a summary, on stdout."),
)

SETTINGS = frozenset(
    {
        *("endpoint_url", "region", "profile", "sign_requests", "verify_tls", "allow_http", "addressing_style"),
        *(
            "request_payer",
            "sse_c",
            "sse_c_key",
            "workers",
            "concurrency",
            "part_size_bytes",
            "bandwidth_bytes_per_s",
            "transport",
            "landing",
            "verify",
        ),
        *("retries", "timeout_s", "retry_for_s", "fsync", "multipart_threshold_bytes", "checksum_algorithm", "resume"),
        *("preserve_times", "preserve_mode", "sparse", "store_links"),
    }
)
"""The options that are settings of the engine."""

OUTPUT = ("as_json", "quiet", "no_progress")


def take_output(given: dict[str, Any]) -> dict[str, Any]:
    """Remove the options that say how the command reports from ``given``, and return them."""
    return {name: given.pop(name) for name in OUTPUT if name in given}


def take_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Remove the options that are settings of the engine from ``given``, and return them."""
    return {name: given.pop(name) for name in list(given) if name in SETTINGS}


def make_settings(given: dict[str, Any]) -> Settings:
    """Return the settings of the options that were given; the others keep the engine's defaults.

    Raises:
        UsageError: a value is out of its range.
    """
    from bulkhaul.model.objects import Verify
    from bulkhaul.model.settings import Settings, require_endpoint
    from bulkhaul.policy.endpoints import environment_endpoint
    from bulkhaul.policy.plainhttp import VARIABLES, allowed_by

    fields = {name: value for name, value in given.items() if value is not None}
    if "verify" in fields:
        fields["verify"] = Verify(fields["verify"])
    if fields.pop("sse_c", None) and "sse_c_key" not in fields:
        raise click.UsageError("--sse-c names the algorithm only; give the key with --sse-c-key.")
    require_endpoint(fields.get("endpoint_url", ""), "--endpoint-url")
    if not fields.get("endpoint_url"):
        url, variable = environment_endpoint(os.environ)
        require_endpoint(url, f"{variable} (or --endpoint-url)")
    sources = _sources(fields)
    if "allow_http" not in fields and allowed_by(os.environ):
        fields["allow_http"], sources["allow_http"] = True, " or ".join(VARIABLES)
    _obey_profile(fields, sources)
    settings = Settings(**fields)
    note_sources(sources)
    return settings


def _obey_profile(fields: dict[str, Any], sources: dict[str, str]) -> None:
    """Add what the profile says of transfers and retries, where no option says it."""
    from bulkhaul.cli.aws_transfers import transfers_of_profile

    configured, place = transfers_of_profile(fields.get("profile"))
    for name, value in configured.items():
        if fields.setdefault(name, value) is value and name not in sources:
            sources[name] = place


def _sources(fields: dict[str, Any]) -> dict[str, str]:
    """Return setting → the option that has given it, as it is spelt in the help."""
    ctx = click.get_current_context(silent=True)
    params = ctx.command.params if ctx is not None else ()
    return {one.name: one.opts[0] for one in params if one.name in fields}
