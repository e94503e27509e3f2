"""Programs, rule sets and members in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, tuple_, update

from tallystick.core.ids import NEVER_MS, MemberId, ProgramId
from tallystick.core.state import MemberStatus
from tallystick.service.directory import Clock, IdentifierRow, Member, Program, StoredRuleSet
from tallystick.service.errors import AlreadyExists, NotFound
from tallystick.storage import tables as t
from tallystick.storage.birthdays import forget_birthday
from tallystick.storage.cards import claim_cards, lose_cards, remember_lost
from tallystick.storage.claims import forget_baskets
from tallystick.storage.consents import erase_records
from tallystick.storage.coupons import unlink_codes
from tallystick.storage.households import household_of, leave_for_good
from tallystick.storage.notifications import erase_notifications
from tallystick.storage.referrals import erase_referrals
from tallystick.storage.reviews import erase_reviews
from tallystick.storage.rows import Row
from tallystick.storage.segments import forget_member
from tallystick.storage.sessions import SqlSession
from tallystick.storage.shared_sums import forget_parts
from tallystick.storage.wishes import erase_wants

PROGRAM_COLUMNS = tuple(t.program.c[name] for name in Program.__dataclass_fields__)
_RULE_SET = tuple(t.rule_set.c[name] for name in StoredRuleSet.__dataclass_fields__)
_MEMBER = tuple(t.member.c[name] for name in Member.__dataclass_fields__)
_IDENTIFIER = tuple(t.identifier.c[name] for name in IdentifierRow.__dataclass_fields__)


def program_from_row(row: Row) -> Program:
    """Return the program of a row."""
    program_id, display_name, clock, version, created_ms = row
    return Program(program_id, display_name, Clock(clock), version, created_ms)


def _member_from_row(row: Row) -> Member:
    member_id, number, status, enrolled_ms, channel, store_id, locked = row
    return Member(member_id, number, MemberStatus(status), enrolled_ms, channel, store_id, bool(locked))


def identifier_from_row(row: Row) -> IdentifierRow:
    """Return the identifier of a row."""
    kind, token, member_id, hint, added_ms, scan_tag = row
    return IdentifierRow(kind, bytes(token), member_id, hint, added_ms, bytes(scan_tag or b""))


class SqlPrograms(SqlSession):
    """Programs and their rule sets."""

    def create_program(self, program: Program) -> bool:
        """Create it; False when the id is taken."""
        values = {
            "program_id": program.program_id,
            "display_name": program.display_name,
            "clock": int(program.clock),
            "rule_set": program.rule_set,
            "created_ms": program.created_ms,
        }

        def work(connection: Connection) -> bool:
            query = select(t.program.c.program_id).where(t.program.c.program_id == program.program_id)
            if connection.execute(query).first() is not None:
                return False
            connection.execute(insert(t.program).values(values))
            return True

        return self._run(program.program_id, work, write=True)

    def program(self, program_id: ProgramId) -> Program | None:
        """Return a program."""
        row = self._first(program_id, select(*PROGRAM_COLUMNS).where(t.program.c.program_id == program_id))
        return None if row is None else program_from_row(row)

    def publish_rule_set(self, program_id: ProgramId, rules: StoredRuleSet) -> StoredRuleSet:
        """Store the next version and make it current; the same ``request_id`` again returns what it published then."""

        def work(connection: Connection) -> StoredRuleSet:
            of_program = t.rule_set.c.program_id == program_id
            locked = (
                select(t.program.c.rule_set).where(t.program.c.program_id == program_id).with_for_update()
            )
            current = connection.scalar(locked)
            if current is None:
                raise NotFound("There is no such program.", program_id=program_id)
            query = select(*_RULE_SET).where(of_program, t.rule_set.c.request_id == rules.request_id)
            row = connection.execute(query).first()
            if row is not None:
                return StoredRuleSet(*row)
            published = StoredRuleSet(
                current + 1,
                rules.sha256,
                rules.text,
                rules.canonical,
                rules.request_id,
                rules.published_ms,
                rules.published_by,
            )
            names = [column.name for column in _RULE_SET]
            values = {name: getattr(published, name) for name in names}
            connection.execute(insert(t.rule_set).values(program_id=program_id, **values))
            connection.execute(
                update(t.program)
                .where(t.program.c.program_id == program_id)
                .values(rule_set=published.version)
            )
            return published

        return self._run(program_id, work, write=True)

    def rule_set(self, program_id: ProgramId, version: int) -> StoredRuleSet | None:
        """Return one version of a program's rules."""
        query = select(*_RULE_SET).where(
            t.rule_set.c.program_id == program_id, t.rule_set.c.version == version
        )
        row = self._first(program_id, query)
        return None if row is None else StoredRuleSet(*row)

    def rule_sets(self, program_id: ProgramId, *, before: int | None, limit: int) -> list[StoredRuleSet]:
        """Return versions, newest first, below ``before``."""
        query = select(*_RULE_SET).where(t.rule_set.c.program_id == program_id)
        if before is not None:
            query = query.where(t.rule_set.c.version < before)
        rows = self._all(program_id, query.order_by(t.rule_set.c.version.desc()), limit=limit)
        return [StoredRuleSet(*row) for row in rows]


