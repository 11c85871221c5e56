"""Builds a worker's boto3 clients, and tells where their requests go.

The clients never retry: the engine does. They sign with the credentials that the coordinator sends. One client is
made before the workers are forked, so that the SDK's data files are read once; each worker goes on with its copy.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import botocore.session
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, ReadOnlyCredentials
from botocore.credentials import Credentials as SdkCredentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from bulkhaul.model.errors import CredentialsError, TransferError, Unsupported, UsageError
from bulkhaul.model.settings import Settings, require_endpoint
from bulkhaul.policy.endpoints import DEFAULT_REGION, S5CMD_ENDPOINT, aws_domain, environment_endpoint, may_go_without
from bulkhaul.policy.environment import chosen_region
from bulkhaul.policy.plainhttp import is_loopback
from bulkhaul.wire.learned import Learned
from bulkhaul.wire.reply import transcoded
from bulkhaul.wire.request_log import RequestLog, described
from bulkhaul.wire.sdk import CONTROL_THREADS, ENDING_THREADS
from bulkhaul.wire.sdk.datafiles import QuickLoader
from bulkhaul.wire.sdk.hooks import tune
from bulkhaul.wire.sdk.raw_headers import RawHeaders
from bulkhaul.wire.values import Credentials, Target

Client = Any
"""A boto3 S3 client; boto3 makes its classes at run time, so they have no static type."""

_loader: QuickLoader | None = None


class _Pushed(SdkCredentials):  # type: ignore[misc] # botocore has no types
    """The credentials that were sent last, as the SDK sees them."""

    def __init__(self) -> None:
        self.put(Credentials("", ""))

    def put(self, credentials: Credentials) -> None:
        self.access_key = credentials.access_key
        self.secret_key = credentials.secret_key
        self.token = credentials.token or None
        self.method = "bulkhaul"
        self.account_id = None

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return ReadOnlyCredentials(self.access_key, self.secret_key, self.token)


class _Provider(CredentialProvider):  # type: ignore[misc] # botocore has no types
    METHOD = "bulkhaul"

    def __init__(self, pushed: _Pushed) -> None:
        self._pushed = pushed

    def load(self) -> _Pushed:
        return self._pushed


class SdkClient:
    """The boto3 clients of one process, and what they resolved.

    Attributes:
        client: for what is answered at once, thread-safe; ``patient`` is for what takes a service long.
        ca_bundle: file of certificate authorities that the SDK trusts.
        learned: what the endpoint does not take.
        raw: headers that a thread's requests carry byte for byte.
        log: told of each request, if it is on.
    """

    def __init__(self, settings: Settings, learned: Learned | None = None) -> None:
        """Make the first client.

        Args:
            learned: what endpoints do not take; shared with the other clients of the process.

        Raises:
            UsageError: the settings cannot be used together (plain http, unknown profile …).
        """
        self._settings = settings
        self._pushed = _Pushed() if settings.sign_requests else None
        self._sent = threading.local()
        self.raw = RawHeaders()
        self.log = RequestLog()
        self.learned = learned or Learned()
        self._lock = threading.Lock()
        self._patient: Client | None = None
        self._hooks: list[tuple[str, Callable[..., None]]] = []
        try:
            session = self._session = new_session(settings.profile, self._pushed)
            style = settings.addressing_style
            expected = settings.endpoint_url or environment_endpoint(os.environ)[0]
            require_endpoint(expected, "the endpoint of the environment")
            if style == "auto" and expected and not _is_aws(expected) and not _configured_style(session):
                # Every compatible store speaks path style; few have a DNS name for every bucket.
                style = "path"
            self.client = self._build(session, style)
            endpoint: str = self.client.meta.endpoint_url
            require_endpoint(endpoint, "the endpoint of the AWS configuration")
            if style == "auto" and not _is_aws(endpoint) and not _configured_style(session):
                style = "path"  # an endpoint from the configuration file
                self.client = self._build(session, style)
        except (BotoCoreError, ValueError) as error:
            raise UsageError("the S3 client cannot be set up", cause=str(error)) from error
        self.endpoint_url = endpoint
        self._style = style
        proxied = get_environ_proxies(endpoint) or self.client.meta.config.proxies
        self._rewriting_proxy = bool(proxied) and urlsplit(endpoint).scheme == "http"
        _require_private(endpoint, settings.allow_http, sends_key=settings.sse_c_key is not None)
        self._tune(self.client)
        # The authorities that the SDK itself trusts; a client has no public name for them.
        verify = self.client._endpoint.http_session._verify
        self.verify_tls = verify is not False
        self.ca_bundle: str | None = get_cert_path(verify) if self.verify_tls else None
        if self.ca_bundle is not None and not os.path.exists(self.ca_bundle):
            raise UsageError("there is no such file of certificate authorities (AWS_CA_BUNDLE)", self.ca_bundle)
        if not self.verify_tls:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user has asked for it
        self.last_used_s = time.monotonic()

    @property
    def patient(self) -> Client:
        """Like ``client``, but it waits ``ack_s`` for a reply: a store may have to copy, assemble or delete much first.

        It is made on first use, by any thread.
        """
        with self._lock:
            if self._patient is None:
                made = self._build(self._session, self._style, read_timeout_s=self._settings.waits.ack_s)
                self._tune(made)
                for event, hook in self._hooks:
                    made.meta.events.register(event, hook)
                self._patient = made
            return self._patient

    @property
    def host(self) -> str:
        """The endpoint's host, for messages."""
        return urlsplit(self.endpoint_url).netloc

    def takes(self, what: str) -> bool:
        """Whether requests to the endpoint are to have the feature ``what``; see ``Learned``."""
        return self.learned.takes(self.hostname, what)

    def may_do_without(self, error: TransferError) -> bool:
        """Whether a request may have been refused for an optional feature."""
        return may_go_without(self.hostname, error.info)

    def does_without(self, what: str) -> None:
        """Remember that a request failed with the feature and worked without it."""
        self.learned.does_without(self.hostname, what)

    def unpacked(self, headers: Mapping[str, str]) -> bool:
        """Whether the reply to this thread's last request was unpacked by the service; the next one will not be."""
        if transcoded(headers) is None or self._sent.packed:
            return False
        self.learned.has_unpacked(self.hostname)
        return True

    def _take_packed(self, request: Any, **_: object) -> None:
        """Ask for bytes as they are stored, in an unsigned header: Google's front ends change it on the way."""
        self._sent.packed = self.learned.unpacks(self.hostname)
        if self._sent.packed:
            request.headers["Accept-Encoding"] = "gzip"

    @property
    def hostname(self) -> str:
        """The endpoint's host without its port, by which ``learned`` knows it."""
        return urlsplit(self.endpoint_url).hostname or ""

    @property
    def session(self) -> botocore.session.Session:
        """The session that the client was made with."""
        return self._session._session

    @property
    def signs(self) -> bool:
        """Whether there are credentials to sign with."""
        return self._pushed is not None and bool(self._pushed.access_key)

    @property
    def encrypts(self) -> bool:
        """Whether a customer's key goes with the requests (SSE-C)."""
        return self._settings.sse_c_key is not None

    def register(self, event: str, hook: Callable[..., None]) -> None:
        """Call ``hook`` on an event of either client."""
        with self._lock:
            self._hooks.append((event, hook))
            for client in (self.client, self._patient):
                if client is not None:
                    client.meta.events.register(event, hook)

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these."""
        self.learned.forget_reasons()
        if self._pushed is not None and credentials is not None:
            self._pushed.put(credentials)

    def require_unrewritten(self, key: str) -> None:
        """Refuse a key that an http proxy would resolve to another one.

        Raises:
            Unsupported: the key has a segment "." or "..", and a proxy that sees the path is in force.
        """
        if self._rewriting_proxy and not {".", ".."}.isdisjoint(key.split("/")):
            text = 'a proxy would resolve the "." or ".." in this key and fetch another object; use https, or no proxy'
            raise Unsupported(text)

    def close_if_idle(self, idle_s: float) -> None:
        """Drop unused connections; the client stays usable."""
        if time.monotonic() - self.last_used_s > idle_s:
            self.client.close()
            if self._patient is not None:
                self._patient.close()
            self.last_used_s = time.monotonic()

    def target(self, bucket: str, key: str = "") -> Target:
        """Return where this thread's last request went; it must have been for ``bucket`` (and ``key``, if any).

        A change of region that the SDK followed is part of it, so the fast transport may use it.
        """
        url: str = self._sent.url
        parts = urlsplit(url)
        path = parts.path.removesuffix(quote(key, safe="/-_.~")) if key else parts.path.rstrip("/") + "/"
        algorithm, _, rest = self._sent.authorization.partition(" Credential=")
        scope = rest.partition(",")[0].split("/")  # access key / date / region / service / aws4_request
        plain = algorithm == "AWS4-HMAC-SHA256" and scope[3:4] == ["s3"]
        why_not = self._why_not_fast(bucket, url, plain_sigv4=plain)
        return Target(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or (443 if parts.scheme == "https" else 80),
            path_prefix=path,
            region=scope[2] if plain else "",
            fast=not why_not,
            why_not=why_not,
        )

    def _tune(self, client: Client) -> None:
        client.meta.events.register("before-send.s3", self._note_sent)
        client.meta.events.register("response-received.s3", self._note_reply)
        self.raw.tune(client)
        for operation in ("GetObject", "HeadObject"):
            client.meta.events.register_first(f"before-send.s3.{operation}", self._take_packed)
        tune(client, self._settings, custom=not _is_aws(self.endpoint_url))

    def _note_sent(self, request: Any, **_: object) -> None:
        self.last_used_s = self._sent.began_s = time.monotonic()
        self._sent.method = request.method
        authorization = request.headers.get("Authorization", "")
        self._sent.url = request.url
        self._sent.authorization = authorization.decode() if isinstance(authorization, bytes) else authorization

    def _note_reply(
        self, response_dict: Mapping[str, Any] | None, exception: BaseException | None, **_: object
    ) -> None:
        if not self.log.on or not hasattr(self._sent, "method"):
            return
        sent = self._sent
        if response_dict is None:
            failure = described(exception) if exception is not None else "no reply"
            self.log.note(sent.method, sent.url, sent.began_s, failure=failure)
            return
        identity = str(response_dict["headers"].get("x-amz-request-id", ""))
        self.log.note(sent.method, sent.url, sent.began_s, status=response_dict["status_code"], request_id=identity)

    def _why_not_fast(self, bucket: str, url: str, *, plain_sigv4: bool) -> str:
        if get_environ_proxies(url) or self.client.meta.config.proxies:
            return "a proxy is configured"
        if bucket.endswith("--x-s3"):
            return "S3 Express sessions are the SDK's"
        if bucket.startswith("arn:"):
            return "access points are resolved by the SDK"
        if self._settings.sign_requests and not plain_sigv4:
            return "the request is not signed with plain SigV4"
        if self.client.meta.config.client_cert:
            return "a client certificate is configured"
        return ""

    def _build(
        self, session: boto3.session.Session, addressing_style: str, *, read_timeout_s: float | None = None
    ) -> Client:
        settings, timeouts = self._settings, self._settings.waits
        s3 = {} if addressing_style == "auto" else {"addressing_style": addressing_style}
        config = Config(
            signature_version="s3v4" if settings.sign_requests else UNSIGNED,
            s3=s3 or None,
            connect_timeout=timeouts.connect_s,
            read_timeout=read_timeout_s or timeouts.read_s,
            # bodies, slow requests, quick ones, and aborts of uploads
            max_pool_connections=2 * settings.sdk_connections + CONTROL_THREADS + ENDING_THREADS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            tcp_keepalive=True,
            # The SDK cannot check a range against the checksum of the whole object; we check everything ourselves.
            response_checksum_validation="when_required",
            request_checksum_calculation="when_required",
        )
        return session.client(
            "s3",
            region_name=_region(settings, session),
            endpoint_url=settings.endpoint_url or _unknown_to_the_sdk(),
            verify=(settings.ca_bundle or None) if settings.verify_tls else False,
            config=config,
        )


def new_session(profile: str | None, pushed: _Pushed | None = None) -> boto3.session.Session:
    """Return a new session, which reads the AWS configuration as it is now.

    Raises:
        CredentialsError: the configuration cannot be read, or has no such profile.
    """
    global _loader
    try:
        session = botocore.session.Session(profile=profile)
        if _loader is None:
            _loader = QuickLoader(session.get_config_variable("data_path"))
        session.register_component("data_loader", _loader)
        if pushed is not None:
            session.register_component("credential_provider", CredentialResolver([_Provider(pushed)]))
        return boto3.session.Session(botocore_session=session)
    except BotoCoreError as error:
        raise CredentialsError("the AWS configuration cannot be used", cause=str(error)) from error


def _region(settings: Settings, session: boto3.session.Session) -> str | None:
    region = chosen_region(settings.region, os.environ)
    if region is None and settings.endpoint_url and not _is_aws(settings.endpoint_url):
        return session.region_name or DEFAULT_REGION
    return region


def _configured_style(session: boto3.session.Session) -> bool:
    """Whether the user's AWS configuration chooses an addressing style."""
    s3 = session._session.get_scoped_config().get("s3")
    return isinstance(s3, dict) and "addressing_style" in s3


def _unknown_to_the_sdk() -> str | None:
    """Return the endpoint that the environment names where the SDK does not look."""
    url, variable = environment_endpoint(os.environ)
    return url if variable == S5CMD_ENDPOINT else None


def _is_aws(endpoint_url: str) -> bool:
    return aws_domain(urlsplit(endpoint_url).hostname or "") is not None


def _require_private(endpoint_url: str, allow_http: bool, *, sends_key: bool) -> None:
    parts = urlsplit(endpoint_url)
    if parts.scheme != "http" or is_loopback(parts.hostname or ""):
        return
    if sends_key:
        text = "plain http shows the SSE-C key to the network, with every request; use https"
        raise UsageError(text, parts.hostname or "")
    if not allow_http:
        text = "plain http shows signatures and data to the network; use https or pass --allow-http"
        raise UsageError(text, parts.hostname or "")


__all__ = ["Client", "SdkClient", "new_session"]
