"""Nothing is removed on a single word: every operation that removes something, and every way a word may be wrong.

    OPERATIONS   whatever removes a source, a key, a version or an upload
    LIES         what a service may say, or what may happen in between, so that removing would lose something

Each operation goes through each lie that can be told to it: what it would have removed is there afterwards, and it says
that it has failed. An operation that is added to the package and is not here fails a test.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bulkhaul import Engine, TransferResult
from bulkhaul.disk.journal import Journal
from bulkhaul.disk.records import VERSION, Intent
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.operations import abort_upload as aborting
from bulkhaul.engine.operations.cleanup import Cleanup, Leftover
from bulkhaul.errors import TransferError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.settings import Settings
from bulkhaul.policy.storeurl import parse_store_url
from bulkhaul.store.aio import S3Store
from bulkhaul.testing.faultserver.http1 import Reply
from tests.faultserver import (
    ErrorXmlWith200,
    Etag,
    Exchange,
    Fault,
    ForeignEntry,
    FrozenTime,
    IgnoreHeader,
    RawBody,
    RefuseCondition,
    RefuseDelete,
    ReplaceObject,
    Status,
    ToldLength,
    TwistedErrors,
    make_object,
    reply_lost,
)
from tests.faultserver.store import store_of
from tests.faultserver.uploads import Part
from tests.writing import THRESHOLD_BYTES, WriteRig, engine_at, serving_site

BODY = b"precious"
LARGE = b"precious" * (THRESHOLD_BYTES // 8 + 1)
NEWER = b"written meanwhile"
SOURCE = Path(inspect.getfile(AsyncEngine)).parent.parent


@dataclass
class Case:
    """One operation under one lie: names of its own, and what it does."""

    rig: WriteRig
    beside: AsyncEngine
    name: str
    to: str = ""
    kept: dict[str, bytes] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        """The engine under test."""
        return self.rig.engine

    @property
    def files(self) -> Path:
        """The folder of what is uploaded."""
        return self.rig.folder / self.name / "in"

    def url(self, key: str) -> str:
        """Return the URL of a source."""
        return f"s3://bucket/{self.name}/{key}"

    def destination(self, key: str) -> str:
        """Return the URL that a source goes to."""
        return (self.to or self.url("to/")) + key

    def removed(self, key: str, *, recursive: bool = False, **more: Any) -> list[Any]:
        """Do what ``rm`` does."""
        return list(self.engine.delete_many([self.url(key)], recursive=recursive, **more))

    def rows(self, action: Action, to: str = "", *, told: bool = False) -> list[list[Row]]:
        """Return the rows of a plan for both sources, files of an upload and else objects.

        Args:
            told: each row tells its object, as a listing does.
        """
        rows = []
        for n, name in enumerate("ab"):
            source = str(self.files / name) if action is Action.UPLOAD else self.url(f"in/{name}")
            row = Row(n=n, action=action, source=source, destination=to and to + name)
            stored = self.rig.server.store.get("bucket", f"{self.name}/in/{name}") if told else None
            if stored is not None:
                row = msgspec.structs.replace(row, etag=stored.etag, size=stored.size_bytes)
            rows.append(row)
        return [rows]

    def null_versions(self) -> list[list[Row]]:
        """Return the rows of a plan that mean the null version of each source, as it is."""
        return [[msgspec.structs.replace(row, version_id="null") for row in self.rows(Action.DELETE, told=True)[0]]]

    def downloaded_rows(self) -> Any:
        """Move what the rows of a plan name to files."""
        root = self.rig.folder / self.name / "rows"
        return self.engine.download_rows(self.rows(Action.DOWNLOAD, f"{root}/", told=True), root, move=True)

    def copied_rows(self, origin: AsyncEngine | None = None) -> Any:
        """Move what the rows of a plan name to other objects."""
        rows = self.rows(Action.COPY, self.destination(""), told=True)
        return self.engine.copy_rows(rows, origin=origin, move=True)

    def deleted(self) -> list[TransferResult]:
        """Delete one object."""
        ref = ObjectRef("bucket", f"{self.name}/in/a")
        self.engine.delete(ref)
        return [TransferResult(source=ref.url, destination="", bucket=ref.bucket, key=ref.key)]

    def aborted(self) -> list[TransferResult]:
        """Give one upload up."""
        ref = ObjectRef("bucket", f"{self.name}/in/a")
        (upload_id,) = self.rig.pending(ref.key)
        self.engine.abort_upload(ref, upload_id)
        return [TransferResult(source=ref.url, destination="", bucket=ref.bucket, key=ref.key)]

    def deleted_from_a_store(self) -> list[Any]:
        """Delete as a store does."""
        url = parse_store_url(f"s3+{self.rig.server.endpoint_url}/bucket", allow_http=True)
        store = S3Store(url, Settings(), engine=self.engine.aio)
        key = f"{self.name}/in/a"
        self.engine.run(store.delete, key)
        return [TransferResult(source=ObjectRef("bucket", key).url, destination="", bucket="bucket", key=key)]

    def many_deleted_from_a_store(self) -> Any:
        """Delete a list of keys as a store does."""
        url = parse_store_url(f"s3+{self.rig.server.endpoint_url}/bucket", allow_http=True)
        store = S3Store(url, Settings(), engine=self.engine.aio)
        return self.engine.run(store.delete_together, [f"{self.name}/in/a"])

    def tidied(self) -> list[Leftover]:
        """Abort what is pending below the sources."""
        cleanup = Cleanup(self.engine.aio.control, clears=True)
        return list(self.engine.each(cleanup.uploads("bucket", f"{self.name}/in/", older_than_s=0, now_s=1e11)))

    def tidied_journals(self) -> list[Leftover]:
        """Abort what a journal of a dead run names."""
        folder = self.rig.folder / self.name / "journals"
        folder.mkdir()
        key = f"{self.name}/in/a"
        (upload_id,) = self.rig.pending(key)
        endpoint = self.rig.server.endpoint_url
        intent = Intent(VERSION, endpoint, "bucket", key, "token", None, 2**23, "", "", 1.0)
        journal = Journal.create(str(folder), intent, resumable=True)
        journal.begun(upload_id, "")
        journal.close()
        cleanup = Cleanup(self.engine.aio.control, clears=True)
        return list(self.engine.each(cleanup.journals(str(folder))))


@dataclass(frozen=True)
class Operation:
    """One way to remove something.

    Attributes:
        run: does it, and returns results.
        listing: how it finds what it removes, empty if that is named.
        looks: HEADs of a source before it is removed, the last of them right before.
        origin: what is removed: "object", "file" or "upload".
        stored: it has a copy at the service, which its source is removed for.
        batch: it deletes by DeleteObjects.
        versions: it names the versions that it deletes.
        removers: functions of the package that decide on it.
    """

    run: Callable[[Case], Any]
    removers: tuple[str, ...]
    listing: str = ""
    looks: int = 0
    origin: str = "object"
    stored: bool = False
    batch: bool = False
    versions: bool = False
    body: bytes = BODY


MOVED, UPLOADED = ("SourceRemover._delete.delete",), ("SourceFile.remove",)
TOGETHER = ("DeletedTogether._deleted",)  # the lies about many: tests/contract/test_rows_deleted_together.py
BATCH = ("_deleted", "rm.results")
ABORTED = ("abort_until_gone", "Cleanup._cleared")

OPERATIONS: dict[str, Operation] = {
    "download": Operation(
        lambda case: case.engine.download(case.url("in/a"), case.rig.folder / case.name / "out", move=True),
        MOVED, looks=2,
    ),
    "download_many": Operation(
        lambda case: case.engine.download_many(case.url("in/"), case.rig.folder / case.name / "down", move=True),
        MOVED, listing="ListObjectsV2", looks=1,
    ),
    "upload": Operation(
        lambda case: case.engine.upload(case.files / "a", case.destination("a"), move=True),
        UPLOADED, origin="file", stored=True,
    ),
    "upload in parts": Operation(
        lambda case: case.engine.upload(case.files / "a", case.destination("a"), move=True),
        UPLOADED, origin="file", stored=True, body=LARGE,
    ),
    "upload_many": Operation(
        lambda case: case.engine.upload_many(case.files, case.destination(""), move=True),
        UPLOADED, origin="file", stored=True,
    ),
    "copy": Operation(
        lambda case: case.engine.copy(case.url("in/a"), case.destination("a"), move=True),
        MOVED, looks=2, stored=True,
    ),
    "copy in parts": Operation(
        lambda case: case.engine.copy(case.url("in/a"), case.destination("a"), move=True),
        MOVED, looks=2, stored=True, body=LARGE,
    ),
    "copy_many": Operation(
        lambda case: case.engine.copy_many(case.url("in/"), case.destination(""), move=True),
        MOVED, listing="ListObjectsV2", looks=2, stored=True,
    ),
    "relay": Operation(
        lambda case: case.engine.copy(case.url("in/a"), case.destination("a"), origin=case.beside, move=True),
        MOVED, looks=2, stored=True,
    ),
    "relay in parts": Operation(
        lambda case: case.engine.copy(case.url("in/a"), case.destination("a"), origin=case.beside, move=True),
        MOVED, looks=2, stored=True, body=LARGE,
    ),
    "relay_many": Operation(
        lambda case: case.engine.copy_many(case.url("in/"), case.destination(""), origin=case.beside, move=True),
        MOVED, listing="ListObjectsV2", looks=2, stored=True,
    ),
    "download_rows": Operation(lambda case: case.downloaded_rows(), MOVED, looks=1),
    "upload_rows": Operation(
        lambda case: case.engine.upload_rows(case.rows(Action.UPLOAD, case.destination("")), move=True),
        UPLOADED, origin="file", stored=True,
    ),
    "copy_rows": Operation(lambda case: case.copied_rows(), MOVED, looks=2, stored=True),
    "relay of rows": Operation(lambda case: case.copied_rows(case.beside), MOVED, looks=2, stored=True),
    "rm of rows": Operation(
        lambda case: case.engine.delete_rows(case.rows(Action.DELETE)), ("RowDeletions._together",), batch=True,
    ),
    "rm of rows that tell which object": Operation(
        lambda case: case.engine.delete_rows(case.rows(Action.DELETE, told=True)), (*MOVED, *TOGETHER), looks=1,
    ),
    "rm of rows that tell which null version": Operation(
        lambda case: case.engine.delete_rows(case.null_versions()), ("RowDeletions._null",), versions=True,
    ),
    "rm of a key": Operation(lambda case: case.removed("in/a"), BATCH, batch=True),
    "rm of a version": Operation(
        lambda case: case.removed("in/a", version_id="null"), BATCH, batch=True, versions=True,
    ),
    "rm of a prefix": Operation(
        lambda case: case.removed("in", recursive=True), BATCH, listing="ListObjectsV2", batch=True,
    ),
    "rm of a pattern": Operation(lambda case: case.removed("in/*"), BATCH, listing="ListObjectsV2", batch=True),
    "rm of all versions": Operation(
        lambda case: case.removed("in", recursive=True, all_versions=True), BATCH,
        listing="ListObjectVersions", batch=True, versions=True,
    ),
    "rm of all versions of a key": Operation(
        lambda case: case.removed("in/a", all_versions=True), BATCH,
        listing="ListObjectVersions", batch=True, versions=True,
    ),
    "delete": Operation(lambda case: case.deleted(), ("Control.delete", "SmallOperations.delete")),
    "delete of a store": Operation(lambda case: case.deleted_from_a_store(), ("Control.delete", "S3Store.delete")),
    "delete of many of a store": Operation(
        lambda case: case.many_deleted_from_a_store(), ("S3Store.delete_together",), batch=True,
    ),
    "abort of an upload": Operation(
        lambda case: case.aborted(), ("abort_until_gone", "SmallOperations.abort_upload"), origin="upload",
    ),
    "cleanup of uploads": Operation(
        lambda case: case.tidied(), ABORTED, origin="upload", listing="ListMultipartUploads",
    ),
    "cleanup by journals": Operation(
        lambda case: case.tidied_journals(), ABORTED, origin="upload", listing="ListMultipartUploads",
    ),
}  # fmt: skip

OWN = {
    "create_locked", "remove_owned", "discard_temp", "DestinationTree.folds_case",
    "take_away",
    "MultipartUpload.abort", "_TrialObject._multipart", "_TrialObject.run", "_TrialObject._delete",
    "_Side._write", "_Side._delete", "make_link", "main",
}  # fmt: skip
"""Functions that remove what bulkhaul itself has made: temp files, journals, empty folders, uploads, trial objects,
the folder of an embedded server; or what has a random name of ours, and is not there."""

CARRIERS = {
    "_delete", "_delete_many", "_abort_upload", "delete_object", "delete_objects.make", "_delete_batch", "delete_batch",
    "abort_upload", "Engine",
}  # fmt: skip
"""Functions that carry a request to delete to the service, when it has been decided."""

IN_A_FOLDER = {"FileTree.remove", "_remove_empty", "Removal.remove", "Removal._leave"}
"""Functions that remove files of a folder, where no service has a word: ``tests/unit/test_local_store.py`` holds those
of a store, ``tests/unit/test_removal.py`` those of a sync, and ``tests/contract/test_sync_deletions.py`` what a listing
of the other side must have said before."""

OF_BUCKETS = {"_emptied",
    "_delete_bucket", "rb", "delete_bucket", "Buckets.delete_bucket", "SmallOperations.delete_bucket",
}  # fmt: skip
"""Functions that remove a bucket. Two listings, of objects and of versions, must have shown that nothing is in it, and
the service is to see it, too: ``tests/integration/test_commands_buckets.py``, on one that does not look."""

OF_LINKS = {"remove_link"}
"""Functions that remove a symbolic link that a move has stored. A HEAD must have shown its object, as of a file, and
the link must lead where it did: ``tests/integration/test_stored_links.py``."""

OF_BENCHMARKS = {
    "forget",
    "_abort_unfinished",
    "_delete_listed",
    "crt_runs",
    "Disk.open",
    "bulkhaul_bucket",
}
"""Functions that remove what a benchmark or a fixture has made, in a folder, prefix or bucket with a random name of its
own. ``tests/integration/benchmark/test_place.py`` holds what a listing must have said before."""

HIDES = {"VersionCopies._made"}
"""Functions that make a delete marker in a bucket that keeps versions, and remove nothing. What the histories of
both sides must have said before is held by ``tests/contract/test_all_versions.py``."""


@dataclass(frozen=True)
class Lie:
    """One way in which a word is wrong.

    Attributes:
        tells: returns the faults for a case.
        concerns: whether it can happen to an operation.
        says: what the failure says.
    """

    tells: Callable[[Case, Operation], list[Fault]]
    concerns: Callable[[Operation], bool]
    says: str


@dataclass(frozen=True, kw_only=True)
class FileReplaced(Fault):
    """Another program writes to the file while its copy is looked at."""

    operation: str | None = "HeadObject"
    path: Path

    def before(self, exchange: Exchange) -> bool:
        """Write to the file."""
        self.path.write_bytes(NEWER)
        return True


@dataclass(frozen=True, kw_only=True)
class WrittenSince(Fault):
    """Another program stores an object as soon as a deletion has taken effect."""

    operation: str | None = "DeleteObject"

    def reshape(self, exchange: Exchange, reply: Reply) -> None:
        """Store it."""
        store_of(exchange).put(exchange.request.bucket, exchange.request.key, make_object(NEWER))


def of_copy(fault: Fault) -> Callable[[Case, Operation], list[Fault]]:
    """Address a fault to every copy."""
    return lambda case, _: [replace(fault, key=f"{case.name}/to/*", attempt="every")]


def of_source(fault: Fault) -> Callable[[Case, Operation], list[Fault]]:
    """Address a fault to the first source."""
    return lambda case, _: [replace(fault, key=f"{case.name}/in/a")]


def foreign_entry(case: Case, operation: Operation) -> list[Fault]:
    """List a neighbour that nobody has asked for."""
    return [ForeignEntry(operation=operation.listing, key=f"{case.name}/*", name=f"{case.name}/kept")]


def another_name(case: Case, _: Operation) -> list[Fault]:
    """Let the destination be the source, under the bucket's other name."""
    case.to = f"s3://alias/{case.name}/in/"
    return []


