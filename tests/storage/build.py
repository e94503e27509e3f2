"""Entries, lots and holds made by hand, as a batch would write them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tallystick.core.advice import (
    TillChain,
    Verdict,
    VerdictKind,
    VerdictReason,
    digest_of,
    item_id_of,
)
from tallystick.core.basket import Assurance, Channel, Origin
from tallystick.core.chain import entry_digest, entry_ref, seal
from tallystick.core.codec import detail_to_text
from tallystick.core.entry import Detail, Entry, EntryKind, Moves, Refusal, Refused
from tallystick.core.ids import CommandId, MemberId, Ms, ProgramId
from tallystick.core.state import Account, Alloc, Hold, HoldKind, HoldStatus, Lot, MemberStatus
from tallystick.service.directory import Clock, Device, DeviceStatus, IdentifierRow, Member, Program
from tallystick.service.ports import InboxItem, InboxState, NewEntry, NewRefusal, WriteSet
from tallystick.storage import Store

PROGRAM = ProgramId("nordvik")
OTHER_PROGRAM = ProgramId("sudvik")
NOW = Ms(1_760_000_000_000)
YEAR_MS = 31_536_000_000


def member_id(number: int) -> MemberId:
    """A member's id; a greater number is a greater id."""
    return MemberId(str(uuid.UUID(int=(number << 96) | 0x4000_8000_0000_0000_0000, version=4)))


def command_id(number: int, *, salt: int = 0) -> CommandId:
    return CommandId(str(uuid.UUID(int=(salt << 64) | number | 1 << 127)))


def program(program_id: ProgramId = PROGRAM) -> Program:
    return Program(program_id, "Nordvik", Clock.LIVE, 0, NOW)


def member(number: int) -> Member:
    return Member(member_id(number), f"{number:012d}", MemberStatus.OPEN, NOW, int(Channel.STORE), "store-1")


def identifier(number: int, *, kind: str = "phone", token: bytes = b"") -> IdentifierRow:
    return IdentifierRow(kind, token or f"token-{number}".encode(), member_id(number), "•••• 1234", NOW)


def device(name: str, *, status: DeviceStatus = DeviceStatus.PENDING) -> Device:
    return Device(
        device_id=name,
        kind=1,
        role=2,
        store_id="store-1",
        label="Till 1",
        public_jwk='{"crv":"P-256"}',
        kid=f"kid-{name}",
        fingerprint="ab cd",
        status=status,
        enrolled_ms=NOW,
        confirmed_ms=Ms(0),
        revoked_ms=Ms(0),
    )


@dataclass
class SetClock:
    """A clock that stands until it is set."""

    now: Ms = NOW

    def __call__(self) -> Ms:
        return self.now


def till(name: str = "till-1", **more: object) -> TillChain:
    """A chain of a till in a store that has sent a few advices."""
    plain = TillChain(name, "store-1", 1, 3, b"h" * 32, contact_ms=NOW, drained_ms=NOW)
    return replace(plain, **more)  # type: ignore[arg-type]


def inbox_item(
    number: int,
    kind: VerdictKind = VerdictKind.PARKED,
    *,
    state: InboxState = InboxState.OPEN,
    **more: object,
) -> InboxItem:
    """An item as the gateway keeps it; a greater number was received later."""
    raw = f"advice {number}".encode()
    parked = kind is VerdictKind.PARKED
    verdict = Verdict(kind, (VerdictReason.SALE_UNKNOWN,), details=(("refusal", "SALE_UNKNOWN"),))
    item = InboxItem(
        item_id_of(digest_of(raw)),
        "till-1",
        "store-1",
        1,
        2,
        verdict,
        state,
        Ms(NOW + number),
        raw,
        command_id(77) if parked else "",
    )
    return replace(item, **more)  # type: ignore[arg-type]


@dataclass
class Change:
    """What one command does to one member."""

    kind: EntryKind
    moves: Moves
    command_id: CommandId
    lots_new: list[Lot] = field(default_factory=list)
    lots_changed: list[Lot] = field(default_factory=list)
    holds_new: list[Hold] = field(default_factory=list)
    holds_changed: list[Hold] = field(default_factory=list)
    reverses_seq: int = 0
    hold_id: str = ""
    detail: Detail = field(default_factory=Detail)
    origin: Origin = field(default_factory=lambda: Origin(NOW, Channel.STORE, "store-1", "till-7", "R-1"))
    due_ms: Ms | None = None


