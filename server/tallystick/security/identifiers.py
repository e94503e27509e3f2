"""What a scanner or a person gave in one field: which kind of identifier it is, in one normal form.

    kind     form                                                        normal form
    number   16 digits: 99, 13 random digits, Luhn check digit           the 16 digits
    ean13    13 digits beginning with 20 to 29 (in-store), GS1 check     the 13 digits
    gsrn     18 digits, GS1 check; also behind AI (8018)                 the 18 digits
    phone    + or 0 in front, or bare; valid in its country              E.164, +49...
    email    one address, at most 128 characters                         lower case
    code128  3 to 48 letters, digits and . _ / - ; by rules only         as scanned

These are the standard readings. A program's rule set may have scan rules before them, which say what its own
cards look like: other numbers, other EAN-13 prefixes, free Code 128 texts, GS1 Digital Links. The first reading
counts, but only when no other one is of another kind.

The program's own numbers begin with 99: the national part of ISO/IEC 7812 with a country code that ISO 3166
leaves to its users, so no payment card is ever issued there. Sixteen digits are neither an EAN-13, a GSRN
nor a bare phone number (E.164 ends at 15), and 10^13 of them are too many to guess.

Of the standard readings only thirteen bare digits can fit two kinds: an in-store EAN-13, and a phone number of
the store's country written with its code but without +, where that code begins with 2 (such as Nigeria's 234).
That is refused as AMBIGUOUS, never guessed; naming the kind settles it. The text is data: no refusal repeats it.
"""

import re
import secrets
import unicodedata
from collections.abc import Callable
from enum import StrEnum

import phonenumbers
from phonenumbers import PhoneNumberType

from tallystick.core.record import record
from tallystick.core.rules import scanning as scans
from tallystick.core.rules.scanning import Scanning, ScanRule, rest_of_scan
from tallystick.security.check_digits import (
    EAN13_DIGITS,
    GSRN_DIGITS,
    has_gs1_check_digit,
    has_luhn_check_digit,
    holds_check,
    looks_like_payment_card,
    luhn_check_digit,
)

IDENTIFIER_CHARS_MAX = 128
MEMBER_NUMBER_DIGITS = 16
MEMBER_NUMBER_PREFIX = "99"
PHONE_DIGITS_MIN = 4
PHONE_NATIONAL_DIGITS_MAX = 12  # written without + or 0 in front
PHONE_DIGITS_MAX = 15  # ITU-T E.164 section 6
PHONE_DIALLED_DIGITS_MAX = 17  # with 00 or 0 in front


class IdentifierKind(StrEnum):
    """The kinds of identifiers, in the order in which they are tried."""

    NUMBER = "number"
    EAN13 = "ean13"
    GSRN = "gsrn"
    EMAIL = "email"
    PHONE = "phone"
    CODE128 = "code128"


class IdentifierReason(StrEnum):
    """Why a text was not taken as an identifier; stable."""

    EMPTY = "EMPTY"
    TOO_LONG = "TOO_LONG"
    REGION_UNKNOWN = "REGION_UNKNOWN"
    PAYMENT_CARD = "PAYMENT_CARD"
    AMBIGUOUS = "AMBIGUOUS"
    CHECK_DIGIT = "CHECK_DIGIT"
    UNKNOWN_FORMAT = "UNKNOWN_FORMAT"


_MENDS = {
    IdentifierReason.EMPTY: "Give a member number, phone number or e-mail address.",
    IdentifierReason.TOO_LONG: f"Give at most {IDENTIFIER_CHARS_MAX} characters.",
    IdentifierReason.REGION_UNKNOWN: "Give the store's country as two letters (ISO 3166), such as DE.",
    IdentifierReason.PAYMENT_CARD: (
        "This looks like a payment card. Scan the member card, or ask for phone or e-mail."
    ),
    IdentifierReason.AMBIGUOUS: (
        "This fits two kinds of numbers. Scan the card, or write the phone number with + in front."
    ),
    IdentifierReason.CHECK_DIGIT: "A digit is wrong. Scan the card, or compare the number with it.",
    IdentifierReason.UNKNOWN_FORMAT: (
        "This is no member number, phone number or e-mail address. Check it and try again."
    ),
}


@record(frozen=True, slots=True)
class Identifier:
    """A classified identifier in its normal form. Its repr hides the value, which is personal data."""

    kind: IdentifierKind
    value: str

    def __repr__(self) -> str:
        return f"Identifier({self.kind.value}, {self.masked})"

    @property
    def masked(self) -> str:
        """Enough to recognise one's own, too little to use: `…4321`, `a…@example.org`."""
        if self.kind is IdentifierKind.EMAIL:
            local, _, domain = self.value.partition("@")
            return f"{local[0]}…@{domain}"
        shown = 4 if len(self.value) >= 10 else 2
        return "…" + self.value[-shown:]


