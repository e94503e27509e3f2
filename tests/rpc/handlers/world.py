"""A shop in memory: the real handlers behind the real pipeline, a clock that the test moves, and tokens for anyone."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from tallystick.core.ids import Ms, ProgramId
from tallystick.rpc.auth import Authenticator
from tallystick.rpc.handlers.notification import NO_CARRIERS
from tallystick.rpc.handlers.services import services
from tallystick.rpc.pipeline import Arrival, CallFailed, Pipeline
from tallystick.security.key_dir import KeyDir, create_key_dir
from tallystick.security.tokens import new_token_id, sign_access_token
from tallystick.service.directory import Clock
from tallystick.service.gateway import Gateway, open_gateway, role_name
from tallystick.service.notices import Carrier
from tallystick.service.notification_ports import Way
from tallystick.service.notifications import NoticeSettings
from tallystick.service.pass_maker import PassMaker
from tallystick.service.public_face import PublicFace
from tallystick.storage.memory import MemoryStore
from tallystick.v1 import (
    admin_pb2,
    app_pb2,
    card_pb2,
    coupon_pb2,
    identity_pb2,
    insight_pb2,
    ledger_pb2,
    member_code_pb2,
    member_pb2,
    notification_pb2,
    options_pb2,
    review_pb2,
    reward_pb2,
    sharing_pb2,
    store_pb2,
    till_pb2,
    webshop_pb2,
)
from tests.service.paper_till import PaperTill, enrolled_till

ISSUER = "https://tallystick.test"
SHOP, OTHER = ProgramId("shop"), ProgramId("other")
START_MS = Ms(1_772_366_400_000)  # 2026-03-01T12:00:00Z
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
DEVICE = "01940000-0000-7000-8000-0000000000d1"

TILL, WEBSHOP, APP = options_pb2.ROLE_TILL, options_pb2.ROLE_WEBSHOP, options_pb2.ROLE_APP
MANAGER, ADMIN, IMPORTER = options_pb2.ROLE_MANAGER, options_pb2.ROLE_ADMIN, options_pb2.ROLE_IMPORTER
WIDGET = options_pb2.ROLE_WIDGET
PAGE = "https://shop.example"

MODULES = (
    ledger_pb2,
    identity_pb2,
    member_pb2,
    member_code_pb2,
    till_pb2,
    store_pb2,
    card_pb2,
    app_pb2,
    webshop_pb2,
    coupon_pb2,
    review_pb2,
    insight_pb2,
    sharing_pb2,
    reward_pb2,
    notification_pb2,
    admin_pb2,
)
METHODS = {
    method.name: method
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if not method.server_streaming and service.name != "SignInService"
}

RULES = """\
format: tallystick/1
name: Shop
currency: EUR
time_zone: Europe/Stockholm
earning:
  rules:
    - {id: base, kind: per_amount, points: 1, per_minor: 100}
expiry: {kind: months, months: 12}
tiers:
  basis: spend
  period: calendar_year
  levels:
    - {id: bas, from: 0}
    - {id: guld, from: 50000}
burning:
  points: 1
  minor: 1
  assurance_caps: {typed: 0, static_card: unlimited}
rewards:
  - {id: five-off, kind: money_off, points: 50, amount_minor: 500}
coupons:
  - {id: gift, kind: money_off, amount_minor: 300, per_member: 0}
  - {id: summer, kind: percent_off, percent: 10, code: SUMMER-25}
