"""Describes jobs: what was asked for becomes ``job.json``, and the settings of that those of a run."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from bulkhaul import __version__
from bulkhaul.disk.paths import local_path
from bulkhaul.jobs.folder.description import FORMAT, JobDescription, Kind
from bulkhaul.jobs.sync_options import SyncOptions
from bulkhaul.jobs.verify_options import VerifyOptions
from bulkhaul.model.archives import RestoreOptions
from bulkhaul.model.errors import UsageError
from bulkhaul.model.preserving import Kept
from bulkhaul.model.settings import Settings, with_fields
from bulkhaul.model.structs import learnt
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.filters import patterns
from bulkhaul.policy.preserving import require_between_buckets, require_compatible
from bulkhaul.policy.selection import parse_destination, parse_source
from bulkhaul.policy.verify_rules import parse_rules

learnt(Settings)

_SECRET = frozenset({"sse_c_key"})
_OF_THE_MACHINE = frozenset({"state_dir", "timeouts", "limits"})
"""Settings that are no choice of the job's: where it runs has its own."""


def described(
    source: str,
    destination: str = "",
    *,
    kind: str = "copy",
    manifests: Sequence[str] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_symlinks: bool | None = None,
    all_versions: bool = False,
    sync: SyncOptions | None = None,
    comparison: VerifyOptions | None = None,
    options: ObjectOptions | None = None,
    preserve: Collection[Kept] = (),
    restore: RestoreOptions | None = None,
    settings: Settings | None = None,
    origin: Settings | None = None,
) -> JobDescription:
    """Return the description of a job on everything below ``source``, or that matches it as a pattern.

    Args:
        source: ``s3://…``, or a folder of this machine, which is made absolute; empty where there are manifests.
        destination: likewise; empty for a deletion.
        kind: ``copy``, ``delete``, ``verify``, or ``restore``: without a destination nothing is moved; ``sync``, with
            its options.
        manifests: paths and objects that list what it is about.
        all_versions: every version and delete marker is copied, oldest first.
        comparison: how both places are compared; a job of that kind needs it not. Its patterns go before.
        preserve: what copies between buckets keep, or fail; of a sync its options tell it.
        restore: how archived objects are brought back; a restore needs it not, and of a sync its options tell it.
        origin: settings for the source, where they are not those of the destination.

    Raises:
        UsageError: it cannot mean anything.
    """
    try:
        known = Kind(kind)
    except ValueError:
        kinds = ", ".join(one for one in Kind if one is not Kind.SYNC)  # that one has a command of its own
        raise UsageError(f"a job of the kind {kind!r} cannot be made; the kinds are {kinds}") from None
    chosen = settings or Settings()
    if (known is Kind.SYNC) != (sync is not None):
        raise UsageError("a job of the kind sync is made by `bulkhaul sync --job`", source)
    if bool(source) == bool(manifests):
        raise UsageError("a job is made of a source or of manifests", source)
    if "-" in manifests:
        raise UsageError("a job may have to read its manifest again, so it cannot be stdin; name a file", "-")
    if known is Kind.DELETE and destination:
        raise UsageError("a deletion has no destination", destination)
    if known is Kind.VERIFY:
        comparison = comparison or VerifyOptions()
        include, exclude = comparison.include or include, comparison.exclude or exclude
        _require_comparison(source, destination, comparison, manifests)
        if options is not None or preserve or restore is not None or follow_symlinks is not None:
            text = "a comparison moves nothing and follows links: it has no options of storing, links or archives"
            raise UsageError(text, source)
        comparison = msgspec.structs.replace(comparison, include=(), exclude=())
    elif comparison is not None:
        raise UsageError("only a job of the kind verify compares; leave --compare and --read out", source)
    if known in (Kind.COPY, Kind.SYNC) and not destination:
        raise UsageError("a copy needs a destination", source)
    if known is Kind.DELETE and restore is not None:
        raise UsageError("what is deleted need not be brought back", source)
    local = known is not Kind.VERIFY and not manifests
    if local and not (source.startswith("s3://") or destination.startswith("s3://")):
        raise UsageError("source or destination must begin with s3://; none of these does", source)
    if sync is not None:
        preserve, restore = sync.preserve, sync.restore
        sync = msgspec.structs.replace(sync, preserve=frozenset(), restore=None)
    require_compatible(options, frozenset(preserve))
    from_s3, to_s3 = bool(manifests) or source.startswith("s3://"), destination.startswith("s3://")
    moves = bool(destination) and known is not Kind.VERIFY
    require_between_buckets(preserve, source, is_copy=moves and from_s3 and to_s3)
    may_upload = moves and to_s3 and (bool(manifests) or not from_s3)  # rows of manifests may name files
    _require_files(chosen, source, uploads=may_upload, downloads=moves and not to_s3)
    if follow_symlinks is not None and from_s3:
        raise UsageError("only uploads follow symbolic links or leave them out", source)
    if all_versions and not (known is Kind.COPY and source.startswith("s3://") and destination.startswith("s3://")):
        raise UsageError("all versions go from bucket to bucket, by a job of the kind copy", source)
    if all_versions and restore is not None:
        raise UsageError("all versions are copied as they are; bring archived ones back before", source)
    for place in (source, destination):
        if place.startswith("s3://"):
            parse_destination(place)
    if known is Kind.DELETE and source:
        parse_source(source, recursive=True)
    return JobDescription(
        format=FORMAT,
        kind=known,
        source=_place(source),
        destination=_place(destination),
        manifests=tuple(map(_place, manifests)),
        include=patterns(include),
        exclude=patterns(exclude),
        follow_symlinks=follow_symlinks,
        all_versions=all_versions,
        sync=sync,
        comparison=comparison,
        options=options,
        preserve=tuple(sorted(preserve)),
        restore=restore or (RestoreOptions() if known is Kind.RESTORE else None),
        settings=_kept(chosen),
        origin=None if origin is None else _kept(origin),
        sse_c=chosen.sse_c_key is not None,
        made_by=f"bulkhaul {__version__}",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _require_files(chosen: Settings, source: str, *, uploads: bool, downloads: bool) -> None:
    """Make sure that settings of files are those of a job that moves such.

    Raises:
        UsageError: one is not.
    """
    if chosen.sparse and not downloads:
        raise UsageError("only downloads leave holes in files, so sparse means nothing for this job", source)
    settings = {"preserve_times": chosen.preserve_times, "preserve_mode": chosen.preserve_mode}
    settings["store_links"] = chosen.store_links
    for name, value in settings.items():
        if value and not (uploads or downloads):
            raise UsageError(f"{name} means nothing for this job, which neither uploads nor downloads", source)


def _require_comparison(one: str, other: str, options: VerifyOptions, manifests: Sequence[str]) -> None:
    """Make sure that two places can be compared so.

    Raises:
        UsageError: they cannot.
    """
    if not other and not manifests:
        raise UsageError("a comparison needs two places", one)
    if options.certificate:
        raise UsageError("a job writes no certificate; `bulkhaul verify --certificate` does", options.certificate)
    _, extras = parse_rules(options.compare, read=options.read, read_all=options.read_all)
    local = [place for place in (one, other) if place and not place.startswith("s3://")]
    if extras and local:
        raise UsageError(f"files have no {' nor '.join(sorted(extras))}; compare these between objects only", local[0])


def settings_of(description: JobDescription, given: Mapping[str, Any], *, origin: bool = False) -> Settings:
    """Return the settings of a job, with those of this run in their place.

    Args:
        given: fields of ``Settings`` by name.
        origin: those for the source.

    Raises:
        UsageError: a setting is unknown or out of range, or the key of SSE-C is missing.
    """
    base = kept_settings((description.origin if origin else description.settings) or {})
    if description.sse_c and not given.get("sse_c_key"):
        raise UsageError("the job's objects have a customer's key (SSE-C), which is not kept; give it again")
    return with_fields(base, given)


def _place(place: str) -> str:
    if not place or place.startswith("s3://"):
        return place
    path = os.path.abspath(local_path(place))
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            "the path is not valid UTF-8, so no job can name it; rename it, or link to it", path
        ) from error
    return path


def kept_settings(kept: Mapping[str, Any]) -> Settings:
    """Return the settings that a job keeps.

    Raises:
        UsageError: they cannot be used.
    """
    try:
        return msgspec.convert(kept, Settings)
    except msgspec.ValidationError as error:
        raise UsageError(f"the settings of the job cannot be used: {error}") from error


def _kept(settings: Settings) -> dict[str, Any]:
    """Return the settings that were chosen, without secrets and what belongs to this machine."""
    usual = Settings()
    names = [name for name in Settings.__struct_fields__ if name not in _SECRET | _OF_THE_MACHINE]
    chosen = {name: getattr(settings, name) for name in names if getattr(settings, name) != getattr(usual, name)}
    kept = msgspec.to_builtins(chosen)
    assert isinstance(kept, dict)
    return kept
