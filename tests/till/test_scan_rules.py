"""A till reads cards by the rule set that it holds, with the gateway away; so does the gateway what it reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.security.check_digits import gsrn_with_check_digit
from tallystick.security.identifiers import Identifier, parse_identifier
from tallystick.security.sealed_box import enrolment_context, open_sealed_text
from tallystick_till.ports import Known
from tallystick_till.types import Identified, NotIdentified
from tests.till.premises import ANNA, BOX, member_uuid
from tests.till.world import World, tag

GSRN = gsrn_with_check_digit("73500001234567890")
SCANNING = {
    "rules": [
        {"name": "club", "kind": "code128", "aim": "]C0", "length": 11, "prefix": "CLUB-", "strip": 5},
        {"name": "link", "kind": "digital_link", "prefix": "https://card.example.org/"},
        {"name": "ten", "kind": "number", "length": 10, "prefix": "07", "check": "none"},
    ]
}
NEW = "01900000-0000-7000-8000-00000000dddd"


@pytest.fixture
def club(tmp_path: Path) -> World:
    world = World(tmp_path, scanning=SCANNING)
    world.snapshot.put(Known(ANNA, 10, 1000, "", 0), tag("code128", "A1b2C3"))
    world.snapshot.put(Known(member_uuid(7), 11, 70, "", 0), tag("gsrn", GSRN))
    return world


@pytest.mark.parametrize(
    ("scan", "aim_id", "points"),
    [("CLUB-A1b2C3", "]C0", 1000), (f"https://card.example.org/8018/{GSRN}", "]Q1", 70)],
)
def test_a_card_is_read_offline_by_the_programs_rules(
    club: World, scan: str, aim_id: str, points: int
) -> None:
    found = club.till.identify(scan, aim_id=aim_id, source="wedge")
    assert isinstance(found, Identified)
    assert (found.member.points, found.member.assurance) == (points, 1)


def test_an_ambiguous_scan_is_refused_offline_too(club: World) -> None:
    found = club.till.identify("0701740605", source="typed")
    assert isinstance(found, NotIdentified)
    assert found.reason == "AMBIGUOUS"


def test_the_gateway_reads_the_card_of_an_offline_enrolment_as_the_till_did(club: World) -> None:
    club.till.enrol("CLUB-x9Y8z7", member_id=NEW)
    club.line_up()
    club.push_all()
    fact = club.gateway.heard[0].enrolment
    text = open_sealed_text(BOX, fact.sealed, enrolment_context(program_id="corner", member_id=NEW))
    rules = club.till.rulebook.current
    assert rules is not None
    read = parse_identifier(text, default_region="SE", scanning=rules.scanning)
    assert isinstance(read, Identifier)
    assert (read.kind.value, read.value) == ("code128", "x9Y8z7")
