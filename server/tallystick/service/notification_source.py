"""Where notifications come from: the journal's entries, points that are about to expire, tiers at risk, reminders.

The id of a message follows from its member, its occasion and a key; so it is made once, however often there is reason
for it: by two processes, after a crash, or from a database that was restored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from tallystick.core.entry import Entry
from tallystick.core.ids import NEVER_MS, MemberId, Ms, ProgramId, derived_id
from tallystick.core.lots import local_day
from tallystick.core.rules.ladder import expiring_points, standing_of
from tallystick.core.rules.model import DAY_MS, RuleSet
from tallystick.core.rules.notifications import ABOUT, RISK_DAYS, Occasion, Sense, Telling, loud_from
from tallystick.service.balances import Balances
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose
from tallystick.service.directory import Clock, Directory
from tallystick.service.errors import NotFound
from tallystick.service.event_store import EventStore
from tallystick.service.household_store import HouseholdStore
from tallystick.service.journal import entries_in
from tallystick.service.notice_texts import Args
from tallystick.service.notices import CONSENT_OF, WAYS, purpose_of
from tallystick.service.notification_ports import (
    ADD_MAX,
    Notification,
    NotificationPlace,
    NotificationStore,
    Way,
)
from tallystick.service.notification_reasons import Reason, expiring_told, told_by
from tallystick.service.ports import LedgerReader
from tallystick.service.reminders import Reminder, ReminderKind
from tallystick.service.rulebook import RuleBook

JOURNAL_ROWS = 20
"""How many rows of the journal are followed at a time, each of up to 256 entries."""

ENTRIES_AT_ONCE = 1_000
MEMBERS_AT_ONCE = 200
DUE_PAGE = 500
EXPIRING_DAYS_MAX = 400
"""More days of one member than anybody's points expire on within the days that can be asked for."""

FROM_ENTRIES = frozenset(
    {
        Occasion.POINTS_EARNED,
        Occasion.REDEMPTION,
        Occasion.TIER_REACHED,
        Occasion.AWARD,
        Occasion.REFERRAL_PAID,
        Occasion.REWARD_IN_REACH,
    }
)
OF_THE_ACCOUNT = frozenset(
    {
        Occasion.POINTS_EXPIRING,
        Occasion.TIER_REACHED,
        Occasion.TIER_AT_RISK,
        Occasion.AWARD,
        Occasion.REWARD_IN_REACH,
    }
)
"""What the people of a household are told of its account. Who bought what, and spent what, they are not."""

FROM_TIME = frozenset({Occasion.POINTS_EXPIRING, Occasion.TIER_AT_RISK})
_REMINDERS = {
    ReminderKind.BASKET_ABANDONED: Occasion.BASKET_ABANDONED,
    ReminderKind.WISH: Occasion.WISH_REMINDER,
}

log = logging.getLogger(__name__)


class NoticeSource(NotificationStore, HouseholdStore, EventStore, LedgerReader, Directory, Protocol):
    """What making notifications needs of a store."""


