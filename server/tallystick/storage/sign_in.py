"""Sessions of signing in, and passkeys, in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.errors import AlreadyExists, NotFound
from tallystick.service.sign_in_ports import (
    MAILS_READ_MAX,
    PASSKEYS_MAX,
    SWEPT_MAX,
    Mailed,
    Passkey,
    SignInPurpose,
    SignInSession,
)
from tallystick.storage import tables as t
from tallystick.storage.directory import lives
from tallystick.storage.rows import Row
from tallystick.storage.sessions import SqlSession

HOLDERS_MAX = 10
"""Most members that are named as holders of one key."""

_SESSION = tuple(t.sign_in.c[name] for name in SignInSession.__dataclass_fields__)
_PASSKEY = tuple(t.passkey.c[name] for name in Passkey.__dataclass_fields__)
_session, _passkey, _device = t.sign_in.c, t.passkey.c, t.card_device.c


def _session_from_row(row: Row) -> SignInSession:
    values = dict(zip(SignInSession.__dataclass_fields__, row, strict=True))
    octets = ("session_hash", "secret", "address_token", "client_tag", "sealed")
    read: dict[str, Any] = {name: bytes(values[name]) for name in octets}
    read |= {"purpose": SignInPurpose(values["purpose"]), "mailed": bool(values["mailed"])}
    return SignInSession(**{**values, **read})


def _passkey_from_row(row: Row) -> Passkey:
    values = dict(zip(Passkey.__dataclass_fields__, row, strict=True))
    read = {name: bytes(values[name]) for name in ("credential_id", "public_key", "sealed_label")}
    return Passkey(**{**values, **read})


class SqlSignIn(SqlSession):
    """Sessions and passkeys; ``service.sign_in_ports`` says what each call means."""

    def mailed(self, program_id: ProgramId, address_token: bytes, *, since: Ms) -> list[Mailed]:
        """Return the mails sent to an address after an instant, newest first."""
        of_address = (_session.program_id == program_id, _session.address_token == address_token)
        sent = (_session.mailed == 1, _session.started_ms > since)
        query = select(_session.started_ms, _session.client_tag).where(*of_address, *sent)
        rows = self._all(program_id, query.order_by(_session.started_ms.desc()), limit=MAILS_READ_MAX)
        return [Mailed(at_ms, bytes(client_tag)) for at_ms, client_tag in rows]

    def start_sign_in(self, program_id: ProgramId, session: SignInSession) -> None:
        """Store a session and forget a bounded number of old ones."""
        values = {column.name: getattr(session, column.name) for column in _SESSION}
        values |= {"program_id": program_id, "purpose": int(session.purpose), "mailed": int(session.mailed)}
        over = (_session.program_id == program_id, _session.forget_ms <= session.started_ms)
        oldest = select(_session.session_hash).where(*over).order_by(_session.forget_ms).limit(SWEPT_MAX)

        def work(connection: Connection) -> None:
            # Those that another sweep is at are its own business: nobody waits to forget.
            swept = connection.scalars(oldest.with_for_update(skip_locked=True)).all()
            if swept:
                connection.execute(delete(t.sign_in).where(over[0], _session.session_hash.in_(swept)))
            connection.execute(insert(t.sign_in).values(values))

        self._run(program_id, work, write=True)

    def spend_sign_in_try(
        self, program_id: ProgramId, session_hash: bytes, purpose: SignInPurpose, *, now: Ms
    ) -> SignInSession | None:
        """Take one try from a live session, by one statement, and return it as it is afterwards."""
        live = (*_own(program_id, session_hash), _session.expires_ms > now, _session.tries_left > 0)
        tried = update(t.sign_in).where(*live, _session.purpose == int(purpose))
        statement = tried.values(tries_left=_session.tries_left - 1).returning(*_SESSION)
        row = self._run(program_id, lambda connection: connection.execute(statement).first(), write=True)
        return None if row is None else _session_from_row(row)

    def use_sign_in(
        self, program_id: ProgramId, session_hash: bytes, *, used_by: str, tries: int, now: Ms
    ) -> bool:
        """Mark a live session used; False when another device has used it or it is over."""
        live = (*_own(program_id, session_hash), _session.expires_ms > now)
        mark = update(t.sign_in).where(*live, _session.used_by == "")

        def work(connection: Connection) -> bool:
            if connection.execute(mark.values(used_by=used_by, tries_left=tries)).rowcount == 1:
                return True
            return connection.scalar(select(_session.used_by).where(*live)) == used_by

        return self._run(program_id, work, write=True)

    def add_passkey(
        self, program_id: ProgramId, passkey: Passkey, *, most: int = PASSKEYS_MAX
    ) -> Passkey | None:
        """Store a passkey, or return it as stored; None when the member has ``most`` others."""
        values = {column.name: getattr(passkey, column.name) for column in _PASSKEY}
        stored = _of_credential(program_id, passkey.credential_id)
        own = (_passkey.program_id == program_id, _passkey.member_id == passkey.member_id)

        def work(connection: Connection) -> Passkey | None:
            if not lives(connection, program_id, passkey.member_id):
                raise NotFound("There is no such member.", member_id=passkey.member_id)
            row = connection.execute(stored).first()
            if row is not None:
                return _its_owners(_passkey_from_row(row), passkey.member_id)
            if (connection.scalar(select(func.count()).where(*own)) or 0) >= most:
                return None
            connection.execute(insert(t.passkey).values(program_id=program_id, **values))
            return passkey

        return self._run(program_id, work, write=True)

    def passkey(self, program_id: ProgramId, credential_id: bytes) -> Passkey | None:
        """Return a passkey of the program."""
        row = self._first(program_id, _of_credential(program_id, credential_id))
        return None if row is None else _passkey_from_row(row)

    def passkeys(self, program_id: ProgramId, member_id: MemberId) -> list[Passkey]:
        """Return a member's passkeys, the oldest first."""
        own = (_passkey.program_id == program_id, _passkey.member_id == member_id)
        query = select(*_PASSKEY).where(*own).order_by(_passkey.added_ms, _passkey.credential_id)
        return [_passkey_from_row(row) for row in self._all(program_id, query)]

    def use_passkey(self, program_id: ProgramId, credential_id: bytes, *, sign_count: int, now: Ms) -> bool:
        """Note a sign-in; False when the passkey is gone or its count is not above the last one."""
        own = (_passkey.program_id == program_id, _passkey.credential_id == credential_id)
        later = _passkey.sign_count < sign_count if sign_count else _passkey.sign_count == 0
        use = update(t.passkey).where(*own, later).values(sign_count=sign_count, used_ms=now)
        return self._run(program_id, lambda connection: connection.execute(use).rowcount == 1, write=True)

    def remove_passkey(self, program_id: ProgramId, member_id: MemberId, credential_id: bytes) -> bool:
        """Delete it; False when this member has no such one."""
        own = (_passkey.program_id == program_id, _passkey.member_id == member_id)
        remove = delete(t.passkey).where(*own, _passkey.credential_id == credential_id)
        return self._run(program_id, lambda connection: connection.execute(remove).rowcount == 1, write=True)

    def card_device_holders(self, program_id: ProgramId, kid: str) -> list[MemberId]:
        """Return the members of a program who have registered a key."""
        query = select(_device.member_id).where(_device.kid == kid, _device.program_id == program_id)
        rows = self._all(program_id, query.order_by(_device.member_id), limit=HOLDERS_MAX)
        return [row[0] for row in rows]


def _own(program_id: ProgramId, session_hash: bytes) -> tuple[ColumnElement[bool], ...]:
    return _session.program_id == program_id, _session.session_hash == session_hash


def _of_credential(program_id: ProgramId, credential_id: bytes) -> Any:
    return select(*_PASSKEY).where(_passkey.credential_id == credential_id, _passkey.program_id == program_id)


def _its_owners(stored: Passkey, member_id: MemberId) -> Passkey:
    if stored.member_id != member_id:
        raise AlreadyExists("The passkey is another member's.")
    return stored
