"""Who may say that an action was done."""

from __future__ import annotations

from tallystick.core.command import Earn
from tallystick.core.rules.action import find_action
from tallystick.core.rules.model import RuleSet
from tallystick.service.errors import InvalidInput, PermissionDenied

ANY_POSTER = ""
"""Whoever brings in history says what was done by whomever."""


def check_action(rules: RuleSet | None, command: Earn, *, poster: str, role: str) -> None:
    """Raise ``PermissionDenied`` or ``InvalidInput`` when an earn may not be asked for by this caller.

    ``poster`` is the caller among ``core.rules.action.POSTERS``, or ``ANY_POSTER``; ``role`` is what errors say.
    What no rule set names is left to the core to refuse.
    """
    name = command.action_id or command.reason
    action = find_action(rules, name) if rules else None
    if action is None:
        if command.subject and command.points:
            raise _wrong("subject", "subject goes with an action of the rule set.", "Leave it out.")
        if poster == "app" and command.points:
            raise _not_allowed(name, role)
        return
    if poster == ANY_POSTER:
        return
    if action.on or poster not in action.by:
        raise _not_allowed(name, role)
    if command.points:
        raise _wrong(
            "points", f"'{name}' is an action of the rule set, which says its points.", "Leave points out."
        )
    if action.once_per_subject and not command.subject.strip():
        raise _wrong("subject", f"'{name}' gives points once for each subject.", "Say what it was done on.")


def _not_allowed(action_id: str, role: str) -> PermissionDenied:
    return PermissionDenied(
        f"The role {role} may not say that '{action_id}' was done.",
        mend="List the role below 'by' of the action, or post it from where it happens.",
        reason="ACTION_NOT_ALLOWED",
        action_id=action_id,
        role=role,
    )


def _wrong(field: str, message: str, mend: str) -> InvalidInput:
    return InvalidInput(message, mend=mend, violations=((field, f"{message} {mend}"),))
