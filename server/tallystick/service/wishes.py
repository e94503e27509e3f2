"""Wish lists and open baskets: kept while their member wants reminders, and reminded of once.

Nothing has to be told when a member orders: the ledger says so. Whoever looks for something to remind of reads the
member's newest entries first, so that no lost message lets a basket be reminded of that was bought.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from google.protobuf.json_format import MessageToDict, ParseDict

from tallystick.core.basket import Basket, Channel, Origin
from tallystick.core.command import Sale
from tallystick.core.entry import EntryKind, Refused
from tallystick.core.ids import NEVER_MS, CommandId, MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.rules.ladder import in_tier, to_be_had
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import MemberStatus
from tallystick.service.balances import BalanceNow, Balances, balance_of
from tallystick.service.consent_ports import ConsentDirectory, ConsentPurpose
from tallystick.service.directory import Clock, Program
from tallystick.service.errors import TallystickError
from tallystick.service.ports import LedgerReader
from tallystick.service.reminders import Reminder, ReminderKind, ReminderSink
from tallystick.service.rulebook import RuleBook
from tallystick.service.wish_ports import Reminded, Wanted, WantedKind, WishDirectory
from tallystick.v1 import types_pb2
from tallystick.wire.basket import basket_from_pb, basket_to_pb

WISHES_MAX: Final = 50
LINES_KEPT_MAX: Final = 100
"""Most lines of a basket that are kept."""

ENTRIES_LOOKED_AT_MAX: Final = 50
"""How many of a member's newest entries are looked through for an order."""

DUE_PAGE: Final = 200
DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
MONTH_MS: Final = 30 * DAY_MS
BASKET_KEPT_MS: Final = 60 * DAY_MS
"""How long a basket is kept that nobody changes."""

_SHOPS: Final = (Channel.WEBSHOP, Channel.APP)
_KIND_WORDS: Final = {
    WantedKind.BASKET: ReminderKind.BASKET_ABANDONED,
    WantedKind.WISH_LIST: ReminderKind.WISH,
}
_LOOK: Final = CommandId("00000000-0000-0000-0000-000000000000")
_EARNING: Final = (MemberStatus.OPEN, MemberStatus.LOCKED)

log = logging.getLogger(__name__)


@record(frozen=True, slots=True)
class Wish:
    """An article that a member would like to have. ``wished_ms`` is since when (0: not said)."""

    sku: str
    name: str = ""
    wished_ms: Ms = Ms(0)


class Store(WishDirectory, ConsentDirectory, LedgerReader, Protocol):
    """What wishes need of a store."""


