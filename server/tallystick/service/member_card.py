"""What a member's card shows: balance, ladder, what expires, rewards, vouchers, and the link to recommend by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from tallystick.core.access import Opening
from tallystick.core.basket import Channel, Origin
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.progress import (
    ChallengeNow,
    MembershipNow,
    badges_of,
    challenges_near,
    challenges_now,
    memberships_now,
)
from tallystick.core.record import record
from tallystick.core.rules.access import Access
from tallystick.core.rules.ladder import (
    Expiring,
    Standing,
    expiring_points,
    in_tier,
    next_reward,
    standing_of,
    to_be_had,
)
from tallystick.core.rules.model import Reward, RuleSet
from tallystick.core.rules.referral import Referring
from tallystick.core.state import Hold, HoldKind, HoldStatus, MemberState
from tallystick.security.errors import SealBroken
from tallystick.service.balances import BalanceNow, Balances, as_of, balance_of, member_not_found
from tallystick.service.card_offers import CardAction, actions_of, limit_left, stock_left
from tallystick.service.coupons import CardCoupon, Coupons
from tallystick.service.directory import DeviceStatus, Member
from tallystick.service.leases import digits_of
from tallystick.service.members import Members
from tallystick.service.openings import openings_of
from tallystick.service.reads import Store
from tallystick.service.referral_ports import ReferralSums
from tallystick.service.referrals import Referrals
from tallystick.service.rulebook import RuleBook
from tallystick.service.signed import Signer

EXPIRING_DAYS_MAX = 12
STORES_MAX = 1_000
STORES_FRESH_MS = 30_000
"""How long the list of stores may be old: opening a shop is rare, looking at a card is not."""

STORE_LISTS_MAX = 1_000
DEVICES_MAX = 20_000
DEVICES_PAGE = 1_000

log = logging.getLogger(__name__)


@record(frozen=True, slots=True)
class CardReward:
    """A reward with what it is to this member; ``missing_points`` is 0 when there are enough.

    ``stock_left`` and ``limit_left`` are 0 also where it has no stock or limit.
    """

    reward: Reward
    in_tier: bool
    missing_points: int
    stock_left: int = 0
    limit_left: int = 0

    @property
    def sold_out(self) -> bool:
        """Whether nothing is left of its stock."""
        return self.reward.stock > 0 and not self.stock_left


@record(frozen=True, slots=True)
class CardVoucher:
    """A voucher that its store still takes, with the digits of its QR."""

    hold: Hold
    digits: str


@record(frozen=True, slots=True)
class CardReferral:
    """What came of a member's recommendations: the code, figures, and what the rules give (None: nothing)."""

    code: str
    sums: ReferralSums
    plan: Referring | None


@record(frozen=True, slots=True)
class Private:
    """The part of a card that is for its member alone and not for the page of a webshop."""

    given_name: str
    vouchers: tuple[CardVoucher, ...]
    coupons: tuple[CardCoupon, ...]
    store_ids: tuple[str, ...]
    referral_url: str
    referral: CardReferral


@record(frozen=True, slots=True)
class MemberCard:
    """A member's card as it is now. ``rules`` is None where no rule set is in force; ``private`` where it is left out.

    ``next_reward`` is the cheapest reward in reach of the tier and not yet of the points. ``badges`` are ids with how
    often each was won. ``challenges_ahead`` are the nearest ones of a card that a shop shows.
    """

    program_name: str
    member: Member
    rules: RuleSet | None
    balance: BalanceNow
    standing: Standing
    next_reward: Reward | None
    expiring: tuple[Expiring, ...]
    rewards: tuple[CardReward, ...]
    private: Private | None
    challenges: tuple[ChallengeNow, ...] = ()
    badges: tuple[tuple[str, int], ...] = ()
    memberships: tuple[MembershipNow, ...] = ()
    actions: tuple[CardAction, ...] = ()
    access: tuple[tuple[Access, Opening], ...] = ()
    challenges_ahead: tuple[ChallengeNow, ...] = ()


