"""Mistakes that could be made in the gateway."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tallystick.core import advice as chain
from tallystick.core import cover, decide, lease, returns, sale
from tallystick.core.advice import Admission, VerdictKind
from tallystick.core.command import SettleSale
from tallystick.core.cover import cover_burn
from tallystick.core.entry import Entry
from tallystick.core.ids import CommandId
from tallystick.core.state import Hold, HoldKind, HoldStatus
from tallystick.service import advices, batch, batch_facts, batch_load, inbox
from tallystick.service.batch import Batch
from tallystick.service.batch_facts import Facts
from tallystick.service.batch_load import Loaded
from tallystick.storage.memory import MemoryTransaction
from tests.simulation.faults import fault, instead


@fault("a sale that is uploaded twice is posted twice", seed=0)
def no_dedupe() -> Iterator[None]:
    posting = advices.Advices._posting

    def under_a_new_id(self: Any, program_id: Any, read: Any, fact: Any, deadline: float) -> Any:
        submission = posting(self, program_id, read, fact, deadline)
        return replace(
            submission, command=replace(submission.command, command_id=CommandId(str(uuid.uuid4())))
        )

    def whatever_was_there(before: Any, slot: Any, *, known: bool) -> Admission:
        found = chain.admit(before, slot, known=known)
        return Admission.NEXT if found is Admission.FORK else found

    with (
        instead(advices.Advices, "_posting", under_a_new_id),
        instead(batch_facts, "admit", whatever_was_there),
    ):
        yield


@fault("the till's place is noted although the postings of the same upload were lost", seed=1)
def watermark_outside_of_the_transaction() -> Iterator[None]:
    write = MemoryTransaction.write

    def write_place_first(self: Any, changes: Any) -> None:
        for one in changes.tills:
            # Not by way of what is undone when the transaction fails.
            self._tables.tills[one.till_id] = one
        write(self, replace(changes, tills=[]))

    with instead(MemoryTransaction, "write", write_place_first):
        yield


@fault("the till's place is not noted at all", seed=0)
def watermark_forgotten() -> Iterator[None]:
    with instead(batch_facts, "advance", lambda before, slot: before):
        yield


@fault("points of a lease that were used can be used again", seed=0, hostile=True)
def lease_overdrawn() -> Iterator[None]:
    with instead(Hold, "left", property(lambda hold: hold.points)):
        yield


@fault("a store may burn what was leased to another one", seed=20, hostile=True)
def lease_of_anybody() -> Iterator[None]:
    def any_store(draft: Any, rules: Any, advice: SettleSale) -> Any:
        holds = [draft.holds[right.hold_id] for right in advice.authorities if right.hold_id in draft.holds]
        for hold in holds:
            draft.set_hold(replace(hold, store_id=advice.origin.store_id))
        paid = cover_burn(draft, rules, advice)
        for hold in holds:
            draft.set_hold(replace(draft.holds[hold.hold_id], store_id=hold.store_id))
        return paid

    with instead(sale, "cover_burn", any_store):
        yield


@fault("what a till says it took from a lease is believed without a lease", seed=0, hostile=True)
def lease_not_checked() -> Iterator[None]:
    def believed(draft: Any, rules: Any, advice: SettleSale) -> Any:
        paid = cover_burn(draft, rules, advice)
        rest = min(advice.burned_points - paid.points, draft.active - paid.from_active)
        if not advice.authorities or rest <= 0:
            return paid
        return cover._from_active(draft, paid, rest, "by_lease", advice.authorities[0])

    with instead(sale, "cover_burn", believed):
        yield


@fault("a lease is taken back the moment it ends, without grace", seed=0)
def reclaim_without_grace() -> Iterator[None]:
    escrow = lease._escrow

    def at_once(draft: Any, rules: Any, *rest: Any, **more: Any) -> None:
        escrow(draft, replace(rules, offline=replace(rules.offline, grace_s=0)), *rest, **more)

    with instead(lease, "_escrow", at_once):
        yield


@fault("a till may take any number of points off a balance", seed=1, hostile=True)
def member_pays_beyond_the_floor() -> Iterator[None]:
    def without_cap(draft: Any, rules: Any, advice: SettleSale) -> Any:
        offline = replace(rules.offline, floor_sale_points=1 << 40)
        return cover_burn(draft, replace(rules, offline=offline), advice)

    with instead(sale, "cover_burn", without_cap):
        yield


@fault("a copied till is not noticed", seed=0, hostile=True)
def fork_not_noticed() -> Iterator[None]:
    def trusting(before: Any, slot: Any, *, known: bool) -> Admission:
        found = chain.admit(before, slot, known=known)
        return Admission.NEXT if found is Admission.FORK else found

    with instead(batch_facts, "admit", trusting):
        yield


@fault("a copied till is noticed and may go on in its old chain", seed=0, hostile=True)
def fence_without_a_new_epoch() -> Iterator[None]:
    def same_epoch(before: Any, now_ms: Any) -> Any:
        return replace(
            chain.fence(before, now_ms), epoch=before.epoch, acked_seq=before.acked_seq, head=before.head
        )

    with instead(batch_facts, "fence", same_epoch):
        yield


@fault("two copies of a till may fence each other for ever", seed=0, hostile=True)
def never_suspended() -> Iterator[None]:
    with instead(chain, "FENCES_MAX", 1 << 30):
        yield


@fault("what comes from an ended chain is posted", seed=1, hostile=True)
def epoch_not_honoured() -> Iterator[None]:
    def any_epoch(before: Any, slot: Any, *, known: bool) -> Admission:
        found = chain.admit(before, slot, known=known)
        return Admission.NEXT if found is Admission.FENCED else found

    with instead(batch_facts, "admit", any_epoch), instead(batch_facts, "advance", _stay_in(chain.advance)):
        yield


def _stay_in(advance: Any) -> Any:
    return lambda before, slot: advance(before, slot) if slot.epoch == before.epoch else before


@fault("a stolen till is still believed", seed=0, hostile=True)
def stolen_till_believed() -> Iterator[None]:
    with instead(advices.Advices, "_till", advices.Advices._device):
        yield


@fault("a return that came before its sale is never posted", seed=0, hostile=True)
def parked_never_posted() -> Iterator[None]:
    with instead(inbox.Inbox, "due", lambda self, program_id, *, deadline: []):
        yield


@fault("a return that came before its sale is thrown away", seed=2)
def parked_dropped() -> Iterator[None]:
    hold = Facts._hold

    def not_kept(self: Any, fact: Any, verdict: Any, *, waits_for: str = "") -> Any:
        return (
            verdict if verdict.kind is VerdictKind.PARKED else hold(self, fact, verdict, waits_for=waits_for)
        )

    with instead(Facts, "_hold", not_kept):
        yield


@fault("a second return of one sale gives back what the first gave as well", seed=0, hostile=True)
def return_gives_twice() -> Iterator[None]:
    with instead(returns, "_due_between", lambda lines, before, after: returns._due(lines, after)):
        yield


@fault("goods of a sale that was undone can be returned for points once more", seed=2)
def return_after_undo() -> Iterator[None]:
    with instead(returns, "_reversed", lambda before: False):
        yield


@fault("a sale that was refused when asked for is not taken as a fact either", seed=28)
def refusal_binds_the_fact() -> Iterator[None]:
    def known_to(self: Any, submission: Any) -> Any:
        return self.known.get(submission.command.command_id)

    with instead(Loaded, "known_to", known_to):
        yield


@fault("a sale that was asked for is posted again when the till reports it", seed=0)
def fact_after_request_posts_again() -> Iterator[None]:
    posting = advices.Advices._posting

    def under_its_place(self: Any, program_id: Any, read: Any, fact: Any, deadline: float) -> Any:
        submission = posting(self, program_id, read, fact, deadline)
        if not getattr(submission.command, "burned_points", 0):
            return submission
        own = replace(submission.command, command_id=CommandId(str(uuid.UUID(bytes=read.slot.digest[:16]))))
        return replace(submission, command=own)

    with instead(advices.Advices, "_posting", under_its_place):
        yield


@fault("a sale asked for late is posted though the till has reported it", seed=52, hostile=True)
def request_after_the_fact_posts_again() -> Iterator[None]:
    decided = Batch._decide

    def once_more(self: Any, submission: Any) -> Any:
        known = self._loaded.known.get(submission.command.command_id)
        late = submission.fact is None and known is not None and isinstance(known.answer, Entry)
        if late and known.answer.claimed_points != -1:
            command = replace(
                submission.command, command_id=CommandId(str(uuid.UUID(bytes=submission.fingerprint[:16])))
            )
            submission = replace(submission, command=command)
        return decided(self, submission)

    with instead(Batch, "_decide", once_more):
        yield


@fault("the till's clock says when something happened", seed=1, hostile=True)
def till_clock_orders_entries() -> Iterator[None]:
    with instead(batch_load, "bounded_ms", lambda told_ms, drained_ms, now_ms: told_ms):
        yield


@fault("a sale is judged by today's rules and not by those that the till had", seed=2, hostile=True)
def rules_not_pinned() -> Iterator[None]:
    with instead(batch, "pinned_version", lambda command, holds: None):
        yield


@fault("sales of a member who was erased are not taken", seed=0)
def erased_member_dropped() -> Iterator[None]:
    facts = tuple(kind for kind in decide.FACTS_AND_AMENDS if kind is not SettleSale)
    with instead(decide, "FACTS_AND_AMENDS", facts):
        yield


@fault("a lease that went back counts no more for what had been burned before", seed=10)
def ended_lease_is_worthless() -> Iterator[None]:
    def only_open(draft: Any, rules: Any, advice: SettleSale) -> Any:
        worthless = [
            right.hold_id
            for right in advice.authorities
            if (hold := draft.holds.get(right.hold_id)) is not None
            and hold.kind is HoldKind.LEASE
            and hold.status in (HoldStatus.VOIDED, HoldStatus.EXPIRED)
        ]
        kept = tuple(right for right in advice.authorities if right.hold_id not in worthless)
        return cover_burn(draft, rules, replace(advice, authorities=kept))

    with instead(sale, "cover_burn", only_open):
        yield