class Wishes:
    """The use cases around what members want and have not bought. Safe to use from several threads."""

    def __init__(
        self, store: Store, rulebook: RuleBook, balances: Balances, *, now_ms: Callable[[], Ms]
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._balances = balances
        self._now_ms = now_ms

    def set_list(self, program_id: ProgramId, member_id: MemberId, wishes: Sequence[Wish]) -> bool:
        """Replace a member's wish list; False when the member wants no reminders: then none is kept.

        An article that was wished before keeps since when. Raises ``NotFound``.
        """
        assert len(wishes) <= WISHES_MAX, "the contract says how many there may be"
        now_ms = self._now_ms()
        if not self._wants_reminders(program_id, member_id):
            self.forget(program_id, member_id)
            return False
        before = self._store.wanted(program_id, member_id, WantedKind.WISH_LIST)
        since = {one.sku: one.wished_ms for one in _wishes_in(before)}
        told = [replace(one, wished_ms=one.wished_ms or since.get(one.sku, now_ms)) for one in wishes]
        if not told:
            self._store.forget_wanted(program_id, member_id, WantedKind.WISH_LIST, up_to=NEVER_MS)
            return True
        # Two lists of one moment: the one that came last counts.
        seen_ms = Ms(max(now_ms, before.seen_ms + 1)) if before else now_ms
        body = _json([{"sku": one.sku, "name": one.name, "wished_ms": one.wished_ms} for one in told])
        self._store.put_wanted(program_id, Wanted(member_id, WantedKind.WISH_LIST, "", seen_ms, body))
        return True

    def list_of(self, program_id: ProgramId, member_id: MemberId) -> list[Wish]:
        """Return a member's wish list; empty when there is none."""
        return _wishes_in(self._store.wanted(program_id, member_id, WantedKind.WISH_LIST))

    def note_basket(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        *,
        ref: str,
        basket: Basket | None,
        seen_ms: Ms,
        page_url: str = "",
    ) -> bool:
        """Keep what a member has in the basket, None when that is nothing any more; whether it is kept now.

        It is not when the member wants no reminders, or has ordered since ``seen_ms`` (0: now; what lies ahead is
        now). Raises ``NotFound``.
        """
        now_ms = self._now_ms()
        seen_ms = Ms(min(seen_ms or now_ms, now_ms))
        if not self._wants_reminders(program_id, member_id):
            self.forget(program_id, member_id)
            return False
        kept = self._store.wanted(program_id, member_id, WantedKind.BASKET)
        if basket is None:
            if kept is not None and kept.ref == ref:
                self._store.forget_wanted(program_id, member_id, WantedKind.BASKET, up_to=seen_ms)
            return False
        if self._has_ordered(program_id, member_id, seen_ms):
            return False
        told = MessageToDict(basket_to_pb(replace(basket, lines=basket.lines[:LINES_KEPT_MAX])))
        body = _json({"basket": told, "page_url": page_url})
        wanted = Wanted(member_id, WantedKind.BASKET, ref, seen_ms, body)
        return self._store.put_wanted(program_id, wanted) or _same(kept, wanted)

    def forget(self, program_id: ProgramId, member_id: MemberId) -> None:
        """Remove what a member wants, whatever it is."""
        for kind in WantedKind:
            self._store.forget_wanted(program_id, member_id, kind, up_to=NEVER_MS)

    def consent_withdrawn(self, program_id: ProgramId, member_id: MemberId, purpose: ConsentPurpose) -> None:
        """Remove it once the last channel is gone on which the member wanted reminders."""
        if purpose is ConsentPurpose.REMINDERS and not self._wants_reminders(program_id, member_id):
            self.forget(program_id, member_id)

    def remind(self, program: Program, sinks: Sequence[ReminderSink]) -> int:
        """Give out what is due in a program; return how many reminders that were.

        Every process may do it at any time: each reminder is given by the one that notes it first. One that no sink
        takes is due again.
        """
        program_id, now_ms = program.program_id, self._now_ms()
        self._store.forget_wants(
            program_id,
            baskets_before=Ms(now_ms - BASKET_KEPT_MS),
            reminders_before=Ms(now_ms - MONTH_MS),
        )
        rules = self._rulebook.current(program_id)
        if rules is None or rules.reminders is None or program.clock is not Clock.LIVE:
            return 0
        waits = {
            WantedKind.BASKET: rules.reminders.abandoned_after_h * HOUR_MS,
            WantedKind.WISH_LIST: rules.reminders.wish_reminder_days * DAY_MS,
        }
        given = 0
        for kind, wait_ms in waits.items():
            if not wait_ms:
                continue
            after: tuple[Ms, str] | None = None
            while True:
                before = Ms(now_ms - wait_ms + 1)
                page = self._store.due_wanted(program_id, kind, before=before, after=after, limit=DUE_PAGE)
                given += sum(self._remind(program_id, rules, one, sinks, now_ms) for one in page)
                if len(page) < DUE_PAGE:
                    break
                after = (page[-1].seen_ms, page[-1].member_id)
        return given

    def _remind(
        self,
        program_id: ProgramId,
        rules: RuleSet,
        wanted: Wanted,
        sinks: Sequence[ReminderSink],
        now_ms: Ms,
    ) -> bool:
        member_id = wanted.member_id
        if not self._wants_reminders(program_id, member_id):
            self.forget(program_id, member_id)
            return False
        if wanted.kind is WantedKind.BASKET and self._has_ordered(program_id, member_id, wanted.seen_ms):
            self._store.forget_wanted(program_id, member_id, wanted.kind, up_to=wanted.seen_ms)
            return False
        state = self._balances.caught_up(program_id, member_id, now_ms)
        if state.account.status not in _EARNING:
            return False
        kind = _KIND_WORDS[wanted.kind]
        reminder = Reminder(
            kind,
            member_id,
            {
                **_standing(rules, balance_of(state.account, rules, now_ms), now_ms),
                **self._facts(program_id, wanted, now_ms),
            },
            f"{kind.value}:{wanted.seen_ms}",
            now_ms,
        )
        assert rules.reminders is not None, "its section says what is due"
        reminded = Reminded(kind.value, reminder.dedup_key, now_ms)
        most, since = rules.reminders.per_month, Ms(now_ms - MONTH_MS)
        if not self._store.note_reminded(program_id, wanted, reminded, since=since, most=most):
            return False
        try:
            for sink in sinks:
                sink.remind(program_id, reminder)
        except TallystickError as error:
            self._store.unnote_reminded(program_id, wanted, reminded)
            log.warning("a reminder was not taken", extra={"reason": error.reason})
            return False
        return True

    def _facts(self, program_id: ProgramId, wanted: Wanted, now_ms: Ms) -> dict[str, Any]:
        if wanted.kind is WantedKind.WISH_LIST:
            return {"items": [{"sku": one.sku, "name": one.name} for one in _wishes_in(wanted)]}
        body = json.loads(wanted.body)
        basket = basket_from_pb(ParseDict(body["basket"], types_pb2.Basket()))
        origin = Origin(now_ms, Channel.WEBSHOP)
        found = self._balances.quote(
            program_id,
            Sale(_LOOK, wanted.member_id, origin, basket),
            earliest_ms=0,
            latest_ms=NEVER_MS,
        )
        return {
            "basketRef": wanted.ref,
            "amountMinor": sum(line.amount_minor for line in basket.lines),
            "earnPoints": 0 if isinstance(found, Refused) else -found.entry.moves.issued,
            "items": [{"sku": line.sku, "name": ""} for line in basket.lines],
            "pageUrl": body["page_url"],
        }

    def _wants_reminders(self, program_id: ProgramId, member_id: MemberId) -> bool:
        """Return whether a member has said yes to reminders, on whatever channel."""
        said = {
            one.channel: one.granted
            for one in self._store.consents(program_id, member_id)
            if one.purpose is ConsentPurpose.REMINDERS
        }
        return any(said.values())

    def _has_ordered(self, program_id: ProgramId, member_id: MemberId, since_ms: Ms) -> bool:
        """Return whether a member has ordered at a shop since an instant, or an order of then waits for payment."""
        given_back: set[str] = set()
        rows = self._store.read_entries(program_id, member_id, before_seq=None, limit=ENTRIES_LOOKED_AT_MAX)
        for entry, _ in rows:
            if entry.kind in (EntryKind.VOID, EntryKind.HOLD_RELEASE):
                given_back.add(entry.hold_id)
            if entry.origin.channel not in _SHOPS or entry.origin.occurred_ms < since_ms:
                continue
            if entry.kind in (EntryKind.SALE, EntryKind.CAPTURE):
                return True
            if entry.kind is EntryKind.HOLD and entry.hold_id not in given_back:
                return True
        return False


def _standing(rules: RuleSet, balance: BalanceNow, now_ms: Ms) -> dict[str, Any]:
    """Return what a member has, and the dearest reward that it buys."""
    offered = [one for one in to_be_had(rules.rewards, now_ms) if in_tier(one, balance.tier_id)]
    reach = [one for one in offered if one.cost <= balance.active]
    best = max(reach, key=lambda one: (one.cost, one.reward_id), default=None)
    return {
        "activePoints": balance.active,
        "rewardId": best.reward_id if best else "",
        "rewardPoints": best.cost if best else 0,
        "currencyCode": rules.currency,
    }


def _wishes_in(wanted: Wanted | None) -> list[Wish]:
    if wanted is None:
        return []
    return [Wish(one["sku"], one["name"], Ms(one["wished_ms"])) for one in json.loads(wanted.body)]


def _same(kept: Wanted | None, wanted: Wanted) -> bool:
    return kept is not None and (kept.ref, kept.body) == (wanted.ref, wanted.body)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
