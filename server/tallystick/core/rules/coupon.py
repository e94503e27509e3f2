"""Coupons in a rule set: how one is read, and how the code is spelled that a person gives.

Like rewards, coupons take something off the lines that they fit; unlike them they cost no points and are counted.
"""

from __future__ import annotations

import unicodedata
from fractions import Fraction
from typing import Any

from tallystick.core.ids import AMOUNT_MINOR_MAX
from tallystick.core.money import PPM
from tallystick.core.rules.index import Selector
from tallystick.core.rules.match import ANY_LINE
from tallystick.core.rules.model import Condition, Coupon, RuleSet
from tallystick.core.rules.reader import Node
from tallystick.core.rules.reward import COUNTERS, is_counter
from tallystick.core.rules.segment import DAYS_MAX, named_segment

COUPONS_MAX = 200
SHARED_CODE_CHARS_MIN = 3
SHARED_CODE_CHARS_MAX = 32
PER_MEMBER_MAX = 1_000
TOTAL_MAX = 10**9
KINDS = ("money_off", "percent_off", "free_item")

_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1"})


def normalise_code(text: str) -> str:
    """Return a code in its one spelling: capitals, without spaces and punctuation; O is 0, I and L are 1.

    The rules of Crockford's base 32 also hold for codes that people think of: nobody is refused who mistakes a letter
    for the digit that looks like it.
    """
    letters = unicodedata.normalize("NFKC", text).upper()
    return "".join(letter for letter in letters if letter.isalnum()).translate(_LOOKALIKES)


def shared_coupon(rules: RuleSet, code: str) -> Coupon | None:
    """Return the coupon whose shared code a normalised code is."""
    return next((coupon for coupon in rules.coupons if coupon.code and coupon.spelled == code), None)


def find_coupon(rules: RuleSet, coupon_id: str) -> Coupon | None:
    """Return a coupon of the rule set."""
    return next((coupon for coupon in rules.coupons if coupon.coupon_id == coupon_id), None)


def parse_coupon(node: Node, lines: Selector, when: Condition) -> Coupon:
    """Return one coupon; what is wrong with it is added to the node's findings."""
    kind = node.choice("kind", KINDS)
    code = _shared_code(node)
    coupon = Coupon(
        coupon_id=node.text("id", longest=64),
        kind=kind,
        **_worth(node, kind),
        lines=lines,
        when=when,
        minimum_minor=node.integer("minimum_minor", 0, high=AMOUNT_MINOR_MAX),
        code=code,
        spelled=normalise_code(code),
        per_member=node.integer("per_member", 1, high=PER_MEMBER_MAX),
        total=node.integer("total", 0, high=TOTAL_MAX),
        exclusive=node.choice("combine", ("joint", "exclusive"), "joint") == "exclusive",
        show=node.flag("show"),
        segment=named_segment(node),
        days=node.integer("days", 0, high=DAYS_MAX),
    )
    if coupon.days and not coupon.segment:
        node.wrong("days", "count from when a member came into a segment", "name the segment")
    if kind == "free_item" and lines is ANY_LINE:
        node.wrong("", "a free item must say which", "name a sku, category or brand")
    if is_counter(coupon.coupon_id):
        node.wrong(
            "id",
            f"{' and '.join(COUNTERS)} begin names under which other things are counted",
            "choose another id",
        )
    if coupon.show and not coupon.code:
        node.wrong("show", "only goes with a shared code", "remove it: members see unique codes of their own")
    node.done()
    return coupon


def _worth(node: Node, kind: str) -> dict[str, Any]:
    if kind == "money_off":
        return {"amount_minor": node.integer("amount_minor", low=1, high=AMOUNT_MINOR_MAX)}
    if kind == "free_item":
        return {}
    most = node.integer("amount_minor_max", 0, high=AMOUNT_MINOR_MAX)
    if not node.has("percent"):
        node.wrong("percent", "is missing", 'write for example percent: "10"')
        return {"amount_minor": most}
    ratio = node.ratio("percent", low=Fraction(1, 100), high=Fraction(100))
    return {"amount_minor": most, "percent_ppm": int(ratio * PPM / 100)}


def _shared_code(node: Node) -> str:
    if not node.has("code"):
        return ""
    given = node.text("code")
    code = normalise_code(given)
    if given and not SHARED_CODE_CHARS_MIN <= len(code) <= SHARED_CODE_CHARS_MAX:
        limits = f"{SHARED_CODE_CHARS_MIN} to {SHARED_CODE_CHARS_MAX} letters and digits"
        node.wrong("code", f"'{given[:60]}' does not have {limits}", "write for example code: SUMMER25")
    return given
