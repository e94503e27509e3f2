"""The local JSON API: what it answers, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tallystick_till.daemon.machine import new_id
from tallystick_till.db import TillDb
from tallystick_till.errors import CannotSell, SaleRefused
from tests.daemon.fake_till import MEMBER, VOUCHER, FakeTill
from tests.daemon.served import Served, served

BASKET = {
    "currency": "EUR",
    "lines": [{"sku": "tea", "quantity_milli": 1000, "amount_minor": 1250, "text": "Green tea"}],
}


CUT_TEXT = "Birthday candles \ud83d"
"""As JavaScript cuts a text in the middle of an emoji."""
CUT_BASKET = {
    "currency": "EUR",
    "lines": [{"sku": "tea", "quantity_milli": 1000, "amount_minor": 1250, "text": CUT_TEXT}],
}


def sale(**more: Any) -> dict[str, Any]:
    return {"member_ref": MEMBER, "basket": BASKET, "reward_ids": [], **more}


def test_the_state_tells_all_that_the_screen_shows_around_a_sale(daemon: Served) -> None:
    state = daemon.get("/state").json
    assert state["till"] == {
        "till_id": "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e22",
        "label": "Till 2 [bold]",
        "store_id": "high-street",
        "hub": "self",
        "rivals": [],
    }
    assert state["burn"] == {"allowed": False, "reason": "CLOCK_UNTRUSTED"}
    assert (state["basket"], state["basket_id"], state["cashier"]) == (None, "", None)


@pytest.mark.parametrize(
    ("scan", "kind"), [("card", "member"), ("voucher", "voucher"), ("<script>alert(1)</script>", "none")]
)
def test_a_scan_is_answered_with_what_it_is(door: Served, scan: str, kind: str) -> None:
    found = door.post("/identify", {"scan": scan, "source": "wedge"}).json
    assert found["kind"] == kind
    assert (found.get("member", {}).get("member_ref") == MEMBER) is (kind != "none")
    assert (found.get("reason") == "FORMAT") is (kind == "none")


def test_a_member_at_the_counter_is_shown_anew(daemon: Served) -> None:
    shown = daemon.post("/identify", {"scan": "card"}).json["member"]
    assert daemon.post("/member", {"member_ref": MEMBER}).json == {"member": shown}
    richer = daemon.post("/member", {"member_ref": MEMBER, "voucher": "voucher"}).json["member"]
    assert richer["burn_limit_points"] == shown["burn_limit_points"] + VOUCHER.points
    refused = daemon.post("/member", {"member_ref": new_id()})
    assert (refused.status, refused.reason) == (409, "MEMBER_UNKNOWN")


def test_a_scanned_receipt_shows_its_sale(daemon: Served) -> None:
    made = daemon.post("/sale", sale()).json
    found = daemon.post("/identify", {"scan": "receipt"}).json
    assert (found["kind"], found["sale"]["sale_id"]) == ("receipt", made["sale_id"])


def test_a_sale_is_answered_as_it_was_quoted(daemon: Served) -> None:
    ask = sale(spend={"points": 100})
    quote, made = daemon.post("/quote", ask).json, daemon.post("/sale", ask).json
    for name in ("earned_points", "burned_points", "discount_minor", "payable_minor"):
        assert made[name] == quote[name]
    assert made["payable_minor"] == 1150
    assert made["authority"] == [{"kind": "floor", "points": 100}]
    assert made["receipt"] == {"lines": ["Points earned 12"], "qr": "123"}


def test_the_texts_of_lines_reach_the_till_beside_the_basket(daemon: Served) -> None:
    daemon.post("/sale", sale(spend={"points_max": 500}, reference="R-77"))
    (asked,) = daemon.till.asked
    assert asked.texts == ("Green tea",)
    assert asked.basket.prices_include_tax
    assert asked.spend is not None
    assert asked.spend.up_to
    assert asked.reference == "R-77"


def test_half_a_character_at_the_end_of_a_lines_text_holds_up_no_sale(daemon: Served) -> None:
    assert daemon.post("/sale", sale(basket=CUT_BASKET)).status == 200
    assert daemon.till.asked[0].texts == ("Birthday candles \ufffd",)


def test_a_sale_sent_twice_with_one_id_is_one_sale(daemon: Served) -> None:
    ask = sale(sale_id=new_id())
    assert daemon.post("/sale", ask).json == daemon.post("/sale", ask).json
    assert len(daemon.till.asked) == 1


def test_a_refused_sale_is_a_conflict_with_a_reason_and_a_mend(daemon: Served) -> None:
    answer = daemon.post("/sale", sale(spend={"points": 5000}))
    assert (answer.status, answer.reason) == (409, "INSUFFICIENT_POINTS")
    assert answer.json["error"]["details"] == {"available": "540"}
    assert "fewer" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("reason", "status"), [("DISK_FULL", 507), ("OUTBOX_CORRUPT", 503), ("NO_RULES", 503)]
)
def test_what_cannot_be_kept_safely_is_not_sold_and_says_why(
    daemon: Served, reason: str, status: int
) -> None:
    daemon.till.fault = CannotSell(reason)
    answer = daemon.post("/sale", sale())
    assert (answer.status, answer.reason) == (status, reason)
    assert len(answer.json["error"]["message"]) > 40


def test_a_refusal_without_a_sentence_of_its_own_shows_its_facts(daemon: Served) -> None:
    daemon.till.fault = SaleRefused("TIER_TOO_LOW", details={"tier": "gold"})
    assert daemon.post("/sale", sale()).json["error"]["message"] == "Refused: TIER_TOO_LOW (tier gold)."


def test_an_undone_sale_is_listed_as_undone(daemon: Served) -> None:
    made = daemon.post("/sale", sale()).json
    undone = daemon.post("/undo", {"sale_id": made["sale_id"]}).json
    assert (undone["sale_id"], undone["taken_points"]) == (made["sale_id"], 12)
    (listed,) = daemon.get("/sales?limit=5").json["sales"]
    assert listed["undone"] is True
    assert daemon.get(f"/sales/{made['sale_id']}").json == listed


def test_a_sale_that_the_till_does_not_know_is_not_found(door: Served) -> None:
    answer = door.get(f"/sales/{new_id()}")
    assert (answer.status, answer.reason) == (404, "SALE_UNKNOWN")


def test_goods_come_back_as_they_were_previewed(daemon: Served) -> None:
    ask = {"sale_id": new_id(), "lines": [{"line_no": 1, "quantity_milli": 1000}]}
    preview, done = daemon.post("/return/preview", ask).json, daemon.post("/return", ask).json
    assert {name: done[name] for name in preview} == preview
    assert done["state"] == "queued"


def test_a_return_names_a_sale_or_a_receipt_and_not_both(door: Served) -> None:
    lines = [{"line_no": 1, "quantity_milli": 1000}]
    both = door.post("/return", {"sale_id": new_id(), "receipt": "123", "lines": lines})
    neither = door.post("/return", {"lines": lines})
    assert (both.status, neither.status) == (400, 400)
    assert door.post("/return", {"receipt": "123", "lines": lines}).status == 200


def test_a_person_joins_with_one_field(door: Served) -> None:
    joined = door.post("/enrol", {"text": "+46 70 123 45 67"}).json
    assert (joined["state"], joined["member"]["points"]) == ("queued", 0)


def test_the_queue_shows_what_needs_an_eye_and_how_old_the_oldest_is(daemon: Served) -> None:
    queue = daemon.get("/queue").json
    assert [item["state"] for item in queue["items"]] == ["adjusted", "queued"]
    assert queue["oldest_ms"] == 1_500
    assert daemon.post(f"/queue/{queue['items'][0]['advice_id']}/seen", {}).json == {}
    assert daemon.till.seen == [queue["items"][0]["advice_id"]]


def test_a_wrong_pin_signs_nobody_in(daemon: Served) -> None:
    assert daemon.get("/cashiers").json == {"cashiers": [{"cashier_id": "anna", "label": "Anna"}]}
    wrong = daemon.post("/cashier", {"cashier_id": "anna", "pin": "0000"})
    assert (wrong.status, wrong.reason) == (403, "PIN_WRONG")
    assert daemon.get("/state").json["cashier"] is None
    right = daemon.post("/cashier", {"cashier_id": "anna", "pin": "4711"}).json
    assert right == {"cashier": {"cashier_id": "anna", "label": "Anna"}, "checked": "stand-in"}
    assert daemon.call("DELETE", "/api/v1/cashier").status == 200
    assert daemon.get("/state").json["cashier"] is None


def test_what_is_sold_in_training_never_reaches_the_till(daemon: Served) -> None:
    assert daemon.post("/training", {"on": True}).json["mode"] == "training"
    daemon.post("/sale", sale())
    assert daemon.till.asked == []
    assert len(daemon.trained[0].asked) == 1
    assert daemon.post("/training", {"on": False}).json["mode"] == "live"
    assert daemon.get("/sales").json == {"sales": []}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spent": {"points": 5}}, "spent"),
        ({"member_ref": "me"}, "member_ref"),
        ({"spend": {"points": 0}}, "spend.points"),
        ({"spend": {"points": 1, "points_max": 2}}, "spend.points"),
        ({"basket": {**BASKET, "currency": "euro"}}, "basket.currency"),
        ({"basket": {**BASKET, "lines": []}}, "basket.lines"),
        ({"basket": {"currency": "EUR", "lines": [{"sku": "tea", "quantity_milli": 0, "amount_minor": 1}]}},
         "basket.lines[0].quantity_milli"),
        ({"basket": {"currency": "EUR", "lines": [{"sku": "tea", "quantity_milli": 1, "amount_minor": True}]}},
         "basket.lines[0].amount_minor"),
        ({"reference": "R\x1b[2J"}, "reference"),
        ({"reward_ids": [""]}, "reward_ids[0]"),
        ({"reward_ids": ["\ud83d"]}, "reward_ids[0]"),
        ({"basket_id": "b-\ud83d"}, "basket_id"),
        ({"\ud83d": 1}, "\ufffd"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_and_nothing_is_sold(door: Served, change: dict[str, Any], field: str) -> None:
    answer = door.post("/sale", sale() | change)
    assert (answer.status, answer.reason) == (400, "INVALID_FIELD")
    assert answer.json["error"]["details"] == {"field": field}
    assert door.till.asked == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"scan": 1.5}', b'{"scan": "a", "scan": "b"}', b"[" * 100_000, b"\xff"]
)
def test_a_body_that_is_no_object_is_refused(door: Served, body: bytes) -> None:
    answer = door.call("POST", "/api/v1/identify", raw=body)
    assert (answer.status, answer.reason) == (400, "NOT_JSON")


def test_what_is_not_there_is_not_found(door: Served) -> None:
    for method, path in [("GET", "/api/v1/nothing"), ("POST", "/api/v1/state"), ("GET", "/api/v1/sale")]:
        answer = door.call(method, path, {} if method == "POST" else None)
        assert (answer.status, answer.reason) == (404, "NOT_FOUND")


def test_a_till_programs_basket_is_shown_sold_and_told(daemon: Served) -> None:
    offer = {"basket": BASKET, "basket_id": "b-1", "reference": "R-9"}
    assert daemon.call("PUT", "/api/v1/basket", offer).json == {}
    state = daemon.get("/state").json
    assert (state["basket_id"], state["basket_reference"]) == ("b-1", "R-9")
    assert state["basket"] == {**BASKET, "prices_include_tax": True, "tax_groups": []}
    assert daemon.get("/basket/result?basket_id=b-1&wait_s=0").status == 204
    made = daemon.post("/sale", sale(basket_id="b-1")).json
    assert daemon.get("/basket/result?basket_id=b-1&wait_s=0").json == made
    assert daemon.get("/state").json["basket"] is None


def test_a_basket_is_sold_once_whoever_tries_again(daemon: Served) -> None:
    made = daemon.post("/sale", sale(basket_id="b-1")).json
    assert daemon.post("/sale", sale(basket_id="b-1")).json == made
    other = daemon.post("/sale", sale(basket_id="b-1", sale_id=new_id()))
    assert (other.status, other.reason) == (409, "BASKET_SOLD")
    assert other.json["error"]["details"]["sale_id"] == made["sale_id"]
    again = daemon.call("PUT", "/api/v1/basket", {"basket": BASKET, "basket_id": "b-1"})
    assert (again.status, again.reason) == (409, "BASKET_SOLD")
    assert len(daemon.till.asked) == 1


def test_a_basket_whose_sale_was_undone_can_be_sold_anew(daemon: Served) -> None:
    made = daemon.post("/sale", sale(basket_id="b-1")).json
    daemon.post("/undo", {"sale_id": made["sale_id"]})
    anew = daemon.post("/sale", sale(basket_id="b-1", sale_id=new_id()))
    assert anew.status == 200
    assert daemon.get("/basket/result?basket_id=b-1&wait_s=0").json == anew.json


def test_what_a_basket_became_is_known_after_a_restart(tmp_path: Path) -> None:
    till = FakeTill()
    db = TillDb.open(tmp_path / "till.db")
    with served(db=db, till=till) as first:
        made = first.post("/sale", sale(basket_id="b-1")).json
    with served(db=db, till=till) as second:
        assert second.get("/basket/result?basket_id=b-1&wait_s=0").json == made
        assert second.post("/sale", sale(basket_id="b-1")).json == made
    db.close()
    assert len(till.asked) == 1


def test_a_till_programs_basket_waits_while_somebody_trains(daemon: Served) -> None:
    daemon.call("PUT", "/api/v1/basket", {"basket": BASKET, "basket_id": "b-1"})
    assert daemon.post("/training", {"on": True}).json["basket"] is None
    refused = daemon.post("/sale", sale(basket_id="b-1"))
    assert (refused.status, refused.reason) == (409, "TRAINING")
    assert daemon.post("/training", {"on": False}).json["basket_id"] == "b-1"


def test_a_basket_can_be_withdrawn(daemon: Served) -> None:
    daemon.call("PUT", "/api/v1/basket", {"basket": BASKET, "basket_id": "b-1"})
    assert daemon.call("DELETE", "/api/v1/basket").json == {}
    assert daemon.get("/state").json["basket_id"] == ""
