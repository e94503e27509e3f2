"""Texts of explanations and refusals, for callers that ask for a language."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from tallystick.v1 import ledger_pb2 as pb
from tests.rpc.handlers.world import (
    APP,
    RULES,
    TILL,
    Caller,
    World,
    basket_of,
    message_of,
    new_id,
    origin_of,
    sale_request,
)

HARD = "\u00a0"
SENTENCE = {"en": "1 point for every €1.00", "sv": f"1 poäng per 1,00{HARD}€"}


def texts(explanations: Any) -> list[str]:
    return [one.text for one in explanations]


def quote(member_id: str, language: str = "", **more: Any) -> Any:
    body = {
        "member_id": member_id,
        "basket": basket_of(1_200),
        "assurance": "ASSURANCE_STATIC_CARD",
        "origin": origin_of(),
        "language_code": language,
    }
    return message_of("Quote", {**body, **more})


@pytest.mark.parametrize(("asked", "answered"), [("en", "en"), ("sv-FI", "sv"), ("de", "en"), ("SV", "sv")])
def test_a_quote_says_why_in_the_language_that_is_asked_for(world: World, asked: str, answered: str) -> None:
    quoted = world.send(quote(world.enrol(), asked)).quoted
    assert texts(quoted.explanations) == [SENTENCE[answered]]


def test_whoever_asks_for_no_language_gets_no_texts(world: World) -> None:
    ann = world.enrol()
    assert texts(world.send(quote(ann)).quoted.explanations) == [""]
    assert texts(world.sell(ann, 1_200).posted.entry.explanations) == [""]
    entries = world.send(pb.ListEntriesRequest(member_id=ann)).entries
    assert texts(entries[0].explanations) == [""]
    refused = world.send(quote(ann, spend={"points": 900})).refused
    assert (refused.text, refused.message) == ("", "The member has 12 active points, fewer than 900.")


def test_a_refusal_speaks_to_the_member_beside_the_message_for_developers(world: World) -> None:
    ann = world.enrol()
    world.sell(ann, 4_000)
    refused = world.send(quote(ann, "en", spend={"points": 100})).refused
    assert refused.text == "Not enough points: you have 40, this needs 100"
    assert refused.message == "The member has 40 active points, fewer than 100."


def test_a_sale_and_what_is_asked_about_it_later_say_the_same(world: World) -> None:
    ann = world.enrol()
    request = sale_request(ann, 1_200)
    request.language_code = "sv"
    assert texts(world.send(request).decision.posted.entry.explanations) == [SENTENCE["sv"]]
    again = pb.GetDecisionRequest(command_id=request.command_id, language_code="sv")
    assert texts(world.send(again).decision.posted.entry.explanations) == [SENTENCE["sv"]]


def test_the_language_is_no_part_of_what_a_command_id_stands_for(world: World) -> None:
    request = sale_request(world.enrol(), 1_200)
    world.send(request)
    request.language_code = "sv"
    decision = world.send(request).decision
    assert (decision.replayed, texts(decision.posted.entry.explanations)) == (True, [SENTENCE["sv"]])


def test_a_refused_sale_says_why_not(world: World) -> None:
    request = sale_request(world.enrol(), 1_200, spend={"points": 5})
    request.language_code = "nb"
    assert world.send(request).decision.refused.text == "Ikke nok poeng: du har 0, det trengs 5"


def test_the_statement_tells_each_entry_by_the_rules_that_judged_it(world: World) -> None:
    ann = world.enrol()
    world.sell(ann, 1_000)
    world.publish(RULES.replace("points: 1, per_minor: 100", "points: 3, per_minor: 200"))
    world.now_ms += 10_000
    world.gateway.rulebook.forget("shop")  # type: ignore[arg-type]
    world.sell(ann, 1_000)
    own = Caller(APP, store_id="", device_id="phone", member_id=ann)
    entries = world.send(pb.ListEntriesRequest(member_id=ann, language_code="en"), own).entries
    said = [texts(entry.explanations) for entry in entries]
    assert said == [["3 points for every €2.00"], ["1 point for every €1.00"]]


def test_a_capture_says_why(world: World) -> None:
    ann = world.enrol()
    world.sell(ann, 9_000)
    hold_id = world.hold(ann, 50)
    capture = {"command_id": new_id(), "member_id": ann, "hold_id": hold_id, "origin": origin_of()}
    request = ParseDict({**capture, "language_code": "en"}, pb.CaptureRequest())
    said = texts(world.send(request, Caller(TILL)).decision.posted.entry.explanations)
    assert said == ["Points set aside for the order were used"]


def test_a_return_is_previewed_in_words(world: World) -> None:
    ann = world.enrol()
    sale_id = world.sell(ann, 1_200).posted.entry.command_id
    body = {
        "member_id": ann,
        "sale_id": sale_id,
        "lines": [{"line_no": 1, "quantity_milli": 1_000}],
        "origin": origin_of(),
        "language_code": "en",
    }
    previewed = world.send(message_of("PreviewReturn", body)).previewed
    assert texts(previewed.explanations) == ["Points for goods that came back"]
    body["lines"] = [{"line_no": 7, "quantity_milli": 1_000}]
    assert world.send(message_of("PreviewReturn", body)).refused.text == "The purchase has no line 7"


@pytest.mark.parametrize("tag", ["sv FI", "s" * 36, "sv_SE", "<b>"])
def test_what_is_no_language_tag_is_refused(world: World, tag: str) -> None:
    refused = world.refused(quote(world.enrol(), tag))
    assert refused.violations[0][0] == "language_code"
