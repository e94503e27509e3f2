"""A message that is ready to go, to whom it goes, and the port by which it leaves."""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import Protocol

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.record import record
from tallystick.core.rules.notifications import Occasion, Sense
from tallystick.service.consent_ports import ConsentChannel, ConsentPurpose
from tallystick.service.notification_ports import PushSubscription, Way

PURPOSES = {
    Occasion.BASKET_ABANDONED: ConsentPurpose.REMINDERS,
    Occasion.WISH_REMINDER: ConsentPurpose.REMINDERS,
}
"""What a member must have consented to; news of the member's own points where nothing is said here."""

WAYS = {
    "email": Way.EMAIL,
    "sms": Way.SMS,
    "push": Way.PUSH,
    "wallet": Way.WALLET,
    "webhook": Way.WEBHOOK,
}
CONSENT_OF = {
    Way.EMAIL: ConsentChannel.EMAIL,
    Way.SMS: ConsentChannel.SMS,
    Way.PUSH: ConsentChannel.PUSH,
    Way.WALLET: ConsentChannel.PUSH,
}
"""Which consent lets a message go; one that a retailer's own sender takes needs any, and says which there are."""


def purpose_of(occasion: Occasion) -> ConsentPurpose:
    """Return what a member must have consented to for an occasion."""
    return PURPOSES.get(occasion, ConsentPurpose.POINTS)


@record(frozen=True, slots=True)
class Notice:
    """A message that is ready to go. ``channels`` are those that the member has consented to for it."""

    program_id: ProgramId
    member_id: MemberId
    notification_id: str
    occasion: Occasion
    sense: Sense
    program_name: str
    language: str
    title: str
    text: str
    args: tuple[tuple[str, str], ...]
    made_ms: Ms
    stale_ms: Ms
    channels: tuple[ConsentChannel, ...] = ()


@record(frozen=True, slots=True)
class Recipient:
    """Where a member can be reached; what is empty leads nowhere. Its repr hides it."""

    email: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    push: tuple[PushSubscription, ...] = field(default=(), repr=False)


class Carried(Enum):
    """What came of giving a message to a channel."""

    SENT = "sent"
    LATER = "later"
    NO_WAY = "no way"
    """It does not lead to this member: the next channel may."""


@record(frozen=True, slots=True)
class Outcome:
    """What came of it, with a word or a number of the other side; never an address."""

    carried: Carried
    answer: str


class Carrier(Protocol):
    """A channel. It is asked from one event loop, and may be asked several things at once."""

    @property
    def way(self) -> Way:
        """Which channel it is."""
        ...

    async def send(self, notice: Notice, recipient: Recipient) -> Outcome:
        """Give a message on its way. Raises nothing but what is a fault of the program."""
        ...
