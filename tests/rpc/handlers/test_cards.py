"""CardService: pre-printed cards are nobody's until somebody enrols with one; lost cards are nobody's for ever."""

from __future__ import annotations

from typing import TypeAlias

import pytest

from tallystick.core.ids import MemberId
from tallystick.security.check_digits import (
    ean13_with_check_digit,
    gs1_check_digit,
    has_luhn_check_digit,
    looks_like_payment_card,
)
from tallystick.service import cards as use_case
from tallystick.service.identity import IDENTIFIERS_MAX
from tallystick.v1 import card_pb2 as pb
from tallystick.v1 import identity_pb2, ledger_pb2, member_pb2, types_pb2
from tests.rpc.handlers.test_identity import identify, reason_of
from tests.rpc.handlers.test_member_code import Phone
from tests.rpc.handlers.world import (
    ADMIN,
    MANAGER,
    OTHER,
    RULES,
    SHOP,
    Caller,
    World,
    enrol_request,
    everything_stored,
    new_id,
    open_till,
)

Kind: TypeAlias = identity_pb2.IdentifierKind.ValueType
BOSS = Caller(MANAGER)
NUMBER, EAN13 = identity_pb2.IDENTIFIER_KIND_NUMBER, identity_pb2.IDENTIFIER_KIND_EAN13
GSRN, PHONE = identity_pb2.IDENTIFIER_KIND_GSRN, identity_pb2.IDENTIFIER_KIND_PHONE
UNKNOWN, REVOKED = (
    identity_pb2.IDENTITY_REFUSAL_REASON_UNKNOWN,
    identity_pb2.IDENTITY_REFUSAL_REASON_REVOKED,
)


def create(
    count: int = 3, kind: Kind = EAN13, *, batch_id: str = "", **more: str
) -> pb.CreateCardBatchRequest:
    return pb.CreateCardBatchRequest(batch_id=batch_id or new_id(), kind=kind, count=count, **more)


def cards_of(world: World, batch_id: str) -> list[pb.Card]:
    return list(world.send(pb.ListCardsRequest(batch_id=batch_id, page_size=1000), BOSS).cards)


def printed(world: World, count: int = 3, kind: Kind = EAN13, **more: str) -> list[str]:
    """Make a batch and return what is printed on its cards."""
    batch = world.send(create(count, kind, **more), BOSS).batch
    return [card.number for card in cards_of(world, batch.batch_id)]


def identifiers(world: World, member: str) -> list[identity_pb2.Identifier]:
    return list(world.send(identity_pb2.ListIdentifiersRequest(member_id=member), Caller(ADMIN)).identifiers)


def card_id(world: World, member: str, number: str) -> str:
    """Return the identifier_id of a card of a member."""
    (found,) = [one for one in identifiers(world, member) if one.masked[-4:] == number[-4:]]
    return found.identifier_id


@pytest.mark.parametrize(
    ("kind", "prefix", "digits", "begins"),
    [(NUMBER, "", 16, "99"), (EAN13, "", 13, "29"), (EAN13, "21", 13, "21"), (GSRN, "735000123", 18, "7350")],
)
def test_a_batch_has_different_numbers_of_its_kind_in_their_order(
    world: World, kind: Kind, prefix: str, digits: int, begins: str
) -> None:
    batch = world.send(create(20, kind, prefix=prefix, label="Spring"), BOSS).batch
    assert (batch.card_count, batch.blank_count, batch.claimed_count, batch.lost_count) == (20, 20, 0, 0)
    cards = cards_of(world, batch.batch_id)
    numbers = [card.number for card in cards]
    assert [card.position for card in cards] == list(range(1, 21))
    assert len(set(numbers)) == 20
    assert all(len(number) == digits and number.startswith(begins) for number in numbers)
    for number in numbers:
        right = has_luhn_check_digit(number) if kind == NUMBER else gs1_check_digit(number[:-1]) == number[-1]
        assert right
        assert not looks_like_payment_card(number)