def replaced_before_the_last_look(case: Case, operation: Operation) -> list[Fault]:
    """Write to the source after it was copied."""
    case.kept[f"{case.name}/in/a"] = NEWER
    swap = ReplaceObject(operation="HeadObject", replacement=NEWER, nth=operation.looks)
    return of_source(swap)(case, operation)


def replaced_after_the_last_look(case: Case, operation: Operation) -> list[Fault]:
    """Write to the source when it is about to be deleted."""
    case.kept[f"{case.name}/in/a"] = NEWER
    return of_source(ReplaceObject(operation="DeleteObject", replacement=NEWER))(case, operation)


def file_replaced(case: Case, _: Operation) -> list[Fault]:
    """Write to the file after it was uploaded."""
    case.kept["a"] = NEWER
    return [FileReplaced(key=f"{case.name}/to/a", path=case.files / "a")]


def told(how: Any) -> Callable[[Case, Operation], list[Fault]]:
    """Refuse to delete the first source, and tell that in an odd way."""
    return lambda case, _: [RefuseDelete(pattern=f"{case.name}/in/a", attempt="every"), TwistedErrors(how=how, times=1)]


def error_with_200(case: Case, operation: Operation) -> list[Fault]:
    """Answer a deletion with a 200 that holds an error."""
    refusal = ErrorXmlWith200(code="AccessDenied", attempt="every")
    if operation.batch:
        return [replace(refusal, operation="DeleteObjects", times=1)]
    return [replace(refusal, operation="DeleteObject", key=f"{case.name}/in/*")]


