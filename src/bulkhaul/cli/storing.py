"""The options that say how an object is stored, and the value they make; it must not know which command has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.sections import adding, section

if TYPE_CHECKING:
    from bulkhaul.model.writing import ObjectOptions

MAX_TAGS = 10
"""Source: S3 User Guide, "Categorizing your storage using tags"."""

CONTENT = (
    *("content_type", "content_disposition", "content_encoding", "content_language"),
    *("cache_control", "expires", "metadata"),
)
STORAGE = ("storage_class", "acl", "sse", "sse_kms_key_id", "tags")
FIELDS = (*CONTENT, *STORAGE)

_SSE = ("AES256", "aws:kms", "aws:kms:dsse")


def parsed_metadata(_ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """Return user metadata, given as ``k=v,k2=v2`` or as a JSON object.

    Raises:
        click.BadParameter: it is neither, or no header can carry it.
    """
    pairs = [pair for text in texts for pair in _pairs(text, param)]
    found: dict[str, str] = {}
    for name, value in pairs:
        if name.lower() in map(str.lower, found):
            raise click.BadParameter(f"{name!r} is given twice; upper and lower case are the same.", param=param)
        found[name] = value
    if found:
        from bulkhaul.model.errors import UsageError
        from bulkhaul.policy.storerules import content_of

        try:
            return dict(content_of(metadata=found).metadata)
        except UsageError as error:
            raise click.BadParameter(f"{error}.", param=param) from error
    return found


def parsed_tags(_ctx: click.Context, param: click.Parameter, text: str | None) -> dict[str, str]:
    """Return tags, given as ``k=v&k2=v2`` as in a URL.

    Raises:
        click.BadParameter: they are not, or there are too many.
    """
    if not text:
        return {}
    from urllib.parse import parse_qsl

    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise click.BadParameter("write k=v&k2=v2, with & and = inside of them as %26 and %3D.", param=param) from error
    if len(dict(pairs)) < len(pairs):
        raise click.BadParameter("a tag is given twice.", param=param)
    if len(pairs) > MAX_TAGS:
        raise click.BadParameter(f"an object has at most {MAX_TAGS} tags, not {len(pairs)}.", param=param)
    return dict(pairs)


def parsed_date(_ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """Return an HTTP date, given as one or in ISO 8601.

    Raises:
        click.BadParameter: it is neither.
    """
    if not text:
        return None
    from datetime import UTC, datetime
    from email.utils import format_datetime, parsedate_to_datetime

    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            instant = read(text)
        except ValueError:
            continue
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        return format_datetime(aware.astimezone(UTC), usegmt=True)
    raise click.BadParameter("write 2030-12-31T23:59:59Z, or 'Tue, 31 Dec 2030 23:59:59 GMT'.", param=param)


def carried(_ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """Return a text as it is, if a header can carry it.

    Raises:
        click.BadParameter: none can.
    """
    if text is not None and not (text.isascii() and text.isprintable()):
        raise click.BadParameter("a header carries printable ASCII only; encode the rest.", param=param)
    return text


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


def take_options(given: dict[str, Any]) -> ObjectOptions | None:
    """Take out of the options of a command those of an object; None if none of them was given.

    Raises:
        click.UsageError: two of them exclude each other.
    """
    values = {name: value for name in FIELDS if (value := given.pop(name, None))}
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


def _pairs(text: str, param: click.Parameter) -> list[tuple[str, str]]:
    if text.lstrip().startswith("{"):
        import json

        try:
            found = json.loads(text)
        except ValueError as error:
            raise click.BadParameter(f"this is no JSON object: {error}.", param=param) from error
        if not all(isinstance(value, str) for value in found.values()):
            raise click.BadParameter("every value of the JSON object must be text.", param=param)
        return list(found.items())
    pairs = []
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            text = f"{pair!r} is not K=V; values with commas can be given as a JSON object."
            raise click.BadParameter(text, param=param)
        pairs.append((name.strip(), value))
    return pairs
