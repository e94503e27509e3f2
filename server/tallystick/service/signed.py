"""Texts that the gateway signs for tills: anchors, leases, vouchers, rule sets."""

from __future__ import annotations

import json
from collections.abc import Callable

from google.protobuf.message import Message

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.core.state import Hold
from tallystick.security.envelope import ANCHOR, LEASE, RULES, VOUCHER, sign_body
from tallystick.security.key_dir import KeyDir
from tallystick.security.keys import public_jwk
from tallystick.v1 import advice_pb2 as pb
from tallystick.wire.advices import bytes_of, id_bytes


class Signer:
    """Signs with the key that is in use now. Safe to use from several threads."""

    def __init__(self, *, keys: Callable[[], KeyDir], now_ms: Callable[[], Ms]) -> None:
        self._keys = keys
        self._now_ms = now_ms

    def anchor(self, till_id: str) -> pb.Signed:
        """Return the gateway's time for one till."""
        return self._signed(ANCHOR, pb.Anchor(till_id=till_id, server_ms=self._now_ms()))

    def lease(self, program_id: ProgramId, member_id: MemberId, hold: Hold) -> pb.Signed:
        """Return the grant of a lease; the same lease always has the same body."""
        grant = pb.LeaseGrant(
            lease_id=hold.hold_id,
            program_id=program_id,
            store_id=hold.store_id,
            member_id=member_id,
            points=hold.points,
        )
        grant.ends_at.FromMilliseconds(hold.ends_ms)
        return self._signed(LEASE, grant)

    def voucher(self, program_id: ProgramId, member_id: MemberId, hold: Hold) -> pb.Signed:
        """Return a voucher; the same voucher always has the same body."""
        grant = pb.VoucherGrant(
            voucher_id=id_bytes(hold.hold_id),
            program_id=program_id,
            store_id=hold.store_id,
            member_id=id_bytes(member_id),
            points=hold.points,
            reward_id=hold.reward_ids[0] if hold.reward_ids else "",
            expires_ms=hold.ends_ms,
        )
        return self._signed(VOUCHER, grant)

    def rule_set(self, grant: pb.RuleSetGrant) -> pb.Signed:
        """Return a rule set as tills keep it."""
        return self._signed(RULES, grant)

    def public_keys(self) -> list[str]:
        """Return the keys whose signatures count, as JSON Web Keys with their kid."""
        keys = self._keys().signing.verify_keys(self._now_ms() // 1000)
        jwks = [{**public_jwk(key.public_key), "kid": kid} for kid, key in keys.items()]
        return [json.dumps(jwk, sort_keys=True, separators=(",", ":")) for jwk in jwks]

    def _signed(self, context: str, message: Message) -> pb.Signed:
        key = self._keys().signing.signing_key(self._now_ms() // 1000)
        body = bytes_of(message)
        return pb.Signed(body=body, key_id=key.kid, signature=sign_body(key, context, body))
