"""Notifications, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.rules.notifications import Occasion
from tallystick.core.state import MemberStatus
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose
from tallystick.service.notification_ports import (
    ADD_MAX,
    RETRIED_MAX,
    Noted,
    NoteState,
    Notification,
    NotificationPlace,
    PushSubscription,
    Way,
)
from tallystick.storage.memory_cards import Tables
from tallystick.storage.memory_tables import ProgramTables, Undo
from tallystick.storage.notifications import FORGET_PAGE, granted_of

_ONE = ""
Mark = tuple[Ms, str]


class MemoryNotifications:
    """``service.notification_ports`` says what each call means."""

    def notification_place(self: Tables, program_id: ProgramId) -> NotificationPlace | None:
        return self._of(program_id).notification_places.get(_ONE)

    def put_notification_place(self: Tables, program_id: ProgramId, place: NotificationPlace | None) -> None:
        with self._changes() as undo:
            places = self._of(program_id).notification_places
            before = places.get(_ONE)
            if place is not None:
                moves = place.moves if before is None else before.moves + 1
                undo.put(places, _ONE, NotificationPlace(place.lanes, moves))
            elif before is not None:
                undo.remove(places, _ONE)

    def add_notifications(
        self: Tables,
        program_id: ProgramId,
        new: Sequence[Notification],
        *,
        to: NotificationPlace | None = None,
    ) -> int | None:
        assert len(new) <= ADD_MAX
        with self._changes() as undo:
            tables = self._of(program_id)
            if to is not None:
                place = tables.notification_places.get(_ONE)
                if place is None or place.moves != to.moves:
                    return None
                undo.put(tables.notification_places, _ONE, replace(to, moves=to.moves + 1))
            added = 0
            for note in new:
                key = note.member_id, note.notification_id
                if key not in tables.notifications and _lives(tables, note.member_id):
                    undo.put(tables.notifications, key, (note, Ms(0)))
                    added += 1
            return added

    def claim_notifications(
        self: Tables, program_id: ProgramId, *, now: Ms, until: Ms, limit: int
    ) -> list[Notification]:
        with self._changes() as undo:
            table = self._of(program_id).notifications
            in_hand = {key[0] for key, (_, held_ms) in table.items() if held_ms > now}
            due = [
                note
                for note, _ in table.values()
                if note.state is NoteState.WAITING and note.next_ms <= now and note.member_id not in in_hand
            ]
            first: dict[MemberId, Notification] = {}
            for note in sorted(due, key=lambda note: (note.next_ms, note.notification_id))[:limit]:
                first.setdefault(note.member_id, note)
            for note in first.values():
                undo.put(table, (note.member_id, note.notification_id), (replace(note, next_ms=until), until))
            return list(first.values())

    def note_notifications(self: Tables, program_id: ProgramId, noted: Sequence[Noted], *, now: Ms) -> None:
        with self._changes() as undo:
            table = self._of(program_id).notifications
            for one in noted:
                key = one.member_id, one.notification_id
                note = table[key][0] if key in table else None
                if note is None or note.state is not NoteState.WAITING:
                    continue
                became = replace(
                    note,
                    state=one.state,
                    way=one.way,
                    answer=one.answer,
                    next_ms=one.next_ms,
                    tries=note.tries + int(one.tried),
                    done_ms=Ms(0) if one.state is NoteState.WAITING else now,
                )
                undo.put(table, key, (became, Ms(0)))

    def retry_notifications(self: Tables, program_id: ProgramId, *, way: Way | None, now: Ms) -> int:
        with self._changes() as undo:
            table = self._of(program_id).notifications
            given_up = [
                note
                for note, _ in table.values()
                if note.state is NoteState.FAILED and note.stale_ms > now and way in (None, note.way)
            ][:RETRIED_MAX]
            for note in given_up:
                again = replace(note, state=NoteState.WAITING, tries=0, next_ms=now, done_ms=Ms(0))
                undo.put(table, (note.member_id, note.notification_id), (again, Ms(0)))
            return len(given_up)

    def forget_notifications(self: Tables, program_id: ProgramId, *, before: Ms) -> int:
        with self._changes() as undo:
            table = self._of(program_id).notifications
            old = [
                key
                for key, (note, _) in table.items()
                if note.made_ms < before and note.state is not NoteState.WAITING
            ][:FORGET_PAGE]
            for key in old:
                undo.remove(table, key)
            return len(old)

    def notifications_of(
        self: Tables, program_id: ProgramId, member_id: MemberId, *, before: Mark | None, limit: int
    ) -> list[Notification]:
        notes = [note for note, _ in self._of(program_id).notifications.values()]
        return _newest((note for note in notes if note.member_id == member_id), before, limit)

    def failed_notifications(
        self: Tables, program_id: ProgramId, *, before: Mark | None, limit: int
    ) -> list[Notification]:
        notes = [note for note, _ in self._of(program_id).notifications.values()]
        return _newest((note for note in notes if note.state is NoteState.FAILED), before, limit)

    def notifications_sent(
        self: Tables,
        program_id: ProgramId,
        member_id: MemberId,
        *,
        occasions: Collection[Occasion],
        since: Ms,
    ) -> list[Ms]:
        notes = [note for note, _ in self._of(program_id).notifications.values()]
        return sorted(
            (
                note.done_ms
                for note in notes
                if note.member_id == member_id
                and note.state is NoteState.SENT
                and note.done_ms >= since
                and note.occasion in occasions
            ),
            reverse=True,
        )

    def notification_counts(
        self: Tables, program_id: ProgramId, *, since: Ms
    ) -> dict[tuple[Occasion, Way, NoteState], int]:
        notes = [note for note, _ in self._of(program_id).notifications.values()]
        return dict(Counter((note.occasion, note.way, note.state) for note in notes if note.made_ms >= since))

    def granted_channels(
        self: Tables, program_id: ProgramId, member_ids: Collection[MemberId], purpose: ConsentPurpose
    ) -> dict[MemberId, frozenset[ConsentChannel]]:
        consents = self._of(program_id).consents
        return granted_of(
            {
                (member_id, int(said.channel)): said.granted
                for member_id in member_ids
                for said in consents.get(member_id, ())
                if said.purpose is purpose
            }
        )

    def set_push(self: Tables, program_id: ProgramId, subscription: PushSubscription) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            if not _lives(tables, subscription.member_id):
                return False
            undo.put(tables.push_subscriptions, (subscription.member_id, subscription.kid), subscription)
            return True

    def remove_push(self: Tables, program_id: ProgramId, member_id: MemberId, kid: str) -> None:
        with self._changes() as undo:
            table = self._of(program_id).push_subscriptions
            if (member_id, kid) in table:
                undo.remove(table, (member_id, kid))

    def push_subscriptions(
        self: Tables, program_id: ProgramId, member_id: MemberId
    ) -> list[PushSubscription]:
        tables = self._of(program_id)
        found = []
        for key, one in sorted(tables.push_subscriptions.items()):
            device = tables.card_devices.get(key)
            if key[0] == member_id and device is not None and not device.revoked_ms:
                found.append(one)
        return found


def erase_notifications(undo: Undo, tables: ProgramTables, member_id: MemberId) -> None:
    """Delete what a member was told, and where push messages went."""
    for note in [key for key in tables.notifications if key[0] == member_id]:
        undo.remove(tables.notifications, note)
    for address in [key for key in tables.push_subscriptions if key[0] == member_id]:
        undo.remove(tables.push_subscriptions, address)


def _lives(tables: ProgramTables, member_id: MemberId) -> bool:
    member = tables.members.get(member_id)
    return member is not None and member.status is not MemberStatus.ERASED


def _newest(notes: Iterable[Notification], before: Mark | None, limit: int) -> list[Notification]:
    marked = {(note.made_ms, note.notification_id): note for note in notes}
    return [marked[mark] for mark in sorted(marked, reverse=True) if before is None or mark < before][:limit]
