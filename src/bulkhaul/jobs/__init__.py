"""Plans of many objects, their runs and their reports: every planned object is accounted for.

    from bulkhaul import jobs

    jobs.create_job("/data/move", "s3://old/data/", "s3://new/data/")
    for row in jobs.run_job("/data/move"):
        print(row.status, row.source)

``bulkhaul.jobs.aio`` has the same for asyncio programs. The public names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False

if TYPE_CHECKING:
    from bulkhaul.jobs.aio import verify_async
    from bulkhaul.jobs.blocking import create_job, job_status, report_rows, retry_job, run_job, sync, sync_job, verify
    from bulkhaul.jobs.status import JobStatus
    from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
    from bulkhaul.jobs.verify_options import VerifyCounts, VerifyOptions
    from bulkhaul.model.archives import RestoreOptions, Tier

__all__ = [
    "JobStatus",
    "RestoreOptions",
    "SyncCounts",
    "SyncOptions",
    "Tier",
    "VerifyCounts",
    "VerifyOptions",
    "create_job",
    "job_status",
    "report_rows",
    "retry_job",
    "run_job",
    "sync",
    "sync_job",
    "verify",
    "verify_async",
]

_HOMES = {
    "JobStatus": "jobs.status",
    "RestoreOptions": "model.archives",
    "SyncCounts": "jobs.sync_options",
    "SyncOptions": "jobs.sync_options",
    "Tier": "model.archives",
    "VerifyCounts": "jobs.verify_options",
    "VerifyOptions": "jobs.verify_options",
    "verify_async": "jobs.aio",
}


def __getattr__(name: str) -> object:
    """Import a public name from its home on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'bulkhaul.jobs' has no attribute {name!r}")
    return getattr(import_module(f"bulkhaul.{_HOMES.get(name, 'jobs.blocking')}"), name)


def __dir__() -> list[str]:
    """Return the public names, those too that are not loaded yet: what an editor or a shell completes."""
    return sorted({name for name in globals() if name.startswith("__")} | {*__all__})
