"""Passes in phone wallets: issuing them, what they show, and which wallets have to hear of a change."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import field
from typing import Protocol

from tallystick.core.ids import NEVER_MS, MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import MemberStatus
from tallystick.service.balances import BalanceNow, Balances, as_of, balance_of, member_not_found
from tallystick.service.changes import ChangeLog, Place, WatchStore
from tallystick.service.codes import Codes
from tallystick.service.directory import Member
from tallystick.service.rulebook import RuleBook
from tallystick.service.wallet_store import (
    Registered,
    Registration,
    Wallet,
    WalletPass,
    WalletPlace,
    WalletStore,
)

SERIAL_BYTES = 16
TOKEN_BYTES = 24
"""192 random bits as 32 characters; Apple asks for at least 16."""

CLAIM_MS = 60_000
"""How long a wallet that is being told is kept from other processes; whoever died telling it is followed by another."""

CLAIMS_MAX = 50
SEEN_MAX = 20_000
"""Most changes of members remembered, so that looking back finds none of them twice."""

RENEW_BEFORE_MS = 3 * 86_400_000
"""How long before its end a code is replaced: phones may be off for a weekend."""


ENDED = (MemberStatus.BLOCKED, MemberStatus.ERASED)
"""Members whose passes show nothing; points that a member has locked are shown as any."""


class PassStore(WatchStore, WalletStore, Protocol):
    """What passes need of a store."""


@record(frozen=True, slots=True)
class MemberCode:
    """What a pass lets a scanner read: digits, and when they stop to count (NEVER_MS: they do not).

    ``totp_key`` is for wallets that can add a password that rotates; empty where nobody would check it.
    """

    text: str
    expires_ms: Ms = NEVER_MS
    totp_key: bytes = field(default=b"", repr=False)


NO_CODE = MemberCode("")


class CodeSource(Protocol):
    """Gives the code of a member's pass, a new one each time where codes are signed."""

    def code_for(self, program_id: ProgramId, member: Member) -> MemberCode:
        """Return the code to show now."""
        ...

    def rotating_code_for(self, program_id: ProgramId, member: Member, serial: str) -> MemberCode:
        """Return the code of a pass whose wallet adds a password to it."""
        ...


class SignedCodes:
    """A code that the gateway has signed, another one with each look: a till verifies it without a line."""

    def __init__(self, codes: Codes) -> None:
        self._codes = codes

    def code_for(self, program_id: ProgramId, member: Member) -> MemberCode:
        made = self._codes.server_code(program_id, member.member_id)
        return MemberCode(made.digits, made.expires_ms)

    def rotating_code_for(self, program_id: ProgramId, member: Member, serial: str) -> MemberCode:
        made = self._codes.server_code(program_id, member.member_id, rotating=True)
        return MemberCode(made.digits, made.expires_ms, self._codes.totp_key(program_id, serial))


@record(frozen=True, slots=True)
class Card:
    """What a pass shows. ``tier`` is the tier's name, empty where there are none; ``news`` a message to the member.

    ``ended`` marks a member that is gone or blocked: nothing is shown then.
    """

    program_id: ProgramId
    program_name: str
    member: Member
    balance: BalanceNow | None
    tier: str
    news: str = ""

    @property
    def ended(self) -> bool:
        """Whether the pass has to be shown as void."""
        return self.member.status in ENDED


