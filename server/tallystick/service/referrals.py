"""Who recommended whom: a member's code for the link, and the note of it when somebody new comes by one."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.rules.referral import AFTER_DAYS, WITHIN_DAYS
from tallystick.core.state import MemberStatus
from tallystick.security.blind_index import blind_token
from tallystick.security.encoding import length_prefixed
from tallystick.service.balances import member_not_found
from tallystick.service.directory import Directory, IdentifierRow
from tallystick.service.errors import AlreadyExists, TallystickError
from tallystick.service.referral_ports import Referral

REFERRAL_KIND = "referral"
"""A kind of identifier that no scan gives: tills do not know it, and it goes when its member is erased."""

CODE_CHARS = 12
CODE_CHARS_MAX = 32
"""Longest text that is looked at as a code, spaces and hyphens included."""

NEW_FOR_MS = 600_000
"""How long after joining a member can still say by whom: as long as a sign-in may take to be asked for again."""

CODES_TRIED_MAX = 4
DAY_MS = 86_400_000

_PURPOSE = b"tallystick referral code v1"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None})


class Referrals:
    """The use cases around recommendations. Safe to use from several threads."""

    def __init__(
        self, directory: Directory, *, index_key: Callable[[], bytes], now_ms: Callable[[], Ms]
    ) -> None:
        self._directory = directory
        self._index_key = index_key
        self._now_ms = now_ms

    def code_of(self, program_id: ProgramId, member_id: MemberId) -> str:
        """Return a member's code: always the same, and related to nothing without the gateway's key.

        It leads back to the member once it has been given out here. Raises ``NotFound``.
        """
        for attempt in range(CODES_TRIED_MAX):
            code = referral_code(
                self._index_key(), program_id=program_id, member_id=member_id, attempt=attempt
            )
            token = self._token(program_id, code)
            owners = self._directory.find(program_id, [(REFERRAL_KIND, token)])
            if owners and owners[0].member_id != member_id:
                continue
            if not owners:
                row = IdentifierRow(REFERRAL_KIND, token, member_id, "", self._now_ms())
                try:
                    if not self._directory.add_identifier(program_id, row):
                        raise member_not_found(member_id)
                except AlreadyExists:
                    continue
            return code
        raise TallystickError("No free referral code was found.", member_id=member_id)

    def note(self, program_id: ProgramId, member_id: MemberId, code: str) -> bool:
        """Note by whose code a member has come; False, and nothing noted, for a code that leads nowhere.

        It counts once, for a member who has joined within ``NEW_FOR_MS``, and only the code of somebody who joined
        before: so nobody recommends oneself, and no two each other.
        """
        wanted = _normal(code)
        owners = self._directory.find(program_id, [(REFERRAL_KIND, self._token(program_id, wanted))])
        member = self._directory.member(program_id, member_id)
        referrer = self._directory.member(program_id, owners[0].member_id) if owners else None
        now_ms = self._now_ms()
        if member is None or referrer is None or MemberStatus.ERASED in (member.status, referrer.status):
            return False
        if now_ms - member.enrolled_ms > NEW_FOR_MS or referrer.enrolled_ms >= member.enrolled_ms:
            return False
        # Until then the joiner's own entries say when there is something to look at.
        due_ms = Ms(now_ms + (WITHIN_DAYS + AFTER_DAYS) * DAY_MS)
        referral = Referral(member_id, referrer.member_id, now_ms, due_ms=due_ms)
        return self._directory.add_referral(program_id, referral)

    def _token(self, program_id: ProgramId, code: str) -> bytes:
        return blind_token(self._index_key(), program_id=program_id, kind=REFERRAL_KIND, value=code)


def referral_code(key: bytes, *, program_id: str, member_id: str, attempt: int) -> str:
    """Return a member's code: 60 bits in the alphabet of Crockford's base 32."""
    message = length_prefixed((_PURPOSE, program_id.encode(), member_id.encode(), bytes([attempt])))
    drawn = int.from_bytes(hmac.digest(key, message, "sha256"), "big")
    return "".join(_ALPHABET[drawn >> 5 * place & 31] for place in range(CODE_CHARS))


def _normal(code: str) -> str:
    """Return a code as it is kept: people write letters small, and O for 0."""
    return code[:CODE_CHARS_MAX].upper().translate(_MISREAD)
