"""The directory in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import Account, MemberStatus
from tallystick.service.directory import (
    ASSERTION_KEPT_MS,
    CASHIERS_MAX,
    CardDevice,
    Cashier,
    Device,
    DeviceStatus,
    EnrolmentCode,
    IdentifierRow,
    Member,
    Program,
    StoredRuleSet,
)
from tallystick.service.errors import AlreadyExists, NotFound
from tallystick.service.household_store import Part
from tallystick.storage.clock import Now
from tallystick.storage.devices import CODES_MAX, REVOKED_MAX
from tallystick.storage.memory_birthdays import MemoryBirthdays, forget_birthday
from tallystick.storage.memory_cards import MemoryCards, claim_cards, lose_cards, remember_lost
from tallystick.storage.memory_claims import MemoryClaims, forget_baskets
from tallystick.storage.memory_consents import MemoryConsents, erase_records
from tallystick.storage.memory_coupons import MemoryCoupons, unlink_codes
from tallystick.storage.memory_events import MemoryEvents
from tallystick.storage.memory_notifications import MemoryNotifications, erase_notifications
from tallystick.storage.memory_referrals import MemoryReferrals, erase_referrals
from tallystick.storage.memory_reviews import MemoryReviews, erase_reviews
from tallystick.storage.memory_segments import MemorySegments, forget_member
from tallystick.storage.memory_shared import MemorySharedSums, forget_parts
from tallystick.storage.memory_sharing import MemoryHouseholds, MemoryTransfers, leave_for_good
from tallystick.storage.memory_sign_in import MemorySignIn, forget_sign_ins
from tallystick.storage.memory_tables import Undo
from tallystick.storage.memory_wishes import MemoryWishes, erase_wants


class MemoryDirectory(
    MemorySignIn,
    MemoryCards,
    MemoryCoupons,
    MemoryConsents,
    MemoryReferrals,
    MemoryClaims,
    MemoryEvents,
    MemoryReviews,
    MemoryTransfers,
    MemoryHouseholds,
    MemoryNotifications,
    MemoryWishes,
    MemorySegments,
    MemoryBirthdays,
    MemorySharedSums,
):
    """Programs, members and devices; ``service.directory`` says what each call means."""

    def __init__(self, *, now_ms: Now) -> None:
        super().__init__()
        self._now_ms = now_ms
        self._programs: dict[ProgramId, Program] = {}
        self._devices: dict[str, tuple[ProgramId, Device]] = {}

    def create_program(self, program: Program) -> bool:
        with self._changes() as undo:
            if program.program_id in self._programs:
                return False
            undo.put(self._programs, program.program_id, program)
            return True

    def program(self, program_id: ProgramId) -> Program | None:
        return self._programs.get(program_id)

    def programs(self, *, after: str, limit: int) -> list[Program]:
        with self._lock:
            return [self._programs[key] for key in sorted(self._programs) if key > after][:limit]

    def publish_rule_set(self, program_id: ProgramId, rules: StoredRuleSet) -> StoredRuleSet:
        with self._changes() as undo:
            program = self._programs.get(program_id)
            if program is None:
                raise NotFound("There is no such program.", program_id=program_id)
            published = self._of(program_id).rule_sets
            for earlier in published.values():
                if earlier.request_id == rules.request_id:
                    return earlier
            stored = replace(rules, version=program.rule_set + 1)
            undo.put(published, stored.version, stored)
            undo.put(self._programs, program_id, replace(program, rule_set=stored.version))
            return stored

    def rule_set(self, program_id: ProgramId, version: int) -> StoredRuleSet | None:
        return self._of(program_id).rule_sets.get(version)

    def rule_sets(self, program_id: ProgramId, *, before: int | None, limit: int) -> list[StoredRuleSet]:
        with self._lock:
            published = self._of(program_id).rule_sets
            versions = sorted((v for v in published if before is None or v < before), reverse=True)
            return [published[version] for version in versions[:limit]]

    def enrol(self, program_id: ProgramId, member: Member, identifiers: Sequence[IdentifierRow]) -> Member:
        with self._changes() as undo:
            tables = self._of(program_id)
            keys = [(row.kind, row.token) for row in identifiers]
            taken = [tables.identifiers[key] for key in keys if key in tables.identifiers]
            stored = tables.members.get(member.member_id)
            if stored is not None:
                if stored.number == member.number or any(r.member_id == stored.member_id for r in taken):
                    return stored
                raise AlreadyExists("The member id is taken.", member_id=member.member_id)
            if taken:
                raise AlreadyExists("An identifier belongs to another member.", kind=taken[0].kind)
            claim_cards(undo, tables, keys, now=self._now_ms())
            account = Account(member.member_id, member.status, member.enrolled_ms)
            undo.put(tables.members, member.member_id, member)
            undo.put(tables.accounts, member.member_id, account)
            for row in identifiers:
                undo.put(tables.identifiers, (row.kind, row.token), row)
            self._changed(undo, program_id, member.member_id)
            undo.put(tables.made_ms, member.member_id, self._now_ms())
            return member

    def member(self, program_id: ProgramId, member_id: MemberId) -> Member | None:
        return self._of(program_id).members.get(member_id)

    def members(self, program_id: ProgramId, *, after: str, limit: int) -> list[Member]:
        with self._lock:
            members = self._of(program_id).members
            return [members[key] for key in sorted(members) if key > after][:limit]

    def set_status(self, program_id: ProgramId, member_id: MemberId, status: MemberStatus) -> bool:
        with self._changes() as undo:
            if not self._lives(program_id, member_id):
                return False
            locked = status is MemberStatus.OPEN and self._of(program_id).members[member_id].spend_locked
            return self._set_status(undo, program_id, member_id, MemberStatus.LOCKED if locked else status)

    def set_spend_lock(self, program_id: ProgramId, member_id: MemberId, *, locked: bool) -> Member | None:
        with self._changes() as undo:
            if not self._lives(program_id, member_id):
                return None
            members = self._of(program_id).members
            if members[member_id].spend_locked is not locked:
                undo.put(members, member_id, replace(members[member_id], spend_locked=locked))
                if members[member_id].status is not MemberStatus.BLOCKED:
                    status = MemberStatus.LOCKED if locked else MemberStatus.OPEN
                    self._set_status(undo, program_id, member_id, status)
            return members[member_id]

    def find(self, program_id: ProgramId, keys: Sequence[tuple[str, bytes]]) -> list[IdentifierRow]:
        with self._lock:
            identifiers = self._of(program_id).identifiers
            return [identifiers[key] for key in dict.fromkeys(keys) if key in identifiers]

    def identifiers(self, program_id: ProgramId, member_id: MemberId) -> list[IdentifierRow]:
        with self._lock:
            rows = [r for r in self._of(program_id).identifiers.values() if r.member_id == member_id]
            return sorted(rows, key=lambda row: (row.added_ms, row.kind, row.token))

    def add_identifier(self, program_id: ProgramId, row: IdentifierRow) -> bool:
        with self._changes() as undo:
            if not self._lives(program_id, row.member_id):
                return False
            self._add(undo, program_id, row)
            return True

    def _add(self, undo: Undo, program_id: ProgramId, row: IdentifierRow) -> None:
        tables = self._of(program_id)
        stored = tables.identifiers.get((row.kind, row.token))
        if stored is None:
            claim_cards(undo, tables, [(row.kind, row.token)], now=self._now_ms())
            undo.put(tables.identifiers, (row.kind, row.token), row)
            self._changed(undo, program_id, row.member_id)
        elif stored.member_id != row.member_id:
            raise AlreadyExists("The identifier belongs to another member.", kind=row.kind)

    def remove_identifier(self, program_id: ProgramId, member_id: MemberId, kind: str, token: bytes) -> bool:
        with self._changes() as undo:
            identifiers = self._of(program_id).identifiers
            stored = identifiers.get((kind, token))
            if stored is None or stored.member_id != member_id:
                return False
            undo.remove(identifiers, (kind, token))
            lose_cards(undo, self._of(program_id), [(kind, token)], now=self._now_ms())
            self._changed(undo, program_id, member_id)
            return True

    def replace_card(
        self,
        program_id: ProgramId,
        member_id: MemberId,
        *,
        old: IdentifierRow | None,
        new: Sequence[IdentifierRow],
        number: str,
    ) -> bool:
        with self._changes() as undo:
            tables, now = self._of(program_id), self._now_ms()
            if not self._lives(program_id, member_id):
                return False
            if old is not None:
                key = (old.kind, old.token)
                stored = tables.identifiers.get(key)
                if stored is None or stored.member_id != member_id:
                    return False
                undo.remove(tables.identifiers, key)
                for unknown in lose_cards(undo, tables, [key], now=now):
                    remember_lost(undo, tables, unknown, now=now)
            for row in new:
                self._add(undo, program_id, row)
            if number:
                undo.put(tables.members, member_id, replace(tables.members[member_id], number=number))
            self._changed(undo, program_id, member_id)
            return True

    def put_person(self, program_id: ProgramId, member_id: MemberId, sealed: bytes) -> None:
        with self._changes() as undo:
            if not self._lives(program_id, member_id):
                raise NotFound("There is no such member.", member_id=member_id)
            undo.put(self._of(program_id).persons, member_id, sealed)

    def persons(self, program_id: ProgramId, member_ids: Sequence[MemberId]) -> dict[MemberId, bytes]:
        with self._lock:
            persons = self._of(program_id).persons
            return {member_id: persons[member_id] for member_id in member_ids if member_id in persons}

    def erase(self, program_id: ProgramId, member_id: MemberId) -> bool:
        with self._changes() as undo:
            tables = self._of(program_id)
            if member_id not in tables.members:
                return False
            if member_id in tables.persons:
                undo.remove(tables.persons, member_id)
            held = self.identifiers(program_id, member_id)
            lose_cards(undo, tables, [(row.kind, row.token) for row in held], now=self._now_ms())
            for row in held:
                undo.remove(tables.identifiers, (row.kind, row.token))
            forget_baskets(undo, tables, member_id)
            for device in self.card_devices(program_id, member_id):
                undo.remove(tables.card_devices, (member_id, device.kid))
            forget_sign_ins(undo, tables, member_id, {row.token for row in held})
            erase_records(undo, tables, member_id)
            erase_referrals(undo, tables, member_id)
            erase_reviews(undo, tables, member_id)
            erase_notifications(undo, tables, member_id)
            erase_wants(undo, tables, member_id)
            forget_birthday(undo, tables, member_id)
            unlink_codes(undo, tables, member_id)
            forget_member(undo, tables, member_id)
            erased = self._set_status(undo, program_id, member_id, MemberStatus.ERASED)
            leave_for_good(undo, tables, member_id)
            forget_parts(undo, tables, member_id)
            return erased

    def _lives(self, program_id: ProgramId, member_id: MemberId) -> bool:
        member = self._of(program_id).members.get(member_id)
        return member is not None and member.status is not MemberStatus.ERASED

    def _set_status(
        self, undo: Undo, program_id: ProgramId, member_id: MemberId, status: MemberStatus
    ) -> bool:
        tables = self._of(program_id)
        undo.put(tables.members, member_id, replace(tables.members[member_id], status=status))
        undo.put(tables.accounts, member_id, replace(tables.accounts[member_id], status=status))
        self._changed(undo, program_id, member_id)
        return True

    def _changed(self, undo: Undo, program_id: ProgramId, member_id: MemberId) -> None:
        tables = self._of(program_id)
        undo.put(tables.changed_ms, member_id, self._now_ms())
        place = tables.belongings.get(member_id)
        if place is not None and place.part is not Part.ASKING:
            undo.put(tables.changed_ms, place.household_id, self._now_ms())

    def add_code(self, program_id: ProgramId, code: EnrolmentCode) -> None:
        with self._changes() as undo:
            codes = self._of(program_id).codes
            if code.code_hash in codes:
                raise AlreadyExists("The code exists.")
            undo.put(codes, code.code_hash, code)

    def codes(self, program_id: ProgramId, *, live_at: Ms) -> list[EnrolmentCode]:
        with self._lock:
            live = [code for code in self._of(program_id).codes.values() if _live(code, live_at)]
            return sorted(live, key=lambda code: (-code.expires_ms, code.code_hash))[:CODES_MAX]

    def spend_try(self, program_id: ProgramId, selector: str, *, live_at: Ms) -> list[EnrolmentCode]:
        with self._changes() as undo:
            codes = self._of(program_id).codes
            live = [code for code in codes.values() if code.selector == selector and _live(code, live_at)]
            tried = [replace(code, tries_left=code.tries_left - 1) for code in live]
            for code in tried:
                undo.put(codes, code.code_hash, code)
            return tried

    def use_code(self, program_id: ProgramId, code_hash: bytes, device: Device, *, now: Ms) -> bool:
        with self._changes() as undo:
            codes = self._of(program_id).codes
            code = codes.get(code_hash)
            if code is None or not _unused(code, now):
                return code is not None and code.used_by == device.device_id
            undo.put(codes, code_hash, replace(code, used_by=device.device_id))
            self._add_device(undo, program_id, device)
            return True

    def add_device(self, program_id: ProgramId, device: Device) -> None:
        with self._changes() as undo:
            self._add_device(undo, program_id, device)

    def _add_device(self, undo: Undo, program_id: ProgramId, device: Device) -> None:
        if device.device_id in self._devices:
            raise AlreadyExists("The device id is taken.", device_id=device.device_id)
        undo.put(self._devices, device.device_id, (program_id, device))

    def device(self, program_id: ProgramId, device_id: str) -> Device | None:
        owner, device = self._devices.get(device_id, (None, None))
        return device if owner == program_id else None

    def device_program(self, device_id: str) -> ProgramId | None:
        return self._devices[device_id][0] if device_id in self._devices else None

    def devices(self, program_id: ProgramId, *, after: str, limit: int) -> list[Device]:
        with self._lock:
            own = sorted(
                key for key, (owner, _) in self._devices.items() if owner == program_id and key > after
            )
            return [self._devices[key][1] for key in own[:limit]]

    def set_device_status(
        self, program_id: ProgramId, device_id: str, status: DeviceStatus, *, now: Ms
    ) -> bool:
        with self._changes() as undo:
            device = self.device(program_id, device_id)
            if device is None or device.status in (status, DeviceStatus.REVOKED):
                return device is not None and device.status is status
            changed = replace(device, status=status)
            if status is DeviceStatus.ACTIVE:
                changed = replace(changed, confirmed_ms=now)
            elif status is DeviceStatus.REVOKED:
                changed = replace(changed, revoked_ms=now)
            undo.put(self._devices, device_id, (program_id, changed))
            return True

    def set_device_key(
        self, program_id: ProgramId, device_id: str, *, public_jwk: str, kid: str, fingerprint: str
    ) -> bool:
        with self._changes() as undo:
            device = self.device(program_id, device_id)
            if device is None or device.status is DeviceStatus.REVOKED:
                return False
            keyed = replace(device, public_jwk=public_jwk, kid=kid, fingerprint=fingerprint)
            undo.put(self._devices, device_id, (program_id, keyed))
            return True

    def use_assertion(
        self, program_id: ProgramId, device_id: str, token_id: str, *, usable_until: Ms, now: Ms
    ) -> bool:
        with self._changes() as undo:
            assertions = self._of(program_id).assertions
            used = assertions.get(device_id, {})
            kept = {key: until for key, until in used.items() if until > now - ASSERTION_KEPT_MS}
            if token_id in kept:
                return False
            undo.put(assertions, device_id, {**kept, token_id: usable_until})
            return True

    def put_cashier(self, program_id: ProgramId, cashier: Cashier) -> bool:
        with self._changes() as undo:
            cashiers = self._of(program_id).cashiers
            key = (cashier.store_id, cashier.cashier_id)
            if key not in cashiers and len(self.cashiers(program_id, cashier.store_id)) >= CASHIERS_MAX:
                return False
            undo.put(cashiers, key, cashier)
            return True

    def cashier(self, program_id: ProgramId, store_id: str, cashier_id: str) -> Cashier | None:
        return self._of(program_id).cashiers.get((store_id, cashier_id))

    def cashiers(self, program_id: ProgramId, store_id: str) -> list[Cashier]:
        with self._lock:
            cashiers = self._of(program_id).cashiers
            return [cashiers[key] for key in sorted(cashiers) if key[0] == store_id]

    def count_wrong_pin(
        self,
        program_id: ProgramId,
        store_id: str,
        cashier_id: str,
        *,
        tries_max: int,
        lock_until: Ms,
        now: Ms,
    ) -> Cashier | None:
        with self._changes() as undo:
            cashier = self.cashier(program_id, store_id, cashier_id)
            if cashier is None:
                return None
            wrong, locked_ms = cashier.wrong_pins + 1, cashier.locked_until_ms
            if wrong >= tries_max:
                wrong, locked_ms = 0, lock_until
            elif locked_ms <= now:
                locked_ms = Ms(0)
            counted = replace(cashier, wrong_pins=wrong, locked_until_ms=locked_ms)
            undo.put(self._of(program_id).cashiers, (store_id, cashier_id), counted)
            return counted

    def clear_wrong_pins(self, program_id: ProgramId, store_id: str, cashier_id: str) -> None:
        with self._changes() as undo:
            cashier = self.cashier(program_id, store_id, cashier_id)
            if cashier is not None:
                cleared = replace(cashier, wrong_pins=0, locked_until_ms=Ms(0))
                undo.put(self._of(program_id).cashiers, (store_id, cashier_id), cleared)

    def add_card_device(self, program_id: ProgramId, device: CardDevice, *, most: int) -> CardDevice | None:
        with self._changes() as undo:
            if not self._lives(program_id, device.member_id):
                raise NotFound("There is no such member.", member_id=device.member_id)
            held = {one.kid: one for one in self.card_devices(program_id, device.member_id)}
            if device.kid in held:
                return held[device.kid]
            if sum(not one.revoked_ms for one in held.values()) >= most:
                return None
            undo.put(self._of(program_id).card_devices, (device.member_id, device.kid), device)
            return device

    def card_devices(self, program_id: ProgramId, member_id: MemberId) -> list[CardDevice]:
        with self._lock:
            own = [one for one in self._of(program_id).card_devices.values() if one.member_id == member_id]
            return sorted(own, key=lambda one: (one.registered_ms, one.kid))

    def renew_card_device(
        self, program_id: ProgramId, member_id: MemberId, kid: str, *, expires: Ms
    ) -> CardDevice | None:
        with self._changes() as undo:
            devices = self._of(program_id).card_devices
            device = devices.get((member_id, kid))
            if device is None or device.revoked_ms:
                return None
            renewed = replace(device, expires_ms=max(expires, device.expires_ms))
            undo.put(devices, (member_id, kid), renewed)
            return renewed

    def revoke_card_device(
        self, program_id: ProgramId, member_id: MemberId, kid: str, *, now: Ms
    ) -> CardDevice | None:
        with self._changes() as undo:
            devices = self._of(program_id).card_devices
            device = devices.get((member_id, kid))
            if device is None or device.revoked_ms:
                return device
            revoked = replace(device, revoked_ms=now)
            undo.put(devices, (member_id, kid), revoked)
            return revoked

    def forget_card_device(self, program_id: ProgramId, member_id: MemberId, kid: str) -> bool:
        with self._changes() as undo:
            devices = self._of(program_id).card_devices
            device = devices.get((member_id, kid))
            if device is None or not device.revoked_ms:
                return False
            undo.remove(devices, (member_id, kid))
            return True

    def revoked_devices(self, *, since: Ms) -> list[str]:
        with self._lock:
            devices = [device for _, device in self._devices.values()]
            revoked = [d for d in devices if d.status is DeviceStatus.REVOKED and d.revoked_ms >= since]
            ordered = sorted(revoked, key=lambda device: (device.revoked_ms, device.device_id))
            return [device.device_id for device in ordered[:REVOKED_MAX]]


def _unused(code: EnrolmentCode, at: Ms) -> bool:
    return not code.used_by and code.expires_ms > at


def _live(code: EnrolmentCode, at: Ms) -> bool:
    return _unused(code, at) and code.tries_left > 0
