"""Signing a pass, and checking the signature as a phone will: what would not verify never leaves.

A pass is signed by a detached PKCS #7 structure over its manifest (Apple: "Building a Pass"; RFC 5652).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from tallystick.cards.der import Der, DerMalformed
from tallystick.cards.refused import PassRefused
from tallystick.core.record import record

MANIFEST = "manifest.json"
SIGNATURE = "signature"
PASS = "pass.json"  # noqa: S105 - a file's name

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SHA256 = "2.16.840.1.101.3.4.2.1"
# RSA, RSA with SHA-256 and ECDSA with SHA-256: the digest is said beside the first.
_SIGNED_BY = ("1.2.840.113549.1.1.1", "1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2")
_SET_OF = b"\x31"
_NULL = b"\x05\x00"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@record(frozen=True, slots=True)
class PassSigner:
    """The certificate of a pass type with its key, and the certificate of the authority that issued it."""

    certificate: x509.Certificate
    authority: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def pass_type(self) -> str:
        """The pass type identifier that the certificate is for; empty when it names none."""
        return _name_part(self.certificate, NameOID.USER_ID)

    @property
    def team(self) -> str:
        """The team identifier that the certificate belongs to; empty when it names none."""
        return _name_part(self.certificate, NameOID.ORGANIZATIONAL_UNIT_NAME)


@record(frozen=True, slots=True)
class _Signer:
    """A SignerInfo: (issuer, serial number) of the signer, what was signed, the digest in it, the signature."""

    issued_as: tuple[bytes, int]
    attributes: bytes
    digest: bytes
    value: bytes


def signed_files(files: Mapping[str, bytes], signer: PassSigner, *, now: datetime) -> dict[str, bytes]:
    """Return the files with their manifest and signature, checked. Raises ``PassRefused``."""
    digests = {name: _sha1(data) for name, data in sorted(files.items())}
    manifest = json.dumps(digests, indent=1).encode() + b"\n"
    # Binary: without it line ends are rewritten before the digest is taken, and no phone finds it again.
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    signature = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(manifest)
        .add_signer(signer.certificate, signer.key, hashes.SHA256())
        .add_certificate(signer.authority)
        .sign(serialization.Encoding.DER, options)
    )
    whole = {**files, MANIFEST: manifest, SIGNATURE: signature}
    check_pass(whole, authority=signer.authority, now=now)
    return whole


def check_pass(files: Mapping[str, bytes], *, authority: x509.Certificate, now: datetime) -> None:
    """Check the files of a pass as a phone does. Raises ``PassRefused`` naming the first fault.

    The manifest names every file with its digest; the signature is over this manifest, by a certificate that is valid
    now, issued by the authority, and for the pass type and the team that pass.json names.
    """
    for name in (PASS, MANIFEST, SIGNATURE):
        if name not in files:
            raise PassRefused(f"{name} is missing")
    _check_manifest(files)
    certificate = check_signature(files[SIGNATURE], files[MANIFEST], authority=authority)
    check_certificate(certificate, authority, now=now)
    named = json.loads(files[PASS])
    for what, oid in (
        ("passTypeIdentifier", NameOID.USER_ID),
        ("teamIdentifier", NameOID.ORGANIZATIONAL_UNIT_NAME),
    ):
        held = _name_part(certificate, oid)
        if named.get(what) != held:
            raise PassRefused(f"{what} in pass.json is {named.get(what)!r}, in the certificate {held!r}")


def check_certificate(certificate: x509.Certificate, authority: x509.Certificate, *, now: datetime) -> None:
    """Check that a certificate is valid now and was issued by the authority. Raises ``PassRefused``."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError) as error:
        issuer = authority.subject.rfc4514_string()
        raise PassRefused(f"the certificate of the pass type was not issued by {issuer}") from error
    for what, one in (
        ("certificate of the pass type", certificate),
        ("certificate of its issuer", authority),
    ):
        if now >= one.not_valid_after_utc:
            raise PassRefused(f"the {what} expired on {one.not_valid_after_utc:%Y-%m-%d}")
        if now < one.not_valid_before_utc:
            raise PassRefused(f"the {what} is valid from {one.not_valid_before_utc:%Y-%m-%d} only")


