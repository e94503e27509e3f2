"""The part of a rule set that says what the cards of a program look like to a scanner."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tallystick.core.record import record
from tallystick.core.rules.reader import Node

SCAN_RULES_MAX = 50
SCAN_CHARS_MAX = 128
STRIP_MAX = 64
AIM_IDS_MAX = 20

NUMBER, EAN13, GSRN, CODE128 = "number", "ean13", "gsrn", "code128"
DIGITAL_LINK, PHONE, EMAIL = "digital_link", "phone", "email"
SCAN_KINDS = (NUMBER, EAN13, GSRN, CODE128, DIGITAL_LINK, PHONE, EMAIL)
STANDARD_KINDS = (EAN13, GSRN, PHONE, EMAIL)
"""The readings that a program may do without; its own member numbers are always read."""

CHECKS = ("none", "gs1", "luhn", "mod11")
_CHECKS_OF = {NUMBER: CHECKS, CODE128: CHECKS, EAN13: ("gs1",), GSRN: ("gs1",)}
_CHECK_DEFAULTS = {NUMBER: "luhn", EAN13: "gs1", GSRN: "gs1"}
_LENGTHS = {EAN13: 13, GSRN: 18}
_AIM_ID = re.compile(r"\][A-Za-z][0-9A-Za-z]", re.ASCII)
_PREFIX = re.compile(r"[!-~]{0,64}", re.ASCII)


@record(frozen=True, slots=True)
class ScanRule:
    """One sort of card: a scan fits when AIM id, length, prefix and check character do.

    ``length`` (0: any) and ``prefix`` are of the text as scanned; ``strip`` characters are then taken off its front,
    and ``check`` is of the rest. A text that came without an AIM id was typed, or read by a scanner that sends none:
    ``aim_ids`` then do not matter.
    """

    name: str
    kind: str
    aim_ids: frozenset[str] = frozenset()
    length: int = 0
    prefix: str = ""
    check: str = "none"
    strip: int = 0


@record(frozen=True, slots=True)
class Scanning:
    """A program's rules in their order, and the standard kinds that are read after them."""

    rules: tuple[ScanRule, ...] = ()
    standard: tuple[str, ...] = STANDARD_KINDS


def rest_of_scan(rule: ScanRule, text: str, *, aim_id: str) -> str | None:
    """Return what a rule leaves of a scan for its kind to read; None when the scan does not fit.

    The check character is not looked at: whoever reads the rest does that.
    """
    if aim_id and rule.aim_ids and aim_id not in rule.aim_ids:
        return None
    if rule.length not in (0, len(text)) or not text.startswith(rule.prefix):
        return None
    return text[rule.strip :]


def parse_scanning(node: Node | None) -> Scanning:
    """Read the section; what is wrong goes to the node's findings."""
    if node is None:
        return Scanning()
    rules = tuple(_scan_rule(item) for item in node.nodes("rules", most=SCAN_RULES_MAX))
    node.unique("rules", [rule.name for rule in rules], what="name")
    standard = node.texts("standard", STANDARD_KINDS) if node.has("standard") else STANDARD_KINDS
    node.done()
    return Scanning(rules, tuple(kind for kind in STANDARD_KINDS if kind in standard))


def _scan_rule(node: Node) -> ScanRule:
    kind = node.choice("kind", SCAN_KINDS)
    rule = ScanRule(
        name=node.text("name", longest=64),
        kind=kind,
        aim_ids=frozenset(_aim_ids(node)),
        length=node.integer("length", 0, high=SCAN_CHARS_MAX),
        prefix=node.text("prefix", "", longest=STRIP_MAX),
        check=node.choice("check", _CHECKS_OF.get(kind, ("none",)), _CHECK_DEFAULTS.get(kind, "none")),
        strip=node.integer("strip", 0, high=STRIP_MAX),
    )
    if not _PREFIX.fullmatch(rule.prefix):
        node.wrong("prefix", "has spaces or characters that no card has", "write what the scanner gives")
    if not (rule.aim_ids or rule.length or rule.prefix):
        node.wrong("", "fits every scan", "name aim, length or prefix")
    if rule.length and rule.strip >= rule.length:
        node.wrong("strip", "leaves nothing of the scan", "use less than length")
    fixed = _LENGTHS.get(kind, 0)
    if rule.length and fixed and rule.length - rule.strip != fixed:
        node.wrong("length", f"leaves {rule.length - rule.strip} digits, {kind} has {fixed}")
    node.done()
    return rule


def _aim_ids(node: Node) -> Sequence[str]:
    found = node.texts("aim")
    if len(found) > AIM_IDS_MAX:
        node.wrong("aim", f"has {len(found)} items, at most {AIM_IDS_MAX} are allowed")
    for one in found:
        if not _AIM_ID.fullmatch(one):
            node.wrong("aim", f"'{one[:8]}' is no AIM id", 'write a bracket, a letter and a sign: "]C0"')
    return found
