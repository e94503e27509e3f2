"""What customers and staff type."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from tallystick.core.ids import POINTS_MAX
from tallystick_oscar.choice import COUPON_MAX, REWARDS_MAX, WORD_MAX, Choice

CODE_MAX = 400


class CodeForm(forms.Form):
    """The text of a card's code."""

    code = forms.CharField(label=_("Code on your card"), max_length=CODE_MAX)


class UseForm(forms.Form):
    """One change of what the basket uses: its points, or one reward or coupon more or less."""

    points = forms.IntegerField(min_value=0, max_value=POINTS_MAX, required=False)
    add_reward = forms.CharField(max_length=WORD_MAX, required=False)
    drop_reward = forms.CharField(max_length=WORD_MAX, required=False)
    # All rewards at once, as the element tells them: ids with spaces between.
    all_rewards = forms.CharField(max_length=REWARDS_MAX * (WORD_MAX + 1), required=False)
    drop_coupon = forms.CharField(max_length=COUPON_MAX, required=False)

    def changes(self, choice: Choice) -> dict[str, Any]:
        """Return the arguments of `using.use`."""
        data = self.cleaned_data
        found: dict[str, Any] = {}
        if data["points"] is not None:
            found["points"] = data["points"]
        if "all_rewards" in self.data:
            found["rewards"] = tuple(data["all_rewards"].split()[:REWARDS_MAX])
        elif data["add_reward"]:
            found["rewards"] = (*choice.rewards, data["add_reward"])[:REWARDS_MAX]
        elif data["drop_reward"]:
            found["rewards"] = tuple(one for one in choice.rewards if one != data["drop_reward"])
        if data["drop_coupon"]:
            found["coupons"] = tuple(one for one in choice.coupons if one != data["drop_coupon"])
        return found


class ReturnForm(forms.Form):
    """How many pieces of each line come back."""

    reference = forms.CharField(label=_("Reference"), max_length=64, required=False)

    def __init__(self, lines: list[Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = lines
        for line in lines:
            self.fields[f"line_{line.pk}"] = forms.IntegerField(
                min_value=0, max_value=line.left, required=False, label=line.title
            )

    def asked(self) -> list[tuple[Any, int]]:
        """Return the lines and how many pieces of each, at least one."""
        data = self.cleaned_data
        return [(line, data[f"line_{line.pk}"]) for line in self.lines if data.get(f"line_{line.pk}")]

    def rows(self) -> list[tuple[Any, Any]]:
        """Return each line with its field."""
        return [(line, self[f"line_{line.pk}"]) for line in self.lines]
