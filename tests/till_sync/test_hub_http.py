from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tallystick.core.ids import CommandId
from tallystick.security.keys import SigningKey, VerifyKey, generate_signing_key
from tallystick_till import hub_http
from tallystick_till.db import TillDb
from tallystick_till.hub import LocalHub
from tallystick_till.hub_http import HttpHub, HubServer
from tallystick_till.ports import Granted, HubAway
from tests.till_sync.world import Time, lease_state, local_hub, member_id, state

ANNA = member_id(1)
LEASE = CommandId("0c000000-0000-7000-8000-000000000001")
SALE = CommandId("0d000000-0000-7000-8000-000000000001")
OTHER_SALE = CommandId("0d000000-0000-7000-8000-000000000002")
VOUCHER = CommandId("0a000000-0000-7000-8000-000000000001")
HUB_KEY, TILL_KEY, STRANGER = generate_signing_key(), generate_signing_key(), generate_signing_key()


def keys() -> dict[str, VerifyKey]:
    return {"hub": HUB_KEY.verify_key, "till-2": TILL_KEY.verify_key}


@dataclass
class Store:
    time: Time
    hub: LocalHub
    port: int

    def till(
        self, *, till_id: str = "till-2", key: SigningKey = TILL_KEY, hub_till_id: str = "hub"
    ) -> HttpHub:
        return HttpHub(
            f"127.0.0.1:{self.port}",
            hub_till_id=hub_till_id,
            till_id=till_id,
            key=key,
            till_keys=keys,
            now_ms=self.time.now_ms,
        )


