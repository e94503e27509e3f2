"""Devices and enrolment codes in SQLAlchemy Core, for PostgreSQL and SQLite alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from tallystick.core.ids import Ms, ProgramId
from tallystick.service.directory import ASSERTION_KEPT_MS, Device, DeviceStatus, EnrolmentCode
from tallystick.service.errors import AlreadyExists, StoreConflict
from tallystick.storage import tables as t
from tallystick.storage.birthdays import SqlBirthdays
from tallystick.storage.card_devices import SqlCardDevices
from tallystick.storage.cards import SqlCards
from tallystick.storage.cashiers import SqlCashiers
from tallystick.storage.claims import SqlClaims
from tallystick.storage.consents import SqlConsents
from tallystick.storage.coupons import SqlCoupons
from tallystick.storage.deliveries import SqlDeliveries
from tallystick.storage.directory import SqlMembers, SqlPrograms
from tallystick.storage.events import SqlEndpoints, SqlEvents
from tallystick.storage.households import SqlHouseholds
from tallystick.storage.notifications import SqlNotificationQueue, SqlNotifications
from tallystick.storage.referrals import SqlReferrals
from tallystick.storage.reviews import SqlReviews
from tallystick.storage.rows import Row
from tallystick.storage.segments import SqlSegments
from tallystick.storage.sessions import SqlSession
from tallystick.storage.shared_sums import SqlSharedSums
from tallystick.storage.sign_in import SqlSignIn
from tallystick.storage.transfers import SqlTransfers
from tallystick.storage.wallets import SqlWallets
from tallystick.storage.wishes import SqlWishes

CODES_MAX = 100
"""Most live enrolment codes that are looked at."""

REVOKED_MAX = 10_000
"""Most revoked devices that one read returns."""

_DEVICE = tuple(t.device.c[name] for name in Device.__dataclass_fields__)
_CODE = tuple(t.enrolment_code.c[name] for name in EnrolmentCode.__dataclass_fields__)


def _device_from_row(row: Row) -> Device:
    values = dict(zip(Device.__dataclass_fields__, row, strict=True))
    return Device(**{**values, "status": DeviceStatus(values["status"])})


def _code_from_row(row: Row) -> EnrolmentCode:
    values = dict(zip(EnrolmentCode.__dataclass_fields__, row, strict=True))
    return EnrolmentCode(**{**values, "code_hash": bytes(values["code_hash"])})


def _unused(program_id: ProgramId, at: Ms) -> tuple[ColumnElement[bool], ...]:
    return (
        t.enrolment_code.c.program_id == program_id,
        t.enrolment_code.c.used_by == "",
        t.enrolment_code.c.expires_ms > at,
    )


def _live(program_id: ProgramId, at: Ms) -> tuple[ColumnElement[bool], ...]:
    return *_unused(program_id, at), t.enrolment_code.c.tries_left > 0


class SqlDevices(SqlSession):
    """Tills, webshops and back offices with their keys, and the codes by which they come in."""

    def add_code(self, program_id: ProgramId, code: EnrolmentCode) -> None:
        """Store a new code. Raises ``AlreadyExists`` when there is one with this hash."""
        values = {column.name: getattr(code, column.name) for column in _CODE}
        statement = insert(t.enrolment_code).values(program_id=program_id, **values)
        try:
            self._run(program_id, lambda connection: connection.execute(statement), write=True)
        except StoreConflict as error:
            raise AlreadyExists("The code exists.") from error

    def codes(self, program_id: ProgramId, *, live_at: Ms) -> list[EnrolmentCode]:
        """Return codes that are unused, unexpired and have tries left; at most ``CODES_MAX``, the latest first."""
        query = select(*_CODE).where(*_live(program_id, live_at))
        ordered = query.order_by(t.enrolment_code.c.expires_ms.desc(), t.enrolment_code.c.code_hash)
        return [_code_from_row(row) for row in self._all(program_id, ordered, limit=CODES_MAX)]

    def spend_try(self, program_id: ProgramId, selector: str, *, live_at: Ms) -> list[EnrolmentCode]:
        """Take one try from each live code with a selector, by one statement, and return these codes."""
        tried = update(t.enrolment_code).where(
            *_live(program_id, live_at), t.enrolment_code.c.selector == selector
        )
        statement = tried.values(tries_left=t.enrolment_code.c.tries_left - 1).returning(*_CODE)
        rows = self._run(program_id, lambda connection: connection.execute(statement).all(), write=True)
        return [_code_from_row(row) for row in rows]

    def use_code(self, program_id: ProgramId, code_hash: bytes, device: Device, *, now: Ms) -> bool:
        """Mark the code used and store the device together; False when the code is used or has expired.

        The same device again is a retry: True. Raises ``AlreadyExists`` when the device's id is taken.
        """
        own = t.enrolment_code.c.code_hash == code_hash
        mark = update(t.enrolment_code).where(*_unused(program_id, now), own).values(used_by=device.device_id)
        used_by = select(t.enrolment_code.c.used_by).where(t.enrolment_code.c.program_id == program_id, own)

        def work(connection: Connection) -> bool:
            if connection.execute(mark).rowcount == 0:
                return connection.scalar(used_by) == device.device_id
            connection.execute(insert(t.device).values(_device_values(program_id, device)))
            return True

        try:
            return self._run(program_id, work, write=True)
        except StoreConflict as error:
            raise AlreadyExists("The device id is taken.", device_id=device.device_id) from error

    def add_device(self, program_id: ProgramId, device: Device) -> None:
        """Store a device. Raises ``AlreadyExists`` when its id is taken, in whatever program."""
        statement = insert(t.device).values(_device_values(program_id, device))
        try:
            self._run(program_id, lambda connection: connection.execute(statement), write=True)
        except StoreConflict as error:
            raise AlreadyExists("The device id is taken.", device_id=device.device_id) from error

    def device(self, program_id: ProgramId, device_id: str) -> Device | None:
        """Return a device."""
        row = self._first(program_id, select(*_DEVICE).where(*_own(program_id, device_id)))
        return None if row is None else _device_from_row(row)

    def devices(self, program_id: ProgramId, *, after: str, limit: int) -> list[Device]:
        """Return devices by id, behind ``after``."""
        query = select(*_DEVICE).where(t.device.c.program_id == program_id, t.device.c.device_id > after)
        rows = self._all(program_id, query.order_by(t.device.c.device_id), limit=limit)
        return [_device_from_row(row) for row in rows]

    def set_device_status(
        self, program_id: ProgramId, device_id: str, status: DeviceStatus, *, now: Ms
    ) -> bool:
        """Confirm or revoke a device; False when unknown, or revoked and to come back: that is final."""
        own = _own(program_id, device_id)
        stamp = {DeviceStatus.ACTIVE: {"confirmed_ms": now}, DeviceStatus.REVOKED: {"revoked_ms": now}}
        may = t.device.c.status.not_in((int(DeviceStatus.REVOKED), int(status)))
        change = update(t.device).where(*own, may).values(status=int(status), **stamp.get(status, {}))

        def work(connection: Connection) -> bool:
            if connection.execute(change).rowcount == 1:
                return True
            return connection.scalar(select(t.device.c.status).where(*own)) == status

        return self._run(program_id, work, write=True)

    def set_device_key(
        self, program_id: ProgramId, device_id: str, *, public_jwk: str, kid: str, fingerprint: str
    ) -> bool:
        """Replace a device's key; False when unknown or revoked."""
        may = t.device.c.status != int(DeviceStatus.REVOKED)
        change = update(t.device).where(*_own(program_id, device_id), may)
        keyed = change.values(public_jwk=public_jwk, kid=kid, fingerprint=fingerprint)
        return self._run(program_id, lambda connection: connection.execute(keyed).rowcount == 1, write=True)

    def use_assertion(
        self, program_id: ProgramId, device_id: str, token_id: str, *, usable_until: Ms, now: Ms
    ) -> bool:
        """Record the use of an assertion and forget the device's old ones; False when it was used before."""
        uses = t.assertion_use.c
        of_device = (uses.device_id == device_id, uses.program_id == program_id)
        forget = delete(t.assertion_use).where(*of_device, uses.usable_until_ms <= now - ASSERTION_KEPT_MS)
        before = select(uses.token_id).where(*of_device, uses.token_id == token_id)
        record = insert(t.assertion_use).values(
            program_id=program_id, device_id=device_id, token_id=token_id, usable_until_ms=usable_until
        )

        def work(connection: Connection) -> bool:
            connection.execute(forget)
            if connection.execute(before).first() is not None:
                return False
            connection.execute(record)
            return True

        return self._run(program_id, work, write=True)


def _own(program_id: ProgramId, device_id: str) -> tuple[ColumnElement[bool], ...]:
    return t.device.c.program_id == program_id, t.device.c.device_id == device_id


def _device_values(program_id: ProgramId, device: Device) -> dict[str, Any]:
    values = {column.name: getattr(device, column.name) for column in _DEVICE}
    return {"program_id": program_id, **values, "status": int(device.status)}


class SqlDirectory(
    SqlPrograms,
    SqlMembers,
    SqlDevices,
    SqlCashiers,
    SqlCards,
    SqlCoupons,
    SqlSegments,
    SqlCardDevices,
    SqlConsents,
    SqlReferrals,
    SqlReviews,
    SqlBirthdays,
    SqlSignIn,
    SqlWallets,
    SqlClaims,
    SqlEndpoints,
    SqlEvents,
    SqlDeliveries,
    SqlTransfers,
    SqlHouseholds,
    SqlNotificationQueue,
    SqlNotifications,
    SqlWishes,
    SqlSharedSums,
):
    """The whole directory, but for the reads that cross programs: those differ with the database."""