STORED = lambda operation: operation.stored  # noqa: E731
BATCHED = lambda operation: operation.batch  # noqa: E731
MOVED_OBJECT = lambda operation: operation.looks > 0  # noqa: E731
COPIED_OBJECT = lambda operation: operation.looks > 0 and operation.stored  # noqa: E731

LIES: dict[str, Lie] = {
    "there is no copy": Lie(of_copy(Status(code="NoSuchKey", operation="HeadObject")), STORED, "does not have it"),
    "the copy has another length": Lie(of_copy(ToldLength()), STORED, "was to have"),
    "the copy is another one": Lie(of_copy(Etag(operation="HeadObject", etag="0" * 32)), STORED, "when it stored"),
    "the copy has no ETag": Lie(of_copy(Etag(operation="HeadObject", etag=None)), STORED, "tells no ETag now"),
    "the copy cannot be asked for": Lie(
        of_copy(Status(code="AccessDenied", operation="HeadObject")), STORED, "could not be removed: the credentials",
    ),
    "a foreign key is listed": Lie(foreign_entry, lambda operation: bool(operation.listing), "does not begin with"),
    "the copy is the source": Lie(another_name, COPIED_OBJECT, "one object under two names"),
    "the copy is the source, within one second": Lie(
        lambda case, operation: [*another_name(case, operation), FrozenTime(key=f"{case.name}/*")],
        COPIED_OBJECT, "one object under two names",
    ),
    "the copy looks like the source, and takes no token": Lie(
        lambda case, _: [
            FrozenTime(key=f"{case.name}/*"),
            IgnoreHeader(name="x-amz-meta-*", operation="CopyObject", key=f"{case.name}/to/*"),
        ],
        lambda operation: operation.looks > 0 and operation.stored and operation.body == BODY, "keeps no metadata",
    ),
    "the source was replaced, and was looked at": Lie(
        replaced_before_the_last_look, MOVED_OBJECT, "the source was replaced",
    ),
    "the source was replaced since": Lie(replaced_after_the_last_look, MOVED_OBJECT, "the source was replaced"),
    "the file was replaced": Lie(file_replaced, lambda operation: operation.origin == "file", "changed"),
    "nothing is said of a refusal": Lie(told("silent"), BATCHED, "did not confirm"),
    "nothing is said at all": Lie(told("all silent"), BATCHED, "did not confirm"),
    "a refusal names no key": Lie(told("no key"), BATCHED, "did not confirm"),
    "a refusal names another key": Lie(told("another key"), BATCHED, "did not confirm"),
    "a refusal names an encoded key": Lie(told("encoded key"), BATCHED, "do not allow"),
    "a refusal names no version": Lie(
        told("no version"), lambda operation: operation.batch and operation.versions, "do not allow",
    ),
    "a deletion is answered 200, with an error": Lie(
        error_with_200, lambda operation: operation.origin == "object", "do not allow",
    ),
    "an abort does nothing": Lie(
        lambda case, _: [RawBody(operation="AbortMultipartUpload", key=f"{case.name}/*", status=204, body=b"",
                                 attempt="every")],
        lambda operation: operation.origin == "upload", "parts of the upload are listed",
    ),
}  # fmt: skip