@record(frozen=True, slots=True)
class IdentifierRefused:
    """A text that is no identifier: why, and what the person at the till can do. Never holds the text."""

    reason: IdentifierReason
    mend: str


CARD_KINDS = frozenset(
    {IdentifierKind.NUMBER, IdentifierKind.EAN13, IdentifierKind.GSRN, IdentifierKind.CODE128}
)
"""What is printed on cards, as against what people say of themselves."""


def parse_identifier(
    text: str,
    *,
    default_region: str,
    kind: IdentifierKind | None = None,
    aim_id: str = "",
    scanning: Scanning = Scanning(),  # noqa: B008 (frozen)
) -> Identifier | IdentifierRefused:
    """Classify and normalise `text`, by the scan rules of `scanning` and then by the standard readings.

    `default_region` is the country of the store (ISO 3166 alpha-2), for phone numbers without +. `kind`,
    when given, is the only kind considered. `aim_id` is the symbology identifier (ISO/IEC 15424, such as
    `]E0`) when the scanner reports it apart from the text; in front of the text it is understood as well.
    A symbol that a fitting rule names is a card: it is not read as a telephone number or e-mail address.
    """
    if default_region not in phonenumbers.SUPPORTED_REGIONS:
        return _refused(IdentifierReason.REGION_UNKNOWN)
    if len(text) > IDENTIFIER_CHARS_MAX:
        return _refused(IdentifierReason.TOO_LONG)
    cleaned = _strip_edges(text.translate(_PASTED))
    if match := _AIM_IN_FRONT.match(cleaned):
        aim_id, cleaned = match[0], cleaned[match.end() :]
    if not cleaned:
        return _refused(IdentifierReason.EMPTY)
    kinds = _standard_kinds(scanning, _kinds_of_symbology(aim_id) if kind is None else (kind,))
    looked_at = _without_linked_gsrn(cleaned) if _takes_links(scanning) else cleaned
    if _holds_payment_card(looked_at, known_gsrn=kinds == (IdentifierKind.GSRN,)):
        return _refused(IdentifierReason.PAYMENT_CARD)
    if not cleaned.isascii():
        return _refused(IdentifierReason.UNKNOWN_FORMAT)
    compact = _grouped_digits(cleaned) or cleaned
    fitting = [
        (rule, rest)
        for rule in scanning.rules
        if kind in (None, _KINDS_OF_RULES[rule.kind])
        and (rest := rest_of_scan(rule, compact, aim_id=aim_id)) is not None
    ]
    if any(aim_id in rule.aim_ids for rule, _ in fitting):
        kinds = tuple(one for one in kinds if one in CARD_KINDS)
    by_rules = [_read_by_rule(rule, rest, default_region) for rule, rest in fitting]
    return _only_reading([*by_rules, *(_read(one, cleaned, default_region) for one in kinds)])


def generate_member_number() -> str:
    """A random member number: 99, 13 random digits, Luhn check digit. The caller checks that it is free."""
    free_digits = MEMBER_NUMBER_DIGITS - len(MEMBER_NUMBER_PREFIX) - 1
    body = MEMBER_NUMBER_PREFIX + str(secrets.randbelow(10**free_digits)).zfill(free_digits)
    return body + luhn_check_digit(body)


_Reading = Identifier | IdentifierReason | None

# What a phone or a browser puts into copied text: other spaces and hyphens.
_PASTED = str.maketrans(
    {"\u00a0": " ", "\u2007": " ", "\u2009": " ", "\u202f": " ", "\u2010": "-", "\u2011": "-", "\u2013": "-"}
)
_AIM_IN_FRONT = re.compile(r"\][A-Za-z][0-9A-Za-z]", re.ASCII)
_GROUPED_DIGITS = re.compile(r"[0-9]+(?:[ -][0-9]+)*", re.ASCII)
_DIGIT_RUN = re.compile(r"(?<![+0-9])[0-9](?:[ .\-]{0,2}[0-9])+", re.ASCII)
_GSRN_AI = re.compile(r"\(8018\) ?|8018(?=[0-9]{18}\Z)", re.ASCII)
# GS1 Digital Link URI syntax 1.4: the key in the path, with its one qualifier, attributes behind the question mark.
_DIGITAL_LINK = re.compile(
    r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/(?!8018/)[a-z0-9._~%-]+)*"
    r"/8018/([0-9]{18})(?:/8019/[0-9]{1,10})?/?(?:\?[a-z0-9._~%&=+-]*)?",
    re.ASCII | re.IGNORECASE,
)
_CODE128 = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/-]{1,46}[0-9A-Za-z]", re.ASCII)
_PHONE = re.compile(r"\+?[0-9 ()./-]+", re.ASCII)
_EMAIL = re.compile(
    r"[a-z0-9_][a-z0-9_+&'~-]*(?:\.[a-z0-9_+&'~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})",
    re.ASCII,
)
_EMAIL_LOCAL_CHARS_MAX = 64  # RFC 5321 section 4.5.3.1.1
_PHONE_TYPES = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.PERSONAL_NUMBER,
        PhoneNumberType.VOIP,
    }
)
# GS1 carriers hold element strings, of which only AI 8018 names a member.
_GS1_SYMBOLOGIES = frozenset({"]C1", "]e0", "]d2", "]Q3", "]J1"})


