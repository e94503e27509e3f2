"""Fingerprints: a retry is told from a reused id, today and in ten years."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from tallystick.core.basket import Assurance, Basket, Channel, Line, Origin, TaxGroup
from tallystick.core.command import (
    Adjust,
    Authority,
    AuthorityKind,
    AwardGoal,
    Burn,
    Capture,
    CatchUp,
    Command,
    ConvertIn,
    ConvertOut,
    CouponRef,
    Donate,
    Earn,
    GrantLease,
    IssueVoucher,
    PlaceHold,
    RecallLeases,
    RedeemReward,
    Return,
    ReturnLease,
    ReturnLine,
    Reverse,
    Sale,
    SettleEnrolment,
    SettleReturn,
    SettleSale,
    SettleUndo,
    Spend,
    TransferBack,
    TransferIn,
    TransferOut,
    UseRedemption,
    Void,
)
from tallystick.core.entry import MovedLot
from tallystick.core.fingerprint import FINGERPRINT_BYTES, fingerprint
from tallystick.core.ids import CommandId, MemberId, Minor, Ms

ID = CommandId("0190a000-0000-7000-8000-0000000000aa")
OTHER = CommandId("0190a000-0000-7000-8000-0000000000bb")
MEMBER = MemberId("0190a000-0000-7000-8000-000000000001")
ORIGIN = Origin(Ms(1_767_225_600_000), Channel.STORE, "store-1", "till-1", "receipt 42")
BASKET = Basket(
    "EUR",
    (Line("A1", 1000, Minor(1234), "food", ("toys", "sale"), "acme"), Line("B2", 500, Minor(5))),
    prices_include_tax=False,
    tax_groups=(TaxGroup("food", 120_000),),
)
SPEND = Spend(100, up_to=True)

COMMANDS: dict[str, Command] = {
    "Sale": Sale(ID, MEMBER, ORIGIN, BASKET, SPEND, ("r1",), Assurance.ROTATING_CODE),
    "Sale with coupons": Sale(
        ID,
        MEMBER,
        ORIGIN,
        BASKET,
        SPEND,
        ("r1",),
        Assurance.TYPED,
        (CouponRef("aa", "A"), CouponRef("bb", "B")),
    ),
    "Earn": Earn(ID, MEMBER, ORIGIN, 10, "survey", Assurance.STATIC_CARD),
    "Earn by a rule": Earn(ID, MEMBER, ORIGIN, 0, "review", Assurance.TYPED, "review", "A1"),
    "Burn": Burn(ID, MEMBER, ORIGIN, 10, "prize", Assurance.STATIC_CARD),
    "PlaceHold": PlaceHold(ID, MEMBER, ORIGIN, 900, SPEND, ("r1",), BASKET, Assurance.STATIC_CARD),
    "PlaceHold with coupons": PlaceHold(
        ID, MEMBER, ORIGIN, 900, None, (), BASKET, Assurance.TYPED, (CouponRef("aa", "A"),)
    ),
    "Capture": Capture(ID, MEMBER, ORIGIN, OTHER, BASKET),
    "Void": Void(ID, MEMBER, ORIGIN, OTHER),
    "Return": Return(ID, MEMBER, ORIGIN, OTHER, (ReturnLine(1, 1000), ReturnLine(2, 0, Minor(7)))),
    "Reverse": Reverse(ID, MEMBER, ORIGIN, OTHER, "mistake"),
    "Adjust": Adjust(ID, MEMBER, ORIGIN, -10, "goodwill", Ms(1_800_000_000_000)),
    "CatchUp": CatchUp(ID, MEMBER, ORIGIN),
    "SettleSale": SettleSale(ID, MEMBER, ORIGIN, BASKET, 3, 12, 100, Minor(99), ("r1",), Assurance.TYPED),
    "SettleSale by right": SettleSale(
        ID,
        MEMBER,
        ORIGIN,
        BASKET,
        3,
        12,
        100,
        Minor(99),
        ("r1",),
        Assurance.TYPED,
        (Authority(AuthorityKind.LEASE, 60, OTHER), Authority(AuthorityKind.FLOOR, 40)),
        SPEND,
    ),
    "SettleReturn": SettleReturn(ID, MEMBER, ORIGIN, OTHER, (ReturnLine(1, 1000), ReturnLine(2, 500)), 3),
    "SettleUndo": SettleUndo(ID, MEMBER, ORIGIN, OTHER, 3),
    "SettleEnrolment": SettleEnrolment(ID, MEMBER, ORIGIN),
    "GrantLease": GrantLease(ID, MEMBER, ORIGIN, "store-1"),
    "ReturnLease": ReturnLease(ID, MEMBER, ORIGIN, OTHER),
    "RecallLeases": RecallLeases(ID, MEMBER, ORIGIN),
    "IssueVoucher": IssueVoucher(ID, MEMBER, ORIGIN, "store-1", 100, "r1", Assurance.STATIC_CARD),
    "RedeemReward": RedeemReward(ID, MEMBER, ORIGIN, "evening", Assurance.STATIC_CARD),
    "UseRedemption": UseRedemption(ID, MEMBER, ORIGIN, OTHER),
    "TransferIn": TransferIn(
        ID, MEMBER, ORIGIN, OTHER, MEMBER, (MovedLot(10, Ms(5), Ms(9)), MovedLot(20, Ms(6), Ms(99)))
    ),
    "ConvertOut": ConvertOut(ID, MEMBER, ORIGIN, "cinema", MEMBER, 10, Assurance.STATIC_CARD),
    "ConvertIn": ConvertIn(ID, MEMBER, ORIGIN, "grocer", OTHER, MEMBER, 10),
    "Donate": Donate(ID, MEMBER, ORIGIN, "trees", 10, Assurance.STATIC_CARD),
    "AwardGoal": AwardGoal(ID, MEMBER, ORIGIN, "advent", 10),
}

# Stored beside every entry for as long as the ledger lives. A value here never changes.
STORED = {
    "Sale": "441f953a563975f3246367e02b99447f",
    "Sale with coupons": "602deb71443e4a3e84ce53c2aeb27a84",
    "Earn": "a1a8aeb4c0617e5e108b88d5f59a51e9",
    "Burn": "075ae6781bc3bc646f3d0bef69782f75",
    "PlaceHold": "e265390a73d124b0cfc612958f3d319a",
    "PlaceHold with coupons": "f4f0a3b157e91a803b50470c43ed8176",
    "Capture": "4ffe4093d3e007088611bf45558e50f0",
    "Void": "1428f3838ec2f5634aa72e4e6676829b",
    "Return": "b97b9af8cb2c959ef1ef787f248be36b",
    "Reverse": "8f456cc6b1fe716f0a3a14e563ff0184",
    "Adjust": "adca3cd3285c14cbc7026f62c2a7ad7a",
    "CatchUp": "5d31989848f9fa7dd96806bd18e68b97",
    "SettleSale": "adb38a3f993aaf9d0fad3a2491440bfd",
    "SettleSale by right": "4f0f65ae6067331c2ad17fcbd048e9e0",
    "SettleReturn": "d4184de52a6d47d8c36501c2f78cdb58",
    "SettleUndo": "88cf873441f12bb6c75c3c5f2131ef7b",
    "SettleEnrolment": "6b736d7fae432c8a01fc35c613b25454",
    "GrantLease": "a97f9ffe59f8e565be3ced116980ae9e",
    "ReturnLease": "e293918e5e595ba1a7843dbb7aca20d6",
    "RecallLeases": "b1580e43be259e6264382c37d994854b",
    "IssueVoucher": "055fef913a2a8f145e8b1b95bd5d2480",
    "Earn by a rule": "a1430127b634d9897cb1f467dc92079c",
    "RedeemReward": "d660272ac8956f3bc693863847b3e5e8",
    "UseRedemption": "dfc830efc0084b7c1d713e4bb6f6275f",
    "TransferIn": "869c82230bac69688be7202c1bcbf59b",
    "ConvertOut": "c48aa8eb7bcf3b5e9acbb0f5cbfcdcb8",
    "ConvertIn": "1c23d68bf10f6b5ae11681c8c964c7b3",
    "Donate": "71e2f2165e691d5230546c9d0d0c9355",
    "AwardGoal": "cfdcc7e3a4dafb65a5546b6af3be4651",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_fingerprint_is_what_it_was_when_the_first_ledger_was_written(name: str) -> None:
    assert fingerprint(COMMANDS[name]).hex() == STORED[name]


def test_what_the_server_fills_in_of_a_transfer_is_no_part_of_what_was_sent() -> None:
    asked = TransferOut(ID, MEMBER, ORIGIN, MemberId(OTHER), 10, Assurance.STATIC_CARD)
    assert fingerprint(asked).hex() == "591987ae775ec4f13694316e577c403f"
    assert fingerprint(replace(asked, same_household=True, pooling=True)) == fingerprint(asked)
    changed = [{"points": 11}, {"to_member_id": ID}, {"assurance": Assurance.TYPED}, {"member_id": OTHER}]
    prints = {fingerprint(replace(asked, **one)) for one in changed}  # type: ignore[arg-type]
    assert len(prints | {fingerprint(asked)}) == 5
    back = TransferBack(ID, MEMBER, ORIGIN, OTHER, "member_blocked")
    assert fingerprint(back).hex() == "7c1ca8fa8523268f2316d76a05a333d5"
    assert fingerprint(replace(back, why="member_unknown")) == fingerprint(back), "the reason follows from it"


def test_every_kind_of_command_has_its_own_fingerprint() -> None:
    prints = {fingerprint(command) for command in COMMANDS.values()}
    assert len(prints) == len(COMMANDS)
    assert {len(one) for one in prints} == {FINGERPRINT_BYTES}


def other(value: Any) -> Iterator[Any]:
    """Yield values of the same type, each different in one place, however deep that is."""
    match value:
        case bool():
            yield not value
        case Assurance() | AuthorityKind() | Channel():
            yield next(one for one in reversed(type(value)) if one is not value)
        case int():
            yield value + 1
        case str():
            yield value + "x"
        case tuple():
            yield (*value, *value)
            yield value[1:]
            if len(value) > 1:
                yield value[::-1]
            for at, item in enumerate(value):
                yield from ((*value[:at], changed, *value[at + 1 :]) for changed in other(item))
        case _:
            for field in fields(value) if value is not None else ():
                for changed in other(getattr(value, field.name)):
                    yield replace(value, **{field.name: changed})


@pytest.mark.parametrize("name", COMMANDS)
def test_a_change_anywhere_in_a_command_changes_the_fingerprint(name: str) -> None:
    command = COMMANDS[name]
    variants = set(other(command))
    renamed = {changed for changed in variants if changed.command_id != command.command_id}
    assert {fingerprint(changed) for changed in renamed} == {fingerprint(command)}, "it is kept under the id"
    variants = (variants - renamed) | {command}
    assert len({fingerprint(changed) for changed in variants}) == len(variants) > 5


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Sale", "spend"),
        ("PlaceHold", "spend"),
        ("PlaceHold", "basket"),
        ("Capture", "basket"),
        ("Adjust", "expires_ms"),
    ],
)
def test_what_is_left_out_is_told_from_what_is_there(name: str, field: str) -> None:
    command: Any = COMMANDS[name]
    assert fingerprint(replace(command, **{field: None})) != fingerprint(command)


def test_nothing_slips_from_one_field_into_the_next() -> None:
    one = replace(COMMANDS["Sale"], origin=replace(ORIGIN, store_id="a", till_id="bc"))
    two = replace(COMMANDS["Sale"], origin=replace(ORIGIN, store_id="ab", till_id="c"))
    assert fingerprint(one) != fingerprint(two)
