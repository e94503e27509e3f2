"""IdentityService: enrolment in one field, scans, identifiers."""

from __future__ import annotations

import pytest

from tallystick.security.check_digits import (
    ean13_with_check_digit,
    gsrn_with_check_digit,
    has_luhn_check_digit,
)
from tallystick.service.identity import country_of_zone, member_number
from tallystick.v1 import identity_pb2 as pb
from tallystick.v1 import member_pb2, types_pb2
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    DAY_MS,
    IMPORTER,
    MANAGER,
    OTHER,
    START_MS,
    WEBSHOP,
    Caller,
    World,
    enrol_request,
    everything_stored,
    new_id,
)

PHONE, EMAIL = "070-174 06 05", "Anna.Svensson@example.org"
CARD = ean13_with_check_digit("290000012345")
PAYMENT_CARD = "4111 1111 1111 1111"


def identify(world: World, text: str, caller: Caller | None = None, **more: object) -> pb.IdentifyResponse:
    body = {"channel": types_pb2.CHANNEL_STORE, **more}
    answer = world.send(pb.IdentifyRequest(text=text, **body), caller)  # type: ignore[arg-type]
    assert isinstance(answer, pb.IdentifyResponse)
    return answer


def reason_of(answer: pb.IdentifyResponse) -> int:
    assert answer.HasField("not_identified")
    return int(answer.not_identified.reason)


def test_a_member_enrols_with_a_phone_number_and_is_found_by_it_however_it_is_written(world: World) -> None:
    member = world.enrol(PHONE)
    world.sell(member, 60_000)
    found = pb.Identification()
    for text in (PHONE, "0701740605", "+46 70 174 06 05", "0046701740605", " 070-1740605\r\n"):
        found = identify(world, text).identified
        assert found.member_id == member
        assert found.assurance == types_pb2.ASSURANCE_TYPED
    assert (found.tier_id, found.balance.active, found.active_worth.amount_minor) == ("guld", 600, 600)
    assert found.status == member_pb2.MEMBER_STATUS_OPEN
    assert found.balance == world.balance(member)


def test_the_country_of_a_phone_number_is_the_programs_unless_the_caller_names_one(world: World) -> None:
    german = "0151 23456789"
    request = enrol_request(text=german)
    request.region = "DE"
    assert world.send(request).HasField("enrolled")
    assert identify(world, german, region="DE").identified.member_id == request.member_id
    assert identify(world, "+4915123456789").identified.member_id == request.member_id
    assert reason_of(identify(world, german)) != pb.IDENTITY_REFUSAL_REASON_UNSPECIFIED


@pytest.mark.parametrize(
    ("zone", "country"), [("Europe/Stockholm", "SE"), ("Europe/London", "GB"), ("UTC", ""), ("", "")]
)
def test_a_time_zone_names_its_country(zone: str, country: str) -> None:
    assert country_of_zone(zone) == country


def test_every_member_gets_a_number_and_is_found_by_it(world: World) -> None:
    member = world.enrol()
    number = world.number_of(member)
    assert len(number) == 16
    assert number.startswith("99")
    assert identify(world, number).identified.member_id == member


def test_a_number_counts_as_a_card_only_when_a_scanner_says_what_it_read(world: World) -> None:
    member = world.enrol()
    number = world.number_of(member)
    assert identify(world, number).identified.assurance == types_pb2.ASSURANCE_TYPED
    assert identify(world, number, aim_id="]C0").identified.assurance == types_pb2.ASSURANCE_STATIC_CARD
    assert identify(world, f"]Q1{number}").identified.assurance == types_pb2.ASSURANCE_STATIC_CARD
    typed = identify(world, number, Caller(WEBSHOP), aim_id="]C0", channel=types_pb2.CHANNEL_WEBSHOP)
    assert typed.identified.assurance == types_pb2.ASSURANCE_TYPED, "a webshop has no scanner"


def test_a_phone_number_is_never_a_card(world: World) -> None:
    world.enrol("+46701740605")
    found = identify(world, "+46701740605", aim_id="]Q1").identified
    assert found.assurance == types_pb2.ASSURANCE_TYPED


