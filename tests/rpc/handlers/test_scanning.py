"""A program's own scan rules decide whom a scan identifies, at the gateway as at the till."""

from __future__ import annotations

import pytest

from tallystick.security.check_digits import gsrn_with_check_digit
from tallystick.v1 import identity_pb2 as pb
from tallystick.v1 import types_pb2
from tests.rpc.handlers.test_identity import identify, reason_of
from tests.rpc.handlers.world import OTHER, RULES, Caller, World, everything_stored

SCANNING = """\
scanning:
  rules:
    - {name: club, kind: code128, aim: "]C0", length: 11, prefix: CLUB-, strip: 5}
    - {name: link, kind: digital_link, prefix: "https://card.example.org/"}
"""
GSRN = gsrn_with_check_digit("73500001234567890")


@pytest.fixture
def club(world: World) -> World:
    world.publish(RULES + SCANNING)
    return world


def test_a_card_enrolled_by_a_rule_identifies_as_a_static_card(club: World) -> None:
    member = club.enrol("CLUB-A1b2C3")
    found = identify(club, "CLUB-A1b2C3", aim_id="]C0").identified
    assert (found.member_id, found.assurance) == (member, types_pb2.ASSURANCE_STATIC_CARD)
    typed = identify(club, "CLUB-A1b2C3").identified
    assert (typed.member_id, typed.assurance) == (member, types_pb2.ASSURANCE_TYPED)
    assert reason_of(identify(club, "CLUB-a1b2c3")) == pb.IDENTITY_REFUSAL_REASON_UNKNOWN
    assert "A1b2C3" not in everything_stored(club.store)


def test_a_rule_counts_in_its_own_program_only(club: World) -> None:
    foreign = Caller(program_id=OTHER)
    assert reason_of(identify(club, "CLUB-A1b2C3", foreign)) == pb.IDENTITY_REFUSAL_REASON_FORMAT


def test_a_digital_link_identifies_who_has_its_gsrn(club: World) -> None:
    member = club.enrol(GSRN)
    link = f"]Q1https://card.example.org/8018/{GSRN}"
    found = identify(club, link).identified
    assert (found.member_id, found.assurance) == (member, types_pb2.ASSURANCE_STATIC_CARD)
    elsewhere = f"]Q1https://id.example.net/8018/{GSRN}"
    assert reason_of(identify(club, elsewhere)) == pb.IDENTITY_REFUSAL_REASON_FORMAT
