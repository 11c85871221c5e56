"""Splits the lines of a file of commands into words, as a shell does, and knows those that move one object.

cp 's3://bucket/a b' dir/      # quotes, backslashes and comments are the shell's; nothing is expanded
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from bulkhaul.model.errors import UsageError
from bulkhaul.policy.naming import is_text

BLANKS = " \t\r\v\f"
"""What stands between words, and at the ends of lines that other systems write."""

_PROGRAMS = ("bulkhaul", "s5cmd")
"""A line may begin with the program's name, as it does where it was taken from a script."""

_WORD = r"[^\s'\"\\#\-*?][^\s'\"\\*?]*"
_PLAIN = re.compile(rf"(?:(?:{'|'.join(_PROGRAMS)})[ \t]+)?(cp|mv|rm)[ \t]+({_WORD})(?:[ \t]+({_WORD}))?", re.ASCII)
_PIECE = re.compile(
    r"""(?P<blank>[ \t\r\v\f]+)|(?P<comment>\#.*)|(?P<text>[^ \t\r\v\f'"\\]+)|'(?P<single>[^']*)'"""
    r"""|"(?P<double>(?:[^"\\]|\\.)*)"|\\(?P<escaped>.)""",
    re.DOTALL,
)
_HASH = re.compile("(?P<text>#)")
_IN_DOUBLE = re.compile(r'\\([$`"\\])')
"""What a backslash escapes between double quotes. Source: POSIX.1-2017, Shell Command Language, 2.2.3."""

_S3 = "s3://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class PlainLine(msgspec.Struct, frozen=True):
    """A line without options and patterns that moves or deletes one object.

    Attributes:
        command: cp, mv or rm.
        destination: empty for rm.
    """

    command: str
    source: str
    destination: str = ""


def plain_line(line: str) -> PlainLine | None:
    """Return a line that is one object's, None for every other; a quick way to the ``plain_words`` of its words.

    >>> plain_line("cp s3://b/k dir/")
    PlainLine(command='cp', source='s3://b/k', destination='dir/')
    >>> plain_line("cp s3://b/* dir/"), plain_line("ls s3://b")
    (None, None)
    """
    found = _PLAIN.fullmatch(line)
    return None if found is None else _plain(*found.groups(""))


def plain_words(words: Sequence[str]) -> PlainLine | None:
    """Return the line of words that are one object's, None for others: those need the parser of their command.

    A local source may still be a folder.

    >>> plain_words(["mv", "a b", "s3://b/"])
    PlainLine(command='mv', source='a b', destination='s3://b/')
    """
    command, *places = words
    if command not in ("cp", "mv", "rm") or not 1 <= len(places) <= 2:
        return None
    if any(not place or place.startswith("-") or "*" in place or "?" in place for place in places):
        return None
    return _plain(command, *places)


def _plain(command: str, source: str, destination: str = "") -> PlainLine | None:
    if (command == "rm") == bool(destination):
        return None
    for place in (source, destination):
        if place.startswith(("/dev/", "/proc/")):
            return None  # an open stream may have such a name
        if place.startswith(_S3):
            if place.startswith("s3://arn:") or not is_text(place):
                return None  # an ARN holds a slash of its own, and what is no UTF-8 is refused
        elif _SCHEME.match(place):
            return None
    if source.startswith(_S3):
        bucket, _, key = source[len(_S3) :].partition("/")
        if not bucket or not key or key.endswith("/"):
            return None
    elif command == "rm" or not destination.startswith(_S3):
        return None
    return PlainLine(command, source, destination)


def words_of(line: str) -> list[str]:
    r"""Return the words of a line, without its comment and the program's name before the command.

    Raises:
        UsageError: a quote is not closed, or a backslash ends the line.

    >>> words_of("ls # all buckets"), words_of("rm s3://b/a#1"), words_of("  # nothing")
    (['ls'], ['rm', 's3://b/a#1'], [])
    >>> words_of('s5cmd cp "s3://b/a b" it\\\'s')
    ['cp', 's3://b/a b', "it's"]
    """
    words: list[str] = []
    word: str | None = None
    at = 0
    while at < len(line):
        found = _PIECE.match(line, at)
        if found is not None and found.lastgroup == "comment" and word is not None:
            found = _HASH.match(line, at)  # within a word it stands for itself
        if found is None:
            what = "a backslash at its end escapes nothing" if line[at] == "\\" else "a quote is not closed"
            raise UsageError(what)
        at = found.end()
        if found.lastgroup == "comment":
            break
        if found.lastgroup == "blank":
            if word is not None:
                words.append(word)
            word = None
        elif found.lastgroup == "double":
            word = (word or "") + _IN_DOUBLE.sub(r"\1", found["double"])
        else:
            word = (word or "") + found[found.lastgroup or 0]
    if word is not None:
        words.append(word)
    return words[1:] if words and words[0] in _PROGRAMS else words
