"""A village under one of the ready programs: a gateway on SQLite, tills, a webshop with its SDK, members with cards."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo

from tallystick.cli.wiring import rounds_of
from tallystick.core.basket import Basket as TillBasket
from tallystick.core.basket import Line as TillLine
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.ids import MemberId, Minor, Ms
from tallystick.rpc.auth import Authenticator
from tallystick.rpc.handlers.services import services
from tallystick.rpc.pipeline import Arrival, CallFailed, Pipeline
from tallystick.security.device_profile import Profile
from tallystick.security.tokens import new_token_id, sign_access_token
from tallystick.service.gateway import role_name
from tallystick.service.rounds import come_round
from tallystick.service.rule_text import read_document
from tallystick.storage.open import open_store
from tallystick.storage.verify import verify
from tallystick.v1 import (
    app_pb2,
    app_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    options_pb2,
    reward_pb2,
    reward_pb2_grpc,
    types_pb2,
)
from tallystick_till.types import ReturnAsk, ReturnDone, SaleAsk, SaleDone
from tallystick_webshop import Basket, Line, Shop, ShopError
from tests.scenarios.street import Person, Street
from tests.simulation.machine import Machine
from tests.simulation.server import CLUB, Server, shared_keys
from tests.simulation.town import key_of
from tests.support.ledgers import new_ledger_file

Result = TypeVar("Result")
ISSUER = "https://tallystick.test"
DEVICE = "01940000-0000-7000-8000-0000000000d2"


class _Stubs:
    """A channel on which nothing is sent: a stub's method is its path and how its answer is read."""

    def unary_unary(self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> Any:
        return SimpleNamespace(path=path, read=response_deserializer)

    unary_stream = unary_unary


class Village(Street):
    """One gateway with one program; the clock stands where a scenario puts it."""

    def __init__(self, root: Path, program: str) -> None:
        text = resources.files("tallystick").joinpath("programs", f"{program}.yaml").read_text("utf-8")
        document = read_document(text).value
        assert isinstance(document, dict)
        self._document = document
        super().__init__(root)
        self.currency = str(document["currency"])
        gateway = self.server.gateway
        self._pipeline = Pipeline(
            services(gateway),
            authenticator=Authenticator(
                profile=gateway.token_profile,
                keys=shared_keys().signing.verify_keys,
                is_revoked=gateway.revocations.is_revoked,
                clock=lambda: self.time.now_ms / 1000,
            ),
        )
        self._stubs: Any = _Stubs()
        self.shop = self._open_shop()

    def _serve(self) -> Server:
        store = open_store(new_ledger_file(self.root / "village.db"), now_ms=lambda: Ms(self.time.now_ms))
        return Server(self.time, self.rng, self._document, store=store)

    def _open_shop(self) -> Shop:
        """The SDK as a shop has it, over the gateway's pipeline instead of a network."""
        line = SimpleNamespace(call=self._sent_by_sdk, channel=self._stubs, close=lambda: None)
        profile = Profile(
            server="in-process", program_id=CLUB, device_id=DEVICE, role="webshop", issuer=ISSUER
        )
        with patch("tallystick_webshop.client.Connection", lambda *_, **__: line):
            return Shop(profile, key_of(0))

    def _sent_by_sdk(self, method: Any, request: Message, *, once: bool = False) -> Any:
        assert once in (True, False)
        return self.call(method, request, options_pb2.ROLE_WEBSHOP)

    def call(self, method: Any, request: Message, role: int, *, member_id: str = "") -> Any:
        """Send a request through the pipeline as a device or a card; raises ``CallFailed``."""
        now_s = self.time.now_ms // 1000
        token = sign_access_token(
            shared_keys().signing.signing_key(now_s),
            self.server.gateway.token_profile,
            subject=member_id or DEVICE,
            program_id=CLUB,
            roles=(role_name(role),),
            token_id=new_token_id(),
            now_s=now_s,
            store_id="",
            device_id="" if member_id else DEVICE,
        )
        arrival = Arrival(
            request.SerializeToString(),
            lambda message_class, payload: message_class.FromString(payload),
            "ipv4:127.0.0.1:50000",
            (("authorization", f"Bearer {token}"),),
            remaining_s=30.0,
            enforces_deadline=True,
        )
        answer = self._run(self._pipeline.endpoints[method.path].answer(arrival))
        return method.read(answer.SerializeToString())

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.server._loop.run_until_complete(work)

    def come_round(self) -> None:
        """Let the gateway do what it does by itself while it serves."""
        gateway = self.server.gateway
        for one in rounds_of(gateway):
            self._run(come_round(one, gateway.store, gateway.pool))

    def close(self) -> None:
        """Stop, after a look at the books: every sum holds."""
        try:
            assert verify(self.server.store).ok
        finally:
            super().close()
            self.server.store.close()

    # Members

    def join(self) -> Person:
        """Join in the webshop, with nothing but a press on the button."""
        made = self.shop.enrol_member(self.new_id())
        self.sync(*self.tills)
        return Person(MemberId(made.member_id), made.number)

    def card(self, person: Person) -> app_pb2.MemberCard:
        """What the member's own phone shows."""
        stub = app_pb2_grpc.AppServiceStub(self._stubs)
        request = app_pb2.GetCardRequest(member_id=person.member_id)
        answer = self.call(stub.GetCard, request, options_pb2.ROLE_APP, member_id=person.member_id)
        card: app_pb2.MemberCard = answer.card
        return card

    def as_member(self, person: Person, service: Any, method: str, request: Message) -> Any:
        """Call as the member's own phone does."""
        stub = getattr(service(self._stubs), method)
        return self.call(stub, request, options_pb2.ROLE_APP, member_id=person.member_id)

    def as_webshop(self, service: Any, method: str, request: Message) -> Any:
        """Call as the webshop's device does, where its SDK has no word for it."""
        return self.call(getattr(service(self._stubs), method), request, options_pb2.ROLE_WEBSHOP)

    def redeem(self, person: Person, reward_id: str) -> Any:
        """Buy a reward that needs no basket, at a counter that has looked at the card."""
        request = reward_pb2.RedeemRewardRequest(
            command_id=self.new_id(),
            member_id=person.member_id,
            reward_id=reward_id,
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE, store_id="torget"),
        )
        stub = reward_pb2_grpc.RewardServiceStub(self._stubs)
        return self.call(stub.RedeemReward, request, options_pb2.ROLE_ADMIN)

    def hand_out(self, person: Person, code: str) -> Any:
        """Hand out what was bought with a code, once."""
        request = reward_pb2.UseRedemptionRequest(
            command_id=self.new_id(),
            member_id=person.member_id,
            code=code,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE, store_id="torget"),
        )
        stub = reward_pb2_grpc.RewardServiceStub(self._stubs)
        return self.call(stub.UseRedemption, request, options_pb2.ROLE_ADMIN)

    def acts(self, person: Person, action: str, subject: str = "") -> int:
        """Post an action from the webshop; return its points. Raises what the SDK raises."""
        return int(self.shop.earn(self.new_id(), person.member_id, action, subject=subject).points)

    def why(self, person: Person) -> list[tuple[str, int]]:
        """Why the newest entry gave and took what it did, as the webshop reads it: code and points."""
        stub = ledger_pb2_grpc.LedgerServiceStub(self._stubs)
        request = ledger_pb2.ListEntriesRequest(member_id=person.member_id, page_size=1)
        (entry,) = self.call(stub.ListEntries, request, options_pb2.ROLE_WEBSHOP).entries
        return [(one.code, one.points) for one in entry.explanations]

    # Selling

    def buy(
        self, person: Person, *lines: Line, rewards: Sequence[str] = (), points: Any = None, **more: Any
    ) -> Any:
        """Order in the webshop, through the SDK."""
        basket = Basket(self.currency, list(lines), {"std": 250_000})
        return self.shop.sell(
            self.new_id(),
            person.member_id,
            basket,
            order="order",
            points=points,
            rewards=rewards,
            at=self.now(),
            **more,
        )

    def ring_up(
        self, till: Machine, person: Person, *lines: TillLine, burn: int = 0, rewards: Sequence[str] = ()
    ) -> SaleDone:
        """Sell at a till, after a look at the member's card."""
        self.scan(till, person)
        ask = SaleAsk(
            person.member_id,
            TillBasket(self.currency, lines),
            spend=Spend(burn) if burn else None,
            reward_ids=tuple(rewards),
            sale_id=till.new_id(),
        )
        return till.running.sale(ask)

    def take_back(self, till: Machine, sale: SaleDone, *lines: ReturnLine) -> ReturnDone:
        """Take goods back at a till, by the receipt."""
        if till.running.sale_view(sale.sale_id) is None:
            till.running.identify(sale.receipt.qr)
        return till.running.give_back(ReturnAsk(lines, sale.sale_id))

    def now(self) -> datetime:
        """The time in the village."""
        return datetime.fromtimestamp(self.time.now_ms / 1000).astimezone()

    def settle(self, till: Machine) -> None:
        """Let a till have its line back and tell what it has done."""
        self.online(till)
        self.sync(till)


def goods(sku: str, amount_minor: int, *categories: str, pieces: int = 1, brand: str = "") -> TillLine:
    """A line at a till."""
    return TillLine(sku, 1000 * pieces, Minor(amount_minor), "", categories, brand)


def article(sku: str, amount_minor: int, *categories: str, pieces: int = 1, brand: str = "") -> Line:
    """A line in the webshop."""
    return Line(sku, pieces, amount_minor, categories=categories, brand=brand)


def refused(call: Callable[[], object]) -> str:
    """The reason why a shop or a card is refused, as the contract names it."""
    try:
        answer = call()
    except ShopError as error:
        return str(getattr(error, "reason", error))
    except CallFailed as failed:
        info = ErrorInfo()
        for detail in failed.status.details:
            detail.Unpack(info)
        return str(info.reason)
    raise AssertionError(f"it was not refused: {answer}")
