"""One member's life, decided at every place that decides; whatever they do not agree on is an error."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import yaml

from tallystick.core.command import (
    Authority,
    AuthorityKind,
    Capture,
    CatchUp,
    Command,
    CouponRef,
    PlaceHold,
    Return,
    ReturnLine,
    Sale,
    SettleSale,
    Spend,
)
from tallystick.core.coupon import CouponUse
from tallystick.core.decide import NO_REFS, Outcome, Refs, decide
from tallystick.core.entry import Decision, Detail, Entry, Posted, Refusal, Refused
from tallystick.core.ids import CommandId, MemberId, Minor, Ms
from tallystick.core.lots import local_day, midnight_ms
from tallystick.core.rules.membership import last_days
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.core.standin import ReturnPreview, StandIn, stand_in_return, stand_in_sale
from tallystick.core.state import Account, MemberState, MemberStatus
from tallystick.reports.history import History, Past, PastReturn, PastSale
from tallystick.reports.replay import Life, Replayed, replay
from tallystick.service.programs import CheckedText, check_text
from tallystick.service.rule_text import canonical_json
from tests.agreement.drawing import (
    draw_assurance,
    draw_basket,
    draw_document,
    draw_instants,
    draw_origin,
)

MEMBER = MemberId("0190a000-0000-7000-8000-00000000000a")
SALES_A_LIFE = 12
ONLY_THE_GATEWAY_TELLS = {"debt_repaid", "tier_reached", "membership_paid"}
ONLY_OF_A_HOLD = (Refusal.HOLD_TTL, Refusal.HOLDS_TOO_MANY, Refusal.BELOW_MINIMUM)


@dataclass
class Lived:
    """What was compared in how many lives, for the report: every kind of outcome must have been met."""

    sales: int = 0
    returns: int = 0
    checkouts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Lived) -> None:
        self.sales += other.sales
        self.returns += other.returns
        self.checkouts += other.checkouts
        self.outcomes += other.outcomes
        self.codes += other.codes


def rules_at_both_ends(document: dict[str, Any]) -> tuple[RuleSet, RuleSet]:
    """Return the rules as the gateway reads them in the retailer's text, and as a till does in what was signed."""
    checked = check_text(yaml.safe_dump(document, sort_keys=False), published=True)
    assert isinstance(checked, CheckedText), checked
    signed = canonical_json(document)
    assert checked.canonical == signed, "the text says what was drawn"
    both = [
        parse_rules(json.loads(text), version=1, sha256=checked.sha256, published=True)
        for text in (checked.canonical, signed)
    ]
    gateway, till = both
    assert isinstance(gateway, RuleSet), gateway
    assert isinstance(till, RuleSet), till
    return gateway, till


def live(seed: int) -> Lived:
    """Live one life from a seed. Raises ``AssertionError`` where two places disagree."""
    dice = random.Random(seed)
    gateway, till = rules_at_both_ends(draw_document(dice))
    life = _Street(dice, gateway, till)
    for at_ms in draw_instants(dice, gateway.zone, SALES_A_LIFE):
        life.sell(at_ms)
        if dice.random() < 0.3:
            life.bring_back(at_ms)
    life.simulate()
    return life.lived


