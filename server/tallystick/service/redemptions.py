"""Rewards bought without a basket, for those who show them and those who hand them out.

What was bought, handed out and cancelled stands in the ledger; nothing else is kept. A code is made anew whenever it is
shown: where the member's entry is, and a seal that only the gateway can make.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from enum import IntEnum

from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.redeem import is_redemption
from tallystick.core.rules.reward import find_reward
from tallystick.security.encoding import length_prefixed
from tallystick.service.errors import NotFound
from tallystick.service.ports import LedgerReader
from tallystick.service.rulebook import RuleBook

SEAL_CHARS = 8
"""40 bits, beside the member and the entry: guesses at a till are counted, and there is one code to find."""

GROUP_CHARS = 4
CODE_CHARS_MAX = 24
LISTED_MAX = 50
LOOKED_AT_MAX = 500
"""Of so many of the member's last entries the redemptions are listed."""

_PURPOSE = b"tallystick redemption code v1"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1"})


class RedemptionState(IntEnum):
    """What became of a reward that was bought. The numbers are those of the contract."""

    OPEN = 1
    USED = 2
    CANCELLED = 3


@record(frozen=True, slots=True)
class Redemption:
    """A reward that was bought, with its code.

    ``used_ms`` is 0 and ``used_store_id`` empty while it was not handed out.
    """

    entry: Entry
    name: str
    code: str
    state: RedemptionState
    used_ms: Ms = Ms(0)
    used_store_id: str = ""


class Redemptions:
    """The use cases around redemptions. Safe to use from several threads."""

    def __init__(self, reader: LedgerReader, rulebook: RuleBook, *, key: Callable[[], bytes]) -> None:
        self._reader = reader
        self._rulebook = rulebook
        self._key = key

    def of_entry(self, program_id: ProgramId, entry: Entry) -> Redemption:
        """Return the redemption that an entry has made, as it is now."""
        after = self._reader.read_reversals(program_id, entry.member_id, entry.seq)
        return self._told(program_id, entry, after)

    def of_code(self, program_id: ProgramId, member_id: MemberId, code: str) -> Redemption:
        """Return what a member's code stands for. Raises ``NotFound`` when it is not one of theirs."""
        seq, text = _seq_of(code), normalise(code)
        if seq:
            rows = self._reader.read_entries(program_id, member_id, before_seq=seq + 1, limit=1)
            for entry, _ in rows:
                if entry.seq == seq and is_redemption(entry):
                    wanted = normalise(self.code_of(program_id, entry))
                    if hmac.compare_digest(wanted.encode(), text.encode()):
                        return self.of_entry(program_id, entry)
        raise redemption_not_found(member_id)

    def of_member(self, program_id: ProgramId, member_id: MemberId) -> list[Redemption]:
        """Return what a member has bought, newest first: at most ``LISTED_MAX``."""
        rows = self._reader.read_entries(program_id, member_id, before_seq=None, limit=LOOKED_AT_MAX)
        entries = [entry for entry, _ in rows]
        after: dict[int, list[Entry]] = {}
        for entry in entries:
            if entry.reverses_seq:
                after.setdefault(entry.reverses_seq, []).append(entry)
        bought = [entry for entry in entries if is_redemption(entry)][:LISTED_MAX]
        return [self._told(program_id, entry, after.get(entry.seq, ())) for entry in bought]

    def code_of(self, program_id: ProgramId, entry: Entry) -> str:
        """Return the code of an entry: its number, then the seal over who bought what, in groups of four."""
        message = length_prefixed(
            (_PURPOSE, program_id.encode(), entry.member_id.encode(), entry.command_id.encode())
        )
        digest = int.from_bytes(hmac.digest(self._key(), message, "sha256")[:5], "big")
        text = _base32(entry.seq) + _base32(digest).rjust(SEAL_CHARS, "0")
        head = len(text) % GROUP_CHARS or GROUP_CHARS
        parts = [text[:head], *(text[at : at + GROUP_CHARS] for at in range(head, len(text), GROUP_CHARS))]
        return "-".join(parts)

    def _told(self, program_id: ProgramId, entry: Entry, after: Iterable[Entry]) -> Redemption:
        bought = entry.detail.rewards[0]
        rules = self._rulebook.version(program_id, entry.rule_set)
        reward = find_reward(rules, bought.reward_id) if rules else None
        name, code = reward.name if reward else "", self.code_of(program_id, entry)
        for later in after:
            if later.kind is EntryKind.HANDOVER:
                used = later.origin
                return Redemption(
                    entry, name, code, RedemptionState.USED, used.occurred_ms, used_store_id=used.store_id
                )
            if later.kind is EntryKind.REVERSE:
                return Redemption(entry, name, code, RedemptionState.CANCELLED)
        return Redemption(entry, name, code, RedemptionState.OPEN)


def normalise(code: str) -> str:
    """Return a code in its one spelling: capitals and digits; O is 0, I and L are 1."""
    letters = "".join(letter for letter in code.upper() if letter.isalnum())
    return letters.translate(_MISREAD)[: CODE_CHARS_MAX + 1]


def redemption_not_found(member_id: MemberId | str) -> NotFound:
    """Return the error for a code that is not the member's, or none at all."""
    return NotFound(
        "The member has no such redemption.",
        mend="Look at the code again, and whose it is.",
        reason="REDEMPTION_NOT_FOUND",
        member_id=member_id,
    )


def _seq_of(code: str) -> int:
    """Return the number of the entry that a code names, 0 when it names none."""
    text = normalise(code)[:-SEAL_CHARS]
    if not text or len(text) > CODE_CHARS_MAX - SEAL_CHARS or any(sign not in _ALPHABET for sign in text):
        return 0
    seq = 0
    for sign in text:
        seq = seq * 32 + _ALPHABET.index(sign)
    return seq if seq < 1 << 53 else 0


def _base32(number: int) -> str:
    text = ""
    while number:
        number, rest = divmod(number, 32)
        text = _ALPHABET[rest] + text
    return text or "0"