class NotificationSource:
    """Makes notifications. Safe to use from several threads and processes at once."""

    def __init__(
        self,
        store: NoticeSource,
        rulebook: RuleBook,
        balances: Balances,
        *,
        ways: frozenset[Way],
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._balances = balances
        self._ways = ways
        self._now_ms = now_ms

    def follow(self, program_id: ProgramId) -> bool:
        """Make messages of the next entries; True when there is more to follow."""
        rules = self._live_rules(program_id)
        place = self._store.notification_place(program_id)
        if rules is None or not FROM_ENTRIES & rules.notifications.by_occasion.keys():
            if place is not None:
                self._store.put_notification_place(program_id, None)
            return False
        heads = self._store.read_journal_heads(program_id)
        if place is None or any(seq > heads.get(lane, 0) for lane, seq in place.lanes.items()):
            # Nobody is told of what was before; nor of what a restored database has forgotten.
            self._store.put_notification_place(program_id, NotificationPlace(heads))
            return False
        rows = self._store.read_journal(program_id, after=place.lanes, limit=JOURNAL_ROWS)
        if not rows:
            return False
        lanes = {**place.lanes, **{lane: seq for lane, seq, _ in rows}}
        refs = {ref for _, _, payload in rows for ref in entries_in(payload)}
        reasons = list(self._of_entries(program_id, rules, refs))
        self._add(program_id, rules, reasons, to=NotificationPlace(lanes, place.moves))
        return len(rows) == JOURNAL_ROWS

    def look_ahead(self, program_id: ProgramId, *, after: MemberId | None) -> MemberId | None:
        """Tell a page of members of points about to expire and of tiers at risk; return after whom to go on."""
        rules = self._live_rules(program_id)
        told = {} if rules is None else rules.notifications.by_occasion
        wanted = FROM_TIME & told.keys()
        if rules is None or not wanted:
            return None
        expiring = told.get(Occasion.POINTS_EXPIRING)
        days = max(expiring.days_before if expiring else (0,))
        days = max(days, RISK_DAYS if Occasion.TIER_AT_RISK in wanted else 0)
        now_ms = self._now_ms()
        # A day more: the last day to burn is the one before points are gone.
        horizon = Ms(now_ms + (days + 1) * DAY_MS)
        page = self._store.read_due(program_id, due_ms=horizon, after=after, limit=DUE_PAGE)
        reasons: list[Reason] = []
        for member_id in self._reachable(program_id, rules, wanted, page):
            try:
                reasons += self._of_member(program_id, rules, expiring, member_id, now_ms)
            except NotFound:
                continue
        self._add(program_id, rules, reasons)
        return page[-1] if len(page) == DUE_PAGE else None

    def remind(self, program_id: ProgramId, reminder: Reminder) -> None:
        """Tell a reminder on (``service.reminders.ReminderSink``)."""
        occasion = _REMINDERS[reminder.kind]
        balance = str(int(reminder.facts.get("activePoints", 0)))
        self.tell(
            program_id,
            reminder.member_id,
            occasion,
            key=reminder.dedup_key,
            args=(("balance", balance),),
            at_ms=reminder.occurred_ms,
        )

    def new_device(self, program_id: ProgramId, member_id: MemberId, kid: str) -> None:
        """Tell a member that one more device shows the card."""
        now_ms = self._now_ms()
        rules = self._rulebook.current(program_id)
        if rules is not None:
            today = local_day(now_ms, rules.zone).isoformat()
            args = (("date", today),)
            self.tell(program_id, member_id, Occasion.NEW_DEVICE, key=kid, args=args, at_ms=now_ms)

    def tell(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        occasion: Occasion,
        *,
        key: str,
        args: Args,
        at_ms: Ms,
    ) -> bool:
        """Tell a member of something that happened at an instant; False when nothing was to be told, or it was."""
        rules = self._live_rules(program_id)
        if rules is None:
            return False
        stale_ms = Ms(at_ms + ABOUT[occasion].shelf_s * 1000)
        return self._add(program_id, rules, [Reason(member_id, occasion, key, args, stale_ms)]) > 0

    def _live_rules(self, program_id: ProgramId) -> RuleSet | None:
        """Return the rules of a program whose members live now: nobody is told of sales that are replayed."""
        program = self._rulebook.program(program_id)
        if program is None or program.clock is not Clock.LIVE:
            return None
        return self._rulebook.current(program_id)

    def _of_entries(
        self, program_id: ProgramId, rules: RuleSet, refs: Iterable[tuple[MemberId, int]]
    ) -> Iterable[Reason]:
        told = rules.notifications.by_occasion
        wanted = set(refs)
        reads = set(wanted)
        if Occasion.TIER_REACHED in told and rules.tiers is not None:
            # The tier until then stands in the entry before.
            reads |= {(member_id, seq - 1) for member_id, seq in wanted if seq > 1}
        found: dict[tuple[MemberId, int], Entry] = {}
        ordered = sorted(reads)
        for start in range(0, len(ordered), ENTRIES_AT_ONCE):
            part = ordered[start : start + ENTRIES_AT_ONCE]
            for entry, _ in self._store.read_entries_named(program_id, part):
                found[entry.member_id, entry.seq] = entry
        for ref in sorted(wanted & found.keys()):
            entry, before = found[ref], found.get((ref[0], ref[1] - 1))
            for occasion, args in told_by(entry, before, rules):
                if occasion in told:
                    stale_ms = Ms(entry.origin.occurred_ms + ABOUT[occasion].shelf_s * 1000)
                    yield Reason(entry.member_id, occasion, str(entry.seq), args, stale_ms)

    def _of_member(
        self,
        program_id: ProgramId,
        rules: RuleSet,
        expiring: Telling | None,
        member_id: MemberId,
        now_ms: Ms,
    ) -> Iterable[Reason]:
        state = self._balances.caught_up(program_id, member_id, now_ms)
        today = local_day(now_ms, rules.zone)
        if expiring is not None:
            days = expiring_points(rules, state.lots, days_max=EXPIRING_DAYS_MAX)
            yield from expiring_told(member_id, rules, expiring, days, today)
        if Occasion.TIER_AT_RISK not in rules.notifications.by_occasion:
            return
        account = state.account
        stands = standing_of(rules, account.tier, enrolled_ms=account.enrolled_ms, at_ms=now_ms)
        if (
            stands.keep_credits
            and stands.review_ms < NEVER_MS
            and stands.review_ms - now_ms <= RISK_DAYS * DAY_MS
        ):
            last = local_day(stands.review_ms - 1, rules.zone).isoformat()
            args = (("tier", stands.tier_id), ("missing", str(stands.keep_credits)), ("date", last))
            key = f"{stands.tier_id}/{last}"
            yield Reason(member_id, Occasion.TIER_AT_RISK, key, args, stands.review_ms)

    def _reachable(
        self,
        program_id: ProgramId,
        rules: RuleSet,
        occasions: Iterable[Occasion],
        members: Sequence[MemberId],
    ) -> list[MemberId]:
        """Return the accounts of which somebody could be told one of the occasions; others need not be looked at."""
        people = self._people(program_id, members)
        hearing = {account: people.get(account, [account]) for account in members}
        everybody = sorted({one for some in hearing.values() for one in some})
        found: set[MemberId] = set()
        for occasion in occasions:
            granted = self._granted(program_id, purpose_of(occasion), everybody)
            found |= {one for one in everybody if self._leads(rules, occasion, granted.get(one, frozenset()))}
        return [account for account, some in hearing.items() if not found.isdisjoint(some)]

    def _people(
        self, program_id: ProgramId, accounts: Sequence[MemberId]
    ) -> Mapping[MemberId, list[MemberId]]:
        """Return the people behind those of the accounts that are households'."""
        found: dict[MemberId, list[MemberId]] = {}
        for start in range(0, len(accounts), MEMBERS_AT_ONCE):
            found |= self._store.people_of(program_id, accounts[start : start + MEMBERS_AT_ONCE])
        return found

    def _shared_out(self, program_id: ProgramId, reasons: Sequence[Reason]) -> Iterable[Reason]:
        """Return reasons with those of a household's account as its people's."""
        accounts = sorted({one.member_id for one in reasons if one.occasion in OF_THE_ACCOUNT})
        people = self._people(program_id, accounts)
        for reason in reasons:
            of_household = people.get(reason.member_id) if reason.occasion in OF_THE_ACCOUNT else None
            if of_household is None:
                yield reason
                continue
            # One who was in another household before may have been told the same of that one.
            key = f"{reason.member_id}/{reason.key}"
            yield from (replace(reason, member_id=one, key=key) for one in of_household)

    def _granted(
        self, program_id: ProgramId, purpose: ConsentPurpose, members: Sequence[MemberId]
    ) -> Mapping[MemberId, frozenset[ConsentChannel]]:
        found: dict[MemberId, frozenset[ConsentChannel]] = {}
        for start in range(0, len(members), MEMBERS_AT_ONCE):
            part = members[start : start + MEMBERS_AT_ONCE]
            found |= self._store.granted_channels(program_id, part, purpose)
        return found

    def _leads(self, rules: RuleSet, occasion: Occasion, granted: frozenset[ConsentChannel]) -> bool:
        telling = rules.notifications.by_occasion.get(occasion)
        if telling is None:
            return False
        ways = [WAYS[one] for one in telling.channels if WAYS[one] in self._ways]
        return any(may_go(way, occasion, granted) for way in ways)

    def _add(
        self,
        program_id: ProgramId,
        rules: RuleSet,
        reasons: Sequence[Reason],
        *,
        to: NotificationPlace | None = None,
    ) -> int:
        """Make messages of reasons that are not stale and whose members may be told; the place moves with the last."""
        now_ms = self._now_ms()
        made: list[Notification] = []
        fresh = [one for one in reasons if one.stale_ms > now_ms]
        fresh = list(self._shared_out(program_id, fresh))
        for purpose in {purpose_of(one.occasion) for one in fresh}:
            of_purpose = [one for one in fresh if purpose_of(one.occasion) is purpose]
            members = sorted({one.member_id for one in of_purpose})
            granted = self._granted(program_id, purpose, members)
            made += [
                _message(one, rules, now_ms)
                for one in of_purpose
                if self._leads(rules, one.occasion, granted.get(one.member_id, frozenset()))
            ]
        added = 0
        chunks = [made[start : start + ADD_MAX] for start in range(0, len(made), ADD_MAX)] or [[]]
        for number, chunk in enumerate(chunks, 1):
            place = to if number == len(chunks) else None
            if chunk or place is not None:
                # None: another process was quicker, and its messages are the same.
                added += self._store.add_notifications(program_id, chunk, to=place) or 0
        return added


def may_go(way: Way, occasion: Occasion, granted: frozenset[ConsentChannel]) -> bool:
    """Return whether a message may go by a channel, by what its member has consented to."""
    if ABOUT[occasion].sense is Sense.SECURITY:
        return True
    return bool(granted) if way is Way.WEBHOOK else CONSENT_OF[way] in granted


def _message(reason: Reason, rules: RuleSet, now_ms: Ms) -> Notification:
    is_urgent = ABOUT[reason.occasion].sense is Sense.SECURITY
    first_ms = now_ms if is_urgent else loud_from(rules.notifications.quiet, rules.zone, now_ms)
    return Notification(
        notification_id=derived_id(reason.member_id, f"notify/{reason.occasion.value}", reason.key),
        member_id=reason.member_id,
        occasion=reason.occasion,
        args=reason.args,
        made_ms=now_ms,
        stale_ms=reason.stale_ms,
        next_ms=first_ms,
    )
