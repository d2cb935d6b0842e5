"""A certificate authority of its own for each start, and what it signs; everything ends with the plane's folder."""

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=30)
CLOCK_TOLERANCE = timedelta(minutes=5)
SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True)
class KeyPair:
    """Two PEM files: a certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """Everything the components prove themselves with."""

    authority: Path
    server: KeyPair
    admin: KeyPair
    controller_manager: KeyPair
    service_account_key: Path


def issue(folder: Path, now: datetime | None = None) -> Certificates:
    """Make a new authority in the folder and sign a server, an administrator and the controller manager.

    The authority's own key is never written.
    """
    authority = _Authority(now or datetime.now(UTC))
    authority_file = folder / "ca.crt"
    authority_file.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    service_account_key = folder / "service-account.key"
    write_private(service_account_key, _private_bytes(ec.generate_private_key(ec.SECP256R1())))
    return Certificates(
        authority=authority_file,
        server=authority.issue(folder, "server", _name("kube-apiserver"), server=True),
        admin=authority.issue(folder, "admin", _name("admin", "system:masters")),
        controller_manager=authority.issue(folder, "controller-manager", _name("system:kube-controller-manager")),
        service_account_key=service_account_key,
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner ever could read (mode 0600 from its first byte)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


class _Authority:
    def __init__(self, now: datetime) -> None:
        self._not_before = now - CLOCK_TOLERANCE
        self._not_after = now + LIFETIME
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("agentspawn-local-control-plane")
        builder = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.certificate = builder.add_extension(_key_usage(authority=True), critical=True).sign(
            self._key, hashes.SHA256()
        )

    def issue(self, folder: Path, file: str, subject: x509.Name, *, server: bool = False) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] + [ExtendedKeyUsageOID.SERVER_AUTH] * server
        builder = (
            self._builder(subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        if server:
            builder = builder.add_extension(_server_names(), critical=False)
        pair = KeyPair(folder / f"{file}.crt", folder / f"{file}.key")
        pair.certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        write_private(pair.key, _private_bytes(key))
        return pair

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._not_before)
            .not_valid_after(self._not_after)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _name(user: str, group: str | None = None) -> x509.Name:
    """Name a Kubernetes user: the common name is the user, the organization a group."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(parts)


def _server_names() -> x509.SubjectAlternativeName:
    loopback = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
    return x509.SubjectAlternativeName([loopback, *(x509.DNSName(name) for name in SERVER_NAMES)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