ROWS = [
    pytest.param(operation, lie, id=f"{operation}-{lie}")
    for operation in OPERATIONS
    for lie in LIES
    if LIES[lie].concerns(OPERATIONS[operation])
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WriteRig, AsyncEngine]]:
    """An engine before a fault server, and one that knows the same server by another name of its host."""
    folder = tmp_path_factory.mktemp("removed")
    with pytest.MonkeyPatch.context() as patch, serving_site(folder) as site, engine_at(site) as rig:
        patch.setattr(aborting, "ABORT_PAUSE_S", 0.01)
        site.server.store.alias("alias", "bucket")
        other = f"http://localhost:{site.server.port}"
        yield rig, rig.engine.beside(msgspec.structs.replace(rig.engine.settings, endpoint_url=other))


@pytest.fixture
def case(stage: tuple[WriteRig, AsyncEngine]) -> Case:
    """Names of its own for one test."""
    rig, beside = stage
    rig.cases += 1
    return Case(rig, beside, f"case-{rig.cases}")


def prepared(case: Case, operation: Operation) -> None:
    """Make two sources of the operation's kind, and a neighbour."""
    put = case.rig.server.store.put
    put("bucket", f"{case.name}/kept", make_object(BODY))
    names = ["a"] if operation.origin == "upload" else ["a", "b"]
    if operation.origin == "file":
        case.files.mkdir(parents=True)
    for name in names:
        key = f"{case.name}/in/{name}"
        if operation.origin == "object":
            put("bucket", key, make_object(operation.body))
        elif operation.origin == "file":
            (case.files / name).write_bytes(operation.body)
        else:
            (case.rig.folder / case.name).mkdir(exist_ok=True)
            case.engine.run(case.engine.aio.control.begin_upload, ObjectRef("bucket", key))
            (upload,) = [one for one in case.rig.server.store.uploads.pending("bucket") if one.key == key]
            upload.parts[1] = Part(make_object(BODY).content, bytes(16), datetime.now(UTC))


