"""What is settled without the SDK is exactly what the SDK resolves, in thousands of made-up configurations.

The SDK's side is the client that workers make, with real files and variables; its requests are stopped before they are
sent. Where the answer is to ask the SDK, nothing is compared; the last tests say which cases must be certain.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import chdir
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import botocore.configloader
import botocore.credentials
import botocore.hooks
import botocore.session
import msgspec
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from bulkhaul.model.settings import Settings
from bulkhaul.policy.environment import tidy
from bulkhaul.policy.resolution import AskSdk, KeysOfProcess
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.credential_chain import resolve_credentials
from bulkhaul.wire.settled import Settled, settle
from bulkhaul.wire.values import Credentials, Target
from tests.unit.awsconfigs import (
    BUCKETS,
    ODD_OPTIONS,
    ODD_S3_OPTIONS,
    ODD_VARIABLES,
    OPTIONS,
    REGIONS,
    S3_OPTIONS,
    VARIABLES,
    Kinds,
    any_configuration,
)
from tests.unit.awsmachine import Machine, new_machine


class _Stopped(Exception):
    """Instead of sending a request."""


@pytest.fixture(autouse=True, scope="module")
def _quick_and_harmless() -> Iterator[None]:
    """Programs are not run, but told of; the SDK inspects each of its hooks once, not once a client."""
    known: dict[Callable[..., Any], bool] = {}
    accepts = botocore.hooks.accepts_kwargs

    def accepts_quickly(function: Callable[..., Any]) -> bool:
        function = getattr(function, "__func__", function)
        if function not in known:
            known[function] = accepts(function)
        return known[function]

    def tell(_: object, command: str) -> dict[str, str | None]:
        return {"access_key": "of-a-process", "secret_key": repr(command), "token": None, "expiry_time": None}

    with (
        mock.patch.object(botocore.hooks, "accepts_kwargs", accepts_quickly),
        mock.patch.object(botocore.credentials.ProcessProvider, "_retrieve_credentials_using", tell),
    ):
        yield


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine of nobody's."""
    with new_machine() as made:
        yield made


# The two sides


def stop(**_: object) -> None:
    """Take the place of sending a request."""
    raise _Stopped


def sdk_target(sdk: SdkClient, bucket: str) -> Target:
    """Return where the SDK would send a request for a bucket."""
    with pytest.raises(_Stopped):
        sdk.client.list_objects_v2(Bucket=bucket)
    return sdk.target(bucket)


def client_of(chosen: Settings) -> tuple[SdkClient, Credentials | None]:
    """Return the SDK's client, which sends nothing, and the credentials that it signs with."""
    sdk = SdkClient(chosen)
    sdk.client.meta.events.register_last("before-send.s3", stop)
    credentials = resolve_credentials(chosen, 1, sdk.session)
    sdk.use(credentials)
    return sdk, credentials


def require_same(chosen: Settings, buckets: list[str]) -> bool:
    """Compare both sides in the present environment; return whether there was an answer without the SDK."""
    settled = settle(chosen)
    tidy(os.environ)
    if isinstance(settled, AskSdk):
        return False
    told = settled.credentials(1, deadline_s=1.0) if not settled.runs_process else process_keys(settled)
    if isinstance(told, AskSdk):
        return False
    sdk, credentials = client_of(chosen)
    assert told == credentials
    assert (settled.verify_tls, settled.ca_bundle) == (sdk.verify_tls, sdk.ca_bundle)
    if "aws-global" not in sdk.endpoint_url:  # a name of no host, which the SDK makes up for the FIPS of no region
        assert urlsplit(settled.endpoint_url).hostname == urlsplit(sdk.endpoint_url).hostname
    for bucket in buckets:
        target = settled.target(bucket)
        if not isinstance(target, AskSdk):
            expected = sdk_target(sdk, bucket)
            if "no_proxy" in os.environ:  # alone it is no proxy, but it keeps the SDK's requests off the fast way
                expected = msgspec.structs.replace(expected, fast=True, why_not="")
            assert target == expected
    return True


def process_keys(settled: Any) -> Credentials:
    """Return the keys that the stand-in for a program gives."""
    keys = settled._resolved.keys
    assert isinstance(keys, KeysOfProcess)
    source = f"credential_process of profile {settled._resolved.profile!r}"
    return Credentials("of-a-process", repr(keys.command), generation=1, source=source)


# Properties


@settings(max_examples=250)
@given(rng=st.randoms(use_true_random=True))
def test_any_configuration(machine: Machine, rng: random.Random) -> None:
    """Credentials, authorities and the target of every bucket are the SDK's, or the SDK is asked."""
    made = any_configuration(rng)
    note(repr(made))
    with machine.set_up(made.config, made.credentials, made.variables), chdir(machine.folder):
        require_same(Settings(workers=2, **made.settings), made.buckets)


