"""All that is kept about a member, as one JSON document that the member may take away.

What docs/guides/card-data.md says of it is its schema. It names nobody but the member: who recommended the program,
for example, is somebody else's data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol

from tallystick.core.basket import Channel
from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import NEVER_MS, MemberId, Ms, ProgramId
from tallystick.core.state import Hold, Lot, Tally
from tallystick.security.encoding import base64url_encode
from tallystick.service.balances import Balances, as_of, balance_of, member_not_found
from tallystick.service.birthday_ports import Birthday
from tallystick.service.codes import Codes
from tallystick.service.consents import ConsentNow, Consents
from tallystick.service.directory import CardDevice, IdentifierRow, Member
from tallystick.service.goods import goods_fact
from tallystick.service.household_store import Belonging
from tallystick.service.identity import Identity
from tallystick.service.members import Members, Profile
from tallystick.service.notification_ports import NoteState
from tallystick.service.notifications import Notifications, Shown
from tallystick.service.passkeys import Passkeys
from tallystick.service.reads import Store
from tallystick.service.referrals import Referrals
from tallystick.service.review_ports import ReviewStore
from tallystick.service.rulebook import RuleBook
from tallystick.service.sign_in_ports import Passkey
from tallystick.service.wallets import Wallets
from tallystick.service.wish_ports import WantedKind
from tallystick.service.wishes import Wishes

FORMAT = "tallystick-member/1"
ENTRIES_MAX = 10_000
ENTRIES_PAGE = 1_000
REVIEWS_MAX = 1_000
NOTIFICATIONS_MAX = 1_000

Document = dict[str, Any]


class ExportStore(Store, ReviewStore, Protocol):
    """What taking one's data away needs of a store."""


