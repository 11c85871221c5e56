"""What a newcomer sees first: the public names, their representations, and settings that are known by their names."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

import bulkhaul
from bulkhaul import AsyncEngine, Credentials, Engine, Settings, errors
from bulkhaul.model.errors import ErrorInfo, TransferError, error_of
from bulkhaul.model.objects import Integrity, ObjectInfo
from bulkhaul.model.results import CheckedResult, Progress, RowResult, TransferResult
from bulkhaul.model.rows import Action, ReportRow
from bulkhaul.model.settings import SettingsFields
from bulkhaul.model.verdicts import PairResult, Verdict

KINDS = [getattr(errors, name) for name in errors.__all__]


def test_every_public_name_is_seen_and_importable() -> None:
    """``dir`` is what completion shows, ``help`` reads ``__all__``; each error is among both."""
    assert set(bulkhaul.__all__) <= set(dir(bulkhaul))
    shown = {name for name in {*dir(bulkhaul), *dir(bulkhaul.jobs)} if not name.startswith("__")}
    assert shown <= {*bulkhaul.__all__, *bulkhaul.jobs.__all__, "fsspec"}
    assert {"ObjectRef", "ObjectOptions", "ObjectInfo", "Settings", "TransferResult", "aio", "jobs"} <= set(
        dir(bulkhaul)
    )
    assert set(errors.__all__) <= set(bulkhaul.__all__)
    assert all(getattr(bulkhaul, name) is getattr(errors, name) for name in errors.__all__)
    assert all(getattr(bulkhaul, name) is not None for name in bulkhaul.__all__)
    with pytest.raises(AttributeError, match="Enigne"):
        _ = bulkhaul.Enigne  # type: ignore[attr-defined]


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    """A worker imports it, and pays for what it needs alone; nor does completion load anything."""
    code = "import sys, bulkhaul; dir(bulkhaul); print([name for name in sys.modules if name.startswith('bulkhaul.')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "[]\n"


def test_settings_by_name_are_the_settings() -> None:
    """Editors complete what the engine takes: the same names, and every value of a field."""
    assert list(get_type_hints(SettingsFields)) == list(Settings.__struct_fields__)
    fields, typed = get_type_hints(Settings), get_type_hints(SettingsFields)
    assert {name for name in typed if typed[name] != fields[name]} == {"verify"}  # its values may be written as texts


def test_settings_that_do_not_exist_name_the_nearest() -> None:
    """A slip of the finger fails for the type checker (a comment that ignores nothing is its error), and here."""
    with pytest.raises(errors.UsageError, match=r"no such setting: wrkers; did you mean workers\?"):
        Engine(wrkers=3)  # type: ignore[call-arg]
    with pytest.raises(errors.UsageError, match=r"no such setting: xyz$"):
        AsyncEngine(xyz=3)  # type: ignore[call-arg]
    with pytest.raises(errors.UsageError, match="workers has the wrong type"):
        Engine(workers="3")  # type: ignore[arg-type]


def test_engines_say_what_they_are() -> None:
    """Endpoint, region, workers, that credentials were given, and state; no secret."""
    where = {"endpoint_url": "http://127.0.0.1:9000", "region": "eu-west-1"}
    settings = Settings(**where, workers=3, sse_c_key=b"CANARY" + bytes(26))  # type: ignore[arg-type]
    keys = Credentials("CANARY-id", "CANARY-secret", "CANARY-token")
    text = "of http://127.0.0.1:9000, region eu-west-1, given credentials, 3 workers: not started>"
    assert repr(Engine(settings, credentials=keys)) == f"<Engine {text}"
    assert repr(AsyncEngine(settings, credentials=keys)) == f"<AsyncEngine {text}"
    assert repr(keys) == "Credentials(expires=None)"
    with Engine(settings) as engine:
        assert repr(engine).endswith(": running>")
    assert repr(engine).endswith(": closed>")


def test_stores_of_folders_and_memory_say_what_they_are() -> None:
    """Folder or bucket, and whether they are closed."""
    with bulkhaul.LocalStore("/data") as local, bulkhaul.MemoryStore("photos") as memory:
        assert (repr(local), repr(memory)) == ("<LocalStore of '/data': open>", "<MemoryStore 'photos': open>")
    assert (repr(local), repr(memory)) == ("<LocalStore of '/data': closed>", "<MemoryStore 'photos': closed>")


@pytest.mark.parametrize("kind", KINDS)
def test_errors_pickle_and_compare(kind: type[TransferError]) -> None:
    """All that an error tells comes back, and equals it; another one does not."""
    error = error_of(ErrorInfo(kind.__name__, "gone", "s3://b/k", "reset", 404, "NoSuchKey", "R1", "H1", 1.5, 3))
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(back) is type(error) is kind
    assert (back, hash(back), str(back), back.info) == (error, hash(error), str(error), error.info)
    assert error != error.about("s3://b/other")
    assert error != ErrorInfo(kind.__name__, "gone")
    assert error_of(ErrorInfo("NotFound", "gone")) != error_of(ErrorInfo("AccessDenied", "gone"))


def test_an_error_that_was_told_more_later_pickles_with_it() -> None:
    """What a caller has put into ``info`` is not lost on the way."""
    error = errors.RangeNotSatisfiable("beyond the end", "s3://b/k")
    error.info = ErrorInfo("RangeNotSatisfiable", "beyond the end", "s3://b/k", status=416)
    assert pickle.loads(pickle.dumps(error)).info.status == 416  # noqa: S301 - our own


TIMES = {"last_modified", "created", "initiated"}


def test_one_name_a_thing() -> None:
    """What callers hold calls its length ``size``, whatever it is, and tells its times as datetimes."""
    values = [value for name in bulkhaul.__all__ if isinstance(value := getattr(bulkhaul, name), type)]
    fields = {(one, name): kind for one in (*values, ReportRow, PairResult) for name, kind in told(one).items()}
    assert {name for _, name in fields if name.endswith("size") or name == "size_bytes"} == {"size"}
    assert {kind for (_, name), kind in fields.items() if name in TIMES} == {datetime | None}
    assert {name for _, name in fields} >= TIMES


def told(value: type) -> dict[str, object]:
    """Return the fields of a struct."""
    return get_type_hints(value) if issubclass(value, msgspec.Struct) else {}


PLACE = {"source": "s3://b/k", "destination": "/d/k", "bucket": "b", "key": "k"}


@pytest.mark.parametrize(
    "value",
    [
        TransferResult(**PLACE, integrity=Integrity.CHECKSUM, seconds=1.5),  # type: ignore[arg-type]
        RowResult(**PLACE, action=Action.DOWNLOAD, failure=ErrorInfo("NotFound", "gone")),  # type: ignore[arg-type]
        CheckedResult(**PLACE, verdict=next(iter(Verdict))),  # type: ignore[arg-type]
        Progress(planned_objects=3),
        ObjectInfo("k", 3, metadata={"a": "b"}),
        Settings(endpoint_url="http://127.0.0.1:1", workers=3),
        bulkhaul.ObjectRef("b", "k"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_pickle_and_compare(value: object) -> None:
    """Loaders of dask, ray and torch carry them to other processes."""
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own


def test_what_public_methods_take_and_return_has_a_public_name() -> None:
    """Who writes an annotation needs no module of ours but the first one; nor who registers the file system."""
    names = (
        "CredentialsSource FolderListing ObjectReader ObjectWriter PairResult ProgressCallback ReportRow RestoreAnswer"
        " SettingsFields StoreUrl parse_store_url"
    )
    for name in names.split():
        assert getattr(bulkhaul, name) is not None
        assert name in bulkhaul.__all__
    assert callable(bulkhaul.fsspec.register)


def test_what_is_no_name_or_no_settings_is_told_so() -> None:
    """By an error of ours that says what to give, and none of Python's about an attribute."""
    engine: Any = Engine(workers=1)
    for call in (engine.head, engine.get_bytes, engine.exists, engine.open):
        for name in (Path("/k"), ("b", "k"), None, b"x"):
            with pytest.raises(errors.UsageError, match="an object is named by its URL"):
                call(name)
    with pytest.raises(errors.UsageError, match="an object is named by its URL"):
        engine.put_bytes(b"x", "s3://bucket/key")
    for source in ("/a/path", iter([b"x"])):
        with pytest.raises(errors.UsageError, match="a stream is a descriptor or a file object, not a "):
            engine.upload_stream(source, "s3://bucket/key")
    for call in (engine.head, engine.open):
        with pytest.raises(errors.UsageError, match=r"names a prefix, not an object; .* or call list"):
            call("s3://bucket/prefix/")
    engine.close()
    kinds: tuple[Any, ...] = (Engine, AsyncEngine)
    for kind in kinds:
        for settings in ({"workers": 1}, "http://127.0.0.1"):
            with pytest.raises(errors.UsageError, match="or given by name"):
                kind(settings)
        with pytest.raises(TypeError, match="an engine cannot be pickled; pickle its settings, or a store"):
            pickle.dumps(kind())
