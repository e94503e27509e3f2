"""Coupons for those who hand them out and those who have them: unique codes made, listed, revoked; those on a card."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Protocol

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import CouponRef
from tallystick.core.coupon import CouponUse, can_use, ends_ms
from tallystick.core.ids import NEVER_MS, MemberId, Ms, ProgramId
from tallystick.core.lots import local_day
from tallystick.core.record import record
from tallystick.core.rules.coupon import find_coupon, normalise_code
from tallystick.core.rules.experiment import held_out
from tallystick.core.rules.match import moment_for
from tallystick.core.rules.membership import memberships_at
from tallystick.core.rules.model import Coupon, Offer, RuleSet
from tallystick.core.rules.tier import current_tier
from tallystick.core.state import Account, MemberStatus
from tallystick.security.blind_index import blind_token
from tallystick.security.encoding import length_prefixed
from tallystick.service.balances import member_not_found
from tallystick.service.coupon_book import segments_asked
from tallystick.service.coupon_ports import (
    BATCH_COUPONS_MAX,
    COUPON_BATCHES_MAX,
    NOBODY,
    CodeState,
    CouponBatch,
    CouponCode,
    CouponCounts,
    CouponDirectory,
    CouponReader,
)
from tallystick.service.errors import AlreadyExists, InvalidInput, NotFound, TallystickError
from tallystick.service.ports import LedgerReader
from tallystick.service.rulebook import RuleBook
from tallystick.service.segment_ports import Memberships

CODE_CHARS = 12
"""60 bits: with a million codes about, a million guesses find one with a chance of one in a million."""

GROUP_CHARS = 4
CARD_CODES_MAX = 1_000
"""Most codes of one member that are looked at for a card."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PURPOSE = b"tallystick coupon code v1"
_KIND = "coupon"


class Store(LedgerReader, CouponReader, CouponDirectory, Protocol):
    """What the use cases around coupons need of a store."""


@record(frozen=True, slots=True)
class CodeNow:
    """A unique code as it is shown, and what became of it."""

    code: CouponCode
    text: str
    state: CodeState

    @property
    def member_id(self) -> str:
        """Whose it is; empty when it is whoever's, or of a member who was erased."""
        return "" if self.code.member_id == NOBODY else self.code.member_id


@record(frozen=True, slots=True)
class CardCoupon:
    """A coupon that a member can use until ``ends_ms``, if a basket fits it; ``code`` is what to give at a checkout.

    ``offer`` is the personal offer that it is, if any.
    """

    coupon: Coupon
    code: str
    ends_ms: Ms = NEVER_MS
    offer: Offer | None = None


