"""``bulkhaul demo``: its options, and the check of what it needs; ``demo.demonstration`` carries it out."""

from __future__ import annotations

import click

from bulkhaul.cli.option_values import parsed_size

SPACE_FACTOR = 3.5
"""Free space that the demo needs, as a multiple of the bundle: stored once, restored once, and room for the server."""


@click.command("demo", short_help="See it work, with a server on this machine.")
@click.option(
    "--size",
    "size_bytes",
    callback=parsed_size,
    default="1GiB",
    show_default=True,
    metavar="SIZE",
    help="Size of the large object.",
)
@click.option(
    "--objects",
    type=click.IntRange(0, 100_000),
    default=200,
    show_default=True,
    metavar="N",
    help="Number of small ones, 1 KiB to 1 MiB each.",
)
@click.pass_context
def demo(ctx: click.Context, /, *, size_bytes: int, objects: int) -> None:
    """Show the main job on this machine, with nothing to set up.

    Starts SeaweedFS on 127.0.0.1 in a temporary folder, uploads one large object and many small ones, restores them
    with the engine, compares every byte, prints a table, and leaves nothing behind.
    """
    from bulkhaul.cli.demo.demonstration import demonstrate, missing
    from bulkhaul.cli.lines import problem_line

    if size_bytes < 1:
        raise click.BadParameter("the large object needs at least one byte.", param_hint="--size")
    if problem := missing(size_bytes, objects, SPACE_FACTOR):
        click.echo(problem_line(problem), err=True, nl=False)
        ctx.exit(1)
    ctx.exit(demonstrate(size_bytes, objects))
