"""Members' phones and browsers in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.directory import CardDevice
from tallystick.service.errors import NotFound
from tallystick.storage import tables as t
from tallystick.storage.directory import lives
from tallystick.storage.sessions import SqlSession

_DEVICE = tuple(t.card_device.c[name] for name in CardDevice.__dataclass_fields__)


class SqlCardDevices(SqlSession):
    """The devices that show members' codes. Whoever adds one holds the member's row: they take turns."""

    def add_card_device(self, program_id: ProgramId, device: CardDevice, *, most: int) -> CardDevice | None:
        """Store a device of a member, or return it as stored; None when ``most`` others count already.

        Raises ``NotFound`` when the member is unknown or erased.
        """
        values = {column.name: getattr(device, column.name) for column in _DEVICE}
        of_member = _own(program_id, device.member_id)
        counting = select(func.count()).where(*of_member, t.card_device.c.revoked_ms == 0)
        stored = select(*_DEVICE).where(*_own(program_id, device.member_id, device.kid))

        def work(connection: Connection) -> CardDevice | None:
            if not lives(connection, program_id, device.member_id):
                raise NotFound("There is no such member.", member_id=device.member_id)
            row = connection.execute(stored).first()
            if row is not None:
                return CardDevice(*row)
            if (connection.scalar(counting) or 0) >= most:
                return None
            connection.execute(insert(t.card_device).values(program_id=program_id, **values))
            return device

        return self._run(program_id, work, write=True)

    def card_devices(self, program_id: ProgramId, member_id: MemberId) -> list[CardDevice]:
        """Return a member's devices, revoked ones too, the oldest first."""
        query = select(*_DEVICE).where(*_own(program_id, member_id))
        ordered = query.order_by(t.card_device.c.registered_ms, t.card_device.c.kid)
        return [CardDevice(*row) for row in self._all(program_id, ordered)]

    def renew_card_device(
        self, program_id: ProgramId, member_id: MemberId, kid: str, *, expires: Ms
    ) -> CardDevice | None:
        """Note that a credential was renewed; never to an earlier instant. None when unknown or revoked."""
        own = (*_own(program_id, member_id, kid), t.card_device.c.revoked_ms == 0)
        renew = update(t.card_device).where(*own, t.card_device.c.expires_ms < expires)

        def work(connection: Connection) -> CardDevice | None:
            connection.execute(renew.values(expires_ms=expires))
            row = connection.execute(select(*_DEVICE).where(*own)).first()
            return None if row is None else CardDevice(*row)

        return self._run(program_id, work, write=True)

    def revoke_card_device(
        self, program_id: ProgramId, member_id: MemberId, kid: str, *, now: Ms
    ) -> CardDevice | None:
        """Revoke a device for ever; one that is revoked stays as it is. None when unknown."""
        own = _own(program_id, member_id, kid)
        revoke = update(t.card_device).where(*own, t.card_device.c.revoked_ms == 0)

        def work(connection: Connection) -> CardDevice | None:
            connection.execute(revoke.values(revoked_ms=now))
            row = connection.execute(select(*_DEVICE).where(*own)).first()
            return None if row is None else CardDevice(*row)

        return self._run(program_id, work, write=True)

    def forget_card_device(self, program_id: ProgramId, member_id: MemberId, kid: str) -> bool:
        """Delete a revoked device; False when there is no such one."""
        own = (*_own(program_id, member_id, kid), t.card_device.c.revoked_ms > 0)
        forget = delete(t.card_device).where(*own)
        return self._run(program_id, lambda connection: connection.execute(forget).rowcount == 1, write=True)


def _own(program_id: ProgramId, member_id: MemberId, kid: str | None = None) -> list[ColumnElement[bool]]:
    own = [t.card_device.c.program_id == program_id, t.card_device.c.member_id == member_id]
    return own if kid is None else [*own, t.card_device.c.kid == kid]
