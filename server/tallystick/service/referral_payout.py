"""Pays for recommendations: once the new member has bought, the return window is over and the goods were kept.

What waits is a row with a state; every process comes round and moves it, one step in one short transaction. Points
come by commands whose ids are derived from the joiner, so that two processes, or one that died, pay once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Protocol

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import Earn
from tallystick.core.entry import Entry, EntryKind, Posted, Refused
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms, ProgramId
from tallystick.core.lots import local_day, midnight_ms
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.period import period_start
from tallystick.core.rules.referral import Referring
from tallystick.core.state import Account, MemberStatus
from tallystick.service.directory import Clock, Directory, Program
from tallystick.service.lane import Lane
from tallystick.service.ports import LedgerReader
from tallystick.service.reads import ReadPool
from tallystick.service.referral_checks import ReferralChecks
from tallystick.service.referral_ports import (
    NO_SALE,
    REFERRAL,
    WAITING,
    Referral,
    ReferralState,
    Room,
    pay_id,
)
from tallystick.service.review_ports import Review, ReviewState
from tallystick.service.reviews import Reviews
from tallystick.service.rounds import Round
from tallystick.service.rulebook import RuleBook
from tallystick.service.submission import Submission

EVERY_S = 300.0
PAGE = 500
AT_ONCE_MAX = 32
"""How many are paid at once: enough for full batches, little enough to leave room for tills."""

ENTRIES_PAGE = 100
ENTRIES_MAX = 2_000
"""Most new entries of a joiner that one look walks through; a purchase behind them is found by none."""

DEADLINE_S = 30.0
DAY_MS = 86_400_000
MOVES_TRIED_MAX = 5

log = logging.getLogger(__name__)


class Store(Directory, LedgerReader, Protocol):
    """What paying needs of a store."""


class ReferralPayouts:
    """Moves waiting recommendations on, and pays."""

    def __init__(
        self,
        store: Store,
        rulebook: RuleBook,
        checks: ReferralChecks,
        reviews: Reviews,
        pool: ReadPool,
        lane: Lane,
        *,
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._checks = checks
        self._reviews = reviews
        self._pool = pool
        self._lane = lane
        self._now_ms = now_ms
        reviews.on_decided(REFERRAL, self._on_decided)

    async def come_round(self, program: Program) -> int:
        """Move on what is due in a program; return how many recommendations were paid."""
        paid, after = 0, None
        if program.clock is not Clock.LIVE:
            # A replay tells of the past: nobody is to be paid for it today.
            return paid
        program_id = program.program_id
        rules = await self._pool.run(self._rulebook.current, program_id)
        # Without the section nothing is promised any more; what was promised before is still paid.
        states = WAITING if rules and rules.referral else (ReferralState.PAYING,)
        while True:
            now_ms = self._now_ms()
            page = await self._pool.run(
                self._store.referrals_due, program_id, states, now=now_ms, after=after, limit=PAGE
            )
            paying = await self._pool.run(self._look_at_all, program_id, rules, page, now_ms)
            for start in range(0, len(paying), AT_ONCE_MAX):
                part = paying[start : start + AT_ONCE_MAX]
                paid += sum(await asyncio.gather(*(self._pay(program_id, one) for one in part)))
            if len(page) < PAGE:
                return paid
            after = page[-1].member_id

    async def _on_decided(self, program_id: ProgramId, review: Review) -> None:
        """Let a held recommendation go on, or end it. Finds nothing to do when that has happened."""
        moved = await self._pool.run(self._decided, program_id, review)
        if moved is None or moved.state is not ReferralState.BOUGHT:
            return
        rules = await self._pool.run(self._rulebook.current, program_id)
        now_ms = self._now_ms()
        if moved.due_ms <= now_ms:
            for referral in await self._pool.run(self._look_at_all, program_id, rules, [moved], now_ms):
                await self._pay(program_id, referral)

    def _decided(self, program_id: ProgramId, review: Review) -> Referral | None:
        for _ in range(MOVES_TRIED_MAX):
            referral = self._store.referral(program_id, review.member_id)
            if referral is None or referral.state is not ReferralState.HELD:
                return None
            state, cleared = ReferralState.REFUSED, False
            if review.state is ReviewState.RELEASED:
                state, cleared = ReferralState.BOUGHT, True
            to = replace(referral, state=state, cleared=cleared, changed_ms=self._now_ms())
            moved = self._store.move_referral(program_id, to)
            if moved is not None:
                return moved
        return None

    def _look_at_all(
        self, program_id: ProgramId, rules: RuleSet | None, page: list[Referral], now_ms: Ms
    ) -> list[Referral]:
        """Move each on as far as it goes without the ledger's writer; return those that are to be paid now."""
        people = sorted({one for referral in page for one in (referral.member_id, referral.referrer_id)})
        accounts = self._store.read_accounts(program_id, people)
        paying = []
        for referral in page:
            one: Referral | None = referral
            if rules is not None and rules.referral is not None:
                look = _Look(self._store, self._checks, program_id, rules, rules.referral, accounts, now_ms)
                if one is not None and one.state is ReferralState.NOTED:
                    one = look.for_purchase(one)
                if one is not None and one.state is ReferralState.BOUGHT and one.due_ms <= now_ms:
                    one = look.at_end_of_window(one)
            if one is not None and one.state is ReferralState.PAYING:
                paying.append(one)
        return paying

    async def _pay(self, program_id: ProgramId, referral: Referral) -> bool:
        """Post what was promised and note it; False when neither of the two could be given points."""
        promised = [
            (referral.referrer_id, "referrer", referral.referrer_points),
            (referral.member_id, "joiner", referral.joiner_points),
        ]
        # The instant of the promise: whoever sends the commands again sends the same ones.
        origin = Origin(referral.changed_ms, Channel.UNKNOWN)
        commands = [
            Earn(pay_id(referral.member_id, side), member_id, origin, points, REFERRAL, why=REFERRAL)
            for member_id, side, points in promised
            if points
        ]
        deadline = time.monotonic() + DEADLINE_S
        answers = await self._lane.submit_together(
            [Submission(program_id, one, fingerprint(one), deadline, 0, NEVER_MS) for one in commands]
        )
        given = {
            command.command_id: command.points if isinstance(answer.decision, Posted) else 0
            for command, answer in zip(commands, answers, strict=True)
        }
        for answer in answers:
            if isinstance(answer.decision, Refused):
                log.warning("a pay-out was refused", extra={"reason": answer.decision.reason.name})
        to = replace(
            referral,
            state=ReferralState.PAID if any(given.values()) else ReferralState.REFUSED,
            reason=referral.reason if any(given.values()) else "not_open",
            referrer_points=given.get(pay_id(referral.member_id, "referrer"), 0),
            joiner_points=given.get(pay_id(referral.member_id, "joiner"), 0),
        )
        moved = await self._pool.run(self._store.move_referral, program_id, to)
        return moved is not None and moved.state is ReferralState.PAID