@pytest.mark.parametrize(
    ("card", "aim_id"), [(CARD, "]E0"), (gsrn_with_check_digit("73500001234567890"), "]C1")]
)
def test_a_card_given_at_enrolment_identifies(world: World, card: str, aim_id: str) -> None:
    member = world.enrol(card)
    found = identify(world, card, aim_id=aim_id).identified
    assert (found.member_id, found.assurance) == (member, types_pb2.ASSURANCE_STATIC_CARD)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("+46701740699", pb.IDENTITY_REFUSAL_REASON_UNKNOWN),
        ("nobody@example.org", pb.IDENTITY_REFUSAL_REASON_UNKNOWN),
        (CARD[:-1] + str((int(CARD[-1]) + 1) % 10), pb.IDENTITY_REFUSAL_REASON_CHECK_DIGIT),
        (PAYMENT_CARD, pb.IDENTITY_REFUSAL_REASON_PAYMENT_CARD),
        (f"%B{PAYMENT_CARD.replace(' ', '')}^ANNA?", pb.IDENTITY_REFUSAL_REASON_PAYMENT_CARD),
        ("' OR 1=1 --", pb.IDENTITY_REFUSAL_REASON_FORMAT),
        ("<script>alert(1)</script>", pb.IDENTITY_REFUSAL_REASON_FORMAT),
        ("https://example.org/?q=0701740605", pb.IDENTITY_REFUSAL_REASON_FORMAT),
        ("\x1d8018\x1d", pb.IDENTITY_REFUSAL_REASON_FORMAT),
        ("0701\x00740605", pb.IDENTITY_REFUSAL_REASON_FORMAT),
        ("٠٧٠١٧٤٠٦٠٥", pb.IDENTITY_REFUSAL_REASON_FORMAT),
        ("\u202e0701740605", pb.IDENTITY_REFUSAL_REASON_UNKNOWN),
        ("9" * 1024, pb.IDENTITY_REFUSAL_REASON_FORMAT),
        (" \t\r\n", pb.IDENTITY_REFUSAL_REASON_FORMAT),
        ("../../etc/passwd", pb.IDENTITY_REFUSAL_REASON_FORMAT),
    ],
)
def test_a_hostile_or_wrong_scan_is_refused_and_never_repeated(world: World, text: str, reason: int) -> None:
    answer = identify(world, text)
    assert reason_of(answer) == reason
    digits = "".join(character for character in text if character.isdigit())
    assert text.strip() not in answer.not_identified.message or not text.strip()
    assert len(digits) < 6 or digits not in answer.not_identified.message
    assert answer.not_identified.message


def test_a_scan_of_three_kilobytes_is_an_error(world: World) -> None:
    request = pb.IdentifyRequest(text="9" * 3000, channel=types_pb2.CHANNEL_STORE)
    assert world.refused(request).violations[0][0] == "text"


def test_a_region_without_telephones_is_an_error(world: World) -> None:
    request = pb.IdentifyRequest(text=PHONE, region="ZZ", channel=types_pb2.CHANNEL_STORE)
    assert world.refused(request).violations == [("region", "must be a country")]


def test_naming_the_kind_settles_what_a_text_is(world: World) -> None:
    member = world.enrol(CARD)
    kind = pb.IDENTIFIER_KIND_EAN13
    assert identify(world, CARD, kind=kind).identified.member_id == member
    assert (
        reason_of(identify(world, CARD, kind=pb.IDENTIFIER_KIND_EMAIL)) == pb.IDENTITY_REFUSAL_REASON_FORMAT
    )


def test_a_repeated_enrolment_answers_the_same_member(world: World) -> None:
    request = enrol_request(text=PHONE)
    first = world.send(request).enrolled
    world.now_ms += DAY_MS
    second = world.send(request).enrolled
    assert (first.replayed, second.replayed) == (False, True)
    assert second.member == first.member
    assert list(second.identifiers) == list(first.identifiers)
    assert len(first.identifiers) == 2


@pytest.mark.parametrize("other", ["", "+46701740606", EMAIL])
def test_a_member_id_that_enrols_with_another_text_is_an_error(world: World, other: str) -> None:
    request = enrol_request(text=PHONE)
    world.send(request)
    request.text = other
    refused = world.refused(request)
    assert (refused.reason, refused.metadata["field"]) == ("REQUEST_ID_REUSED", "member_id")