def test_many_are_certain(machine: Machine) -> None:
    """The property above is not empty: of such configurations a good part is answered without the SDK."""
    certain = 0
    for seed in range(300):
        made = any_configuration(random.Random(seed))
        with machine.set_up(made.config, made.credentials, made.variables), chdir(machine.folder):
            certain += isinstance(settle(Settings(workers=2, **made.settings)), Settled)
    assert certain > 120


STORES: list[dict[str, Any]] = [
    {"endpoint_url": "http://127.0.0.1:9000", "addressing_style": "virtual"},
    {"endpoint_url": "http://localhost:9000/base", "addressing_style": "virtual"},
    {"endpoint_url": "https://store.example.com/a/b/", "addressing_style": "virtual"},
    {"endpoint_url": "https://store.example.com/a/b/"},
    {"endpoint_url": "https://[::1]:9000", "addressing_style": "virtual"},
    {"endpoint_url": "http://[::1]", "addressing_style": "virtual"},
    {"endpoint_url": "https://s3.eu-west-1.amazonaws.com", "region": "eu-west-1"},
    {"region": "eu-west-1"},
    {"region": "us-east-1", "addressing_style": "virtual"},
    {"region": "us-gov-west-1", "addressing_style": "path"},
    {"sign_requests": False},
]


@settings(max_examples=250)
@given(
    store=st.sampled_from(STORES), bucket=st.text("ab0.-_A", min_size=1, max_size=70) | st.text(min_size=1, max_size=5)
)
def test_any_bucket(clients: dict[str, tuple[Settled, SdkClient]], store: dict[str, Any], bucket: str) -> None:
    """A name is addressed as the SDK addresses it, in the host or the path, or the SDK is asked."""
    settled, sdk = clients[repr(store)]
    target = settled.target(bucket)
    if not isinstance(target, AskSdk):
        assert target == sdk_target(sdk, bucket)


@pytest.mark.parametrize("store", STORES, ids=repr)
def test_each_name(clients: dict[str, tuple[Settled, SdkClient]], store: dict[str, Any]) -> None:
    """The names that are addressed in some way of their own, at every store."""
    settled, sdk = clients[repr(store)]
    for bucket in BUCKETS[0] + BUCKETS[1]:
        target = settled.target(bucket)
        assert isinstance(target, AskSdk) or target == sdk_target(sdk, bucket)


@pytest.mark.parametrize("variant", [(), ("FIPS",), ("DUALSTACK",), ("FIPS", "DUALSTACK")], ids=repr)
def test_each_region(machine: Machine, variant: tuple[str, ...]) -> None:
    """Every region has the endpoint that it has for the SDK, with FIPS and dual stack too, or the SDK is asked."""
    variables = BASES["AWS"][0] | {f"AWS_USE_{name}_ENDPOINT": "true" for name in variant}
    for region in REGIONS[0] + REGIONS[1]:
        with machine.set_up(None, None, {**variables, "AWS_REGION": region}):
            require_same(Settings(workers=2), ["photos"])