def test_numbers_of_two_batches_have_nothing_in_common(world: World) -> None:
    first, second = printed(world, 50), printed(world, 50)
    assert not set(first) & set(second)
    assert len({number[:6] for number in first}) > 25, "they do not count up"


def test_no_number_of_a_card_is_stored(world: World) -> None:
    numbers = printed(world, 5, NUMBER)
    world.enrol(numbers[0])
    stored = everything_stored(world.store)
    assert all(number not in stored for number in numbers)


def test_the_same_batch_again_is_the_same_batch(world: World) -> None:
    request = create(5, label="Spring")
    first = world.send(request, BOSS).batch
    numbers = [card.number for card in cards_of(world, first.batch_id)]
    world.now_ms += 60_000
    assert world.send(request, BOSS).batch == first
    assert [card.number for card in cards_of(world, first.batch_id)] == numbers
    for field, value in (("count", 6), ("label", "Autumn"), ("prefix", "21"), ("kind", NUMBER)):
        other = pb.CreateCardBatchRequest.FromString(request.SerializeToString())
        setattr(other, field, value)
        refused = world.refused(other, BOSS)
        assert (refused.reason, refused.metadata["field"]) == ("REQUEST_ID_REUSED", "batch_id")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (create(0), "count"),
        (create(10_001), "count"),
        (create(1, PHONE), "kind"),
        (create(1, GSRN), "prefix"),
        (create(1, NUMBER, prefix="98"), "prefix"),
        (create(1, EAN13, prefix="29000000000"), "prefix"),
        (create(1, EAN13, prefix="2x"), "prefix"),
        (create(1, EAN13, prefix="40"), "prefix"),
        (create(1, batch_id="one"), "batch_id"),
    ],
)
def test_a_batch_that_makes_no_sense_is_an_error(
    world: World, request_: pb.CreateCardBatchRequest, field: str
) -> None:
    assert world.refused(request_, BOSS).violations[0][0] == field
    assert not world.send(pb.ListCardBatchesRequest(), BOSS).batches


def test_a_prefix_that_a_scan_rule_reads_is_taken(world: World) -> None:
    rule = "scanning: {rules: [{name: own, kind: ean13, prefix: '40'}]}\n"
    world.publish(RULES + rule)
    # Of these numbers one in ten could be a payment card's: a batch of one card must not depend on its first draw.
    numbers = [number for _ in range(60) for number in printed(world, 1, EAN13, prefix="40")]
    assert not any(looks_like_payment_card(number) for number in numbers)
    member = world.enrol(numbers[0])
    assert identify(world, numbers[0], aim_id="]E0").identified.member_id == member


def test_there_are_no_more_batches_than_the_most(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_case, "BATCHES_MAX", 1)
    world.send(create(1), BOSS)
    assert world.refused(create(1), BOSS).reason == "LIMIT_REACHED"


def test_a_number_that_is_taken_is_drawn_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    request = create(2)
    numbers = [card.number for card in cards_of(world, world.send(request, BOSS).batch.batch_id)]
    foreign = Caller(MANAGER, program_id=OTHER)
    world.send(request, foreign)
    theirs = world.send(pb.ListCardsRequest(batch_id=request.batch_id), foreign).cards
    assert not set(numbers) & {card.number for card in theirs}, "each program draws its own"
    monkeypatch.setattr(use_case, "_CARD_PURPOSE", b"others")
    plain = [card.number for card in cards_of(world, request.batch_id)]
    world.enrol(plain[0])
    fresh = create(2, batch_id=request.batch_id)
    world.store._of("shop").card_batches.clear()  # type: ignore[arg-type]
    world.store._of("shop").cards.clear()  # type: ignore[arg-type]
    world.send(fresh, BOSS)
    again = [card.number for card in cards_of(world, request.batch_id)]
    assert again[0] != plain[0]
    assert again[1] == plain[1]


