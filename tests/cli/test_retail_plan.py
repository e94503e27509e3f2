"""From rows to commands: what is planned follows from the file alone, and no row is lost or counted twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tallystick.cli.retail.plan import (
    LINES_PER_SALE_MAX,
    Plan,
    PlannedReturn,
    PlannedSale,
    make_plan,
    member_id_of,
)
from tallystick.cli.retail.post import Tally
from tallystick.cli.retail.rows import FileKind, Rejection, Row, read_rows
from tallystick.cli.retail.summary import count_rows
from tallystick.core.ids import CommandId, Ms
from tests.cli.retail_files import invoices_file


def row(
    index: int,
    invoice: str,
    *,
    quantity: int = 1,
    amount: int = 100,
    sku: str = "A",
    at: int = 0,
    who: str = "17850",
    fault: Rejection | None = None,
) -> Row:
    return Row(index, invoice, sku, quantity, amount, Ms(at or index), who, invoice.startswith("C"), fault)


def lines(*rows: Row) -> Plan:
    return make_plan(FileKind.LINES, rows)


def invoices(*rows: Row) -> Plan:
    return make_plan(FileKind.INVOICES, rows)


def returns(plan: Plan) -> list[PlannedReturn]:
    return [step for step in plan.steps if isinstance(step, PlannedReturn)]


def sales(plan: Plan) -> list[PlannedSale]:
    return [step for step in plan.steps if isinstance(step, PlannedSale)]


def test_consecutive_rows_of_an_invoice_are_one_basket_and_the_same_article_twice_stays_two_lines() -> None:
    (sale,) = sales(lines(row(0, "1", sku="A"), row(1, "1", sku="A"), row(2, "1", sku="B")))
    assert [line.sku for line in sale.lines] == ["A", "A", "B"]


def test_a_line_without_a_price_stays_when_the_invoice_has_value_and_is_rejected_when_it_has_none() -> None:
    plan = lines(row(0, "1", amount=0), row(1, "1"), row(2, "2", amount=0))
    assert [line.amount_minor for line in sales(plan)[0].lines] == [0, 100]
    assert plan.rejected == {2: Rejection.NO_VALUE}


def test_a_long_invoice_becomes_several_sales_with_ids_of_their_own() -> None:
    plan = lines(*(row(index, "1") for index in range(LINES_PER_SALE_MAX + 1)))
    assert [len(sale.lines) for sale in sales(plan)] == [LINES_PER_SALE_MAX, 1]
    assert len({sale.command_id for sale in sales(plan)}) == 2


def test_each_fifth_sale_of_a_member_pays_with_points() -> None:
    plan = lines(*(row(index, str(index)) for index in range(10)), row(10, "x", who="other"))
    assert [sale.burns for sale in sales(plan)] == [*([False] * 4 + [True]) * 2, False]


def test_goods_come_back_from_the_latest_sale_first_and_then_from_the_one_before() -> None:
    plan = lines(
        row(0, "1", quantity=2),
        row(1, "2", quantity=3),
        row(2, "2", quantity=1, sku="B"),
        row(3, "C3", quantity=4),
    )
    first, second = sales(plan)
    back = {one.sale_id: one.lines for one in returns(plan)}
    assert back == {second.command_id: ((1, 3000),), first.command_id: ((1, 1000),)}
    assert plan.rejected == {}


def test_an_invoice_as_a_whole_comes_back_by_its_amount() -> None:
    plan = invoices(row(0, "1", amount=500, sku="INVOICE"), row(1, "C1", amount=200, sku="INVOICE"))
    assert returns(plan)[0].lines == ((1, 200),)


def test_what_was_never_sold_cannot_come_back() -> None:
    plan = lines(row(0, "1", quantity=2), row(1, "C1", quantity=5), row(2, "C2"), row(3, "C3", who="other"))
    assert returns(plan)[0].lines == ((1, 2000),)
    assert plan.partial == {1}
    assert plan.rejected == {2: Rejection.RETURN_WITHOUT_SALE, 3: Rejection.RETURN_WITHOUT_SALE}


def test_a_return_that_the_file_lists_late_is_matched_in_the_order_of_time() -> None:
    plan = invoices(row(0, "1", at=10), row(1, "2", at=30), row(2, "C1", at=20))
    assert returns(plan)[0].sale_id == sales(plan)[0].command_id
    assert [step.at_ms for step in plan.steps] == [10, 20, 30]


def test_the_same_file_makes_the_same_commands_and_another_kind_makes_others() -> None:
    rows = [row(0, "1"), row(1, "C1")]
    again = make_plan(FileKind.LINES, rows)
    assert again.steps == lines(*rows).steps
    assert {step.command_id for step in again.steps}.isdisjoint(
        step.command_id for step in invoices(*rows).steps
    )
    assert member_id_of("17850") == lines(*rows).steps[0].member_id


def test_a_number_that_comes_back_later_in_the_file_makes_a_sale_with_another_id() -> None:
    plan = lines(row(0, "1"), row(1, "2"), row(2, "1"))
    assert len({sale.command_id for sale in sales(plan)}) == 3


ROWS = st.lists(
    st.builds(
        lambda invoice, quantity, amount, sku, at, who, fault: (
            invoice,
            quantity,
            amount,
            sku,
            at,
            who,
            fault,
        ),
        st.sampled_from(["1", "2", "3", "C1", "C2", "C3"]),
        st.integers(1, 5),
        st.sampled_from([0, 100, 250]),
        st.sampled_from(["A", "B"]),
        st.integers(1, 9),
        st.sampled_from(["17850", "13047"]),
        st.sampled_from([None, None, None, Rejection.NO_MEMBER]),
    ),
    max_size=40,
)


@given(ROWS, st.sampled_from(FileKind))
def test_every_row_is_accounted_for_exactly_once_and_never_more_comes_back_than_was_sold(
    cells: list[tuple[str, int, int, str, int, str, Rejection | None]], kind: FileKind
) -> None:
    rows = [
        row(index, invoice, quantity=quantity, amount=amount, sku=sku, at=at, who=who, fault=fault)
        for index, (invoice, quantity, amount, sku, at, who, fault) in enumerate(cells)
    ]
    plan = make_plan(kind, rows)
    planned = {index for step in plan.steps for index in step.rows}
    assert planned | plan.rejected.keys() == set(range(len(rows)))
    assert planned.isdisjoint(plan.rejected)
    assert len({step.command_id for step in plan.steps}) == len(plan.steps)
    sold = {
        (sale.command_id, number): line.quantity * 1000 if kind is FileKind.LINES else line.amount_minor
        for sale in sales(plan)
        for number, line in enumerate(sale.lines, 1)
    }
    back: Counter[tuple[CommandId, int]] = Counter()
    for one in returns(plan):
        back.update({(one.sale_id, number): measure for number, measure in one.lines})
    assert all(measure <= sold[place] for place, measure in back.items())
    tally = Tally(posted_rows=planned)
    assert count_rows(plan, tally).add_up


def test_a_made_up_year_has_some_of_everything(tmp_path: Path) -> None:
    kind, rows = read_rows(invoices_file(tmp_path / "sales.csv"))
    plan = make_plan(kind, rows)
    assert len(sales(plan)) > 200
    assert len(returns(plan)) > 20
    assert plan.partial
    assert set(plan.rejected.values()) == {
        Rejection.NO_MEMBER,
        Rejection.STOCK_CORRECTION,
        Rejection.NEGATIVE_PRICE,
        Rejection.NO_VALUE,
        Rejection.UNREADABLE,
        Rejection.RETURN_WITHOUT_SALE,
    }


def test_a_row_whose_command_was_refused_is_rejected_with_the_servers_reason() -> None:
    plan = lines(row(0, "1"), row(1, "2"), row(2, "C1"))
    counted = count_rows(plan, Tally(posted_rows={0}, refused_rows={1: "MEMBER_BLOCKED", 2: "SALE_UNKNOWN"}))
    assert counted.rejected == {"REFUSED_MEMBER_BLOCKED": 1, "REFUSED_SALE_UNKNOWN": 1}
    assert counted.add_up
    assert not count_rows(plan, Tally(posted_rows={0})).add_up
