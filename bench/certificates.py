"""A certificate authority for one run of a benchmark, and a certificate for 127.0.0.1 from it."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: what clients trust, and what the server shows."""

    ca_bundle: Path
    chain: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Write a new authority and a certificate of 127.0.0.1 into an existing folder."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    made = Certificates(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(str(made.ca_bundle))
    made.chain.write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(made.key))
    return made
