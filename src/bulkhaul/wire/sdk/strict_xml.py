"""Makes the SDK parse XML and headers of replies strictly: a value with more than one reading is refused.

The SDK's own parser is lenient: any word but ``true`` is false (a listing would seem to end), ``1_0`` and ``١`` are
numbers, a field that comes twice becomes anything, and text with an element in it is cut off there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore.parsers import ResponseParserError, ResponseParserFactory, RestXMLParser

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.wire.instants import INSTANT
from bulkhaul.wire.replies.fields import decoded

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
"""Source: XML Schema, xs:boolean."""


class StrictParser(RestXMLParser):  # type: ignore[misc] # botocore has no types
    """The SDK's parser of S3 replies, made strict."""

    def _handle_integer(self, shape: Any, value: Any) -> int:
        text = _text_of(shape, value)
        if not _INTEGER.fullmatch(text):
            raise _refused(shape, text)
        return int(text)

    _handle_long = _handle_integer

    def _handle_boolean(self, shape: Any, value: Any) -> bool:
        text = _text_of(shape, value).lower()
        if text not in _BOOLEANS:
            raise _refused(shape, text)
        return _BOOLEANS[text]

    def _handle_timestamp(self, shape: Any, value: Any) -> Any:
        text = _text_of(shape, value)
        if shape.name == "Expires":
            return text  # any text may be stored there; "0" often is
        if not INSTANT.fullmatch(text):
            raise _refused(shape, text)
        try:
            return self._timestamp_parser(text)
        except (ValueError, OverflowError) as error:
            raise _refused(shape, text) from error

    def _handle_string(self, shape: Any, value: Any) -> Any:
        return super()._handle_string(shape, _text_of(shape, value))

    def _handle_structure(self, shape: Any, node: Any) -> Any:
        if isinstance(node, list):
            raise _refused(shape, "it comes twice")
        return super()._handle_structure(shape, node)

    def _handle_list(self, shape: Any, node: Any) -> Any:
        if isinstance(node, list) and not shape.serialization.get("flattened"):
            raise _refused(shape, "it comes twice")
        return super()._handle_list(shape, node)

    def _do_modeled_error_parse(self, response: Any, shape: Any) -> Any:
        try:
            return super()._do_modeled_error_parse(response, shape)
        except UnexpectedReply:
            return {}  # status and code say what went wrong; the rest of an error decides nothing

    def _parse_xml_string_to_dom(self, xml_string: bytes) -> Any:
        if b"<!DOCTYPE" in xml_string:
            # For an error document the SDK then goes by the status alone.
            raise ResponseParserError("the reply declares entities of its own, as no S3 service does")
        root = super()._parse_xml_string_to_dom(xml_string)
        root.tag = self._node_tag(root)  # so that an error document in a namespace is found, too
        return root


class StrictParserFactory(ResponseParserFactory):  # type: ignore[misc] # botocore has no types
    """Makes strict parsers where the SDK would make its own."""

    def create_parser(self, protocol_name: str) -> Any:
        """Return a parser of the protocol; S3's is rest-xml."""
        if protocol_name != "rest-xml":
            return super().create_parser(protocol_name)
        return StrictParser(**self._defaults)


def read_strictly(client: Any) -> None:
    """Give a client the strict parser. botocore has no setting for it; a test watches that the private name works."""
    client._endpoint._response_parser_factory = StrictParserFactory()


def require_decodable(parsed: Mapping[str, Any], **_: object) -> None:
    """Refuse a listing whose encoded names would be decoded to other names; a hook of ``after-call``.

    Raises:
        UnexpectedReply: a name is not UTF-8 under its percent-encoding.
    """
    if parsed.get("EncodingType") != "url":
        return
    names = [parsed.get(name, "") for name in _MARKERS]
    names += [item.get(field, "") for name, field in _NAMED for item in parsed.get(name, ())]
    for name in names:
        decoded(name)


_MARKERS = ("NextMarker", "NextKeyMarker")
_NAMED = (
    ("Contents", "Key"), ("Versions", "Key"), ("DeleteMarkers", "Key"), ("Uploads", "Key"), ("CommonPrefixes", "Prefix")
)  # fmt: skip
"""The members of listings that hold encoded names. Source: botocore.handlers, ``decode_list_object``; S3 API Reference,
ListMultipartUploads."""


def _text_of(shape: Any, value: Any) -> str:
    """Return the text of an element, or of a header."""
    if isinstance(value, list):
        raise _refused(shape, "it comes twice")
    if hasattr(value, "text"):
        if len(value):
            raise _refused(shape, "an element within its text")
        value = value.text or ""
    return str(value)


def _refused(shape: Any, value: str) -> UnexpectedReply:
    return UnexpectedReply("the reply tells a value that can be none", cause=f"{shape.name}: {value[:80]!r}")


__all__ = ["read_strictly", "require_decodable"]
