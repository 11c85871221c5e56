"""Extends click: options under headings on the help page, options whose value may be left out, typed errors."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

from bulkhaul.cli.filter_options import FILTERS, keep_order

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

FIRST = "Options"
"""The heading of a command's own options, where they have none: it comes first."""

LAST = "Other"
"""The heading of --help: it comes last."""

COMPLETING = "_BULKHAUL_COMPLETE"
"""With this in the environment the program completes a command line instead of running it. Source: click's naming."""


NARROW = 52
"""Columns below which click lets lines run over the edge of a terminal, and a column for names takes too many."""


class NarrowFormatter(click.HelpFormatter):
    """Writes help pages that fit narrow terminals, too."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        columns = shutil.get_terminal_size().columns
        if width is None and columns < NARROW:
            width = max(columns - 2, NARROW // 2)
        super().__init__(indent_increment, width, max_width)

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write names and what they mean: side by side, or one below the other."""
        super().write_dl(rows, col_max if self.width > NARROW else 4, col_spacing)


class HelpContext(click.Context):
    """A context whose help pages fit narrow terminals."""

    formatter_class = NarrowFormatter


class HelpGroup(click.Group):
    """A group of commands whose help pages fit narrow terminals."""

    context_class = HelpContext


class SectionOption(click.Option):
    """An option with a place on the help page.

    Attributes:
        section: the heading that it stands under.
        bare: what it means without a value, None if it needs one; only a choice can have it.
    """

    def __init__(self, *names: Any, section: str = FIRST, bare: str | None = None, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.section = section
        self.bare = bare


class SectionedCommand(click.Command):
    """A command whose help page groups its options, and which reports our typed errors as click's."""

    context_class = HelpContext

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, after adding the values that were left out; filters keep their order.

        Raises:
            click.UsageError: it makes no sense; of an option that another program has it says what to type here.
        """
        words = list(_completed(self.params, args))
        try:
            rest = super().parse_args(ctx, [*words])
        except click.NoSuchOption as error:
            from bulkhaul.cli.peer_names import option_hint

            if not (hint := option_hint(error.option_name, ctx.info_name or "")):
                raise
            raise click.UsageError(f"No such option {error.option_name!r}: {hint}.", ctx) from error
        if any(ctx.params.get(name) for name in FILTERS):
            keep_order(ctx, self.make_parser(ctx).parse_args(words)[2])
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error raised before its run begins is shown here.

        Raises:
            click.UsageError: the command line makes no sense.
        """
        try:
            return super().invoke(ctx)
        except Exception as error:
            from bulkhaul.model.errors import TransferError  # imported late: help pages do not need it

            if not isinstance(error, TransferError):
                raise
            from bulkhaul.cli.lines import error_line, error_text
            from bulkhaul.policy.naming import printable

            if error.exit_code == click.UsageError.exit_code:
                raise click.UsageError(printable(str(error)), ctx) from error
            if ctx.params.get("as_json"):
                name = ctx.command_path.removeprefix(f"{ctx.find_root().command_path} ")
                click.echo(error_text(name, error.info), nl=False)
            else:
                click.echo(error_line(error.info), err=True, nl=False)
            ctx.exit(error.exit_code)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings, in the order of declaration."""
        sections: dict[str, list[tuple[str, str]]] = {FIRST: []}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
                title = LAST if set(param.opts) & set(ctx.help_option_names) else getattr(param, "section", FIRST)
                sections.setdefault(title, []).append(record)
        for title, records in sorted(sections.items(), key=lambda section: section[0] == LAST):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def section(title: str) -> Callable[..., Decorator[Any]]:
    """Return ``click.option`` for the options under one heading."""
    return functools.partial(click.option, cls=SectionOption, section=title)


def adding(*options: Decorator[Any]) -> Callable[[F], F]:
    """Return the decorator that adds all of these options, in this order on the help page."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def _completed(params: list[click.Parameter], args: list[str]) -> Iterator[str]:
    """Yield the arguments with ``--name`` as ``--name=bare`` where no value of that option follows."""
    bare: dict[str, tuple[str, frozenset[str]]] = {}
    for param in params:
        if isinstance(param, SectionOption) and param.bare is not None:
            assert isinstance(param.type, click.Choice)
            bare |= dict.fromkeys(param.opts, (param.bare, frozenset(map(str, param.type.choices))))
    ended = False
    for index, argument in enumerate(args):
        ended = ended or argument == "--"
        value, choices = bare.get(argument, ("", frozenset()))
        left_out = value and not ended and (index + 1 == len(args) or args[index + 1] not in choices)
        yield f"{argument}={value}" if left_out else argument
