"""``bulkhaul bench``: its help pages and options; what it does is in the room ``benchmark``."""

from __future__ import annotations

from typing import Any, NoReturn

import click
from click.core import ParameterSource

from bulkhaul.cli.bench_values import KINDS, parsed_mix, parsed_rate, parsed_speed
from bulkhaul.cli.click_extensions import HelpGroup, SectionedCommand, adding, section
from bulkhaul.cli.option_values import parsed_count, parsed_duration
from bulkhaul.cli.options import connection_options, make_settings

EPILOG = """\b
Examples:
  bulkhaul bench --demo
  bulkhaul bench run get s3://bucket/tmp/ --size 64KiB --objects 5000
  bulkhaul bench run put s3://bucket/tmp/ --rate 500 --duration 2m
  bulkhaul bench compare before/ after/
  bulkhaul bench clean s3://bucket/

A benchmark writes only below a prefix with a random name, which it makes below the URL, and deletes what it made.
"""

_RUN = """\b
Examples:
  bulkhaul bench run get s3://bucket/tmp/ --size 64KiB --objects 5000 --concurrency 64
  bulkhaul bench run mixed s3://bucket/tmp/ --mix get=70,put=20,list=5,delete=5 --repeat 5
  bulkhaul bench run get s3://bucket/tmp/ --size 'lognormal:1MiB,sigma=1.5' --rate 200
  bulkhaul bench run get s3://bucket/tmp/bulkhaul-bench-0123456789ab/ --out before

Without --rate the next request is made when a reply has come, so a slow service is asked less (closed loop). With
--rate requests fall due by themselves, and each latency counts from the instant at which its request was due (open
loop).

What counts is the part of a run in which throughput is steady. Result, report and plots are written to FOLDER.

\b
Exit code: 0 measured, 1 it failed, or most requests did, or a URL is worse
than the first by more than --threshold, 2 the command line makes no sense,
3 measured, but a run was never steady, 130 interrupted.
"""

_TUNE = """\b
Examples:
  bulkhaul bench tune s3://bucket/tmp/ --endpoint-url http://store:9000 --as store --write ~/.aws/config
  bulkhaul cp -r --profile store s3://bucket/run-7/ /data/run-7

It takes about two minutes, and stores 300 MiB meanwhile. The profile is printed; with --write it is
also added to FILE.
"""

_REPLAY = """\b
Examples:
  bulkhaul bench run mixed s3://bucket/tmp/ --op-log --out before
  bulkhaul bench replay before/ops-1.csv.zst s3://other/tmp/ --speed 2x
  bulkhaul bench replay warp-mixed.csv.zst s3://bucket/tmp/

OPLOG is what --op-log writes, or what warp has written. Objects that its requests need are stored before. Requests fall
due at the times of the log, whatever the store does.

\b
Exit code: 0 made again, steady or not: all of it counts; 1 it failed, or most
requests did, 2 the command line or the log makes no sense, 130 interrupted.
"""

_REPORT = """\b
Examples:
  bulkhaul bench report bench-get-20261128-132000
  bulkhaul bench report before --markdown --csv --out notes/
"""

_COMPARE = """\b
Examples:
  bulkhaul bench compare before after
  bulkhaul bench compare before after --threshold 10%
  bulkhaul bench compare warp-before.csv.zst warp-after.csv.zst

Each of A, B … is a folder that `bulkhaul bench run` has written, or an op-log of warp. Results with several repeats
(--repeat) tell more: what one run a side cannot show, five often can.

\b
Exit code: 0 no regression beyond the threshold, 1 there is one, or a file
cannot be read, 2 the results cannot be compared, or what was read is none.
"""

FIELDS = (
    "size", "objects", "prefixes", "compressible", "seed", "mix", "duration_s", "concurrency", "rate", "repeat",
    "range", "order", "folder",
)  # fmt: skip
"""Options that are fields of a workload."""

_objects = section("Objects")
_load = section("Load")
_output = section("Output")

