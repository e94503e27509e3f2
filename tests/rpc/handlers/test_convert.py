"""Conversions: what goes in comes out, whatever it is."""

from __future__ import annotations

from string import Formatter

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.basket import Assurance, Channel
from tallystick.core.command import ReturnLine, Spend
from tallystick.core.entry import EntryKind, Moves, Refusal, Refused
from tallystick.core.fingerprint import fingerprint
from tallystick.core.ids import NEVER_MS
from tallystick.core.state import MemberStatus
from tallystick.rpc.convert import commands, refusals
from tallystick.rpc.convert.pages import PageTokens, page_size
from tallystick.rpc.convert.postings import postings_of
from tallystick.rpc.convert.refusals import refused_to_pb
from tallystick.rpc.convert.scalars import known_ms_to_pb, ms_from_pb, ms_to_pb
from tallystick.security.identifiers import IdentifierKind
from tallystick.service.directory import Clock, DeviceStatus
from tallystick.service.errors import InvalidInput
from tallystick.service.identity import IdentityReason
from tallystick.v1 import admin_pb2, identity_pb2, ledger_pb2, member_pb2, till_pb2, types_pb2
from tests.rpc.handlers.world import METHODS, basket_of, new_id, origin_of

POINTS = st.integers(-(10**15), 10**15)


@st.composite
def balanced(draw: st.DrawFn) -> Moves:
    """Nine signed numbers that sum to zero, most of them zero, as entries have them."""
    values = [draw(st.one_of(st.just(0), POINTS)) for _ in range(8)]
    where = draw(st.integers(0, 8))
    values.insert(where, -sum(values))
    return Moves(*values)


@given(balanced())
def test_postings_move_exactly_what_the_entry_moved(moves: Moves) -> None:
    sums = [0] * 9
    for debit, credit, points in postings_of(moves):
        assert points > 0
        assert debit != credit
        sums[debit] -= points
        sums[credit] += points
    assert tuple(sums) == tuple(moves)


@pytest.mark.parametrize(
    ("moves", "postings"),
    [
        (Moves(active=19, issued=-19), [("issued", "active", 19)]),
        (Moves(active=-100, burned=100), [("active", "burned", 100)]),
        (
            Moves(active=-90, pending=10, issued=-10, burned=90),
            [("active", "burned", 90), ("issued", "pending", 10)],
        ),
        (Moves(active=5, debt=7, issued=-12), [("issued", "debt", 7), ("issued", "active", 5)]),
        (Moves(active=20, held=-100, burned=80), [("held", "burned", 80), ("held", "active", 20)]),
        (
            Moves(active=-60, burned=100, store_loss=-40),
            [("active", "burned", 60), ("store_loss", "burned", 40)],
        ),
        (Moves(pending=-8, issued=8), [("pending", "issued", 8)]),
        (Moves(), []),
    ],
)
def test_postings_read_as_what_happened(moves: Moves, postings: list[tuple[str, str, int]]) -> None:
    names = Moves._fields
    assert [(names[a], names[b], points) for a, b, points in postings_of(moves)] == postings


@given(st.integers(0, NEVER_MS - 1))
def test_instants_survive_to_the_millisecond(at_ms: int) -> None:
    assert ms_from_pb(ms_to_pb(at_ms)) == at_ms


@pytest.mark.parametrize("at_ms", [0, NEVER_MS, NEVER_MS + 1])
def test_never_and_not_yet_leave_a_field_unset(at_ms: int) -> None:
    assert known_ms_to_pb(at_ms) is None