@pytest.fixture
def store() -> Iterator[Store]:
    time, db = Time(), TillDb.in_memory()
    hub = local_hub(db, time)
    hub.take_members([state(1, leases=[lease_state(LEASE, points=100)])])
    server = HubServer(hub, "127.0.0.1:0", till_id="hub", key=HUB_KEY, till_keys=keys, now_ms=time.now_ms)
    server.start()
    yield Store(time, hub, server.port)
    server.stop()
    db.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes, dict[str, str]]]:
    """The requests that went over the wire."""
    seen: list[tuple[str, bytes, dict[str, str]]] = []
    request = http.client.HTTPConnection.request

    def note(
        self: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> None:
        seen.append((path, body, headers))
        request(self, method, path, body, headers)

    monkeypatch.setattr(http.client.HTTPConnection, "request", note)
    return seen


def post(store: Store, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=5)
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_another_till_burns_from_the_same_lease(store: Store) -> None:
    till = store.till()
    assert till.limit(ANNA) == 100
    assert till.take(ANNA, SALE, 60) == [Granted(LEASE, 60)]
    assert till.take(ANNA, SALE, 60) == [Granted(LEASE, 60)]
    assert store.hub.limit(ANNA) == 40
    assert till.take(ANNA, OTHER_SALE, 41) == []
    assert till.state == "reachable"


def test_another_till_has_a_lease_released(store: Store) -> None:
    till = store.till()
    (released,) = till.release(ANNA)
    assert (released.lease_id, released.member_id) == (LEASE, ANNA)
    assert till.release(ANNA) == [released] == [store.hub.next_return()]
    assert till.limit(ANNA) == 0
    assert till.release(member_id(7)) == []


@pytest.mark.parametrize(
    "leases", [None, 7, [7], [{"lease_id": LEASE}], [{"lease_id": "x", "return_id": SALE}]]
)
def test_a_hub_that_names_no_leases_counts_as_away(
    store: Store, monkeypatch: pytest.MonkeyPatch, leases: object
) -> None:
    till = store.till()
    monkeypatch.setattr(till, "_ask", lambda _path, _fields: {"leases": leases})
    with pytest.raises(HubAway):
        till.release(ANNA)


def test_a_voucher_is_used_once_in_the_whole_store(store: Store) -> None:
    assert store.till().use_voucher(VOUCHER, SALE)
    assert store.till().use_voucher(VOUCHER, SALE)
    assert not store.hub.use_voucher(VOUCHER, OTHER_SALE)


def test_a_member_who_comes_to_another_till_has_a_lease_asked_for(store: Store) -> None:
    store.till().limit(member_id(7))
    assert [ask.member_id for ask in store.hub.asks()] == [member_id(7)]


def test_a_till_that_nobody_vouches_for_gets_nothing(store: Store) -> None:
    for till in (store.till(key=STRANGER), store.till(till_id="till-9", key=TILL_KEY)):
        with pytest.raises(HubAway):
            till.take(ANNA, SALE, 60)
        assert till.state == "away"
    assert store.hub.limit(ANNA) == 100


def test_an_answer_that_is_not_the_hubs_is_not_believed(store: Store) -> None:
    with pytest.raises(HubAway, match="not the store's hub"):
        store.till(hub_till_id="till-2").limit(ANNA)


def test_a_request_that_is_sent_again_is_not_listened_to(
    store: Store, sent: list[tuple[str, bytes, dict[str, str]]]
) -> None:
    store.till().limit(ANNA)
    assert post(store, *sent[0])[0] == 403
    assert post(store, *sent[0])[1]["error"] == "REPLAYED"


@pytest.mark.parametrize(
    "change", ["path", "body", "tally-till", "tally-time", "tally-nonce", "tally-signature"]
)
def test_a_request_that_was_changed_on_the_way_is_not_listened_to(
    store: Store, sent: list[tuple[str, bytes, dict[str, str]]], change: str
) -> None:
    store.till().limit(ANNA)
    path, body, headers = sent[0]
    other = {
        "tally-till": "hub",
        "tally-time": str(store.time.ms + 1),
        "tally-nonce": "0" * 32,
        "tally-signature": headers["tally-signature"][::-1],
    }
    if change == "path":
        path = hub_http.VOUCHER
    elif change == "body":
        body = body.replace(b"0000000001", b"0000000002")
    else:
        headers[change] = other[change]
    status, answer = post(store, path, body, headers)
    assert (status, answer["error"]) == (403, "NOT_A_TILL_OF_THE_STORE")


def test_a_request_from_another_time_is_not_listened_to(store: Store) -> None:
    till = store.till()
    for shift in (-hub_http.SKEW_MS - 1, hub_http.SKEW_MS + 1):
        late = HttpHub(
            f"127.0.0.1:{store.port}",
            hub_till_id="hub",
            till_id="till-2",
            key=TILL_KEY,
            till_keys=keys,
            now_ms=lambda shift=shift: store.time.ms + shift,  # type: ignore[misc]
        )
        with pytest.raises(HubAway, match="CLOCK"):
            late.limit(ANNA)
    assert till.limit(ANNA) == 100


@pytest.mark.parametrize(
    "fields",
    [
        [],
        {},
        {"member_id": ANNA, "advice_id": SALE},
        {"member_id": ANNA, "advice_id": SALE, "points": -1},
        {"member_id": ANNA, "advice_id": SALE, "points": True},
        {"member_id": ANNA, "advice_id": "'; DROP TABLE lease", "points": 1},
        {"member_id": 7, "advice_id": SALE, "points": 1},
    ],
)
def test_nonsense_from_a_till_of_the_store_is_turned_away(
    store: Store, monkeypatch: pytest.MonkeyPatch, fields: object
) -> None:
    till = store.till()
    with pytest.raises(HubAway, match="MALFORMED"):
        till._ask(hub_http.TAKE, fields)  # type: ignore[arg-type]
    assert store.hub.limit(ANNA) == 100


def test_a_body_beyond_the_limit_is_not_read(store: Store) -> None:
    status, _ = post(store, hub_http.LIMIT, b"x" * (hub_http.BODY_BYTES_MAX + 1), {})
    assert status == 413


def test_a_hub_that_is_switched_off_or_silent_costs_a_cashier_a_second_at_most(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub_http.ASK_S <= 1
    monkeypatch.setattr(hub_http, "ASK_S", 0.2)
    for port in (1, _silent_port()):
        till = HttpHub(
            f"127.0.0.1:{port}",
            hub_till_id="hub",
            till_id="till-2",
            key=TILL_KEY,
            till_keys=keys,
            now_ms=store.time.now_ms,
        )
        with pytest.raises(HubAway):
            till.limit(ANNA)
        assert till.state == "away"


_LISTENING: list[socket.socket] = []


def _silent_port() -> int:
    """Return a port where somebody listens and never answers."""
    if not _LISTENING:
        _LISTENING.append(socket.create_server(("127.0.0.1", 0), backlog=50))
    return int(_LISTENING[0].getsockname()[1])