class SqlMembers(SqlSession):
    """Members, their identifiers, and what is known of the person."""

    def enrol(self, program_id: ProgramId, member: Member, identifiers: Sequence[IdentifierRow]) -> Member:
        """Create member, account and identifiers together; a retry returns the stored member.

        Raises ``AlreadyExists`` when the id or an identifier belongs to another member, ``CardRevoked`` for a card
        that was lost.
        """
        assert all(row.member_id == member.member_id for row in identifiers)

        def work(connection: Connection) -> Member:
            taken = _found(connection, program_id, [(row.kind, row.token) for row in identifiers])
            stored = _stored_member(connection, program_id, member.member_id)
            if stored is not None:
                if stored.number == member.number or any(r.member_id == stored.member_id for r in taken):
                    return stored
                raise AlreadyExists("The member id is taken.", member_id=member.member_id)
            if taken:
                raise AlreadyExists("An identifier belongs to another member.", kind=taken[0].kind)
            keys = [(row.kind, row.token) for row in identifiers]
            claim_cards(connection, program_id, keys, now=self._now_ms())
            stamps = dict.fromkeys(("changed_ms", "made_ms"), self._now_ms())
            values = {"program_id": program_id, **stamps, **_member_values(member)}
            connection.execute(insert(t.member).values(values))
            connection.execute(insert(t.account).values(program_id=program_id, **_new_account_values(member)))
            if identifiers:
                rows = [_identifier_values(program_id, row) for row in identifiers]
                connection.execute(insert(t.identifier), rows)
            return member

        return self._run(program_id, work, write=True)

    def member(self, program_id: ProgramId, member_id: MemberId) -> Member | None:
        """Return a member."""
        return self._run(program_id, lambda connection: _stored_member(connection, program_id, member_id))

    def members(self, program_id: ProgramId, *, after: str, limit: int) -> list[Member]:
        """Return members by id, behind ``after`` (empty: from the first)."""
        query = select(*_MEMBER).where(t.member.c.program_id == program_id)
        if after:
            query = query.where(t.member.c.member_id > after)
        rows = self._all(program_id, query.order_by(t.member.c.member_id), limit=limit)
        return [_member_from_row(row) for row in rows]

    def set_status(self, program_id: ProgramId, member_id: MemberId, status: MemberStatus) -> bool:
        """Change the status of member and account together; False when unknown, or erased: that is final.

        A member who has locked the points becomes LOCKED where OPEN is asked for.
        """

        def work(connection: Connection) -> bool:
            if not lives(connection, program_id, member_id):
                return False
            member = _stored_member(connection, program_id, member_id)
            assert member is not None, "it was locked a moment ago"
            locked = status is MemberStatus.OPEN and member.spend_locked
            return self._set_status(
                connection, program_id, member_id, MemberStatus.LOCKED if locked else status
            )

        return self._run(program_id, work, write=True)

    def set_spend_lock(self, program_id: ProgramId, member_id: MemberId, *, locked: bool) -> Member | None:
        """Note whether the member's points are locked, and return the member; None when unknown or erased."""
        own = (t.member.c.program_id == program_id, t.member.c.member_id == member_id)

        def work(connection: Connection) -> Member | None:
            if not lives(connection, program_id, member_id):
                return None
            member = _stored_member(connection, program_id, member_id)
            assert member is not None, "it was locked a moment ago"
            if member.spend_locked is locked:
                return member
            connection.execute(update(t.member).where(*own).values(spend_locked=int(locked)))
            if member.status is not MemberStatus.BLOCKED:
                status = MemberStatus.LOCKED if locked else MemberStatus.OPEN
                self._set_status(connection, program_id, member_id, status)
            return _stored_member(connection, program_id, member_id)

        return self._run(program_id, work, write=True)

    def find(self, program_id: ProgramId, keys: Sequence[tuple[str, bytes]]) -> list[IdentifierRow]:
        """Return the rows of (kind, token), by one set-based query."""
        return self._run(program_id, lambda connection: _found(connection, program_id, keys)) if keys else []

    def identifiers(self, program_id: ProgramId, member_id: MemberId) -> list[IdentifierRow]:
        """Return a member's identifiers, the oldest first."""
        query = select(*_IDENTIFIER).where(
            t.identifier.c.program_id == program_id, t.identifier.c.member_id == member_id
        )
        ordered = query.order_by(t.identifier.c.added_ms, t.identifier.c.kind, t.identifier.c.token)
        return [identifier_from_row(row) for row in self._all(program_id, ordered)]

    def add_identifier(self, program_id: ProgramId, row: IdentifierRow) -> bool:
        """Add it; True also when this member had it, False when the member is unknown or erased.

        Raises ``AlreadyExists`` when another member has it, ``CardRevoked`` for a lost card.
        """

        def work(connection: Connection) -> bool:
            if not lives(connection, program_id, row.member_id):
                return False
            for owner in _found(connection, program_id, [(row.kind, row.token)]):
                if owner.member_id != row.member_id:
                    raise AlreadyExists("The identifier belongs to another member.", kind=row.kind)
                return True
            self._add(connection, program_id, row)
            self._changed(connection, program_id, row.member_id)
            return True

        return self._run(program_id, work, write=True)

    def remove_identifier(self, program_id: ProgramId, member_id: MemberId, kind: str, token: bytes) -> bool:
        """Remove it; a card of a batch is lost by that. False when this member does not have it."""

        def work(connection: Connection) -> bool:
            if not lives(connection, program_id, member_id):
                return False
            if not _removed(connection, program_id, member_id, (kind, token)):
                return False
            lose_cards(connection, program_id, [(kind, token)], now=self._now_ms())
            self._changed(connection, program_id, member_id)
            return True

        return self._run(program_id, work, write=True)

    def replace_card(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        *,
        old: IdentifierRow | None,
        new: Sequence[IdentifierRow],
        number: str,
    ) -> bool:
        """Take a card away for good and add others; ``number`` becomes the member's when given.

        False when the member is unknown or erased, or does not have ``old`` any more. Raises as ``enrol`` does.
        """

        def work(connection: Connection) -> bool:
            if not lives(connection, program_id, member_id):
                return False
            if old is not None:
                key = (old.kind, old.token)
                if not _removed(connection, program_id, member_id, key):
                    return False
                for unknown in lose_cards(connection, program_id, [key], now=self._now_ms()):
                    remember_lost(connection, program_id, unknown, now=self._now_ms())
            taken = _found(connection, program_id, [(row.kind, row.token) for row in new])
            if any(owner.member_id != member_id for owner in taken):
                raise AlreadyExists("The identifier belongs to another member.", kind=taken[0].kind)
            had = {(row.kind, row.token) for row in taken}
            for row in new:
                if (row.kind, row.token) not in had:
                    self._add(connection, program_id, row)
            if number:
                own = (t.member.c.program_id == program_id, t.member.c.member_id == member_id)
                connection.execute(update(t.member).where(*own).values(number=number))
            self._changed(connection, program_id, member_id)
            return True

        return self._run(program_id, work, write=True)

    def _add(self, connection: Connection, program_id: ProgramId, row: IdentifierRow) -> None:
        claim_cards(connection, program_id, [(row.kind, row.token)], now=self._now_ms())
        connection.execute(insert(t.identifier).values(_identifier_values(program_id, row)))

    def put_person(self, program_id: ProgramId, member_id: MemberId, sealed: bytes) -> None:
        """Store the sealed personal data of a member, replacing what was there.

        Raises ``NotFound`` when the member is unknown or erased.
        """

        def work(connection: Connection) -> None:
            if not lives(connection, program_id, member_id):
                raise NotFound("There is no such member.", member_id=member_id)
            own = (t.person.c.program_id == program_id, t.person.c.member_id == member_id)
            if connection.execute(update(t.person).where(*own).values(sealed=sealed)).rowcount == 0:
                values = {"program_id": program_id, "member_id": member_id, "sealed": sealed}
                connection.execute(insert(t.person).values(values))

        self._run(program_id, work, write=True)

    def persons(self, program_id: ProgramId, member_ids: Sequence[MemberId]) -> dict[MemberId, bytes]:
        """Return the sealed personal data of those members that have any, by one set-based query."""
        query = select(t.person.c.member_id, t.person.c.sealed).where(
            t.person.c.program_id == program_id, t.person.c.member_id.in_(member_ids)
        )
        rows = self._all(program_id, query) if member_ids else ()
        return {member_id: bytes(sealed) for member_id, sealed in rows}

    def erase(self, program_id: ProgramId, member_id: MemberId) -> bool:
        """Delete person and identifiers, set the status to ERASED; the ledger stays. False when unknown."""

        def work(connection: Connection) -> bool:
            if _status_locked(connection, program_id, member_id) is None:
                return False
            of_member = (t.identifier.c.program_id == program_id, t.identifier.c.member_id == member_id)
            keys = connection.execute(select(t.identifier.c.kind, t.identifier.c.token).where(*of_member))
            held = [(kind, bytes(token)) for kind, token in keys]
            lose_cards(connection, program_id, held, now=self._now_ms())
            _forget_sign_ins(connection, program_id, member_id, [token for _, token in held])
            erase_records(connection, program_id, member_id)
            erase_referrals(connection, program_id, member_id)
            erase_reviews(connection, program_id, member_id)
            erase_wants(connection, program_id, member_id)
            forget_birthday(connection, program_id, member_id)
            forget_baskets(connection, program_id, member_id)
            erase_notifications(connection, program_id, member_id)
            for table in (t.person, t.identifier, t.card_device, t.passkey):
                connection.execute(
                    delete(table).where(table.c.program_id == program_id, table.c.member_id == member_id)
                )
            erased = self._set_status(connection, program_id, member_id, MemberStatus.ERASED)
            leave_for_good(connection, program_id, member_id)
            forget_parts(connection, program_id, member_id)
            unlink_codes(connection, program_id, member_id)
            forget_member(connection, program_id, member_id)
            return erased

        return self._run(program_id, work, write=True)

    def _set_status(
        self, connection: Connection, program_id: ProgramId, member_id: MemberId, status: MemberStatus
    ) -> bool:
        for table in (t.member, t.account):
            own = (table.c.program_id == program_id, table.c.member_id == member_id)
            connection.execute(update(table).where(*own).values(status=int(status)))
        self._changed(connection, program_id, member_id)
        return True

    def _changed(self, connection: Connection, program_id: ProgramId, member_id: MemberId) -> None:
        """Note that tills must hear of a member whom no entry tells them of, and of the household if there is one."""
        both = {member_id, household_of(connection, program_id, member_id) or member_id}
        own = (t.member.c.program_id == program_id, t.member.c.member_id.in_(both))
        connection.execute(update(t.member).where(*own).values(changed_ms=self._now_ms()))