@pytest.fixture(scope="module")
def clients(machine: Machine) -> Iterator[dict[str, tuple[Settled, SdkClient]]]:
    """Both sides of each store, made once."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    with machine.set_up(None, None, keys):
        made: dict[str, tuple[Settled, SdkClient]] = {}
        for store in STORES:
            chosen = Settings(workers=2, **store)
            settled = settle(chosen)
            assert isinstance(settled, Settled)
            made[repr(store)] = settled, client_of(chosen)[0]
        yield made


BASES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "AWS": ({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}, {}),
    "a store": ({}, {"endpoint_url": "https://store.example.com", "addressing_style": "virtual"}),
}
PLACES: dict[str, tuple[Kinds, Kinds]] = {
    "variable": (VARIABLES, ODD_VARIABLES),
    "option": (OPTIONS, ODD_OPTIONS),
    "s3": (S3_OPTIONS, ODD_S3_OPTIONS),
}


def each_value(place: str) -> Iterator[tuple[str, str]]:
    """Give each setting of a place with each of its values; those that take the same values take all of them once."""
    complete: list[object] = []
    for kinds in PLACES[place]:
        for name, (usual, odd) in kinds.items():
            yield from ((name, value) for value in (usual + odd if usual not in complete else usual[:2]))
            complete.append(usual)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("place", PLACES)
def test_each_value_of_each_setting(machine: Machine, base: str, place: str) -> None:
    """Every value that the place is given above, alone: it means what it means to the SDK, or the SDK is asked."""
    fixed, fields = BASES[base]
    keys = "aws_access_key_id = AKIDFILE\naws_secret_access_key = secret\n"
    services = "[services local]\ns3 =\n  endpoint_url = https://10.0.0.1:9000\n[profile work]\nregion = us-west-2\n"
    for name, value in each_value(place):
        variables = fixed | ({name: value} if place == "variable" else {})
        line = {"option": f"{name} = {value}", "s3": f"s3 =\n  {name} = {value}"}.get(place, "")
        with (
            machine.set_up(f"[default]\n{keys}{line}\n{services}", f"[work]\n{keys}", variables),
            chdir(machine.folder),
        ):
            require_same(Settings(workers=2, **fields), ["photos", "photos.2024"])


# What must be certain

KEY_VARIABLES = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
PROFILE = "[work]\naws_access_key_id = AKIDFILE\naws_secret_access_key = secret\n"
CERTAIN: dict[str, tuple[str | None, str | None, dict[str, str], dict[str, Any]]] = {
    "keys of the environment, an endpoint": (None, None, KEY_VARIABLES, {"endpoint_url": "http://127.0.0.1:9000"}),
    "session keys, an endpoint of the environment": (
        None, None, {**KEY_VARIABLES, "AWS_SESSION_TOKEN": "t", "AWS_ENDPOINT_URL": "https://store.example.com"}, {}
    ),
    "s5cmd's endpoint": (None, None, {**KEY_VARIABLES, "S3_ENDPOINT_URL": "https://store.example.com"}, {}),
    "a profile of the credentials file": (None, PROFILE, {"AWS_PROFILE": "work", "AWS_REGION": "eu-west-1"}, {}),
    "a profile of the configuration file": (
        "[profile work]\naws_access_key_id=a\naws_secret_access_key=b\nregion=eu-west-1\n",
        None, {}, {"profile": "work"},
    ),
    "both files": ("[profile work]\nregion = eu-west-1\noutput = json\n", PROFILE, {}, {"profile": "work"}),
    "a set profile before the environment": (None, PROFILE, KEY_VARIABLES, {"profile": "work", "region": "eu-west-1"}),
    "AWS by region": (None, None, {**KEY_VARIABLES, "AWS_REGION": "eu-west-1"}, {}),
    "AWS without a region": (None, None, KEY_VARIABLES, {}),
    "AWS by path": (None, None, KEY_VARIABLES, {"addressing_style": "path", "region": "ap-southeast-2"}),
    "virtual hosts of a store": (
        None, None, KEY_VARIABLES, {"addressing_style": "virtual", "endpoint_url": "https://store.example.com"}
    ),
    "virtual hosts by the file": (
        "[default]\ns3 =\n  addressing_style = virtual\n  max_concurrent_requests = 20\n",
        None, {**KEY_VARIABLES, "AWS_ENDPOINT_URL": "https://store.example.com"}, {},
    ),
    "dual stack": (None, None, {**KEY_VARIABLES, "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_REGION": "eu-west-1"}, {}),
    "FIPS by the file": ("[default]\nuse_fips_endpoint = true\nregion = us-east-1\n", None, KEY_VARIABLES, {}),
    "us-east-1 by its own endpoint": (
        None, None, {**KEY_VARIABLES, "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional", "AWS_REGION": "us-east-1"}, {}
    ),
    "a program": ("[default]\ncredential_process = /bin/issue --for me\n", None, {"AWS_REGION": "eu-west-1"}, {}),
    "a services section": (
        "[default]\nservices = local\n[services local]\ns3 =\n  endpoint_url = http://localhost:9000\n",
        None, KEY_VARIABLES, {},
    ),
    "an endpoint of a profile": ("[default]\nendpoint_url = https://store.example.com\n", None, KEY_VARIABLES, {}),
    "an endpoint that is ignored": (
        "[default]\nendpoint_url = https://store.example.com\nignore_configured_endpoint_urls = true\n",
        None, KEY_VARIABLES, {},
    ),
    "unsigned": (None, None, {}, {"sign_requests": False, "region": "eu-west-1"}),
    "authorities of the user's": (None, None, {**KEY_VARIABLES, "AWS_CA_BUNDLE": "ca.pem"}, {}),
    "no authorities": (None, None, KEY_VARIABLES, {"verify_tls": False, "endpoint_url": "https://10.0.0.1:9000"}),
    "plain http that is allowed": (None, None, KEY_VARIABLES, {"allow_http": True, "endpoint_url": "http://10.0.0.1:9000"}),
    "keys that end": (None, None, {**KEY_VARIABLES, "AWS_CREDENTIAL_EXPIRATION": "2199-01-01T00:00:00Z"}, {}),
    "a machine of AWS with keys": (
        None, None,
        {**KEY_VARIABLES, "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_EXECUTION_ENV": "x", "AWS_EC2_METADATA_DISABLED": "1"},
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("given_", CERTAIN.values(), ids=CERTAIN)
def test_common_configurations_are_certain(
    machine: Machine, given_: tuple[str | None, str | None, dict[str, str], dict[str, Any]]
) -> None:
    """What people usually have needs no SDK, and the answer is the SDK's."""
    config, credentials, variables, fields = given_
    with machine.set_up(config, credentials, variables), chdir(machine.folder):
        assert require_same(Settings(workers=2, **fields), ["photos", "photos.2024", "My_Photos"])
