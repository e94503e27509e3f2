"""Joining at the till: by the gateway when it is there, else as a fact with the text sealed to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from tallystick.core.basket import Assurance
from tallystick.core.ids import MemberId
from tallystick.security.errors import KeyRefused
from tallystick.security.identifiers import CARD_KINDS, Identifier
from tallystick.security.keys import VerifyKey, verify_key_from_jwk
from tallystick.security.sealed_box import enrolment_context, seal_for_gateway
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import identity_pb2, types_pb2
from tallystick.wire.advices import id_bytes
from tallystick_till.checks import checked_id
from tallystick_till.clock import TillClock
from tallystick_till.db import TillDb
from tallystick_till.errors import NO_RULES, CannotSell, SaleRefused
from tallystick_till.identify import TOMBSTONE, People, Seen
from tallystick_till.link import Link
from tallystick_till.outbox import Outbox
from tallystick_till.ports import Gateway, GatewayAway, GatewayRefused, Identity, Known, Snapshot
from tallystick_till.rulebook import Rulebook
from tallystick_till.types import NotIdentified

ASKING, QUEUED, POSTED = "asking", "queued", "posted"


class Joined(NamedTuple):
    """Who joined; ``number`` is empty while the gateway has not given one."""

    seen: Seen
    number: str
    state: str


class Enroller:
    """Makes members. One at a time: the caller holds the till's lock."""

    def __init__(
        self,
        *,
        db: TillDb,
        identity: Identity,
        snapshot: Snapshot,
        rulebook: Rulebook,
        clock: TillClock,
        link: Link,
        outbox: Outbox,
        people: People,
        gateway: Gateway,
        new_id: Callable[[], str],
    ) -> None:
        self._db = db
        self._identity = identity
        self._snapshot = snapshot
        self._rulebook = rulebook
        self._clock = clock
        self._link = link
        self._outbox = outbox
        self._people = people
        self._gateway = gateway
        self._new_id = new_id

    def enrol(self, text: str, *, region: str, member_id: str) -> Joined:
        """Make a member with an identifier, or, with the gateway's help, with nothing but a new number.

        The same ``member_id`` with the same text is the same member. Raises ``SaleRefused``.
        """
        new_member = MemberId(checked_id(member_id) or self._new_id())
        parsed = self._people.parse(text, region=region) if text.strip() else None
        if isinstance(parsed, NotIdentified):
            raise SaleRefused(parsed.reason, "This is no telephone number, e-mail address or card number.")
        tag = (self._rulebook.tag(parsed.kind.value, parsed.value) or b"") if parsed else b""
        row = self._db.one("SELECT tag, state FROM enrolled WHERE member_id = ?", new_member)
        if row is not None and bytes(row[0]) != tag:
            raise SaleRefused("MEMBER_ID_REUSED", "This member_id belongs to somebody else: mint a new one.")
        if row is not None and row[1] == QUEUED:
            return Joined(self._meet(new_member), "", QUEUED)
        if row is None:
            if self._snapshot.member(new_member) is not None:
                raise SaleRefused(
                    "MEMBER_ID_REUSED", "This member_id belongs to somebody else: mint a new one."
                )
            with self._db.write() as tx:
                tx.execute(
                    "INSERT INTO enrolled VALUES (?, ?, ?, ?, ?)",
                    (new_member, self._new_id(), tag, ASKING, int(self._clock.now_ms())),
                )
        if self._link.online:
            joined = self._ask(text, new_member, region=region)
            if joined is not None:
                return joined
        if row is not None and row[1] == POSTED:
            return Joined(self._meet(new_member), "", POSTED)
        return self._stand_in(text, parsed, new_member, tag)

    def _ask(self, text: str, member_id: MemberId, *, region: str) -> Joined | None:
        request = identity_pb2.EnrolRequest(
            member_id=member_id,
            text=text,
            region=region or self._rulebook.region,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE),
        )
        try:
            response = self._gateway.enrol(request)
        except GatewayAway:
            self._link.away()
            return None
        except GatewayRefused as error:
            if self._link.refused(error.reason):
                return None
            self._forget(member_id)
            raise SaleRefused(error.reason, str(error), error.details) from error
        self._link.answered()
        if response.WhichOneof("outcome") != "enrolled":
            self._forget(member_id)
            name = identity_pb2.IdentityRefusalReason.Name(response.refused.reason)
            raise SaleRefused(name.removeprefix("IDENTITY_REFUSAL_REASON_"), response.refused.message)
        self._set_state(member_id, POSTED)
        return Joined(self._meet(member_id), response.enrolled.member.number, POSTED)

    def _stand_in(self, text: str, parsed: Identifier | None, member_id: MemberId, tag: bytes) -> Joined:
        """Report the new member. The text is sealed at once: no till keeps what only the gateway must know."""
        rules = self._rulebook.current
        if rules is None:
            raise CannotSell(NO_RULES)
        if parsed is None:
            self._forget(member_id)
            raise SaleRefused(
                "GATEWAY_AWAY", "Without the gateway a phone number, e-mail address or card is needed."
            )
        sealing = self._sealing_key()
        if sealing is None or not tag:
            self._forget(member_id)
            raise SaleRefused("GATEWAY_AWAY", "This till cannot take new members while the gateway is away.")
        if self._is_taken(tag, member_id):
            self._forget(member_id)
            raise SaleRefused("TAKEN", "Somebody has joined with this already.")
        context = enrolment_context(program_id=self._identity.program_id, member_id=member_id)
        row = self._db.one("SELECT advice_id FROM enrolled WHERE member_id = ?", member_id)
        assert row is not None, "the member was noted before"
        advice = pb.Advice(
            advice_id=id_bytes(row[0]),
            rule_set=rules.version,
            rule_set_sha256=bytes.fromhex(rules.sha256),
            member_id=id_bytes(member_id),
            assurance=types_pb2.ASSURANCE_TYPED,
            cashier_id=(self._db.get("cashier") or b"").decode(),
            enrolment=pb.EnrolmentFact(
                # The gateway reads a card as the till did, by rules that may look at what the normal form has lost;
                # a telephone number it could not read by the country of the till.
                sealed=seal_for_gateway(
                    sealing, text.strip() if parsed.kind in CARD_KINDS else parsed.value, context
                ),
                key_id=sealing.kid,
            ),
        )
        with self._db.write() as tx:
            self._outbox.append(tx, advice)
            tx.execute("UPDATE enrolled SET state = ? WHERE member_id = ?", (QUEUED, member_id))
        return Joined(self._meet(member_id), "", QUEUED)

    def _is_taken(self, tag: bytes, member_id: MemberId) -> bool:
        if any(known.status != TOMBSTONE for known in self._snapshot.find(tag)):
            return True
        row = self._db.one(
            "SELECT 1 FROM enrolled WHERE tag = ? AND member_id != ? AND state != ?", tag, member_id, ASKING
        )
        return row is not None

    def _sealing_key(self) -> VerifyKey | None:
        try:
            jwk = json.loads(self._rulebook.news.sealing_jwk or "null")
            return verify_key_from_jwk(jwk) if isinstance(jwk, dict) else None
        except (ValueError, KeyRefused):
            return None

    def _meet(self, member_id: MemberId) -> Seen:
        known = self._snapshot.member(member_id) or Known(member_id, 0, 0, "", 0)
        return self._people.meet(known, Assurance.TYPED)

    def _set_state(self, member_id: MemberId, state: str) -> None:
        with self._db.write() as tx:
            tx.execute("UPDATE enrolled SET state = ? WHERE member_id = ?", (state, member_id))

    def _forget(self, member_id: MemberId) -> None:
        with self._db.write() as tx:
            tx.execute("DELETE FROM enrolled WHERE member_id = ? AND state = ?", (member_id, ASKING))