def sources(case: Case, operation: Operation) -> dict[str, bytes]:
    """Return the sources that are there, by what results call them."""
    if operation.origin == "file":
        return {str(path): path.read_bytes() for path in sorted(case.files.iterdir())}
    if operation.origin == "upload":
        names = [f"{case.name}/in/{name}" for name in "ab"]
        return {ObjectRef("bucket", key).url: b"" for key in names if case.rig.pending(key)}
    found = case.rig.server.store.in_bucket("bucket")
    return {
        ObjectRef("bucket", key).url: stored.body for key, stored in found.items() if key.startswith(f"{case.name}/in/")
    }


def carried_out(case: Case, operation: Operation) -> tuple[set[str], set[str], str]:
    """Do it, and return what it says to have removed, what it says to have failed, and why."""
    (case.rig.folder / case.name).mkdir(exist_ok=True)
    try:
        results = operation.run(case)
        results = [results] if isinstance(results, TransferResult) else list(results)
    except TransferError as error:
        return set(), {error.subject}, str(error)
    removed, failed, failures = set(), set(), []
    for result in results:
        name = result.source if isinstance(result, TransferResult) else result.name
        if result.failure is not None:
            failed.add(name)
            failures.append(f"{result.failure.message} {result.failure.cause}")
        elif isinstance(result, TransferResult) or result.cleared:
            removed.add(name)
    return removed, failed, "; ".join(failures)


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_removes_what_it_is_asked_to(case: Case, name: str) -> None:
    """Where every word is true the sources are gone, and nothing else is; the copies are there."""
    operation = OPERATIONS[name]
    prepared(case, operation)
    before = sources(case, operation)
    removed, _, failures = carried_out(case, operation)
    assert failures == ""
    after = sources(case, operation)
    assert set(after) == set(before) - removed
    assert len(after) < len(before)
    assert case.rig.stored(f"{case.name}/kept") == BODY
    if operation.stored:
        assert case.rig.stored(f"{case.name}/to/a") == operation.body