def _refused(reason: IdentifierReason) -> IdentifierRefused:
    return IdentifierRefused(reason, _MENDS[reason])


def _strip_edges(text: str) -> str:
    # Scanners end a scan with CR, LF, tab or a group separator. Inside the text such a character is no habit
    # of any scanner, so it stays and leads to a refusal.
    def is_edge(character: str) -> bool:
        return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")

    start, end = 0, len(text)
    while start < end and is_edge(text[start]):
        start += 1
    while end > start and is_edge(text[end - 1]):
        end -= 1
    return text[start:end]


def _kinds_of_symbology(aim_id: str) -> tuple[IdentifierKind, ...]:
    if aim_id == "]E0":
        return (IdentifierKind.EAN13,)
    if aim_id in _GS1_SYMBOLOGIES:
        return (IdentifierKind.GSRN,)
    return _STANDARD


def _standard_kinds(scanning: Scanning, kinds: tuple[IdentifierKind, ...]) -> tuple[IdentifierKind, ...]:
    # The program's own numbers are on every card that it prints: no rule set does without them.
    taken = ("number", *scanning.standard)
    return tuple(kind for kind in kinds if kind in _STANDARD and kind.value in taken)


def _holds_payment_card(text: str, *, known_gsrn: bool) -> bool:
    # A number right behind + is dialled, and one that is known to be a GSRN is not a card. Anywhere else,
    # also in the middle of what a magnetic stripe gives, a card number must not get any further.
    known_gsrn = known_gsrn or _GSRN_AI.match(text) is not None
    if known_gsrn and isinstance(_read_gsrn(text), Identifier):
        return False
    return any(looks_like_payment_card(_digits_of(run)) for run in _DIGIT_RUN.findall(text))


def _takes_links(scanning: Scanning) -> bool:
    return any(rule.kind == scans.DIGITAL_LINK for rule in scanning.rules)


def _without_linked_gsrn(text: str) -> str:
    """Take the GSRN of a Digital Link out of a text; around it a card number may still hide."""
    link = _DIGITAL_LINK.fullmatch(text)
    if link is None or not has_gs1_check_digit(link[1]):
        return text
    return f"{text[: link.start(1)]}{text[link.end(1) :]}"


def _only_reading(readings: list[_Reading]) -> Identifier | IdentifierRefused:
    found = [reading for reading in readings if isinstance(reading, Identifier)]
    if found:
        agreed = all(reading.kind is found[0].kind for reading in found)
        return found[0] if agreed else _refused(IdentifierReason.AMBIGUOUS)
    if IdentifierReason.CHECK_DIGIT in readings:
        return _refused(IdentifierReason.CHECK_DIGIT)
    return _refused(IdentifierReason.UNKNOWN_FORMAT)


