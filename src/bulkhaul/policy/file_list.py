"""Reads a list of keys or paths, one a line, as the rows of a plan: what each line names, and where it goes.

    key or path            below SRC, and to the same name below DEST
    s3://bucket/key        that object; to its path below SRC, else to the last segment of its key
    source<TAB>destination to another name below DEST, or to a whole s3:// URL

Lists that NUL separates hold names alone, as they are: a TAB, a line end and a ``#`` are part of them.
"""

from __future__ import annotations

import msgspec

from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import KIB
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.naming import base_name

SCHEME = "s3://"

MAX_LINE_BYTES = 64 * KIB
"""Longest line: two paths of Linux (4,096 bytes each) or two keys fit in many times."""

_BOM = b"\xef\xbb\xbf"


class Line(msgspec.Struct, frozen=True):
    """One entry of a list: its number in the file, from 1, and its bytes, without what separates it from the next."""

    number: int
    raw: bytes


class Lines:
    """Cuts the bytes of a list, as they come, into entries; memory holds one that is not whole."""

    def __init__(self, *, nul: bool) -> None:
        """Take whether NUL separates the entries; else lines that are empty or begin with ``#`` are passed over."""
        self._nul = nul
        self._number = 0
        self._rest = b""

    def feed(self, data: bytes) -> list[Line]:
        """Return the entries that are whole by now."""
        *whole, rest = (self._rest + data).split(b"\0" if self._nul else b"\n")
        self._rest = rest[: MAX_LINE_BYTES + 1]  # one that is too long already stays so
        return self._entries(whole)

    def end(self) -> list[Line]:
        """Return the last entry, where nothing ends it."""
        rest, self._rest = self._rest, b""
        return self._entries([rest] if rest else [])

    def _entries(self, whole: list[bytes]) -> list[Line]:
        found = []
        for raw in whole:
            self._number += 1
            text = raw
            if not self._nul:
                text = raw.removesuffix(b"\r")
                if self._number == 1:
                    text = text.removeprefix(_BOM)
                if not text or text.startswith(b"#"):
                    continue
            found.append(Line(self._number, text))
        return found


class ListedNames(msgspec.Struct, frozen=True, kw_only=True):
    """What the lines of a list are names in.

    Attributes:
        source: what is put before a name: ``s3://bucket/`` and a prefix that is empty or ends in a slash, or the path
            of a folder that ends in a slash. Empty where a line has to be a whole URL.
        destination: likewise; empty for deletions.
        pairs: a line may name a destination, behind a TAB.
    """

    action: Action
    source: str
    destination: str = ""
    pairs: bool = True

    def row(self, n: int, line: Line) -> Row:
        """Return the row of a line.

        Raises:
            UsageError: the line makes no sense.
            TransferError: it names nothing that could be a source or a destination.
        """
        name, destination = self._names(line.raw)
        if self.action is Action.UPLOAD:
            relative = _path_below(name)
            source = self.source + relative
        else:
            source = name if name.startswith(SCHEME) else self._below_source(name)
            relative = self._relative(source)
        if self.action is Action.DELETE:
            return Row(n=n, action=self.action, source=source)
        whole = "/" if self.action is Action.DOWNLOAD else SCHEME
        if not destination.startswith(whole):
            destination = self.destination + (destination or relative)
        return Row(n=n, action=self.action, source=source, destination=destination)

    def _names(self, raw: bytes) -> tuple[str, str]:
        if len(raw) > MAX_LINE_BYTES:
            raise UsageError(f"the line has more than {MAX_LINE_BYTES} bytes")
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise UsageError("the line is not valid UTF-8", cause=str(error)) from error
        if not text:
            raise UsageError("it is empty, and names nothing")
        if "\0" in text:
            raise UsageError("the line holds NUL; --files-from0 reads a list that NUL separates")
        if not self.pairs:
            return text, ""
        name, *others = text.split("\t")
        if len(others) > 1:
            raise UsageError("the line holds more than one TAB; --files-from0 reads names that hold some")
        if not name or others == [""]:
            raise UsageError("the line names nothing before or behind its TAB")
        if others and self.action is Action.DELETE:
            raise UsageError("the line names a destination, and what is deleted goes nowhere")
        return name, others[0] if others else ""

    def _below_source(self, name: str) -> str:
        if not self.source:
            raise UsageError("it is no s3:// URL; name the prefix that keys are relative to as an argument")
        return self.source + name

    def _relative(self, url: str) -> str:
        """Return the name that an object gets below the destination."""
        if self.source and url.startswith(self.source):
            return url[len(self.source) :]
        if self.action is Action.DELETE:
            return ""
        name = base_name(url.removeprefix(SCHEME).partition("/")[2])
        if not name.components:
            raise UsageError(f"the key gives no name: {name.refused}; name a destination behind a TAB")
        return name.components[0]


def _path_below(name: str) -> str:
    """Return the path of a file below a folder, as plain segments: a slash or ``./`` in front means nothing.

    >>> _path_below("./a//b"), _path_below("/a")
    ('a/b', 'a')

    Raises:
        UsageError: it leads out of the folder, or names a folder.
    """
    if name.startswith(SCHEME):
        raise UsageError("it is an object, and SRC is a folder of files")
    segments = [segment for segment in name.split("/") if segment not in ("", ".")]
    if ".." in segments:
        raise UsageError('it has a ".." segment; a list names files below SRC')
    if not segments or name.endswith(("/", "/.")):
        raise UsageError("it names a folder, and no file")
    return "/".join(segments)
