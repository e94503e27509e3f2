"""Verification of recommendations: what a referrer is told to have got is what the ledger gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tallystick.core.entry import EntryKind
from tallystick.core.ids import CommandId
from tallystick.service.referral_ports import REFERRAL, Referral, ReferralState, pay_id
from tallystick.storage.refs import Difference
from tallystick.storage.snapshot import LedgerRow

_MARK = f'"{REFERRAL}"'
"""In the text of every detail of a pay-out; most entries have none and need not be kept."""


class ReferralPayments:
    """Takes entries in any order, then says which recommendations do not agree with them."""

    def __init__(self) -> None:
        self._given: dict[CommandId, int] = {}

    def entry(self, row: LedgerRow) -> None:
        """Take the next entry."""
        if row.entry.kind is EntryKind.EARN and _MARK in row.detail_text:
            self._given[row.entry.command_id] = -row.entry.moves.issued

    def differences(self, referrals: Iterable[Referral]) -> Iterator[Difference]:
        """Yield the recommendations whose points differ; while one is being paid its entries may be there or not."""
        for one in referrals:
            if one.state is ReferralState.PAYING:
                continue
            for side, points in (("referrer", one.referrer_points), ("joiner", one.joiner_points)):
                expected = self._given.get(pay_id(one.member_id, side), 0)
                told = points if one.state is ReferralState.PAID else 0
                if told != expected:
                    yield "referral", (one.member_id,), f"{expected} points for the {side}", f"{told}"
