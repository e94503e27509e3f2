"""Why points came, went or were refused: each sentence in five languages, and nothing without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tallystick.core.entry import Explanation, Refusal, Refused, refused
from tallystick.core.rules.model import RuleSet
from tallystick.words import LANGUAGES, NO_NAMES, language_of, names_of, why, why_not, with_points
from tallystick.words.catalogue import catalogue, template
from tests.core.world import rules_of
from tests.words.stories import told, told_by_the_tests_of_the_core
from tools import words

HARD = "\u00a0"
RULES = {
    "earning": {
        "combine": "sum",
        "rules": [
            {"id": "base", "kind": "per_amount", "points": 1, "per_minor": 100},
            {"id": "toys", "kind": "per_amount", "points": 2, "per_minor": 1_000, "category": "toys"},
            {"id": "bottle", "kind": "per_item", "points": 5, "sku": "B"},
            {"id": "visit", "kind": "per_sale", "points": 1},
            {"id": "tuesdays", "kind": "multiply", "by": 2, "weekday": "tue"},
            {"id": "weekend", "kind": "multiply", "by": "1.5", "weekday": ["sat", "sun"]},
            {"id": "happy-hour", "kind": "multiply", "by": 3, "hours": "16:00-18:00"},
        ],
    }
}


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return rules_of(**RULES)


def test_every_code_and_refusal_of_the_core_is_in_the_catalogue_in_every_language() -> None:
    assert [*words.missing(), *words.uneven()] == []


def test_every_code_is_made_by_a_story_and_says_all_that_it_knows() -> None:
    stories = [(names_of(rules), explanation) for rules, explanation in told()]
    stories += [(NO_NAMES, explanation) for explanation in told_by_the_tests_of_the_core()]
    for names, explanation in stories:
        for language in LANGUAGES:
            said = why(explanation, language, names)
            assert said, explanation
            assert not {"?", "{", "}"} & set(said), (explanation, said)
    assert {explanation.code for _, explanation in stories} >= words.codes_of_core()[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_a_sentence_in_every_language_also_without_its_details(language: str) -> None:
    said = {reason: why_not(Refused(reason), language) for reason in Refusal}
    assert len(set(said.values())) == len(Refusal)
    assert not [text for text in said.values() if {"{", "?"} & set(text)]


@pytest.mark.parametrize(
    ("rule_id", "code", "en", "sv", "pl", "nb", "lv"),
    [
        (
            *("base", "per_amount", "1 point for every €1.00", f"1 poäng per 1,00{HARD}€"),
            *(
                f"1 punkt za każde 1,00{HARD}€",
                f"1 poeng per 1,00{HARD}€",
                f"1 punkts par katriem 1,00{HARD}€",
            ),
        ),
        (
            *("toys", "per_amount", "2 points for every €10.00 (Toys)", f"2 poäng per 10,00{HARD}€ (Toys)"),
            *(f"2 punkty za każde 10,00{HARD}€ (Toys)", f"2 poeng per 10,00{HARD}€ (Toys)"),
            f"2 punkti par katriem 10,00{HARD}€ (Toys)",
        ),
        (
            *("bottle", "per_item", "5 points for each piece (Bottle)", "5 poäng per styck (Bottle)"),
            *("5 punktów za każdą sztukę (Bottle)", "5 poeng per stykk (Bottle)"),
            "5 punkti par katru gabalu (Bottle)",
        ),
        (
            *("visit", "per_sale", "1 point for the purchase", "1 poäng för köpet", "1 punkt za zakupy"),
            *("1 poeng for kjøpet", "1 punkts par pirkumu"),
        ),
        (
            *("tuesdays", "multiply", "Twice the points on Tuesdays", "Dubbla poäng på tisdagar"),
            *("Podwójne punkty we wtorki", "Dobbelt så mange poeng på tirsdager"),
            "Divreiz vairāk punktu otrdienās",
        ),
        (
            *("weekend", "multiply", "1.5 times the points at weekends", "1,5 gånger poängen på helger"),
            *("Punkty razy 1,5 w weekendy", "1,5 ganger poengene i helgene"),
            "Punkti, reizināti ar 1,5 nedēļas nogalēs",
        ),
        (
            *("happy-hour", "multiply", "3 times the points (Happy hour)", "3 gånger poängen (Happy hour)"),
            *("Punkty razy 3 (Happy hour)", "3 ganger poengene (Happy hour)"),
            "Punkti, reizināti ar 3 (Happy hour)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else "",
)
def test_a_rule_is_told_by_what_it_gives(
    rules: RuleSet, rule_id: str, code: str, en: str, sv: str, pl: str, nb: str, lv: str
) -> None:
    explanation = Explanation(rule_id, 1, 12, code)
    said = [why(explanation, language, names_of(rules)) for language in LANGUAGES]
    assert said == [en, sv, pl, nb, lv]


def test_with_its_points_a_sentence_says_how_many_there_were(rules: RuleSet) -> None:
    earned = Explanation("base", 1, 12, "per_amount")
    assert with_points(earned, "en", names_of(rules)) == "12 points: 1 point for every €1.00"
    one = with_points(earned._replace(points=1), "en", names_of(rules))
    assert one == "1 point: 1 point for every €1.00"
    counts = [(1, "punkt"), (2, "punkty"), (5, "punktów"), (12, "punktów"), (22, "punkty"), (-3, "punkty")]
    for points, noun in counts:
        said = with_points(earned._replace(points=points), "pl", names_of(rules))
        assert said.startswith(f"{points} {noun}: ")
    reached = Explanation("tiers", 0, 0, "tier_reached", (("from", "bas"), ("to", "guld")))
    assert with_points(reached, "sv") == "Du har nått nivån Guld"


@pytest.mark.parametrize(
    ("number", "noun"),
    [(0, "punktu"), (1, "punkts"), (2, "punkti"), (11, "punktu"), (21, "punkts"), (30, "punktu")],
)
def test_latvian_counts_by_its_last_digits(number: int, noun: str) -> None:
    owed = Explanation("debt", 0, 0, "points_owed", (("points", str(number)),))
    assert why(owed, "lv").startswith(f"{number} {noun} ")


def test_values_are_told_as_what_their_names_say_they_are() -> None:
    reward = Explanation("free-coffee", 0, -100, "reward", (("discount_minor", "123456"),))
    assert why(reward, "en") == "Reward “Free coffee”: €1,234.56 off"
    assert why(reward, "nb") == f"Belønningen «Free coffee»: 1{HARD}234,56{HARD}€ i rabatt"
    kronor = names_of(rules_of(currency="SEK"))
    assert why(reward, "sv", kronor) == f"Belöningen ”Free coffee”: 1{HARD}234,56{HARD}kr i rabatt"


def test_what_has_a_name_in_the_rule_set_is_told_by_it() -> None:
    rewards = [{"id": "r-17", "kind": "money_off", "points": 10, "amount_minor": 100, "name": "A coffee"}]
    names = names_of(rules_of(rewards=rewards))
    bought = Explanation("r-17", 0, -10, "reward", (("discount_minor", "100"),))
    assert why(bought, "en", names) == "Reward “A coffee”: €1.00 off"
    no = refused(Refusal.REWARD_SOLD_OUT, reward_id="r-17")
    assert why_not(no, "sv", names) == "Inget är kvar av belöningen ”A coffee”"


def test_days_are_told_as_days() -> None:
    opens = Explanation("summer", 1, 0, "not_open_yet", (("opens_on", "2026-06-01"),))
    assert why(opens, "lv") == "“Summer” atveras: 2026. gada 1. jūnijs"
    assert why(opens._replace(args=()), "en") == "“Summer” is not open yet"
    paid = Explanation("club", 0, 0, "membership_paid", (("name", "The club"), ("until", "2027-03-01")))
    assert why(paid, "nb") == "Medlemskapet «The club» til 1. mars 2027"


def test_without_its_rule_set_an_explanation_says_less_and_nothing_wrong() -> None:
    for code in ("per_amount", "per_item", "per_sale", "multiply"):
        for language in LANGUAGES:
            said = why(Explanation("gone", 1, 5, code), language, NO_NAMES)
            assert said == template(catalogue()["codes"][f"{code}.plain"], language, {})


def test_a_code_from_a_newer_server_is_told_by_the_name_of_its_rule() -> None:
    assert why(Explanation("moon_bonus", 0, 5, "not_yet_invented"), "lv") == "Moon bonus"


def test_refusals_speak_to_the_member() -> None:
    no = refused(Refusal.INSUFFICIENT_POINTS, points=1_000, available=40)
    assert why_not(no, "en") == "Not enough points: you have 40, this needs 1,000"
    assert why_not(no, "pl-PL") == f"Za mało punktów: masz 40, potrzeba 1{HARD}000"
    other = refused(Refusal.REWARD_NOT_IN_TIER, reward_id="early-access", tier_id="bas")
    assert why_not(other, "sv") == "Belöningen ”Early access” är för en annan nivå"


@pytest.mark.parametrize(
    ("tag", "language"),
    [("sv-FI", "sv"), ("NN", "nb"), ("no", "nb"), ("pl_PL", "pl"), ("de", "en"), ("", "en"), ("lv-LV", "lv")],
)
def test_a_tag_chooses_the_nearest_language_that_there_is(tag: str, language: str) -> None:
    assert language_of(tag) == language


class TestTheCheck:
    """The tool that finds what the catalogue lacks."""

    def test_a_code_is_followed_to_the_texts_that_it_may_be(self, tmp_path: Path) -> None:
        core = tmp_path / "core"
        core.mkdir()
        (core / "new.py").write_text(
            "BACK = {1: 'hold', 2: 'lease'}\n"
            "PLAIN = 'plain_code'\n"
            "def one(kind, more):\n"
            "    code = 'yes' if more else 'no'\n"
            "    Explanation('a', 0, 0, code)\n"
            "    Explanation('a', 0, 0, f'{BACK[kind]}_back')\n"
            "    Explanation('a', 0, 0, PLAIN)\n"
            "    return two('given')\n"
            "def two(code):\n"
            "    return Explanation('a', 0, 0, code)\n"
        )
        found, unclear = words.codes_of_core(core, ())
        assert found == {"yes", "no", "hold_back", "lease_back", "plain_code", "given"}
        assert unclear == []

    def test_a_code_that_cannot_be_followed_is_reported_with_its_line(self, tmp_path: Path) -> None:
        core = tmp_path / "core"
        core.mkdir()
        (core / "new.py").write_text("def one(x):\n    return Explanation('a', 0, 0, x.lower())\n")
        found, unclear = words.codes_of_core(core, ())
        assert (found, len(unclear)) == (set(), 1)
        assert unclear[0].startswith("core/new.py:2: ")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"sv": None}, "is not there in sv"),
            ({"lv": "bez skaita {x}"}, "must be counted"),
            ({"pl": {"one": "{x}", "other": "{x}"}}, "must have the forms one, few, many, other"),
            ({"nb": {"one": "{y}", "other": "{x}"}}, "other places"),
        ],
    )
    def test_a_language_that_lacks_something_is_found(
        self, change: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        two = {"one": "{x}", "other": "{x}"}
        message = {
            "count": "x",
            "en": two,
            "sv": two,
            "nb": two,
            "pl": {"one": "{x}", "few": "{x}", "many": "{x}", "other": "{x}"},
            "lv": {"zero": "{x}", "one": "{x}", "other": "{x}"},
        }
        broken = json.loads(json.dumps({**message, **change}))
        broken = {name: text for name, text in broken.items() if text is not None}
        monkeypatch.setattr(words, "catalogue", lambda: {"codes": {"code": broken}})
        assert [line for line in words.uneven() if said in line]
        monkeypatch.setattr(words, "catalogue", lambda: {"codes": {"code": message}})
        assert list(words.uneven()) == []
