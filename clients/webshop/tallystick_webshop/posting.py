"""What is to be posted, as text that a shop stores beside its order (a transactional outbox) and posts later.

    posting = Posting.sale(new_id(), member_id, basket, order="1001", at=now)
    # in the order's own transaction:
    queue.add(posting.id, posting.to_json())
    # afterwards, and again until it answers:
    shop.post(Posting.from_json(text))

A posting holds everything that is sent, the instant of the order among it, so that it is the same whenever it is
posted: however often that is, it takes effect once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.core.basket import Assurance
from tallystick.v1 import ledger_pb2, types_pb2, webshop_pb2
from tallystick_webshop.basket import Basket, Points, ReturnLine, spend_to_pb
from tallystick_webshop.errors import BadRequest
from tallystick_webshop.results import HoldRef

FORMAT = "tallystick-posting/1"
JSON_CHARS_MAX = 400_000
REFERENCE_MAX = 64

SIGNED_IN = Assurance.SERVER_CODE
"""How sure a shop is of a member who is signed in to an account that was linked with proof, such as a code by mail."""

_REQUESTS: dict[str, type[Message]] = {
    "sale": ledger_pb2.PostSaleRequest,
    "capture": ledger_pb2.CaptureRequest,
    "void": ledger_pb2.VoidRequest,
    "return": ledger_pb2.PostReturnRequest,
    "claim": webshop_pb2.CreateClaimRequest,
}


@dataclass(frozen=True, slots=True)
class Posting:
    """One command, whole. Ids come from the caller (`new_id()`), who stores them before the first send."""

    kind: str
    request: Any

    @classmethod
    def sale(
        cls,
        sale_id: str,
        member_id: str,
        basket: Basket,
        *,
        order: str,
        at: datetime | None,
        points: Points = None,
        rewards: Sequence[str] = (),
        coupons: Sequence[str] = (),
        assurance: Assurance = SIGNED_IN,
    ) -> Self:
        """An order without a hold: it earns, and burns what is asked for (which may be refused, so hold first)."""
        return cls(
            "sale",
            ledger_pb2.PostSaleRequest(
                command_id=sale_id,
                member_id=member_id,
                basket=basket.to_pb(),
                spend=spend_to_pb(points),
                reward_ids=rewards,
                coupon_codes=coupons,
                assurance=assurance_to_pb(assurance),
                origin=origin_to_pb(order, at),
            ),
        )

    @classmethod
    def capture(cls, sale_id: str, hold: HoldRef, basket: Basket, *, order: str, at: datetime | None) -> Self:
        """An order whose discount a hold reserved; ``basket`` is the final one."""
        return cls(
            "capture",
            ledger_pb2.CaptureRequest(
                command_id=sale_id,
                member_id=hold.member_id,
                hold_id=hold.hold_id,
                basket=basket.to_pb(),
                origin=origin_to_pb(order, at),
            ),
        )

    @classmethod
    def void(cls, void_id: str, hold: HoldRef, *, at: datetime | None, order: str = "") -> Self:
        """A hold whose order came to nothing."""
        return cls(
            "void",
            ledger_pb2.VoidRequest(
                command_id=void_id,
                member_id=hold.member_id,
                hold_id=hold.hold_id,
                origin=origin_to_pb(order, at),
            ),
        )

    @classmethod
    def give_back(
        cls,
        return_id: str,
        member_id: str,
        sale_id: str,
        lines: Sequence[ReturnLine],
        *,
        at: datetime | None,
        order: str = "",
    ) -> Self:
        """Goods brought back against a sale, whole or in part."""
        return cls(
            "return",
            ledger_pb2.PostReturnRequest(
                command_id=return_id,
                member_id=member_id,
                sale_id=sale_id,
                lines=[line.to_pb() for line in lines],
                origin=origin_to_pb(order, at),
            ),
        )

    @classmethod
    def claim(cls, claim_id: str, basket: Basket, *, order: str, at: datetime | None) -> Self:
        """A guest's order, for whoever has its link; ``claim_id`` is from then on the sale's id."""
        request = webshop_pb2.CreateClaimRequest(
            claim_id=claim_id, basket=basket.to_pb(), origin=origin_to_pb(order, at)
        )
        return cls("claim", request)

    @property
    def id(self) -> str:
        """The id that makes repetitions harmless: that of the sale, the void, the return or the claim."""
        return str(self.request.claim_id if self.kind == "claim" else self.request.command_id)

    def to_json(self) -> str:
        """Return the posting as text, some 100 characters and as many again for each line."""
        request = json_format.MessageToDict(self.request, preserving_proto_field_name=True)
        return json.dumps(
            {"format": FORMAT, "kind": self.kind, "request": request},
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises BadRequest."""
        mend = "keep the text as to_json wrote it; a posting of a newer version needs the newer package"
        if len(text) > JSON_CHARS_MAX:
            raise BadRequest(f"a posting of {len(text)} characters", mend=mend)
        try:
            stored = json.loads(text)
            if stored["format"] != FORMAT:
                raise BadRequest(f"a posting of the format {stored['format']!r:.40}", mend=mend)
            request = json_format.ParseDict(stored["request"], _REQUESTS[stored["kind"]]())
        except (ValueError, TypeError, KeyError, RecursionError, json_format.ParseError) as error:
            raise BadRequest(f"this is no posting ({type(error).__name__})", mend=mend) from error
        return cls(stored["kind"], request)


def origin_to_pb(order: str, at: datetime | None) -> types_pb2.Origin:
    """Return a webshop's origin; without ``at`` the gateway takes its own time. Raises BadRequest."""
    if len(order) > REFERENCE_MAX:
        raise BadRequest(f"an order number of {len(order)} characters", mend=f"give at most {REFERENCE_MAX}")
    return types_pb2.Origin(channel=types_pb2.CHANNEL_WEBSHOP, reference=order, occurred_at=time_to_pb(at))


def time_to_pb(at: datetime | None) -> Timestamp | None:
    """Return an instant of the contract, None for none. Raises BadRequest."""
    if at is None:
        return None
    if at.tzinfo is None:
        raise BadRequest("the time has no time zone", mend="give an aware datetime: datetime.now(UTC)")
    instant = Timestamp()
    instant.FromDatetime(at)
    return instant


def assurance_to_pb(assurance: Assurance) -> types_pb2.Assurance.ValueType:
    """Return the level of the contract: n of the documentation is n + 1 there."""
    return types_pb2.Assurance.ValueType(int(assurance) + 1)
