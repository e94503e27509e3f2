"""Returns and reversals: what goods earned is taken back, what was burned on them goes back to its lots.

Every line of a sale keeps its own share. What is due for all that was returned so far, less what earlier returns
took, is what this return takes: so any series of partial returns sums exactly to one full return. A coupon stays used
when goods come back, and is free again when the whole sale is reversed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.core.challenge import reckon_back, take_awards_back
from tallystick.core.command import Return, ReturnLine, Reverse, SettleReturn, SettleUndo
from tallystick.core.draft import Draft
from tallystick.core.due import grace_ms
from tallystick.core.earn import count_credits
from tallystick.core.entry import (
    Detail,
    Entry,
    EntryKind,
    Explanation,
    LineShare,
    Moves,
    Refusal,
    Refused,
    ReturnedLine,
    refused,
)
from tallystick.core.ids import Minor, Ms
from tallystick.core.limited import uncount
from tallystick.core.lots import slice_allocs
from tallystick.core.record import record
from tallystick.core.rules.model import RuleSet, SpentPolicy
from tallystick.core.shared import sums_back
from tallystick.core.takeback import TakeBack

SOLD = (EntryKind.SALE, EntryKind.CAPTURE)
OVER_RETURN = "over_return"
"""Explains that a till took back more than was left of a sale."""


@record(frozen=True, slots=True)
class Due:
    """What is due of a sale for what was brought back: earned points, burned points, refund and credits."""

    earned: int
    burned: int
    discount: int
    credits: int
    amount: int


def post_return(
    draft: Draft, rules: RuleSet, command: Return, sale: Entry | None, before: Sequence[Entry]
) -> Refused | None:
    """Decide a return against its sale. ``before`` are the returns and reverses of that sale so far."""
    if no := _check_asks(command.lines):
        return no
    if sale is None or sale.kind not in SOLD or not sale.detail.lines:
        return refused(Refusal.SALE_UNKNOWN, sale_id=command.sale_id)
    effects = return_effects(sale.detail.lines, [entry.detail.returned for entry in before], command.lines)
    if isinstance(effects, Refused):
        return effects
    if _reversed(before):
        return refused(Refusal.ALREADY_REVERSED, sale_id=command.sale_id)
    _post(draft, rules, command, sale, before, *effects)
    return None


def settle_return(
    draft: Draft, rules: RuleSet, advice: SettleReturn, sale: Entry | None, before: Sequence[Entry]
) -> Refused | None:
    """Post a return that has already happened: as far as there was something left of the sale to return."""
    if no := _check_asks(advice.lines):
        return no
    if sale is None or sale.kind not in SOLD or not sale.detail.lines:
        return refused(Refusal.SALE_UNKNOWN, sale_id=advice.sale_id)
    lines = sale.detail.lines
    for ask in advice.lines:
        if not 1 <= ask.line_no <= len(lines):
            return refused(Refusal.LINE_UNKNOWN, line_no=ask.line_no, lines=len(lines))
    parts = [entry.detail.returned for entry in before]
    asks = () if _reversed(before) else _within(lines, _returned_so_far(lines, parts), advice.lines)
    effects = return_effects(lines, parts, asks)
    assert not isinstance(effects, Refused), "what is left can be returned"
    over = () if asks == advice.lines else (Explanation("return", 0, 0, OVER_RETURN),)
    _post(draft, rules, advice, sale, before, *effects, told=over)
    return None


def settle_undo(
    draft: Draft, rules: RuleSet, advice: SettleUndo, sale: Entry | None, before: Sequence[Entry]
) -> Refused | None:
    """Undo a sale that a till has already undone: what is left of it after its returns."""
    if sale is None or sale.kind not in SOLD or not sale.detail.lines:
        return refused(Refusal.SALE_UNKNOWN, sale_id=advice.sale_id)
    if not before:
        whole = Reverse(
            advice.command_id, advice.member_id, advice.origin, advice.sale_id, "undone at the till"
        )
        return reverse(draft, rules, whole, sale, before)
    lines = sale.detail.lines
    everything = tuple(
        ReturnLine(number, share.quantity_milli)
        for number, share in enumerate(lines, 1)
        if share.quantity_milli
    )
    parts = [entry.detail.returned for entry in before]
    asks = () if _reversed(before) else _within(lines, _returned_so_far(lines, parts), everything)
    effects = return_effects(lines, parts, asks)
    assert not isinstance(effects, Refused), "what is left can be returned"
    over = () if asks else (Explanation("return", 0, 0, OVER_RETURN),)
    _post(draft, rules, advice, sale, before, *effects, told=over)
    return None


def return_effects(
    lines: Sequence[LineShare], before: Sequence[Sequence[ReturnedLine]], asks: Sequence[ReturnLine]
) -> tuple[Due, tuple[ReturnedLine, ...]] | Refused:
    """Return what is due for goods brought back, and how much of which line that is; ``before`` came back earlier."""
    so_far = _returned_so_far(lines, before)
    new = _asked(lines, so_far, asks)
    if isinstance(new, Refused):
        return new
    return _due_between(lines, so_far, _add(so_far, new)), tuple(new)


def _check_asks(asks: Sequence[ReturnLine]) -> Refused | None:
    if not asks:
        return refused(Refusal.BASKET_EMPTY)
    for ask in asks:
        if min(ask.quantity_milli, ask.amount_minor) < 0 or not (ask.quantity_milli or ask.amount_minor):
            return refused(Refusal.BASKET_INVALID, line_no=ask.line_no)
    return None


def _reversed(before: Sequence[Entry]) -> bool:
    return any(entry.kind is EntryKind.REVERSE for entry in before)


def _within(
    lines: Sequence[LineShare], so_far: Sequence[ReturnedLine], asks: Sequence[ReturnLine]
) -> tuple[ReturnLine, ...]:
    """Cut what was asked for down to what is left of each line."""
    kept: list[ReturnLine] = []
    total = list(so_far)
    for ask in asks:
        share, old = lines[ask.line_no - 1], total[ask.line_no - 1]
        quantity = min(ask.quantity_milli, share.quantity_milli - old.quantity_milli)
        part = ReturnLine(
            ask.line_no, quantity, Minor(min(ask.amount_minor, share.amount_minor - old.amount_minor))
        )
        if part.quantity_milli or part.amount_minor:
            kept.append(part)
            total = _add(total, [_brought(share, old, part)])
    return tuple(kept)


def _post(
    draft: Draft,
    rules: RuleSet,
    command: Return | SettleReturn | SettleUndo,
    sale: Entry,
    before: Sequence[Entry],
    due: Due,
    returned: tuple[ReturnedLine, ...],
    *,
    told: tuple[Explanation, ...] = (),
) -> None:
    _take_and_give(
        draft,
        rules,
        command,
        sale,
        EntryKind.RETURN,
        earned=due.earned,
        burned=due.burned,
        credits=due.credits,
        restored_before=sum(entry.detail.restored_points for entry in before),
        earlier=[entry.detail.returned for entry in before],
        returned=returned,
        refund_minor=due.amount - due.discount,
        reason="",
        more=told,
    )


def _returned_so_far(
    lines: Sequence[LineShare], before: Sequence[Sequence[ReturnedLine]]
) -> list[ReturnedLine]:
    sums = [ReturnedLine(number, 0, Minor(0)) for number in range(1, len(lines) + 1)]
    for returned in before:
        sums = _add(sums, returned)
    return sums


def _add(sums: Sequence[ReturnedLine], more: Sequence[ReturnedLine]) -> list[ReturnedLine]:
    result = list(sums)
    for part in more:
        old = result[part.line_no - 1]
        result[part.line_no - 1] = ReturnedLine(
            part.line_no,
            old.quantity_milli + part.quantity_milli,
            Minor(old.amount_minor + part.amount_minor),
        )
    return result


def _asked(
    lines: Sequence[LineShare], so_far: Sequence[ReturnedLine], asks: Sequence[ReturnLine]
) -> list[ReturnedLine] | Refused:
    """Return what each line of the command brings back, by quantity and by amount."""
    total = list(so_far)
    for ask in asks:
        if not 1 <= ask.line_no <= len(lines):
            return refused(Refusal.LINE_UNKNOWN, line_no=ask.line_no, lines=len(lines))
    for ask in asks:
        share, old = lines[ask.line_no - 1], total[ask.line_no - 1]
        part = _brought(share, old, ask)
        left = share.quantity_milli - old.quantity_milli
        amount_left = share.amount_minor - old.amount_minor
        if part.quantity_milli > left or part.amount_minor > amount_left:
            by_amount = {} if ask.quantity_milli else {"amount_minor_left": amount_left}
            return refused(Refusal.OVER_RETURN, line_no=ask.line_no, quantity_milli_left=left, **by_amount)
        total = _add(total, [part])
    return [
        ReturnedLine(
            new.line_no, new.quantity_milli - old.quantity_milli, Minor(new.amount_minor - old.amount_minor)
        )
        for new, old in zip(total, so_far, strict=True)
        if new != old
    ]


def _brought(share: LineShare, old: ReturnedLine, ask: ReturnLine) -> ReturnedLine:
    """Return both the quantity and the amount of what is named by one of them."""
    if ask.quantity_milli:
        quantity, amount = _by_quantity(share, old, ask.quantity_milli)
    else:
        quantity, amount = _by_amount(share, old, ask.amount_minor)
    return ReturnedLine(ask.line_no, quantity, Minor(amount))


def _by_quantity(share: LineShare, old: ReturnedLine, quantity: int) -> tuple[int, int]:
    """The amount of a quantity, rounded down, cumulatively: the last piece brings the rest."""
    if old.quantity_milli + quantity >= share.quantity_milli:
        return quantity, share.amount_minor - old.amount_minor
    due = share.amount_minor * (old.quantity_milli + quantity) // share.quantity_milli
    return quantity, max(0, due - old.amount_minor)


def _by_amount(share: LineShare, old: ReturnedLine, amount: int) -> tuple[int, int]:
    """The quantity that an amount stands for, rounded down; the whole rest of the amount is the whole rest of it."""
    if share.amount_minor == 0 or old.amount_minor + amount >= share.amount_minor:
        return share.quantity_milli - old.quantity_milli, amount
    due = share.quantity_milli * (old.amount_minor + amount) // share.amount_minor
    return max(0, due - old.quantity_milli), amount


def _due_between(
    lines: Sequence[LineShare], before: Sequence[ReturnedLine], after: Sequence[ReturnedLine]
) -> Due:
    """Return what is due after, less what was due before; each rounded down per line, so the sums telescope."""
    first, last = _due(lines, before), _due(lines, after)
    return Due(
        last.earned - first.earned,
        last.burned - first.burned,
        last.discount - first.discount,
        last.credits - first.credits,
        last.amount - first.amount,
    )


def _due(lines: Sequence[LineShare], returned: Sequence[ReturnedLine]) -> Due:
    earned = burned = discount = credits = amount = 0
    for share, back in zip(lines, returned, strict=True):
        part, whole = int(back.amount_minor), int(share.amount_minor)
        if whole == 0:
            part, whole = back.quantity_milli, share.quantity_milli
        earned += share.earned_points * part // whole
        burned += share.burned_points * part // whole
        discount += share.discount_minor * part // whole
        credits += share.credits * part // whole
        amount += back.amount_minor
    return Due(earned, burned, discount, credits, amount)


def reverse(
    draft: Draft, rules: RuleSet, command: Reverse, target: Entry | None, before: Sequence[Entry]
) -> Refused | None:
    """Mirror an earlier entry whole. A sale with returns is brought back by further returns instead."""
    if target is None:
        return refused(Refusal.ENTRY_UNKNOWN, entry_id=command.entry_id)
    if _reversed(before):
        return refused(Refusal.ALREADY_REVERSED, entry_id=command.entry_id)
    kinds = (*SOLD, EntryKind.EARN, EntryKind.BURN, EntryKind.ADJUST)
    if before or target.kind not in kinds:
        return refused(Refusal.NOT_REVERSIBLE, entry_id=command.entry_id, kind=target.kind.name)
    moves = target.moves
    _take_and_give(
        draft,
        rules,
        command,
        target,
        EntryKind.REVERSE,
        earned=-moves.issued + max(0, -moves.adjusted),
        burned=moves.burned + max(0, moves.adjusted),
        credits=_credits_of(target),
        restored_before=0,
        earlier=(),
        returned=(),
        refund_minor=sum(share.amount_minor - share.discount_minor for share in target.detail.lines),
        reason=command.reason,
    )
    return None


def _credits_of(target: Entry) -> int:
    """Return what an entry counted towards the tier: by line for a sale, its points for an action that qualified."""
    if target.kind is EntryKind.EARN and target.detail.credit_day:
        return -target.moves.issued
    return sum(share.credits for share in target.detail.lines)


def _take_and_give(
    draft: Draft,
    rules: RuleSet,
    command: Return | Reverse | SettleReturn | SettleUndo,
    target: Entry,
    kind: EntryKind,
    *,
    earned: int,
    burned: int,
    credits: int,
    restored_before: int,
    earlier: Sequence[Sequence[ReturnedLine]],
    returned: tuple[ReturnedLine, ...],
    refund_minor: int,
    reason: str,
    more: tuple[Explanation, ...] = (),
) -> None:
    """Give burned points back to their lots, take earned points back, correct the credits, post it as one entry.

    Points that a store stood in for are given back to the store first: the member never had them.
    """
    at_ms = Ms(max(command.origin.occurred_ms, draft.account.as_of_ms))
    taken = sum(alloc.points for alloc in target.detail.allocs)
    to_store = min(burned, max(0, target.shortfall - restored_before))
    to_member = burned - to_store
    member_before = max(0, restored_before - target.shortfall)
    assert member_before + to_member <= taken, "never more goes back than was burned"
    back = slice_allocs(target.detail.allocs, member_before, to_member)
    draft.give_back(back, at_ms, grace_ms(rules, at_ms))
    policy = spent_policy(rules, by_mistake=kind is EntryKind.REVERSE)
    take = TakeBack(draft, policy, (target.seq,)).run(earned, also_active=to_member)
    so_far = _returned_so_far(target.detail.lines, earlier)
    now = _everything(target.detail.lines) if kind is EntryKind.REVERSE else _add(so_far, returned)
    reckoned = reckon_back(draft, rules, target, before=so_far, after=now, at_ms=at_ms)
    told = _correct_credits(draft, rules, target, credits, at_ms)
    by_hand = target.kind is EntryKind.ADJUST
    moves = Moves(
        active=to_member - take.from_active,
        pending=-take.from_pending,
        debt=-take.owed,
        issued=0 if by_hand else take.total,
        burned=0 if by_hand else -burned,
        store_loss=to_store,
        adjusted=take.total - burned if by_hand else 0,
    )
    if kind is EntryKind.REVERSE:
        uncount(draft, target)
    explanations = [*take.explanations(earned), *told, *reckoned.told, *more]
    if to_member:
        explanations.append(Explanation("burned", 0, to_member, "points_given_back"))
    draft.post(
        command_id=command.command_id,
        kind=kind,
        moves=moves,
        origin=command.origin,
        rule_set=rules.version,
        reverses_seq=target.seq,
        detail=Detail(
            explanations=tuple(explanations),
            returned=returned,
            due_points=earned,
            restored_points=burned,
            refund_minor=Minor(refund_minor),
            reason=reason,
            coupons=target.detail.coupons if kind is EntryKind.REVERSE else (),
            sums=sums_back(target.detail.shared, target.detail.lines, before=so_far, after=now),
        ),
    )
    cause = command.command_id
    take_awards_back(draft, rules, reckoned.moved, origin=command.origin, cause=cause, policy=policy)


def spent_policy(rules: RuleSet, *, by_mistake: bool) -> SpentPolicy:
    """Return what is done about points that are spent already.

    A mistake is undone also when its points have matured: the policy is about goods that come back late.
    """
    policy = rules.returns.spent
    late = by_mistake and policy is SpentPolicy.ONLY_PENDING
    return SpentPolicy.WITHIN_BALANCE if late else policy


def _everything(lines: Sequence[LineShare]) -> list[ReturnedLine]:
    return [
        ReturnedLine(number, share.quantity_milli, share.amount_minor)
        for number, share in enumerate(lines, 1)
    ]


def _correct_credits(
    draft: Draft, rules: RuleSet, target: Entry, credits: int, at_ms: int
) -> tuple[Explanation, ...]:
    """Take qualifying credits back: from the pending lot if they wait there, else from their day."""
    if not credits:
        return ()
    own = draft.lots.get(target.seq)
    if own is not None and own.pending:
        draft.lots[own.lot_seq] = replace(own, credits=own.credits - credits)
        return ()
    return count_credits(draft, rules, -credits, target.detail.credit_day, at_ms)
