"""Wish lists and baskets left behind: kept with consent, reminded of once, and never after the order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.rpc import code_pb2

from tallystick.core.ids import MemberId, Ms, ProgramId
from tallystick.service.errors import StoreUnavailable
from tallystick.service.event_store import Endpoint, EventPlace, Signing
from tallystick.service.reminder_events import ReminderEvents
from tallystick.service.reminders import DEDUP_KEY_CHARS_MAX, Reminder
from tallystick.service.wish_ports import WantedKind
from tallystick.service.wishes import BASKET_KEPT_MS
from tallystick.v1 import app_pb2, ledger_pb2, member_pb2
from tallystick.v1 import webshop_pb2 as pb
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    DAY_MS,
    HOUR_MS,
    RULES,
    SHOP,
    TILL,
    WEBSHOP,
    Caller,
    World,
    basket_of,
    iso,
    new_id,
    origin_of,
)

WEB = Caller(WEBSHOP, store_id="web", device_id="shop-server")
SECTION = "reminders: {abandoned_after_h: 24, wish_reminder_days: 30, per_month: 2}\n"
PAGE_URL = "https://shop.example/basket"


class Letters:
    """A sink that keeps what it is given; ``broken`` takes nothing."""

    def __init__(self) -> None:
        self.given: list[Reminder] = []
        self.broken = False

    def remind(self, program_id: ProgramId, reminder: Reminder) -> None:
        if self.broken:
            raise StoreUnavailable("The post is closed.")
        self.given.append(reminder)

    @property
    def kinds(self) -> list[str]:
        return [one.kind.value for one in self.given]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, rules=RULES + SECTION)
    yield made
    made.close()


@pytest.fixture
def letters() -> Letters:
    return Letters()


def consent(world: World, member_id: str, *, granted: bool = True, channel: str = "EMAIL") -> None:
    body = {"purpose": "CONSENT_PURPOSE_REMINDERS", "channel": f"CONSENT_CHANNEL_{channel}"}
    request = ParseDict({"member_id": member_id, **body, "granted": granted}, app_pb2.SetConsentRequest())
    world.send(request, WEB)


def person(world: World) -> str:
    """Enrol a member who wants reminders."""
    member_id = world.enrol()
    consent(world, member_id)
    return member_id


def wish(world: World, member_id: str, *items: dict[str, str], caller: Caller = WEB) -> bool:
    request = ParseDict({"member_id": member_id, "items": list(items)}, pb.SetWishListRequest())
    return bool(world.send(request, caller).kept)


def wishes(world: World, member_id: str, caller: Caller = WEB) -> list[Any]:
    return list(world.send(pb.GetWishListRequest(member_id=member_id), caller).items)


def note(
    world: World, member_id: str, amount: int | None = 5_000, *, ref: str = "b-1", at_ms: int = 0
) -> bool:
    body: dict[str, Any] = {"member_id": member_id, "basket_ref": ref, "page_url": PAGE_URL}
    if amount is not None:
        body["basket"] = basket_of(amount)
    if at_ms:
        body["seen_at"] = iso(at_ms)
    return bool(world.send(ParseDict(body, pb.NoteBasketRequest()), WEB).kept)


def order(world: World, member_id: str, amount: int = 5_000, **origin: Any) -> Any:
    return world.sell(member_id, amount, WEB, **{"channel": "CHANNEL_WEBSHOP", **origin})


def remind(world: World, letters: Letters) -> int:
    program = world.store.program(SHOP)
    assert program is not None
    return world.gateway.wishes.remind(program, [letters])


def later(world: World, *, hours: int = 0, days: int = 0) -> None:
    world.now_ms += hours * HOUR_MS + days * DAY_MS


class TestWishList:
    def test_a_list_is_kept_as_it_was_given(self, world: World) -> None:
        ann = person(world)
        assert wish(world, ann, {"sku": "MUG", "name": "A mug"}, {"sku": "TEA"})
        assert [(one.sku, one.name) for one in wishes(world, ann)] == [("MUG", "A mug"), ("TEA", "")]

    def test_an_article_keeps_since_when_it_is_wished(self, world: World) -> None:
        ann, first_ms = person(world), world.now_ms
        wish(world, ann, {"sku": "MUG"})
        later(world, days=3)
        wish(world, ann, {"sku": "TEA"}, {"sku": "MUG"}, {"sku": "HAT", "wished_at": iso(first_ms - 9)})
        found = {one.sku: one.wished_at.ToMilliseconds() for one in wishes(world, ann)}
        assert found == {"TEA": world.now_ms, "MUG": first_ms, "HAT": first_ms - 9}

    def test_of_two_lists_of_one_moment_the_last_counts(self, world: World) -> None:
        ann = person(world)
        for sku in ("MUG", "TEA"):
            wish(world, ann, {"sku": sku})
        assert [one.sku for one in wishes(world, ann)] == ["TEA"]
        assert wish(world, ann)
        assert wishes(world, ann) == []

    def test_nothing_is_kept_of_a_member_who_wants_no_reminders(self, world: World) -> None:
        ann = world.enrol()
        assert not wish(world, ann, {"sku": "MUG"})
        assert not note(world, ann)
        assert wishes(world, ann) == []
        assert world.store.wanted(SHOP, MemberId(ann), WantedKind.BASKET) is None

    def test_the_last_consent_that_is_withdrawn_takes_all_with_it(self, world: World) -> None:
        ann = person(world)
        consent(world, ann, channel="PUSH")
        wish(world, ann, {"sku": "MUG"})
        note(world, ann)
        consent(world, ann, granted=False)
        assert len(wishes(world, ann)) == 1
        consent(world, ann, granted=False, channel="PUSH")
        assert wishes(world, ann) == []
        assert world.store.wanted(SHOP, MemberId(ann), WantedKind.BASKET) is None

    def test_a_member_sees_and_sets_the_own_list_only(self, world: World) -> None:
        ann, ben = person(world), person(world)
        own = Caller(APP, store_id="", device_id="phone", member_id=ann)
        assert wish(world, ann, {"sku": "MUG"}, caller=own)
        assert [one.sku for one in wishes(world, ann, own)] == ["MUG"]
        no = world.refused(pb.GetWishListRequest(member_id=ben), own)
        assert no.code == code_pb2.NOT_FOUND

    @pytest.mark.parametrize("count", [2, 51])
    def test_a_list_has_each_article_once_and_50_at_most(self, world: World, count: int) -> None:
        items = [{"sku": "MUG" if count == 2 else f"A-{n}"} for n in range(count)]
        request = ParseDict({"member_id": person(world), "items": items}, pb.SetWishListRequest())
        no = world.refused(request, WEB)
        assert no.code == code_pb2.INVALID_ARGUMENT
        assert "items" in no.violations[0][0]

    def test_a_till_has_no_business_with_it(self, world: World) -> None:
        no = world.refused(pb.GetWishListRequest(member_id=person(world)), Caller(TILL))
        assert no.code == code_pb2.PERMISSION_DENIED

    def test_it_is_in_the_export_and_gone_with_the_member(self, world: World) -> None:
        ann = person(world)
        wish(world, ann, {"sku": "MUG", "name": "A mug"})
        note(world, ann)
        exported = world.send(app_pb2.ExportMemberRequest(member_id=ann), Caller(ADMIN)).json
        told = json.loads(exported)
        assert told["wishes"][0]["sku"] == "MUG"
        assert told["open_basket"]["basket"]["lines"][0]["sku"] == "A-1"
        world.send(member_pb2.EraseMemberRequest(member_id=ann), Caller(ADMIN))
        for kind in WantedKind:
            assert world.store.wanted(SHOP, MemberId(ann), kind) is None


class TestAbandonedBasket:
    def test_it_is_reminded_of_once_with_what_the_member_has_and_would_earn(
        self, world: World, letters: Letters
    ) -> None:
        ann = person(world)
        world.sell(ann, 7_000)
        note(world, ann)
        later(world, hours=23)
        assert remind(world, letters) == 0
        later(world, hours=1)
        assert [remind(world, letters), remind(world, letters)] == [1, 0]
        (reminder,) = letters.given
        assert (reminder.kind.value, reminder.member_id) == ("basket.abandoned", ann)
        assert reminder.facts == {
            "activePoints": 70,
            "rewardId": "five-off",
            "rewardPoints": 50,
            "currencyCode": "EUR",
            "basketRef": "b-1",
            "amountMinor": 5_000,
            "earnPoints": 50,
            "items": [{"sku": "A-1", "name": ""}],
            "pageUrl": PAGE_URL,
        }
        assert len(reminder.dedup_key) <= DEDUP_KEY_CHARS_MAX

    def test_whoever_ordered_is_not_reminded_and_no_message_is_needed_for_that(
        self, world: World, letters: Letters
    ) -> None:
        ann = person(world)
        note(world, ann)
        later(world, hours=1)
        order(world, ann)
        later(world, days=2)
        assert remind(world, letters) == 0
        assert world.store.wanted(SHOP, MemberId(ann), WantedKind.BASKET) is None

    def test_a_note_that_comes_after_its_order_is_not_kept(self, world: World) -> None:
        ann, seen_ms = person(world), world.now_ms
        later(world, hours=1)
        order(world, ann)
        assert not note(world, ann, at_ms=seen_ms)
        later(world, hours=1)
        assert note(world, ann)

    def test_a_purchase_in_a_store_is_not_the_order(self, world: World, letters: Letters) -> None:
        ann = person(world)
        note(world, ann)
        later(world, hours=1)
        world.sell(ann, 300)
        later(world, hours=23)
        assert remind(world, letters) == 1

    def test_an_order_that_waits_for_payment_is_none_to_remind_of_until_it_was_given_up(
        self, world: World, letters: Letters
    ) -> None:
        ann = person(world)
        world.sell(ann, 5_000)
        note(world, ann)
        held = world.hold(ann, 10, WEB, amount_minor=5_000, ttl_s=86_400, channel="CHANNEL_WEBSHOP")
        later(world, hours=12)
        void = {"command_id": new_id(), "member_id": ann, "hold_id": held, "origin": origin_of()}
        assert not note(world, ann, 6_000, at_ms=world.now_ms - 12 * HOUR_MS)
        world.send(ParseDict(void, ledger_pb2.VoidRequest()), WEB)
        later(world, hours=12)
        assert remind(world, letters) == 1

    def test_a_basket_that_changes_waits_anew_and_one_that_is_the_same_does_not(
        self, world: World, letters: Letters
    ) -> None:
        ann = person(world)
        note(world, ann)
        later(world, hours=20)
        assert note(world, ann)
        later(world, hours=4)
        assert remind(world, letters) == 1
        note(world, ann, 6_000)
        later(world, hours=23)
        assert remind(world, letters) == 0
        later(world, hours=1)
        assert remind(world, letters) == 1

    def test_an_emptied_basket_is_forgotten_and_another_ones_stays(
        self, world: World, letters: Letters
    ) -> None:
        ann = person(world)
        note(world, ann)
        assert not note(world, ann, None, ref="b-0")
        assert world.store.wanted(SHOP, MemberId(ann), WantedKind.BASKET) is not None
        assert not note(world, ann, None)
        later(world, days=2)
        assert remind(world, letters) == 0

    def test_what_lies_ahead_counts_as_now(self, world: World, letters: Letters) -> None:
        ann = person(world)
        note(world, ann, at_ms=world.now_ms + 300 * DAY_MS)
        later(world, days=1)
        assert remind(world, letters) == 1

    def test_there_are_no_more_in_a_month_than_the_rule_set_says(
        self, world: World, letters: Letters
    ) -> None:
        ann = person(world)
        for amount in (1_000, 2_000, 3_000):
            note(world, ann, amount)
            later(world, days=2)
            remind(world, letters)
        assert len(letters.given) == 2
        later(world, days=27)
        assert remind(world, letters) == 1

    def test_one_that_nobody_could_be_told_of_is_due_again(self, world: World, letters: Letters) -> None:
        note(world, person(world))
        later(world, days=1)
        letters.broken = True
        assert remind(world, letters) == 0
        letters.broken = False
        assert remind(world, letters) == 1

    def test_a_blocked_member_is_not_reminded(self, world: World, letters: Letters) -> None:
        ann = person(world)
        note(world, ann)
        world.send(member_pb2.BlockMemberRequest(member_id=ann), Caller(ADMIN))
        later(world, days=1)
        assert remind(world, letters) == 0

    def test_one_that_lies_for_months_is_let_go(self, world: World, letters: Letters) -> None:
        ann = person(world)
        note(world, ann)
        world.now_ms += BASKET_KEPT_MS + 1
        assert remind(world, letters) == 0
        assert world.store.wanted(SHOP, MemberId(ann), WantedKind.BASKET) is None

    def test_without_the_section_nobody_is_reminded(self, world: World, letters: Letters) -> None:
        world.publish(RULES)
        note(world, person(world))
        later(world, days=9)
        assert remind(world, letters) == 0


class TestWishReminder:
    def test_it_comes_once_for_a_list_as_it_is(self, world: World, letters: Letters) -> None:
        ann = person(world)
        wish(world, ann, {"sku": "MUG", "name": "A mug"})
        later(world, days=30)
        assert [remind(world, letters), remind(world, letters)] == [1, 0]
        assert letters.kinds == ["wish.reminder"]
        assert letters.given[0].facts["items"] == [{"sku": "MUG", "name": "A mug"}]
        later(world, days=60)
        assert remind(world, letters) == 0
        wish(world, ann, {"sku": "MUG", "name": "A mug"}, {"sku": "TEA"})
        later(world, days=30)
        assert remind(world, letters) == 1


class TestEvents:
    def test_a_reminder_becomes_one_event_for_those_who_listen(self, world: World) -> None:
        endpoint = Endpoint("mail", "https://hooks.example", (), Signing.HMAC, b"sealed")
        now = Ms(world.now_ms)
        world.store.put_endpoint(SHOP, endpoint, here=EventPlace({}, now, now), now=now)
        ann = person(world)
        note(world, ann)
        later(world, days=1)
        program = world.store.program(SHOP)
        assert program is not None
        sink = ReminderEvents(world.store, now_ms=lambda: Ms(world.now_ms))
        assert world.gateway.wishes.remind(program, [sink]) == 1
        now = Ms(world.now_ms)
        (due,) = world.store.claim_deliveries(SHOP, "mail", now=now, until=Ms(now + 1), limit=9)
        body = json.loads(due.event.body)
        assert (body["type"], body["timestamp"]) == ("basket.abandoned", "2026-03-02T12:00:00Z")
        assert (body["data"]["memberId"], body["data"]["earnPoints"]) == (ann, 50)
        assert due.event.message_id.startswith("evt_")

    def test_where_nobody_listens_nothing_is_kept_of_it(self, world: World, letters: Letters) -> None:
        note(world, person(world))
        later(world, days=1)
        remind(world, letters)
        ReminderEvents(world.store, now_ms=lambda: Ms(world.now_ms)).remind(SHOP, letters.given[0])
        assert world.store.event_place(SHOP) is None
