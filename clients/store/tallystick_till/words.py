"""An explanation with its sentence, which is the gateway's: both read the same catalogue."""

from __future__ import annotations

from tallystick.core.entry import Explanation
from tallystick.words import Names, label, why
from tallystick_till.types import ExplanationView

__all__ = ["explained", "label"]


def explained(part: Explanation, language: str, names: Names) -> ExplanationView:
    """Return an explanation with its text in a language; ``names`` are those of the rule set that led to it."""
    return ExplanationView(
        why(part, language, names),
        part.code,
        {"rule_id": part.rule_id, **dict(part.args)},
        part.points,
        part.line_no,
    )
