"""Cards: batches that are printed before anybody has them, and cards that are lost or replaced."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from tallystick.core.basket import Channel
from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.security.check_digits import (
    EAN13_DIGITS,
    GSRN_DIGITS,
    gs1_check_digit,
    luhn_check_digit,
)
from tallystick.security.encoding import length_prefixed
from tallystick.security.identifiers import (
    CARD_KINDS,
    MEMBER_NUMBER_DIGITS,
    MEMBER_NUMBER_PREFIX,
    Identifier,
    IdentifierKind,
)
from tallystick.service.card_ports import (
    BATCH_CARDS_MAX,
    BATCHES_MAX,
    Card,
    CardBatch,
    CardRevoked,
    CardState,
)
from tallystick.service.directory import Directory, IdentifierRow
from tallystick.service.errors import AlreadyExists, InvalidInput, NotFound, StoreConflict, TallystickError
from tallystick.service.identity import (
    IDENTIFIERS_MAX,
    REVOKED,
    TAKEN,
    Identity,
    IdentityReason,
    IdentityRefused,
    Scan,
    Text,
    identifier_id_of,
    too_many_identifiers,
)
from tallystick.service.members import Members

NUMBERS_PER_CARD_MIN = 10_000
"""So many numbers must be possible for each card of a batch: guessing finds one in ten thousand tries at best."""

ATTEMPTS_MAX = 16
"""Numbers drawn for a card before giving up; of each, one in millions is taken."""

READABLE_IN = 16
"""Numbers drawn for a batch without a readable one before its prefix is to blame. Of some prefixes one number in ten
is refused, since it could be a payment card's."""

DRAWS_MAX = 3
EAN13_PREFIX = "29"
_KEYS_AT_A_TIME = 300

_CARD_PURPOSE = b"tallystick card number v1"
_DIGITS = {
    IdentifierKind.NUMBER: MEMBER_NUMBER_DIGITS,
    IdentifierKind.EAN13: EAN13_DIGITS,
    IdentifierKind.GSRN: GSRN_DIGITS,
}
_PREFIXES = {IdentifierKind.NUMBER: MEMBER_NUMBER_PREFIX, IdentifierKind.EAN13: EAN13_PREFIX}
NO_CARD = IdentityRefused(IdentityReason.FORMAT, "This is no card. Scan the new card.")


@record(frozen=True, slots=True)
class BatchNow:
    """A batch and how many of its cards are in each state."""

    batch: CardBatch
    blank: int
    claimed: int
    lost: int


@record(frozen=True, slots=True)
class CardNow:
    """A card of a batch with its number, which is for printing only while the card is blank."""

    card: Card
    number: Identifier


@record(frozen=True, slots=True)
class Replaced:
    """What a member has after a card went: identifiers and number."""

    identifiers: tuple[IdentifierRow, ...]
    number: str