def check_signature(signature: bytes, content: bytes, *, authority: x509.Certificate) -> x509.Certificate:
    """Check a detached PKCS #7 signature by one signer and return its certificate. Raises ``PassRefused``."""
    try:
        carried = pkcs7.load_der_pkcs7_certificates(signature)
        signer_info = _signer_info(signature)
        signer = _read_signer(signer_info)
    except (DerMalformed, ValueError) as error:
        raise PassRefused(f"the signature cannot be read: {error}") from error
    certificate = next((one for one in carried if _issued_as(one) == signer.issued_as), None)
    if certificate is None or authority not in carried:
        raise PassRefused("the signature does not carry the certificates that a phone needs")
    if not hmac.compare_digest(signer.digest, hashlib.sha256(content).digest()):
        raise PassRefused("the signature is not over this manifest")
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signer.value, signer.attributes, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signer.value, signer.attributes, ec.ECDSA(hashes.SHA256()))
        else:
            raise PassRefused("the certificate's key is of a kind that passes are not signed with")
    except InvalidSignature as error:
        raise PassRefused("the signature is not by the certificate that it carries") from error
    return certificate


def _check_manifest(files: Mapping[str, bytes]) -> None:
    named = json.loads(files[MANIFEST])
    others = files.keys() - {MANIFEST, SIGNATURE}
    if named.keys() != others:
        raise PassRefused(f"the manifest does not fit the files: {sorted(named.keys() ^ others)}")
    for name in sorted(others):
        if named[name] != _sha1(files[name]):
            raise PassRefused(f"{name} was changed after the manifest was made")


def _signer_info(signature: bytes) -> Der:
    """The one SignerInfo of a ContentInfo whose SignedData holds no content."""
    kind, explicit = Der.whole(signature).children(at_least=2)[:2]
    if kind.oid() != _SIGNED_DATA:
        raise DerMalformed("it is no signed data")
    parts = explicit.children(at_least=1)[0].children(at_least=5)
    if len(parts[2].children(at_least=1)) != 1:
        raise DerMalformed("it holds the manifest itself")
    signers = parts[-1].children(at_least=1)
    if len(signers) != 1:
        raise DerMalformed("it has more than one signer")
    return signers[0]


def _read_signer(signer_info: Der) -> _Signer:
    """Read a SignerInfo (RFC 5652, 5.3)."""
    version, issued, digest_algorithm, signed, algorithm, value = signer_info.children(at_least=6)[:6]
    if version.integer() != 1 or signed.tag != 0xA0:
        raise DerMalformed("it has no signed attributes")
    if _algorithm(digest_algorithm) != _SHA256 or _algorithm(algorithm) not in _SIGNED_BY:
        raise DerMalformed("its algorithms are none that passes are signed with")
    values = {}
    for attribute in signed.children(at_least=1):
        kind, held = attribute.children(at_least=2)[:2]
        values[kind.oid()] = held.children(at_least=1)[0]
    if _MESSAGE_DIGEST not in values or _SIGNING_TIME not in values:
        raise DerMalformed("its attributes lack the digest or the time of signing")
    issuer, number = issued.children(at_least=2)[:2]
    return _Signer(
        (issuer.raw, number.integer()),
        # RFC 5652, 5.4: signed is the explicit SET OF, not the implicit tag that is stored.
        _SET_OF + signed.raw[1:],
        values[_MESSAGE_DIGEST].octets(),
        value.octets(),
    )


def _algorithm(identifier: Der) -> str:
    kind, *parameters = identifier.children(at_least=1)
    if [one.raw for one in parameters] not in ([], [_NULL]):
        raise DerMalformed("an algorithm has parameters")
    return kind.oid()


def _issued_as(certificate: x509.Certificate) -> tuple[bytes, int]:
    return certificate.issuer.public_bytes(), certificate.serial_number


def _name_part(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


def _sha1(data: bytes) -> str:
    # The format asks for SHA-1 here; the manifest itself is signed over SHA-256.
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