def test_cards_are_listed_page_by_page(world: World) -> None:
    batch_id = world.send(create(5), BOSS).batch.batch_id
    seen: list[int] = []
    token = ""
    for _ in range(3):
        page = world.send(pb.ListCardsRequest(batch_id=batch_id, page_size=2, page_token=token), BOSS)
        seen += [card.position for card in page.cards]
        token = page.next_page_token
    assert (seen, token) == ([1, 2, 3, 4, 5], "")
    assert world.refused(pb.ListCardsRequest(batch_id=new_id()), BOSS).reason == "CARD_BATCH_NOT_FOUND"


def test_a_blank_card_identifies_nobody_and_says_what_to_do(world: World) -> None:
    number, *_ = printed(world)
    answer = identify(world, number, aim_id="]E0")
    assert reason_of(answer) == UNKNOWN
    assert "Enrol" in answer.not_identified.message
    stranger = identify(world, ean13_with_check_digit("280000012345"), aim_id="]E0")
    assert reason_of(stranger) == UNKNOWN
    assert stranger.not_identified.message != answer.not_identified.message


@pytest.mark.parametrize(("kind", "prefix"), [(NUMBER, ""), (EAN13, ""), (GSRN, "735000123")])
def test_a_card_becomes_the_card_of_who_enrols_with_it(world: World, kind: Kind, prefix: str) -> None:
    first, second, _ = printed(world, 3, kind, prefix=prefix)
    member = world.enrol(first)
    found = identify(world, f"]Q1{first}" if kind == NUMBER else first, aim_id="").identified
    assert found.member_id == member
    assert world.number_of(member) != first, "every member has a number beside the card"
    again = world.send(enrol_request(text=first))
    assert again.refused.reason == identity_pb2.IDENTITY_REFUSAL_REASON_TAKEN
    (batch,) = world.send(pb.ListCardBatchesRequest(), BOSS).batches
    assert (batch.blank_count, batch.claimed_count) == (2, 1)
    states = [(card.state, card.number) for card in cards_of(world, batch.batch_id)]
    assert states[0] == (pb.CARD_STATE_CLAIMED, ""), "the number of a card that somebody has is not told"
    assert states[1] == (pb.CARD_STATE_BLANK, second)


def test_a_card_can_be_added_to_a_member_at_any_time(world: World) -> None:
    number, *_ = printed(world)
    member = world.enrol("+46701740605")
    added = world.send(identity_pb2.AddIdentifierRequest(member_id=member, text=number))
    assert added.HasField("added")
    assert identify(world, number, aim_id="]E0").identified.member_id == member


def test_a_lost_card_is_refused_and_the_points_stay(world: World) -> None:
    number, *_ = printed(world)
    member = world.enrol(number)
    world.sell(member, 10_000)
    request = pb.ReportLostRequest(member_id=member, identifier_id=card_id(world, member, number))
    left = world.send(request, BOSS)
    assert reason_of(identify(world, number, aim_id="]E0")) == REVOKED
    assert world.balance(member).active == 100
    assert (left.number, len(left.identifiers)) == (world.number_of(member), 1)
    assert world.send(request, BOSS) == left, "once more is no error"
    refused = world.send(enrol_request(text=number)).refused
    assert refused.reason == REVOKED
    add = identity_pb2.AddIdentifierRequest(member_id=world.enrol(), text=number)
    assert world.send(add).refused.reason == REVOKED


def test_a_lost_member_number_is_replaced_by_a_new_one(world: World) -> None:
    member = world.enrol("+46701740605")
    old = world.number_of(member)
    request = pb.ReportLostRequest(member_id=member, identifier_id=card_id(world, member, old))
    left = world.send(request, BOSS)
    assert left.number == world.number_of(member) != old
    assert has_luhn_check_digit(left.number)
    assert left.number.startswith("99")
    assert reason_of(identify(world, old)) == REVOKED
    assert identify(world, left.number).identified.member_id == member
    assert identify(world, "+46701740605").identified.member_id == member
    assert world.send(request, BOSS) == left


