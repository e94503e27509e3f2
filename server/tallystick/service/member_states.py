"""Members as the tills of one store keep them: tags instead of names, balances, and what is escrowed to the store."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence

from tallystick.core.ids import EPOCH_ORDINAL, CommandId, Ms, ProgramId
from tallystick.core.rules.membership import GRACE_DAYS_MAX
from tallystick.core.rules.model import DAY_MS
from tallystick.core.state import HoldKind, HoldStatus
from tallystick.security.scan_tags import store_tag
from tallystick.service.ports import TillMember
from tallystick.service.signed import Signer
from tallystick.v1 import advice_pb2, store_pb2

MEMBERS_MAX = 5_000
"""Most members in one message of the contract."""

MEMBERS_BYTES_MAX = 1_048_576
"""Most bytes of members in one message: leases and vouchers make some members large."""

GRANTS_MAX = 20_000
"""Most signed leases that are kept; with more, it starts anew."""


class Grants:
    """Signs each lease once, however often its member is told of."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._signed: dict[tuple[CommandId, int, int], advice_pb2.Signed] = {}

    def states(self, program_id: ProgramId, member: TillMember) -> list[store_pb2.LeaseState]:
        """Return the open leases of a member."""
        found = []
        for hold, till_id in zip(member.holds, member.hold_tills, strict=True):
            if hold.kind is not HoldKind.LEASE or hold.status is not HoldStatus.OPEN:
                continue
            mark = (hold.hold_id, hold.points, hold.ends_ms)
            grant = self._signed.get(mark)
            if grant is None:
                if len(self._signed) >= GRANTS_MAX:
                    self._signed.clear()
                grant = self._signed[mark] = self._signer.lease(program_id, member.member_id, hold)
            found.append(
                store_pb2.LeaseState(
                    grant=grant, remaining_points=hold.left, recalled=hold.recalled, till_id=till_id
                )
            )
        return found


def vouchers_used(member: TillMember, now_ms: Ms) -> bytes:
    """Return the vouchers of the store that no till takes any more: 16 bytes each."""
    return b"".join(
        uuid.UUID(hold.hold_id).bytes
        for hold in member.holds
        if hold.kind is HoldKind.VOUCHER
        and (hold.status is not HoldStatus.OPEN or hold.used or hold.ends_ms <= now_ms)
    )


def member_states(
    members: Sequence[TillMember],
    *,
    program_id: ProgramId,
    store_key: bytes,
    tier_numbers: Mapping[str, int],
    grants: Grants,
    now_ms: Ms,
) -> list[store_pb2.MemberState]:
    """Return what tills are told of members; a tier without a number counts as none."""
    states = []
    for member in members:
        state = store_pb2.MemberState(
            member_id=bytes.fromhex(member.member_id.replace("-", "")),
            seq=member.seq,
            active_points=member.active,
            tier=tier_numbers.get(member.tier_id, 0),
            status=int(member.status) - 1,
            tags=b"".join([store_tag(store_key, tag) for tag in member.scan_tags]),
        )
        if member.holds:
            state.leases.extend(grants.states(program_id, member))
            state.vouchers_used = vouchers_used(member, now_ms)
        oldest = now_ms // DAY_MS - GRACE_DAYS_MAX - 1
        for membership_id, last in member.memberships:
            if (last_day := last - EPOCH_ORDINAL) >= oldest:
                state.memberships.add(membership_id=membership_id, last_day=last_day)
        states.append(state)
    return states


def in_messages(states: Sequence[store_pb2.MemberState]) -> Iterator[list[store_pb2.MemberState]]:
    """Cut into pieces that fit into one message each; one empty piece for none."""
    piece: list[store_pb2.MemberState] = []
    size = 0
    for state in states:
        bytes_ = state.ByteSize() + 4
        if piece and (len(piece) >= MEMBERS_MAX or size + bytes_ > MEMBERS_BYTES_MAX):
            yield piece
            piece, size = [], 0
        piece.append(state)
        size += bytes_
    yield piece