class _Street:
    """One member between a gateway and a till; ``past`` is what the simulation is given afterwards."""

    def __init__(self, dice: random.Random, gateway: RuleSet, till: RuleSet) -> None:
        self._dice = dice
        self._gateway = gateway
        self._till = till
        self._state: MemberState | None = None
        self._entries: list[Entry] = []
        self._past: list[Past] = []
        self._made = 0
        self.lived = Lived()

    def sell(self, at_ms: Ms) -> None:
        """Sell one basket at the gateway, at a till without a line, as the advice of that till, and in a checkout."""
        dice = self._dice
        origin = draw_origin(dice, at_ms)
        self._catch_up(at_ms)
        sale = Sale(
            self._id(),
            MEMBER,
            origin,
            draw_basket(dice, self._gateway),
            self._draw_spend(),
            self._draw_rewards(),
            draw_assurance(dice),
        )
        asked = self._decide(sale)
        self._compare_till(sale, asked.decision)
        self._count(asked.decision)
        if dice.random() < 0.3:
            self._compare_checkout(replace(sale, coupons=self._draw_coupons()))
        self._past.append(
            PastSale(sale.command_id, origin, sale.basket, sale.spend, sale.reward_ids, sale.assurance)
        )
        if isinstance(asked.decision, Refused) and (sale.spend or sale.reward_ids):
            # What happened has happened: the simulation, too, posts the sale without what is refused.
            asked = self._decide(replace(sale, spend=None, reward_ids=()))
        self._keep(asked)
        self.lived.sales += 1

    def bring_back(self, at_ms: Ms) -> None:
        """Bring back a part of some sale, here and at a till that knows the sale's lines."""
        dice = self._dice
        sold = [entry for entry in self._entries if entry.detail.lines and not entry.reverses_seq]
        if not sold:
            return
        entry = dice.choice(sold)
        share = dice.choice(list(enumerate(entry.detail.lines, 1)))
        asks = (ReturnLine(share[0], dice.randrange(1, share[1].quantity_milli + 2)),)
        if dice.random() < 0.4:
            asks = (ReturnLine(share[0], 0, Minor(dice.randrange(1, share[1].amount_minor + 2))),)
        before = tuple(one for one in self._entries if one.reverses_seq == entry.seq)
        preview = stand_in_return(entry.detail.lines, [one.detail.returned for one in before], asks)
        origin = draw_origin(dice, at_ms)
        back = Return(self._id(), MEMBER, origin, entry.command_id, asks)
        outcome = self._decide(back, Refs(entry, before))
        self._past.append(PastReturn(back.command_id, origin, entry.command_id, asks))
        self._keep(outcome)
        self.lived.returns += 1
        if isinstance(outcome.decision, Posted):
            detail = outcome.decision.entry.detail
            assert isinstance(preview, ReturnPreview), preview
            assert (
                preview.taken_points,
                preview.restored_points,
                preview.refund_minor,
                preview.returned,
            ) == (
                detail.due_points,
                detail.restored_points,
                detail.refund_minor,
                detail.returned,
            )
        else:
            assert preview == outcome.decision
        self._count(outcome.decision)

    def simulate(self) -> None:
        """Replay the whole life as `program simulate` does, and hold every entry and the sums against it."""
        history = History("drawn")
        for past in self._past:
            history.add(MEMBER, past)
        last_day = local_day(history.last_ms, self._gateway.zone)
        end_ms = midnight_ms(last_day + timedelta(days=1), self._gateway.zone)
        self._catch_up(end_ms)
        again = list(Life(MEMBER, self._past, self._gateway, Replayed()).live(end_ms))
        _same(again, self._entries)
        outcome, account = replay(history, self._gateway, workers=1).members[MEMBER], self._known.account
        assert outcome.outstanding == account.active + account.pending - account.debt
        assert outcome.tier_id == account.tier.tier_id
        assert outcome.flow.issued == sum(max(0, -entry.moves.issued) for entry in self._entries)
        assert outcome.flow.burned == sum(max(0, entry.moves.burned) for entry in self._entries)
        assert outcome.flow.expired == sum(max(0, entry.moves.breakage) for entry in self._entries)

    def _compare_till(self, sale: Sale, decision: Decision) -> None:
        known = self._known.account
        said = stand_in_sale(
            self._till,
            basket=sale.basket,
            origin=sale.origin,
            tier_id=known.tier.tier_id,
            memberships=last_days(known.tallies),
            member_id=MEMBER,
            spend=sale.spend,
            reward_ids=sale.reward_ids,
            available=known.active,
            assurance=sale.assurance,
        )
        if isinstance(said, Refused):
            assert said == decision, (said, decision)
            return
        assert isinstance(decision, Posted), decision
        entry = decision.entry
        _same_detail(said.detail, entry.detail)
        assert (said.earned_points, said.burned_points) == (-entry.moves.issued, entry.moves.burned)
        assert sum(share.discount_minor for share in entry.detail.lines) == said.discount_minor
        self._compare_advice(sale, said, entry)

    def _compare_advice(self, sale: Sale, said: StandIn, entry: Entry) -> None:
        burned = said.burned_points
        advice = SettleSale(
            sale.command_id,
            MEMBER,
            sale.origin,
            sale.basket,
            self._till.version,
            said.earned_points,
            burned,
            said.discount_minor,
            sale.reward_ids,
            sale.assurance,
            authorities=(Authority(AuthorityKind.FLOOR, burned),) if burned else (),
            spend=sale.spend,
        )
        settled = self._decide(advice).decision
        assert isinstance(settled, Posted), settled
        assert settled.entry.moves == entry.moves
        # By which right a till burned is what its advice tells beside.
        told = tuple(why for why in settled.entry.detail.explanations if why.rule_id != "authority")
        assert replace(settled.entry.detail, explanations=told) == entry.detail

    def _compare_checkout(self, sale: Sale) -> None:
        """A hold that is captured at once with the basket it was placed for is the sale."""
        uses = tuple(CouponUse(ref.code) for ref in sale.coupons)
        asked = self._decide(sale, coupons=uses).decision
        hold = PlaceHold(
            self._id(),
            MEMBER,
            sale.origin,
            900,
            sale.spend,
            sale.reward_ids,
            sale.basket,
            sale.assurance,
            sale.coupons,
        )
        placed = self._decide(hold, coupons=uses)
        self.lived.checkouts += 1
        if isinstance(placed.decision, Refused):
            assert placed.decision == asked or placed.decision.reason in ONLY_OF_A_HOLD, (placed, asked)
            return
        assert isinstance(asked, Posted), asked
        capture = Capture(self._id(), MEMBER, sale.origin, hold.command_id, sale.basket)
        promised = tuple(replace(use, reserved=True) for use in uses)
        done = decide(capture, placed.state, self._gateway, coupons=promised).decision
        assert isinstance(done, Posted), done
        _same_detail(asked.entry.detail, done.entry.detail)
        assert done.entry.detail.coupons == asked.entry.detail.coupons
        self.lived.codes.update(why.code for why in done.entry.detail.explanations)

    @property
    def _known(self) -> MemberState:
        assert self._state is not None, "the first sale has begun the life"
        return self._state

    def _catch_up(self, at_ms: Ms) -> None:
        """Let time pass at the gateway, so that the till's snapshot is fresh."""
        if self._state is None:
            self._state = MemberState(Account(MEMBER, MemberStatus.OPEN, at_ms), complete=True)
        origin = draw_origin(random.Random(0), at_ms)
        self._keep(self._decide(CatchUp(self._id(), MEMBER, origin)))

    def _decide(
        self, command: Command, refs: Refs = NO_REFS, *, coupons: Sequence[CouponUse] = ()
    ) -> Outcome:
        return decide(command, self._known, self._gateway, refs, coupons=coupons)

    def _keep(self, outcome: Outcome) -> None:
        self._state = outcome.state
        self._entries += outcome.entries

    def _count(self, decision: Decision) -> None:
        if isinstance(decision, Refused):
            self.lived.outcomes[decision.reason.name] += 1
        elif isinstance(decision, Posted):
            self.lived.outcomes["posted"] += 1
            self.lived.codes.update(why.code for why in decision.entry.detail.explanations)

    def _id(self) -> CommandId:
        self._made += 1
        return CommandId(f"00000000-0000-4000-8000-{self._made:012d}")

    def _draw_spend(self) -> Spend | None:
        dice = self._dice
        if dice.random() < 0.5:
            return None
        unit = self._gateway.burning.unit_points
        points = unit * dice.randrange(0, 6) + (dice.randrange(unit + 1) if dice.random() < 0.15 else 0)
        return Spend(points, up_to=True) if dice.random() < 0.5 else Spend(points)

    def _draw_rewards(self) -> tuple[str, ...]:
        dice = self._dice
        ids = [reward.reward_id for reward in self._gateway.rewards] + ["no-such-reward"] * (
            dice.random() < 0.1
        )
        return tuple(dice.sample(ids, dice.randrange(min(2, len(ids)) + 1))) if dice.random() < 0.5 else ()

    def _draw_coupons(self) -> tuple[CouponRef, ...]:
        ids = [coupon.coupon_id for coupon in self._gateway.coupons]
        return tuple(
            CouponRef(one, one) for one in self._dice.sample(ids, self._dice.randrange(len(ids) + 1))
        )


def _same(found: Sequence[Entry], expected: Sequence[Entry]) -> None:
    assert [(one.kind, one.origin.occurred_ms) for one in found] == [
        (one.kind, one.origin.occurred_ms) for one in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert one == replace(other, command_id=one.command_id), (one, other)


def _same_detail(said: Detail, posted: Detail) -> None:
    """Hold what was told at a till, or by a sale, against what an entry says: line by line, reason by reason."""
    assert said.lines == posted.lines
    assert said.tax_totals == posted.tax_totals
    assert said.rewards == posted.rewards
    assert said.payable_minor == posted.payable_minor
    told = posted.explanations[: len(said.explanations)]
    assert said.explanations == told
    more = {why.code for why in posted.explanations[len(said.explanations) :]}
    assert more <= ONLY_THE_GATEWAY_TELLS, "only what a till cannot know is told by the gateway alone"