def test_our_numbers_are_those_of_the_contract() -> None:
    pairs = [
        (EntryKind, ledger_pb2.EntryKind, "ENTRY_KIND_"),
        (Refusal, ledger_pb2.RefusalReason, "REFUSAL_REASON_"),
        (MemberStatus, member_pb2.MemberStatus, "MEMBER_STATUS_"),
        (DeviceStatus, till_pb2.DeviceStatus, "DEVICE_STATUS_"),
        (IdentityReason, identity_pb2.IdentityRefusalReason, "IDENTITY_REFUSAL_REASON_"),
        (Clock, admin_pb2.ProgramClock, "PROGRAM_CLOCK_"),
    ]
    for ours, contract, prefix in pairs:
        theirs = {name.removeprefix(prefix): number for name, number in contract.items() if number}
        assert {one.name: int(one) for one in ours} == theirs
    assert {one.name: int(one) for one in Channel if one} == {
        name.removeprefix("CHANNEL_"): number for name, number in types_pb2.Channel.items() if number
    }
    assert {one.name: int(one) + 1 for one in Assurance} == {
        name.removeprefix("ASSURANCE_"): number for name, number in types_pb2.Assurance.items() if number
    }
    accounts = [name.removeprefix("ACCOUNT_KIND_") for name in ledger_pb2.AccountKind.keys()[1:]]
    assert [name.removeprefix("MEMBER_") for name in accounts] == [name.upper() for name in Moves._fields]
    kinds = {name.removeprefix("IDENTIFIER_KIND_") for name in identity_pb2.IdentifierKind.keys()[1:]}
    assert kinds == {kind.name for kind in IdentifierKind}


@pytest.mark.parametrize("reason", list(Refusal))
def test_every_refusal_has_a_sentence_that_uses_its_details(reason: Refusal) -> None:
    names = [name for _, name, _, _ in Formatter().parse(refusals._TEXTS[reason]) if name]
    details = tuple((f"{name}_ms" if name in ("earliest", "latest") else name, "17") for name in names)
    told = refused_to_pb(Refused(reason, details))
    assert int(told.reason) == int(reason)
    assert told.message.endswith(".")
    assert "?" not in told.message
    assert set(told.details) == set(names)


def test_a_refusal_without_its_details_is_still_a_sentence() -> None:
    assert "?" in refused_to_pb(Refused(Refusal.INSUFFICIENT_POINTS)).message


SALE = {
    "command_id": "0190B5E0-7C1E-7A52-A4D2-2F9F3C6D1E13",
    "member_id": "0190B5E0-7C1E-7A52-A4D2-2F9F3C6D1E11",
    "basket": {
        "currency_code": "SEK",
        "prices_include_tax": True,
        "tax_groups": [{"code": "A", "rate_ppm": 250_000}],
        "lines": [
            {
                "sku": "A-1",
                "categories": ["coffee", "hot"],
                "brand": "Löfbergs",
                "quantity_milli": 532,
                "amount_minor": 1234,
                "tax_code": "A",
            },
            {"sku": "B-1", "quantity_milli": 1000, "amount_minor": 0},
        ],
    },
    "spend": {"points_max": 100},
    "reward_ids": ["free-coffee"],
    "assurance": "ASSURANCE_DEVICE_CODE",
    "origin": {"channel": "CHANNEL_APP", "reference": "R"},
}


def test_a_sale_is_read_as_it_was_sent() -> None:
    sale = commands.sale_from_pb(ParseDict(SALE, ledger_pb2.PostSaleRequest()))
    assert sale.command_id == SALE["command_id"].lower()  # type: ignore[attr-defined]
    assert sale.spend == Spend(100, up_to=True)
    assert sale.assurance is Assurance.DEVICE_CODE
    assert (sale.origin.occurred_ms, sale.origin.store_id, sale.origin.till_id) == (0, "", "")
    assert sale.basket.lines[0].categories == ("coffee", "hot")
    assert (sale.basket.lines[0].quantity_milli, sale.basket.lines[0].brand) == (532, "Löfbergs")
    assert sale.basket.tax_groups[0].rate_ppm == 250_000


def _changes() -> list[tuple[str, object]]:
    line = {"sku": "A-1", "quantity_milli": 1000, "amount_minor": 1234}
    return [
        ("spend", {"points": 100}),
        ("spend", {"points_max": 101}),
        ("reward_ids", []),
        ("assurance", "ASSURANCE_TYPED"),
        ("origin", {"channel": "CHANNEL_APP", "reference": "S"}),
        ("origin", {"channel": "CHANNEL_STORE", "reference": "R"}),
        ("origin", {"channel": "CHANNEL_APP", "reference": "R", "occurred_at": "2026-03-01T12:00:00Z"}),
        ("basket", {"currency_code": "SEK", "prices_include_tax": True, "lines": [line]}),
        ("member_id", "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e12"),
    ]


