"""Declares --include, --exclude and --explain, and keeps the order in which a command line has the filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import click

FILTERS = ("include", "exclude")
"""Parameters of the two options."""


def filter_options(option: Any) -> Callable[[Any], Any]:
    """Return both options, made by ``option``."""

    def add(function: Any) -> Any:
        function = option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="Nothing that matches; may be repeated. Of all filters the last one that matches wins.",
        )(function)
        return option(
            "--include",
            multiple=True,
            metavar="PATTERN",
            help="What matches; may be repeated. If it is the first filter, only what some --include matches.",
        )(function)

    return add


def explain_option(option: Any) -> Callable[[Any], Any]:
    """Return the option that says which of the filters and other rules decides, made by ``option``."""
    added: Callable[[Any], Any] = option(
        "--explain",
        multiple=True,
        callback=_one_key,
        metavar="KEY",
        help="Say what would become of this path, and which filter or other rule decides that; do nothing.",
    )
    return added


def _one_key(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> str | None:
    """Return the key that is to be explained, None for none."""
    if len(value) > 1:
        import click

        raise click.BadParameter("one key at a time is explained; type the command once for each.")
    return value[0] if value else None


def keep_order(ctx: click.Context, order: Sequence[click.Parameter]) -> None:
    """Put the filters of a command line into two lists that keep their order; see ``policy.filters``.

    Args:
        order: the parameters as they came, each as often as it did.
    """
    if not any(ctx.params.get(name) for name in FILTERS):
        return
    from bulkhaul.policy.filters import Filter, two_lists

    patterns = {name: iter(ctx.params.get(name, ())) for name in FILTERS}
    names = [param.name for param in order if param.name in FILTERS]
    told = two_lists([Filter(name == "include", next(patterns[name])) for name in names])
    ctx.params |= dict(zip(FILTERS, told, strict=True))
