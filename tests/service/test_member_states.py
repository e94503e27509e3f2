"""What tills are told of members."""

from __future__ import annotations

from typing import Any

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.rules.membership import GRACE_DAYS_MAX
from tallystick.core.state import MemberStatus
from tallystick.service.member_states import member_states
from tallystick.service.ports import TillMember
from tests.core.world import at

ANN = MemberId("0190a000-0000-7000-8000-00000000000a")
UNUSED: Any = None


def told(last_day: int, now_ms: Ms) -> list[tuple[str, int]]:
    """Return the memberships that a till is told of; the last day is in days since 1970-01-01."""
    ann = TillMember(ANN, 1, 0, "", MemberStatus.OPEN, (), memberships=(("club", last_day + 719_163),))
    (state,) = member_states(
        [ann],
        program_id=ProgramId("club"),
        store_key=b"k" * 32,
        tier_numbers={},
        grants=UNUSED,
        now_ms=now_ms,
    )
    return [(one.membership_id, one.last_day) for one in state.memberships]


def test_a_membership_is_told_of_until_no_grace_can_hold_it() -> None:
    today = at("2026-01-15T12:00")
    day = today // 86_400_000
    assert told(day + 30, today) == [("club", day + 30)]
    assert told(day - GRACE_DAYS_MAX, today) == [("club", day - GRACE_DAYS_MAX)]
    assert told(day - GRACE_DAYS_MAX - 2, today) == []
