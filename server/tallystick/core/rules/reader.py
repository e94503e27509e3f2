"""Reads a document of plain values, and collects every finding instead of stopping at the first."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tallystick.core.ids import Ms
from tallystick.core.record import record

DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
LIST_MAX = 1_000
TEXT_MAX = 200
UNLIMITED = "unlimited"


@record(frozen=True, slots=True)
class Finding:
    """Something wrong with a rule set: where (``earning.rules[2].points``), what, and how to mend it.

    One that is ``tolerated`` keeps a rule set from being published, and lets one be that was published before anybody
    looked for it.
    """

    path: str
    message: str
    mend: str = ""
    tolerated: bool = False


class Node:
    """One mapping of the document. Every key that is asked for counts as known; ``done`` reports the others."""

    def __init__(
        self,
        value: object,
        path: str,
        findings: list[Finding],
        names: dict[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.path = path
        self.findings = findings
        self.names: dict[str, tuple[str, ...]] = {} if names is None else names
        """What sections further up have named, by the key that names it elsewhere; one for the whole document."""
        self._asked: set[str] = set()
        self._value: dict[str, Any] = {}
        if isinstance(value, dict):
            self._value = {str(key): item for key, item in value.items()}
        else:
            self.wrong("", "must be a mapping of names to values", "write 'name: value' lines below it")

    def at(self, key: str) -> str:
        """Return the path of a key."""
        return f"{self.path}.{key}" if self.path and key else self.path or key

    def wrong(self, key: str, message: str, mend: str = "", *, tolerated: bool = False) -> None:
        """Add a finding about a key."""
        self.findings.append(Finding(self.at(key), message, mend, tolerated))

    def unique(self, key: str, names: Sequence[str], *, what: str = "id") -> None:
        """Report each item of a list that has the name of an earlier one; one without a name has nobody's."""
        for at, name in enumerate(names):
            if name and name in names[:at]:
                self.wrong(f"{key}[{at}].{what}", f"'{name}' is there already", f"give each its own {what}")

    def has(self, key: str) -> bool:
        """Return whether a key is there."""
        self._asked.add(key)
        return key in self._value

    def take(self, key: str) -> Any:
        """Return a key's raw value, None when it is absent."""
        self._asked.add(key)
        return self._value.get(key)

    def integer(self, key: str, default: int | None = None, *, low: int = 0, high: int = 10**15) -> int:
        """Return a whole number in [low, high]; without a default the key must be there."""
        value = self.take(key)
        if value is None:
            if default is None:
                self.wrong(key, "is missing", f"add '{key}:' with a whole number")
            return default if default is not None else low
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(
                key, f"must be a whole number, not {_shown(value)}", "write it without quotes or decimals"
            )
            return max(low, default or 0)
        if not low <= value <= high:
            self.wrong(key, f"must be from {low} to {high}, not {value}")
            return max(low, default or 0)
        return value

    def cap(self, key: str, default: int, *, high: int) -> int:
        """Return a whole number in [0, high], or -1 for the word "unlimited"."""
        return -1 if self.take(key) == UNLIMITED else self.integer(key, default, high=high)

    def text(self, key: str, default: str | None = None, *, longest: int = TEXT_MAX) -> str:
        """Return a text of 1 to ``longest`` characters; without a default the key must be there."""
        value = self.take(key)
        if value is None:
            if default is None:
                self.wrong(key, "is missing", f"add '{key}:' with a text")
            return default or ""
        if not isinstance(value, str) or not 0 < len(value) <= longest:
            mend = "put it in quotes" if isinstance(value, int) else ""
            self.wrong(key, f"must be a text of 1 to {longest} characters, not {_shown(value)}", mend)
            return default or ""
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str | None = None) -> str:
        """Return one of the allowed words."""
        value = self.take(key)
        if value is None:
            if default is None:
                self.wrong(key, "is missing", f"choose one of: {', '.join(allowed)}")
            return default or allowed[0]
        if value not in allowed:
            close = difflib.get_close_matches(str(value), allowed, 1)
            mend = f"did you mean '{close[0]}'?" if close else f"choose one of: {', '.join(allowed)}"
            self.wrong(key, f"{_shown(value)} is not known here", mend)
            return default or allowed[0]
        return str(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(key, f"must be true or false, not {_shown(value)}")
            return default
        return value

    def ratio(self, key: str, *, low: Fraction, high: Fraction) -> Fraction:
        """Return an exact number written as a whole number or as a text such as "1.5"."""
        value = self.take(key)
        # Only plain decimals: Fraction itself would also spend hours on "1e999999999".
        if isinstance(value, bool) or not DECIMAL.fullmatch(str(value)):
            self.wrong(
                key, f"must be a number, not {_shown(value)}", f'write for example {key}: "1.5" with quotes'
            )
            return Fraction(1)
        number = Fraction(str(value))
        if not low <= number <= high or number.denominator > 10_000:
            self.wrong(key, f"must be from {low} to {high}, with at most four decimals, not {_shown(value)}")
            return Fraction(1)
        return number

    def texts(self, key: str, allowed: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return a list of texts; a single text counts as a list of one."""
        value = self.take(key)
        if value is None:
            return ()
        items = value if isinstance(value, list) else [value]
        if len(items) > LIST_MAX:
            self.wrong(key, f"has {len(items)} items, at most {LIST_MAX} are allowed")
            return ()
        for at, item in enumerate(items):
            if not isinstance(item, str) or not 0 < len(item) <= TEXT_MAX:
                mend = "put it in quotes" if isinstance(item, (int, float)) else ""
                self.wrong(f"{key}[{at}]", f"must be a text, not {_shown(item)}", mend)
                return ()
            if allowed is not None and item not in allowed:
                self.wrong(f"{key}[{at}]", f"{_shown(item)} is not known here", _choice(item, allowed))
                return ()
        return tuple(items)

    def integers(
        self, key: str, default: tuple[int, ...], *, low: int, high: int, most: int
    ) -> tuple[int, ...]:
        """Return a list of 1 to ``most`` whole numbers in [low, high]; a single number counts as a list of one."""
        value = self.take(key)
        if value is None:
            return default
        items = value if isinstance(value, list) else [value]
        if not 0 < len(items) <= most:
            self.wrong(key, f"has {len(items)} items, 1 to {most} are allowed")
            return default
        for at, item in enumerate(items):
            if isinstance(item, bool) or not isinstance(item, int) or not low <= item <= high:
                self.wrong(f"{key}[{at}]", f"must be a whole number from {low} to {high}, not {_shown(item)}")
                return default
        return tuple(items)

    def nodes(self, key: str, *, most: int) -> list[Node]:
        """Return a list of mappings."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(key, "must be a list", "start each item with '- '")
            return []
        if len(value) > most:
            self.wrong(key, f"has {len(value)} items, at most {most} are allowed")
            return []
        return [
            Node(item, f"{self.at(key)}[{at}]", self.findings, self.names) for at, item in enumerate(value)
        ]

    def node(self, key: str, *, needed: str = "") -> Node | None:
        """Return a mapping, None when the key is absent; ``needed`` is the mend when it must be there."""
        value = self.take(key)
        if value is None and needed:
            self.wrong(key, "is missing", needed)
        return None if value is None else Node(value, self.at(key), self.findings, self.names)

    def instant(self, key: str, zone: ZoneInfo, default: Ms) -> Ms:
        """Return an instant written as a local date or date and time of the program's zone."""
        value = self.take(key)
        if value is None:
            return default
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.wrong(
                key,
                f"must be a date, not {_shown(value)}",
                f'write {key}: "2026-12-24" or "2026-12-24T18:00"',
            )
            return default
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return Ms(int(moment.timestamp()) * 1000)

    def done(self) -> None:
        """Report the keys that nothing asked for."""
        for key in sorted(self._value.keys() - self._asked):
            close = difflib.get_close_matches(key, sorted(self._asked), 1)
            mend = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(sorted(self._asked))}"
            self.wrong(key, "is not known here", mend)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _choice(item: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(item, allowed, 1)
    if close:
        return f"did you mean '{close[0]}'?"
    return (
        f"choose among: {', '.join(allowed)}"
        if allowed
        else "describe it in this rule set, or remove it here"
    )
