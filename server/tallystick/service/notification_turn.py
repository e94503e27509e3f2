"""What becomes of a message whose turn it is: it goes, by these channels; or it waits; or it is dropped.

Consents, quiet hours and caps are looked at here, when it is sent, however they stood when it was made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.rules.model import DAY_MS, RuleSet
from tallystick.core.rules.notifications import ABOUT, Sense, loud_from
from tallystick.core.state import MemberStatus
from tallystick.security.errors import SealBroken
from tallystick.service.directory import Clock, Directory, Program
from tallystick.service.members import NO_PROFILE, Members, Profile
from tallystick.service.notice_texts import notice_text
from tallystick.service.notices import WAYS, Notice, Recipient, purpose_of
from tallystick.service.notification_ports import Notification, NotificationStore, Way
from tallystick.service.notification_source import may_go
from tallystick.service.rulebook import RuleBook
from tallystick.words import language_of

WEEK_MS = 7 * DAY_MS
MARKETING = frozenset(one for one, about in ABOUT.items() if about.sense is Sense.MARKETING)

log = logging.getLogger(__name__)


class TurnStore(NotificationStore, Directory, Protocol):
    """What judging messages needs of a store."""


@record(frozen=True, slots=True)
class Go:
    """It goes, by the first of these channels that leads to the member."""

    notice: Notice
    recipient: Recipient
    ways: tuple[Way, ...]


@record(frozen=True, slots=True)
class Wait:
    """It waits until an instant: for the end of quiet hours, or because the member has had enough for now."""

    until_ms: Ms
    why: str


@record(frozen=True, slots=True)
class Drop:
    """It is not to be sent."""

    why: str


class Turns:
    """Judges messages. Safe to use from several threads."""

    def __init__(
        self,
        store: TurnStore,
        rulebook: RuleBook,
        members: Members,
        *,
        ways: frozenset[Way],
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._members = members
        self._ways = ways
        self._now_ms = now_ms

    def judge(self, program_id: ProgramId, note: Notification) -> Go | Wait | Drop:
        """Return what becomes of a message now."""
        now_ms = self._now_ms()
        program, rules = self._rulebook.program(program_id), self._rulebook.current(program_id)
        if program is None or rules is None or program.clock is not Clock.LIVE:
            return Drop("no rules")
        telling = rules.notifications.by_occasion.get(note.occasion)
        if telling is None:
            return Drop("not told any more")
        if now_ms >= note.stale_ms:
            return Drop("stale")
        is_urgent = ABOUT[note.occasion].sense is Sense.SECURITY
        member = self._store.member(program_id, note.member_id)
        if member is None or member.status is MemberStatus.ERASED:
            return Drop("no member")
        if member.status is MemberStatus.BLOCKED and not is_urgent:
            return Drop("blocked")
        if not is_urgent and (later := self._later(program_id, rules, note, now_ms)) is not None:
            return later
        purpose = purpose_of(note.occasion)
        granted = self._store.granted_channels(program_id, [note.member_id], purpose)
        channels = granted.get(note.member_id, frozenset())
        ways = tuple(WAYS[one] for one in telling.channels if WAYS[one] in self._ways)
        ways = tuple(way for way in ways if may_go(way, note.occasion, channels))
        if not ways:
            return Drop("no consent")
        profile = self._profile(program_id, note.member_id)
        notice = notice_of(program, rules, note, language=profile.language)
        push = self._store.push_subscriptions(program_id, note.member_id) if Way.PUSH in ways else []
        recipient = Recipient(profile.email, profile.phone, tuple(push))
        return Go(replace(notice, channels=tuple(sorted(channels))), recipient, ways)

    def _later(
        self, program_id: ProgramId, rules: RuleSet, note: Notification, now_ms: Ms
    ) -> Wait | Drop | None:
        """Return for what a message has to wait, None when it may go now."""
        free_ms, why = now_ms, "quiet hours"
        if note.occasion in MARKETING:
            free_ms = self._free_from(program_id, rules, note.member_id, now_ms)
            why = "enough messages" if free_ms > now_ms else why
        until_ms = loud_from(rules.notifications.quiet, rules.zone, free_ms)
        if until_ms <= now_ms:
            return None
        return Drop(why) if until_ms >= note.stale_ms else Wait(until_ms, why)

    def _free_from(self, program_id: ProgramId, rules: RuleSet, member_id: MemberId, now_ms: Ms) -> Ms:
        """Return when a member may get the next message of marketing."""
        since = Ms(now_ms - WEEK_MS + 1)
        sent = self._store.notifications_sent(program_id, member_id, occasions=MARKETING, since=since)
        free_ms = now_ms
        told = rules.notifications
        for most, span_ms in ((told.per_day, DAY_MS), (told.per_week, WEEK_MS)):
            if most and len(sent) >= most:
                free_ms = max(free_ms, Ms(sent[most - 1] + span_ms))
        return free_ms

    def _profile(self, program_id: ProgramId, member_id: MemberId) -> Profile:
        """Return what is known of the person; a damaged record leaves the channels that need none of it."""
        try:
            return self._members.profile(program_id, member_id)
        except SealBroken:
            log.exception("personal data does not open", extra={"program_id": program_id})
            return NO_PROFILE


def notice_of(program: Program, rules: RuleSet | None, note: Notification, *, language: str) -> Notice:
    """Return a message in a language, a BCP 47 tag."""
    spoken, name = language_of(language), program.display_name or program.program_id
    title, text = notice_text(note.occasion, note.args, language=spoken, program_name=name, rules=rules)
    return Notice(
        program_id=program.program_id,
        member_id=note.member_id,
        notification_id=note.notification_id,
        occasion=note.occasion,
        sense=ABOUT[note.occasion].sense,
        program_name=name,
        language=spoken,
        title=title,
        text=text,
        args=note.args,
        made_ms=note.made_ms,
        stale_ms=note.stale_ms,
    )