def _stored_member(connection: Connection, program_id: ProgramId, member_id: MemberId) -> Member | None:
    query = select(*_MEMBER).where(t.member.c.program_id == program_id, t.member.c.member_id == member_id)
    row = connection.execute(query).first()
    return None if row is None else _member_from_row(row)


def _status_locked(connection: Connection, program_id: ProgramId, member_id: MemberId) -> int | None:
    """Return the member's status, locked: an erasure and what would undo it take turns."""
    query = select(t.member.c.status).where(
        t.member.c.program_id == program_id, t.member.c.member_id == member_id
    )
    return connection.scalar(query.with_for_update())


def lives(connection: Connection, program_id: ProgramId, member_id: MemberId) -> bool:
    """Return whether a member is there and not erased, and lock it until the end of the transaction."""
    return _status_locked(connection, program_id, member_id) not in (None, MemberStatus.ERASED)


def _removed(
    connection: Connection, program_id: ProgramId, member_id: MemberId, key: tuple[str, bytes]
) -> bool:
    kind, token = key
    statement = delete(t.identifier).where(
        t.identifier.c.program_id == program_id,
        t.identifier.c.kind == kind,
        t.identifier.c.token == token,
        t.identifier.c.member_id == member_id,
    )
    return connection.execute(statement).rowcount > 0