"""
PENDING_RULES = RULES.replace("earning:\n", "earning:\n  pending_days: 14\n")


class Refused(Exception):
    """A call that ended with a status other than OK."""

    def __init__(self, status: Status) -> None:
        info, bad_request = ErrorInfo(), BadRequest()
        assert any(detail.Unpack(info) for detail in status.details), "every error has an ErrorInfo"
        for detail in status.details:
            detail.Unpack(bad_request)
        super().__init__(info.reason)
        self.code = status.code
        self.message = status.message
        self.reason: str = info.reason
        self.metadata = dict(info.metadata)
        self.violations = [(one.field, one.description) for one in bad_request.field_violations]


@dataclass(slots=True)
class Caller:
    """Whose token a call carries."""

    role: int = TILL
    program_id: str = SHOP
    store_id: str = "s1"
    device_id: str = DEVICE
    member_id: str = ""
    web_origin: str = ""


class World:
    """The handlers on a memory store with one published program, and a second one beside it."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock = Clock.LIVE,
        rules: str = RULES,
        passes: Callable[[Gateway], PassMaker] | None = None,
        notices: NoticeSettings = NoticeSettings(),  # noqa: B008 (frozen)
        carriers: Mapping[Way, Carrier] = NO_CARRIERS,
    ) -> None:
        self.now_ms: int = START_MS
        self.loop = asyncio.new_event_loop()
        self.keys: KeyDir = create_key_dir(path / f"keys-{clock.name}", now_s=START_MS // 1000 - 60)
        self.store = MemoryStore(now_ms=lambda: Ms(self.now_ms))
        self.gateway = open_gateway(
            self.store,
            keys=lambda: self.keys,
            issuer=ISSUER,
            database="memory",
            face=PublicFace(public_url="https://points.example"),
            web_origins=(PAGE,),
            now_ms=lambda: Ms(self.now_ms),
            notice_settings=notices,
        )
        self.pipeline = Pipeline(
            services(self.gateway, passes=passes(self.gateway) if passes else None, carriers=carriers),
            authenticator=Authenticator(
                profile=self.gateway.token_profile,
                keys=self.keys.signing.verify_keys,
                is_revoked=self.gateway.revocations.is_revoked,
                clock=lambda: self.now_ms / 1000,
            ),
        )
        for program_id in (SHOP, OTHER):
            self.gateway.programs.create(program_id, program_id.title(), clock)
            self.publish(rules, program_id)

    def close(self) -> None:
        self.gateway.close()
        self.loop.close()

    def publish(self, text: str, program_id: str = SHOP) -> None:
        request_id = str(uuid.uuid4())
        self.gateway.programs.publish(ProgramId(program_id), text, request_id=request_id, published_by="test")

    def token(self, caller: Caller) -> str:
        return sign_access_token(
            self.keys.signing.signing_key(self.now_ms // 1000),
            self.gateway.token_profile,
            subject=caller.member_id or caller.device_id,
            program_id=caller.program_id,
            roles=(role_name(caller.role),),
            token_id=new_token_id(),
            now_s=self.now_ms // 1000,
            store_id=caller.store_id,
            device_id=caller.device_id,
            origin=PAGE if caller.role == WIDGET else "",
        )

    def send(self, request: Message, caller: Caller | None = None, *, token: str = "") -> Any:
        """Send a request through the pipeline and return the response, or raise ``Refused``."""
        return self.loop.run_until_complete(self.asend(request, caller, token=token))

    async def asend(self, request: Message, caller: Caller | None = None, *, token: str = "") -> Any:
        name = type(request).__name__.removesuffix("Request")
        method = METHODS[name]
        bearer = token or self.token(caller or Caller())
        public = options_pb2.ROLE_PUBLIC in method.GetOptions().Extensions[options_pb2.allow].roles
        arrival = Arrival(
            request.SerializeToString(),
            lambda message_class, payload: message_class.FromString(payload),
            "ipv4:127.0.0.1:50000",
            () if public else (("authorization", f"Bearer {bearer}"),),
            remaining_s=30.0,
            enforces_deadline=True,
            web_origin=caller.web_origin if caller else "",
        )
        endpoint = self.pipeline.endpoints[f"/{method.containing_service.full_name}/{name}"]
        try:
            answer = await endpoint.answer(arrival)
        except CallFailed as failed:
            raise Refused(failed.status) from None
        # What a client would see: everything that is set has to survive the wire.
        return type(answer).FromString(answer.SerializeToString())

    def refused(self, request: Message, caller: Caller | None = None, *, token: str = "") -> Refused:
        """Send a request that must end with an error."""
        try:
            answer = self.send(request, caller, token=token)
        except Refused as refused:
            return refused
        raise AssertionError(f"the call was answered with OK: {answer}")

    def enrol(self, text: str = "", caller: Caller | None = None, **origin: Any) -> str:
        """Enrol a member and return the id."""
        request = enrol_request(text=text, **origin)
        assert self.send(request, caller).HasField("enrolled")
        return request.member_id

    def number_of(self, member_id: str, caller: Caller | None = None) -> str:
        return str(self.send(member_pb2.GetMemberRequest(member_id=member_id), caller).member.number)

    def balance(self, member_id: str, caller: Caller | None = None) -> Any:
        return self.send(ledger_pb2.GetBalanceRequest(member_id=member_id), caller).balance

    def sell(self, member_id: str, amount_minor: int, caller: Caller | None = None, **more: Any) -> Any:
        """Post a sale and return its decision."""
        return self.send(sale_request(member_id, amount_minor, **more), caller).decision

    def hold(
        self,
        member_id: str,
        points: int,
        caller: Caller | None = None,
        *,
        amount_minor: int = 1_000,
        ttl_s: int = 600,
        assurance: str = "ASSURANCE_STATIC_CARD",
        **origin: Any,
    ) -> str:
        """Set points aside for an order, and return the id of the hold."""
        body = {
            "command_id": new_id(),
            "member_id": member_id,
            "basket": basket_of(amount_minor),
            "spend": {"points": points},
            "ttl_s": ttl_s,
            "assurance": assurance,
            "origin": origin_of(**origin),
        }
        decision = self.send(ParseDict(body, ledger_pb2.HoldRequest()), caller).decision
        assert decision.HasField("posted"), decision
        return str(decision.posted.entry.hold_id)


def open_till(world: World, store_id: str = "s1", label: str = "Till") -> tuple[PaperTill, Caller]:
    """Enrol a till that writes advices, and return it with its token."""
    till = enrolled_till(world.gateway, store_id=store_id, label=label)
    return till, Caller(TILL, store_id=store_id, device_id=till.device_id)


def new_id() -> str:
    return str(uuid.uuid4())


def origin_of(*, at_ms: int = 0, **more: Any) -> dict[str, Any]:
    origin: dict[str, Any] = {"channel": "CHANNEL_STORE", **more}
    if at_ms:
        origin["occurred_at"] = iso(at_ms)
    return origin


def iso(at_ms: int) -> str:
    from tallystick.rpc.convert.scalars import ms_to_pb

    return ms_to_pb(at_ms).ToJsonString()


def enrol_request(*, text: str = "", member_id: str = "", **origin: Any) -> identity_pb2.EnrolRequest:
    body = {"member_id": member_id or new_id(), "text": text, "origin": origin_of(**origin)}
    return ParseDict(body, identity_pb2.EnrolRequest())


def sale_request(
    member_id: str,
    amount_minor: int,
    *,
    command_id: str = "",
    spend: dict[str, int] | None = None,
    rewards: tuple[str, ...] = (),
    assurance: str = "ASSURANCE_STATIC_CARD",
    quantity_milli: int = 1000,
    **origin: Any,
) -> ledger_pb2.PostSaleRequest:
    body: dict[str, Any] = {
        "command_id": command_id or new_id(),
        "member_id": member_id,
        "basket": basket_of(amount_minor, quantity_milli=quantity_milli),
        "reward_ids": list(rewards),
        "assurance": assurance,
        "origin": origin_of(**origin),
    }
    if spend:
        body["spend"] = spend
    return ParseDict(body, ledger_pb2.PostSaleRequest())


def basket_of(amount_minor: int, *, quantity_milli: int = 1000) -> dict[str, Any]:
    line = {"sku": "A-1", "quantity_milli": quantity_milli, "amount_minor": amount_minor}
    return {"currency_code": "EUR", "prices_include_tax": True, "lines": [line]}


def message_of(name: str, body: dict[str, Any]) -> Message:
    """Build a request by the name of its method."""
    method = METHODS[name]
    module = next(one for one in MODULES if one.DESCRIPTOR is method.containing_service.file)
    request: Message = getattr(module, f"{name}Request")()
    return ParseDict(body, request)


def snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def everything_stored(store: MemoryStore) -> str:
    """Return all that a memory store holds as one text, for finding what should not be there."""
    return json.dumps(_plain(vars(store), set()), default=repr)


def _plain(value: Any, seen: set[int]) -> Any:
    if id(value) in seen:
        return "..."
    if isinstance(value, dict):
        seen.add(id(value))
        return [[_plain(key, seen), _plain(item, seen)] for key, item in value.items()]
    if isinstance(value, (list, tuple, set)):
        return [_plain(item, seen) for item in value]
    if isinstance(value, bytes):
        return [value.hex(), value.decode("latin-1")]
    if hasattr(value, "__slots__") or hasattr(value, "__dict__"):
        names = list(getattr(value, "__slots__", ())) + list(getattr(value, "__dict__", {}))
        seen.add(id(value))
        return [[name, _plain(getattr(value, name, None), seen)] for name in names]
    return value
