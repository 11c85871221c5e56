"""What a credential_process prints is read as the SDK reads it, or the SDK is asked."""

from __future__ import annotations

import json

import botocore.credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkhaul.policy.awsfiles import Unsure
from bulkhaul.wire.credential_process import read_output
from bulkhaul.wire.usable_keys import unix_time

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
DATES = [
    "2099-01-02T03:04:05Z", "2099-01-02T03:04:05+02:00", "2099-01-02T03:04:05.678Z", "2099-13-02T03:04:05Z", "", "soon",
    "2099-01-02T03:04:05", "2099-01-02 03:04:05Z", "20990102T030405Z", "2099-02-30T03:04:05Z", "2099-01-02T24:00:00Z",
    "2099-01-02T03:04:05.1234567Z", "2099-01-02T03:04:05-0230", "2099-01-02T03:04:60Z", "0000-01-01T00:00:00Z",
]  # fmt: skip
PRINTED = st.fixed_dictionaries(
    {},
    optional={
        "Version": st.just(1) | st.just(1) | st.sampled_from([1.0, True, 2, "1", None]),
        "AccessKeyId": st.just("AKID") | JSON,
        "SecretAccessKey": st.just("secret") | JSON,
        "SessionToken": st.just("token") | JSON,
        "Expiration": st.sampled_from([*DATES, None]) | JSON,
        "AccountId": JSON,
        "Other": JSON,
    },
)


class _Program:
    """A program that has printed something."""

    returncode = 0

    def __init__(self, output: bytes) -> None:
        self._output = output

    def __call__(self, *_: object, **__: object) -> _Program:
        return self

    def communicate(self) -> tuple[bytes, bytes]:
        return self._output, b""


@settings(max_examples=500)
@given(
    output=PRINTED.map(lambda said: json.dumps(said).encode())
    | JSON.map(lambda said: json.dumps(said).encode())
    | st.binary(max_size=20)
)
def test_any_output_of_a_program(output: bytes) -> None:
    """Keys, token and end are those that the SDK reads in the output, or the SDK is asked."""
    try:
        printed = read_output(output)
        ends_s = unix_time(printed.expires) if printed.expires else None
    except Unsure:
        return
    provider = botocore.credentials.ProcessProvider("default", dict, popen=_Program(output))
    found = provider._retrieve_credentials_using("program")
    assert (printed.access_key, printed.secret_key) == (found["access_key"], found["secret_key"])
    assert printed.token == (found["token"] or "")
    expected = found["expiry_time"]
    assert ends_s == (botocore.credentials._parse_if_needed(expected).timestamp() if expected is not None else None)