def _forget_sign_ins(
    connection: Connection, program_id: ProgramId, member_id: MemberId, tokens: Sequence[bytes]
) -> None:
    """Delete the sessions of a member and of the member's addresses."""
    own = or_(t.sign_in.c.member_id == member_id, t.sign_in.c.address_token.in_(tokens))
    connection.execute(delete(t.sign_in).where(t.sign_in.c.program_id == program_id, own))


def _found(
    connection: Connection, program_id: ProgramId, keys: Sequence[tuple[str, bytes]]
) -> list[IdentifierRow]:
    if not keys:
        return []
    wanted = tuple_(t.identifier.c.kind, t.identifier.c.token).in_(list(keys))
    query = select(*_IDENTIFIER).where(t.identifier.c.program_id == program_id, wanted)
    return [identifier_from_row(row) for row in connection.execute(query)]


def _identifier_values(program_id: ProgramId, row: IdentifierRow) -> dict[str, Any]:
    values = {column.name: getattr(row, column.name) for column in _IDENTIFIER}
    return {"program_id": program_id, **values, "scan_tag": row.scan_tag or None}


def _member_values(member: Member) -> dict[str, Any]:
    values = {column.name: getattr(member, column.name) for column in _MEMBER}
    return {**values, "status": int(member.status), "spend_locked": int(member.spend_locked)}


def _new_account_values(member: Member) -> dict[str, Any]:
    zeros = dict.fromkeys(("active", "pending", "held", "debt", "seq", "as_of_ms"), 0)
    return {
        "member_id": member.member_id,
        "status": int(member.status),
        "enrolled_ms": member.enrolled_ms,
        "due_ms": NEVER_MS,
        "tier": "",
        "tallies": "",
        **zeros,
    }