_object_options = adding(
    _objects(
        "--size",
        metavar="SPEC",
        default="1MiB",
        show_default=True,
        help="64KiB, uniform:4KiB..1MiB, lognormal:1MiB,sigma=1.5, weights:64KiB=80,16MiB=20, or like:s3://BUCKET/PREFIX/"
        " for sizes as they are there.",
    ),
    _objects("--objects", type=click.IntRange(1), default=1000, show_default=True, metavar="N", help="How many."),
    _objects(
        "--prefixes", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Folders they lie in."
    ),
    _objects(
        "--compressible",
        type=click.FloatRange(1),
        default=1.0,
        metavar="FACTOR",
        help="Store what can be compressed by this factor.  [default: 1, noise]",
    ),
    _objects(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        metavar="N",
        help="Draw other sizes, in another order.",
    ),
)


@click.group(
    "bench",
    cls=HelpGroup,
    epilog=EPILOG,
    invoke_without_command=True,
    short_help="Measure a store, and what limits it.",
)
@click.option("--demo", is_flag=True, help="Show all of it on a server on this machine, within a minute.")
@click.option("--out", metavar="FOLDER", default="", help="Of --demo: where the results go.")
@click.pass_context
def bench(ctx: click.Context, /, *, demo: bool, out: str) -> None:
    """Measure a store, say what limits it, and whether two results differ."""
    if ctx.invoked_subcommand is not None:
        if demo:
            raise click.UsageError("--demo takes no command.")
        if out:
            raise click.UsageError("--out stands behind run, replay or report; before a command it is of --demo alone.")
        return
    if not demo:
        click.echo(ctx.get_help())
        ctx.exit(2)
    from bulkhaul.cli.demo.benchmark import demonstrate

    ctx.exit(demonstrate(out))