class Coupons:
    """The use cases around coupons. Safe to use from several threads; ``index_key`` is the key of the blind index.

    Codes are drawn from the key, the batch and the place in it: nobody guesses them, a repeated request draws the same
    ones, and none is stored.
    """

    def __init__(
        self,
        store: Store,
        rulebook: RuleBook,
        *,
        index_key: Callable[[], bytes],
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._index_key = index_key
        self._now_ms = now_ms

    def refs(self, program_id: ProgramId, codes: Sequence[str]) -> tuple[CouponRef, ...]:
        """Return codes as commands name them: in their one spelling, each once, with their blind tokens."""
        spelled = dict.fromkeys(normalise_code(code) for code in codes)
        return tuple(CouponRef(self._token(program_id, code), code) for code in spelled)

    def create(
        self,
        program_id: ProgramId,
        batch_id: str,
        *,
        coupon_id: str,
        count: int,
        member_ids: Sequence[MemberId],
        created_by: str,
    ) -> list[CodeNow]:
        """Make unique codes of a coupon: ``count`` for whoever has them, or one for each member.

        The same batch again answers the same codes. Raises ``InvalidInput``, ``NotFound`` for a member who is not
        there, ``AlreadyExists`` when the id was used for another batch, ``TallystickError`` (LIMIT_REACHED).
        """
        if (count > 0) == bool(member_ids):
            raise InvalidInput(
                "Say how many codes, or for which members.",
                violations=(("count", "must be at least 1 without member_ids, and 0 with them"),),
            )
        of: list[str] = [*member_ids] or [""] * count
        assert len(of) <= BATCH_COUPONS_MAX, "the contract bounds a batch"
        content = hashlib.sha256("|".join([coupon_id, str(count), *member_ids]).encode()).hexdigest()
        stored = self._store.coupon_batch(program_id, batch_id)
        if stored is None:
            self._require_unique(program_id, coupon_id)
            self._require_members(program_id, member_ids)
            now = self._now_ms()
            batch = CouponBatch(batch_id, coupon_id, len(of), content, now, created_by)
            codes = [
                CouponCode(
                    self._token(program_id, self._draw(program_id, batch_id, position)),
                    batch_id,
                    position,
                    coupon_id,
                    member_id,
                    CodeState.OPEN,
                    "",
                    Ms(0),
                    now,
                )
                for position, member_id in enumerate(of, 1)
            ]
            stored = self._store.add_coupon_batch(program_id, batch, codes)
        if stored is None:
            raise TallystickError(
                "The program has as many batches as are allowed.",
                reason="LIMIT_REACHED",
                limit="coupon_batches_per_program",
                max=COUPON_BATCHES_MAX,
            )
        if stored.content != content:
            raise AlreadyExists(
                "The batch_id was used for another batch.",
                mend="Make a new batch_id for a new batch.",
                reason="REQUEST_ID_REUSED",
                field="batch_id",
            )
        return self.of_batch(program_id, batch_id, after=0, limit=BATCH_COUPONS_MAX)

    def of_batch(self, program_id: ProgramId, batch_id: str, *, after: int, limit: int) -> list[CodeNow]:
        """Return codes of a batch by position, behind one. Raises ``NotFound``."""
        self._require_batch(program_id, batch_id)
        codes = self._store.batch_codes(program_id, batch_id, after=after, limit=limit)
        return [self._shown(program_id, code) for code in codes]

    def of_member(
        self, program_id: ProgramId, member_id: MemberId, *, after: tuple[Ms, str], limit: int
    ) -> list[CodeNow]:
        """Return a member's own codes by (created_ms, token), behind one. Raises ``NotFound``."""
        codes = self._store.member_codes(program_id, member_id, after=after, limit=limit)
        if not codes and member_id not in self._store.read_accounts(program_id, [member_id]):
            raise member_not_found(member_id)
        return [self._shown(program_id, code) for code in codes]

    def revoke(self, program_id: ProgramId, batch_id: str) -> int:
        """End the codes of a batch; return how many that nobody had used or reserved ended by this call.

        Raises ``NotFound``.
        """
        self._require_batch(program_id, batch_id)
        return self._store.revoke_codes(program_id, batch_id, now_ms=self._now_ms())

    def coupons_of(self, program_id: ProgramId, member_id: MemberId) -> list[CardCoupon]:
        """Return what a member's card shows: own unique codes and shown shared codes that can be used now.

        Those that end soonest come first. Raises ``NotFound`` for a member who is not there.
        """
        account = self._store.read_accounts(program_id, [member_id]).get(member_id)
        if account is None:
            raise member_not_found(member_id)
        rules = self._rulebook.current(program_id)
        if rules is None or not rules.coupons:
            return []
        own = self.of_member(program_id, member_id, after=(Ms(0), ""), limit=CARD_CODES_MAX)
        asked = [(code.code.coupon_id, code.text) for code in own if code.state is CodeState.OPEN]
        asked += [(coupon.coupon_id, coupon.code) for coupon in rules.coupons if coupon.show]
        coupon_ids = sorted({coupon_id for coupon_id, _ in asked})
        if not coupon_ids:
            return []
        counts = self._store.read_coupon_counts(program_id, coupon_ids, member_id, now_ms=self._now_ms())
        segments = segments_asked(rules, coupon_ids)
        since = self._store.read_memberships(program_id, [member_id], segments) if segments else {}
        usable = self._usable(rules, account, counts, since)
        offers = {offer.coupon_id: offer for offer in rules.offers}
        shown = []
        for coupon_id, text in asked:
            coupon = usable.get(coupon_id)
            if coupon is not None:
                until_ms = Ms(ends_ms(coupon, since.get((member_id, coupon.segment), Ms(0))))
                shown.append(CardCoupon(coupon, text, until_ms, offers.get(coupon_id)))
        return sorted(shown, key=lambda one: (one.ends_ms, one.coupon.coupon_id, one.code))

    def _usable(
        self, rules: RuleSet, account: Account, counts: CouponCounts, since: Memberships
    ) -> dict[str, Coupon]:
        """Return the coupons of a rule set of which there is one left for a member now."""
        tier_id = current_tier(rules, account.tier).tier_id
        now_ms = self._now_ms()
        day = local_day(now_ms, rules.zone).toordinal()
        paid = memberships_at(rules.memberships, account.tallies, day)
        moment = moment_for(rules, Origin(now_ms, Channel.UNKNOWN), tier_id, account.member_id, paid)
        out = held_out(rules.holdout_percent, account.member_id)
        found = {}
        for coupon in rules.coupons:
            key = coupon.coupon_id
            held = sum(one.coupon_id == key for one in counts.reservations)
            use = CouponUse(
                key,
                by_member=counts.by_member.get((account.member_id, key), 0) + held,
                in_all=counts.used.get(key, 0) + counts.held.get(key, 0),
                since_ms=since.get((account.member_id, coupon.segment), -1),
            )
            if can_use(coupon, use, moment, held_out=out):
                found[key] = coupon
        return found

    def _require_batch(self, program_id: ProgramId, batch_id: str) -> None:
        if self._store.coupon_batch(program_id, batch_id) is None:
            raise NotFound("There is no such batch.", reason="COUPON_BATCH_NOT_FOUND", batch_id=batch_id)

    def _require_unique(self, program_id: ProgramId, coupon_id: str) -> None:
        rules = self._rulebook.current(program_id)
        coupon = find_coupon(rules, coupon_id) if rules else None
        if coupon is None or coupon.code:
            text = (
                "has a shared code, which everybody uses"
                if coupon
                else "must be a coupon of the rule set in force"
            )
            raise InvalidInput("No codes can be made of it.", violations=(("coupon_id", text),))

    def _require_members(self, program_id: ProgramId, member_ids: Sequence[MemberId]) -> None:
        found = self._store.read_accounts(program_id, member_ids) if member_ids else {}
        for member_id in member_ids:
            account = found.get(member_id)
            if account is None or account.status is MemberStatus.ERASED:
                raise member_not_found(member_id)

    def _shown(self, program_id: ProgramId, code: CouponCode) -> CodeNow:
        drawn = self._draw(program_id, code.batch_id, code.position)
        text = "-".join(drawn[at : at + GROUP_CHARS] for at in range(0, CODE_CHARS, GROUP_CHARS))
        return CodeNow(code, text, code.state_at(self._now_ms()))

    def _draw(self, program_id: ProgramId, batch_id: str, position: int) -> str:
        message = length_prefixed(
            (_PURPOSE, program_id.encode(), batch_id.encode(), position.to_bytes(4, "big"))
        )
        drawn = int.from_bytes(hmac.digest(self._index_key(), message, "sha256")[:8], "big")
        return "".join(_ALPHABET[drawn >> 5 * at & 31] for at in range(CODE_CHARS))

    def _token(self, program_id: ProgramId, code: str) -> str:
        return blind_token(self._index_key(), program_id=program_id, kind=_KIND, value=code).hex()
