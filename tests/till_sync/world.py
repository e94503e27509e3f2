"""What surrounds the parts under test: a gateway that answers as told, a till that notes, grants that are signed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tallystick.core.ids import MemberId
from tallystick.security.envelope import LEASE, sign_body
from tallystick.security.keys import SigningKey, VerifyKey, generate_signing_key, public_jwk
from tallystick.v1 import advice_pb2, store_pb2
from tallystick_till.db import TillDb
from tallystick_till.hub import LocalHub
from tallystick_till.outbox import Untold

PROGRAM, STORE = "bas-silver-guld", "store-1"
TILLS = ("till-1", "till-2")
"""The store's tills; the hub is the first one's."""
GATEWAY_KEY = generate_signing_key()
NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


def member_id(number: int) -> MemberId:
    """Return the n-th member's id; their order is not that of the numbers."""
    return MemberId(f"{(number * 2654435761) % 2**32:08x}-0000-7000-8000-{number:012x}")


def raw(text: str) -> bytes:
    """Return the 16 bytes of an id."""
    return bytes.fromhex(text.replace("-", ""))


def tag(number: int) -> bytes:
    """Return the n-th tag, spread as keyed tags are."""
    return ((number * 0x9E3779B97F4A7C15) % 2**56).to_bytes(7, "big")


def state(number: int, **values: Any) -> store_pb2.MemberState:
    """Return the n-th member with one tag and 10 points for each number, unless said otherwise."""
    given = {"seq": 1, "active_points": number * 10, "tags": tag(number), **values}
    return store_pb2.MemberState(member_id=raw(member_id(number)), **given)


def lease_state(
    lease_id: str,
    *,
    number: int = 1,
    points: int = 100,
    remaining: int | None = None,
    ends_ms: int = NOW_MS + 48 * HOUR_MS,
    recalled: bool = False,
    store_id: str = STORE,
    key: SigningKey = GATEWAY_KEY,
    till_id: str = "",
) -> store_pb2.LeaseState:
    """Return a lease as the gateway tells it."""
    grant = advice_pb2.LeaseGrant(
        lease_id=lease_id, program_id=PROGRAM, store_id=store_id, member_id=member_id(number), points=points
    )
    grant.ends_at.FromMilliseconds(ends_ms)
    body = grant.SerializeToString()
    signed = advice_pb2.Signed(body=body, key_id=key.kid, signature=sign_body(key, LEASE, body))
    return store_pb2.LeaseState(
        grant=signed,
        remaining_points=points if remaining is None else remaining,
        recalled=recalled,
        till_id=till_id,
    )


def jwk_text(key: SigningKey) -> str:
    return json.dumps(public_jwk(key.private_key.public_key()))


def server_keys() -> dict[str, VerifyKey]:
    return {GATEWAY_KEY.kid: GATEWAY_KEY.verify_key}


@dataclass
class Time:
    """A clock that stands still until it is moved."""

    ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms

    def wall_ms(self) -> int:
        return self.ms

    def boot_id(self) -> str:
        return "boot"


def ids(prefix: int) -> Callable[[], str]:
    """Return what mints ids that a reader can tell apart."""
    numbers = itertools.count(1)
    return lambda: f"{prefix:08x}-0000-7000-8000-{next(numbers):012x}"


def local_hub(db: TillDb, time: Time) -> LocalHub:
    return LocalHub(
        db,
        program_id=PROGRAM,
        store_id=STORE,
        now_ms=time.now_ms,
        new_id=ids(0xABCD),
        server_keys=server_keys,
        till_id=TILLS[0],
        till_ids=lambda: TILLS,
    )


@dataclass
class NotingTill:
    """A till that notes what it is told, in order. ``batches`` are what it sends."""

    notes: list[Any] = field(default_factory=list)
    batches: list[store_pb2.PushAdvicesRequest] = field(default_factory=list)
    fail: Callable[[str], None] = lambda _what: None
    newer: bool = False
    settled: int = 0
    read: list[Untold] = field(default_factory=list)

    def untold(self) -> list[Untold]:
        return list(self.read)

    def note_told(self, advice_id: str) -> None:
        self.fail("told")
        self.read = [one for one in self.read if one.advice_id != advice_id]
        self.notes.append(("told", advice_id))

    def next_batch(self, max_count: int = 500) -> store_pb2.PushAdvicesRequest | None:
        if not self.batches:
            return None
        if len(self.batches[0].advices) > max_count:
            whole = self.batches.pop(0)
            self.batches[:0] = [
                store_pb2.PushAdvicesRequest(epoch=1, first_seq=seq, advices=[one])
                for seq, one in enumerate(whole.advices, whole.first_seq)
            ]
        return self.batches[0]

    def take_verdicts(
        self, request: store_pb2.PushAdvicesRequest, response: store_pb2.PushAdvicesResponse
    ) -> None:
        self.fail("verdicts")
        if request.advices:
            self.batches.remove(request)
        self.notes.append(("verdicts", len(response.verdicts)))

    def take_store_news(self, news: store_pb2.StoreNews) -> list[str]:
        self.notes.append(("store", list(news.tiers)))
        return [one.key_id for one in news.rule_sets]

    def take_members(self, members: list[store_pb2.MemberState]) -> None:
        self.fail("members")
        self.notes.append(("members", [one.seq for one in members]))

    def take_anchor(self, anchor: advice_pb2.Signed) -> bool:
        self.notes.append(("anchor", anchor.body))
        return True

    def take_protocol(self, *, newer: bool) -> None:
        self.newer = newer

    def settle_unfinished(self) -> int:
        self.settled += 1
        return 0

    def gateway_answered(self) -> None:
        self.notes.append("answered")

    def gateway_away(self) -> None:
        self.notes.append("away")

    def gateway_refused(self, reason: str) -> None:
        self.notes.append(("refused", reason))


class ScriptedGateway:
    """A gateway that gives its answers in order; an exception among them is raised."""

    def __init__(self, **answers: Iterable[Any]) -> None:
        self._answers = {name: iter(list(given)) for name, given in answers.items()}
        self.asked: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        def call(request: Any) -> Any:
            self.asked.append((name, request))
            return self._raised(next(self._answers[name]))

        def stream(request: Any) -> Iterator[Any]:
            self.asked.append((name, request))
            for piece in next(self._answers[name]):
                yield self._raised(piece)

        return stream if name == "watch" else call

    def _raised(self, answer: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer
