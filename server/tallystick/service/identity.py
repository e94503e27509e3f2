"""Who is the member: enrolment in one field, scans, identifiers.

An identifier is stored as a keyed hash and a mask. Nothing here logs, stores or answers the text of a scan.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache
from importlib.resources import files

from tallystick.core.basket import Assurance, Channel
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.rules.scanning import Scanning
from tallystick.core.state import MemberStatus
from tallystick.security.blind_index import blind_token
from tallystick.security.check_digits import luhn_check_digit
from tallystick.security.encoding import length_prefixed
from tallystick.security.identifiers import (
    CARD_KINDS,
    MEMBER_NUMBER_DIGITS,
    MEMBER_NUMBER_PREFIX,
    Identifier,
    IdentifierKind,
    IdentifierReason,
    IdentifierRefused,
    generate_member_number,
    parse_identifier,
)
from tallystick.security.scan_tags import ScanTag, scan_tag
from tallystick.service.balances import member_not_found
from tallystick.service.card_ports import CardRevoked
from tallystick.service.directory import Directory, IdentifierRow, Member
from tallystick.service.errors import AlreadyExists, InvalidInput, TallystickError
from tallystick.service.members import Members
from tallystick.service.rulebook import RuleBook

IDENTIFIERS_MAX = 20
NUMBERS_TRIED_MAX = 16
"""How many numbers a new member may find taken; with a million members each try has one chance in ten million."""

_NUMBER_PURPOSE = b"tallystick member number v1"
_SHOWN_KINDS = frozenset(IdentifierKind)
_AIM_IN_FRONT = re.compile(r"\s*\][A-Za-z][0-9A-Za-z]", re.ASCII)
_SCANNING = frozenset({Channel.STORE, Channel.BACKOFFICE})


class IdentityReason(IntEnum):
    """Why a scan leads to no member or a text became no identifier. The numbers are those of the contract."""

    UNKNOWN = 1
    AMBIGUOUS = 2
    REVOKED = 3
    EXPIRED = 4
    REPLAYED = 5
    BAD_SIGNATURE = 6
    CLOCK = 7
    CHECK_DIGIT = 8
    PAYMENT_CARD = 9
    FORMAT = 10
    TAKEN = 11


@record(frozen=True, slots=True)
class IdentityRefused:
    """A no about a text: why, and what the person at the till can do. Never holds the text."""

    reason: IdentityReason
    message: str


@record(frozen=True, slots=True)
class Text:
    """What was scanned or typed, and what the caller knows about it. Its repr hides the text.

    ``plain`` is for what its owner has typed as what ``kind`` says: the program's scan rules are for scans.
    """

    text: str
    kind: IdentifierKind | None = None
    region: str = ""
    aim_id: str = ""
    plain: bool = False

    def __repr__(self) -> str:
        return f"Text({len(self.text)} characters)"


@record(frozen=True, slots=True)
class Scan:
    """A text that can be looked up: its blind index and how sure it is."""

    identifier: Identifier
    token: bytes
    assurance: Assurance

    @property
    def kind(self) -> str:
        """The kind under which it is looked up."""
        return self.identifier.kind.value


@record(frozen=True, slots=True)
class Enrolled:
    """A member that was made, now or by the same request before."""

    member: Member
    identifiers: tuple[IdentifierRow, ...]
    replayed: bool


UNKNOWN = IdentityRefused(
    IdentityReason.UNKNOWN, "Nobody has this. Check it, ask for something else, or enrol the person."
)
BLANK = IdentityRefused(
    IdentityReason.UNKNOWN, "This card is new and belongs to nobody yet. Enrol the person with it."
)
REVOKED = IdentityRefused(
    IdentityReason.REVOKED,
    "This card was reported lost or replaced. Ask for the new one, or for phone or e-mail.",
)
TAKEN = IdentityRefused(
    IdentityReason.TAKEN, "Another member has this. Identify with it, or give another one."
)
_REASONS = {
    IdentifierReason.PAYMENT_CARD: IdentityReason.PAYMENT_CARD,
    IdentifierReason.AMBIGUOUS: IdentityReason.AMBIGUOUS,
    IdentifierReason.CHECK_DIGIT: IdentityReason.CHECK_DIGIT,
}


class Identity:
    """The use cases around identifiers. Safe to use from several threads.

    ``index_key`` is the key of the blind index, ``scan_key`` gives a program's key of scan tags. ``region`` (ISO 3166)
    is for programs whose time zone names none.
    """

    def __init__(
        self,
        directory: Directory,
        rulebook: RuleBook,
        members: Members,
        *,
        index_key: Callable[[], bytes],
        scan_key: Callable[[ProgramId], bytes],
        now_ms: Callable[[], Ms],
        region: str,
    ) -> None:
        self._directory = directory
        self._rulebook = rulebook
        self._members = members
        self._index_key = index_key
        self._scan_key = scan_key
        self._now_ms = now_ms
        self._region = region

    def read(self, program_id: ProgramId, given: Text, *, channel: Channel) -> Scan | IdentityRefused:
        """Read a scan without looking anybody up.

        A static card number counts as scanned when the scanner says what symbol it read; typed text never does.
        Raises ``InvalidInput`` for a region that no telephone has.
        """
        region = given.region or self._region_of(program_id)
        rules = self._rulebook.current(program_id)
        parsed = parse_identifier(
            given.text,
            default_region=region,
            kind=given.kind,
            aim_id=given.aim_id,
            scanning=rules.scanning if rules and not given.plain else Scanning(),
        )
        if isinstance(parsed, IdentifierRefused):
            return _refusal(parsed)
        scanned = bool(given.aim_id or _AIM_IN_FRONT.match(given.text)) and channel in _SCANNING
        static = scanned and parsed.kind in CARD_KINDS
        return Scan(
            parsed, self._token(program_id, parsed), Assurance.STATIC_CARD if static else Assurance.TYPED
        )

    def enrol(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        given: Text,
        *,
        enrolled_ms: Ms,
        channel: Channel,
        store_id: str,
    ) -> Enrolled | IdentityRefused:
        """Make a member with a number of its own, and an identifier when a text is given.

        The same member id with the same text answers the same member. Raises ``AlreadyExists`` when it comes with
        another text.
        """
        wanted: list[IdentifierRow] = []
        if given.text.strip():
            scan = self.read(program_id, given, channel=channel)
            if isinstance(scan, IdentityRefused):
                return scan
            wanted = [self.row_of(program_id, scan, member_id, enrolled_ms)]
        if self._directory.member(program_id, member_id) is not None:
            return self._enrolled(program_id, member_id, wanted, replayed=True)
        for number, row in self._numbers(program_id, member_id, enrolled_ms):
            member = Member(member_id, number, MemberStatus.OPEN, enrolled_ms, int(channel), store_id)
            if self._directory.cards(program_id, [(row.kind, row.token)]):
                continue
            try:
                stored = self._directory.enrol(program_id, member, [row, *wanted])
            except CardRevoked:
                return REVOKED
            except AlreadyExists:
                if wanted and self._owner(program_id, wanted[0]) not in (None, member_id):
                    return TAKEN
                continue
            # The store answers what it has: another request may have been first with the same id.
            return self._enrolled(program_id, member_id, wanted, replayed=stored != member)
        raise TallystickError("No free member number was found.", mend="Enrol again with a new member_id.")

    def add(self, program_id: ProgramId, member_id: MemberId, given: Text) -> IdentifierRow | IdentityRefused:
        """Give a member one more identifier, or return it when the member has it. Raises ``NotFound``."""
        self._members.living(program_id, member_id)
        scan = self.read(program_id, given, channel=Channel.UNKNOWN)
        if isinstance(scan, IdentityRefused):
            return scan
        row = self.row_of(program_id, scan, member_id, self._now_ms())
        held = self.shown(program_id, member_id)
        for one in held:
            if (one.kind, one.token) == (row.kind, row.token):
                return one
        if len(held) >= IDENTIFIERS_MAX:
            raise too_many_identifiers()
        try:
            if not self._directory.add_identifier(program_id, row):
                raise member_not_found(member_id)
        except CardRevoked:
            return REVOKED
        except AlreadyExists:
            return TAKEN
        return row

    def remove(self, program_id: ProgramId, member_id: MemberId, identifier_id: str) -> list[IdentifierRow]:
        """Take an identifier away and return what is left; the member number stays. Raises ``NotFound``."""
        member = self._members.get(program_id, member_id)
        held = self.shown(program_id, member_id)
        for row in held:
            if identifier_id_of(row) != identifier_id:
                continue
            if self.is_number_of(program_id, member, row):
                raise InvalidInput(
                    "The member number stays with the member.",
                    violations=(("identifier_id", "must not be the member number"),),
                )
            self._directory.remove_identifier(program_id, member_id, row.kind, row.token)
        return [row for row in held if identifier_id_of(row) != identifier_id]

    def all_of(self, program_id: ProgramId, member_id: MemberId) -> list[IdentifierRow]:
        """Return a member's identifiers, oldest first. Raises ``NotFound``."""
        self._members.get(program_id, member_id)
        return self.shown(program_id, member_id)

    def shown(self, program_id: ProgramId, member_id: MemberId) -> list[IdentifierRow]:
        """Return the identifiers that a person can give, oldest first; those of codes are nobody's to see.

        They are all that is answered, and all that counts towards ``IDENTIFIERS_MAX``.
        """
        rows = self._directory.identifiers(program_id, member_id)
        return [row for row in rows if row.kind in _SHOWN_KINDS]

    def is_number_of(self, program_id: ProgramId, member: Member, row: IdentifierRow) -> bool:
        """Return whether an identifier is the member's number."""
        return bool(member.number) and row.token == self._number_token(program_id, member.number)

    def fresh_number(self, program_id: ProgramId, member_id: MemberId) -> tuple[str, IdentifierRow]:
        """Return a number for a member whose old one is lost, drawn at random, and its row."""
        for _ in range(NUMBERS_TRIED_MAX):
            number = generate_member_number()
            row = self._number_row(program_id, member_id, number, self._now_ms())
            key = (row.kind, row.token)
            if not self._directory.find(program_id, [key]) and not self._directory.cards(program_id, [key]):
                return number, row
        raise TallystickError("No free member number was found.", mend="Try again.")

    def _enrolled(
        self, program_id: ProgramId, member_id: MemberId, wanted: list[IdentifierRow], *, replayed: bool
    ) -> Enrolled:
        """Answer with what is stored; what was added at the moment of enrolment must be what is asked for now."""
        member = self._members.get(program_id, member_id)
        held = self.shown(program_id, member_id)
        own = self._number_token(program_id, member.number) if member.number else b""
        given = {row.token for row in held if row.added_ms == member.enrolled_ms and row.token != own}
        asked = {row.token for row in wanted} - {own}
        if not asked <= {row.token for row in held} or (given and given != asked):
            raise AlreadyExists(
                "The member_id was enrolled before with another text.",
                mend="Make a new member_id for a new member.",
                reason="REQUEST_ID_REUSED",
                field="member_id",
            )
        return Enrolled(member, tuple(held), replayed)

    def _numbers(
        self, program_id: ProgramId, member_id: MemberId, added_ms: Ms
    ) -> list[tuple[str, IdentifierRow]]:
        """Return the member's numbers in the order in which they are tried: the same at every try."""
        found = []
        for attempt in range(NUMBERS_TRIED_MAX):
            number = member_number(
                self._index_key(), program_id=program_id, member_id=member_id, attempt=attempt
            )
            found.append((number, self._number_row(program_id, member_id, number, added_ms)))
        return found

    def _number_row(
        self, program_id: ProgramId, member_id: MemberId, number: str, added_ms: Ms
    ) -> IdentifierRow:
        identifier = Identifier(IdentifierKind.NUMBER, number)
        scan = Scan(identifier, self._token(program_id, identifier), Assurance.TYPED)
        return self.row_of(program_id, scan, member_id, added_ms)

    def _owner(self, program_id: ProgramId, row: IdentifierRow) -> MemberId | None:
        rows = self._directory.find(program_id, [(row.kind, row.token)])
        return rows[0].member_id if rows else None

    def _token(self, program_id: ProgramId, identifier: Identifier) -> bytes:
        return blind_token(
            self._index_key(), program_id=program_id, kind=identifier.kind.value, value=identifier.value
        )

    def row_of(self, program_id: ProgramId, scan: Scan, member_id: MemberId, added_ms: Ms) -> IdentifierRow:
        """Return what is stored of an identifier."""
        identifier = scan.identifier
        tag = self._tag(program_id, identifier)
        return IdentifierRow(identifier.kind.value, scan.token, member_id, identifier.masked, added_ms, tag)

    def _tag(self, program_id: ProgramId, identifier: Identifier) -> ScanTag:
        return scan_tag(self._scan_key(program_id), kind=identifier.kind.value, value=identifier.value)

    def _number_token(self, program_id: ProgramId, number: str) -> bytes:
        return self._token(program_id, Identifier(IdentifierKind.NUMBER, number))

    def _region_of(self, program_id: ProgramId) -> str:
        rules = self._rulebook.current(program_id)
        return (country_of_zone(rules.zone.key) if rules else "") or self._region