def test_a_card_is_replaced_by_another_and_the_same_again_changes_nothing(world: World) -> None:
    first, second, _ = printed(world)
    member = world.enrol(first)
    request = pb.ReplaceCardRequest(
        member_id=member, identifier_id=card_id(world, member, first), text=f"]E0{second}"
    )
    replaced = world.send(request, BOSS).replaced
    assert reason_of(identify(world, first, aim_id="]E0")) == REVOKED
    assert identify(world, second, aim_id="]E0").identified.member_id == member
    assert world.send(request, BOSS).replaced == replaced
    (batch,) = world.send(pb.ListCardBatchesRequest(), BOSS).batches
    assert (batch.blank_count, batch.claimed_count, batch.lost_count) == (1, 1, 1)


def test_a_card_that_was_reported_lost_can_be_replaced_later(world: World) -> None:
    first, second, _ = printed(world)
    member = world.enrol(first)
    identifier_id = card_id(world, member, first)
    world.send(pb.ReportLostRequest(member_id=member, identifier_id=identifier_id), BOSS)
    request = pb.ReplaceCardRequest(member_id=member, identifier_id=identifier_id, text=second)
    assert world.send(request, BOSS).HasField("replaced")
    assert identify(world, second, aim_id="]E0").identified.member_id == member


def test_who_has_the_card_app_is_told_what_is_left_of_all_cards(world: World) -> None:
    first, second, _ = printed(world)
    member = world.enrol(first)
    Phone(world, member).register()
    old = world.number_of(member)
    lost = pb.ReportLostRequest(member_id=member, identifier_id=card_id(world, member, old))
    left = world.send(lost, BOSS)
    assert left.number == world.number_of(member) != old
    assert list(left.identifiers) == identifiers(world, member)
    assert world.send(lost, BOSS) == left
    replace = pb.ReplaceCardRequest(
        member_id=member, identifier_id=card_id(world, member, first), text=second
    )
    replaced = world.send(replace, BOSS).replaced
    assert list(replaced.identifiers) == identifiers(world, member)
    assert {one.masked[-4:] for one in replaced.identifiers} == {left.number[-4:], second[-4:]}


def test_phones_that_a_member_has_had_keep_no_card_in_use(world: World) -> None:
    first, second, _ = printed(world)
    member = world.enrol(first)
    for _ in range(IDENTIFIERS_MAX):
        phone = Phone(world, member).register()
        world.gateway.codes.revoke(SHOP, MemberId(member), phone.key.kid)
    lost = pb.ReportLostRequest(member_id=member, identifier_id=card_id(world, member, first))
    world.send(lost, BOSS)
    assert reason_of(identify(world, first, aim_id="]E0")) == REVOKED
    replace = pb.ReplaceCardRequest(
        member_id=member, identifier_id=card_id(world, member, world.number_of(member)), text=second
    )
    assert world.send(replace, BOSS).HasField("replaced")


def with_all_identifiers(world: World, card: str) -> str:
    """Return a member with a card and as many identifiers as are allowed."""
    member = world.enrol(card)
    for number in range(IDENTIFIERS_MAX - 2):
        text = f"member{number}@example.com"
        world.send(identity_pb2.AddIdentifierRequest(member_id=member, text=text), Caller(ADMIN))
    assert len(identifiers(world, member)) == IDENTIFIERS_MAX
    return member


@pytest.mark.parametrize("reported_before", [False, True])
@pytest.mark.parametrize("lost", ["card", "number"])
def test_a_member_with_all_identifiers_gets_a_card_in_place_of_a_lost_one(
    world: World, lost: str, reported_before: bool
) -> None:
    first, second, third = printed(world)
    member = with_all_identifiers(world, first)
    number = first if lost == "card" else world.number_of(member)
    identifier_id = card_id(world, member, number)
    if reported_before:
        world.send(pb.ReportLostRequest(member_id=member, identifier_id=identifier_id), BOSS)
    request = pb.ReplaceCardRequest(member_id=member, identifier_id=identifier_id, text=second)
    replaced = world.send(request, BOSS).replaced
    assert identify(world, second, aim_id="]E0").identified.member_id == member
    assert world.send(request, BOSS).replaced == replaced, "once more is no error"
    again = pb.ReplaceCardRequest(member_id=member, identifier_id=card_id(world, member, second), text=third)
    assert world.send(again, BOSS).HasField("replaced"), "nor is the new card the last one"


