"""A certificate authority for one test, and a server certificate from it.

Job: make TLS between a test and its servers verifiable. Must not know which server.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: what clients trust, and what a server on this machine shows."""

    ca_bundle: Path
    chain: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return the server's side of TLS, e.g. for ``FaultServer(tls=...)``."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return a client's side that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.ca_bundle))


def make_certificates(folder: Path, *names: str) -> Certificates:
    """Write a new authority and a certificate for 127.0.0.1, localhost, *.localhost and further names."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost", "*.localhost", *names)
    made = Certificates(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(made.ca_bundle)
    made.chain.write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(made.key)
    return made
