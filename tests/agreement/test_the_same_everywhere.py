"""Gateway, till without a line, settlement, checkout and simulation agree on every random sale, to the last reason.

``python -m tests.agreement --sales 100000`` does the same for as many as one likes.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agreement.drawing import draw_document
from tests.agreement.living import SALES_A_LIFE, Lived, live
from tools.schema import render

LIVES = 160
SHARES = 4
SECTIONS_OF_SALES = ("earning", "tiers", "burning", "rewards", "coupons", "expiry", "returns", "experiments")
"""The sections of the language that a sale or a return is decided by."""
COUNTED = re.compile(r"(earning\.rules\.budget|rewards\.(stock|limit)|coupons\.(segment|days))")
"""What is counted where a sale is written, by the gateway alone: a till without a line gives none of it."""


@pytest.fixture(scope="module")
def lived() -> Lived:
    return Lived()


@pytest.mark.parametrize("share", range(SHARES))
def test_a_share_of_the_lives_is_decided_alike_everywhere(share: int, lived: Lived) -> None:
    for seed in range(share * LIVES // SHARES, (share + 1) * LIVES // SHARES):
        try:
            lived.add(live(seed))
        except AssertionError as error:
            raise AssertionError(f"python -m tests.agreement --seed {seed} shows it") from error


def test_the_lives_hold_what_is_to_be_compared() -> None:
    """A generator that draws nothing of interest would agree with everything."""
    lived = Lived()
    for seed in range(LIVES // 3):
        lived.add(live(seed))
    assert lived.sales == LIVES // 3 * SALES_A_LIFE
    assert lived.returns > lived.sales // 10
    assert lived.checkouts > lived.sales // 10
    assert {"posted", "INSUFFICIENT_POINTS", "REWARD_NOT_APPLICABLE", "OVER_RETURN"} <= set(lived.outcomes)
    assert {"per_amount", "per_item", "per_sale", "multiply", "capped"} <= set(lived.codes)
    assert {"points_as_money", "reward", "coupon", "tier_reached", "points_taken_back"} <= set(lived.codes)


def test_every_word_of_the_language_that_decides_a_sale_is_drawn() -> None:
    schema = json.loads(render())
    wanted = {key for key in _known(schema, "") if key.split(".")[0] in SECTIONS_OF_SALES}
    wanted -= {key for key in wanted if COUNTED.match(key)}
    drawn = {key for seed in range(LIVES) for key in _used(draw_document(random.Random(seed)), "")}
    assert wanted - drawn == set(), "draw it in tests/agreement/drawing.py, so that it is compared"
    assert len(wanted) > 40


def _known(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the path of every key that the language has; a list stands for its items."""
    for found in (schema, schema.get("items", {}), *schema.get("oneOf", ())):
        for key, inner in found.get("properties", {}).items():
            here = f"{path}.{key}" if path else key
            yield here
            yield from _known(inner, here)


def _used(value: Any, path: str) -> Iterator[str]:
    """Yield the path of every key that a document uses."""
    if isinstance(value, list):
        for item in value:
            yield from _used(item, path)
    elif isinstance(value, dict):
        for key, inner in value.items():
            here = f"{path}.{key}" if path else key
            yield here
            yield from _used(inner, here)
