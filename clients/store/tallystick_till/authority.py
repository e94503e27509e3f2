"""By what right a till burns points without asking, and how much of it is left."""

from __future__ import annotations

from tallystick.core.command import Authority, AuthorityKind
from tallystick.core.ids import CommandId, MemberId
from tallystick.core.record import record
from tallystick.core.rules.model import RuleSet
from tallystick_till.clock import TillClock
from tallystick_till.errors import NO_RULES, SaleRefused
from tallystick_till.leases import Leases
from tallystick_till.link import Link
from tallystick_till.outbox import Outbox
from tallystick_till.ports import Granted, HubAway
from tallystick_till.rulebook import Rulebook
from tallystick_till.types import VoucherView

CLOCK_UNTRUSTED = "CLOCK_UNTRUSTED"
RULES_PAST_DATE = "RULES_PAST_DATE"
TILL_RESTORED = "TILL_RESTORED"
AWAY_TOO_LONG = "AWAY_TOO_LONG"
ABOVE_FLOOR = "ABOVE_FLOOR"
FLOOR_SPENT = "FLOOR_SPENT"
GATEWAY_BEHIND = "GATEWAY_BEHIND"
HUB_AWAY = "HUB_AWAY"
MEMBER_BLOCKED = "MEMBER_BLOCKED"
MEMBER_LOCKED = "MEMBER_LOCKED"
VOUCHER_USED = "VOUCHER_USED"


OPEN, BLOCKED, LOCKED = 0, 1, 3
"""What a snapshot says of a member's points; 2 is a tombstone."""

_STOPS = {OPEN: "", LOCKED: MEMBER_LOCKED}


def stop_of(status: int) -> str:
    """Return why nothing of a member may be burned; empty when something may.

    What a newer gateway says and this till does not know stops a burn too: it must be heavier than nothing.
    """
    return _STOPS.get(status, MEMBER_BLOCKED)


@record(frozen=True, slots=True)
class Limits:
    """What may be burned of one member without asking: out of leases, by the voucher in hand, within the floor limit.

    ``shown`` is the shown balance. ``stop`` says why nothing may be; then all parts are 0.
    """

    lease: int
    voucher: int
    floor: int
    shown: int
    stop: str = ""

    @property
    def available(self) -> int:
        """Points that a sale may burn. A voucher's are not part of the balance."""
        return self.voucher + min(self.lease + self.floor, self.shown)


NO_LIMITS = Limits(0, 0, 0, 0)


class Burns:
    """The authority of this till to burn points while the gateway is away."""

    def __init__(
        self, rulebook: Rulebook, clock: TillClock, link: Link, outbox: Outbox, leases: Leases
    ) -> None:
        self._rulebook = rulebook
        self._clock = clock
        self._link = link
        self._outbox = outbox
        self._leases = leases

    def stop_asking(self) -> str:
        """Return why the gateway is not even asked for a burn; empty when it is."""
        if self._link.barred:
            return self._link.barred
        return TILL_RESTORED if self._outbox.restored else ""

    def stop(self) -> str:
        """Return why this till burns nothing by itself; empty when it does. Earning goes on in any case."""
        rules = self._rulebook.current
        if rules is None:
            return NO_RULES
        if reason := self.stop_asking():
            return reason
        if not self._clock.trusted():
            return CLOCK_UNTRUSTED
        now_ms = self._clock.now_ms()
        if now_ms >= self._rulebook.valid_until_ms:
            return RULES_PAST_DATE
        if now_ms - self._link.contact_ms > rules.offline.away_max_s * 1000:
            return AWAY_TOO_LONG
        return ""

    def floor_room(self, rules: RuleSet, member_id: MemberId) -> int:
        """Return what the floor limit still gives: in one sale, of this member, and in all since the last contact."""
        offline = rules.offline
        return max(
            0,
            min(
                offline.floor_sale_points,
                offline.floor_member_points - self._outbox.floor_open(member_id),
                offline.floor_till_points - self._outbox.floor_open(),
            ),
        )

    def limits(
        self, rules: RuleSet, member_id: MemberId, *, shown: int, stopped: str, voucher: VoucherView | None
    ) -> Limits:
        """Return what may be burned of a member now without asking; ``stopped`` says why nothing of this one may."""
        stop = self.stop() or stopped
        if stop:
            return Limits(0, 0, 0, shown, stop)
        voucher_points = voucher.points if voucher else 0
        return Limits(self._leases.left(member_id), voucher_points, self.floor_room(rules, member_id), shown)

    def take(
        self,
        limits: Limits,
        member_id: MemberId,
        advice_id: CommandId,
        burned: int,
        voucher: VoucherView | None,
    ) -> tuple[Authority, ...]:
        """Take the points of a burn for good, before the sale is kept: a crash in between wastes, and never doubles.

        A voucher in hand comes first, since it counts once whatever it is used for; then leases; then the floor limit.
        Raises ``SaleRefused`` when the hub has meanwhile less than it said.
        """
        by_voucher = min(burned, limits.voucher)
        by_lease = min(burned - by_voucher, limits.lease)
        granted = self._from_leases(member_id, advice_id, by_lease) if by_lease else []
        rights: list[Authority] = []
        rest = burned - by_voucher
        for grant in granted:
            part = min(rest, grant.points)
            if part > 0:
                rights.append(Authority(AuthorityKind.LEASE, part, grant.hold_id))
                rest -= part
        if rest > limits.floor:
            raise SaleRefused(ABOVE_FLOOR, details={"points": str(rest), "available": str(limits.floor)})
        if by_voucher and voucher is not None:
            self._use(voucher, advice_id)
            rights.insert(0, Authority(AuthorityKind.VOUCHER, by_voucher, CommandId(voucher.voucher_id)))
        if rest:
            rights.append(Authority(AuthorityKind.FLOOR, rest))
        return tuple(rights)

    def _from_leases(self, member_id: MemberId, advice_id: CommandId, points: int) -> list[Granted]:
        try:
            return self._leases.take(member_id, advice_id, points)
        except HubAway:
            return []

    def _use(self, voucher: VoucherView, advice_id: CommandId) -> None:
        if self._leases.state == "none":
            raise SaleRefused(
                HUB_AWAY,
                "No till of this store keeps its vouchers, so none can be taken here. Start one of its tills as the "
                "hub and this one with `--hub`, or sell without the voucher.",
            )
        try:
            free = self._leases.use_voucher(CommandId(voucher.voucher_id), advice_id)
        except HubAway:
            # Whether another till of the store took it cannot be known now: taking it twice would be beyond all caps.
            raise SaleRefused(HUB_AWAY, "The till that keeps the store's vouchers does not answer.") from None
        if not free:
            raise SaleRefused(VOUCHER_USED, "This voucher has been used.")
