"""`tallystick review` against a server that runs: what is to be looked at, and the decision."""

from __future__ import annotations

import asyncio

import pytest

from tallystick.core.ids import MemberId, ProgramId
from tallystick.service.reads import ReadPool
from tallystick.service.review_ports import NOBODY, Review
from tallystick.service.reviews import Reviews
from tallystick.storage.clock import wall_ms
from tallystick.storage.open import open_store
from tests.cli.shell import Running, Shell
from tests.cli.test_cards import found_household


def found(shop: Shell, number: int) -> Review:
    """A till that enrolled too many, as the gateway finds it beside us."""
    store, pool = open_store(f"sqlite:///{shop.data_dir / 'tallystick.db'}"), ReadPool()
    (program,) = store.programs(after="", limit=2)
    (ada, *_) = store.members(program.program_id, after="", limit=1)
    reviews = Reviews(store, pool, now_ms=wall_ms)
    about = MemberId(ada.member_id) if number else NOBODY
    facts = {"till_id": "till-7", "enrolments": 40}
    review = reviews.add(ProgramId(program.program_id), "many_enrolments", about, facts, str(number))
    assert review is not None
    pool.close()
    store.close()
    return review


def test_what_is_found_is_listed_shown_and_decided(shop: Shell, run: Running) -> None:
    assert run.port
    assert "There is nothing to look at." in shop.succeed("review", "list").out
    one, other = found(shop, 0), found(shop, 1)
    listed = shop.succeed("review", "list").out
    assert f"{one.review_id}  " in listed
    assert "enrolments=40  till_id=till-7" in listed
    assert len(shop.succeed("review", "list", "--kind", "adjust", "--json").json["reviews"]) == 0
    shown = shop.succeed("review", "show", one.review_id).out
    assert "many_enrolments: open" in shown
    assert "till-7" in shown
    done = shop.succeed("review", "release", one.review_id, "--note", "the opening day", "--json").json
    assert (done["state"], done["note"], done["facts"]["enrolments"]) == ("released", "the opening day", "40")
    assert "refused" in shop.succeed("review", "refuse", other.review_id).out
    assert "There is nothing to look at." in shop.succeed("review", "list").out
    states = [
        one["state"] for one in shop.succeed("review", "list", "--state", "all", "--json").json["reviews"]
    ]
    assert sorted(states) == ["refused", "released"]
    no = shop.run("review", "refuse", one.review_id)
    assert (no.code != 0, "REVIEW_DECIDED" in no.err) == (True, True)


def test_a_cashier_is_linked_to_a_member_and_forgotten(shop: Shell, run: Running, member: str) -> None:
    assert run.port
    assert "No cashier" in shop.succeed("review", "staff", "store-1").out
    shop.succeed("store", "cashier", "store-1", "ann", "--label", "Ann")
    linked = shop.succeed("review", "staff", "store-1", "ann", "--member", member, "--json").json["staff"]
    assert [one["cashier_id"] for one in linked] == ["ann"]
    assert linked[0]["member_id"]
    assert "No cashier" in shop.succeed("review", "staff", "store-1", "ann", "--forget").out


def test_a_cashier_in_a_household_is_the_person_and_not_the_account_that_all_share(
    shop: Shell, run: Running
) -> None:
    joined = shop.succeed("enrol-member", "--json").json
    asyncio.run(found_household(shop, run, joined["member_id"]))
    shop.succeed("store", "cashier", "store-1", "ben", "--label", "Ben")
    linked = ("review", "staff", "store-1", "ben", "--member", joined["number"], "--json")
    (staff,) = shop.succeed(*linked).json["staff"]
    assert staff["member_id"] == joined["member_id"]
    shop.succeed("review", "staff", "store-1", "ben", "--forget")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("list", "--state", "closed"), 2, "use open, released, refused, all"),
        (("show", "0190a000-0000-7000-8000-000000000001"), 1, "REVIEW_NOT_FOUND"),
        (("staff", "store-1", "ann"), 2, "--member MEMBER"),
        (("staff", "store-1", "--forget"), 2, "STORE CASHIER"),
        (("staff", "store-1", "nobody", "--member", "MEMBER"), 1, "Make the cashier first"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_mend(
    shop: Shell, run: Running, member: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert run.port
    done = shop.run("review", *(member if one == "MEMBER" else one for one in arguments))
    assert said in done.err
    assert done.code in (code, 3)
