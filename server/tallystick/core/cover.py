"""Who pays for what a till burned without asking: leases, vouchers, the balance, and at last the store.

The member is charged what was escrowed, and beyond that no more than the floor limit of one sale: a till that lies can
cost its store, never the member.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from tallystick.core.command import Authority, AuthorityKind, SettleSale
from tallystick.core.draft import Draft
from tallystick.core.due import grace_ms
from tallystick.core.entry import Explanation, Refusal, Refused, refused
from tallystick.core.ids import POINTS_MAX, Ms
from tallystick.core.lots import split_allocs
from tallystick.core.rules.model import RuleSet
from tallystick.core.state import Alloc, Hold, HoldKind, HoldStatus

AUTHORITIES_MAX = 20
_KINDS = {AuthorityKind.LEASE: HoldKind.LEASE, AuthorityKind.VOUCHER: HoldKind.VOUCHER}


class Cover(NamedTuple):
    """How a burn is paid: out of what was escrowed (``from_held``) and out of the balance (``from_active``).

    ``given_back`` is what a voucher had escrowed beyond what it was used for. ``allocs`` are the lots behind it all.
    """

    from_held: int = 0
    from_active: int = 0
    given_back: int = 0
    allocs: tuple[Alloc, ...] = ()
    told: tuple[Explanation, ...] = ()

    @property
    def points(self) -> int:
        """What the member pays; the store pays the rest of the burn."""
        return self.from_held + self.from_active - self.given_back


NO_COVER = Cover()


def check_authorities(advice: SettleSale) -> Refused | None:
    """Return why the authorities of an advice make no sense, None when they do."""
    rights = advice.authorities
    if not 0 <= advice.burned_points <= POINTS_MAX:
        return refused(Refusal.AMOUNT_OVERFLOW, points=advice.burned_points)
    if len(rights) > AUTHORITIES_MAX:
        return refused(Refusal.BASKET_INVALID, authorities=len(rights), authorities_max=AUTHORITIES_MAX)
    for right in rights:
        if not 0 < right.points <= POINTS_MAX:
            return refused(Refusal.AMOUNT_OVERFLOW, points=right.points)
    total = sum(right.points for right in rights)
    if total > advice.burned_points:
        return refused(Refusal.BASKET_INVALID, authorities_points=total, points=advice.burned_points)
    return None


def cover_burn(draft: Draft, rules: RuleSet, advice: SettleSale) -> Cover:
    """Take what a till burned: from its leases and vouchers as far as they go, then within the floor limit.

    A lease or voucher that has ended or was given back meanwhile still counts for what was left of it, as far as the
    balance goes: the points went back there, and the member did get the goods.
    """
    cover = NO_COVER
    rest = advice.burned_points - sum(right.points for right in advice.authorities)
    rights = (*advice.authorities, Authority(AuthorityKind.FLOOR, rest)) if rest else advice.authorities
    floor_left = rules.offline.floor_sale_points
    for right in rights:
        hold = draft.holds.get(right.hold_id) if right.kind in _KINDS else None
        if hold is not None and hold.kind is _KINDS[right.kind] and hold.store_id == advice.origin.store_id:
            cover = _from_hold(draft, rules, cover, hold, right, advice)
        elif right.kind is AuthorityKind.FLOOR:
            part = min(right.points, floor_left, draft.active - cover.from_active)
            floor_left -= part
            cover = _from_active(draft, cover, part, "by_floor", right)
    return cover


def _from_hold(
    draft: Draft, rules: RuleSet, cover: Cover, hold: Hold, right: Authority, advice: SettleSale
) -> Cover:
    part = min(right.points, hold.left)
    if not part:
        return cover
    used = replace(hold, used=hold.used + part)
    code = "by_lease" if hold.kind is HoldKind.LEASE else "by_voucher"
    if hold.status is not HoldStatus.OPEN:
        part = min(part, draft.active - cover.from_active)
        draft.set_hold(replace(hold, used=hold.used + part))
        return _from_active(draft, cover, part, code, right)
    allocs, spare = split_allocs(hold.allocs, part)
    given_back = 0
    if hold.kind is HoldKind.VOUCHER or not used.left:
        # A voucher counts once: what the basket did not need of it goes back.
        given_back = used.left
        at_ms = Ms(max(advice.origin.occurred_ms, draft.account.as_of_ms))
        draft.give_back(spare, at_ms, grace_ms(rules, at_ms))
        used = replace(used, status=HoldStatus.CAPTURED, used=hold.points)
        spare = ()
    draft.set_hold(replace(used, allocs=spare))
    return cover._replace(
        from_held=cover.from_held + part + given_back,
        given_back=cover.given_back + given_back,
        allocs=cover.allocs + allocs,
        told=(*cover.told, _told(right, part, code)),
    )


def _from_active(draft: Draft, cover: Cover, part: int, code: str, right: Authority) -> Cover:
    if part <= 0:
        return cover
    return cover._replace(
        from_active=cover.from_active + part,
        allocs=cover.allocs + draft.take_active(part),
        told=(*cover.told, _told(right, part, code)),
    )


def _told(right: Authority, points: int, code: str) -> Explanation:
    args = (("hold_id", right.hold_id),) if right.hold_id else ()
    return Explanation("authority", 0, -points, code, args)
