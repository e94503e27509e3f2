"""Certificates for passes: checked at the start, or made for a demonstration."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tallystick.cards import apple_keys
from tallystick.cards.apple_keys import (
    AppleFiles,
    demo_signer,
    expiry_warnings,
    load_signer,
    make_demo_signer,
)
from tallystick.cards.apple_signing import PassSigner
from tallystick.cards.refused import PassRefused

NOW = datetime(2026, 1, 15, tzinfo=UTC)
WWDR = "Apple Worldwide Developer Relations Certification Authority"


def apple_signer(*, generation: str = "G4", days: int = 365) -> PassSigner:
    """A certificate as Apple issues it, under an authority that has the name of Apple's."""
    plain = make_demo_signer(now=NOW, pass_type="pass.org.example.points", team="ABCDE12345", days=days)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, WWDR),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, generation),
        ]
    )

    def signed(subject: x509.Name, like: x509.Certificate, public: object) -> x509.Certificate:
        builder = x509.CertificateBuilder(name, subject, public, like.serial_number)  # type: ignore[arg-type]
        dated = builder.not_valid_before(like.not_valid_before_utc).not_valid_after(like.not_valid_after_utc)
        return dated.sign(key, hashes.SHA256())

    leaf = signed(plain.certificate.subject, plain.certificate, plain.certificate.public_key())
    return PassSigner(leaf, signed(name, plain.authority, key.public_key()), plain.key)


def written(signer: PassSigner, folder: Path) -> AppleFiles:
    key = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, data in (
        ("pass.pem", signer.certificate.public_bytes(Encoding.PEM)),
        ("wwdr.pem", signer.authority.public_bytes(Encoding.PEM)),
        ("key.pem", key),
    ):
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    return AppleFiles(
        pass_type="pass.org.example.points",
        team="ABCDE12345",
        certificate=folder / "pass.pem",
        key=folder / "key.pem",
        authority=folder / "wwdr.pem",
    )


def test_certificates_that_fit_are_taken_without_a_word(tmp_path: Path) -> None:
    signer, warnings = load_signer(written(apple_signer(), tmp_path), now=NOW)
    assert (signer.pass_type, signer.team, warnings) == ("pass.org.example.points", "ABCDE12345", [])


def test_certificates_that_end_within_ninety_days_are_spoken_of(tmp_path: Path) -> None:
    signer, warnings = load_signer(written(apple_signer(days=90), tmp_path), now=NOW)
    assert [text.partition(" ends on ")[2][:10] for text in warnings] == ["2026-04-15"] * 2
    assert expiry_warnings(signer, now=NOW - timedelta(days=1)) == []


def test_what_does_not_fit_stops_the_start_and_names_the_mend(tmp_path: Path) -> None:
    good = apple_signer()
    files = written(good, tmp_path)
    for wrong, word in (
        (replace(files, pass_type="pass.else"), "apple_pass_type is 'pass.else'"),
        (replace(files, team="ZZZZZ99999"), "apple_team is 'ZZZZZ99999'"),
        (replace(files, certificate=tmp_path / "none.pem"), "none.pem cannot be read"),
        (replace(files, certificate=files.key), "holds no certificate"),
        (replace(files, key=files.certificate), "holds no private key"),
    ):
        with pytest.raises(PassRefused, match=word):
            load_signer(wrong, now=NOW)
    with pytest.raises(PassRefused, match="expired on"):
        load_signer(files, now=NOW + timedelta(days=400))
    with pytest.raises(PassRefused, match="valid from"):
        load_signer(files, now=NOW - timedelta(days=400))


def test_a_key_of_another_certificate_stops_the_start(tmp_path: Path) -> None:
    files = written(replace(apple_signer(), key=make_demo_signer(now=NOW).key), tmp_path)
    with pytest.raises(PassRefused, match="is not the key of"):
        load_signer(files, now=NOW)


def test_a_key_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    files = written(apple_signer(), tmp_path)
    files.key.chmod(0o644)
    with pytest.raises(PassRefused, match="chmod 600"):
        load_signer(files, now=NOW)


def test_an_issuer_that_did_not_issue_stops_the_start(tmp_path: Path) -> None:
    files = written(replace(apple_signer(), authority=apple_signer().authority), tmp_path)
    with pytest.raises(PassRefused, match="was not issued by"):
        load_signer(files, now=NOW)


def test_an_issuer_that_phones_do_not_know_stops_the_start(tmp_path: Path) -> None:
    files = written(apple_signer(generation="G3"), tmp_path)
    with pytest.raises(PassRefused, match="G4 only"):
        load_signer(files, now=NOW)


def test_the_demonstration_authority_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    folder = tmp_path / "wallet"
    made = demo_signer(folder, now=NOW)
    assert "not of Apple" in made.authority.subject.rfc4514_string()
    assert demo_signer(folder, now=NOW).certificate == made.certificate
    assert {file.stat().st_mode & 0o077 for file in folder.iterdir()} == {0}
    assert folder.stat().st_mode & 0o077 == 0
    later = NOW + timedelta(days=apple_keys.DEMO_DAYS)
    assert demo_signer(folder, now=later).certificate != made.certificate
