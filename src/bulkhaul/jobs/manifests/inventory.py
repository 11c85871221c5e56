"""Reads the manifest.json of an S3 Inventory: which data files there are, their format, schema and MD5s.

Source: S3 User Guide, "Locating your inventory list", "Inventory manifest".
"""

from __future__ import annotations

import hashlib
import os
import re
from io import BufferedIOBase

import msgspec

from bulkhaul.jobs.manifests.columns import Columns
from bulkhaul.jobs.manifests.fields import BadField, bucket_name, object_key, shown
from bulkhaul.jobs.manifests.opening import STDIN
from bulkhaul.model.errors import ManifestError
from bulkhaul.model.limits import MIB
from bulkhaul.policy.naming import local_name

MAX_MANIFEST_BYTES = 64 * MIB
"""Largest manifest.json that is read: some 300,000 data files."""

CHECKSUM_NAME = "manifest.checksum"
"""The object beside manifest.json that holds its MD5."""

_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_ARN = re.compile(r"arn:[a-z0-9-]+:s3:::(.+)")
_CHUNK_BYTES = MIB


class DataFile(msgspec.Struct, frozen=True):
    """One data file: its key in the bucket of the inventory, and the MD5 of its bytes."""

    key: str
    md5: str = msgspec.field(name="MD5checksum")


class InventoryManifest(msgspec.Struct, frozen=True, rename="camel"):
    """What manifest.json tells. ``destination_bucket`` is where the data files are, as an ARN or a name."""

    source_bucket: str
    destination_bucket: str
    file_format: str
    file_schema: str
    files: list[DataFile]

    @property
    def bucket(self) -> str:
        """The name of the bucket that holds the data files."""
        found = _ARN.fullmatch(self.destination_bucket)
        return found.group(1) if found else self.destination_bucket

    def columns(self, name: str) -> Columns:
        """Return the columns of CSV files; Parquet and ORC have their own schema in each file.

        Raises:
            ManifestError: bucket or key is not among them.
        """
        return Columns([column.strip() for column in self.file_schema.split(",")], name)


_decode = msgspec.json.Decoder(InventoryManifest).decode


def parse_manifest(content: bytes, name: str) -> InventoryManifest:
    """Return a manifest.json, checked.

    Raises:
        ManifestError: it is none, or tells of no data file, or of one without an MD5.
    """
    try:
        manifest = _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError("it is no manifest.json of an S3 Inventory", name, str(error)) from error
    if manifest.file_format.upper() not in ("CSV", "PARQUET", "ORC"):
        text = f"the field fileFormat: {shown(manifest.file_format)} is none of CSV, Parquet and ORC"
        raise ManifestError(text, name)
    if manifest.file_format.upper() == "CSV":
        manifest.columns(name)
    if not manifest.files:
        raise ManifestError("it lists no data file, so no object", name)
    try:
        bucket_name(manifest.bucket)
    except BadField as error:
        raise ManifestError(f"the field destinationBucket: {error}", name) from None
    for file in manifest.files:
        try:
            object_key(file.key)
        except BadField as error:
            raise ManifestError(f"the key of a data file: {error}", name) from None
        if not _MD5.fullmatch(file.md5):
            text = f"the field MD5checksum of {file.key}: {shown(file.md5)} is no MD5, so its rows cannot be believed"
            raise ManifestError(text, name)
    return manifest


def checksum_beside(name: str) -> str:
    """Return the name of the checksum of a manifest.json; empty where it is called otherwise, so has none.

    >>> checksum_beside("s3://b/i/2016-11-06T21-32Z/manifest.json")
    's3://b/i/2016-11-06T21-32Z/manifest.checksum'
    """
    folder, slash, last = name.rpartition("/")
    return folder + slash + CHECKSUM_NAME if last == "manifest.json" else ""


def check_manifest(content: bytes, checksum: bytes, name: str) -> None:
    """Compare a manifest.json with what is in manifest.checksum.

    Raises:
        ManifestError: it is not the MD5 of these bytes.
    """
    told = checksum.strip().decode(errors="replace")
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if told.lower() != found:
        text = f"its MD5 is {found}, but {CHECKSUM_NAME} beside it tells {shown(told)}; fetch both again"
        raise ManifestError(text, name)


def check_data(file: BufferedIOBase, told: str, name: str) -> None:
    """Read a data file to its end and compare its MD5 with that of the manifest, then go back to its beginning.

    Raises:
        ManifestError: it has other bytes.
    """
    digest = hashlib.md5(usedforsecurity=False)
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    if digest.hexdigest() != told.lower():
        text = f"its MD5 is {digest.hexdigest()}, but the manifest tells {told}; no row of it is used, fetch it again"
        raise ManifestError(text, name)
    file.seek(0)


def data_file_name(manifest: InventoryManifest, file: DataFile, name: str) -> str:
    """Return where a data file is: of a local manifest beside it or in ``../data``, else in the inventory's bucket.

    Where it lies is a guess only for a local manifest; the MD5 decides.
    """
    last = local_name(file.key.rpartition("/")[2]).components
    if last and name != STDIN and not name.startswith("s3://"):
        folder = os.path.dirname(name)
        for path in (os.path.join(folder, last[0]), os.path.join(folder, "..", "data", last[0])):
            if os.path.exists(path):
                return path
    return f"s3://{manifest.bucket}/{file.key}"
