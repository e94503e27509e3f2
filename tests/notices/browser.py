"""A browser that has subscribed to push messages, and the push service that it does so at."""

from __future__ import annotations

import json
import secrets
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick.core.ids import MemberId
from tallystick.security.encoding import base64url_decode, base64url_encode
from tallystick.security.web_push import public_bytes
from tallystick.v1 import notification_pb2 as pb
from tests.rpc.handlers.world import APP, Caller
from tests.security.test_web_push import read_as_a_browser
from tests.webhooks.receiver import Received, Receiver


class Browser:
    """One device's subscription at a push service on this machine, which takes messages as RFC 8030 says."""

    def __init__(self, service: Receiver, member_id: MemberId, device_id: str) -> None:
        self.service = service
        self.caller = Caller(APP, store_id="", device_id=device_id, member_id=member_id)
        self.member_id = member_id
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = secrets.token_bytes(16)
        self.path = f"/push/{secrets.token_hex(8)}"

    def subscription(self, **more: Any) -> pb.SetPushSubscriptionRequest:
        given = {
            "member_id": self.member_id,
            "endpoint": f"http://127.0.0.1:{self.service.port}{self.path}",
            "p256dh": base64url_encode(public_bytes(self.key)),
            "auth": base64url_encode(self.auth),
        }
        return pb.SetPushSubscriptionRequest(**{**given, **more})

    @property
    def taken(self) -> list[Received]:
        return [one for one in self.service.taken if one.path == self.path]

    def shown(self, application_key: str) -> list[dict[str, str]]:
        """What the browser shows: it trusts the key that it has subscribed with, and nobody else."""
        return [self._opened(one, application_key) for one in self.taken]

    def _opened(self, one: Received, application_key: str) -> dict[str, str]:
        scheme, _, rest = one.headers["authorization"].partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        assert (scheme, parts["k"]) == ("vapid", application_key)
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), base64url_decode(parts["k"]))
        audience = f"http://127.0.0.1:{self.service.port}"
        claims = jwt.decode(
            parts["t"], public, algorithms=["ES256"], audience=audience, options={"verify_exp": False}
        )
        assert claims["sub"].startswith("mailto:")
        assert one.headers["content-encoding"] == "aes128gcm"
        assert int(one.headers["ttl"]) > 0
        said: dict[str, str] = json.loads(read_as_a_browser(one.body, self.key, self.auth))
        return said
