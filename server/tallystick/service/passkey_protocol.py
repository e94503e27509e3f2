"""What WebAuthn Level 3 makes of our questions and a browser's answers; nothing here knows members or stores.

Loaded with the first passkey that is asked for: most processes never see one, and its parsers take 5 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

_ES256 = [COSEAlgorithmIdentifier.ECDSA_SHA_256]

AcceptsOrigin = Callable[[str], bool]
"""Tells whether a page's origin is one of ours."""


class Question(NamedTuple):
    """A challenge, and the options (JSON) with which a browser asks for the answer."""

    challenge: bytes
    options_json: str


class MadePasskey(NamedTuple):
    """What is kept of a new passkey."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


def ask_for_passkey(rp_id: str, *, ttl_s: int) -> Question:
    """Return the question to which any passkey of the site is the answer, whoever's it is."""
    options = generate_authentication_options(
        rp_id=rp_id, timeout=ttl_s * 1000, user_verification=UserVerificationRequirement.REQUIRED
    )
    return Question(options.challenge, options_to_json(options))


def ask_for_new(
    rp_id: str,
    rp_name: str,
    *,
    user_handle: bytes,
    user_name: str,
    display_name: str,
    held: Iterable[bytes],
    ttl_s: int,
) -> Question:
    """Return the question that makes a browser make a passkey; ``held`` are the credential ids that are there."""
    options = generate_registration_options(
        rp_id=rp_id,
        rp_name=rp_name,
        user_id=user_handle,
        user_name=user_name,
        user_display_name=display_name,
        timeout=ttl_s * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in held],
        supported_pub_key_algs=_ES256,
    )
    return Question(options.challenge, options_to_json(options))


def read_answer(credential_json: str) -> AuthenticationCredential:
    """Return what a browser answered; nothing of it is checked yet. Raises whatever its parser raises."""
    return parse_authentication_credential_json(credential_json)


def signed_count(
    answer: AuthenticationCredential,
    challenge: bytes,
    *,
    rp_id: str,
    accepts_origin: AcceptsOrigin,
    public_key: bytes,
    sign_count: int,
) -> int:
    """Check that a passkey signed a challenge; return its new count. Raises whatever the verifier raises."""
    verified = verify_authentication_response(
        credential=answer,
        expected_challenge=challenge,
        expected_rp_id=rp_id,
        expected_origin=_origin(answer.response.client_data_json, accepts_origin),
        credential_public_key=public_key,
        credential_current_sign_count=sign_count,
        require_user_verification=True,
    )
    return verified.new_sign_count


def read_new(
    credential_json: str, challenge: bytes, *, rp_id: str, accepts_origin: AcceptsOrigin
) -> MadePasskey:
    """Check what a browser has made, and return what is kept of it. Raises whatever parser and verifier raise."""
    credential = parse_registration_credential_json(credential_json)
    verified = verify_registration_response(
        credential=credential,
        expected_challenge=challenge,
        expected_rp_id=rp_id,
        expected_origin=_origin(credential.response.client_data_json, accepts_origin),
        require_user_verification=True,
        supported_pub_key_algs=_ES256,
    )
    return MadePasskey(verified.credential_id, verified.credential_public_key, verified.sign_count)


def _origin(client_data: bytes, accepts_origin: AcceptsOrigin) -> str | list[str]:
    """Return the origin that a page says it has, when it is one of ours; none at all otherwise."""
    origin = parse_client_data_json(client_data).origin
    return origin if accepts_origin(origin) else []
