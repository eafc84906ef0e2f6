"""Authorities as clusters make them for themselves, and TLS servers on loopback."""

import datetime
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.serving.loopback import Loopback, Quiet

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Authority:
    """A certificate authority without key identifiers, as EKS makes it. pem: its certificate."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name: str, address: str = "") -> tuple[str, str]:
        """Return a certificate and its key, in PEM. address: an IP address that the certificate covers as well."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        names += [x509.IPAddress(ip_address(address))] if address else []
        built = _builder(name, key, self.certificate.subject).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        certificate = built.sign(self.key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def authority(name: str = "kubernetes") -> Authority:
    """Return a new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    built = _builder(name, key, _name(name)).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    return Authority(built.sign(key, hashes.SHA256()), key)


@contextmanager
def serving(by: Authority, body: str, *, clients_of: Authority | None = None) -> Iterator[str]:
    """Run a server that has a certificate by this authority and gives a single answer.

    clients_of: the authority that has to have signed its clients' certificates.
    """

    class Answers(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send(200, body.encode())

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        path.write_text("".join(by.issue("api.cluster.test", "127.0.0.1")))
        context.load_cert_chain(path)
    if clients_of:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients_of.pem)
    with Loopback(Answers, tls=context) as server:
        yield server.origin


def _builder(name: str, key: Key, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