class _Look:
    """One look at recommendations of a program, by the rules in force."""

    def __init__(
        self,
        store: Store,
        checks: ReferralChecks,
        program_id: ProgramId,
        rules: RuleSet,
        plan: Referring,
        accounts: dict[MemberId, Account],
        now_ms: Ms,
    ) -> None:
        self._store = store
        self._checks = checks
        self._program_id = program_id
        self._rules = rules
        self._plan = plan
        self._accounts = accounts
        self._now_ms = now_ms

    def for_purchase(self, referral: Referral) -> Referral | None:
        """Look for the first purchase that counts among the joiner's new entries."""
        plan = self._plan
        until_ms = Ms(referral.noted_ms + plan.within_days * DAY_MS)
        # A till that was away may still tell of a purchase in time.
        give_up_ms = Ms(until_ms + plan.after_days * DAY_MS)
        account = self._accounts.get(referral.member_id)
        entries = self._new_entries(referral, account.seq if account else 0)
        for entry in entries:
            if entry.origin.occurred_ms <= until_ms and self._is_enough(entry):
                return self._bought(referral, entry)
        if give_up_ms <= self._now_ms:
            return self._move(referral, state=ReferralState.LAPSED, reason="no_purchase")
        seen_seq = entries[-1].seq if entries else referral.seen_seq
        if (seen_seq, give_up_ms) != (referral.seen_seq, referral.due_ms):
            return self._move(referral, seen_seq=seen_seq, due_ms=give_up_ms)
        return referral

    def at_end_of_window(self, referral: Referral) -> Referral | None:
        """Promise the points if the purchase still stands; else look for another one."""
        sale = self._entry(referral.sale_id)
        if sale is None or not self._is_enough(sale):
            back = self._move(referral, state=ReferralState.NOTED, sale_id=NO_SALE)
            return back and self.for_purchase(back)
        for member_id in (referral.member_id, referral.referrer_id):
            account = self._accounts.get(member_id)
            if account is not None and account.status is MemberStatus.BLOCKED:
                return self._move(referral, due_ms=Ms(self._now_ms + DAY_MS))
        promised = replace(
            referral,
            state=ReferralState.PAYING,
            changed_ms=self._now_ms,
            referrer_points=self._plan.referrer_points,
            joiner_points=self._plan.joiner_points,
        )
        moved = self._store.move_referral(self._program_id, promised, room=self._room())
        if moved is not None:
            return moved
        stored = self._store.referral(self._program_id, referral.member_id)
        if stored is None or stored.moves != referral.moves:
            return None
        return self._move(referral, state=ReferralState.REFUSED, reason="limit")

    def _bought(self, referral: Referral, sale: Entry) -> Referral | None:
        """Note the purchase; what looks like fraud waits for a person from now on, while the window is open."""
        due_ms = Ms(sale.origin.occurred_ms + self._plan.after_days * DAY_MS)
        state, reason, cleared = ReferralState.BOUGHT, "", referral.cleared
        if not cleared:
            review = self._checks.held(self._program_id, referral, self._plan, self._rules)
            if review is not None:
                state = _STATE_OF[review.state]
                reason, cleared = review.facts.get("reason", ""), review.state is ReviewState.RELEASED
        return self._move(
            referral,
            state=state,
            sale_id=sale.command_id,
            seen_seq=sale.seq,
            due_ms=due_ms,
            reason=reason,
            cleared=cleared,
        )

    def _new_entries(self, referral: Referral, seq: int) -> list[Entry]:
        """Return the joiner's entries behind those that were looked at, oldest first."""
        if seq <= referral.seen_seq:
            return []
        found = list(self._walk_back(referral))
        found.reverse()
        return found

    def _walk_back(self, referral: Referral) -> Iterator[Entry]:
        before: int | None = None
        for _ in range(ENTRIES_MAX // ENTRIES_PAGE):
            page = self._store.read_entries(
                self._program_id, referral.member_id, before_seq=before, limit=ENTRIES_PAGE
            )
            for entry, _recorded_ms in page:
                if entry.seq <= referral.seen_seq:
                    return
                yield entry
            if len(page) < ENTRIES_PAGE:
                return
            before = page[-1][0].seq

    def _is_enough(self, entry: Entry) -> bool:
        """Return whether an entry is a purchase that was paid for, and is worth enough after what came back."""
        if entry.kind not in (EntryKind.SALE, EntryKind.CAPTURE):
            return False
        least = max(1, self._plan.minimum_minor)
        worth = sum(line.amount_minor - line.discount_minor for line in entry.detail.lines)
        if worth < least:
            return False
        later = self._store.read_reversals(self._program_id, entry.member_id, entry.seq)
        return worth - sum(one.detail.refund_minor for one in later) >= least

    def _entry(self, command_id: CommandId) -> Entry | None:
        known = self._store.read_known(self._program_id, [command_id]).get(command_id)
        return known.answer if known is not None and isinstance(known.answer, Entry) else None

    def _room(self) -> Room | None:
        limit, zone = self._plan.limit, self._rules.zone
        if not limit.count or not self._plan.referrer_points:
            return None
        first = period_start(limit.per, local_day(self._now_ms, zone))
        return Room(midnight_ms(date.fromordinal(first), zone) if first else Ms(0), limit.count)

    def _move(self, referral: Referral, **changes: object) -> Referral | None:
        if "state" in changes:
            changes["changed_ms"] = self._now_ms
        return self._store.move_referral(self._program_id, replace(referral, **changes))  # type: ignore[arg-type]


_STATE_OF = {
    ReviewState.OPEN: ReferralState.HELD,
    ReviewState.RELEASED: ReferralState.BOUGHT,
    ReviewState.REFUSED: ReferralState.REFUSED,
}


def referral_round(payouts: ReferralPayouts, *, every_s: float = EVERY_S) -> Round:
    """Recommendations that wait for a purchase or the end of its return window."""
    return Round("referrals", every_s, payouts.come_round)
