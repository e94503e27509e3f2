"""What a customer chose to use on the basket, kept in the session and believed only after it was checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tallystick.core.ids import POINTS_MAX

KEY = "tallystick"
QUOTE_KEY = "tallystick_quote"
REWARDS_MAX = 10
COUPONS_MAX = 5
WORD_MAX = 64
COUPON_MAX = 40


@dataclass(frozen=True, slots=True)
class Choice:
    """Points to use, 0 to 10**15, and the rewards and coupons by their names."""

    points: int = 0
    rewards: tuple[str, ...] = ()
    coupons: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.points or self.rewards or self.coupons)

    def to_json(self) -> dict[str, Any]:
        """Return what a session or a column keeps."""
        return {"points": self.points, "rewards": list(self.rewards), "coupons": list(self.coupons)}


def chosen(session: Any) -> Choice:
    """Return the choice of a session; whatever is not a choice counts as none."""
    return from_json(session.get(KEY))


def choose(session: Any, choice: Choice) -> None:
    """Keep a choice, or forget it when it is empty."""
    if choice:
        session[KEY] = choice.to_json()
    else:
        session.pop(KEY, None)
    session.pop(QUOTE_KEY, None)


def from_json(value: object) -> Choice:
    """Read a choice. Points outside their range, or anything that is no list of words, is left out."""
    if not isinstance(value, dict):
        return Choice()
    points = value.get("points")
    if not isinstance(points, int) or isinstance(points, bool) or not 0 <= points <= POINTS_MAX:
        points = 0
    return Choice(
        points,
        _words(value.get("rewards"), REWARDS_MAX, WORD_MAX),
        _words(value.get("coupons"), COUPONS_MAX, COUPON_MAX),
    )


def _words(value: object, count_max: int, length_max: int) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    words = [word for word in value if isinstance(word, str) and 1 <= len(word) <= length_max]
    return tuple(dict.fromkeys(words))[:count_max]
