"""Earned points taken back: from the lots that they made, then from others, then as the rule set's policy says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.core.draft import Draft
from tallystick.core.entry import Explanation
from tallystick.core.lots import burn_order
from tallystick.core.rules.model import SpentPolicy


class TakeBack:
    """Takes points back. ``lot_seqs`` are the entries that made their lots, the first to be taken from first."""

    def __init__(self, draft: Draft, policy: SpentPolicy, lot_seqs: Sequence[int]) -> None:
        self.draft = draft
        self.policy = policy
        self.lot_seqs = lot_seqs
        self.from_pending = 0
        self.from_active = 0
        self.owed = 0
        self.forgiven = 0

    @property
    def total(self) -> int:
        """Points taken back, now or as debt."""
        return self.from_pending + self.from_active + self.owed

    def run(self, points: int, *, also_active: int = 0) -> TakeBack:
        """Take up to ``points``; ``also_active`` has just come back into the lots but not yet into the balance."""
        draft = self.draft
        left = points
        for lot_seq in self.lot_seqs:
            own = draft.lots.get(lot_seq)
            if own is not None and own.pending:
                part = min(left, own.remaining)
                self.from_pending += part
                left -= part
                draft.lots[lot_seq] = replace(own, remaining=own.remaining - part)
        if self.policy is not SpentPolicy.ONLY_PENDING:
            self.from_active = min(left, draft.active + also_active)
            self._from_lots(self.from_active)
            left -= self.from_active
        if self.policy is SpentPolicy.DEBT:
            self.owed = left
        else:
            self.forgiven = left
        return self

    def _from_lots(self, points: int) -> None:
        draft = self.draft
        matured = [lot for lot in draft.lots.values() if not lot.pending and lot.remaining]
        own_first = sorted(matured, key=lambda lot: (lot.lot_seq not in self.lot_seqs, *burn_order(lot)))
        for lot in own_first:
            part = min(points, lot.remaining)
            points -= part
            draft.lots[lot.lot_seq] = replace(lot, remaining=lot.remaining - part)
        assert points == 0, "the account's active balance is the sum of its matured lots"

    def explanations(self, due: int, why: Explanation | None = None) -> list[Explanation]:
        """Say what was taken (``why``, or the plain words for it), what is owed, and what was let go."""
        parts = []
        if self.total or why:
            plain = Explanation("earned", 0, -self.total, "points_taken_back", (("due", str(due)),))
            parts.append(plain if why is None else why._replace(points=-self.total))
        if self.owed:
            parts.append(Explanation("debt", 0, 0, "points_owed", (("points", str(self.owed)),)))
        if self.forgiven:
            parts.append(Explanation("earned", 0, 0, "points_let_go", (("points", str(self.forgiven)),)))
        return parts