@pytest.mark.parametrize(("name", "lie"), ROWS)
def test_nothing_is_removed_on_a_single_word(case: Case, name: str, lie: str) -> None:
    """What a wrong word would have cost is there, the operation has failed, and it says why."""
    operation = OPERATIONS[name]
    prepared(case, operation)
    before = sources(case, operation)
    first = next(iter(before))
    faults = LIES[lie].tells(case, operation)
    for fault in faults:
        case.rig.server.add_fault(fault)
    removed, failed, failures = carried_out(case, operation)
    after = sources(case, operation)
    assert [fault for fault in faults if not case.rig.server.fired(fault)] == []
    assert LIES[lie].says in failures
    assert first in after
    assert first not in removed
    assert set(before) - set(after) <= removed | failed, "something is gone that nobody was told of"
    if case.kept:
        assert after[first] == NEWER
    else:
        assert after[first] == before[first]
    assert case.rig.stored(f"{case.name}/kept") == BODY


@pytest.mark.parametrize("name", [name for name, one in OPERATIONS.items() if one.looks and one.stored])
def test_objects_that_look_alike_are_moved(case: Case, name: str) -> None:
    """Source and copy of the same bytes, made within one second, are told apart, and the move is done."""
    operation = OPERATIONS[name]
    prepared(case, operation)
    frozen = FrozenTime(key=f"{case.name}/*")
    case.rig.server.add_fault(frozen)
    _, _, failures = carried_out(case, operation)
    assert (failures, case.rig.server.fired(frozen) > 0) == ("", True)
    assert case.rig.stored(f"{case.name}/in/a") is None
    assert case.rig.stored(f"{case.name}/to/a") == operation.body


