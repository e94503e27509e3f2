"""A scanner that types (a keyboard wedge): keys with the times that the scanner gave them.

The screen tells a scanner from a hand by the times of the keys. A scanner's keys carry the time at which they were
struck, however busy the machine is that reads them; so these do, and no load makes a scan look typed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from playwright.sync_api import CDPSession, Page

GAP_S = 0.002
"""Between two keys, as a quick scanner types."""

CONTROL = 2
"""The modifier's bit in the browser's protocol."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its name, the text it types, and its code of old where the page could ask for it."""

    name: str
    text: str = ""
    code: int = 0
    modifiers: int = 0


ENTER = Key("Enter", "\r", 13)


def keys_of(text: str) -> list[Key]:
    """Return the keys that type a text."""
    return [Key(each, each) for each in text]


def control(letter: str) -> Key:
    """Return the key of a control character, which types nothing."""
    return Key(letter, code=ord(letter.upper()), modifiers=CONTROL)


class Wedge:
    """A scanner at a page."""

    def __init__(self, page: Page) -> None:
        self._browser: CDPSession = page.context.new_cdp_session(page)

    def type(self, keys: Iterable[Key], gap_s: float = GAP_S) -> None:
        """Strike keys this long after each other; where this machine is late, they carry the time that was meant."""
        at = time.time()
        for each in keys:
            time.sleep(max(0.0, at - time.time()))
            self._strike(each, at)
            at += gap_s

    def _strike(self, key: Key, at: float) -> None:
        said = {
            "key": key.name,
            "windowsVirtualKeyCode": key.code,
            "modifiers": key.modifiers,
            "timestamp": at,
        }
        down = {"type": "keyDown", "text": key.text} if key.text else {"type": "rawKeyDown"}
        self._browser.send("Input.dispatchKeyEvent", {**said, **down})
        self._browser.send("Input.dispatchKeyEvent", {**said, "type": "keyUp"})
