"""Makes sure that a job neither moves, deletes nor replaces the files that account for it."""

from __future__ import annotations

import os

from bulkhaul.disk.paths import local_path
from bulkhaul.engine.transfers.endpoints import files_below
from bulkhaul.jobs.folder.description import JobDescription, Kind
from bulkhaul.model.errors import UsageError
from bulkhaul.policy.selection import folder_prefix, parse_destination, parse_source, selector

_FILES = (
    *("job.json", "lock", "running.json", "plan.json", "plan-1.json"),
    *("plan/000000.jsonl.gz", "done/000000", "report/000000.1.json", "report/000000.1.000.jsonl.gz"),
)
"""One of each kind of file that a job's folder has."""


def require_apart(job: str, description: JobDescription) -> None:
    """Make sure that no file of a job is selected by its source, or lies where its destination is.

    Args:
        job: the folder of the job: a path, or a URL.

    Raises:
        UsageError: one of them is or does; the message says which.
    """
    compared = description.kind is Kind.VERIFY
    if _selected(job, description.source, description) or (
        compared and _selected(job, description.destination, description, destination=True)
    ):
        where = "one of its places" if compared else "its source"
        text = f"the folder of the job lies in {where}, so the job would be a part of itself"
        raise UsageError(f"{text}; name another folder, or leave it out by --exclude", job)
    destination = "" if compared else description.destination  # nothing is stored there
    if destination and any(_below(job, destination, file) is not None for file in _FILES):
        text = "the folder of the job lies in its destination, where an object could replace its files"
        raise UsageError(f"{text}; name another folder", job)


def _selected(job: str, place: str, description: JobDescription, *, destination: bool = False) -> bool:
    filters = description.sync or description
    chosen = (filters.include, filters.exclude)
    if not place or (description.origin is not None and not destination):  # another service
        return False
    if not place.startswith("s3://"):
        takes = selector(files_below(place), *chosen)
        return any((path := _below(job, place, file)) is not None and takes(path) for file in _FILES)
    source = parse_source(place, recursive=True)
    takes = selector(source, *chosen)
    base = f"s3://{source.bucket}/"
    keys = [key for file in _FILES if (key := _below(job, base, file)) is not None]
    return any(key.startswith(source.prefix) and takes(key) for key in keys)


def _below(job: str, place: str, file: str) -> str | None:
    """Return the path of a file of the job below a place, None if it lies elsewhere."""
    if job.startswith("s3://") != place.startswith("s3://"):
        return None
    if job.startswith("s3://"):
        bucket, key = parse_destination(job)
        other, prefix = parse_destination(place)
        root, path = folder_prefix(prefix), folder_prefix(key) + file
        return path.removeprefix(root) if bucket == other and path.startswith(root) else None
    root, path = os.path.join(os.path.realpath(place), ""), os.path.join(os.path.realpath(local_path(job)), file)
    return path.removeprefix(root) if path.startswith(root) else None