class Wallets:
    """The use cases around passes. Safe to use from several threads."""

    def __init__(
        self,
        store: PassStore,
        rulebook: RuleBook,
        balances: Balances,
        *,
        now_ms: Callable[[], Ms],
        news: Callable[[ProgramId, MemberId], str] = lambda *_: "",
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._balances = balances
        self._now_ms = now_ms
        self._news = news
        self._seen: dict[ProgramId, dict[tuple[Ms, MemberId], None]] = {}
        self._following = threading.Lock()

    def issue(self, program_id: ProgramId, member_id: MemberId, wallet: Wallet) -> tuple[WalletPass, str]:
        """Make a pass of a living member and return it with the secret that its phone will show.

        Only a hash of the secret is kept. Raises ``NotFound``.
        """
        member = self._store.member(program_id, member_id)
        if member is None or member.status in ENDED:
            raise member_not_found(member_id)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now_ms = self._now_ms()
        new = WalletPass(
            serial=secrets.token_hex(SERIAL_BYTES),
            member_id=member_id,
            wallet=wallet,
            token_hash=_hashed(token) if wallet is Wallet.APPLE else b"",
            made_ms=now_ms,
            changed_s=now_ms // 1000,
        )
        log = ChangeLog(self._store, program_id, now_ms=self._now_ms)
        here = log.here()
        place = WalletPlace(here.lanes, here.changed_ms)
        return self._store.add_pass(program_id, new, here=place), token

    def of_token(self, program_id: ProgramId, serial: str, token: str) -> WalletPass | None:
        """Return the pass that a secret belongs to; None for every other secret, serial or program."""
        found = self._store.wallet_pass(program_id, serial)
        expected = found.token_hash if found is not None else b""
        matches = hmac.compare_digest(_hashed(token), expected)
        return found if matches else None

    def passes_of(self, program_id: ProgramId, member_id: MemberId) -> list[WalletPass]:
        """Return a member's passes, the oldest first."""
        return self._store.wallet_passes(program_id, member_id)

    def card(self, program_id: ProgramId, member_id: MemberId) -> Card:
        """Return what a pass shows now. Raises ``NotFound``."""
        member, program = self._store.member(program_id, member_id), self._store.program(program_id)
        if member is None or program is None:
            raise member_not_found(member_id)
        name = program.display_name or program_id
        account = self._store.read_accounts(program_id, [member_id]).get(member_id)
        if member.status in ENDED or account is None:
            return Card(program_id, name, member, None, "")
        now_ms = as_of(account, program.clock, self._now_ms())
        rules = self._rulebook.current(program_id)
        balance = balance_of(self._balances.caught_up(program_id, member_id, now_ms).account, rules, now_ms)
        news = self._news(program_id, member_id)
        return Card(program_id, name, member, balance, _tier_name(rules, balance.tier_id), news)

    def register(
        self, program_id: ProgramId, found: WalletPass, *, device_id: str, push_token: str
    ) -> Registered:
        """Note that a phone wants to hear of a pass."""
        registration = Registration(device_id, push_token, self._now_ms())
        return self._store.add_registration(program_id, found.serial, registration)

    def unregister(self, program_id: ProgramId, found: WalletPass, *, device_id: str) -> bool:
        """Note that a phone does not want to hear of a pass any more."""
        return self._store.remove_registration(program_id, found.serial, device_id)

    def changed(self, program_id: ProgramId, device_id: str, *, after_tag: int) -> list[WalletPass]:
        """Return the passes of a phone that have changed behind a tag, by tag."""
        return self._store.passes_of_device(program_id, device_id, after_tag=after_tag)

    def served(self, program_id: ProgramId, found: WalletPass, code: MemberCode) -> None:
        """Note that a phone fetched a pass with a code."""
        renew_ms = Ms(max(self._now_ms(), code.expires_ms - RENEW_BEFORE_MS))
        self._store.note_served(
            program_id,
            found.serial,
            tag=found.tag,
            renew_ms=NEVER_MS if code.expires_ms >= NEVER_MS else renew_ms,
        )

    def follow(self, program_id: ProgramId) -> bool:
        """Number the passes of members that have changed anew, one round; True when there is more to read."""
        with self._following:
            was = self._store.wallet_place(program_id)
            if was is None:
                return False
            log = ChangeLog(self._store, program_id, now_ms=self._now_ms)
            place = Place(was.lanes, was.changed_ms)
            if not log.reaches(place):
                return self._follow_anew(program_id, log, was)
            changes = log.since(place)
            seen = self._seen.setdefault(program_id, {})
            fresh = [one for one in changes.by_themselves if one not in seen]
            members = {*changes.by_entries, *(member_id for _, member_id in fresh)}
            to = WalletPlace(changes.place.lanes, changes.place.changed_ms, moves=was.moves)
            if self._store.move_place(program_id, to, members, now=self._now_ms()):
                seen.update(dict.fromkeys(fresh))
                for old in list(seen)[: max(0, len(seen) - SEEN_MAX)]:
                    del seen[old]
            return changes.more

    def _follow_anew(self, program_id: ProgramId, log: ChangeLog, was: WalletPlace) -> bool:
        """Too far behind, or the database was restored: all passes may have changed."""
        here = log.here()
        after = ""
        members: set[MemberId] = set()
        while page := self._store.members(program_id, after=after, limit=_MEMBERS_PAGE):
            after = page[-1].member_id
            members.update(member.member_id for member in page)
        to = WalletPlace(here.lanes, here.changed_ms, moves=was.moves)
        self._store.move_place(program_id, to, members, now=self._now_ms())
        return False

    def due(self, program_id: ProgramId) -> list[WalletPass]:
        """Take passes whose wallets have to be told; nobody else takes them within ``CLAIM_MS``."""
        now_ms = self._now_ms()
        return self._store.claim_due(program_id, now=now_ms, until=Ms(now_ms + CLAIM_MS), limit=CLAIMS_MAX)


_MEMBERS_PAGE = 1_000


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _tier_name(rules: RuleSet | None, tier_id: str) -> str:
    if rules is None or rules.tiers is None:
        return ""
    return tier_id.replace("_", " ").replace("-", " ").title()
