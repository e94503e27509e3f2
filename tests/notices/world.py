"""A shop whose members are told of what happens: the gateway, what sends messages, and the member's own doings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from tallystick.core.ids import MemberId, Ms
from tallystick.events.notifying import Notifying
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose
from tallystick.service.notices import Carried, Carrier, Notice, Outcome, Recipient
from tallystick.service.notification_ports import Notification, Way
from tallystick.service.notifications import NoticeSettings
from tests.rpc.handlers.world import RULES, SHOP, World, sale_request

ALL = frozenset(Way) - {Way.NONE}
POINTS, REMINDERS = ConsentPurpose.POINTS, ConsentPurpose.REMINDERS
EMAIL, SMS, PUSH = ConsentChannel.EMAIL, ConsentChannel.SMS, ConsentChannel.PUSH
ADA = "ada@example.org"


@dataclass
class Tray:
    """A channel whose messages the test reads. ``answers`` are given in turn, then all are sent."""

    way: Way = Way.EMAIL
    answers: list[Carried] = field(default_factory=list)
    sent: list[tuple[Notice, Recipient]] = field(default_factory=list)
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        with self.lock:
            self.asked += 1
            carried = self.answers.pop(0) if self.answers else Carried.SENT
            if carried is Carried.SENT:
                self.sent.append((notice, recipient))
        return Outcome(carried, carried.value)

    @property
    def titles(self) -> list[str]:
        return [notice.title for notice, _ in self.sent]

    @property
    def texts(self) -> list[str]:
        return [notice.text for notice, _ in self.sent]


@dataclass
class Uptime:
    """The seconds by which a process knows that it is time to forget again."""

    s: float = 1_000_000.0

    def monotonic(self) -> float:
        return self.s


def telling(*occasions: str, **more: Any) -> str:
    """A section that tells of occasions; ``more`` are other keys as YAML text."""
    lines = ["notifications:"]
    lines += [f"  {key}: {value}" for key, value in more.items()]
    lines += ["  tell:"] if occasions else []
    lines += [f"    - {{{one if ':' in one else f'occasion: {one}'}}}" for one in occasions]
    return "\n".join(lines) + "\n"


class Club(World):
    """A world with channels; ``turn`` is one round of the process that sends."""

    def __init__(
        self,
        path: Path,
        section: str,
        *,
        rules: str = RULES,
        ways: frozenset[Way] = ALL,
        carriers: Sequence[Carrier] = (),
        **more: Any,
    ) -> None:
        settings = NoticeSettings(ways, "mailto:card@example.org", push_private=True)
        self.mail = Tray()
        self.carriers = list(carriers) or [self.mail]
        super().__init__(
            path,
            rules=rules + section,
            notices=settings,
            carriers={carrier.way: carrier for carrier in self.carriers},
            **more,
        )

    def sender(self) -> Notifying:
        """Another process's share, as after a start."""
        return Notifying(
            self.store,
            self.gateway.notices,
            self.gateway.turns,
            self.carriers,
            now_ms=lambda: Ms(self.now_ms),
            random_share=lambda: 0.5,
        )

    def turn(self) -> None:
        """Make messages and send those that are due."""
        asyncio.run(self.sender().round())

    def look_ahead(self) -> None:
        """Look at all members for what is about to happen."""
        after = None
        while True:
            after = self.gateway.notices.look_ahead(SHOP, after=after)
            if after is None:
                return

    def join(self, *channels: ConsentChannel, purpose: ConsentPurpose = POINTS, **profile: str) -> MemberId:
        """Enrol a member with an address who wants messages by some channels."""
        member_id = MemberId(self.enrol())
        known = {"email": ADA, "phone": "+46701234567", "language": "en", **profile}
        self.gateway.members.update_profile(SHOP, member_id, known)
        for channel in channels:
            self.say(member_id, channel, purpose=purpose)
        return member_id

    def say(
        self,
        member_id: MemberId,
        channel: ConsentChannel,
        *,
        granted: bool = True,
        purpose: ConsentPurpose = POINTS,
    ) -> None:
        self.gateway.consents.say(
            SHOP, member_id, purpose, channel, granted=granted, by_role=4, by_device="phone"
        )

    def buys(self, member_id: MemberId, amount_minor: int, **more: Any) -> None:
        assert self.send(sale_request(member_id, amount_minor, **more)).decision.HasField("posted")

    def notes(self, member_id: MemberId) -> list[Notification]:
        """A member's messages, the oldest first."""
        found = self.store.notifications_of(SHOP, member_id, before=None, limit=1_000)
        return list(reversed(found))

    def wait(self, *, days: float = 0, hours: float = 0, minutes: float = 0) -> None:
        self.now_ms += int(((days * 24 + hours) * 60 + minutes) * 60_000)

    def at(self, day: str, hour: int, minute: int = 0) -> None:
        """Move the clock to an hour of Stockholm."""
        from datetime import datetime
        from zoneinfo import ZoneInfo

        local = datetime.combine(date.fromisoformat(day), datetime.min.time(), ZoneInfo("Europe/Stockholm"))
        self.now_ms = int(local.replace(hour=hour, minute=minute).timestamp()) * 1000

    def device(self, member_id: MemberId) -> str:
        """Let one more phone show the member's card; return its id."""
        from tallystick.security.keys import generate_signing_key
        from tallystick.service.enrolment import canonical_jwk

        key = generate_signing_key().verify_key
        self.gateway.codes.register(SHOP, member_id, canonical_jwk(key), label="Phone")
        return key.kid


def started(opened: list[Club], path: Path, section: str, **more: object) -> Club:
    """Open a club that tells of what a section names, and let it be served for a while."""
    opened.append(Club(path, section, **more))  # type: ignore[arg-type]
    opened[-1].turn()
    return opened[-1]
