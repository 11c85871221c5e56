"""Declares the options that say how an object is stored, and makes the ``ObjectOptions`` of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.click_extensions import adding, section
from bulkhaul.cli.option_values import carried, parsed_date, parsed_metadata, parsed_tags

if TYPE_CHECKING:
    from bulkhaul.model.preserving import Kept
    from bulkhaul.model.writing import ObjectOptions

REPLACING = (
    *("content_type", "content_disposition", "content_encoding", "content_language"),
    *("cache_control", "expires", "metadata"),
)
"""Any of them replaces all headers and metadata of a copy."""

CONTENT = (*REPLACING, "website_redirect")
STORAGE = ("storage_class", "acl", "sse", "sse_kms_key_id", "tags")
FIELDS = (*CONTENT, *STORAGE)

_SSE = ("AES256", "aws:kms", "aws:kms:dsse")


_stored = section("How objects are stored")

object_options = adding(
    _stored("--content-type", callback=carried, metavar="TYPE", help="Media type.  [default: by the name's ending]"),
    _stored(
        "--content-disposition", callback=carried, metavar="TEXT", help="Such as 'attachment; filename=\"a.bin\"'."
    ),
    _stored(
        "--content-encoding", callback=carried, metavar="NAME", help="Such as gzip; the bytes are stored as they are."
    ),
    _stored("--content-language", callback=carried, metavar="TAG", help="Such as en-GB."),
    _stored("--cache-control", callback=carried, metavar="TEXT", help="Such as max-age=3600."),
    _stored("--expires", metavar="DATE", callback=parsed_date, help="When caches drop it: ISO 8601 or an HTTP date."),
    _stored(
        "--website-redirect",
        callback=carried,
        metavar="URL",
        help="Where a website's bucket sends those who ask for it; a copy keeps its headers and metadata.",
    ),
    _stored(
        "--metadata",
        multiple=True,
        metavar="K=V,...",
        callback=parsed_metadata,
        help="User metadata; may be repeated. As a JSON object where a value holds a comma.",
    ),
    _stored("--storage-class", callback=carried, metavar="NAME", help="Such as STANDARD_IA."),
    _stored("--acl", callback=carried, metavar="NAME", help="Canned ACL, such as bucket-owner-full-control."),
    _stored(
        "--sse",
        type=click.Choice(_SSE),
        bare="AES256",
        metavar="[NAME]",
        help="Encryption by the service: AES256 (if no name follows), aws:kms or aws:kms:dsse.",
    ),
    _stored("--sse-kms-key-id", callback=carried, metavar="ID", help="Key of aws:kms.  [default: the account's own]"),
    _stored("--tags", metavar="K=V&...", callback=parsed_tags, help="At most 10 tags."),
)


preserve_option = _stored(
    "--preserve",
    metavar="WHAT,...",
    help="What a copy between buckets keeps, or fails: tags, acl, metadata, storage-class, lock. Of files, both ways:"
    " timestamps, mode.",
)
"""Of copies between buckets, and ``timestamps`` and ``mode`` of uploads and downloads by cp and mv."""


preserve_of_files_option = _stored(
    "--preserve",
    metavar="WHAT,...",
    help="What uploads and downloads of all lines keep of files: timestamps, mode.",
)
"""Of ``run``, whose lines share one engine."""


def take_preserve(given: dict[str, Any], options: ObjectOptions | None) -> frozenset[Kept]:
    """Remove what is to be preserved from ``given`` and return it.

    Raises:
        UsageError: it cannot be, or is to be replaced by ``options``.
    """
    if (said := given.pop("preserve", None)) is None:
        return frozenset()
    from bulkhaul.policy.preserving import parse_kept, require_compatible

    kept = parse_kept(said)
    require_compatible(options, kept)
    return kept


def take_preserve_of_files(given: dict[str, Any]) -> None:
    """Make settings of what an upload or a download is to preserve; what only copies preserve is refused.

    Raises:
        UsageError: there is such.
    """
    if (said := given.pop("preserve", None)) is None:
        return
    from bulkhaul.model.errors import UsageError
    from bulkhaul.model.preserving import Kept
    from bulkhaul.policy.preserving import OF_FILES, parse_kept

    kept = parse_kept(said)
    if others := sorted(kept - OF_FILES):
        text = f"only copies between buckets preserve {', '.join(others)}; files have timestamps and mode"
        raise UsageError(text)
    given["preserve_times"], given["preserve_mode"] = Kept.TIMESTAMPS in kept, Kept.MODE in kept


def take_options(given: dict[str, Any]) -> ObjectOptions | None:
    """Remove the options of an object from ``given`` and return their value; None if none was given.

    Raises:
        click.UsageError: two of them exclude each other.
    """
    values = {name: value for name in FIELDS if (value := given.pop(name, None))}
    _check_directive(given.pop("metadata_directive", None), [name for name in REPLACING if name in values])
    if not values:
        return None
    if "sse_kms_key_id" in values and not values.get("sse", "").startswith("aws:kms"):
        raise click.UsageError("--sse-kms-key-id needs --sse aws:kms (or aws:kms:dsse).")
    if "sse" in values and given.get("sse_c_key") is not None:
        raise click.UsageError("--sse and --sse-c-key exclude each other: the service encrypts with one key.")
    from bulkhaul.model.objects import Content
    from bulkhaul.model.writing import ObjectOptions

    content = Content(**{name: values.pop(name) for name in CONTENT if name in values})
    return ObjectOptions(content=content, **values)


def _check_directive(said: str | None, replaced: list[str]) -> None:
    """Make sure that what is said of a copy's headers and metadata is what becomes of them.

    Args:
        replaced: options for them that were given.

    Raises:
        click.UsageError: it is not.
    """
    if said == "COPY" and replaced:
        option = f"--{replaced[0].replace('_', '-')}"
        raise click.UsageError(f"--metadata-directive COPY keeps what {option} would replace; leave one of them out.")
    if said == "REPLACE" and not replaced:
        raise click.UsageError("--metadata-directive REPLACE needs the new values, such as --content-type TYPE.")