def test_a_member_that_enrolled_without_a_text_does_not_get_one_by_enrolling_again(world: World) -> None:
    member = world.enrol()
    assert world.refused(enrol_request(member_id=member, text=PHONE)).reason == "REQUEST_ID_REUSED"
    assert reason_of(identify(world, PHONE)) == pb.IDENTITY_REFUSAL_REASON_UNKNOWN


def test_an_identifier_that_another_member_has_is_taken(world: World) -> None:
    world.enrol(PHONE)
    refused = world.send(enrol_request(text="+46701740605")).refused
    assert refused.reason == pb.IDENTITY_REFUSAL_REASON_TAKEN


def test_the_same_phone_may_enrol_in_two_programs_and_leaves_no_common_trace(world: World) -> None:
    member, foreign = world.enrol(PHONE), world.enrol(PHONE, Caller(program_id=OTHER))
    assert identify(world, PHONE).identified.member_id == member
    assert identify(world, PHONE, Caller(program_id=OTHER)).identified.member_id == foreign
    rows = world.store.identifiers("shop", member), world.store.identifiers("other", foreign)  # type: ignore[arg-type]
    assert not {row.token for row in rows[0]} & {row.token for row in rows[1]}


def test_a_text_that_is_no_identifier_enrols_nobody(world: World) -> None:
    request = enrol_request(text=PAYMENT_CARD)
    assert world.send(request).refused.reason == pb.IDENTITY_REFUSAL_REASON_PAYMENT_CARD
    assert (
        world.refused(member_pb2.GetMemberRequest(member_id=request.member_id)).reason == "MEMBER_NOT_FOUND"
    )


def test_a_member_number_follows_from_the_id_and_from_nothing_that_others_know() -> None:
    drawn = {
        member_number(key, program_id=program_id, member_id=member_id, attempt=attempt)
        for key in (bytes(32), bytes(range(32)))
        for program_id in ("shop", "other")
        for member_id in (new_id(), new_id())
        for attempt in (0, 1)
        for _again in (1, 2)
    }
    assert len(drawn) == 16
    assert all(has_luhn_check_digit(number) and number.startswith("99") for number in drawn)


def test_a_number_that_is_taken_is_not_given_twice(world: World) -> None:
    from tallystick.service import identity

    first = world.enrol()
    taken = world.number_of(first)
    drawn = identity.member_number
    request = enrol_request()

    def unlucky(key: bytes, *, program_id: str, member_id: str, attempt: int) -> str:
        number = drawn(key, program_id=program_id, member_id=member_id, attempt=attempt)
        return taken if attempt == 0 else number

    identity.member_number = unlucky
    try:
        enrolled = world.send(request).enrolled
        again = world.send(request).enrolled
    finally:
        identity.member_number = drawn
    assert enrolled.member.number != taken
    assert (again.replayed, again.member.number) == (True, enrolled.member.number)


def test_enrolment_too_far_from_the_servers_time_is_an_error_but_not_for_an_import(
    world: World, replay_world: World
) -> None:
    old = enrol_request(at_ms=START_MS - 400 * DAY_MS)
    assert world.refused(old).violations[0][0] == "origin.occurred_at"
    importer = Caller(IMPORTER, store_id="")
    member = replay_world.send(old, importer).enrolled.member
    assert member.enrolled_at.ToMilliseconds() == START_MS - 400 * DAY_MS


def test_identifiers_are_added_listed_masked_and_removed(world: World) -> None:
    member = world.enrol(PHONE)
    manager = Caller(MANAGER)
    added = world.send(pb.AddIdentifierRequest(member_id=member, text=EMAIL)).added
    again = world.send(pb.AddIdentifierRequest(member_id=member, text=EMAIL.upper())).added
    assert added == again
    assert added.masked == "a…@example.org"
    listed = world.send(pb.ListIdentifiersRequest(member_id=member), manager).identifiers
    kinds = [pb.IDENTIFIER_KIND_NUMBER, pb.IDENTIFIER_KIND_PHONE, pb.IDENTIFIER_KIND_EMAIL]
    assert sorted(one.kind for one in listed) == sorted(kinds)
    assert len({one.identifier_id for one in listed}) == 3
    removal = pb.RemoveIdentifierRequest(member_id=member, identifier_id=added.identifier_id)
    left = world.send(removal, manager).identifiers
    assert len(left) == 2
    assert world.send(removal, manager).identifiers == left
    assert reason_of(identify(world, EMAIL)) == pb.IDENTITY_REFUSAL_REASON_UNKNOWN
    other = world.enrol(EMAIL)
    assert identify(world, EMAIL).identified.member_id == other