class MemberExport:
    """The use case of taking one's data away. Safe to use from several threads."""

    def __init__(
        self,
        store: ExportStore,
        rulebook: RuleBook,
        balances: Balances,
        members: Members,
        identity: Identity,
        codes: Codes,
        passkeys: Passkeys,
        consents: Consents,
        referrals: Referrals,
        wallets: Wallets,
        wishes: Wishes,
        notifications: Notifications,
        *,
        role_name: Callable[[int], str],
        now_ms: Callable[[], Ms],
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._balances = balances
        self._members = members
        self._identity = identity
        self._codes = codes
        self._passkeys = passkeys
        self._consents = consents
        self._referrals = referrals
        self._wallets = wallets
        self._wishes = wishes
        self._notifications = notifications
        self._role_name = role_name
        self._now_ms = now_ms

    def document(self, program_id: ProgramId, member_id: MemberId) -> bytes:
        """Return the document of a living member, UTF-8, the same for the same data. Raises ``NotFound``."""
        member = self._members.living(program_id, member_id)
        told: Document = {
            "format": FORMAT,
            "exported_at": _instant(self._now_ms()),
            "member": _member(member),
            "profile": _profile(self._members.profile(program_id, member_id)),
            "birthday_found_by": _birthday(self._store.birthday(program_id, member_id)),
            "consents": [_consent(one) for one in self._consents.all_of(program_id, member_id)],
            **self._carriers(program_id, member_id),
            "notifications": self._told(program_id, member_id),
            "household": _household(self._store.belonging(program_id, member_id)),
            **self._points(program_id, member_id),
            **self._entries(program_id, member_id),
            "segments": [
                {"segment_id": segment_id, "since": _instant(since_ms)}
                for segment_id, since_ms in self._store.segments_of(program_id, member_id)
            ],
            "purchases": [
                {
                    "sale_seq": one.seq,
                    "sold_at": _instant(one.at_ms),
                    "goods": [
                        {"sku": line.sku, "brand": line.brand, "categories": list(line.categories)}
                        for line in goods_fact(one).lines
                    ],
                }
                for one in self._store.purchases_of(program_id, member_id)
            ],
        }
        told["consent_history"] = [
            {
                "purpose": one.purpose.name,
                "channel": one.channel.name,
                "granted": one.granted,
                "said_at": _instant(one.said_ms),
                "by": self._role_name(one.by_role),
                "by_device": one.by_device,
            }
            for one in self._consents.history(program_id, member_id)
        ]
        told |= self._wants(program_id, member_id)
        return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def _carriers(self, program_id: ProgramId, member_id: MemberId) -> Document:
        """Return what leads to the member: identifiers, cards, devices, passes, and the code to recommend by."""
        rows = self._identity.all_of(program_id, member_id)
        named = {(row.kind, row.token): row for row in rows}
        cards = self._store.cards(program_id, list(named))
        referral = self._store.referral(program_id, member_id)
        return {
            "identifiers": [_identifier(row) for row in rows],
            "cards": [
                {
                    "kind": card.kind,
                    "masked": named[card.kind, card.token].hint,
                    "batch_id": card.batch_id,
                    "state": card.state.name,
                    "changed_at": _instant(card.changed_ms),
                }
                for card in sorted(cards, key=lambda card: (card.changed_ms, card.kind, card.token))
            ],
            "devices": [
                _device(device, self._codes.label_of(program_id, device))
                for device in self._codes.devices(program_id, member_id)
            ],
            "passkeys": [
                _passkey(passkey, self._passkeys.label_of(program_id, passkey))
                for passkey in self._passkeys.all_of(program_id, member_id)
            ],
            "passes": [
                {
                    "wallet": one.wallet.name,
                    "made_at": _instant(one.made_ms),
                    "changed_at": _instant(one.changed_s * 1000),
                }
                for one in self._wallets.passes_of(program_id, member_id)
            ],
            "referral": {
                "code": self._referrals.code_of(program_id, member_id),
                "joined_by_one_at": _instant(referral.noted_ms) if referral else None,
                "brought": self._store.referral_sums(program_id, member_id)._asdict(),
            },
            "reviews": [
                {
                    "kind": one.kind,
                    "found_at": _instant(one.made_ms),
                    "state": one.state.name,
                }
                for one in self._store.reviews_of(program_id, member_id, limit=REVIEWS_MAX)
            ],
        }

    def _wants(self, program_id: ProgramId, member_id: MemberId) -> Document:
        """Return what the member would like to have, and what it was reminded of in the last weeks."""
        basket = self._store.wanted(program_id, member_id, WantedKind.BASKET)
        return {
            "wishes": [
                {"sku": one.sku, "name": one.name, "wished_at": _instant(one.wished_ms)}
                for one in self._wishes.list_of(program_id, member_id)
            ],
            "open_basket": {
                "basket_ref": basket.ref,
                "seen_at": _instant(basket.seen_ms),
                **json.loads(basket.body),
            }
            if basket
            else None,
            "reminders": [
                {"kind": one.kind, "given_at": _instant(one.made_ms)}
                for one in self._store.reminders(program_id, member_id)
            ],
        }

    def _told(self, program_id: ProgramId, member_id: MemberId) -> list[Document]:
        """Return what the member was told and is about to be, the newest first."""
        shown = self._notifications.list_of(
            program_id, member_id, language="", before=None, limit=NOTIFICATIONS_MAX
        )
        return [_notification(one) for one in shown]

    def _points(self, program_id: ProgramId, member_id: MemberId) -> Document:
        program = self._store.program(program_id)
        account = self._store.read_accounts(program_id, [member_id]).get(member_id)
        if program is None or account is None:
            raise member_not_found(member_id)
        at_ms = as_of(account, program.clock, self._now_ms())
        rules = self._rulebook.current(program_id)
        state = self._balances.caught_up(program_id, member_id, at_ms)
        balance = balance_of(state.account, rules, at_ms)
        return {
            "program": {
                "program_id": program_id,
                "name": program.display_name or program_id,
                "currency_code": rules.currency if rules else None,
                "time_zone": rules.zone.key if rules else None,
            },
            "balance": {
                "active_points": balance.active,
                "pending_points": balance.pending,
                "held_points": balance.held,
                "debt_points": balance.debt,
                "tier_id": balance.tier_id,
                "qualifying_credits": balance.qualifying_credits,
                "as_of": _instant(at_ms),
            },
            "lots": [_lot(lot) for lot in sorted(state.lots, key=lambda lot: lot.lot_seq)],
            "holds": [_hold(hold) for hold in sorted(state.holds, key=lambda hold: hold.seq)],
            "tallies": [_tally(tally) for tally in state.account.tallies],
        }

    def _entries(self, program_id: ProgramId, member_id: MemberId) -> Document:
        """Return the newest entries, the newest first."""
        found: list[tuple[Entry, Ms]] = []
        before: int | None = None
        while len(found) < ENTRIES_MAX:
            page = self._store.read_entries(program_id, member_id, before_seq=before, limit=ENTRIES_PAGE)
            found += page
            if len(page) < ENTRIES_PAGE:
                break
            before = page[-1][0].seq
        older = bool(found) and found[-1][0].seq > 1
        return {
            "entries": [_entry(entry, recorded_ms) for entry, recorded_ms in found],
            "older_entries_left_out": older,
        }


def _notification(shown: Shown) -> Document:
    note = shown.note
    return {
        "occasion": note.occasion.value,
        "state": note.state.name,
        "channel": note.way.name if note.way else None,
        "title": shown.title,
        "text": shown.text,
        "made_at": _instant(note.made_ms),
        "sent_at": _instant(note.done_ms) if note.state is NoteState.SENT else None,
    }


def _instant(at_ms: int) -> str | None:
    """Return an instant as RFC 3339 text in UTC; None for none and for never."""
    if not 0 < at_ms < NEVER_MS:
        return None
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ms % 1000:03d}Z"