@pytest.mark.parametrize("status", [400, 501])
def test_a_service_that_refuses_conditions(case: Case, status: Any) -> None:
    """It is asked once more without, after one more look: what was replaced until then stays."""
    for name, swap in (("moved", None), ("kept", ReplaceObject(operation="HeadObject", replacement=NEWER, nth=3))):
        key = f"{case.name}/in/{name}"
        case.rig.server.store.put("bucket", key, make_object(BODY))
        case.rig.server.add_fault(RefuseCondition(key=key, status=status))
        if swap is not None:
            case.rig.server.add_fault(replace(swap, key=key))
    with engine_at(case.rig) as rig:
        rig.engine.download(case.url("in/moved"), case.rig.folder / "moved", move=True)
    assert case.rig.stored(f"{case.name}/in/moved") is None
    with engine_at(case.rig) as rig, pytest.raises(TransferError, match="the source was replaced"):
        rig.engine.download(case.url("in/kept"), case.rig.folder / "kept", move=True)
    assert case.rig.stored(f"{case.name}/in/kept") == NEWER


def test_a_service_that_ignores_conditions(case: Case) -> None:
    """The look right before is all that there is, and it is taken: one HEAD more, and no other request."""
    key = f"{case.name}/in/a"
    case.rig.server.store.put("bucket", key, make_object(BODY))
    case.rig.server.add_fault(IgnoreHeader(name="if-match", operation="DeleteObject", key=key))
    case.engine.download(case.url("in/a"), case.rig.folder / f"{case.name}-a", move=True)
    asked = [one.operation for one in case.rig.server.requests if one.key == key]
    assert asked == ["HeadObject", "GetObject", "HeadObject", "DeleteObject"]


def test_an_answer_to_a_deletion_that_is_lost(case: Case) -> None:
    """The next try finds nothing to delete on condition of anything, and the move is done."""
    key = f"{case.name}/in/a"
    case.rig.server.store.put("bucket", key, make_object(BODY))
    lost = reply_lost(operation="DeleteObject", key=key)
    case.rig.server.add_fault(lost)
    case.engine.download(case.url("in/a"), case.rig.folder / f"{case.name}-a", move=True)
    assert case.rig.server.fired(lost) == 1
    assert case.rig.stored(key) is None


@pytest.mark.parametrize("condition", ["refused", "ignored"])
def test_a_deletion_whose_answer_is_lost_is_not_made_again_blindly(case: Case, condition: str) -> None:
    """Until the next try, which may be an outage later, another object may be there, and no condition would save it."""
    key = f"{case.name}/in/a"
    case.rig.server.store.put("bucket", key, make_object(BODY))
    attempt = 2 if condition == "refused" else 1  # the first one that deletes anything
    lost = reply_lost(operation="DeleteObject", key=key, attempt=attempt)
    case.rig.server.add_fault(lost)
    case.rig.server.add_fault(WrittenSince(key=key, attempt=attempt))
    if condition == "refused":
        case.rig.server.add_fault(RefuseCondition(key=key))
    else:
        case.rig.server.add_fault(IgnoreHeader(name="if-match", operation="DeleteObject", key=key, attempt="every"))
    with engine_at(case.rig) as rig, pytest.raises(TransferError, match="the source was replaced"):
        rig.engine.download(case.url("in/a"), case.rig.folder / f"{case.name}-a", move=True)
    assert case.rig.server.fired(lost) == 1
    assert case.rig.stored(key) == NEWER


