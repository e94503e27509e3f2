"""AdminService: programs, rule sets, the nightly work, totals."""

from __future__ import annotations

import hashlib

import pytest

from tallystick import __version__
from tallystick.v1 import admin_pb2 as pb
from tallystick.v1 import ledger_pb2
from tests.rpc.handlers.world import (
    ADMIN,
    DAY_MS,
    IMPORTER,
    MANAGER,
    OTHER,
    RULES,
    SHOP,
    START_MS,
    Caller,
    World,
    iso,
    message_of,
    new_id,
)

admin = Caller(ADMIN, store_id="")


def create(program_id: str, name: str = "New", clock: str = "PROGRAM_CLOCK_LIVE") -> pb.CreateProgramRequest:
    body = {"program_id": program_id, "display_name": name, "clock": clock}
    request = message_of("CreateProgram", body)
    assert isinstance(request, pb.CreateProgramRequest)
    return request


def publish(text: str, request_id: str = "") -> pb.PublishRuleSetRequest:
    return pb.PublishRuleSetRequest(request_id=request_id or new_id(), text=text)


def expire(**body: object) -> pb.ExpirePointsRequest:
    request = message_of("ExpirePoints", body)
    assert isinstance(request, pb.ExpirePointsRequest)
    return request


def totals(world: World) -> dict[str, int]:
    accounts = world.send(pb.GetTotalsRequest(), admin).accounts
    return {
        ledger_pb2.AccountKind.Name(one.kind).removeprefix("ACCOUNT_KIND_"): one.points for one in accounts
    }


def test_a_program_is_made_once_and_made_again_with_the_same_content(world: World) -> None:
    first = world.send(create("bas-silver-guld"), admin).program
    world.now_ms += DAY_MS
    assert world.send(create("bas-silver-guld"), admin).program == first
    assert (first.rule_set_version, first.clock) == (0, pb.PROGRAM_CLOCK_LIVE)


@pytest.mark.parametrize(
    ("name", "clock"), [("Other", "PROGRAM_CLOCK_LIVE"), ("New", "PROGRAM_CLOCK_REPLAY")]
)
def test_a_program_id_that_is_taken_with_other_content_is_an_error(
    world: World, name: str, clock: str
) -> None:
    world.send(create("bas"), admin)
    refused = world.refused(create("bas", name, clock), admin)
    assert (refused.reason, refused.metadata) == ("PROGRAM_EXISTS", {"program_id": "bas"})


def test_a_caller_sees_its_own_program_and_no_other(world: World) -> None:
    own = world.send(pb.GetProgramRequest()).program
    assert (own.program_id, own.rule_set_version) == (SHOP, 1)
    assert world.send(pb.GetProgramRequest(program_id=SHOP)).program == own
    for program_id in (OTHER, "nothing"):
        refused = world.refused(pb.GetProgramRequest(program_id=program_id), admin)
        assert refused.reason == "PROGRAM_NOT_FOUND"
    assert [one.program_id for one in world.send(pb.ListProgramsRequest(), admin).programs] == [SHOP]
    assert world.refused(pb.ListProgramsRequest(page_token="x"), admin).reason == "PAGE_TOKEN_INVALID"


def test_a_published_rule_set_judges_the_next_sale(world: World) -> None:
    member = world.enrol()
    assert world.sell(member, 10_000).posted.benefits.earned_points == 100
    double = RULES.replace("points: 1, per_minor: 100", "points: 2, per_minor: 100")
    assert double != RULES
    published = world.send(publish(double), admin)
    assert published.version == 2
    assert published.hash == hashlib.sha256(double.encode()).hexdigest()
    posted = world.sell(member, 10_000).posted
    assert (posted.benefits.earned_points, posted.entry.rule_set_version) == (200, 2)


def test_publishing_twice_with_one_request_id_publishes_once(world: World) -> None:
    request = publish(RULES + "# once\n")
    first = world.send(request, admin)
    assert world.send(request, admin) == first
    request.request_id = request.request_id.upper()
    assert world.send(request, admin) == first
    assert world.send(pb.GetProgramRequest()).program.rule_set_version == first.version
    request.text += "# twice\n"
    refused = world.refused(request, admin)
    assert (refused.reason, refused.metadata["field"]) == ("REQUEST_ID_REUSED", "request_id")


def test_the_same_text_with_another_request_id_is_another_version(world: World) -> None:
    assert world.send(publish(RULES), admin).version == 2
    assert world.send(publish(RULES), admin).version == 3


def test_a_rule_set_is_read_back_byte_for_byte(world: World) -> None:
    text = RULES + "# åäö\n"
    world.send(publish(text), admin)
    current = world.send(pb.GetRuleSetRequest()).rule_set
    assert (current.version, current.text, current.published_by) == (2, text, admin.device_id)
    assert world.send(pb.GetRuleSetRequest(version=1)).rule_set.text == RULES
    refused = world.refused(pb.GetRuleSetRequest(version=7))
    assert (refused.reason, refused.metadata) == ("RULE_SET_NOT_FOUND", {"version": "7"})


def test_a_program_without_rules_has_no_rule_set_to_read(world: World) -> None:
    world.send(create("bare"), admin)
    bare = Caller(ADMIN, program_id="bare", store_id="")
    assert world.refused(pb.GetRuleSetRequest(), bare).reason == "RULE_SET_NOT_FOUND"
    assert not world.send(pb.ListRuleSetsRequest(), bare).rule_sets