def test_replacing_a_card_that_the_member_does_not_have_gives_no_cards_without_end(world: World) -> None:
    first, second, third = printed(world)
    member = with_all_identifiers(world, first)
    request = pb.ReplaceCardRequest(member_id=member, identifier_id="gone", text=second)
    assert world.send(request, BOSS).HasField("replaced")
    request.text = third
    assert world.refused(request, BOSS).reason == "LIMIT_REACHED"


@pytest.mark.parametrize("new", ["taken", "lost", "phone", "rubbish", "payment"])
def test_a_replacement_that_is_no_free_card_is_refused_and_the_old_card_stays(world: World, new: str) -> None:
    first, second, third = printed(world)
    member, other = world.enrol(first), world.enrol(second)
    thief = world.enrol(third)
    world.send(pb.ReportLostRequest(member_id=thief, identifier_id=card_id(world, thief, third)), BOSS)
    texts = {
        "taken": (second, identity_pb2.IDENTITY_REFUSAL_REASON_TAKEN),
        "lost": (third, REVOKED),
        "phone": ("+46701740605", identity_pb2.IDENTITY_REFUSAL_REASON_FORMAT),
        "rubbish": ("<script>", identity_pb2.IDENTITY_REFUSAL_REASON_FORMAT),
        "payment": ("4111111111111111", identity_pb2.IDENTITY_REFUSAL_REASON_PAYMENT_CARD),
    }
    text, reason = texts[new]
    request = pb.ReplaceCardRequest(member_id=member, identifier_id=card_id(world, member, first), text=text)
    refused = world.send(request, BOSS).refused
    assert refused.reason == reason
    assert text not in refused.message
    assert identify(world, first, aim_id="]E0").identified.member_id == member
    assert identify(world, second, aim_id="]E0").identified.member_id == other


def test_a_telephone_number_is_no_card_that_can_be_lost(world: World) -> None:
    member = world.enrol("+46701740605")
    phone = next(one for one in identifiers(world, member) if one.kind == PHONE)
    request = pb.ReportLostRequest(member_id=member, identifier_id=phone.identifier_id)
    assert world.refused(request, BOSS).violations == [("identifier_id", "must be a card")]
    assert identify(world, "+46701740605").identified.member_id == member


def test_the_cards_of_an_erased_member_are_revoked(world: World) -> None:
    number, *_ = printed(world)
    member = world.enrol(number)
    world.send(member_pb2.EraseMemberRequest(member_id=member), Caller(ADMIN))
    assert reason_of(identify(world, number, aim_id="]E0")) == REVOKED
    assert world.send(enrol_request(text=number)).refused.reason == REVOKED
    lost = pb.ReportLostRequest(member_id=member, identifier_id="x")
    assert world.refused(lost, BOSS).reason == "MEMBER_NOT_FOUND"


def test_a_card_claimed_at_a_till_without_the_line_is_the_members_once_the_till_reports_it(
    world: World,
) -> None:
    number, lost, _ = printed(world)
    gone = world.enrol(lost)
    world.send(pb.ReportLostRequest(member_id=gone, identifier_id=card_id(world, gone, lost)), BOSS)
    till, caller = open_till(world)
    joined, unlucky = new_id(), new_id()
    facts = [till.sign_up(world.gateway, joined, number), till.sign_up(world.gateway, unlucky, lost)]
    world.send(till.batch(*facts), caller)
    assert identify(world, number, aim_id="]E0").identified.member_id == joined
    assert reason_of(identify(world, lost, aim_id="]E0")) == REVOKED
    assert world.send(ledger_pb2.GetBalanceRequest(member_id=unlucky)).balance.active == 0


def test_assurance_of_a_claimed_card_is_that_of_a_card(world: World) -> None:
    number, *_ = printed(world)
    world.enrol(number)
    found = identify(world, number, aim_id="]E0").identified
    assert found.assurance == types_pb2.ASSURANCE_STATIC_CARD