def _digits_of(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _grouped_digits(text: str) -> str:
    return _digits_of(text) if _GROUPED_DIGITS.fullmatch(text) else ""


def _read_number(text: str) -> _Reading:
    digits = _grouped_digits(text)
    if len(digits) != MEMBER_NUMBER_DIGITS or not digits.startswith(MEMBER_NUMBER_PREFIX):
        return None
    if not has_luhn_check_digit(digits):
        return IdentifierReason.CHECK_DIGIT
    return Identifier(IdentifierKind.NUMBER, digits)


def _read_ean13(text: str) -> _Reading:
    digits = _grouped_digits(text)
    # 20 to 29 are the prefixes for numbers inside a company (GS1 General Specifications 1.4.2).
    if len(digits) != EAN13_DIGITS or digits[0] != "2":
        return None
    if not has_gs1_check_digit(digits):
        return IdentifierReason.CHECK_DIGIT
    return Identifier(IdentifierKind.EAN13, digits)


def _read_digital_link(text: str) -> _Reading:
    link = _DIGITAL_LINK.fullmatch(text)
    if link is None:
        return None
    if not has_gs1_check_digit(link[1]):
        return IdentifierReason.CHECK_DIGIT
    return Identifier(IdentifierKind.GSRN, link[1])


def _read_gsrn(text: str) -> _Reading:
    application_identifier = _GSRN_AI.match(text)
    digits = _grouped_digits(text[application_identifier.end() :] if application_identifier else text)
    if len(digits) != GSRN_DIGITS:
        return None
    if not has_gs1_check_digit(digits):
        return IdentifierReason.CHECK_DIGIT
    return Identifier(IdentifierKind.GSRN, digits)


def _read_email(text: str) -> _Reading:
    address = text.lower()
    if address.find("@") > _EMAIL_LOCAL_CHARS_MAX or not _EMAIL.fullmatch(address):
        return None
    return Identifier(IdentifierKind.EMAIL, address)


def _dialled(text: str, region: str) -> str:
    """The phone number to look at in `text`, or nothing when its length rules one out."""
    digits = _digits_of(text)
    if text.startswith("+"):
        return "+" + digits if PHONE_DIGITS_MIN <= len(digits) <= PHONE_DIGITS_MAX else ""
    if digits.startswith("0"):
        return digits if PHONE_DIGITS_MIN <= len(digits) <= PHONE_DIALLED_DIGITS_MAX else ""
    if PHONE_DIGITS_MIN <= len(digits) <= PHONE_NATIONAL_DIGITS_MAX:
        return digits
    # Some countries have numbers so long and free in form that every card would be one. Bare digits beyond
    # those that people write are a phone number only with the country's own code in front.
    is_international = digits.startswith(str(phonenumbers.country_code_for_region(region)))
    return (
        "+" + digits
        if is_international and PHONE_NATIONAL_DIGITS_MAX < len(digits) <= PHONE_DIGITS_MAX
        else ""
    )


def _read_phone(text: str, region: str) -> _Reading:
    dialled = _dialled(text, region) if _PHONE.fullmatch(text) else ""
    try:
        number = phonenumbers.parse(dialled, region)
    except phonenumbers.NumberParseException:
        return None
    # Invalid numbers have no type. Premium and shared-cost numbers belong to no member, and a message to one
    # costs whoever sends it.
    if phonenumbers.number_type(number) not in _PHONE_TYPES:
        return None
    return Identifier(
        IdentifierKind.PHONE, phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    )


_READERS: dict[IdentifierKind, Callable[[str], _Reading]] = {
    IdentifierKind.NUMBER: _read_number,
    IdentifierKind.EAN13: _read_ean13,
    IdentifierKind.GSRN: _read_gsrn,
    IdentifierKind.EMAIL: _read_email,
}


def _read(kind: IdentifierKind, text: str, region: str) -> _Reading:
    return _read_phone(text, region) if kind is IdentifierKind.PHONE else _READERS[kind](text)


_STANDARD = (*_READERS, IdentifierKind.PHONE)
_KINDS_OF_RULES: dict[str, IdentifierKind] = {
    scans.NUMBER: IdentifierKind.NUMBER,
    scans.EAN13: IdentifierKind.EAN13,
    scans.GSRN: IdentifierKind.GSRN,
    scans.CODE128: IdentifierKind.CODE128,
    scans.DIGITAL_LINK: IdentifierKind.GSRN,
    scans.PHONE: IdentifierKind.PHONE,
    scans.EMAIL: IdentifierKind.EMAIL,
}
_RULE_DIGITS = {scans.NUMBER: range(4, 33), scans.EAN13: (EAN13_DIGITS,), scans.GSRN: (GSRN_DIGITS,)}


def _read_by_rule(rule: ScanRule, rest: str, region: str) -> _Reading:
    """Read what a rule has left of a scan."""
    kind = _KINDS_OF_RULES[rule.kind]
    if rule.kind in (scans.DIGITAL_LINK, scans.PHONE, scans.EMAIL):
        return _read_digital_link(rest) if rule.kind == scans.DIGITAL_LINK else _read(kind, rest, region)
    if rule.kind == scans.CODE128:
        fits = _CODE128.fullmatch(rest) is not None
    else:
        body = rest[:-1] if rule.check == "mod11" else rest
        fits = body.isdigit() and len(rest) in _RULE_DIGITS[rule.kind]
    if not fits:
        return None
    return Identifier(kind, rest) if holds_check(rule.check, rest) else IdentifierReason.CHECK_DIGIT
