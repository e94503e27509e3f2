"""Scans read by a program's own rules: the first reading counts, unless another kind fits too."""

from __future__ import annotations

import pytest

from tallystick.core.rules.scanning import Scanning, ScanRule
from tallystick.security.check_digits import (
    ean13_with_check_digit,
    gsrn_with_check_digit,
    holds_check,
    looks_like_payment_card,
    luhn_check_digit,
    mod11_check_character,
)
from tallystick.security.identifiers import (
    Identifier,
    IdentifierKind,
    IdentifierReason,
    IdentifierRefused,
    parse_identifier,
)

GSRN = gsrn_with_check_digit("73500001234567890")
WRONG_GSRN = GSRN[:-1] + str((int(GSRN[-1]) + 1) % 10)
ISSUED = "9752100000" + "12345"
ISSUED += luhn_check_digit(ISSUED)
CLUB = ScanRule("club", "code128", frozenset({"]C0"}), length=13, prefix="CLUB-", check="mod11", strip=5)
LINK = ScanRule("link", "digital_link", prefix="")
ISO = ScanRule("iso", "number", length=16, prefix="97521", check="luhn")


def read(text: str, *rules: ScanRule, aim_id: str = "", **more: object) -> tuple[str, str] | str:
    """Return (kind, value), or the reason why there is none."""
    scanning = Scanning(rules, **more)  # type: ignore[arg-type]
    found = parse_identifier(text, default_region="SE", aim_id=aim_id, scanning=scanning)
    if isinstance(found, Identifier):
        return found.kind.value, found.value
    assert isinstance(found, IdentifierRefused)
    return found.reason.value


@pytest.mark.parametrize(
    ("body", "character"),
    # The identifiers of ORCID and the example of ISO/IEC 7064 for MOD 11-2.
    [("000000021825009", "7"), ("000000021694233", "X"), ("0794", "0")],
)
def test_mod11_check_characters_are_those_that_others_publish(body: str, character: str) -> None:
    assert mod11_check_character(body) == character
    assert holds_check("mod11", body + character)
    assert not holds_check("mod11", body + ("1" if character != "1" else "2"))


def test_a_check_of_what_has_none_does_not_hold() -> None:
    assert not holds_check("luhn", "AB12")
    assert not holds_check("gs1", "٣٣")
    assert not holds_check("gs1", "1")
    assert holds_check("none", "AB12")


def test_a_free_code_128_card_is_read_by_its_rule_alone() -> None:
    text = "CLUB-0002182" + mod11_check_character("0002182")
    assert read(text, CLUB, aim_id="]C0") == ("code128", text[5:])
    assert read(text, CLUB) == ("code128", text[5:]), "typed, or from a scanner that sends no AIM id"
    assert read(text, CLUB, aim_id="]E0") == "UNKNOWN_FORMAT"
    assert read(text) == "UNKNOWN_FORMAT"
    assert read(text[:-1] + "Y", CLUB) == "CHECK_DIGIT"


def test_the_first_of_two_rules_of_one_kind_counts() -> None:
    whole = ScanRule("whole", "code128", prefix="CLUB-")
    text = "CLUB-0002182" + mod11_check_character("0002182")
    assert read(text, CLUB, whole) == ("code128", text[5:])
    assert read(text, whole, CLUB) == ("code128", text)


def test_a_luhn_number_with_the_programs_issuer_prefix_is_read_however_it_is_grouped() -> None:
    assert read(ISSUED, ISO) == ("number", ISSUED)
    assert read(f"{ISSUED[:4]} {ISSUED[4:8]} {ISSUED[8:12]} {ISSUED[12:]}", ISO) == ("number", ISSUED)
    wrong = ISSUED[:-1] + str((int(ISSUED[-1]) + 1) % 10)
    assert read(wrong, ISO) == "CHECK_DIGIT"


@pytest.mark.parametrize("text", ["4111111111111111", "]C04111 1111 1111 1111", "AB-4111111111111111"])
def test_no_rule_makes_a_member_card_of_what_looks_like_a_payment_card(text: str) -> None:
    greedy = ScanRule("greedy", "number", length=16, prefix="4", check="none")
    free = ScanRule("free", "code128", prefix="A")
    assert read(text, greedy, free) == "PAYMENT_CARD"


def test_a_scan_that_fits_two_kinds_is_refused_and_naming_the_kind_settles_it() -> None:
    number = ScanRule("ten", "number", length=10, prefix="07", check="none")
    assert read("0701740605", number) == "AMBIGUOUS"
    for kind in (IdentifierKind.NUMBER, IdentifierKind.PHONE):
        found = parse_identifier("0701740605", default_region="SE", kind=kind, scanning=Scanning((number,)))
        assert isinstance(found, Identifier)
        assert found.kind is kind


