"""Names what a presigned URL can be made for."""

from __future__ import annotations

from typing import Literal, get_args

Method = Literal["GET", "HEAD", "PUT", "DELETE"]
"""What whoever has the URL may do with the object: read, look at, store or delete it."""

METHODS: tuple[Method, ...] = get_args(Method)
