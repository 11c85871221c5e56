"""Turns the text of one option into its value, or refuses it: sizes, spans of time, keys, metadata, tags, dates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TAGS = 10
"""Source: S3 User Guide, "Categorizing your storage using tags"."""

AUTO = "auto"


def parsed_size(_ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """Return the bytes of a size option, None where it was not given.

    Raises:
        click.BadParameter: it is no size.
    """
    if text is None:
        return None
    from bulkhaul.policy.sizes import parse_size

    return _parsed(parse_size, param, text)


def parsed_count(_ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """Return the number of a count option, None where it was not given or is left to the engine: ``auto``.

    Raises:
        click.BadParameter: it is neither.
    """
    if text is None or text.lower() == AUTO:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is neither a number nor {AUTO}.", param=param) from error


def parsed_duration(_ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """Return the seconds of a span of time, None where it was not given.

    Raises:
        click.BadParameter: it is no span of time.
    """
    if text is None:
        return None
    from bulkhaul.policy.durations import parse_duration

    return _parsed(parse_duration, param, text)


def parsed_key(_ctx: click.Context, param: click.Parameter, value: str | None) -> bytes | None:
    """Return the 32 bytes of an SSE-C key, given in base64 or as the file that holds them; no message repeats it.

    Raises:
        click.BadParameter: it is no such key, or the file cannot be read.
    """
    if value is None:
        return None
    if value.startswith("fileb://"):
        try:
            with open(value.removeprefix("fileb://"), "rb") as file:
                key = file.read(33)
        except OSError as error:
            raise click.BadParameter(f"the file cannot be read: {error.strerror}", param=param) from error
        if len(key) == 32:
            return key
        raise click.BadParameter("the file must hold the 32 bytes of the key and nothing else.", param=param)
    import base64
    import binascii

    try:
        key = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) == 32:
        return key
    # The value itself is a secret, so neither the message nor its cause shows it.
    raise click.BadParameter("it must be base64 of 32 bytes, or fileb://PATH of a file with 32 bytes.", param=param)


def parsed_payer(_ctx: click.Context, _param: click.Parameter, value: str | None) -> bool | None:
    """Return True if the requester pays, None where the option was not given."""
    return None if value is None else True


def parsed_metadata(_ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """Return user metadata, given as ``k=v,k2=v2`` or as a JSON object.

    Raises:
        click.BadParameter: it is neither, or no header can carry it.
    """
    pairs = [pair for text in texts for pair in _pairs(text, param)]
    if not pairs:
        return {}
    from bulkhaul.model.errors import UsageError
    from bulkhaul.policy.described import metadata_of
    from bulkhaul.policy.storerules import content_of

    try:
        return dict(content_of(metadata=metadata_of(pairs)).metadata)
    except UsageError as error:
        raise click.BadParameter(f"{error}.", param=param) from error


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
    from bulkhaul.model.errors import UsageError
    from bulkhaul.policy.described import http_date

    try:
        return http_date(text)
    except UsageError as error:
        text = "write 2030-12-31T23:59:59Z, or 'Tue, 31 Dec 2030 23:59:59 GMT'."
        raise click.BadParameter(text, param=param) from error


def carried(_ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """Return the text unchanged, if a header can carry it.

    Raises:
        click.BadParameter: none can.
    """
    if not text:
        return text
    from bulkhaul.model.errors import UsageError
    from bulkhaul.policy.described import check_text

    try:
        check_text(str(param.name), text)
    except UsageError as error:
        text = "a header carries printable ASCII only, and no white space at its ends; encode the rest."
        raise click.BadParameter(text, param=param) from error
    return text


def _parsed(parse: Callable[[str], int], param: click.Parameter, text: str) -> int:
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from error


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