@bench.command("run", cls=SectionedCommand, epilog=_RUN, short_help="Put a load on a store and measure it.")
@click.argument("words", metavar="get|put|mixed|list|stat|delete URL [URL …]", nargs=-1)
@_object_options
@_load("--mix", callback=parsed_mix, metavar="OP=N,…", help="Of mixed.  [default: get=45,stat=30,put=15,delete=10]")
@_load(
    "--duration",
    "duration_s",
    callback=parsed_duration,
    default="60s",
    show_default=True,
    metavar="TIME",
    help="Of each run.",
)
@_load(
    "--concurrency",
    "-c",
    callback=parsed_count,
    metavar="N|auto",
    help="Requests in flight at most.  [default: auto: as many as bring more]",
)
@_load("--rate", callback=parsed_rate, metavar="R/s", help="Requests a second that are due, whatever the service does.")
@_load("--repeat", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Measure so often.")
@_load("--range", "range", default="", metavar="SIZE", help="Read ranges of this length, at random places.")
@_load("--order", type=click.Choice(["random", "sequential"]), default="random", show_default=True, help="Of reading.")
@_load("--to", "folder", default="", metavar="PATH", help="Write what is read to a folder, device or FIFO.")
@_load("--workers", callback=parsed_count, metavar="N|auto", help="Processes.  [default: auto: one a usable core]")
@_load("--workload", "file", metavar="FILE", help="All of this from a TOML file, or from a .run.json.")
@_load("--keep", is_flag=True, help="Leave the objects there, for more runs; `bulkhaul bench clean` deletes them.")
@_output("--out", default="", metavar="FOLDER", help="Where the result goes.  [default: bench-KIND-TIME]")
@_output(
    "--threshold", metavar="SHARE", help="Of several URLs: exit with 1 if one is worse than the first by more, as 5%."
)
@_output("--op-log", is_flag=True, help="Write every request to FOLDER, as warp does.")
@_output("--metrics", type=click.IntRange(1, 65535), metavar="PORT", help="Serve metrics for Prometheus on 127.0.0.1.")
@_output("--json", "as_json", is_flag=True, help="One line of JSON a second, one a run, and a summary.")
@_output("--quiet", is_flag=True, help="No lines while it runs.")
@connection_options
@click.pass_context
def run(
    ctx: click.Context, /, *, words: tuple[str, ...], file: str | None, threshold: str | None, **given: Any
) -> NoReturn:
    """Put a load on a store, and measure each request.

    Several URLs are measured in turns and compared. With --workload the file says what is done, and only URLs are
    named; options stand in the place of what it says.
    """
    from bulkhaul.cli.bench_run import BenchRun, taken_workload, workload_name
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.policy.differences import parse_threshold

    if len(words) < (1 if file else 2):
        raise click.UsageError("what is to be measured, and where: get s3://BUCKET/PREFIX, or --workload FILE and URL.")
    kind, urls = ("", words) if file else (words[0], words[1:])
    if kind and kind not in KINDS:
        raise click.UsageError(f"{kind!r} cannot be measured; one of {', '.join(KINDS)} can.")
    if given["mix"] and kind and kind != "mixed":
        raise click.UsageError("--mix is of mixed.")
    if threshold is not None and len(urls) == 1:
        raise click.UsageError("--threshold compares several URLs; results are compared by `bulkhaul bench compare`.")
    if file and file.endswith(".run.json"):
        _run_crt(ctx, file, urls, given)
    chosen = {name for name in FIELDS if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    fields = {name: given.pop(name) for name in FIELDS}
    workload = taken_workload(kind, file, fields, chosen)
    output = {name: given.pop(name) for name in ("keep", "out", "op_log", "metrics", "as_json", "quiet")}
    share = None if threshold is None else parse_threshold(threshold)
    workers = given.pop("workers")
    settings = make_settings({**given, "workers": workers})
    session = BenchRun(workload, urls, kind or workload_name(file or ""), threshold=share, **output)
    launch_query(ctx, session.work, settings, operation="bench run", as_json=output["as_json"], workers=None)


def _run_crt(ctx: click.Context, file: str, urls: tuple[str, ...], given: dict[str, Any]) -> NoReturn:
    """Run a workload of aws-crt-s3-benchmarks, and end the command."""
    from bulkhaul.cli.bench_crt import crt_work
    from bulkhaul.cli.launch import launch_query

    if len(urls) > 1:
        raise click.UsageError("a .run.json is run at one URL.")
    output = ("keep", "out", "op_log", "metrics", "quiet", *FIELDS, "as_json")
    of_loads = [name for name in output if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if refused := [name for name in of_loads if name not in ("folder", "concurrency", "as_json")]:
        raise click.UsageError(f"a .run.json says by itself what is done; leave out --{refused[0].replace('_', '-')}.")
    taken = {name: given.pop(name) for name in output}
    settings = make_settings({**given, "concurrency": taken["concurrency"]})
    work = crt_work(urls[0], file, taken["folder"], as_json=taken["as_json"])
    launch_query(ctx, work, settings, operation="bench run", as_json=taken["as_json"], workers=None)


@bench.command("prepare", cls=SectionedCommand, short_help="Make objects once, for many runs.")
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@_object_options
@click.option(
    "--concurrency", "-c", callback=parsed_count, metavar="N", help="Requests in flight at most.  [default: 32]"
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
@connection_options
@click.pass_context
def prepare(ctx: click.Context, /, *, url: str, as_json: bool, **given: Any) -> NoReturn:
    """Make objects that several runs use, below a prefix of their own, which is printed."""
    from bulkhaul.cli.bench_objects import prepare_work
    from bulkhaul.cli.bench_run import taken_workload
    from bulkhaul.cli.launch import launch_query

    names = ("size", "objects", "prefixes", "compressible", "seed", "concurrency")
    workload = taken_workload("get", None, {name: given.pop(name) for name in names}, set())
    work = prepare_work(url, workload, as_json=as_json)
    launch_query(ctx, work, make_settings(given), operation="bench prepare", as_json=as_json, workers=None)


@bench.command("clean", cls=SectionedCommand, short_help="Delete what benchmarks have left.")
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@click.option("--all", "all_of_them", is_flag=True, help="Also what other machines have left, and what was prepared.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a prefix.")
@connection_options
@click.pass_context
def clean(ctx: click.Context, /, *, url: str, all_of_them: bool, as_json: bool, **given: Any) -> NoReturn:
    """Delete what benchmarks that were killed on this machine have left below a URL.

    The prefix of one benchmark, as prepare prints it, is deleted whatever it is. Nothing else is deleted, also below
    such prefixes. Do not use --all while another machine measures there.
    """
    from bulkhaul.cli.bench_objects import clean_work
    from bulkhaul.cli.launch import launch_query

    work = clean_work(url, all_of_them=all_of_them, as_json=as_json)
    launch_query(ctx, work, make_settings(given), operation="bench clean", as_json=as_json, workers=None)


@bench.command("tune", cls=SectionedCommand, epilog=_TUNE, short_help="Find the best settings for a store.")
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@click.option("--as", "profile_name", default="tuned", show_default=True, metavar="NAME", help="Name of the profile.")
@click.option("--write", default="", metavar="FILE", help="Add the profile to this file, such as ~/.aws/config.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each try, and a summary.")
@connection_options
@click.pass_context
def tune(ctx: click.Context, /, *, url: str, profile_name: str, write: str, as_json: bool, **given: Any) -> NoReturn:
    """Find how many connections and how long parts bring most, and print them as a profile."""
    from bulkhaul.cli.bench_tune import tune_work
    from bulkhaul.cli.launch import launch_query

    work = tune_work(url, profile_name=profile_name, write=write, as_json=as_json)
    launch_query(ctx, work, make_settings(given), operation="bench tune", as_json=as_json, workers=None)


@bench.command("replay", cls=SectionedCommand, epilog=_REPLAY, short_help="Run an op-log again.")
@click.argument("op_log", metavar="OPLOG")
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@click.option("--speed", callback=parsed_speed, default="1x", show_default=True, metavar="N[x]", help="So much faster.")
@click.option(
    "--concurrency", "-c", callback=parsed_count, metavar="N", help="Requests in flight at most.  [default: 1024]"
)
@click.option("--out", default="", metavar="FOLDER", help="Where the result goes.  [default: bench-replay-TIME]")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a second, one a run, and a summary.")
@connection_options
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    *,
    op_log: str,
    url: str,
    speed: float,
    concurrency: int | None,
    out: str,
    as_json: bool,
    **given: Any,
) -> NoReturn:
    """Make the requests of an op-log again, at their times, on objects of the benchmark's own."""
    from bulkhaul.cli.bench_replay import replay_work
    from bulkhaul.cli.launch import launch_query

    work = replay_work(op_log, url, speed=speed, concurrency=concurrency or 0, out=out, as_json=as_json)
    launch_query(ctx, work, make_settings(given), operation="bench replay", as_json=as_json, workers=None)


@bench.command("report", cls=SectionedCommand, epilog=_REPORT, short_help="Write the report of a result.")
@click.argument("folder", metavar="FOLDER")
@click.option("--html", "formats", flag_value="html", multiple=True, help="One page: report.html.")
@click.option("--markdown", "formats", flag_value="markdown", multiple=True, help="report.md")
@click.option("--csv", "formats", flag_value="csv", multiple=True, help="operations.csv and windows.csv")
@click.option("--png", "formats", flag_value="png", multiple=True, help="Plots in figures/")
@click.option("--out", default="", metavar="FOLDER", help="Where they are written.  [default: FOLDER]")
def report(*, folder: str, formats: tuple[str, ...], out: str) -> None:
    """Write the report of a result in other forms."""
    from bulkhaul.cli.bench_results import write_report

    write_report(folder, formats or ("html",), out)


@bench.command("compare", cls=SectionedCommand, epilog=_COMPARE, short_help="Say whether results differ.")
@click.argument("results", metavar="A B [C …]", nargs=-1)
@click.option("--threshold", default="5%", show_default=True, metavar="SHARE", help="A loss beyond it is a regression.")
@click.option("--force", is_flag=True, help="Compare also what was measured with other workloads.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each result but the first.")
@click.pass_context
def compare(ctx: click.Context, /, *, results: tuple[str, ...], threshold: str, force: bool, as_json: bool) -> NoReturn:
    """Compare results with the first one: what is faster, what is slower, and what nobody can tell."""
    from bulkhaul.cli.bench_results import compare_results

    if len(results) < 2:
        raise click.UsageError("two results at least: folders of `bulkhaul bench run`, or op-logs of warp.")
    ctx.exit(compare_results(results, threshold, forced=force, as_json=as_json))
