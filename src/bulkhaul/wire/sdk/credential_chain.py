"""Asks the SDK's credential chain for keys, and says in plain words why there are none."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.credentials import create_credential_resolver
from botocore.exceptions import BotoCoreError, ClientError

from bulkhaul.model.errors import CredentialsError
from bulkhaul.model.settings import Settings
from bulkhaul.policy.environment import chosen_region
from bulkhaul.wire.credential_process import MAX_CAUSE, failed, name_process, not_started
from bulkhaul.wire.masking import hidden_by_place
from bulkhaul.wire.sdk.client import new_session
from bulkhaul.wire.sdk.mfa import ask_code
from bulkhaul.wire.usable_keys import ENVIRONMENT, usable_credentials
from bulkhaul.wire.values import Credentials

_FILES = (
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file", "the web identity token"),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "", "the container's authorization token"),
    ("AWS_CREDENTIAL_FILE", "", "credentials"),
)
"""(variable, name in the configuration, what the file holds) of the files whose absence is an error of the chain."""

_OPTIONAL_FILES = ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE")
"""Variables that name files which the SDK skips in silence if they are missing."""


def resolve_credentials(
    settings: Settings, generation: int, prepared: botocore.session.Session | None = None
) -> Credentials | None:
    """Ask the SDK's credential chain anew; None if requests are not to be signed.

    Args:
        prepared: a session that has just read the files, to save the 20 ms of making another.

    Raises:
        CredentialsError: the chain finds none, one of its sources failed, or a key cannot be sent.
    """
    if not settings.sign_requests:
        return None
    session = prepared or new_session(settings.profile)._session
    region = chosen_region(settings.region, os.environ)  # a role is asked for there
    try:
        resolver = create_credential_resolver(session, region_name=region)
        for provider in resolver.providers:
            if hasattr(provider, "_prompter"):  # it has no public name here
                provider._prompter = ask_code
        found = resolver.load_credentials()
        keys = found.get_frozen_credentials() if found is not None else None
    except CredentialsError:
        raise  # of ask_code
    except Exception as error:  # a role that is refused, a process that prints no JSON: the chain raises anything
        raise _failure(error, session) from error
    if keys is None:
        raise CredentialsError(f"no credentials found; {_missing_files()}{_REMEDY}")
    source = _source(str(found.method), session)
    expiry = getattr(found, "_expiry_time", None)  # no public name; without it keys are renewed when refused
    expires_s = expiry.timestamp() if expiry is not None else 0.0
    return usable_credentials(
        keys.access_key, keys.secret_key, keys.token, source=source, expires_s=expires_s, generation=generation
    )


_REMEDY = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a --profile, or pass --no-sign-request for public objects"
)


def _source(method: str, session: botocore.session.Session) -> str:
    """Say where the chain has found keys."""
    profile = _profile(session)
    known = {
        "env": ENVIRONMENT,
        "assume-role": f"a role that profile {profile!r} assumes",
        "assume-role-with-web-identity": "web identity (AWS_WEB_IDENTITY_TOKEN_FILE, or the profile's)",
        "boto-config": "the boto configuration file",
        "container-role": "the container's metadata service",
        "ec2-credentials-file": "the file that AWS_CREDENTIAL_FILE names",
        "iam-role": "the instance metadata service",
        "login": f"the login of profile {profile!r}",
        "sso": f"SSO of profile {profile!r}",
        "custom-process": f"credential_process of profile {profile!r}",
        "shared-credentials-file": f"profile {profile!r} of {session.get_config_variable('credentials_file')}",
        "config-file": f"profile {profile!r} of {session.get_config_variable('config_file')}",
    }
    return known.get(method, f"from {method}")


# Sources that fail


def _failure(error: Exception, session: botocore.session.Session) -> CredentialsError:
    """Return the error that tells the user why the chain failed."""
    process = _process(session)
    if isinstance(error, OSError) and error.filename is not None:
        name, cause = os.fsdecode(error.filename), error.strerror or type(error).__name__
        if name == process:
            return not_started(_named(session), error)
        return CredentialsError(f"{name}, the file of {_holds(name, session)}, cannot be read", cause=cause)
    if process and isinstance(error, _NO_JSON):
        text = f"{_named(session)} printed something else than the JSON of credentials; run it by hand to see"
        return CredentialsError(text)
    if process and _provider_of(error) == "custom-process":
        return failed(_named(session), str(getattr(error, "kwargs", {}).get("error_msg", "")))
    if isinstance(error, ValueError) and "not a legal header value" in str(error):
        text = "the container's authorization token (AWS_CONTAINER_AUTHORIZATION_TOKEN or its file) holds a line break"
        return CredentialsError(text)
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        text = f"the credentials cannot be had: {error.operation_name} was refused; look at the role and its trust"
        return CredentialsError(text, cause=f"{type(error).__name__} {code}".strip())
    if isinstance(error, BotoCoreError):
        return CredentialsError("the credentials cannot be had", cause=hidden_by_place(str(error))[:MAX_CAUSE])
    text = "the credentials cannot be had: a source of the AWS configuration gave something that is none"
    return CredentialsError(f"{text}; `aws sts get-caller-identity` may tell more", cause=type(error).__name__)


_NO_JSON = (ValueError, AttributeError, TypeError)
"""What the SDK raises if the output of a credential_process is not the expected JSON."""


def _provider_of(error: Exception) -> str:
    kwargs = getattr(error, "kwargs", {})
    return str(kwargs.get("provider", "")) if isinstance(kwargs, Mapping) else ""


def _named(session: botocore.session.Session) -> str:
    return name_process(_profile(session), _process(session))


def _process(session: botocore.session.Session) -> str:
    """Return the program that the profile names as its credential_process, empty if it names none."""
    command = str(_profile_settings(session).get("credential_process", ""))
    try:
        return next(iter(shlex.split(command)), "")
    except ValueError:  # a quote that is never closed
        return command.split()[0]


def _holds(path: str, session: botocore.session.Session) -> str:
    """Say what a file was expected to hold, and which setting names it."""
    configured = _profile_settings(session)
    for variable, name, what in _FILES:
        if os.environ.get(variable) == path:
            return f"{what} ({variable})"
        if name and configured.get(name) == path:
            return f"{what} ({name} of profile {_profile(session)!r})"
    return "credentials"


def _missing_files() -> str:
    """Name the configured files that do not exist."""
    texts = []
    for variable in _OPTIONAL_FILES:
        path = os.environ.get(variable, "")
        if path and not os.path.exists(os.path.expanduser(path)):
            texts.append(f"{variable} names {path}, which does not exist; ")
    return "".join(texts)


def _profile(session: botocore.session.Session) -> str:
    return session.get_config_variable("profile") or "default"


def _profile_settings(session: botocore.session.Session) -> Mapping[str, Any]:
    profiles: Mapping[str, Mapping[str, Any]] = session.full_config.get("profiles", {})
    return profiles.get(_profile(session), {})


__all__ = ["resolve_credentials"]
