"""The tables of the memory store, and how changes of them are taken back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from tallystick.core.advice import TillChain
from tallystick.core.chain import JournalRow
from tallystick.core.ids import CommandId, MemberId, Ms
from tallystick.core.record import record
from tallystick.core.state import Account, Hold, Lot
from tallystick.service.birthday_ports import Birthday
from tallystick.service.card_ports import Card, CardBatch
from tallystick.service.claim_store import Claim
from tallystick.service.consent_ports import SaidConsent
from tallystick.service.coupon_ports import CouponBatch, CouponCode, Reservation
from tallystick.service.directory import (
    CardDevice,
    Cashier,
    EnrolmentCode,
    IdentifierRow,
    Member,
    StoredRuleSet,
)
from tallystick.service.event_store import DeliveryState, Endpoint, Event, EventPlace, SeenMember
from tallystick.service.household_store import Belonging
from tallystick.service.notification_ports import Notification, NotificationPlace, PushSubscription
from tallystick.service.ports import InboxItem, Known, NewEntry
from tallystick.service.referral_ports import Referral
from tallystick.service.review_ports import Review, StaffMember, WatchPlace
from tallystick.service.segment_ports import Purchase, SegmentCount
from tallystick.service.shared_store import ReachedGoal, SharedPlace, SharedTotal
from tallystick.service.sign_in_ports import Passkey, SignInSession
from tallystick.service.transfer_store import Transfer
from tallystick.service.wallet_store import Registration, WalletPass, WalletPlace
from tallystick.service.wish_ports import Reminded, Wanted, WantedKind

K = TypeVar("K")
V = TypeVar("V")

_ABSENT = object()


class Undo:
    """Changes of dictionaries that can be taken back."""

    def __init__(self) -> None:
        self._steps: list[tuple[dict[Any, Any], Any, Any]] = []

    def put(self, table: dict[K, V], key: K, value: V) -> None:
        """Set a key."""
        self._steps.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def remove(self, table: dict[K, V], key: K) -> None:
        """Remove a key that is there."""
        self._steps.append((table, key, table.pop(key)))

    def back(self) -> None:
        """Take everything back, the last change first."""
        while self._steps:
            table, key, value = self._steps.pop()
            if value is _ABSENT:
                del table[key]
            else:
                table[key] = value


@record(frozen=True, slots=True)
class Message:
    """A row of ``event_delivery``."""

    member_id: MemberId
    state: DeliveryState
    tries: int
    since_ms: Ms
    next_ms: Ms
    answer: str


@dataclass(slots=True)
class ProgramTables:
    """The tables of one program, by key; the last three are indexes."""

    rule_sets: dict[int, StoredRuleSet] = field(default_factory=dict)
    members: dict[MemberId, Member] = field(default_factory=dict)
    identifiers: dict[tuple[str, bytes], IdentifierRow] = field(default_factory=dict)
    persons: dict[MemberId, bytes] = field(default_factory=dict)
    codes: dict[bytes, EnrolmentCode] = field(default_factory=dict)
    assertions: dict[str, dict[str, Ms]] = field(default_factory=dict)
    accounts: dict[MemberId, Account] = field(default_factory=dict)
    ledger: dict[MemberId, dict[int, tuple[NewEntry, Ms]]] = field(default_factory=dict)
    refusals: dict[CommandId, Known] = field(default_factory=dict)
    lots: dict[MemberId, dict[int, Lot]] = field(default_factory=dict)
    holds: dict[MemberId, dict[CommandId, Hold]] = field(default_factory=dict)
    journal: dict[int, dict[int, JournalRow]] = field(default_factory=dict)
    changed_ms: dict[MemberId, Ms] = field(default_factory=dict)
    tills: dict[str, TillChain] = field(default_factory=dict)
    inbox: dict[str, InboxItem] = field(default_factory=dict)
    cashiers: dict[tuple[str, str], Cashier] = field(default_factory=dict)
    card_batches: dict[str, CardBatch] = field(default_factory=dict)
    cards: dict[tuple[str, bytes], Card] = field(default_factory=dict)
    card_devices: dict[tuple[MemberId, str], CardDevice] = field(default_factory=dict)
    sign_ins: dict[bytes, SignInSession] = field(default_factory=dict)
    passkeys: dict[bytes, Passkey] = field(default_factory=dict)
    passes: dict[str, WalletPass] = field(default_factory=dict)
    registrations: dict[tuple[str, str], Registration] = field(default_factory=dict)
    places: dict[str, WalletPlace] = field(default_factory=dict)
    """The one place, by nothing."""
    birthdays: dict[MemberId, Birthday] = field(default_factory=dict)
    consents: dict[MemberId, tuple[SaidConsent, ...]] = field(default_factory=dict)
    referrals: dict[MemberId, Referral] = field(default_factory=dict)
    wanted: dict[tuple[MemberId, WantedKind], Wanted] = field(default_factory=dict)
    reminders: dict[MemberId, tuple[Reminded, ...]] = field(default_factory=dict)
    coupon_batches: dict[str, CouponBatch] = field(default_factory=dict)
    coupon_codes: dict[str, CouponCode] = field(default_factory=dict)
    coupons_used: dict[str, int] = field(default_factory=dict)
    coupons_by_member: dict[tuple[MemberId, str], int] = field(default_factory=dict)
    coupon_holds: dict[tuple[str, str, str, str], Reservation] = field(default_factory=dict)
    segments: dict[str, SegmentCount] = field(default_factory=dict)
    segment_members: dict[tuple[MemberId, str], Ms] = field(default_factory=dict)
    purchases: dict[tuple[MemberId, int], Purchase] = field(default_factory=dict)
    claims: dict[CommandId, Claim] = field(default_factory=dict)
    transfers: dict[CommandId, Transfer] = field(default_factory=dict)
    households: dict[MemberId, tuple[bytes, Ms]] = field(default_factory=dict)
    """The invitation (empty: none) and its end."""
    last_heads: dict[MemberId, MemberId] = field(default_factory=dict)
    """Who has left a household last."""
    belongings: dict[MemberId, Belonging] = field(default_factory=dict)
    shared_places: dict[str, SharedPlace] = field(default_factory=dict)
    """The one place, by nothing."""
    shared_sums: dict[str, SharedTotal] = field(default_factory=dict)
    shared_parts: dict[tuple[MemberId, str], tuple[int, bool]] = field(default_factory=dict)
    shared_goals: dict[str, ReachedGoal] = field(default_factory=dict)
    made_ms: dict[MemberId, Ms] = field(default_factory=dict)
    webhooks: dict[str, Endpoint] = field(default_factory=dict)
    events: dict[int, tuple[Event, Ms]] = field(default_factory=dict)
    messages: dict[tuple[str, int], Message] = field(default_factory=dict)
    event_seen: dict[MemberId, SeenMember] = field(default_factory=dict)
    event_places: dict[str, EventPlace] = field(default_factory=dict)
    """The one place, by nothing."""
    reviews: dict[str, Review] = field(default_factory=dict)
    watch_counts: dict[tuple[Ms, str, str], int] = field(default_factory=dict)
    watch_places: dict[str, WatchPlace] = field(default_factory=dict)
    """The one place, by nothing."""
    staff: dict[tuple[str, str], StaffMember] = field(default_factory=dict)
    notifications: dict[tuple[MemberId, str], tuple[Notification, Ms]] = field(default_factory=dict)
    """Each with the instant until which it is held."""
    push_subscriptions: dict[tuple[MemberId, str], PushSubscription] = field(default_factory=dict)
    notification_places: dict[str, NotificationPlace] = field(default_factory=dict)
    """The one place, by nothing."""
    entry_of: dict[CommandId, tuple[MemberId, int]] = field(default_factory=dict)
    holder_of: dict[CommandId, MemberId] = field(default_factory=dict)
    reversals_of: dict[tuple[MemberId, int], tuple[int, ...]] = field(default_factory=dict)
