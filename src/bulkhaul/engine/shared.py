"""Opens objects by engines that the whole program shares: one for each combination of settings and credentials."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Literal, Unpack, overload

from bulkhaul.engine.facade import Engine
from bulkhaul.engine.unclosed import nobodys
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.settings import Settings, SettingsFields, with_fields
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions

if TYPE_CHECKING:
    from bulkhaul.engine.files.reader import ObjectReader
    from bulkhaul.engine.files.writer import ObjectWriter

_engines: dict[tuple[int, Settings, CredentialsSource | None], Engine] = {}
_lock = threading.RLock()  # a signal handler may ask for an engine while this thread does


def _after_fork() -> None:
    """Take another lock: a thread that holds the old one, while an engine starts, is not in this child."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def shared_engine(settings: Settings, credentials: CredentialsSource | None = None) -> Engine:
    """Return an engine with these settings that runs until the program ends; others may use it, too.

    Args:
        credentials: what requests are signed with; equal keys share an engine, as one session or function does.

    Raises:
        TransferError: it cannot be started.
        UsageError: the credentials cannot be compared with those of other engines.
    """
    key = (os.getpid(), settings, credentials)  # a child that was forked needs one of its own
    try:
        hash(key)
    except TypeError as error:
        text = "an engine is shared by settings and credentials, which must be hashable; give an engine of your own"
        raise UsageError(text, cause=str(error)) from error
    with _lock:
        engine = _engines.get(key)
        if engine is None or engine.ended:
            for old in [old for old, one in _engines.items() if one.ended]:
                _engines.pop(old, None)
            # A signal handler may have put one there, or finds this one while it starts.
            engine = _engines.setdefault(key, Engine(settings, credentials=credentials))
            nobodys.add(engine)
            engine.start()
        return engine


@overload
def open(  # noqa: A001 - as the built-in one, for objects
    url: str | ObjectRef,
    mode: Literal["rb"] = "rb",
    *,
    engine: Engine | None = None,
    credentials: CredentialsSource | None = None,
    version_id: str = "",
    **settings: Unpack[SettingsFields],
) -> ObjectReader: ...


@overload
def open(  # noqa: A001
    url: str | ObjectRef,
    mode: Literal["wb"],
    *,
    engine: Engine | None = None,
    credentials: CredentialsSource | None = None,
    options: ObjectOptions = DEFAULT_OPTIONS,
    **settings: Unpack[SettingsFields],
) -> ObjectWriter: ...


def open(  # noqa: A001
    url: str | ObjectRef,
    mode: Literal["rb", "wb"] = "rb",
    *,
    engine: Engine | None = None,
    credentials: CredentialsSource | None = None,
    options: ObjectOptions = DEFAULT_OPTIONS,
    version_id: str = "",
    **settings: Unpack[SettingsFields],
) -> ObjectReader | ObjectWriter:
    """Open one object as a file object, for reading (``rb``) or writing (``wb``).

    Usage::

        with bulkhaul.open("s3://bucket/table.csv") as file:
            header = file.readline()
        with bulkhaul.open("s3://bucket/copy.csv", "wb") as file:
            file.write(header)

    A reader can be sought, and asks for what follows before it is wanted. A writer stores the object when it is
    closed, and nothing if its ``with`` block raises. For text, write it encoded, or detach an
    ``io.TextIOWrapper`` before that block ends: closing one stores, whatever was raised.

    Args:
        engine: the engine that asks; without one, an engine of these settings that the program shares.
        credentials: see ``AsyncEngine``; where no engine is given.
        options: how an object is stored that is written.
        version_id: which version is read; empty for the current one.
        settings: fields of ``Settings``, where no engine is given.

    Raises:
        NotFound: there is no such object to read.
        UsageError: another mode, or settings that are unknown, or given beside an engine.
    """
    if engine is None:
        engine = shared_engine(with_fields(Settings(), settings), credentials)
    elif settings or credentials is not None:
        raise UsageError("settings and credentials are of an engine that is made here; leave them out, or the engine")
    from bulkhaul.engine.files.opening import opened_object

    return opened_object(engine, url, mode, options, version_id)
