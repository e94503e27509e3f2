"""A sale at the till: asked for where points or a budget are spent and the gateway is there, else decided here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tallystick.core.basket import Channel, Origin
from tallystick.core.command import Authority, AuthorityKind, Spend
from tallystick.core.entry import NO_DETAIL, LineShare, Refused
from tallystick.core.ids import CommandId, Minor
from tallystick.core.record import record
from tallystick.core.rules.model import RuleSet
from tallystick.core.standin import StandIn, held_memberships, stand_in_sale
from tallystick.security.keys import SigningKey
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import ledger_pb2, types_pb2
from tallystick.wire.advices import authority_to_pb, bytes_of, id_bytes
from tallystick.wire.basket import basket_to_pb, spend_from_pb, spend_to_pb
from tallystick.words import names_of
from tallystick_till.authority import NO_LIMITS, Burns, Limits
from tallystick_till.challenges import met
from tallystick_till.checks import check_ask, checked_id, refusal_of, stand_in_refusal
from tallystick_till.clock import TillClock
from tallystick_till.db import TillDb
from tallystick_till.errors import NO_RULES, OUTBOX_CORRUPT, CannotSell, SaleRefused
from tallystick_till.facts import Facts, Told, sale_points
from tallystick_till.giving_back import GivingBack
from tallystick_till.identify import People, Seen
from tallystick_till.link import Link
from tallystick_till.outbox import Outbox
from tallystick_till.ports import Gateway, GatewayAway, GatewayRefused, Identity
from tallystick_till.receipt import qr_digits, receipt_lines
from tallystick_till.rulebook import Rulebook
from tallystick_till.sales import DONE, GIVEN_UP, KeptSale, SaleBook, ask_hash, lines_of
from tallystick_till.types import (
    AuthorityView,
    Quote,
    Receipt,
    RefusalView,
    SaleAsk,
    SaleDone,
    VoucherView,
)
from tallystick_till.words import explained


@record(frozen=True, slots=True)
class _Plan:
    """A sale with everything about it that has been checked and looked up."""

    ask: SaleAsk
    rules: RuleSet
    seen: Seen
    spend: Spend | None
    reward_ids: tuple[str, ...]
    voucher: VoucherView | None
    budgeted: bool = False
    """Whether a rule would give points that only the gateway can count against its budget."""

    @property
    def burns(self) -> bool:
        return self.spend is not None or bool(self.reward_ids)


class Seller:
    """Sells. One sale at a time: the caller holds the till's lock."""

    def __init__(
        self,
        *,
        db: TillDb,
        identity: Identity,
        key: SigningKey,
        rulebook: Rulebook,
        clock: TillClock,
        link: Link,
        outbox: Outbox,
        facts: Facts,
        burns: Burns,
        people: People,
        sales: SaleBook,
        gateway: Gateway,
        giving_back: GivingBack,
        new_id: Callable[[], str],
        training: bool,
    ) -> None:
        self._db = db
        self._identity = identity
        self._key = key
        self._rulebook = rulebook
        self._clock = clock
        self._link = link
        self._outbox = outbox
        self._facts = facts
        self._burns = burns
        self._people = people
        self._sales = sales
        self._gateway = gateway
        self._giving_back = giving_back
        self._new_id = new_id
        self._training = training

    def quote(self, ask: SaleAsk) -> Quote:
        """Say what a sale would do. Nothing is kept."""
        plan = self._plan(ask)
        asks_gateway = self._asks_gateway(plan)
        # Without a burn nothing is asked for; that is standing in only when there is nobody to tell.
        stand_in = not asks_gateway and (plan.burns or not self._link.online)
        limits = self._limits(plan)
        available = limits.shown if asks_gateway else limits.available
        priced = self._price(plan, available)
        if isinstance(priced, StandIn):
            return self._quote_of(plan, priced, available, None, stand_in=stand_in)
        no = refusal_of(priced) if asks_gateway else stand_in_refusal(priced, limits)
        without = self._price(replace(plan, spend=None, reward_ids=()), 0)
        if isinstance(without, Refused):
            without = StandIn(0, 0, Minor(0), Minor(0), NO_DETAIL)
        return self._quote_of(plan, without, available, no, stand_in=stand_in)

    def _quote_of(
        self, plan: _Plan, priced: StandIn, available: int, no: RefusalView | None, *, stand_in: bool
    ) -> Quote:
        language, names = plan.ask.language, names_of(plan.rules)
        return Quote(
            priced.earned_points,
            priced.burned_points,
            priced.discount_minor,
            priced.payable_minor,
            max(0, available),
            tuple(explained(part, language, names) for part in priced.detail.explanations),
            no,
            stand_in,
        )

    def sale(self, ask: SaleAsk) -> SaleDone:
        """Sell. When this returns, the sale is on the disk; when it raises ``SaleRefused``, nothing has happened."""
        sale_id = CommandId(checked_id(ask.sale_id) or self._new_id())
        row = self._sales.row(sale_id)
        if row is not None and bytes(row[1]) != ask_hash(ask):
            raise SaleRefused("SALE_ID_REUSED", "This sale_id belongs to another sale: mint a new one.")
        if row is not None and row[0] == DONE:
            return self._sales.answer(row[3])
        if row is not None and row[0] == GIVEN_UP:
            raise SaleRefused(
                "SALE_ID_REUSED", "This sale got no answer and was given up: mint a new sale_id."
            )
        if row is None and self._db.one("SELECT 1 FROM advice WHERE advice_id = ?", sale_id):
            raise SaleRefused("SALE_ID_REUSED", "This sale_id belongs to something else: mint a new one.")
        self._check_safe()
        plan = self._plan(ask)
        request = bytes(row[2]) if row else b""
        if self._asks_gateway(plan) or request:
            plan = self._exact(plan, request)
            self._free_lease(plan)
        if self._asks_gateway(plan):
            done = self._ask_gateway(plan, sale_id, request=request)
            if done is not None:
                return done
            # News that came meanwhile hold what this till did, and what the scan was told does not.
            plan = replace(plan, seen=self._people.seen(plan.seen.member_id) or plan.seen)
        return self._stand_in(replace(plan, budgeted=False), sale_id)

    def _check_safe(self) -> None:
        """Raise ``CannotSell`` before anything is asked for or taken, when the sale could not be kept anyway."""
        self._db.probe()
        if self._db.fault or self._outbox.broken:
            raise CannotSell(self._db.fault or OUTBOX_CORRUPT)

    def _plan(self, ask: SaleAsk) -> _Plan:
        rules = self._rulebook.current
        if rules is None:
            # A damaged file gives no rules either; then that is what must be said.
            raise CannotSell(self._db.fault or NO_RULES)
        check_ask(ask, rules)
        seen, voucher = self._people.at_counter(ask.member_ref, ask.voucher)
        spend = ask.spend if ask.spend is not None and ask.spend.points else None
        rewards = ask.reward_ids
        if voucher is not None:
            if voucher.reward_id:
                rewards = rewards if voucher.reward_id in rewards else (*rewards, voucher.reward_id)
            elif spend is None:
                spend = Spend(voucher.points, up_to=True)
        plan = _Plan(ask, rules, seen, spend, rewards, voucher)
        return replace(plan, budgeted=True) if self._is_budgeted(plan) else plan

    def _is_budgeted(self, plan: _Plan) -> bool:
        if not plan.rules.budgets:
            return False
        priced = self._price(replace(plan, spend=None, reward_ids=()), 0)
        return isinstance(priced, StandIn) and any(
            why.code == "budget_needs_gateway" for why in priced.detail.explanations
        )

    def _asks_gateway(self, plan: _Plan) -> bool:
        """Return whether the gateway decides. A voucher counts by its signature, so that sale is reported."""
        asks = plan.burns or plan.budgeted
        return asks and plan.voucher is None and self._link.online and not self._burns.stop_asking()

    def _exact(self, plan: _Plan, request: bytes) -> _Plan:
        """Say exactly how many points are asked for, as in the request that was sent before, if one was.

        When no answer comes, the gateway may have sold it all the same; and what the till then sells by itself is
        the same sale only if it takes the same points.
        """
        if request:
            asked = ledger_pb2.PostSaleRequest.FromString(request)
            return replace(plan, spend=spend_from_pb(asked.spend) if asked.HasField("spend") else None)
        if plan.spend is None or not plan.spend.up_to:
            return plan
        priced = self._price(plan, self._limits(plan).shown)
        if isinstance(priced, Refused):
            return plan
        points = priced.burned_points - sum(reward.points for reward in priced.detail.rewards)
        return replace(plan, spend=Spend(points) if points else None)

    def _free_lease(self, plan: _Plan) -> None:
        """Give the store's lease back when the sale takes more points than lie outside of it."""
        member_id, told = plan.seen.member_id, plan.seen.told
        if not self._asks_gateway(plan) or not self._facts.lease_left(member_id):
            return
        priced = self._price(plan, self._limits(plan).shown)
        if isinstance(priced, StandIn) and priced.burned_points > self._facts.shown(
            member_id, told, leased=0
        ):
            self._giving_back.give_back(member_id)

    def _limits(self, plan: _Plan) -> Limits:
        shown = self._facts.shown(plan.seen.member_id, plan.seen.told)
        return self._burns.limits(
            plan.rules, plan.seen.member_id, shown=shown, stopped=plan.seen.stopped, voucher=plan.voucher
        )

    def _origin(self, plan: _Plan) -> Origin:
        identity = self._identity
        return Origin(
            self._clock.now_ms(), Channel.STORE, identity.store_id, identity.till_id, plan.ask.reference
        )

    def _price(self, plan: _Plan, available: int) -> StandIn | Refused:
        """Price by the core. What is limited counts the gateway, or counted when it issued the voucher."""
        bought = plan.voucher.reward_id if plan.voucher is not None else ""
        asks = self._asks_gateway(plan)
        return stand_in_sale(
            plan.rules,
            basket=plan.ask.basket,
            origin=self._origin(plan),
            tier_id=plan.seen.tier_id,
            memberships=plan.seen.memberships,
            spend=plan.spend,
            reward_ids=plan.reward_ids,
            available=available,
            assurance=plan.seen.assurance,
            counted=asks or plan.reward_ids == (bought,),
            away=not (asks and plan.budgeted),
            member_id=plan.seen.member_id,
        )

    def _ask_gateway(self, plan: _Plan, sale_id: CommandId, *, request: bytes) -> SaleDone | None:
        """Let the gateway decide; None when it does not answer, and then it may have decided all the same.

        None, too, when it refuses a sale that spends nothing: goods are sold whatever becomes of a campaign.
        """
        first = not request
        if first:
            request = bytes_of(self._request(plan, sale_id))
            self._sales.note_asking(sale_id, plan.ask, request, self._clock.now_ms())
        try:
            response = self._gateway.post_sale(ledger_pb2.PostSaleRequest.FromString(request))
        except GatewayAway:
            self._link.away()
            return None
        except GatewayRefused as error:
            if first:
                self._sales.drop_asking(sale_id)
            if self._link.refused(error.reason) or not plan.burns:
                return None
            raise SaleRefused(error.reason, str(error), error.details) from error
        self._link.answered()
        decision = response.decision
        if decision.WhichOneof("outcome") != "posted":
            self._sales.drop_asking(sale_id)
            if not plan.burns:
                return None
            name = ledger_pb2.RefusalReason.Name(decision.refused.reason)
            raise SaleRefused(
                name.removeprefix("REFUSAL_REASON_"), decision.refused.message, dict(decision.refused.details)
            )
        return self._keep_posted(plan, sale_id, decision.posted)

    def _request(self, plan: _Plan, sale_id: CommandId) -> ledger_pb2.PostSaleRequest:
        return ledger_pb2.PostSaleRequest(
            command_id=sale_id,
            member_id=plan.seen.member_id,
            basket=basket_to_pb(plan.ask.basket),
            spend=spend_to_pb(plan.spend) if plan.spend else None,
            reward_ids=plan.reward_ids,
            assurance=types_pb2.Assurance.ValueType(plan.seen.assurance + 1),
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE, reference=plan.ask.reference),
        )

    def _keep_posted(self, plan: _Plan, sale_id: CommandId, posted: ledger_pb2.Posted) -> SaleDone:
        gains, entry = posted.benefits, posted.entry
        shares = tuple(
            LineShare(
                line.amount_minor,
                line.quantity_milli,
                Minor(share.discount_minor),
                share.earned_points,
                share.burned_points,
            )
            for line, share in zip(plan.ask.basket.lines, gains.lines, strict=True)
        )
        authority = (AuthorityView("server", gains.burned_points),) if gains.burned_points else ()
        spendable = 0 if plan.rules.earning.pending_days else gains.earned_points
        leased = self._facts.lease_left(plan.seen.member_id)
        with self._db.write() as tx:
            self._facts.add(
                tx,
                sale_id,
                plan.seen.member_id,
                spendable - gains.burned_points,
                member_seq=entry.seq,
            )
            priced = self._kept(
                plan,
                sale_id,
                StandIn(
                    gains.earned_points,
                    gains.burned_points,
                    Minor(gains.discount_minor),
                    Minor(gains.payable_minor),
                    replace(NO_DETAIL, lines=shares),
                ),
            )
            kept = replace(priced, met=met(posted.challenges_met))
            # What this till has done and not reported yet is not in the gateway's balance.
            told = Told(entry.balance_after.active, self._facts.answered_ids(plan.seen.member_id))
            balance = self._facts.shown(plan.seen.member_id, told, leased=leased)
            answer = self._answer(kept, plan, authority, balance=balance, qr="", stand_in=False)
            self._sales.keep(tx, kept, answer, ask_hash(plan.ask))
        return answer

    def _stand_in(self, plan: _Plan, sale_id: CommandId) -> SaleDone:
        """Decide here: what is burned is taken out of its authority first, then everything is written at once."""
        limits = self._limits(plan) if plan.burns else NO_LIMITS
        priced = self._price(plan, limits.available)
        if isinstance(priced, Refused):
            no = stand_in_refusal(priced, limits)
            raise SaleRefused(no.reason, details=no.details)
        rights: tuple[Authority, ...] = ()
        if priced.burned_points:
            rights = self._burns.take(
                limits, plan.seen.member_id, sale_id, priced.burned_points, plan.voucher
            )
        return self._keep_stand_in(plan, sale_id, priced, rights)

    def _keep_stand_in(
        self, plan: _Plan, sale_id: CommandId, priced: StandIn, rights: tuple[Authority, ...]
    ) -> SaleDone:
        by_floor = sum(right.points for right in rights if right.kind is AuthorityKind.FLOOR)
        by_voucher = sum(right.points for right in rights if right.kind is AuthorityKind.VOUCHER)
        spare = plan.voucher.points - by_voucher if plan.voucher and by_voucher else 0
        points = sale_points(plan.rules, earned=priced.earned_points, by_floor=by_floor, voucher_spare=spare)
        advice = self._advice(plan, sale_id, priced, rights)
        leased = self._facts.lease_left(plan.seen.member_id)
        with self._db.write() as tx:
            appended = self._outbox.append(
                tx, advice, told_points=priced.earned_points, floor_points=by_floor
            )
            self._facts.add(tx, sale_id, plan.seen.member_id, points)
            kept = self._kept(plan, sale_id, priced)
            authority = tuple(AuthorityView(right.kind.name.lower(), right.points) for right in rights)
            answer = self._answer(
                kept,
                plan,
                authority,
                balance=self._facts.shown(plan.seen.member_id, plan.seen.told, leased=leased),
                qr=qr_digits(self._key, appended.raw),
                stand_in=plan.burns or not self._link.online,
            )
            self._sales.keep(tx, kept, answer, ask_hash(plan.ask))
        return answer

    def _advice(
        self, plan: _Plan, sale_id: CommandId, priced: StandIn, rights: tuple[Authority, ...]
    ) -> pb.Advice:
        rules = plan.rules
        return pb.Advice(
            advice_id=id_bytes(sale_id),
            rule_set=rules.version,
            rule_set_sha256=bytes.fromhex(rules.sha256),
            member_id=id_bytes(plan.seen.member_id),
            assurance=types_pb2.Assurance.ValueType(plan.seen.assurance + 1),
            reference=plan.ask.reference,
            cashier_id=(self._db.get("cashier") or b"").decode(),
            sale=pb.SaleFact(
                basket=basket_to_pb(plan.ask.basket),
                spend=spend_to_pb(plan.spend) if plan.spend else None,
                reward_ids=plan.reward_ids,
                earned_points=priced.earned_points,
                burned_points=priced.burned_points,
                discount_minor=priced.discount_minor,
                tier_id=plan.seen.tier_id,
                authorities=[authority_to_pb(right) for right in rights],
                membership_ids=held_memberships(plan.rules, plan.seen.memberships, self._clock.now_ms()),
            ),
        )

    def _kept(self, plan: _Plan, sale_id: CommandId, priced: StandIn) -> KeptSale:
        return KeptSale(
            sale_id,
            plan.seen.member_id,
            self._clock.now_ms(),
            plan.ask.reference,
            plan.rules.version,
            priced.earned_points,
            priced.burned_points,
            priced.discount_minor,
            priced.payable_minor,
            priced.detail.lines,
            lines_of(plan.ask.basket, plan.ask.texts),
        )

    def _answer(
        self,
        kept: KeptSale,
        plan: _Plan,
        authority: tuple[AuthorityView, ...],
        *,
        balance: int,
        qr: str,
        stand_in: bool,
    ) -> SaleDone:
        lines = receipt_lines(
            sale_id=kept.sale_id,
            currency=plan.rules.currency,
            earned=kept.earned,
            burned=kept.burned,
            discount_minor=kept.discount_minor,
            balance=balance,
            has_code=bool(qr),
            training=self._training,
            language=plan.ask.language,
        )
        return SaleDone(
            kept.sale_id,
            kept.member_id,
            kept.earned,
            kept.burned,
            kept.discount_minor,
            kept.payable_minor,
            balance,
            stand_in,
            authority,
            Receipt(lines, qr),
        )
