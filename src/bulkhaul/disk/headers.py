"""Keeps the headers of an object with the file that holds it, in an extended attribute."""

from __future__ import annotations

import errno
import os

import msgspec

from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.errors import LocalError, Unsupported
from bulkhaul.model.objects import Content

ATTRIBUTE = "user.bulkhaul.content"
"""Its value is the JSON of a ``Content`` without what is empty; a file without headers has no such attribute."""

_NONE = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS})
_NO_ROOM = frozenset({errno.E2BIG, errno.ENOSPC, errno.ERANGE, errno.EDQUOT})

_decoder = msgspec.json.Decoder(Content)


def keep_content(fd: int, content: Content, path: str) -> None:
    """Note the headers of an object at its file; nothing where it has none.

    Args:
        path: for messages.

    Raises:
        Unsupported: the file system has no such attributes.
        LocalError: it has no room for so much, or refuses.
    """
    if content == Content():
        return
    try:
        os.setxattr(fd, ATTRIBUTE, msgspec.json.encode(content))
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "")
        if error.errno in _NONE:
            text = "this file system keeps no attributes of files, so no metadata; store the object without any"
            raise Unsupported(text, path, name) from error
        if error.errno in _NO_ROOM:
            raise LocalError("the file system has no room for so much metadata; shorten it", path, name) from error
        raise local_error(error, path) from error


def kept_content(fd: int, path: str) -> Content:
    """Return the headers that were noted at a file.

    Args:
        path: for messages.

    Raises:
        LocalError: they cannot be read, or are none.
    """
    try:
        return _decoder.decode(os.getxattr(fd, ATTRIBUTE))
    except msgspec.MsgspecError as error:
        raise LocalError(f"its attribute {ATTRIBUTE} holds no headers; store the object anew", path) from error
    except OSError as error:
        if error.errno in _NONE:
            return Content()
        raise local_error(error, path) from error
