"""A small world around a till: what tests command, and the till in its file."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from tallystick.core.basket import Basket, Line, TaxGroup
from tallystick.core.command import Spend
from tallystick.core.ids import MemberId, Minor
from tallystick.core.rules.model import RuleSet
from tallystick.core.rules.parse import parse_rules
from tallystick.security.envelope import ANCHOR, RULES, VOUCHER, sign_body
from tallystick.security.keys import SigningKey, generate_signing_key, public_jwk
from tallystick.security.scan_tags import scan_tag, store_tag
from tallystick.v1 import advice_pb2 as pb
from tallystick.v1 import store_pb2
from tallystick.wire.advices import bytes_of, id_bytes, to_digits
from tallystick_till.db import TillDb
from tallystick_till.engine import Till
from tallystick_till.ports import Identity, Known
from tallystick_till.types import Identified, SaleAsk
from tests.till.fakes import FakeClock, FakeGateway, FakeHub, FakeSnapshot
from tests.till.premises import (
    ANNA,
    ANNA_CARD,
    BOB,
    BOB_PHONE,
    BOX,
    PROGRAM,
    RULES_DOCUMENT,
    SCAN_KEY,
    START_MS,
    STORE,
    STORE_KEY,
)


class World:
    """One store with one till in a file, two members, and everything around it."""

    def __init__(self, directory: Path, **rules: object) -> None:
        document = {**RULES_DOCUMENT, **rules}
        self.canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
        parsed = parse_rules(document, version=1, sha256="00" * 32, published=True)
        assert isinstance(parsed, RuleSet), parsed
        self.path = directory / "till.db"
        self.server_key = generate_signing_key()
        self.till_key = generate_signing_key()
        self.other_key = generate_signing_key()
        self.clock = FakeClock()
        self.snapshot = FakeSnapshot()
        self.hub = FakeHub()
        self.gateway = FakeGateway(parsed)
        self.valid_until_ms = START_MS + 90 * 86_400_000
        self.minted = 0
        self.snapshot.put(Known(ANNA, 10, 1000, "", 0), tag("number", ANNA_CARD))
        self.snapshot.put(Known(BOB, 10, 300, "", 0), tag("phone", BOB_PHONE))
        for member_id, scan, points in ((ANNA, ANNA_CARD, 1000), (BOB, BOB_PHONE, 300)):
            self.gateway.scans[scan] = member_id
            self.gateway.balances[member_id] = points
        self.till = self.start(news=True)

    def start(self, *, news: bool = False, path: Path | None = None) -> Till:
        """Start the till's program: on its own file, or on another one."""
        self.till = Till(
            identity=Identity("till-1", PROGRAM, STORE, "Till 1", "gateway:443", "https://gateway"),
            key=self.till_key,
            db=TillDb.open(path or self.path),
            snapshot=self.snapshot,
            hub=self.hub,
            gateway=self.gateway,
            clock=self.clock,
            new_id=self.new_id,
        )
        if news:
            assert self.till.take_store_news(self.news()) == []
            self.meet_gateway()
        return self.till

    def restart(self) -> Till:
        """End the program as a power cut does, and start it again."""
        self.till.db.close()
        return self.start()

    def new_id(self) -> str:
        self.minted += 1
        return str(uuid.UUID(int=(0x7000 << 64) | (2 << 62) | 0xA0000 + self.minted))

    def news(self, **changes: object) -> store_pb2.StoreNews:
        grant = pb.RuleSetGrant(
            program_id=PROGRAM,
            version=1,
            canonical=self.canonical,
            current=True,
            valid_until_ms=self.valid_until_ms,
        )
        news = store_pb2.StoreNews(
            rule_sets=[self.signed(RULES, bytes_of(grant))],
            server_keys=[jwk(self.server_key)],
            scan_key=SCAN_KEY,
            store_key=STORE_KEY,
            tills=[
                store_pb2.StoreTill(till_id="till-1", label="Till 1", public_jwk=jwk(self.till_key)),
                store_pb2.StoreTill(till_id="till-2", label="Till 2", public_jwk=jwk(self.other_key)),
            ],
            sealing_jwk=BOX.jwk,
            till_status=store_pb2.TILL_STATUS_TRUSTED,
            cashiers=[store_pb2.Cashier(cashier_id="eva", label="Eva", active=True)],
            region="SE",
        )
        for name, value in changes.items():
            setattr(news, name, value)
        return news

    def signed(self, context: str, body: bytes, key: SigningKey | None = None) -> pb.Signed:
        by = key or self.server_key
        return pb.Signed(body=body, key_id=by.kid, signature=sign_body(by, context, body))

    def anchor(self, server_ms: int, *, till_id: str = "till-1") -> pb.Signed:
        return self.signed(ANCHOR, bytes_of(pb.Anchor(till_id=till_id, server_ms=server_ms)))

    def meet_gateway(self) -> None:
        """Let the till hear the gateway once: an anchor and an answer; then the line is down again."""
        self.till.take_anchor(self.anchor(self.now_ms()))
        self.till.gateway_answered()
        self.till.gateway_away()

    def now_ms(self) -> int:
        """The true time, which no wall clock of a till changes."""
        return START_MS + self.clock.monotonic - 5_000

    def line_up(self) -> None:
        self.gateway.away = False
        self.till.gateway_answered()

    def line_down(self) -> None:
        self.gateway.away = True
        self.till.gateway_away()

    def push_all(self) -> int:
        """Let the sync run until there is nothing to send; returns how many batches went up."""
        batches = 0
        while (request := self.till.next_batch()) is not None:
            self.till.take_verdicts(request, self.gateway.push(request))
            batches += 1
            assert batches < 50, "a queue that never drains"
        return batches

    def meet(self, scan: str = ANNA_CARD, source: str = "camera") -> MemberId:
        found = self.till.identify(scan, source=source)
        assert isinstance(found, Identified), found
        return MemberId(found.member.member_ref)

    def points(self, scan: str = ANNA_CARD) -> int:
        found = self.till.identify(scan, source="camera")
        assert isinstance(found, Identified), found
        return found.member.points

    def ask(self, minor: int = 5000, *, burn: int = 0, up_to: bool = False, **more: object) -> SaleAsk:
        fields: dict[str, object] = {"member_ref": ANNA, "basket": basket(minor), **more}
        if burn:
            fields["spend"] = Spend(burn, up_to=up_to)
        return SaleAsk(**fields)  # type: ignore[arg-type]

    def voucher(
        self, points: int, *, reward_id: str = "", store_id: str = STORE, hours: int = 24, number: int = 1
    ) -> str:
        grant = pb.VoucherGrant(
            voucher_id=uuid.UUID(int=500 + number).bytes,
            program_id=PROGRAM,
            store_id=store_id,
            member_id=id_bytes(ANNA),
            points=points,
            reward_id=reward_id,
            expires_ms=self.now_ms() + hours * 3_600_000,
        )
        return to_digits(bytes_of(self.signed(VOUCHER, bytes_of(grant))))


def basket(minor: int = 5000, *, lines: int = 1, sku: str = "tea") -> Basket:
    return Basket(
        "EUR",
        tuple(Line(f"{sku}-{at}", 2000, Minor(minor // lines), "std", ("coffee",)) for at in range(lines)),
        tax_groups=(TaxGroup("std", 250_000),),
    )


def tag(kind: str, value: str) -> bytes:
    return store_tag(STORE_KEY, scan_tag(SCAN_KEY, kind=kind, value=value))


def jwk(key: SigningKey) -> str:
    return json.dumps({**public_jwk(key.private_key.public_key()), "kid": key.kid})