def test_a_symbol_that_a_rule_names_is_no_telephone_number() -> None:
    number = ScanRule("ten", "number", frozenset({"]C0"}), length=10, prefix="07", check="none")
    assert read("0701740605", number, aim_id="]C0") == ("number", "0701740605")
    assert read("]C00701740605", number) == ("number", "0701740605")
    assert read("0701740605", number) == "AMBIGUOUS"


def test_a_program_may_do_without_standard_readings_but_not_without_its_own_numbers() -> None:
    card = ean13_with_check_digit("290000012345")
    old = ScanRule("old", "code128", length=13, prefix="29")
    assert read(card, old) == "AMBIGUOUS"
    assert read(card, old, standard=("gsrn",)) == ("code128", card)
    assert read("anna@example.org", standard=()) == "UNKNOWN_FORMAT"
    member = "991234567890123"
    member += luhn_check_digit(member)
    assert read(member, standard=()) == ("number", member)


def test_an_ean_13_of_another_prefix_is_read_by_rule_and_its_check_digit_counts() -> None:
    card = ean13_with_check_digit("640000012345")
    rule = ScanRule("old", "ean13", frozenset({"]E0"}), prefix="64", check="gs1")
    assert read(card, aim_id="]E0") == "UNKNOWN_FORMAT"
    assert read(card, rule, aim_id="]E0") == ("ean13", card)
    assert read(card[:-1] + str((int(card[-1]) + 1) % 10), rule, aim_id="]E0") == "CHECK_DIGIT"


@pytest.mark.parametrize(
    "text",
    [
        f"https://id.gs1.org/8018/{GSRN}",
        f"https://example.org/cards/8018/{GSRN}/8019/1?17=270101",
        f"HTTPS://EXAMPLE.ORG:8443/8018/{GSRN}/",
        f"]Q1https://example.org/8018/{GSRN}\r\n",
        f"]Q3https://example.org/8018/{GSRN}",
    ],
)
def test_a_digital_link_is_the_gsrn_in_it_also_behind_an_aim_id(text: str) -> None:
    assert read(text, LINK) == ("gsrn", GSRN)
    assert read(text) == "UNKNOWN_FORMAT", "a program that has no such cards takes no URL"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"https://id.gs1.org/8018/{WRONG_GSRN}", "CHECK_DIGIT"),
        (f"https://id.gs1.org/01/{GSRN}", "UNKNOWN_FORMAT"),
        (f"https://id.gs1.org/8018/{GSRN}/8018/{GSRN}", "UNKNOWN_FORMAT"),
        (f"https://id.gs1.org/8018/{GSRN}/10/ABC", "UNKNOWN_FORMAT"),
        (f"https://anna@id.gs1.org/8018/{GSRN}", "UNKNOWN_FORMAT"),
        (f"javascript://id.gs1.org/8018/{GSRN}", "UNKNOWN_FORMAT"),
        (f"https://id.gs1.org/8018/{GSRN}?x=<script>", "UNKNOWN_FORMAT"),
        (f"https://id.gs1.org/8018/{GSRN}?pan=4111111111111111", "PAYMENT_CARD"),
        (f"https://id.gs1.org/8018/{GSRN[:9]}\x00{GSRN[9:]}", "UNKNOWN_FORMAT"),
    ],
)
def test_what_only_resembles_a_digital_link_is_refused(text: str, reason: str) -> None:
    assert read(text, LINK) == reason


def test_a_gsrn_in_a_link_is_no_payment_card_whatever_its_digits() -> None:
    bodies = (f"6{number:016d}" for number in range(1_000))
    alike = next(one for one in map(gsrn_with_check_digit, bodies) if looks_like_payment_card(one))
    assert read(alike) == "PAYMENT_CARD"
    assert read(f"https://id.gs1.org/8018/{alike}", LINK) == ("gsrn", alike)


def test_a_rule_can_say_whose_digital_links_count() -> None:
    ours = ScanRule("ours", "digital_link", prefix="https://card.example.org/")
    assert read(f"https://card.example.org/8018/{GSRN}", ours, standard=("phone",)) == ("gsrn", GSRN)
    assert read(f"https://id.gs1.org/8018/{GSRN}", ours, standard=("phone",)) == "UNKNOWN_FORMAT"


def test_telephone_numbers_and_addresses_are_read_behind_their_prefix() -> None:
    tel = ScanRule("tel", "phone", prefix="tel:", strip=4)
    mail = ScanRule("mail", "email", prefix="mailto:", strip=7)
    assert read("tel:070-174 06 05", tel, mail) == ("phone", "+46701740605")
    assert read("mailto:Anna@example.org", tel, mail) == ("email", "anna@example.org")


@pytest.mark.parametrize("text", ["A<b>", "A'--", "A\x1dB", "A B C", "Aé12", "A" * 49, "A/"])
def test_a_free_text_has_nothing_in_it_that_is_not_on_a_card(text: str) -> None:
    free = ScanRule("free", "code128", prefix="A")
    assert read(text, free) == IdentifierReason.UNKNOWN_FORMAT.value
