"""Declares the options for the source of a copy that is not where its destination is, and makes its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulkhaul.cli.click_extensions import adding, section

if TYPE_CHECKING:
    from bulkhaul.model.settings import Settings

_source = section("Source of a copy")

_SOURCE = {
    "source_endpoint_url": "endpoint_url",
    "source_region": "region",
    "source_profile": "profile",
    "source_sign_requests": "sign_requests",
}

OF_SOURCE = frozenset(_SOURCE)
"""Their names, as parameters of a command."""

source_options = adding(
    _source("--source-endpoint-url", metavar="URL", help="Endpoint of SRC, where it is not that of DEST."),
    _source("--source-region", metavar="NAME", help="Region of SRC."),
    _source("--source-profile", metavar="NAME", help="Profile that may read SRC."),
    _source(
        "--source-no-sign-request",
        "source_sign_requests",
        flag_value=False,
        default=None,
        help="Read SRC by unsigned requests.",
    ),
)


def origin_settings(settings: Settings, given: dict[str, Any]) -> Settings | None:
    """Return the settings for SRC, where a ``--source-`` option was given; None where they are those of DEST."""
    fields = {field: given[name] for name, field in _SOURCE.items() if given.get(name) is not None}
    if not fields:
        return None
    import msgspec

    from bulkhaul.model.settings import require_endpoint

    require_endpoint(fields.get("endpoint_url", ""), "--source-endpoint-url")
    return msgspec.structs.replace(settings, **fields)