def test_what_moves_and_deletions_cost(case: Case) -> None:
    """A move asks for the copy once and for the source once; a copy and a deletion ask for nothing more."""
    put = case.rig.server.store.put
    for name in "abc":
        put("bucket", f"{case.name}/in/{name}", make_object(BODY))
    (case.rig.folder / case.name).mkdir()
    (case.rig.folder / case.name / "up").write_bytes(BODY)
    case.engine.copy(case.url("in/a"), case.url("to/copied"))
    case.engine.copy(case.url("in/a"), case.url("to/moved"), move=True)
    case.engine.upload(case.rig.folder / case.name / "up", case.url("to/up"), move=True)
    begun = len(case.rig.server.requests)
    case.removed("in/b")
    assert [one.operation for one in case.rig.server.requests[begun:]] == ["DeleteObjects"]

    def asked(key: str) -> list[str]:
        return [one.operation for one in case.rig.server.requests if one.key == f"{case.name}/{key}"]

    assert asked("to/copied") == ["CopyObject"]
    assert asked("to/moved") == ["CopyObject", "HeadObject"]
    assert asked("in/a") == ["HeadObject", "HeadObject", "HeadObject", "DeleteObject"]
    assert asked("to/up") == ["PutObject", "HeadObject"]


# Whatever is added


def functions_that(wanted: Callable[[ast.AST], bool]) -> set[str]:
    """Return the functions of the package that hold such a piece of code, with their classes."""
    found = set()

    def walk(node: ast.AST, name: tuple[str, ...]) -> None:
        if wanted(node):
            found.add(".".join(name))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = (*name, node.name)
        for child in ast.iter_child_nodes(node):
            walk(child, name)

    for path in SOURCE.rglob("*.py"):
        walk(ast.parse(path.read_text()), ())
    return found


def asks_for_deletion(node: ast.AST) -> bool:
    """Tell whether code makes a request that deletes, has it made, or calls the SDK to delete."""
    if isinstance(node, ast.Attribute):
        named = (
            "delete_object",
            "delete_objects",
            "abort_multipart_upload",
            "abort_upload",
            "abort_until_gone",
            "delete_bucket",
        )
        if node.attr in ("delete", "delete_many", "delete_together"):
            return ast.unparse(node.value).endswith(("control", "engine"))
        return node.attr in named
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id
        in (
            "Delete",
            "DeleteMany",
            "AbortUpload",
            "DeleteBucket",
            "delete_object",
            "delete_objects",
            "abort_upload",
            "delete_bucket",
        )
    )


def removes_files(node: ast.AST) -> bool:
    """Tell whether code removes a file."""
    return isinstance(node, ast.Attribute) and node.attr in ("unlink", "rmdir", "rmtree", "removedirs")


def test_every_way_to_remove_is_here() -> None:
    """Whatever asks for a deletion belongs to an operation above, so that nobody forgets its rows."""
    ours = {remover for operation in OPERATIONS.values() for remover in operation.removers}
    known = ours | CARRIERS | OWN | IN_A_FOLDER | OF_BUCKETS | OF_LINKS | OF_BENCHMARKS | HIDES
    assert functions_that(asks_for_deletion) | functions_that(removes_files) == known
    moving = {
        name
        for name, method in inspect.getmembers(AsyncEngine, inspect.isfunction)
        if "move" in inspect.signature(method).parameters and not name.startswith("_")
    }
    assert moving <= set(OPERATIONS)
    of_a_store = {name for name, _ in inspect.getmembers(S3Store, inspect.isfunction) if "delete" in name}
    assert of_a_store == {"delete", "delete_many", "delete_together", "delete_tags"}  # the last one removes no object


def test_every_lie_is_told() -> None:
    """No row is without an operation, and no operation without a row."""
    assert {row.values[1] for row in ROWS} == set(LIES)
    assert {row.values[0] for row in ROWS} == set(OPERATIONS)
