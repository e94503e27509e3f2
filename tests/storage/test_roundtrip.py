"""Whatever an entry says is what is read back, on every store."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.core.advice import TillChain, TillStatus, Verdict, VerdictKind, VerdictReason
from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.codec import detail_to_text
from tallystick.core.entry import (
    AppliedReward,
    Detail,
    Entry,
    EntryKind,
    Explanation,
    LineShare,
    Moves,
    Refusal,
    Refused,
    ReturnedLine,
    TaxTotal,
)
from tallystick.core.ids import POINTS_MAX, CommandId, MemberId, Minor, Ms
from tallystick.core.state import Alloc, Hold, HoldKind, HoldStatus, Lot
from tallystick.service.ports import InboxItem, InboxState, Known, NewEntry, NewRefusal, WriteSet
from tallystick.storage import Store
from tests.storage.build import PROGRAM, program

points = st.integers(-POINTS_MAX, POINTS_MAX)
amounts = st.integers(0, POINTS_MAX)
minors = points.map(Minor)
instants = st.integers(0, 2**62).map(Ms)
# NUL is the one character that PostgreSQL cannot store; what arrives with it is refused long before.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
uuids = st.uuids(allow_nil=False).map(str)
numbers = st.integers(1, 2**31 - 1)
pairs = st.lists(st.tuples(texts, texts), max_size=2).map(tuple)


def several(one: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(one, max_size=2).map(tuple)


details = st.builds(
    Detail,
    explanations=several(st.builds(Explanation, texts, numbers, points, texts, pairs)),
    lines=several(st.builds(LineShare, minors, numbers, minors, points, points, points)),
    allocs=several(st.builds(Alloc, numbers, amounts)),
    tax_totals=several(st.builds(TaxTotal, texts, minors, minors, minors)),
    rewards=several(st.builds(AppliedReward, texts, points, minors)),
    payable_minor=minors,
    credit_day=st.integers(0, 4_000_000),
    returned=several(st.builds(ReturnedLine, numbers, numbers, minors)),
    due_points=points,
    restored_points=points,
    refund_minor=minors,
    reason=texts,
)
moves = st.lists(points, min_size=8, max_size=8).map(lambda eight: Moves(-sum(eight), *eight))
origins = st.builds(Origin, instants, st.sampled_from(Channel), texts, texts, texts)
entries = st.builds(
    Entry,
    command_id=uuids.map(CommandId),
    member_id=uuids.map(MemberId),
    seq=numbers,
    kind=st.sampled_from(EntryKind),
    moves=moves,
    active_after=amounts,
    pending_after=amounts,
    held_after=amounts,
    debt_after=amounts,
    tier_after=texts,
    rule_set=st.integers(0, 2**31 - 1),
    assurance=st.sampled_from(Assurance),
    origin=origins,
    reverses_seq=st.just(0) | numbers,
    hold_id=st.just("") | uuids,
    shortfall=amounts,
    claimed_points=st.integers(-1, POINTS_MAX),
    detail=details,
)
fingerprints = st.just(b"") | st.binary(min_size=16, max_size=16)
holds = st.builds(
    Hold,
    hold_id=uuids.map(CommandId),
    seq=numbers,
    points=st.integers(POINTS_MAX // 2, POINTS_MAX),
    status=st.sampled_from(HoldStatus),
    expires_ms=instants,
    spend_points=amounts,
    reward_ids=several(texts),
    allocs=several(st.builds(Alloc, numbers, amounts)),
    assurance=st.sampled_from(Assurance),
    kind=st.sampled_from(HoldKind),
    store_id=texts,
    ends_ms=instants,
    used=st.integers(0, POINTS_MAX // 2),
    recalled=st.booleans(),
)
chains = st.builds(
    TillChain,
    till_id=st.uuids().map(str),
    store_id=texts,
    epoch=numbers,
    acked_seq=amounts,
    head=st.binary(min_size=32, max_size=32),
    status=st.sampled_from(TillStatus),
    fenced_ms=several(instants),
    fences=numbers,
    contact_ms=instants,
    drained_ms=instants,
    queued=amounts,
    floor_points=amounts,
)
items = st.builds(
    InboxItem,
    item_id=uuids,
    till_id=texts,
    store_id=texts,
    epoch=amounts,
    seq=amounts,
    verdict=st.builds(
        Verdict,
        st.sampled_from(VerdictKind),
        several(st.sampled_from(VerdictReason)),
        amounts,
        amounts,
        amounts,
        pairs,
    ),
    state=st.sampled_from(InboxState),
    received_ms=instants,
    raw=st.binary(max_size=300),
    waits_for=texts,
    resolved_by=texts,
    note=texts,
    resolved_ms=instants,
)
refusals = st.builds(
    NewRefusal,
    command_id=uuids.map(CommandId),
    member_id=uuids.map(MemberId),
    fingerprint=fingerprints,
    refused=st.builds(Refused, st.sampled_from(Refusal), pairs),
)


@st.composite
def lots(draw: st.DrawFn) -> Lot:
    whole = draw(amounts)
    return Lot(
        draw(numbers),
        whole,
        draw(st.integers(0, whole)),
        draw(instants),
        draw(instants),
        draw(instants),
        draw(st.booleans()),
        draw(points),
        draw(st.integers(0, 4_000_000)),
    )


quick = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def filled(store: Store) -> Store:
    store.create_program(program())
    return store


@quick
@given(batch=st.lists(st.tuples(entries, fingerprints), min_size=1, max_size=3), recorded_ms=instants)
def test_any_entry(filled: Store, batch: list[tuple[Entry, bytes]], recorded_ms: Ms) -> None:
    # The database outlives the example, so each one has ids of its own.
    batch = [
        (replace(e, member_id=MemberId(str(uuid.uuid4())), command_id=CommandId(str(uuid.uuid4()))), print_)
        for e, print_ in batch
    ]
    new = [NewEntry(entry, print_, detail_to_text(entry.detail)) for entry, print_ in batch]
    with filled.transaction(PROGRAM) as transaction:
        transaction.write(WriteSet(recorded_ms=recorded_ms, entries=new))
    known = filled.read_known(PROGRAM, [entry.command_id for entry, _ in batch])
    assert known == {e.command_id: Known(e.member_id, print_, e, recorded_ms) for e, print_ in batch}


@pytest.mark.parametrize(
    "text", ["", "NULL", '"', "\\", '\\"', "a,b", "{}", " ", "\n", "\x1f", "a\x1fb", "é", "🦭", "%s", "$1"]
)
def test_texts_that_mean_something_to_a_database(filled: Store, text: str) -> None:
    details = ((text, "1"), ("2", text))
    refused = Refused(Refusal.SALE_UNKNOWN, details)
    ids = [CommandId(str(uuid.uuid4())) for _ in range(2)]
    new = [NewRefusal(one, MemberId(str(uuid.uuid4())), b"", refused) for one in ids]
    entry = entry_with(text)
    with filled.transaction(PROGRAM) as transaction:
        entries = [NewEntry(entry, b"", detail_to_text(entry.detail))]
        transaction.write(WriteSet(recorded_ms=Ms(1), entries=entries, refusals=new))
    known = filled.read_known(PROGRAM, [*ids, entry.command_id])
    assert [known[one].answer for one in ids] == [refused, refused]
    assert known[entry.command_id].answer == entry


def entry_with(text: str) -> Entry:
    return Entry(
        command_id=CommandId(str(uuid.uuid4())),
        member_id=MemberId(str(uuid.uuid4())),
        seq=1,
        kind=EntryKind.SALE,
        moves=Moves(),
        active_after=0,
        pending_after=0,
        held_after=0,
        debt_after=0,
        tier_after=text,
        rule_set=1,
        assurance=Assurance.TYPED,
        origin=Origin(Ms(1), Channel.APP, text, text, text),
        detail=Detail(reason=text),
    )


@quick
@given(new=refusals, recorded_ms=instants)
def test_any_refusal(filled: Store, new: NewRefusal, recorded_ms: Ms) -> None:
    new = replace(new, command_id=CommandId(str(uuid.uuid4())))
    with filled.transaction(PROGRAM) as transaction:
        transaction.write(WriteSet(recorded_ms=recorded_ms, refusals=[new]))
    stored = Known(new.member_id, new.fingerprint, new.refused, recorded_ms)
    assert filled.read_known(PROGRAM, [new.command_id]) == {new.command_id: stored}


@quick
@given(chain=chains, items=st.lists(items, max_size=3, unique_by=lambda item: item.item_id))
def test_any_chain_and_any_inbox_item(filled: Store, chain: TillChain, items: list[InboxItem]) -> None:
    items = [replace(item, item_id=str(uuid.uuid4())) for item in items]
    with filled.transaction(PROGRAM) as transaction:
        transaction.lock_tills([chain.till_id])
        transaction.write(WriteSet(recorded_ms=Ms(1), tills=[chain], inbox=items))
        assert transaction.lock_tills([chain.till_id]) == {chain.till_id: chain}
        assert transaction.inbox([item.item_id for item in items]) == {item.item_id: item for item in items}


@quick
@given(lot=lots(), hold=holds)
def test_any_lot_and_any_hold(filled: Store, lot: Lot, hold: Hold) -> None:
    member = MemberId(str(uuid.uuid4()))
    hold = replace(hold, hold_id=CommandId(str(uuid.uuid4())))
    changes = WriteSet(recorded_ms=Ms(1), lots_new=[(member, lot)], holds_new=[(member, hold)])
    with filled.transaction(PROGRAM) as transaction:
        transaction.write(changes)
        assert transaction.lots(of=[], also=[(member, lot.lot_seq)]) == {member: [lot]}
        assert transaction.holds(open_of=[], ids=[hold.hold_id]) == {member: [hold]}
