"""What a member has now, and what a sale or a return would do, without writing anything.

Time moves points by itself: they mature, expire, and holds end. An account row says when that next happens; until
then it is the balance. After that the core does in memory what the next command would do first.
"""

from __future__ import annotations

from collections.abc import Collection

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import CatchUp, Return, Sale
from tallystick.core.coupon import CouponUse
from tallystick.core.decide import NO_REFS, Outcome, Refs, decide, needs_lots
from tallystick.core.entry import Entry, Posted, Refusal, Refused, refused
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.lots import local_day
from tallystick.core.record import record
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.reward import counters_of
from tallystick.core.rules.tier import credits_in_period, current_tier
from tallystick.core.state import Account, Hold, MemberState
from tallystick.service.coupon_book import asks_of_holds, read_book
from tallystick.service.directory import Clock
from tallystick.service.errors import NotFound, StoreConflict
from tallystick.service.ports import LedgerReader
from tallystick.service.rulebook import RuleBook

LOOKS_MAX = 5
"""How often a state is read again because a command was posted between its parts."""

_LOOK = CommandId("00000000-0000-0000-0000-000000000000")


@record(frozen=True, slots=True)
class BalanceNow:
    """A member's balance at an instant.

    ``currency`` and ``worth_minor`` say what the active points take off a basket, in whole units of conversion;
    ``currency`` is empty where points are not turned into money.
    """

    active: int
    pending: int
    held: int
    debt: int
    tier_id: str
    qualifying_credits: int
    as_of_ms: Ms
    currency: str
    worth_minor: int


@record(frozen=True, slots=True)
class Preview:
    """What a command would do: the entry that it would post, and the balances before and after."""

    entry: Entry
    before: BalanceNow
    after: BalanceNow
    currency: str


def balance_of(account: Account, rules: RuleSet | None, as_of_ms: Ms) -> BalanceNow:
    """Return the balance of an account of which nothing is due at ``as_of_ms``."""
    tier_id, credits, currency, worth = account.tier.tier_id, 0, "", 0
    if rules is not None:
        tier = current_tier(rules, account.tier)
        tier_id = tier.tier_id
        if rules.tiers is not None:
            today, enrolled = local_day(as_of_ms, rules.zone), local_day(account.enrolled_ms, rules.zone)
            credits = credits_in_period(rules.tiers, tier, today, enrolled)
        burning = rules.burning
        if burning.value_minor:
            units = account.active // burning.unit_points * burning.unit_points
            currency, worth = rules.currency, units * burning.value_minor // burning.value_points
    return BalanceNow(
        account.active,
        account.pending,
        account.held,
        account.debt,
        tier_id,
        credits,
        as_of_ms,
        currency,
        worth,
    )


def as_of(account: Account, clock: Clock, now_ms: Ms) -> Ms:
    """Return which instant "now" is: the server's, or in a replay the last one that the member has seen."""
    return account.as_of_ms if clock is Clock.REPLAY else Ms(max(now_ms, account.as_of_ms))