class Cards:
    """The use cases around cards. Safe to use from several threads; ``index_key`` is the key of the blind index.

    Numbers are drawn from the key, the batch and the place in it: nobody guesses them, a repeated request draws the
    same ones, and none has to be stored.
    """

    def __init__(
        self,
        directory: Directory,
        identity: Identity,
        members: Members,
        *,
        index_key: Callable[[], bytes],
        now_ms: Callable[[], Ms],
    ) -> None:
        self._directory = directory
        self._identity = identity
        self._members = members
        self._index_key = index_key
        self._now_ms = now_ms

    def create(
        self,
        program_id: ProgramId,
        batch_id: str,
        *,
        kind: IdentifierKind,
        count: int,
        prefix: str,
        label: str,
        created_by: str,
    ) -> BatchNow:
        """Make a batch of blank cards.

        Raises ``InvalidInput`` when the numbers would be too few or the program's scan rules do not read them, and
        ``AlreadyExists`` when the id was used for another batch.
        """
        assert 1 <= count <= BATCH_CARDS_MAX, "the contract bounds a batch"
        batch = CardBatch(
            batch_id, kind.value, _prefix_of(kind, prefix, count), count, label, self._now_ms(), created_by
        )
        for _ in range(DRAWS_MAX):
            before = self._directory.card_batch(program_id, batch_id)
            if before is not None:
                return self._again(program_id, before, batch)
            if len(self._directory.card_batches(program_id)) >= BATCHES_MAX:
                raise TallystickError(
                    "The program has as many batches as are allowed.",
                    reason="LIMIT_REACHED",
                    limit="card_batches_per_program",
                    max=BATCHES_MAX,
                )
            try:
                stored = self._directory.add_card_batch(program_id, batch, self._drawn(program_id, batch))
            except AlreadyExists:
                # A member was given one of the numbers between the draw and the writing.
                continue
            return self._again(program_id, stored, batch)
        raise StoreConflict("The numbers of the batch were taken again and again.")

    def batches(self, program_id: ProgramId) -> list[BatchNow]:
        """Return all batches, newest first."""
        counts = self._directory.card_counts(program_id)
        return [_counted(batch, counts) for batch in self._directory.card_batches(program_id)]

    def page(self, program_id: ProgramId, batch_id: str, *, after: int, limit: int) -> list[CardNow]:
        """Return cards of a batch by position, behind one. Raises ``NotFound``."""
        batch = self._directory.card_batch(program_id, batch_id)
        if batch is None:
            raise NotFound("There is no such batch.", reason="CARD_BATCH_NOT_FOUND", batch_id=batch_id)
        found = self._directory.batch_cards(program_id, batch_id, after=after, limit=limit)
        return [CardNow(card, self._number(program_id, batch, card.position, card.attempt)) for card in found]

    def report_lost(self, program_id: ProgramId, member_id: MemberId, identifier_id: str) -> Replaced:
        """Take a card out of use for good. Raises ``NotFound``, and ``InvalidInput`` for what is no card."""
        return self._replace(program_id, member_id, identifier_id, None)

    def replace(
        self, program_id: ProgramId, member_id: MemberId, identifier_id: str, given: Text
    ) -> Replaced | IdentityRefused:
        """Take a card out of use for good and give the member another. Raises as ``report_lost`` does."""
        scan = self._identity.read(program_id, given, channel=Channel.UNKNOWN)
        if isinstance(scan, IdentityRefused):
            return scan
        if scan.identifier.kind not in CARD_KINDS:
            return NO_CARD
        try:
            return self._replace(program_id, member_id, identifier_id, scan)
        except CardRevoked:
            return REVOKED
        except AlreadyExists:
            return TAKEN

    def _replace(
        self, program_id: ProgramId, member_id: MemberId, identifier_id: str, scan: Scan | None
    ) -> Replaced:
        member = self._members.living(program_id, member_id)
        held = self._identity.shown(program_id, member_id)
        old = next((row for row in held if identifier_id_of(row) == identifier_id), None)
        if old is not None and old.kind not in CARD_KINDS:
            raise InvalidInput(
                "This is no card.",
                mend="Take a telephone number or e-mail address away with RemoveIdentifier.",
                violations=(("identifier_id", "must be a card"),),
            )
        new: list[IdentifierRow] = []
        number = ""
        if scan is not None:
            new.append(self._identity.row_of(program_id, scan, member_id, self._now_ms()))
            # What was reported lost before may have been the member number, and the new one took its place: of
            # whatever was lost, there is room for one card.
            others = [row for row in held if not self._identity.is_number_of(program_id, member, row)]
            has_it = any((row.kind, row.token) == (scan.kind, scan.token) for row in held)
            if old is None and not has_it and len(others) >= IDENTIFIERS_MAX:
                raise too_many_identifiers()
        if old is not None and self._identity.is_number_of(program_id, member, old):
            number, row = self._identity.fresh_number(program_id, member_id)
            new.append(row)
        if (old is not None or new) and not self._directory.replace_card(
            program_id, member_id, old=old, new=new, number=number
        ):
            # Somebody else has taken the card away meanwhile, or the member is gone.
            self._members.living(program_id, member_id)
            raise StoreConflict("The member's cards were changed meanwhile.")
        now = self._members.get(program_id, member_id)
        return Replaced(tuple(self._identity.shown(program_id, member_id)), now.number)

    def _again(self, program_id: ProgramId, stored: CardBatch, asked: CardBatch) -> BatchNow:
        def content(batch: CardBatch) -> tuple[str, str, int, str]:
            return batch.kind, batch.prefix, batch.count, batch.label

        if content(stored) != content(asked):
            raise AlreadyExists(
                "The batch_id was used for another batch.",
                mend="Make a new batch_id for a new batch.",
                reason="REQUEST_ID_REUSED",
                field="batch_id",
            )
        return _counted(stored, self._directory.card_counts(program_id))

    def _drawn(self, program_id: ProgramId, batch: CardBatch) -> list[Card]:
        """Return the cards of a new batch: of each place the first number that is free and can be read."""
        cards: dict[int, Card] = {}
        taken: set[bytes] = set()
        for attempt in range(ATTEMPTS_MAX):
            open_places = [place for place in range(1, batch.count + 1) if place not in cards]
            drawn = [self._card(program_id, batch, place, attempt) for place in open_places]
            taken |= self._taken(program_id, [card for card in drawn if card is not None])
            for card in drawn:
                if card is not None and card.token not in taken:
                    taken.add(card.token)
                    cards[card.position] = card
            if not cards and (attempt + 1) * batch.count >= READABLE_IN:
                raise InvalidInput(
                    "Such cards could not be scanned in this program.",
                    mend="Take another prefix, or add a scan rule for them to the rule set.",
                    violations=(("prefix", "must make numbers that the program's scan rules read"),),
                )
            if len(cards) == batch.count:
                return [cards[place] for place in range(1, batch.count + 1)]
        raise StoreConflict("Too many numbers of the batch are taken.")

    def _card(self, program_id: ProgramId, batch: CardBatch, position: int, attempt: int) -> Card | None:
        """Return a card with a number, None when a scan of it would not be read as what it is."""
        number = self._number(program_id, batch, position, attempt)
        aim_id = "]E0" if number.kind is IdentifierKind.EAN13 else ""
        scan = self._identity.read(program_id, Text(number.value, aim_id=aim_id), channel=Channel.UNKNOWN)
        if isinstance(scan, IdentityRefused) or scan.identifier != number:
            return None
        return Card(
            batch.kind, scan.token, batch.batch_id, position, attempt, CardState.BLANK, batch.created_ms
        )

    def _taken(self, program_id: ProgramId, cards: Sequence[Card]) -> set[bytes]:
        keys = [(card.kind, card.token) for card in cards]
        found: set[bytes] = set()
        for start in range(0, len(keys), _KEYS_AT_A_TIME):
            part = keys[start : start + _KEYS_AT_A_TIME]
            found |= {row.token for row in self._directory.find(program_id, part)}
            found |= {card.token for card in self._directory.cards(program_id, part)}
        return found

    def _number(self, program_id: ProgramId, batch: CardBatch, position: int, attempt: int) -> Identifier:
        kind = IdentifierKind(batch.kind)
        places = position.to_bytes(4, "big") + bytes([attempt])
        message = length_prefixed((_CARD_PURPOSE, program_id.encode(), batch.batch_id.encode(), places))
        free = _DIGITS[kind] - len(batch.prefix) - 1
        drawn = int.from_bytes(hmac.digest(self._index_key(), message, "sha256"), "big") % 10**free
        body = batch.prefix + str(drawn).zfill(free)
        check = luhn_check_digit(body) if kind is IdentifierKind.NUMBER else gs1_check_digit(body)
        return Identifier(kind, body + check)


def _prefix_of(kind: IdentifierKind, asked: str, count: int) -> str:
    """Return what the numbers of a batch begin with. Raises ``InvalidInput``."""
    if kind is IdentifierKind.NUMBER and asked not in ("", MEMBER_NUMBER_PREFIX):
        raise _prefix_wrong(f"must be left out: the program's own numbers begin with {MEMBER_NUMBER_PREFIX}")
    prefix = asked or _PREFIXES.get(kind, "")
    if not prefix:
        raise _prefix_wrong("must be the GS1 company prefix")
    if 10 ** (_DIGITS[kind] - len(prefix) - 1) < NUMBERS_PER_CARD_MIN * count:
        raise _prefix_wrong(f"leaves too few numbers for {count} cards that nobody can guess")
    return prefix


def _prefix_wrong(text: str) -> InvalidInput:
    return InvalidInput("The prefix does not go with the batch.", violations=(("prefix", text),))


def _counted(batch: CardBatch, counts: dict[tuple[str, CardState], int]) -> BatchNow:
    blank, claimed, lost = (counts.get((batch.batch_id, state), 0) for state in CardState)
    return BatchNow(batch, blank, claimed, lost)
