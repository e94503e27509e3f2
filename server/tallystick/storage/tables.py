"""The schema as SQLAlchemy Core tables: what the migrations build, and what the directory's queries are written in.

Member and program lead every key of a member's tables, so that rows of one member lie together and the schema can be
distributed. Integers only: points, minor units, milliseconds. No sequence, trigger or key across members: ids come from
callers, and nothing that all members share is updated.
"""

from __future__ import annotations

from tallystick.storage.columns import metadata
from tallystick.storage.coupon_tables import (
    coupon_batch,
    coupon_code,
    coupon_count,
    coupon_hold,
    coupon_member,
)
from tallystick.storage.event_tables import event, event_delivery, event_place, event_seen, webhook
from tallystick.storage.ledger_tables import (
    MOVE_COLUMNS,
    SUM_COLUMNS,
    account,
    hold,
    journal,
    ledger,
    lot,
    refusal,
)
from tallystick.storage.member_tables import (
    birthday,
    card,
    card_batch,
    card_device,
    claim,
    consent,
    identifier,
    member,
    passkey,
    person,
    program,
    referral,
    rule_set,
    sign_in,
    wallet_pass,
    wallet_place,
    wallet_registration,
)
from tallystick.storage.notification_tables import notification, notification_place, push_subscription
from tallystick.storage.review_tables import review, staff_member, watch_count, watch_place
from tallystick.storage.segment_tables import purchase, segment, segment_member
from tallystick.storage.sharing_tables import (
    household,
    household_member,
    shared_goal,
    shared_part,
    shared_place,
    shared_sum,
    transfer,
)
from tallystick.storage.till_tables import (
    assertion_use,
    cashier,
    device,
    enrolment_code,
    inbox_item,
    till_chain,
)
from tallystick.storage.wish_tables import reminder, wanted

__all__ = [
    "MOVE_COLUMNS",
    "SUM_COLUMNS",
    "account",
    "assertion_use",
    "birthday",
    "card",
    "card_batch",
    "card_device",
    "cashier",
    "claim",
    "consent",
    "coupon_batch",
    "coupon_code",
    "coupon_count",
    "coupon_hold",
    "coupon_member",
    "device",
    "enrolment_code",
    "event",
    "event_delivery",
    "event_place",
    "event_seen",
    "hold",
    "household",
    "household_member",
    "identifier",
    "inbox_item",
    "journal",
    "ledger",
    "lot",
    "member",
    "metadata",
    "notification",
    "notification_place",
    "passkey",
    "person",
    "program",
    "purchase",
    "push_subscription",
    "referral",
    "refusal",
    "reminder",
    "review",
    "rule_set",
    "segment",
    "segment_member",
    "shared_goal",
    "shared_part",
    "shared_place",
    "shared_sum",
    "sign_in",
    "staff_member",
    "till_chain",
    "transfer",
    "wallet_pass",
    "wallet_place",
    "wallet_registration",
    "wanted",
    "watch_count",
    "watch_place",
    "webhook",
]