@pytest.mark.parametrize(("field", "value"), _changes())
def test_whatever_changes_in_a_request_changes_its_fingerprint(field: str, value: object) -> None:
    first = commands.sale_from_pb(ParseDict(SALE, ledger_pb2.PostSaleRequest()))
    other = commands.sale_from_pb(ParseDict({**SALE, field: value}, ledger_pb2.PostSaleRequest()))
    assert fingerprint(first) != fingerprint(other)


def test_lower_and_upper_case_ids_have_one_fingerprint() -> None:
    lower = {**SALE, "member_id": str(SALE["member_id"]).lower()}
    first = commands.sale_from_pb(ParseDict(SALE, ledger_pb2.PostSaleRequest()))
    assert fingerprint(first) == fingerprint(
        commands.sale_from_pb(ParseDict(lower, ledger_pb2.PostSaleRequest()))
    )


def test_return_lines_are_by_quantity_or_by_amount() -> None:
    body = {
        "command_id": new_id(),
        "member_id": new_id(),
        "sale_id": new_id(),
        "lines": [{"line_no": 1, "quantity_milli": 5}, {"line_no": 2, "amount_minor": 7}],
        "origin": origin_of(),
    }
    command = commands.return_from_pb(ParseDict(body, ledger_pb2.PostReturnRequest()))
    assert command.lines == (ReturnLine(1, quantity_milli=5), ReturnLine(2, amount_minor=7))  # type: ignore[arg-type]


def test_a_hold_without_a_basket_has_none() -> None:
    body = {
        "command_id": new_id(),
        "member_id": new_id(),
        "spend": {"points": 5},
        "ttl_s": 60,
        "assurance": "ASSURANCE_TYPED",
        "origin": origin_of(),
    }
    bare = commands.hold_from_pb(ParseDict(body, ledger_pb2.HoldRequest()))
    full = commands.hold_from_pb(ParseDict({**body, "basket": basket_of(5)}, ledger_pb2.HoldRequest()))
    assert bare.basket is None
    assert full.basket is not None
    assert bare.spend == Spend(5)


SCOPE = ("ListEntries", "shop", "m")
MARKS = st.lists(
    st.one_of(st.integers(-(2**63), 2**63), st.text(alphabet="0123456789abcdef-", max_size=36)), max_size=3
)


@given(MARKS)
def test_page_tokens_come_back_as_they_were_made(marks: list[int | str]) -> None:
    tokens = PageTokens(lambda: bytes(range(32)))
    assert tokens.read(SCOPE, tokens.make(SCOPE, marks)) == tuple(marks)


@given(st.text(max_size=600))
def test_a_text_that_is_no_page_token_is_refused(text: str) -> None:
    tokens = PageTokens(lambda: bytes(range(32)))
    if text:
        with pytest.raises(InvalidInput):
            tokens.read(SCOPE, text)
    else:
        assert tokens.read(SCOPE, text) == ()


@given(st.integers(0, 60), st.integers(1, 255))
def test_a_page_token_with_one_changed_byte_is_refused(at: int, change: int) -> None:
    from tallystick.security.encoding import base64url_decode, base64url_encode

    tokens = PageTokens(lambda: bytes(range(32)))
    raw = bytearray(base64url_decode(tokens.make(SCOPE, [17])))
    raw[at % len(raw)] ^= change
    with pytest.raises(InvalidInput):
        tokens.read(SCOPE, base64url_encode(bytes(raw)))


def test_a_page_token_of_another_key_or_scope_is_refused() -> None:
    token = PageTokens(lambda: bytes(range(32))).make(SCOPE, [17])
    with pytest.raises(InvalidInput):
        PageTokens(lambda: bytes(32)).read(SCOPE, token)
    with pytest.raises(InvalidInput):
        PageTokens(lambda: bytes(range(32))).read((*SCOPE[:2], "n"), token)


@pytest.mark.parametrize(("asked", "given_size"), [(0, 100), (1, 1), (1000, 1000), (5000, 1000)])
def test_a_page_has_a_hundred_rows_by_default_and_a_thousand_at_most(asked: int, given_size: int) -> None:
    assert page_size(asked) == given_size


def test_every_method_of_the_contract_is_known_to_these_tests() -> None:
    assert len(METHODS) == 15 + 5 + 7 + 5 + 7 + 12 + 5 + 11 + 8 + 5 + 3 + 5 + 4 + 13 + 4 + 8 + 10
