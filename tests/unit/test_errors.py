"""The tree of errors: rebuilt whole after pickling, told as values, each with its exit code."""

from __future__ import annotations

import pickle

import msgspec
import pytest

import bulkhaul.errors
from bulkhaul.model import errors
from bulkhaul.model.errors import ErrorInfo, TransferError, error_of, kind_of

KINDS = [getattr(errors, name) for name in errors.__all__]

INFO = ErrorInfo(
    "Throttled",
    "the service asks to slow down",
    "s3://b/k",
    "HTTP 503 SlowDown",
    503,
    "SlowDown",
    "req-1",
    "host-1",
    2.5,
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_pickling(kind: type[TransferError]) -> None:
    """Between processes an error keeps its class, text, subject, cause and details."""
    info = msgspec.structs.replace(INFO, code=kind.__name__)
    error = kind("what happened", "s3://b/k", "what lay beneath", info)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made a line above
    assert type(copy) is kind
    assert (copy.message, copy.subject, copy.cause, copy.info) == (error.message, error.subject, error.cause, info)
    assert str(copy) == str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_travels_as_a_value(kind: type[TransferError]) -> None:
    """``info`` names the class, crosses msgpack, and rebuilds an equal error."""
    error = kind("what happened", "s3://b/k", "beneath")
    assert error.info == ErrorInfo(kind.__name__, "what happened", "s3://b/k", "beneath")
    arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(error.info), type=ErrorInfo)
    again = error_of(arrived)
    assert type(again) is kind is kind_of(arrived)
    assert str(again) == str(error) == "s3://b/k: what happened (cause: beneath)"


def test_all_details_cross_as_a_value() -> None:
    """Status, service code, ids and Retry-After are not lost on the way."""
    arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(INFO), type=ErrorInfo)
    assert arrived == INFO
    assert error_of(arrived).info == INFO


def test_an_unknown_code_becomes_other_error() -> None:
    """A name that no class has is kept as OtherError, with its details."""
    error = error_of(ErrorInfo("FromTheFuture", "odd", status=418))
    assert type(error) is errors.OtherError
    assert error.info.status == 418


def test_the_text_holds_the_request_id_that_support_asks_for() -> None:
    """``str(error)`` reads: object, what happened, request id, cause."""
    text = str(error_of(INFO))
    assert text == "s3://b/k: the service asks to slow down [request id req-1] (cause: HTTP 503 SlowDown)"


def test_about_names_the_object_and_keeps_the_rest() -> None:
    """The coordinator adds the full name of the object; class and details stay."""
    error = error_of(msgspec.structs.replace(INFO, subject="")).about("s3://b/other")
    assert isinstance(error, errors.Throttled)
    assert error.info == msgspec.structs.replace(INFO, subject="s3://b/other")


def test_exit_codes_are_those_of_the_command() -> None:
    """2 for usage, 130 for interrupted, 1 for all other failures."""
    codes = {kind.__name__: kind.exit_code for kind in KINDS}
    assert {name for name, code in codes.items() if code == 2} == {"UsageError", "InvalidUrl"}
    assert {name for name, code in codes.items() if code == 130} == {"Cancelled"}
    assert set(codes.values()) == {1, 2, 130}


def test_only_what_may_pass_is_retryable() -> None:
    """The network, the service's own failures, throttling, expiry, one wrong reply or garbled body; nothing else."""
    assert {kind.__name__ for kind in KINDS if kind.retryable} == {
        "BodyCorrupted", "ExpiredCredentials", "NetworkError", "ServerError", "StallTimeout", "Throttled",
        "UnexpectedReply",
    }  # fmt: skip


def test_callers_find_every_error_in_bulkhaul_errors() -> None:
    """The public module exports exactly the tree, and every class of the tree is public."""
    assert bulkhaul.errors.__all__ == errors.__all__ == sorted(errors.__all__)
    for name in errors.__all__:
        assert getattr(bulkhaul.errors, name) is getattr(errors, name)
    values = [value for value in vars(errors).values() if isinstance(value, type)]
    defined = {value.__name__ for value in values if issubclass(value, TransferError)}
    assert defined == set(errors.__all__)


def test_one_clause_catches_everything() -> None:
    """Every error is a TransferError, and says in its docstring when it comes."""
    for kind in KINDS:
        assert issubclass(kind, TransferError)
        assert kind.__doc__
