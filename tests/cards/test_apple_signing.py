"""Signatures of passes: programs of others take ours, refuse what is wrong, and what is wrong never leaves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tallystick.cards.apple import ApplePasses
from tallystick.cards.apple_keys import make_demo_signer
from tallystick.cards.apple_signing import PassSigner, check_pass, signed_files
from tallystick.cards.der import Der, DerMalformed
from tallystick.cards.refused import PassRefused
from tallystick.core.ids import MemberId
from tests.cards import validators
from tests.cards.bundles import unpacked
from tests.service.paper_till import SHOP, Shop

NOW = datetime(2026, 1, 15, tzinfo=UTC)
Files = dict[str, bytes]


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    validators.install()


@pytest.fixture
def files(shop: Shop, passes: ApplePasses) -> Files:
    return unpacked(passes.issue(SHOP, MemberId(shop.member(points=250))).data)


def signature_of(manifest: bytes, signer: PassSigner, *options: pkcs7.PKCS7Options) -> bytes:
    builder = pkcs7.PKCS7SignatureBuilder().set_data(manifest)
    signed = builder.add_signer(signer.certificate, signer.key, hashes.SHA256())
    chosen = [pkcs7.PKCS7Options.DetachedSignature, *options]
    return signed.add_certificate(signer.authority).sign(Encoding.DER, chosen)


def without_binary(files: Files, signer: PassSigner) -> Files:
    return {**files, "signature": signature_of(files["manifest.json"], signer)}


def changed_manifest(files: Files, signer: PassSigner) -> Files:
    return {**files, "manifest.json": files["manifest.json"].replace(b"a", b"b", 1)}


def by_a_stranger(files: Files, signer: PassSigner) -> Files:
    stranger = make_demo_signer(now=NOW, pass_type=signer.pass_type, team=signer.team)
    signature = signature_of(files["manifest.json"], stranger, pkcs7.PKCS7Options.Binary)
    return {**files, "signature": signature}


def with_a_strangers_key(files: Files, signer: PassSigner) -> Files:
    stranger = replace(signer, key=make_demo_signer(now=NOW).key)
    signature = signature_of(files["manifest.json"], stranger, pkcs7.PKCS7Options.Binary)
    return {**files, "signature": signature}


BROKEN: list[Callable[[Files, PassSigner], Files]] = [
    without_binary,
    changed_manifest,
    by_a_stranger,
    with_a_strangers_key,
]


@pytest.mark.parametrize("name", validators.NAMES)
def test_programs_of_others_take_our_signature(
    name: str, files: Files, signer: PassSigner, tmp_path: Path
) -> None:
    assert validators.accepts(name, files, signer.authority, tmp_path)


@pytest.mark.parametrize("broken", BROKEN)
def test_what_programs_of_others_refuse_we_refuse(
    broken: Callable[[Files, PassSigner], Files], files: Files, signer: PassSigner, tmp_path: Path
) -> None:
    wrong = broken(files, signer)
    assert wrong != files
    verdicts = {
        name: validators.accepts(name, wrong, signer.authority, tmp_path) for name in validators.NAMES
    }
    assert verdicts == dict.fromkeys(validators.NAMES, False)
    with pytest.raises(PassRefused):
        check_pass(wrong, authority=signer.authority, now=NOW)


def test_a_pass_signed_without_binary_never_leaves(
    shop: Shop, passes: ApplePasses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault that published packages have: line ends are rewritten before the digest is taken."""
    member_id = MemberId(shop.member())

    class Forgetful(pkcs7.PKCS7SignatureBuilder):
        def sign(self, encoding: Encoding, options: object, backend: object = None) -> bytes:
            return super().sign(encoding, [pkcs7.PKCS7Options.DetachedSignature])

    monkeypatch.setattr(pkcs7, "PKCS7SignatureBuilder", Forgetful)
    with pytest.raises(PassRefused, match="not over this manifest"):
        passes.issue(SHOP, member_id)


@pytest.mark.parametrize("name", ["pass.json", "icon.png", "sv.lproj/pass.strings"])
def test_a_file_changed_behind_the_manifest_is_refused(name: str, files: Files, signer: PassSigner) -> None:
    with pytest.raises(PassRefused, match=f"{name} was changed"):
        check_pass({**files, name: files[name] + b" "}, authority=signer.authority, now=NOW)


def test_a_file_too_many_or_too_few_is_refused(files: Files, signer: PassSigner) -> None:
    fewer = {name: data for name, data in files.items() if name != "icon.png"}
    for wrong in ({**files, "more.txt": b""}, fewer):
        with pytest.raises(PassRefused, match="manifest does not fit"):
            check_pass(wrong, authority=signer.authority, now=NOW)
    for name in ("pass.json", "manifest.json", "signature"):
        with pytest.raises(PassRefused, match=f"{name} is missing"):
            check_pass({n: d for n, d in files.items() if n != name}, authority=signer.authority, now=NOW)


@pytest.mark.parametrize("what", ["passTypeIdentifier", "teamIdentifier"])
def test_a_pass_for_another_certificate_is_refused(what: str, files: Files, signer: PassSigner) -> None:
    content = json.loads(files["pass.json"])
    other = {**files, "pass.json": json.dumps({**content, what: "somebody.else"}).encode()}
    for extra in ("manifest.json", "signature"):
        del other[extra]
    with pytest.raises(PassRefused, match=f"{what} in pass.json is 'somebody.else'"):
        signed_files(other, signer, now=NOW)


def test_an_expired_certificate_and_one_to_come_sign_nothing(files: Files, signer: PassSigner) -> None:
    plain = {name: data for name, data in files.items() if name not in ("manifest.json", "signature")}
    assert signed_files(plain, signer, now=NOW)
    for now, word in (
        (NOW + timedelta(days=4_000), "expired on"),
        (NOW - timedelta(days=4_000), "valid from"),
    ):
        with pytest.raises(PassRefused, match=word):
            signed_files(plain, signer, now=now)


def test_a_certificate_of_another_authority_signs_nothing(files: Files, signer: PassSigner) -> None:
    plain = {name: data for name, data in files.items() if name not in ("manifest.json", "signature")}
    other = replace(signer, authority=make_demo_signer(now=NOW - timedelta(days=1)).authority)
    with pytest.raises(PassRefused, match="was not issued by"):
        signed_files(plain, other, now=NOW)


def test_every_cut_and_every_changed_byte_of_a_signature_is_refused(files: Files, signer: PassSigner) -> None:
    whole = files["signature"]
    for end in range(0, len(whole), 97):
        with pytest.raises(PassRefused):
            check_pass({**files, "signature": whole[:end]}, authority=signer.authority, now=NOW)
    # Behind the certificates lies all that is signed, and the signature itself.
    for at in range(len(whole) - 300, len(whole), 7):
        wrong = bytearray(whole)
        wrong[at] ^= 0x10
        with pytest.raises(PassRefused):
            check_pass({**files, "signature": bytes(wrong)}, authority=signer.authority, now=NOW)


def test_the_manifest_is_what_the_documents_say(files: Files) -> None:
    named = json.loads(files["manifest.json"])
    assert named == {
        name: hashlib.sha1(data).hexdigest()
        for name, data in files.items()
        if name not in ("manifest.json", "signature")
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x80",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x02\x01",
        b"\x05\x00\x00",
        b"\x30" * 70_000,
    ],
)
def test_bytes_that_are_no_der_are_refused(data: bytes) -> None:
    with pytest.raises(DerMalformed):
        Der.whole(data)
