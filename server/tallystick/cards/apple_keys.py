"""The certificate of a pass type: read from files and checked at the start, or made for a demonstration."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tallystick.cards.apple_signing import PassSigner, check_certificate
from tallystick.cards.refused import PassRefused
from tallystick.core.record import record

WARN_DAYS = 90
"""How long before a certificate ends it is spoken of: a new one takes a person with access to the account."""

FILE_BYTES_MAX = 65_536
DEMO_PASS_TYPE = "pass.org.example.tallystick"  # noqa: S105 - a name
DEMO_TEAM = "DEMO000000"
DEMO_DAYS = 825

_APPLE = "Apple Worldwide Developer Relations Certification Authority"
_GENERATION = "G4"
_DEMO = "Tallystick demonstration authority"
_OTHERS = 0o077


@record(frozen=True, slots=True, kw_only=True)
class AppleFiles:
    """Where the certificate, its key and its issuer's certificate lie (PEM), and what they must be for."""

    pass_type: str
    team: str
    certificate: Path
    key: Path
    authority: Path


def load_signer(files: AppleFiles, *, now: dt.datetime) -> tuple[PassSigner, list[str]]:
    """Read and check the files; return the signer, and warnings for people.

    Raises ``PassRefused`` naming the file or the setting, and the mend.
    """
    certificate = _certificate(files.certificate)
    authority = _certificate(files.authority)
    signer = PassSigner(certificate, authority, _key(files.key))
    if signer.key.public_key() != certificate.public_key():
        raise PassRefused(f"{files.key} is not the key of {files.certificate}")
    for what, said, held in (
        ("apple_pass_type", files.pass_type, signer.pass_type),
        ("apple_team", files.team, signer.team),
    ):
        if said != held:
            raise PassRefused(f"{what} is {said!r}, but {files.certificate} is for {held!r}")
    check_certificate(certificate, authority, now=now)
    if not _is_apple(authority):
        name = authority.subject.rfc4514_string()
        raise PassRefused(
            f"{files.authority} is {name}; phones take passes under {_APPLE} {_GENERATION} only"
        )
    return signer, expiry_warnings(signer, now=now)


def expiry_warnings(signer: PassSigner, *, now: dt.datetime) -> list[str]:
    """Return what has to be said about certificates that end within ``WARN_DAYS``."""
    ends = (
        ("the certificate of the pass type", signer.certificate.not_valid_after_utc),
        ("the certificate of its issuer", signer.authority.not_valid_after_utc),
    )
    return [
        f"{what} ends on {end:%Y-%m-%d}: renew it before, or passes are neither made nor updated"
        for what, end in ends
        if end - now <= dt.timedelta(days=WARN_DAYS)
    ]


def demo_signer(folder: Path, *, now: dt.datetime) -> PassSigner:
    """Return a signer under an authority of our own, made at the first use; no phone takes its passes.

    One that has expired is made anew.
    """
    names = ("demo-authority.pem", "demo-pass.pem", "demo-pass-key.pem")
    authority_file, certificate_file, key_file = (folder / name for name in names)
    if certificate_file.exists():
        signer = PassSigner(_certificate(certificate_file), _certificate(authority_file), _key(key_file))
        if now < signer.certificate.not_valid_after_utc - dt.timedelta(days=1):
            return signer
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = make_demo_signer(now=now)
    # The certificate comes last: with it the set counts as made.
    for path, data in (
        (key_file, _key_pem(signer.key)),
        (authority_file, signer.authority.public_bytes(serialization.Encoding.PEM)),
        (certificate_file, signer.certificate.public_bytes(serialization.Encoding.PEM)),
    ):
        _write(path, data)
    return signer


def make_demo_signer(
    *, now: dt.datetime, pass_type: str = DEMO_PASS_TYPE, team: str = DEMO_TEAM, days: int = DEMO_DAYS
) -> PassSigner:
    """Make an authority and, under it, a certificate for a pass type. The authority's key is forgotten."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    authority_name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, _DEMO),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "not of Apple; no phone accepts it"),
        ]
    )
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.USER_ID, pass_type),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Pass Type ID: {pass_type}"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, team),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tallystick demonstration"),
        ]
    )
    begins, ends = now - dt.timedelta(hours=1), now + dt.timedelta(days=days)
    begins = min(begins, ends - dt.timedelta(seconds=1))
    authority = _built(authority_name, authority_name, authority_key.public_key(), begins, ends)
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    leaf = _built(name, authority_name, key.public_key(), begins, ends)
    leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    leaf = leaf.add_extension(issuer, critical=False)
    return PassSigner(
        leaf.sign(authority_key, hashes.SHA256()), authority.sign(authority_key, hashes.SHA256()), key
    )


def _built(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    begins: dt.datetime,
    ends: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _is_apple(authority: x509.Certificate) -> bool:
    common = authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    unit = authority.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return [one.value for one in common] == [_APPLE] and [one.value for one in unit] == [_GENERATION]


def _certificate(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_read(file))
    except ValueError as error:
        raise PassRefused(f"{file} holds no certificate in PEM form") from error


def _key(file: Path) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    data = _read(file)
    if file.stat().st_mode & _OTHERS:
        raise PassRefused(f"{file} is open to other accounts: run `chmod 600 {file}`")
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise PassRefused(f"{file} holds no private key in PEM form without a password") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise PassRefused(f"{file} holds a key of a kind that passes are not signed with")
    return key


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(FILE_BYTES_MAX)
    except OSError as error:
        raise PassRefused(f"{file} cannot be read: {error.strerror}") from error


def _key_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(data)
    new.replace(path)
