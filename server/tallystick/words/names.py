"""What explanations name: rules, rewards and tiers, with facts of the rule set that are not written into entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final
from zoneinfo import ZoneInfo

from tallystick.core.record import record
from tallystick.core.rules.match import ANY_LINE, ANY_SALE
from tallystick.core.rules.model import AccrualRule, Condition, RuleSet

_UTC: Final = ZoneInfo("UTC")


@record(frozen=True, slots=True)
class Names:
    """What the rule set that judged an entry says about what the entry names.

    ``currency`` is that of amounts (ISO 4217), ``zone`` that of days. Without ``rules`` (one that is not at hand) texts
    say less. ``labels`` are what people read for ids of rules, rewards and tiers; others are written out.
    """

    currency: str = "EUR"
    zone: ZoneInfo = _UTC
    rules: Mapping[str, AccrualRule] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, name: str) -> str:
        """Return what people read for an id."""
        return self.labels.get(name) or label(name)


NO_NAMES: Final = Names()


def names_of(rules: RuleSet) -> Names:
    """Return the names of a rule set."""
    labels = {one.reward_id: one.name for one in rules.rewards}
    labels |= {one.access_id: one.name for one in rules.access}
    labels |= {one.goal_id: one.name for one in rules.goals}
    labels |= {one.project_id: one.name for one in (rules.charity.projects if rules.charity else ())}
    labels |= {one.program_id: one.name for one in rules.partners}
    return Names(
        rules.currency,
        rules.zone,
        {rule.rule_id: rule for rule in rules.earning.rules},
        {name: text for name, text in labels.items() if text},
    )


def label(name: str) -> str:
    """Return the id of a rule, reward or tier as people would write it: "free-coffee" is "Free coffee"."""
    words = " ".join(name.replace("-", " ").replace("_", " ").replace(".", " ").split())
    return words[:1].upper() + words[1:]


def weekdays_only(when: Condition) -> bool:
    """Return whether a rule is for some days of the week and restricted by nothing else."""
    rest = (when.stores, when.channels, when.tiers, when.minutes)
    return bool(when.weekdays) and not any(rest) and _always(when)


def is_general(rule: AccrualRule) -> bool:
    """Return whether a rule looks at every line of every sale, at most on some days of the week."""
    return rule.lines == ANY_LINE and (rule.when == ANY_SALE or weekdays_only(rule.when))


def _always(when: Condition) -> bool:
    return (when.from_ms, when.until_ms) == (ANY_SALE.from_ms, ANY_SALE.until_ms)
