"""Sessions of signing in, and passkeys, in memory."""

from __future__ import annotations

from dataclasses import replace

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import MemberStatus
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
from tallystick.storage.devices import REVOKED_MAX
from tallystick.storage.memory_tables import ProgramTables, Undo
from tallystick.storage.memory_wallets import MemoryWallets
from tallystick.storage.sign_in import HOLDERS_MAX


class MemorySignIn(MemoryWallets):
    """Sessions and passkeys; ``service.sign_in_ports`` says what each call means."""

    def mailed(self, program_id: ProgramId, address_token: bytes, *, since: Ms) -> list[Mailed]:
        with self._lock:
            sent = [
                Mailed(one.started_ms, one.client_tag)
                for one in self._of(program_id).sign_ins.values()
                if one.mailed and one.address_token == address_token and one.started_ms > since
            ]
            return sorted(sent, key=lambda one: -one.at_ms)[:MAILS_READ_MAX]

    def start_sign_in(self, program_id: ProgramId, session: SignInSession) -> None:
        with self._changes() as undo:
            sessions = self._of(program_id).sign_ins
            over = [one for one in sessions.values() if one.forget_ms <= session.started_ms]
            for old in sorted(over, key=lambda one: one.forget_ms)[:SWEPT_MAX]:
                undo.remove(sessions, old.session_hash)
            undo.put(sessions, session.session_hash, session)

    def spend_sign_in_try(
        self, program_id: ProgramId, session_hash: bytes, purpose: SignInPurpose, *, now: Ms
    ) -> SignInSession | None:
        with self._changes() as undo:
            sessions = self._of(program_id).sign_ins
            session = sessions.get(session_hash)
            if session is None or session.purpose is not purpose:
                return None
            if session.expires_ms <= now or not session.tries_left:
                return None
            tried = replace(session, tries_left=session.tries_left - 1)
            undo.put(sessions, session_hash, tried)
            return tried

    def use_sign_in(
        self, program_id: ProgramId, session_hash: bytes, *, used_by: str, tries: int, now: Ms
    ) -> bool:
        with self._changes() as undo:
            sessions = self._of(program_id).sign_ins
            session = sessions.get(session_hash)
            if session is None or session.expires_ms <= now:
                return False
            if session.used_by:
                return session.used_by == used_by
            undo.put(sessions, session_hash, replace(session, used_by=used_by, tries_left=tries))
            return True

    def add_passkey(
        self, program_id: ProgramId, passkey: Passkey, *, most: int = PASSKEYS_MAX
    ) -> Passkey | None:
        with self._changes() as undo:
            tables = self._of(program_id)
            member = tables.members.get(passkey.member_id)
            if member is None or member.status is MemberStatus.ERASED:
                raise NotFound("There is no such member.", member_id=passkey.member_id)
            stored = tables.passkeys.get(passkey.credential_id)
            if stored is not None and stored.member_id != passkey.member_id:
                raise AlreadyExists("The passkey is another member's.")
            if stored is not None:
                return stored
            if len(self.passkeys(program_id, passkey.member_id)) >= most:
                return None
            undo.put(tables.passkeys, passkey.credential_id, passkey)
            return passkey

    def passkey(self, program_id: ProgramId, credential_id: bytes) -> Passkey | None:
        return self._of(program_id).passkeys.get(credential_id)

    def passkeys(self, program_id: ProgramId, member_id: MemberId) -> list[Passkey]:
        with self._lock:
            own = [one for one in self._of(program_id).passkeys.values() if one.member_id == member_id]
            return sorted(own, key=lambda one: (one.added_ms, one.credential_id))

    def use_passkey(self, program_id: ProgramId, credential_id: bytes, *, sign_count: int, now: Ms) -> bool:
        with self._changes() as undo:
            passkeys = self._of(program_id).passkeys
            stored = passkeys.get(credential_id)
            if stored is None or (stored.sign_count >= sign_count and (sign_count or stored.sign_count)):
                return False
            undo.put(passkeys, credential_id, replace(stored, sign_count=sign_count, used_ms=now))
            return True

    def remove_passkey(self, program_id: ProgramId, member_id: MemberId, credential_id: bytes) -> bool:
        with self._changes() as undo:
            passkeys = self._of(program_id).passkeys
            stored = passkeys.get(credential_id)
            if stored is None or stored.member_id != member_id:
                return False
            undo.remove(passkeys, credential_id)
            return True

    def card_device_holders(self, program_id: ProgramId, kid: str) -> list[MemberId]:
        with self._lock:
            holders = [member for member, key in self._of(program_id).card_devices if key == kid]
            return sorted(holders)[:HOLDERS_MAX]

    def revoked_card_devices(self, *, since: Ms) -> list[tuple[ProgramId, str]]:
        with self._lock:
            revoked = [
                (-device.revoked_ms, program_id, device.kid)
                for program_id, tables in self._tables.items()
                for device in tables.card_devices.values()
                if device.revoked_ms > 0 and device.revoked_ms >= since
            ]
            return [(program_id, kid) for _, program_id, kid in sorted(revoked)[:REVOKED_MAX]]


def forget_sign_ins(undo: Undo, tables: ProgramTables, member_id: MemberId, tokens: set[bytes]) -> None:
    """Delete what leads to a member who is erased: passkeys, and sessions of the member or of these addresses."""
    for passkey in [one for one in tables.passkeys.values() if one.member_id == member_id]:
        undo.remove(tables.passkeys, passkey.credential_id)
    for session in list(tables.sign_ins.values()):
        if session.member_id == member_id or session.address_token in tokens:
            undo.remove(tables.sign_ins, session.session_hash)