def member_number(key: bytes, *, program_id: str, member_id: str, attempt: int) -> str:
    """Return the member number of an id: 99, 13 digits that nobody guesses, Luhn check digit.

    It follows from the id, so that a repeated enrolment gives the same one; without the key it follows from nothing.
    """
    message = length_prefixed((_NUMBER_PURPOSE, program_id.encode(), member_id.encode(), bytes([attempt])))
    free = MEMBER_NUMBER_DIGITS - len(MEMBER_NUMBER_PREFIX) - 1
    drawn = int.from_bytes(hmac.digest(key, message, "sha256"), "big") % 10**free
    body = MEMBER_NUMBER_PREFIX + str(drawn).zfill(free)
    return body + luhn_check_digit(body)


def identifier_id_of(row: IdentifierRow) -> str:
    """Return an identifier's id within its member; it says nothing about the text or its hash."""
    digest = hashlib.sha256(length_prefixed((row.member_id.encode(), row.kind.encode(), row.token))).digest()
    return base64.urlsafe_b64encode(digest[:12]).decode("ascii")


@lru_cache(maxsize=1)
def _zone_countries() -> dict[str, str]:
    """Return the country of each time zone that lies in one (zone.tab of the tz database)."""
    text = (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return {row[2]: row[0] for row in rows}


def country_of_zone(zone: str | None) -> str:
    """Return the country of a time zone; empty for zones of none, such as UTC."""
    return _zone_countries().get(zone or "", "")


def too_many_identifiers() -> TallystickError:
    """Return the error for one identifier more than a member may have."""
    return TallystickError(
        "The member has as many identifiers as are allowed.",
        mend="Remove one first.",
        reason="LIMIT_REACHED",
        limit="identifiers_per_member",
        max=IDENTIFIERS_MAX,
    )


def _refusal(parsed: IdentifierRefused) -> IdentityRefused:
    if parsed.reason is IdentifierReason.REGION_UNKNOWN:
        raise InvalidInput(
            "The region is no country that has telephones.", violations=(("region", "must be a country"),)
        )
    return IdentityRefused(_REASONS.get(parsed.reason, IdentityReason.FORMAT), parsed.mend)