class Balances:
    """Reads a member's whole state without locks and lets the core look ahead. Safe to use from several threads."""

    def __init__(self, reader: LedgerReader, rulebook: RuleBook) -> None:
        self._reader = reader
        self._rulebook = rulebook

    def caught_up(self, program_id: ProgramId, member_id: MemberId, as_of_ms: Ms) -> MemberState:
        """Return the state after all that is due at ``as_of_ms``. Raises ``NotFound``."""
        state = self._state(program_id, member_id)
        if state is None:
            raise member_not_found(member_id)
        rules = self._rulebook.current(program_id)
        if rules is None:
            return state
        command = CatchUp(_LOOK, member_id, Origin(as_of_ms, Channel.UNKNOWN))
        return decide(command, state, rules).state

    def quote(
        self,
        program_id: ProgramId,
        sale: Sale,
        *,
        earliest_ms: int,
        latest_ms: int,
        now_ms: Ms | None = None,
    ) -> Preview | Refused:
        """Return what a sale would do, or why it would be refused.

        ``now_ms`` is the server's clock, by which reservations of coupons lapse; the sale's own time when left out.
        """
        found = self._before(program_id, sale, earliest_ms, latest_ms)
        if isinstance(found, Refused):
            return found
        state, rules = found
        coupons: tuple[CouponUse, ...] = ()
        if sale.coupons or rules.budgets or counters_of(rules, sale.reward_ids):
            at_ms = sale.origin.occurred_ms if now_ms is None else now_ms
            coupons = read_book(self._reader, program_id, rules, sale, now_ms=at_ms).uses_of(
                sale, state, rules
            )
        return _preview(decide(sale, state, rules, coupons=coupons), state, rules, sale)

    def preview_return(
        self, program_id: ProgramId, command: Return, *, earliest_ms: int, latest_ms: int
    ) -> Preview | Refused:
        """Return what a return would do, or why it would be refused."""
        refs = self._refs(program_id, command)
        taken = refs.target.detail.allocs if refs.target else ()
        also = [alloc.lot_seq for alloc in taken] + ([refs.target.seq] if refs.target else [])
        found = self._before(program_id, command, earliest_ms, latest_ms, also)
        if isinstance(found, Refused):
            return found
        state, rules = found
        return _preview(decide(command, state, rules, refs), state, rules, command)

    def _before(
        self,
        program_id: ProgramId,
        command: Sale | Return,
        earliest_ms: int,
        latest_ms: int,
        also: Collection[int] = (),
    ) -> tuple[MemberState, RuleSet] | Refused:
        """Return the state and the rules, or the refusal that a lane gives before it asks the core.

        ``also`` are lots to be read although they may be empty.
        """
        state = self._state(
            program_id,
            command.member_id,
            whole=needs_lots(command),
            holding=asks_of_holds(command),
            due_ms=command.origin.occurred_ms,
            also=also,
        )
        if state is None:
            return refused(Refusal.MEMBER_UNKNOWN, member_id=command.member_id)
        occurred_ms = command.origin.occurred_ms
        if not earliest_ms <= occurred_ms <= latest_ms:
            return refused(
                Refusal.OCCURRED_AT_OUT_OF_RANGE,
                occurred_ms=occurred_ms,
                earliest_ms=earliest_ms,
                latest_ms=latest_ms,
            )
        rules = self._rulebook.current(program_id)
        return refused(Refusal.RULE_SET_UNKNOWN, version=0) if rules is None else (state, rules)

    def _state(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        *,
        whole: bool = True,
        holding: bool = False,
        due_ms: int = 0,
        also: Collection[int] = (),
    ) -> MemberState | None:
        """Read account, lots and holds as they were at one moment, although each is a read of its own."""
        for _ in range(LOOKS_MAX):
            if not whole:
                account = self._reader.read_accounts(program_id, [member_id]).get(member_id)
                if account is None:
                    return None
                if account.due_ms > max(due_ms, account.as_of_ms):
                    return MemberState(account, rest_due_ms=account.due_ms)
            account, lots, again = self._reader.read_standing(program_id, member_id, also=also)
            if account is None:
                return None
            holds: list[Hold] = []
            if account.held or holding:
                holds = self._reader.read_holds(program_id, member_id)
                # What a hold or the sale took may have emptied its lot, to which it will go back.
                behind = {alloc.lot_seq for hold in holds for alloc in hold.allocs}
                lots = self._reader.read_lots(program_id, member_id, also=behind.union(also))
                again = self._reader.read_accounts(program_id, [member_id]).get(member_id)
            if again == account:
                return MemberState(account, tuple(lots), tuple(holds), complete=True)
        raise StoreConflict("the member is too busy to be looked at", mend="Ask again.")

    def _refs(self, program_id: ProgramId, command: Return) -> Refs:
        known = self._reader.read_known(program_id, [command.sale_id]).get(command.sale_id)
        if known is None or known.member_id != command.member_id or not isinstance(known.answer, Entry):
            return NO_REFS
        sale = known.answer
        return Refs(sale, tuple(self._reader.read_reversals(program_id, sale.member_id, sale.seq)))


def member_not_found(member_id: str) -> NotFound:
    """Return the error for a member that is not there or not to be seen: the two are not told apart."""
    return NotFound("There is no such member.", reason="MEMBER_NOT_FOUND", member_id=member_id)


def _preview(
    outcome: Outcome, state: MemberState, rules: RuleSet, command: Sale | Return
) -> Preview | Refused:
    if isinstance(outcome.decision, Refused):
        return outcome.decision
    assert isinstance(outcome.decision, Posted), "sales and returns are posted or refused"
    at_ms = Ms(max(command.origin.occurred_ms, state.account.as_of_ms))
    look = CatchUp(_LOOK, command.member_id, Origin(at_ms, Channel.UNKNOWN))
    before = decide(look, state, rules).state.account
    return Preview(
        outcome.decision.entry,
        balance_of(before, rules, at_ms),
        balance_of(outcome.state.account, rules, at_ms),
        rules.currency,
    )