class Books:
    """Writes changes into a program of a store, one batch each, on one lane."""

    def __init__(self, store: Store, program_id: ProgramId = PROGRAM) -> None:
        self.store = store
        self.program_id = program_id
        self.lane_id = store.claim_lane()
        self._commands = 0
        self.store.create_program(program(program_id))

    def enrol(self, *numbers: int) -> None:
        for number in numbers:
            self.store.enrol(self.program_id, member(number), [])

    def next_command(self) -> CommandId:
        self._commands += 1
        return command_id(self._commands, salt=1 + self.lane_id)

    def account(self, number: int) -> Account:
        return self.store.read_accounts(self.program_id, [member_id(number)])[member_id(number)]

    def batch(self, changes: Iterable[tuple[Account, Change]], *, tail: tuple[int, bytes]) -> WriteSet:
        """The write set of changes, each on the account as it was loaded; several of one member follow each other."""
        made = WriteSet(recorded_ms=NOW)
        sums, refs = [0] * 9, []
        now: dict[MemberId, tuple[Account, Account]] = {}
        for loaded, change in changes:
            before, account = now.get(loaded.member_id, (loaded, loaded))
            new = self._entry(account, change)
            entry = new.entry
            after = replace(
                account,
                active=entry.active_after,
                pending=entry.pending_after,
                held=entry.held_after,
                debt=entry.debt_after,
                seq=entry.seq,
                as_of_ms=NOW,
                due_ms=account.due_ms if change.due_ms is None else change.due_ms,
            )
            now[loaded.member_id] = (before, after)
            made.entries.append(new)
            made.lots_new += [(loaded.member_id, lot) for lot in change.lots_new]
            made.lots_changed += [(loaded.member_id, lot) for lot in change.lots_changed]
            made.holds_new += [(loaded.member_id, hold) for hold in change.holds_new]
            made.holds_changed += [(loaded.member_id, hold) for hold in change.holds_changed]
            digest = entry_digest(entry, new.fingerprint, new.detail_text)
            refs.append(entry_ref(entry.member_id, entry.seq, digest))
            sums = [total + move for total, move in zip(sums, entry.moves, strict=True)]
        made.accounts = list(now.values())
        made.journal = seal(
            program_id=self.program_id,
            lane_id=self.lane_id,
            lane_seq=tail[0] + 1,
            recorded_ms=NOW,
            sums=tuple(sums),
            refs=refs,
            prev_hash=tail[1],
        )
        return made

    def post(self, *changes: tuple[int, Change]) -> WriteSet:
        """Write changes of members (by number) in one transaction."""
        with self.store.transaction(self.program_id) as transaction:
            accounts = transaction.lock_accounts({member_id(number) for number, _ in changes})
            pairs = [(accounts[member_id(number)], change) for number, change in changes]
            made = self.batch(pairs, tail=transaction.tail(self.lane_id))
            transaction.write(made)
        return made

    def earn(self, number: int, points: int = 100, **more: object) -> Change:
        """A change that earns points into a lot of the member's next entry."""
        seq = self.account(number).seq + 1
        lot = Lot(seq, points, points, NOW, Ms(NOW + YEAR_MS + seq))
        return Change(
            EntryKind.EARN,
            Moves(active=points, issued=-points),
            self.next_command(),
            lots_new=[lot],
            **more,  # type: ignore[arg-type]
        )

    def burn(self, number: int, points: int) -> Change:
        """A change that burns points from the member's first lot."""
        lot = self.store.read_lots(self.program_id, member_id(number))[0]
        return Change(
            EntryKind.BURN,
            Moves(active=-points, burned=points),
            self.next_command(),
            lots_changed=[replace(lot, remaining=lot.remaining - points)],
            detail=Detail(allocs=(Alloc(lot.lot_seq, points),)),
        )

    def hold(self, number: int, points: int) -> Change:
        """A change that holds points of the member's first lot."""
        lot = self.store.read_lots(self.program_id, member_id(number))[0]
        command = self.next_command()
        alloc = Alloc(lot.lot_seq, points)
        placed = Hold(
            command,
            self.account(number).seq + 1,
            points,
            HoldStatus.OPEN,
            Ms(NOW + 600_000),
            points,
            ("mug",),
            (alloc,),
            Assurance.STATIC_CARD,
        )
        return Change(
            EntryKind.HOLD,
            Moves(active=-points, held=points),
            command,
            lots_changed=[replace(lot, remaining=lot.remaining - points)],
            holds_new=[placed],
            hold_id=command,
            detail=Detail(allocs=(alloc,)),
        )

    def escrow(
        self,
        number: int,
        points: int,
        kind: HoldKind = HoldKind.LEASE,
        *,
        store_id: str = "store-1",
        ends_ms: Ms = Ms(NOW + 600_000),
    ) -> Change:
        """A change that escrows points of the member's first lot to a store."""
        change = self.hold(number, points)
        (placed,) = change.holds_new
        escrowed = replace(
            placed,
            reward_ids=(),
            expires_ms=Ms(ends_ms + 60_000),
            kind=kind,
            store_id=store_id,
            ends_ms=ends_ms,
        )
        entry_kind = EntryKind.LEASE if kind is HoldKind.LEASE else EntryKind.VOUCHER
        return replace(change, kind=entry_kind, holds_new=[escrowed])

    def write(self, changes: WriteSet) -> None:
        """Write a set of one's own in one transaction."""
        with self.store.transaction(self.program_id) as transaction:
            transaction.write(changes)

    def refusal(self, number: int, reason: Refusal = Refusal.INSUFFICIENT_POINTS) -> NewRefusal:
        refused = Refused(reason, (("available", "3"), ("needed", "5")))
        return NewRefusal(self.next_command(), member_id(number), b"f" * 16, refused)

    def _entry(self, account: Account, change: Change) -> NewEntry:
        moves = change.moves
        entry = Entry(
            command_id=change.command_id,
            member_id=account.member_id,
            seq=account.seq + 1,
            kind=change.kind,
            moves=moves,
            active_after=account.active + moves.active,
            pending_after=account.pending + moves.pending,
            held_after=account.held + moves.held,
            debt_after=account.debt - moves.debt,
            tier_after=account.tier.tier_id,
            rule_set=3,
            assurance=Assurance.SERVER_CODE,
            origin=change.origin,
            reverses_seq=change.reverses_seq,
            hold_id=change.hold_id,
            detail=change.detail,
        )
        return NewEntry(entry, b"f" * 16, detail_to_text(change.detail))