def _household(place: Belonging | None) -> Document | None:
    """Return which household the member is in; who else is in it is theirs to tell."""
    if place is None:
        return None
    return {
        "household_id": place.household_id,
        "part": place.part.name,
        "since": _instant(place.since_ms),
    }


def _member(member: Member) -> Document:
    return {
        "member_id": member.member_id,
        "number": member.number,
        "status": member.status.name,
        "spend_locked": member.spend_locked,
        "enrolled_at": _instant(member.enrolled_ms),
        "channel": Channel(member.channel).name,
        "store_id": member.store_id,
    }


def _profile(profile: Profile) -> Document:
    return {
        "given_name": profile.given_name,
        "family_name": profile.family_name,
        "email": profile.email,
        "phone": profile.phone,
        "birthday": profile.birthday,
        "language": profile.language,
        "updated_at": _instant(profile.updated_ms),
    }


def _birthday(birthday: Birthday | None) -> Document | None:
    if birthday is None:
        return None
    month, day = divmod(birthday.month_day, 100)
    kept = f"{month:02}-{day:02}" if birthday.month_day else None
    return {"month_day": kept, "set_at": _instant(birthday.set_ms)}


def _consent(one: ConsentNow) -> Document:
    return {
        "purpose": one.purpose.name,
        "channel": one.channel.name,
        "granted": one.granted,
        "changed_at": _instant(one.changed_ms),
    }


def _identifier(row: IdentifierRow) -> Document:
    return {"kind": row.kind, "masked": row.hint, "added_at": _instant(row.added_ms)}


def _device(device: CardDevice, label: str) -> Document:
    return {
        "device_id": device.kid,
        "label": label,
        "public_jwk": json.loads(device.public_jwk),
        "registered_at": _instant(device.registered_ms),
        "burn_from": _instant(device.burn_from_ms),
        "expires_at": _instant(device.expires_ms),
        "revoked_at": _instant(device.revoked_ms),
    }


def _passkey(passkey: Passkey, label: str) -> Document:
    return {
        "passkey_id": base64url_encode(passkey.credential_id),
        "label": label,
        "added_at": _instant(passkey.added_ms),
        "used_at": _instant(passkey.used_ms),
    }


def _lot(lot: Lot) -> Document:
    return {
        "lot_seq": lot.lot_seq,
        "points": lot.points,
        "remaining_points": lot.remaining,
        "earned_at": _instant(lot.earned_ms),
        "matures_at": _instant(lot.matures_ms),
        "expires_at": _instant(lot.expires_ms),
        "pending": lot.pending,
    }


def _hold(hold: Hold) -> Document:
    return {
        "hold_id": hold.hold_id,
        "kind": hold.kind.name,
        "points": hold.points,
        "used_points": hold.used,
        "reward_ids": list(hold.reward_ids),
        "store_id": hold.store_id,
        "ends_at": _instant(hold.ends_ms),
        "expires_at": _instant(hold.expires_ms),
    }


def _tally(tally: Tally) -> Document:
    first = date.fromordinal(tally.period).isoformat() if tally.period else None
    return {"key": tally.key, "first_day": first, "count": tally.count}


def _entry(entry: Entry, recorded_ms: Ms) -> Document:
    detail, origin, moves = entry.detail, entry.origin, entry.moves
    return {
        "seq": entry.seq,
        "command_id": entry.command_id,
        "kind": EntryKind(entry.kind).name,
        "occurred_at": _instant(origin.occurred_ms),
        "recorded_at": _instant(recorded_ms),
        "channel": origin.channel.name,
        "store_id": origin.store_id,
        "reference": origin.reference,
        "points": {
            "active": moves.active,
            "pending": moves.pending,
            "held": moves.held,
            "debt": moves.debt,
        },
        "points_after": {
            "active": entry.active_after,
            "pending": entry.pending_after,
            "held": entry.held_after,
            "debt": entry.debt_after,
        },
        "tier_after": entry.tier_after,
        "rule_set": entry.rule_set,
        "assurance": entry.assurance.name,
        "reverses_seq": entry.reverses_seq or None,
        "hold_id": entry.hold_id or None,
        "reason": detail.reason,
        "payable_minor": detail.payable_minor,
        "lines": [share._asdict() for share in detail.lines],
        "rewards": [reward._asdict() for reward in detail.rewards],
        "tallies": [_tally(tally) for tally in detail.tallies],
        "explanations": [
            {
                "rule_id": why.rule_id,
                "line_no": why.line_no,
                "points": why.points,
                "code": why.code,
                "args": _args(why.args),
            }
            for why in detail.explanations
        ],
    }


def _args(args: Sequence[tuple[str, str]]) -> dict[str, str]:
    return dict(args)
