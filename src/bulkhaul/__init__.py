"""bulkhaul moves objects between S3 and disk at the speed of the machine, and never lies about the result.

    Engine, AsyncEngine                      many transfers by URL, with and without an event loop
    S3Store, LocalStore, MemoryStore         one bucket, or folder, as an object with methods; ObjectStore: the protocol
    Settings, Credentials, ObjectOptions     what they are told
    TransferResult, ObjectInfo, Progress     what they tell
    TransferError and what is below it       what they raise
    bulkhaul.aio, bulkhaul.jobs              the same for asyncio; jobs and syncs of many objects

The public names are loaded when they are first used: a worker process imports this package too and needs few of them.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # typing's: importing that would put the forkserver off by 10 ms

if TYPE_CHECKING:
    from bulkhaul import aio, errors, jobs
    from bulkhaul import fsspec as fsspec
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.engine.facade import Engine
    from bulkhaul.engine.files.reader import ObjectReader
    from bulkhaul.engine.files.writer import ObjectWriter
    from bulkhaul.engine.shared import open  # noqa: A004 - as the built-in one, for objects
    from bulkhaul.model.archives import RestoreAnswer, Tier
    from bulkhaul.model.credentials import Credentials, CredentialsSource
    from bulkhaul.model.errors import (
        AccessDenied,
        Archived,
        BodyCorrupted,
        Cancelled,
        ClockSkew,
        Conflict,
        CredentialsError,
        DamagedJob,
        DiskFull,
        DurabilityUnknown,
        EndpointRedirect,
        ErrorInfo,
        ExpiredCredentials,
        IntegrityError,
        InvalidUrl,
        JobInUse,
        LocalError,
        ManifestError,
        MissingPermission,
        NetworkError,
        NotFound,
        ObjectChanged,
        OtherError,
        PayloadTooLarge,
        PreconditionFailed,
        RangeIgnored,
        RangeNotSatisfiable,
        RetrievalUnavailable,
        ServerError,
        SourceChanged,
        StallTimeout,
        Throttled,
        TransferError,
        UnexpectedReply,
        UnsafeKey,
        Unsupported,
        UsageError,
        WorkerDied,
    )
    from bulkhaul.model.limits import S3Limits
    from bulkhaul.model.objects import (
        Bucket,
        Checksum,
        Content,
        FolderListing,
        Integrity,
        ObjectHead,
        ObjectInfo,
        ObjectRef,
        Verify,
        VersionInfo,
    )
    from bulkhaul.model.preserving import Kept
    from bulkhaul.model.results import CheckedResult, Progress, ProgressCallback, RowResult, TransferResult
    from bulkhaul.model.rows import Action, ReportRow, Row
    from bulkhaul.model.settings import Settings, SettingsFields, Timeouts
    from bulkhaul.model.verdicts import PairResult
    from bulkhaul.model.writing import ObjectOptions, ObjectVersion, PendingUpload
    from bulkhaul.policy.storeurl import StoreUrl, parse_store_url
    from bulkhaul.store.local import LocalStore
    from bulkhaul.store.memory import MemoryStore
    from bulkhaul.store.protocol import ObjectStore
    from bulkhaul.store.s3 import S3Store

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "Action",
    "Archived",
    "AsyncEngine",
    "BodyCorrupted",
    "Bucket",
    "Cancelled",
    "CheckedResult",
    "Checksum",
    "ClockSkew",
    "Conflict",
    "Content",
    "Credentials",
    "CredentialsError",
    "CredentialsSource",
    "DamagedJob",
    "DiskFull",
    "DurabilityUnknown",
    "EndpointRedirect",
    "Engine",
    "ErrorInfo",
    "ExpiredCredentials",
    "FolderListing",
    "Integrity",
    "IntegrityError",
    "InvalidUrl",
    "JobInUse",
    "Kept",
    "LocalError",
    "LocalStore",
    "ManifestError",
    "MemoryStore",
    "MissingPermission",
    "NetworkError",
    "NotFound",
    "ObjectChanged",
    "ObjectHead",
    "ObjectInfo",
    "ObjectOptions",
    "ObjectReader",
    "ObjectRef",
    "ObjectStore",
    "ObjectVersion",
    "ObjectWriter",
    "OtherError",
    "PairResult",
    "PayloadTooLarge",
    "PendingUpload",
    "PreconditionFailed",
    "Progress",
    "ProgressCallback",
    "RangeIgnored",
    "RangeNotSatisfiable",
    "ReportRow",
    "RestoreAnswer",
    "RetrievalUnavailable",
    "Row",
    "RowResult",
    "S3Limits",
    "S3Store",
    "ServerError",
    "Settings",
    "SettingsFields",
    "SourceChanged",
    "StallTimeout",
    "StoreUrl",
    "Throttled",
    "Tier",
    "Timeouts",
    "TransferError",
    "TransferResult",
    "UnexpectedReply",
    "UnsafeKey",
    "Unsupported",
    "UsageError",
    "Verify",
    "VersionInfo",
    "WorkerDied",
    "__version__",
    "aio",
    "errors",
    "jobs",
    "open",
    "parse_store_url",
]

_MODULES = ("aio", "errors", "fsspec", "jobs")
"""Public modules, which are imported when they are first used; ``fsspec`` if that is installed."""

_HOMES = {
    "Action": "bulkhaul.model.rows",
    "AsyncEngine": "bulkhaul.engine.aio",
    "Bucket": "bulkhaul.model.objects",
    "CheckedResult": "bulkhaul.model.results",
    "Checksum": "bulkhaul.model.objects",
    "Content": "bulkhaul.model.objects",
    "Credentials": "bulkhaul.model.credentials",
    "CredentialsSource": "bulkhaul.model.credentials",
    "Engine": "bulkhaul.engine.facade",
    "ErrorInfo": "bulkhaul.model.errors",
    "FolderListing": "bulkhaul.model.objects",
    "Integrity": "bulkhaul.model.objects",
    "Kept": "bulkhaul.model.preserving",
    "LocalStore": "bulkhaul.store.local",
    "MemoryStore": "bulkhaul.store.memory",
    "ObjectHead": "bulkhaul.model.objects",
    "ObjectInfo": "bulkhaul.model.objects",
    "ObjectOptions": "bulkhaul.model.writing",
    "ObjectReader": "bulkhaul.engine.files.reader",
    "ObjectRef": "bulkhaul.model.objects",
    "ObjectStore": "bulkhaul.store.protocol",
    "ObjectVersion": "bulkhaul.model.writing",
    "ObjectWriter": "bulkhaul.engine.files.writer",
    "PairResult": "bulkhaul.model.verdicts",
    "PendingUpload": "bulkhaul.model.writing",
    "Progress": "bulkhaul.model.results",
    "ProgressCallback": "bulkhaul.model.results",
    "ReportRow": "bulkhaul.model.rows",
    "RestoreAnswer": "bulkhaul.model.archives",
    "Row": "bulkhaul.model.rows",
    "RowResult": "bulkhaul.model.results",
    "S3Limits": "bulkhaul.model.limits",
    "S3Store": "bulkhaul.store.s3",
    "Settings": "bulkhaul.model.settings",
    "SettingsFields": "bulkhaul.model.settings",
    "StoreUrl": "bulkhaul.policy.storeurl",
    "Tier": "bulkhaul.model.archives",
    "Timeouts": "bulkhaul.model.settings",
    "TransferResult": "bulkhaul.model.results",
    "Verify": "bulkhaul.model.objects",
    "VersionInfo": "bulkhaul.model.objects",
    "open": "bulkhaul.engine.shared",
    "parse_store_url": "bulkhaul.policy.storeurl",
}
"""The modules of the public names. All others of ``__all__`` are errors."""


if not TYPE_CHECKING:  # a type checker that saw it would take every misspelt name for a public one

    def __getattr__(name: str) -> object:
        """Import a public name from its home on first use (PEP 562)."""
        if name in _MODULES:
            return import_module(f"bulkhaul.{name}")
        if name not in __all__:
            raise AttributeError(f"module 'bulkhaul' has no attribute {name!r}")
        value = getattr(import_module(_HOMES.get(name, "bulkhaul.model.errors")), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, those too that are not loaded yet: what an editor or a shell completes."""
    return sorted({name for name in globals() if name.startswith("__") or name in _MODULES} | {*__all__})
