"""Goods that come back, and sales rung up by mistake. Both are facts: reported, never refused by the gateway."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import NamedTuple

from google.protobuf.message import Message

from tallystick.core.command import ReturnLine
from tallystick.core.entry import Refused, ReturnedLine
from tallystick.core.ids import CommandId, MemberId, Minor
from tallystick.core.rules.model import RuleSet, SpentPolicy
from tallystick.core.standin import stand_in_return
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import ledger_pb2, types_pb2
from tallystick.wire.advices import id_bytes
from tallystick_till.checks import check_reference, checked_id, refusal_of
from tallystick_till.clock import TillClock
from tallystick_till.db import TillDb
from tallystick_till.errors import NO_RULES, CannotSell, SaleRefused
from tallystick_till.facts import Facts, taken_now
from tallystick_till.identify import People
from tallystick_till.link import Link
from tallystick_till.outbox import Outbox
from tallystick_till.ports import Gateway, GatewayAway, GatewayRefused
from tallystick_till.rulebook import Rulebook
from tallystick_till.sales import KeptSale, SaleBook
from tallystick_till.types import ReturnAsk, ReturnDone, ReturnedView, ReturnPreview, UndoDone

LINES_MAX = 500


class _Effect(NamedTuple):
    """What a return does. ``fact_points`` is the change of the spendable points."""

    refund_minor: int
    taken: int
    restored: int
    debt: int
    fact_points: int
    returned: tuple[ReturnedLine, ...]
    exact: bool


class _Target(NamedTuple):
    """The sale of a return: known here, or by its id and member only."""

    sale_id: CommandId
    member_id: MemberId
    kept: KeptSale | None


class Returner:
    """Takes goods back and undoes sales. One at a time: the caller holds the till's lock."""

    def __init__(
        self,
        *,
        db: TillDb,
        rulebook: Rulebook,
        clock: TillClock,
        link: Link,
        outbox: Outbox,
        facts: Facts,
        people: People,
        sales: SaleBook,
        gateway: Gateway,
        new_id: Callable[[], str],
    ) -> None:
        self._db = db
        self._rulebook = rulebook
        self._clock = clock
        self._link = link
        self._outbox = outbox
        self._facts = facts
        self._people = people
        self._sales = sales
        self._gateway = gateway
        self._new_id = new_id

    def preview(self, ask: ReturnAsk) -> ReturnPreview:
        """Say what a return would do; nothing is kept. Raises ``SaleRefused``."""
        rules = self._rules()
        target = self._target(ask)
        effect = self._effect(rules, target, ask.lines)
        balance = max(0, self._shown(target.member_id) + effect.fact_points)
        return ReturnPreview(
            effect.refund_minor,
            effect.taken,
            effect.restored,
            effect.debt,
            balance,
            _views(effect.returned),
            effect.exact,
        )

    def give_back(self, ask: ReturnAsk) -> ReturnDone:
        """Take goods back. When this returns it is on the disk; the same ``return_id`` gets the same answer again."""
        return_id = CommandId(checked_id(ask.return_id) or self._new_id())
        hash_of_ask = hashlib.sha256(repr(dataclasses.replace(ask, return_id="")).encode()).digest()
        row = self._db.one("SELECT ask_hash, record FROM give_back WHERE return_id = ?", return_id)
        if row is not None:
            if bytes(row[0]) != hash_of_ask:
                raise SaleRefused(
                    "RETURN_ID_REUSED", "This return_id belongs to another return: mint a new one."
                )
            return _done_from_json(json.loads(row[1])["answer"], self._outbox.state_of(return_id))
        self._refuse_used(return_id)
        check_reference(ask.reference)
        rules = self._rules()
        target = self._target(ask)
        effect = self._effect(rules, target, ask.lines)
        fact = pb.ReturnFact(
            sale_id=id_bytes(target.sale_id),
            lines=[
                pb.ReturnedGoods(line_no=line.line_no, quantity_milli=line.quantity_milli)
                for line in effect.returned
            ],
            refund_minor=effect.refund_minor,
        )
        advice = self._advice(rules, return_id, target.member_id, ask.reference, goods_return=fact)
        leased = self._facts.lease_left(target.member_id)
        with self._db.write() as tx:
            self._outbox.append(tx, advice)
            self._facts.add(tx, return_id, target.member_id, effect.fact_points)
            if target.kept is not None:
                self._sales.keep_elsewhere(tx, target.kept)
            answer = ReturnDone(
                return_id,
                target.sale_id,
                effect.refund_minor,
                effect.taken,
                effect.restored,
                effect.debt,
                self._shown(target.member_id, leased),
                _views(effect.returned),
                effect.exact,
                "queued",
            )
            record = {
                "returned": [list(line) for line in effect.returned],
                "answer": dataclasses.asdict(answer),
            }
            tx.execute(
                "INSERT INTO give_back VALUES (?, ?, ?, ?, ?)",
                (return_id, target.sale_id, hash_of_ask, advice.clock.occurred_ms, json.dumps(record)),
            )
        return answer

    def undo(self, sale_id: str, undo_id: str = "") -> UndoDone:
        """Undo a sale of this till, whole or what is left of it after returns. Raises ``SaleRefused``."""
        kept = self._sales.find(checked_id(sale_id), own=True)
        if kept is None:
            raise SaleRefused("SALE_UNKNOWN", "This till did not make that sale.")
        new_id = CommandId(checked_id(undo_id) or self._new_id())
        if kept.undo_id:
            if kept.undo_id != new_id:
                raise SaleRefused("ALREADY_REVERSED", "This sale has been undone.")
            row = self._db.one("SELECT undo_answer FROM sale WHERE sale_id = ?", kept.sale_id)
            assert row is not None, "an undo is kept with its answer"
            return UndoDone(**json.loads(row[0]))
        self._refuse_used(new_id)
        if self._sales.returned(kept.sale_id) and not self._left(kept):
            raise SaleRefused("OVER_RETURN", "All of that sale has come back already.")
        return self.append_undo(kept, new_id)

    def append_undo(self, kept: KeptSale, undo_id: CommandId) -> UndoDone:
        """Report the undo of a sale, in the running transaction or in one of its own."""
        rules = self._rules()
        effect = self._rest_of(rules, kept)
        fact = pb.UndoFact(sale_id=id_bytes(kept.sale_id))
        advice = self._advice(rules, undo_id, kept.member_id, kept.reference, undo=fact)
        leased = self._facts.lease_left(kept.member_id)
        with self._db.write() as tx:
            self._outbox.append(tx, advice)
            self._facts.add(tx, undo_id, kept.member_id, effect.fact_points)
            balance = self._shown(kept.member_id, leased)
            answer = UndoDone(undo_id, kept.sale_id, effect.restored, effect.taken, balance)
            tx.execute(
                "UPDATE sale SET undo_id = ?, undo_answer = ? WHERE sale_id = ?",
                (undo_id, json.dumps(dataclasses.asdict(answer)), kept.sale_id),
            )
        return answer

    def _rest_of(self, rules: RuleSet, kept: KeptSale) -> _Effect:
        before = self._sales.returned(kept.sale_id)
        if not before:
            return self._with_policy(
                rules, kept, refund=kept.payable_minor, taken=kept.earned, restored=kept.burned, returned=()
            )
        found = stand_in_return(kept.shares, before, self._left(kept))
        assert not isinstance(found, Refused), "what is left can be returned"
        return self._with_policy(
            rules,
            kept,
            refund=found.refund_minor,
            taken=found.taken_points,
            restored=found.restored_points,
            returned=found.returned,
        )

    def _left(self, kept: KeptSale) -> tuple[ReturnLine, ...]:
        """Return what has not come back yet, as far as this till knows."""
        left = {number: share.quantity_milli for number, share in enumerate(kept.shares, 1)}
        for lines in self._sales.returned(kept.sale_id):
            for line in lines:
                left[line.line_no] -= line.quantity_milli
        return tuple(ReturnLine(number, quantity) for number, quantity in left.items() if quantity > 0)

    def _rules(self) -> RuleSet:
        if self._rulebook.current is None:
            raise CannotSell(NO_RULES)
        return self._rulebook.current

    def _shown(self, member_id: MemberId, leased: int | None = None) -> int:
        seen = self._people.seen(member_id)
        return self._facts.shown(member_id, seen.told if seen else None, leased=leased)

    def _refuse_used(self, new_id: CommandId) -> None:
        used = self._db.one(
            "SELECT 1 FROM advice WHERE advice_id = ?1 UNION ALL SELECT 1 FROM sale WHERE sale_id = ?1",
            new_id,
        )
        if used:
            raise SaleRefused("RETURN_ID_REUSED", "This id belongs to something else: mint a new one.")

    def _target(self, ask: ReturnAsk) -> _Target:
        if not 0 < len(ask.lines) <= LINES_MAX:
            raise SaleRefused("BASKET_EMPTY", "Name the lines that come back.")
        if len({line.line_no for line in ask.lines}) != len(ask.lines):
            raise SaleRefused("INVALID_INPUT", "Each line of the sale may be named once.")
        if any(line.quantity_milli <= 0 for line in ask.lines):
            raise SaleRefused("BASKET_INVALID", "The quantity of each line is at least one thousandth.")
        if ask.receipt:
            found = self._people.find(ask.receipt)
            if not isinstance(found, KeptSale):
                reason = getattr(found, "reason", "FORMAT")
                raise SaleRefused(f"RECEIPT_{reason}", "This receipt does not count here.")
            return _Target(found.sale_id, found.member_id, found)
        sale_id = CommandId(checked_id(ask.sale_id))
        kept = self._sales.find(sale_id, own=False)
        if kept is not None:
            return _Target(sale_id, kept.member_id, kept)
        member_id = MemberId(checked_id(ask.member_ref))
        if not sale_id or not member_id:
            raise SaleRefused("SALE_UNKNOWN", "This till does not know that sale: scan the receipt's code.")
        return _Target(sale_id, member_id, None)

    def _effect(self, rules: RuleSet, target: _Target, asks: tuple[ReturnLine, ...]) -> _Effect:
        kept = target.kept
        if kept is None:
            return self._effect_online(target, asks)
        if kept.undo_id:
            raise SaleRefused("ALREADY_REVERSED", "This sale has been undone.")
        found = stand_in_return(kept.shares, self._sales.returned(kept.sale_id), asks)
        if isinstance(found, Refused):
            view = refusal_of(found)
            raise SaleRefused(view.reason, details=view.details)
        own = self._sales.find(kept.sale_id, own=True) is not None
        return self._with_policy(
            rules,
            kept,
            refund=found.refund_minor,
            taken=found.taken_points,
            restored=found.restored_points,
            returned=found.returned,
        )._replace(exact=own)

    def _with_policy(
        self,
        rules: RuleSet,
        kept: KeptSale,
        *,
        refund: int,
        taken: int,
        restored: int,
        returned: tuple[ReturnedLine, ...],
    ) -> _Effect:
        """Say where the points come from that a return takes, by the rule set's policy for points spent meanwhile."""
        pinned = self._rulebook.version(kept.rule_set) or rules
        now_ms = int(self._clock.now_ms())
        active = taken_now(pinned, taken, sold_ms=kept.occurred_ms, now_ms=now_ms)
        has = self._shown(kept.member_id) + restored
        matured = now_ms >= kept.occurred_ms + pinned.earning.pending_days * 86_400_000
        debt = max(0, active - has) if pinned.returns.spent is SpentPolicy.DEBT else 0
        if matured and pinned.returns.spent is not SpentPolicy.DEBT:
            taken = min(active, has)
        return _Effect(refund, taken, restored, debt, restored - min(active, has), returned, exact=True)

    def _effect_online(self, target: _Target, asks: tuple[ReturnLine, ...]) -> _Effect:
        """Ask the gateway about a sale that is not known here. Raises ``SaleRefused`` when it does not answer."""
        request = ledger_pb2.PreviewReturnRequest(
            member_id=target.member_id,
            sale_id=target.sale_id,
            lines=[
                ledger_pb2.ReturnLine(line_no=ask.line_no, quantity_milli=ask.quantity_milli) for ask in asks
            ],
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE),
        )
        try:
            response = self._gateway.preview_return(request)
        except GatewayAway:
            self._link.away()
            raise SaleRefused(
                "SALE_UNKNOWN",
                "This till does not know that sale, and the gateway is away: scan the receipt's code.",
            ) from None
        except GatewayRefused as error:
            self._link.refused(error.reason)
            raise SaleRefused(error.reason, str(error), error.details) from error
        self._link.answered()
        if response.WhichOneof("outcome") != "previewed":
            no = response.refused
            name = ledger_pb2.RefusalReason.Name(no.reason).removeprefix("REFUSAL_REASON_")
            raise SaleRefused(name, no.message, dict(no.details))
        told = response.previewed
        returned = tuple(
            ReturnedLine(line.line_no, line.quantity_milli, Minor(line.amount_minor))
            for line in told.returned.lines
        )
        change = told.balance_after.active - told.balance_before.active
        gains = told.returned
        return _Effect(
            gains.refund_minor,
            gains.due_points,
            gains.restored_points,
            gains.debt_points,
            change,
            returned,
            exact=True,
        )

    def _advice(
        self,
        rules: RuleSet,
        advice_id: CommandId,
        member_id: MemberId,
        reference: str,
        **fact: Message,
    ) -> pb.Advice:
        advice = pb.Advice(
            advice_id=id_bytes(advice_id),
            rule_set=rules.version,
            rule_set_sha256=bytes.fromhex(rules.sha256),
            member_id=id_bytes(member_id),
            assurance=types_pb2.ASSURANCE_TYPED,
            reference=reference,
            cashier_id=(self._db.get("cashier") or b"").decode(),
        )
        for name, message in fact.items():
            getattr(advice, name).CopyFrom(message)
        return advice


def _views(returned: tuple[ReturnedLine, ...]) -> tuple[ReturnedView, ...]:
    return tuple(ReturnedView(line.line_no, line.quantity_milli, line.amount_minor) for line in returned)


def _done_from_json(fields: dict[str, object], state: str) -> ReturnDone:
    lines = fields["lines"]
    assert isinstance(lines, list), "a record of this program"
    views = tuple(ReturnedView(**line) for line in lines)
    state = state if state == "queued" else "posted"
    return ReturnDone(**{**fields, "lines": views, "state": state})  # type: ignore[arg-type]
