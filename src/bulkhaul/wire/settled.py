"""Settles credentials, region and endpoint without the SDK where that is certain: reads the files, runs the program.

``policy.resolution`` decides; here stand its files, its environment and what it could not touch. The files are read
anew for every renewal of credentials, as the SDK does.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from bulkhaul.model.errors import CredentialsError
from bulkhaul.model.settings import Settings
from bulkhaul.policy.awsfiles import Unsure, read_files
from bulkhaul.policy.environment import CONFIG_FILE, CREDENTIALS_FILE, tidy
from bulkhaul.policy.provenance import InForce, in_force
from bulkhaul.policy.resolution import AskSdk, KeysOfProcess, Resolved, StaticKeys, resolve
from bulkhaul.wire.usable_keys import ENVIRONMENT, unix_time, usable_credentials
from bulkhaul.wire.values import Credentials, Target

MAX_FILE_BYTES = 1024 * 1024
"""Longest file that is read here; the SDK reads any."""

_FILES = (CONFIG_FILE, CREDENTIALS_FILE)

_OWN_MODELS = "~/.aws/models"
"""Folder of a user's own endpoints and service models. Source: botocore.loaders, ``CUSTOMER_DATA_PATH``."""

_AUTHORITIES = (("certifi", "cacert.pem"), ("botocore", "cacert.pem"))
"""Packages and their files that the SDK trusts where the user names none. Source: botocore.httpsession, ``where``."""


class Settled:
    """What was settled for one engine's settings.

    Attributes:
        endpoint_url: without any bucket.
        ca_bundle: file of certificate authorities that is trusted; None where certificates are not verified.
        runs_process: ``credentials`` runs a program, so it blocks for as long as that takes.
    """

    def __init__(self, settings: Settings, resolved: Resolved, ca_bundle: str | None) -> None:
        self._settings = settings
        self._resolved = resolved
        self.endpoint_url = resolved.addressing.endpoint_url
        self.verify_tls = resolved.verify_tls
        self.ca_bundle = ca_bundle
        self.runs_process = isinstance(resolved.keys, KeysOfProcess)

    def __repr__(self) -> str:
        return f"Settled({self.endpoint_url!r})"

    @property
    def host(self) -> str:
        """The endpoint's host, for messages."""
        return urlsplit(self.endpoint_url).netloc

    def target(self, bucket: str) -> Target | AskSdk:
        """Return where requests for a bucket go; where they are not signed, no region is told."""
        place = self._resolved.place(bucket)
        if isinstance(place, AskSdk):
            return place
        region = place.region if self._settings.sign_requests else ""
        return Target(place.scheme, place.host, place.port, place.path_prefix, region, fast=True)

    def service(self) -> Target | AskSdk:
        """Return where requests go that are about no bucket."""
        given = self._resolved.addressing
        if given.path:
            return AskSdk("the endpoint has a path")
        region = given.region if self._settings.sign_requests else ""
        return Target(given.scheme, given.host, given.port, "/", region, fast=True)

    def _source(self) -> str:
        keys = self._resolved.keys
        if isinstance(keys, KeysOfProcess):
            return f"credential_process of profile {self._resolved.profile!r}"
        if not isinstance(keys, StaticKeys) or not keys.file:
            return ENVIRONMENT
        path = next(path for path in _FILES if path[0] == keys.file)
        return f"profile {self._resolved.profile!r} of {os.environ.get(*path)}"

    def credentials(self, generation: int, *, deadline_s: float) -> Credentials | AskSdk | None:
        """Return what requests are signed with, None if they are not signed.

        Args:
            deadline_s: how long a program may take.

        Raises:
            CredentialsError: a program did not end in time.
        """
        keys = self._resolved.keys
        if keys is None:
            return None
        try:
            if isinstance(keys, KeysOfProcess):
                from bulkhaul.wire.credential_process import run_process

                found = run_process(keys.command, profile=self._resolved.profile, deadline_s=deadline_s)
                access_key, secret_key, token, expires = found.access_key, found.secret_key, found.token, found.expires
            else:
                access_key, secret_key, token, expires = keys.access_key, keys.secret_key, keys.token, keys.expires
            expires_s = unix_time(expires) if expires else 0.0
            if expires and expires_s <= time.time():
                return AskSdk("the keys have ended")
        except Unsure as unsure:
            return AskSdk(str(unsure))
        try:
            source = self._source()
            return usable_credentials(
                access_key, secret_key, token, source=source, expires_s=expires_s, generation=generation
            )
        except CredentialsError:
            return AskSdk("a key cannot be sent")  # the SDK's way says which, and where it stands


def settle(settings: Settings, *, given_keys: bool = False) -> Settled | AskSdk:
    """Settle what the settings, this process's environment and the files choose now.

    Args:
        given_keys: keys are given by who asks: none are looked for.
    """
    environment = dict(os.environ)
    tidy(environment)
    try:
        if os.path.lexists(os.path.expanduser(_OWN_MODELS)):
            raise Unsure(f"{_OWN_MODELS} may hold other endpoints")
        texts = [_text_of(environment.get(variable, path)) for variable, path in _FILES]
        resolved = resolve(settings, environment, *texts, given_keys=given_keys)
        if isinstance(resolved, AskSdk):
            return resolved
        return Settled(settings, resolved, _authorities(resolved))
    except Unsure as unsure:
        return AskSdk(str(unsure))


def settled_credentials(settings: Settings, generation: int, *, deadline_s: float) -> Credentials | AskSdk | None:
    """Read the files anew and return what requests are to be signed with from now on; see ``Settled.credentials``."""
    settled = settle(settings)
    return settled if isinstance(settled, AskSdk) else settled.credentials(generation, deadline_s=deadline_s)


def _text_of(path: str) -> str | None:
    """Return the text of a file, None if there is none.

    Raises:
        Unsure: it cannot be read, is no text, or its path holds a variable.
    """
    if "$" in path:
        raise Unsure("the path of an AWS file holds a variable")
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        return None
    try:
        with open(path) as file:  # in the encoding of the locale, as the SDK reads it
            text = file.read(MAX_FILE_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise Unsure("an AWS file cannot be read") from error
    if len(text) > MAX_FILE_BYTES:
        raise Unsure("an AWS file is very long")
    return text


def _authorities(resolved: Resolved) -> str | None:
    """Return the file of certificate authorities that is trusted.

    Raises:
        Unsure: there is no such file.
    """
    if not resolved.verify_tls:
        return None
    path = resolved.ca_bundle
    if path is None:
        path = _bundled_authorities()
    if not os.path.exists(path):
        raise Unsure("there is no such file of certificate authorities")
    return path


def _bundled_authorities() -> str:
    """Return the file that the SDK trusts where the user names none; its packages are found, not imported."""
    for package, name in _AUTHORITIES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            return os.path.join(os.path.dirname(spec.origin), name)
    raise Unsure("there is no file of certificate authorities")


def settings_in_force(settings: Settings, sources: Mapping[str, str] | None = None) -> list[InForce]:
    """Return every setting and where it came from, as the environment and the files are now.

    Args:
        sources: see ``policy.provenance.in_force``.
    """
    environment = dict(os.environ)
    tidy(environment)
    try:
        files = read_files(*[_text_of(environment.get(variable, path)) for variable, path in _FILES])
    except Unsure:
        files = None
    return in_force(settings, environment, files, sources)
