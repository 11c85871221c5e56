"""Declares options of aws-cli that ask for what is done anyway, so that its command lines run as they are."""

from __future__ import annotations

import functools
from typing import Any

import click

from bulkhaul.cli.click_extensions import Decorator, adding, section

_taken = section("Taken as from aws-cli")
_idle = functools.partial(_taken, expose_value=False)

page_size_option: Decorator[Any] = _idle(
    "--page-size", type=click.IntRange(min=1), metavar="N", help="Of no effect: pages are as long as they come."
)

aws_transfer_options = adding(
    _taken(
        "--metadata-directive",
        type=click.Choice(["COPY", "REPLACE"], case_sensitive=False),
        help="A copy keeps all headers and metadata anyway, or an option for any of them replaces all.",
    ),
    _idle("--force-glacier-transfer", is_flag=True, help="Every object is asked for anyway, archived or not."),
    _idle(
        "--checksum-mode",
        type=click.Choice(["ENABLED"], case_sensitive=False),
        help="Stored checksums are checked anyway.",
    ),
    page_size_option,
)
"""Of cp, mv and sync; ``object_options`` looks at the first one."""

expected_size_option: Decorator[Any] = _idle(
    "--expected-size", type=click.IntRange(min=0), metavar="BYTES", help="Parts grow with the stream anyway."
)
"""Of cp."""
