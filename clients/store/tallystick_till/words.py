"""The English text of an explanation; a screen in another language goes by code and args."""

from __future__ import annotations

from tallystick.core.entry import Explanation
from tallystick_till.types import ExplanationView

_TEXTS = {
    "per_amount": "Points for what was spent",
    "per_item": "Points for the article",
    "per_sale": "Points for the purchase",
    "multiply": "Extra points",
    "below_minimum": "Too small a purchase for points",
    "capped": "More points than one purchase may earn",
    "reward": "Reward",
    "points_as_money": "Points used as money",
    "debt_repaid": "Points owed from a return",
}


def explained(part: Explanation) -> ExplanationView:
    """Return an explanation with its text; a code that is not known shows the rule's name."""
    text = _TEXTS.get(part.code, part.rule_id)
    if part.code in ("per_amount", "per_item", "per_sale", "multiply", "reward"):
        text = f"{text} ({label(part.rule_id)})"
    return ExplanationView(
        text, part.code, {"rule_id": part.rule_id, **dict(part.args)}, part.points, part.line_no
    )


def label(name: str) -> str:
    """Return the id of a rule, reward or tier as people would write it."""
    return name.replace("-", " ").replace("_", " ").capitalize()
