"""Who looks on while things go wrong: what a screen must never show and a till must never do, even for a moment.

It knows the truth (the books, the real time), which no till does, and keeps its own record of what each till has done.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tallystick.core.advice import VerdictKind
from tallystick.core.entry import Entry
from tallystick.core.ids import CommandId, MemberId
from tallystick.v1 import advice_pb2
from tests.simulation.clockwork import DAY_MS, MINUTE_MS, Time
from tests.simulation.server import CLUB, Server

if TYPE_CHECKING:
    from tallystick_till.types import SaleDone
    from tests.simulation.machine import Machine

ALONE = ("lease", "voucher", "floor")
"""The rights by which a till burns without asking."""


class Diary:
    """What one till has done and heard, as somebody beside it would write it down."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.facts: dict[str, tuple[MemberId, int]] = {}
        self.knows_time = False
        self.heard_ms = time.now_ms
        self.floor: Counter[MemberId] = Counter()

    def read_along(self, till: Any) -> None:
        """Follow a till's program from its start on."""
        facts, clock, link = till._facts, till._clock, till._link
        add, take, answered = facts.add, clock.take, link.answered

        def note_fact(
            tx: Any, advice_id: str, member_id: MemberId, points: int, *, member_seq: int = 0
        ) -> None:
            add(tx, advice_id, member_id, points, member_seq=member_seq)
            self.facts[advice_id] = (member_id, points)

        def note_time(signed: advice_pb2.Signed) -> bool:
            self.knows_time = True
            return bool(take(signed))

        def note_answer() -> bool:
            self.heard_ms = self._time.now_ms
            return bool(answered())

        outbox = till._outbox
        take_verdicts = outbox.take_verdicts

        def note_verdicts(request: Any, response: Any) -> None:
            take_verdicts(request, response)
            if not outbox.queued():
                self.floor.clear()

        facts.add, clock.take, link.answered = note_fact, note_time, note_answer
        outbox.take_verdicts = note_verdicts


class Witness:
    """Collects what was wrong on the way, as sentences."""

    def __init__(self, server: Server, time: Time, offline: dict[str, Any]) -> None:
        self._server = server
        self._time = time
        self._floor = offline["floor"]
        self._away_ms = offline["away_days_max"] * DAY_MS
        self.wrong: list[str] = []

    def sold(self, machine: Machine, done: SaleDone, *, shown: int) -> None:
        """Look at a sale. ``shown`` is the balance that the screen showed before it."""
        burned = Counter[str]()
        for right in done.authority:
            burned[right.kind] += right.points
        if not machine.honest:
            return
        till = machine.till_id[-2:]
        noted = machine.diary.facts.get(done.sale_id)
        spent = burned["server"] + burned["floor"]
        if noted is not None and not burned["voucher"] and noted[1] != done.earned_points - spent:
            self.wrong.append(
                f"till {till} notes {noted[1]} points of sale {done.sale_id}, which earned {done.earned_points}"
                f" and took {spent} of the balance"
            )
        if not any(burned[kind] for kind in ALONE):
            return
        if not machine.diary.knows_time:
            self.wrong.append(
                f"till {till} burned points in sale {done.sale_id} without knowing what time it is"
            )
        if self._time.now_ms - machine.diary.heard_ms > self._away_ms + 2 * MINUTE_MS:
            self.wrong.append(
                f"till {till} burned points in sale {done.sale_id} after it was away for too long"
            )
        by_floor = burned["floor"]
        if by_floor > shown:
            self.wrong.append(
                f"till {till} burned {by_floor} points of a member who had {shown} on its screen"
            )
        self._within_floor(machine, done, by_floor)

    def _within_floor(self, machine: Machine, done: SaleDone, by_floor: int) -> None:
        spent = machine.diary.floor
        spent[MemberId(done.member_ref)] += by_floor
        caps = {
            "in one sale": (by_floor, self._floor["sale_points"]),
            "of one member": (spent[MemberId(done.member_ref)], self._floor["member_points"]),
            "in all": (sum(spent.values()), self._floor["till_points"]),
        }
        for what, (points, cap) in caps.items():
            if by_floor and points > cap:
                self.wrong.append(
                    f"till {machine.till_id[-2:]} burned {points} points {what} by its floor limit of {cap}"
                )

    def look_at(self, machine: Machine) -> None:
        """Compare a till's screen with what it can know: its snapshot, and what it did that is not in there."""
        if machine.till is None or not machine.honest:
            return
        if not machine.running.status().queued:
            machine.diary.floor.clear()
        facts = machine.diary.facts
        if not facts:
            return
        entries = self._server.store.read_known(CLUB, [CommandId(one) for one in facts])
        verdicts: dict[str, int] = dict(machine.db.read("SELECT advice_id, verdict_kind FROM advice"))
        expected: dict[MemberId, int] = {}
        unknown: set[MemberId] = set()
        for advice_id, (member_id, points) in list(facts.items()):
            known = machine.snapshot.member(member_id)
            if known is None:
                continue
            found = entries.get(CommandId(advice_id))
            seq = found.answer.seq if found is not None and isinstance(found.answer, Entry) else 0
            expected.setdefault(member_id, known.active)
            verdict = verdicts.get(advice_id)
            if verdict == VerdictKind.PARKED:
                # It may be in the books by now or not; the till cannot know.
                unknown.add(member_id)
            elif verdict == 0 or (verdict != VerdictKind.QUARANTINED and seq > known.seq):
                expected[member_id] += points
            else:
                del facts[advice_id]
        for member_id, points in expected.items():
            shows = machine.running._facts._active(member_id, None)
            if member_id not in unknown and shows != points:
                self.wrong.append(
                    f"till {machine.till_id[-2:]} shows {shows} points of {member_id} and knows of {points}"
                )