def test_rule_sets_are_listed_newest_first_without_their_texts(world: World) -> None:
    for number in range(4):
        world.publish(RULES + f"# {number}\n")
    versions, token, pages = [], "", 0
    while pages == 0 or token:
        page = world.send(pb.ListRuleSetsRequest(page_size=2, page_token=token), Caller(MANAGER))
        versions += [one.version for one in page.rule_sets]
        assert not any(one.text for one in page.rule_sets)
        token, pages = page.next_page_token, pages + 1
    assert (versions, pages) == ([5, 4, 3, 2, 1], 3)


def test_a_rule_set_with_findings_is_not_published_and_says_where(world: World) -> None:
    wrong = RULES.replace("currency: EUR", "currency: euro").replace("from: 50000", "from: -1")
    findings = world.send(pb.ValidateRuleSetRequest(text=wrong), admin).findings
    places = {(one.line, one.path) for one in findings}
    assert (3, "currency") in places
    assert any(line == 14 and path.startswith("tiers.levels[1]") for line, path in places)
    refused = world.refused(publish(wrong), admin)
    assert refused.reason == "RULE_SET_INVALID"
    assert int(refused.metadata["findings"]) == len(findings)
    assert refused.metadata["first"].startswith("line 3, column ")
    assert world.send(pb.GetProgramRequest()).program.rule_set_version == 1


def test_a_good_text_has_no_findings_and_is_not_stored(world: World) -> None:
    assert not world.send(pb.ValidateRuleSetRequest(text=RULES), Caller(MANAGER)).findings
    assert world.send(pb.GetProgramRequest()).program.rule_set_version == 1


def test_the_nightly_work_expires_each_lot_once_in_pages(world: World) -> None:
    members = [world.enrol() for _ in range(5)]
    for member in members:
        world.sell(member, 10_000)
    fresh = world.enrol()
    world.now_ms += 366 * DAY_MS
    world.sell(fresh, 10_000)
    entries = pages = worked_on = 0
    token = ""
    while pages == 0 or token:
        page = world.send(expire(page_size=2, page_token=token), admin)
        entries, worked_on = entries + page.entries, worked_on + page.members
        token, pages = page.next_page_token, pages + 1
    assert (entries, worked_on, pages) == (5, 5, 3)
    assert totals(world)["BREAKAGE"] == 500
    again = world.send(expire(), admin)
    assert (again.members, again.entries, again.next_page_token) == (0, 0, "")
    statement = world.send(ledger_pb2.ListEntriesRequest(member_id=members[0])).entries
    assert statement[0].kind == ledger_pb2.ENTRY_KIND_EXPIRE
    assert statement[0].origin.channel == 0


def test_points_do_not_expire_before_their_time(world: World) -> None:
    world.sell(world.enrol(), 10_000)
    refused = world.refused(expire(as_of=iso(START_MS + 1000)), admin)
    assert (refused.reason, refused.metadata["field"]) == ("AS_OF_OUT_OF_RANGE", "as_of")
    assert refused.metadata["latest"] == iso(START_MS)
    assert world.send(expire(as_of=iso(START_MS)), admin).members == 0


def test_an_importer_expires_up_to_any_time_of_a_replay(replay_world: World) -> None:
    world, past_ms = replay_world, START_MS - 4000 * DAY_MS
    importer = Caller(IMPORTER, store_id="")
    member = world.enrol(caller=importer, at_ms=past_ms)
    world.sell(member, 10_000, importer, at_ms=past_ms)
    early = world.send(expire(as_of=iso(past_ms + 300 * DAY_MS)), importer)
    late = world.send(expire(as_of=iso(past_ms + 400 * DAY_MS)), importer)
    assert (early.entries, late.entries) == (0, 1)
    assert world.balance(member).active == 0
    ahead = expire(as_of=iso(START_MS + 400 * DAY_MS))
    assert world.send(ahead, importer).entries == 0


def test_a_page_of_the_nightly_work_goes_on_with_its_own_time_only(world: World) -> None:
    for _ in range(2):
        world.sell(world.enrol(), 10_000)
    world.now_ms += 366 * DAY_MS
    first_ms = world.now_ms
    token = world.send(expire(page_size=1), admin).next_page_token
    world.now_ms += 1000
    other = world.refused(expire(page_size=1, page_token=token, as_of=iso(world.now_ms)), admin)
    assert other.reason == "PAGE_TOKEN_INVALID"
    assert world.send(expire(page_size=1, page_token=token, as_of=iso(first_ms)), admin).entries == 1


def test_the_totals_of_all_accounts_sum_to_zero(world: World) -> None:
    member = world.enrol()
    world.sell(member, 60_000)
    world.sell(member, 10_000, spend={"points": 250})
    world.sell(world.enrol(caller=Caller(program_id=OTHER)), 5000, Caller(program_id=OTHER))
    sums = totals(world)
    assert len(sums) == 9
    assert sum(sums.values()) == 0
    assert sums["ISSUED"] == -(600 + 97)
    assert sums["BURNED"] == 250
    assert sums["MEMBER_ACTIVE"] == world.balance(member).active == 447


def test_the_server_says_what_it_is(world: World) -> None:
    info = world.send(pb.GetServerInfoRequest())
    assert (info.version, info.program_id, info.database) == (__version__, SHOP, "memory")
    assert info.server_time.ToMilliseconds() == START_MS
