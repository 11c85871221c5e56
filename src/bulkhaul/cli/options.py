"""The options that every transfer command takes, and the settings they make; it must not import the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bulkhaul.model.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def parsed_size(_ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return the bytes of a size option, None where it was not given.

    Raises:
        click.BadParameter: it is no size.
    """
    if value is None:
        return None
    from bulkhaul.policy.sizes import parse_size

    try:
        return parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from error


_CONNECTION = [
    click.option("--endpoint-url", metavar="URL", help="Endpoint of an S3-compatible store."),
    click.option("--region", metavar="NAME", help="Region of the bucket."),
    click.option("--profile", metavar="NAME", help="Profile of the AWS configuration files."),
    click.option("--no-sign-request", "sign_requests", flag_value=False, default=None, help="Send unsigned requests."),
    click.option("--no-verify-ssl", "verify_tls", flag_value=False, default=None, help="Accept any certificate."),
    click.option("--allow-http", flag_value=True, default=None, help="Allow plain http beyond this machine."),
    click.option(
        "--addressing-style",
        type=click.Choice(["auto", "path", "virtual"]),
        help="Where the bucket is named: in the path or the host.",
    ),
]

_SPEED = [
    click.option("--workers", type=int, metavar="N", help="Worker processes.  [default: one a core, 2 to 8]"),
    click.option(
        "--concurrency",
        "-c",
        type=int,
        metavar="N",
        help="Requests in flight, all workers together.  [default: 4 a worker]",
    ),
    click.option(
        "--part-size",
        "-p",
        "part_size_bytes",
        callback=parsed_size,
        metavar="SIZE",
        help="Length of a ranged GET: 8MiB, 8MB, 8M (= MiB) or bytes.  [default: by the object's size]",
    ),
    click.option("--transport", type=click.Choice(["auto", "fast", "sdk"]), help="What carries the bytes."),
    click.option("--landing", type=click.Choice(["auto", "mapped", "written"]), help="How they reach the file."),
]

_SAFETY = [
    click.option(
        "--verify",
        type=click.Choice(["auto", "full", "none"]),
        help="auto: the stored checksum; full: a plain-MD5 ETag too; none: lengths and ETags of replies.",
    ),
    click.option("--fsync", flag_value=True, default=None, help="Flush file and folder before success is reported."),
]


def engine_options(function: F) -> F:
    """Add every option that becomes a setting of the engine."""
    for option in reversed(_CONNECTION + _SPEED + _SAFETY):
        function = option(function)
    return function


def make_settings(given: dict[str, Any]) -> Settings:
    """Return the settings for options that were given; the others keep the engine's defaults.

    Raises:
        UsageError: a value is out of its range.
    """
    from bulkhaul.model.objects import Verify
    from bulkhaul.model.settings import Settings

    fields = {name: value for name, value in given.items() if value is not None}
    if "verify" in fields:
        fields["verify"] = Verify(fields["verify"])
    return Settings(**fields)
