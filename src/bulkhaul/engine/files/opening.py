"""Opens an object as a file object, by an engine of the caller's or by one that the program shares."""

from __future__ import annotations

from bulkhaul.engine.files.reader import ObjectReader
from bulkhaul.engine.files.runs import Runs
from bulkhaul.engine.files.writer import ObjectWriter
from bulkhaul.engine.transfers.endpoints import object_ref
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.described import checked
from bulkhaul.policy.storerules import check_mode


def opened_object(
    engine: Runs, url: str | ObjectRef, mode: str, options: ObjectOptions, version_id: str
) -> ObjectReader | ObjectWriter:
    """Return the object, open.

    Raises:
        UsageError: a mode other than ``rb`` and ``wb``, or what does not go with it.
        TransferError: an object to read cannot be looked at.
    """
    ref = object_ref(url)
    check_mode(mode, has_options=options != DEFAULT_OPTIONS, version_id=version_id, subject=ref.url)
    return ObjectReader(engine, ref, version_id) if mode == "rb" else ObjectWriter(engine, ref, checked(options))
