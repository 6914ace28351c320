"""A certificate authority of a test's own, and what a server shows that it vouches for."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import ssl

import pytest


class Authority:
    """Keys and certificates in a folder; `encoded` is the authority's certificate as EKS tells it."""

    def __init__(self, folder):
        pytest.importorskip("cryptography")
        from cryptography.hazmat.primitives.asymmetric import ec

        folder.mkdir()
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = self._named("authority")
        self._certificate = self._signed(self._name, self._key, self._authority())
        self.encoded = base64.b64encode(self._pem(self._certificate)).decode()

    def context(self, address):
        """What a server at the address answers with."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        certificate = self._signed(self._named("server"), key, names)
        (self._folder / "server.pem").write_bytes(
            self._pem(certificate) + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "server.pem")
        return context

    def _signed(self, name, key, extension):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
            .add_extension(extension, critical=False).sign(self._key, hashes.SHA256())
        )

    @staticmethod
    def _authority():
        from cryptography import x509

        return x509.BasicConstraints(ca=True, path_length=None)

    @staticmethod
    def _named(name):
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    @staticmethod
    def _pem(certificate):
        from cryptography.hazmat.primitives import serialization

        return certificate.public_bytes(serialization.Encoding.PEM)
