"""An authority and its certificate for `localhost`, made anew, for servers of tests that speak TLS."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


def make_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """The context of a server, and the file of the authority that vouches for it."""
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_file, chain_file = folder / "authority.pem", folder / "chain.pem"
    authority_file.write_bytes(_certificate("tests", authority, authority))
    key = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain_file.write_bytes(key + _certificate("localhost", own, authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain_file)
    return context, authority_file


def _certificate(name: str, key: Key, authority: Key) -> bytes:
    """PEM. One that signs itself is an authority."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named("tests"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=key is authority, path_length=None), critical=True)
        .sign(authority, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
