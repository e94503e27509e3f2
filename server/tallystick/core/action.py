"""Points for an action of the rule set: the rule says how many, how often, and when."""

from __future__ import annotations

import hashlib

from tallystick.core.command import Earn
from tallystick.core.draft import Draft
from tallystick.core.entry import Explanation, Refusal, Refused, refused
from tallystick.core.lots import local_day
from tallystick.core.moment import moment_at
from tallystick.core.rules.action import Action, find_action
from tallystick.core.rules.match import holds_at
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.period import open_from, period_start

KEY = "action/"
SUBJECT_CHARS = 8


def key_of(action_id: str) -> str:
    """Return the key of the tally that counts how often a member has had an action's points."""
    return KEY + action_id


def subject_key(action_id: str, subject: str) -> str:
    """Return the key of the tally of one subject: nothing leads back from it to the subject."""
    digest = hashlib.sha256(subject.strip().encode()).hexdigest()
    return f"{KEY}{action_id}/{digest[:SUBJECT_CHARS]}"


def take_action(draft: Draft, rules: RuleSet, command: Earn) -> Action | Refused:
    """Return the action that a command names, counted in the draft, or why it gives no points."""
    action = find_action(rules, command.action_id)
    if action is None:
        return refused(Refusal.ACTION_UNKNOWN, action_id=command.action_id)
    if not action.on and (no := _beyond_limit(draft, rules, action, command)):
        return no
    if not holds_at(action.when, moment_at(draft, rules, command.origin)):
        return refused(Refusal.ACTION_NOT_NOW, action_id=action.action_id)
    if not action.on:
        _count(draft, rules, action, command)
    return action


def told_of(action: Action) -> Explanation:
    """Say what the points are for."""
    return Explanation(
        action.action_id, 0, action.points, action.on or "action_points", (("name", action.name),)
    )


def _beyond_limit(draft: Draft, rules: RuleSet, action: Action, command: Earn) -> Refused | None:
    day = local_day(command.origin.occurred_ms, rules.zone)
    today = local_day(max(command.origin.occurred_ms, draft.account.as_of_ms), rules.zone)
    left = action.limit.left(draft, key_of(action.action_id), day=day, today=today)
    count = action.limit.count
    if left and action.once_per_subject:
        key, start = subject_key(action.action_id, command.subject), period_start(action.limit.per, day)
        if draft.tally(key, start) or not draft.has_room(key, start):
            left, count = 0, 1
    if left:
        return None
    return refused(Refusal.ACTION_LIMIT, action_id=action.action_id, count=count, per=action.limit.per.value)


def _count(draft: Draft, rules: RuleSet, action: Action, command: Earn) -> None:
    day = local_day(command.origin.occurred_ms, rules.zone)
    today = local_day(max(command.origin.occurred_ms, draft.account.as_of_ms), rules.zone)
    action.limit.use(draft, key_of(action.action_id), day=day, today=today)
    if action.once_per_subject:
        # Every subject has a tally of its own: those of periods that are over make room for the next ones.
        draft.forget(key_of(action.action_id) + "/", open_from(action.limit.per, today))
        action.limit.use(draft, subject_key(action.action_id, command.subject), day=day, today=today)
