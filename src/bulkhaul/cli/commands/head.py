"""``bulkhaul head``: its help page, options and the fields that it prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.options import connection_options, make_settings
from bulkhaul.policy.filetimes import iso_text

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.model.objects import ObjectHead

EPILOG = """\b
Examples:
  bulkhaul head s3://bucket/model.bin
  bulkhaul head --version-id 3HL4kqtJlcpXroDTDmJ s3://bucket/model.bin
  bulkhaul head --json s3://bucket/model.bin | jq .size
  bulkhaul head s3://bucket                      does the bucket exist, and in which region

One `name: value` a line; what the service does not tell is left out. Metadata is listed as metadata.NAME. * and ?
stand for themselves.

\b
Exit code: 0 it is there, 1 it is not, or may not be looked at, 2 wrong command line.
"""


@click.command("head", cls=SectionedCommand, epilog=EPILOG, short_help="Tell what is known of one object or bucket.")
@click.argument("url", metavar="s3://BUCKET[/KEY]")
@click.option("--version-id", default="", metavar="ID", help="That version of the object.")
@click.option("--tags", "with_tags", is_flag=True, help="The tags too, by a second request.")
@click.option("--raw", is_flag=True, expose_value=False, help="* and ? stand for themselves, as they do anyway.")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
@click.pass_context
def head(
    ctx: click.Context, /, *, url: str, version_id: str, with_tags: bool, as_json: bool, **connection: Any
) -> NoReturn:
    """Tell size, ETag, time, checksum, content headers, metadata and encryption of one object, without its bytes."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.lines import json_text
    from bulkhaul.model.objects import ObjectRef
    from bulkhaul.policy.selection import parse_destination

    bucket, key = parse_destination(url, "what is to be looked at")
    settings = make_settings(connection)
    if not key and (version_id or with_tags):
        raise click.UsageError(f"{'--version-id' if version_id else '--tags'} needs a key.")

    async def work(engine: AsyncEngine, out: Lines) -> int:
        if key:
            ref = ObjectRef(bucket, key)
            info = await engine.control.head(ref, version_id)
            told = object_fields(bucket, info)
            if with_tags:
                # Of that version: another object may be there by now.
                told["tags"] = dict(sorted((await engine.control.tags(ref, version_id or info.version_id)).items()))
        else:
            region = await engine.control.region(bucket)
            told = {"bucket": bucket} | ({"region": region} if region else {})
        await out.write(json_text("object" if key else "bucket", told) if as_json else people_text(told))
        return 0

    launch_query(ctx, work, settings, operation="head", as_json=as_json)


def object_fields(bucket: str, info: ObjectHead) -> dict[str, Any]:
    """Return the fields of an object, in the order of the output; unknown ones are left out, but never the size."""
    from bulkhaul.policy.described import told_content

    content = told_content(info.content)
    checksum = info.checksum
    told: dict[str, Any] = {
        "bucket": bucket,
        "key": info.key,
        "etag": info.etag,
        "last_modified": iso_text(info.last_modified),
        "version_id": info.version_id,
        "content_type": content.content_type,
        "content_encoding": content.content_encoding,
        "content_language": content.content_language,
        "content_disposition": content.content_disposition,
        "cache_control": content.cache_control,
        "expires": content.expires,
        "website_redirect": content.website_redirect,
        "checksum": {"algorithm": checksum.algorithm, "value": checksum.value, "type": str(checksum.kind)}
        if checksum
        else None,
        "storage_class": info.storage_class or "STANDARD",
        "encryption": info.encryption,
        "tags": info.tags,
        "metadata": dict(sorted(content.metadata.items())),
    }
    known = {name: value for name, value in told.items() if value}
    return {"bucket": known.pop("bucket"), "key": known.pop("key"), "size": info.size, **known}


def people_text(told: dict[str, Any]) -> str:
    r"""Return lines of ``name: value``.

    >>> people_text({"key": "a\n", "checksum": {"type": "COMPOSITE"}, "size": 0})
    'key: a\\x0a\nchecksum.type: COMPOSITE\nsize: 0\n'
    """
    from bulkhaul.policy.naming import printable

    lines = []
    for name, value in told.items():
        for part, text in value.items() if isinstance(value, dict) else [("", value)]:
            lines.append(f"{printable(f'{name}.{part}' if part else name)}: {printable(str(text))}\n")
    return "".join(lines)