class MemberCards:
    """Draws up cards. Safe to use from several threads.

    ``till_role`` is the role of devices that are tills. ``public_url`` is where the card app is reached from outside;
    empty: links are given without a host, for whoever shows the card to complete.
    """

    def __init__(
        self,
        store: Store,
        rulebook: RuleBook,
        balances: Balances,
        members: Members,
        signer: Signer,
        referrals: Referrals,
        coupons: Coupons,
        *,
        till_role: int,
        public_url: str,
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._balances = balances
        self._members = members
        self._signer = signer
        self._referrals = referrals
        self._coupons = coupons
        self._stores = Stores(store, till_role=till_role, now_ms=now_ms)
        self._public_url = public_url.rstrip("/")
        self._now_ms = now_ms

    def card(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        *,
        private: bool = True,
        shop: Channel = Channel.UNKNOWN,
    ) -> MemberCard:
        """Return a living member's card, without its private part if that is not asked for. Raises ``NotFound``.

        ``shop`` is where a sale would be, when a shop shows the card.
        """
        member = self._members.living(program_id, member_id)
        program = self._store.program(program_id)
        account = self._store.read_accounts(program_id, [member_id]).get(member_id)
        if program is None or account is None:
            raise member_not_found(member_id)
        at_ms = as_of(account, program.clock, self._now_ms())
        state = self._balances.caught_up(program_id, member_id, at_ms)
        rules = self._rulebook.current(program_id)
        balance = balance_of(state.account, rules, at_ms)
        name = program.display_name or program_id
        part = self._private(program_id, member_id, state, at_ms) if private else None
        if rules is None:
            return MemberCard(name, member, None, balance, Standing(), None, (), (), part)
        # The page of a webshop sells baskets: what is bought without one is for the card.
        offered = [one for one in to_be_had(rules.rewards, at_ms) if private or one.in_basket]
        tallies = state.account.tallies
        memberships = memberships_now(rules, tallies, at_ms)
        held = frozenset(one.membership.membership_id for one in memberships if one.active)
        return MemberCard(
            name,
            member,
            rules,
            balance,
            standing_of(rules, state.account.tier, enrolled_ms=state.account.enrolled_ms, at_ms=at_ms),
            next_reward(offered, balance.tier_id, balance.active, held),
            tuple(expiring_points(rules, state.lots, days_max=EXPIRING_DAYS_MAX)),
            tuple(self._rewards(program_id, rules, state, offered, balance, held)),
            part,
            tuple(challenges_now(rules, tallies, at_ms)),
            tuple(badges_of(tallies)),
            tuple(memberships),
            tuple(actions_of(rules, state, at_ms)),
            tuple(openings_of(rules, state, at_ms)),
            tuple(challenges_near(rules, state.account, Origin(at_ms, shop)) if shop else ()),
        )

    def _rewards(
        self,
        program_id: ProgramId,
        rules: RuleSet,
        state: MemberState,
        offered: Sequence[Reward],
        balance: BalanceNow,
        held: frozenset[str],
    ) -> list[CardReward]:
        left = stock_left(self._store, program_id, state.account.member_id, offered, self._now_ms())
        return [
            CardReward(
                reward,
                in_tier(reward, balance.tier_id, held),
                missing_points=max(0, reward.cost - balance.active),
                stock_left=left.get(reward.reward_id, 0),
                limit_left=limit_left(rules, state, reward, balance.as_of_ms),
            )
            for reward in offered
        ]

    def _private(self, program_id: ProgramId, member_id: MemberId, state: MemberState, at_ms: Ms) -> Private:
        code = self._referrals.code_of(program_id, member_id)
        sums = self._store.referral_sums(program_id, member_id)
        rules = self._rulebook.current(program_id)
        return Private(
            self._given_name(program_id, member_id),
            tuple(self._vouchers(program_id, member_id, state.holds, at_ms)),
            tuple(self._coupons.coupons_of(program_id, member_id)),
            self._stores.of(program_id),
            f"{self._public_url}/card/{program_id}/?ref={code}",
            CardReferral(code, sums, rules.referral if rules else None),
        )

    def _given_name(self, program_id: ProgramId, member_id: MemberId) -> str:
        """Return what the member wants to be called; a damaged record costs the name, not the card."""
        try:
            return self._members.profile(program_id, member_id).given_name
        except SealBroken:
            log.exception("personal data does not open", extra={"program_id": program_id})
            return ""

    def _vouchers(
        self, program_id: ProgramId, member_id: MemberId, holds: Iterable[Hold], at_ms: Ms
    ) -> list[CardVoucher]:
        """Return the vouchers that a till would take, the one that ends first in front.

        Each is signed anew: the same voucher under another signature, which no till tells from the first one.
        """
        usable = [
            hold
            for hold in holds
            if hold.kind is HoldKind.VOUCHER
            and hold.status is HoldStatus.OPEN
            and not hold.used
            and hold.ends_ms > at_ms
        ]
        usable.sort(key=lambda hold: (hold.ends_ms, hold.hold_id))
        return [
            CardVoucher(hold, digits_of(self._signer.voucher(program_id, member_id, hold))) for hold in usable
        ]


class Stores:
    """The stores of a program that have a confirmed till, remembered for ``STORES_FRESH_MS``."""

    def __init__(self, store: Store, *, till_role: int, now_ms: Callable[[], Ms]) -> None:
        self._store = store
        self._till_role = till_role
        self._now_ms = now_ms
        self._known: dict[ProgramId, tuple[Ms, tuple[str, ...]]] = {}

    def of(self, program_id: ProgramId) -> tuple[str, ...]:
        """Return the first ``STORES_MAX`` stores by id."""
        now_ms = self._now_ms()
        read_ms, stores = self._known.get(program_id, (Ms(-STORES_FRESH_MS), ()))
        if now_ms - read_ms < STORES_FRESH_MS:
            return stores
        stores = self._read(program_id)
        if len(self._known) >= STORE_LISTS_MAX:
            self._known.clear()
        self._known[program_id] = (now_ms, stores)
        return stores

    def _read(self, program_id: ProgramId) -> tuple[str, ...]:
        found: set[str] = set()
        after = ""
        for _ in range(DEVICES_MAX // DEVICES_PAGE):
            page = self._store.devices(program_id, after=after, limit=DEVICES_PAGE)
            found.update(
                device.store_id
                for device in page
                if device.role == self._till_role and device.status is DeviceStatus.ACTIVE
            )
            if len(page) < DEVICES_PAGE:
                break
            after = page[-1].device_id
        return tuple(sorted(found - {""})[:STORES_MAX])