def test_the_member_number_cannot_be_removed(world: World) -> None:
    member = world.enrol()
    manager = Caller(MANAGER)
    own = world.send(pb.ListIdentifiersRequest(member_id=member), manager).identifiers[0]
    removal = pb.RemoveIdentifierRequest(member_id=member, identifier_id=own.identifier_id)
    assert world.refused(removal, manager).violations[0][0] == "identifier_id"
    assert identify(world, world.number_of(member)).identified.member_id == member


def test_an_identifier_of_another_member_cannot_be_removed_by_its_id(world: World) -> None:
    member, other = world.enrol(PHONE), world.enrol()
    manager = Caller(MANAGER)
    for one in world.send(pb.ListIdentifiersRequest(member_id=member), manager).identifiers:
        world.send(pb.RemoveIdentifierRequest(member_id=other, identifier_id=one.identifier_id), manager)
    assert identify(world, PHONE).identified.member_id == member


def test_a_taken_identifier_is_not_added(world: World) -> None:
    world.enrol(PHONE)
    answer = world.send(pb.AddIdentifierRequest(member_id=world.enrol(), text=PHONE))
    assert answer.refused.reason == pb.IDENTITY_REFUSAL_REASON_TAKEN


def test_a_member_has_at_most_twenty_identifiers(world: World) -> None:
    member = world.enrol()
    for number in range(19):
        request = pb.AddIdentifierRequest(member_id=member, text=f"a{number}@example.org")
        assert world.send(request).HasField("added")
    refused = world.refused(pb.AddIdentifierRequest(member_id=member, text="last@example.org"))
    assert refused.reason == "LIMIT_REACHED"
    assert refused.metadata == {"limit": "identifiers_per_member", "max": "20"}


def test_identifying_greets_by_the_given_name_and_a_damaged_record_costs_only_that(world: World) -> None:
    member = world.enrol(PHONE)
    change = member_pb2.UpdateProfileRequest(member_id=member, given_name="Anna")
    world.send(change, Caller(MANAGER))
    assert identify(world, PHONE).identified.display_name == "Anna"
    [sealed] = world.store.persons("shop", [member]).values()  # type: ignore[list-item,arg-type]
    world.store.put_person("shop", member, sealed[:-1] + bytes([sealed[-1] ^ 1]))  # type: ignore[arg-type]
    found = identify(world, PHONE).identified
    assert (found.member_id, found.display_name) == (member, "")


def test_an_erased_member_is_nobodys_any_more(world: World) -> None:
    member = world.enrol(PHONE)
    number = world.number_of(member)
    world.send(member_pb2.EraseMemberRequest(member_id=member), Caller(ADMIN))
    assert reason_of(identify(world, PHONE)) == pb.IDENTITY_REFUSAL_REASON_UNKNOWN
    assert reason_of(identify(world, number)) == pb.IDENTITY_REFUSAL_REASON_UNKNOWN
    add = pb.AddIdentifierRequest(member_id=member, text=EMAIL)
    assert world.refused(add).reason == "MEMBER_NOT_FOUND"
    assert world.enrol(PHONE) != member


def test_no_scan_is_stored_in_the_clear(world: World) -> None:
    world.enrol(PHONE)
    world.enrol(EMAIL)
    stored = everything_stored(world.store)
    assert "46701740605" not in stored
    assert "svensson" not in stored.lower()
    assert "0605" in stored, "the mask is there, so the search looked in the right place"


def test_an_app_lists_its_own_identifiers_only(world: World) -> None:
    own, other = world.enrol(PHONE), world.enrol()
    app = Caller(APP, store_id="", member_id=own)
    assert len(world.send(pb.ListIdentifiersRequest(member_id=own), app).identifiers) == 2
    assert world.refused(pb.ListIdentifiersRequest(member_id=other), app).reason == "MEMBER_NOT_FOUND"


def test_unknown_members_have_no_identifiers(world: World) -> None:
    refused = world.refused(pb.ListIdentifiersRequest(member_id=new_id()), Caller(MANAGER))
    assert refused.reason == "MEMBER_NOT_FOUND"
