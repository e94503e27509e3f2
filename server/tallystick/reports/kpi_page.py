"""Key figures of a period: as rows for people, as JSON, and as one HTML page like that of a simulation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from html import escape
from typing import Any

from tallystick.core.currency import exponent
from tallystick.reports import plots
from tallystick.reports.page import document, key, money, scrolled, short, table
from tallystick.service.insight import Campaign, Kpis, Month
from tallystick.service.lift import in_words

CAMPAIGNS_SHOWN = 50


def figures(found: Kpis, total_minor: int) -> list[tuple[str, str, str]]:
    """Return the rows of figures: name, value, how it is worked out."""

    def amount(minor: int | None) -> str:
        return "not known" if minor is None else money(minor, found.currency)

    lift = found.incremental
    rows = [
        ("members", f"{found.members:,}", "who had joined by the end"),
        ("buyers", f"{found.buyers:,}", "members with a sale in the period"),
        ("sales", f"{found.sales:,}", "sales to members, without those undone or brought back whole"),
        ("revenue of members", amount(found.revenue_minor), "paid for goods, less what came back until now"),
        ("average sale", amount(found.average_sale_minor), "revenue by sales"),
        ("sales by buyer", f"{found.sales_per_buyer_milli / 1000:.2f}", "sales by buyers"),
        ("repeat rate", percent(found.repeat_ppm), "buyers with more than one sale, of all buyers"),
        (
            "retention",
            percent(found.retention_ppm),
            f"bought again, of the {found.buyers_before:,} buyers of as many days before",
        ),
        (
            "lifetime value",
            amount(found.lifetime_value_minor),
            "revenue by buyer and year, by the share of buyers lost in a year; costs of goods are not in it",
        ),
        (
            "members' share of sales",
            percent(found.member_share_ppm(total_minor)),
            "revenue of members, of all sales" if total_minor else "name all sales with --total-sales",
        ),
        ("points issued", f"{found.issued:,}", "less what returns took back"),
        ("points burned", f"{found.burned:,}", "less what returns gave back"),
        ("points expired", f"{found.expired:,}", "unspent"),
        ("redemption rate", percent(found.redemption_ppm), "burned by issued"),
        ("breakage seen", percent(found.breakage_ppm), "expired, of the points that came to an end"),
        ("breakage expected", percent(found.expected_breakage_ppm), "the same since the beginning"),
        ("points outstanding", f"{found.outstanding:,}", "at the end of the period, less what members owe"),
        (
            "liability",
            amount(found.liability_minor),
            "what they take off baskets, less expected breakage",
        ),
    ]
    if lift is None:
        reached, out = found.reached.members, found.held_out.members
        why = "set holdout_percent in the rule set"
        if reached or out:
            why = f"{in_words(lift)}: {out:,} in the holdout, {reached:,} whom offers reach"
        rows.append(("incremental sales", "not known", why))
    else:
        low, high = amount(lift.low_minor), amount(lift.high_minor)
        rows += [
            (
                "more bought by member",
                f"{amount(lift.difference_minor)} ({low} to {high})",
                f"than by the {found.held_out.members:,} members of the holdout, 95 % interval: {in_words(lift)}",
            ),
            (
                "incremental sales",
                amount(found.incremental_sales_minor),
                f"that, for all {found.reached.members:,} members whom offers reach",
            ),
        ]
    return rows


def percent(ppm: int | None) -> str:
    """A share for people."""
    return "not known" if ppm is None else f"{ppm / 10_000:.1f} %"


def campaign_rows(campaigns: Sequence[Campaign]) -> list[dict[str, str | int]]:
    """Return what campaigns have given, as records."""
    return [
        {
            "campaign": one.campaign_id,
            "kind": one.kind,
            "times": one.sales,
            "points": one.points,
            "discount_minor": one.discount_minor,
            "cost_minor": one.cost_minor,
        }
        for one in campaigns
    ]


def as_json(found: Kpis, total_minor: int) -> dict[str, Any]:
    """Return the figures as one document; shares in millionths."""
    lift = found.incremental
    return {
        "from": found.period.first.isoformat(),
        "to": found.period.last.isoformat(),
        "currency": found.currency,
        "members": found.members,
        "buyers": found.buyers,
        "sales": found.sales,
        "revenue_minor": found.revenue_minor,
        "average_sale_minor": found.average_sale_minor,
        "sales_per_buyer_milli": found.sales_per_buyer_milli,
        "repeat_ppm": found.repeat_ppm,
        "retention_ppm": found.retention_ppm,
        "lifetime_value_minor": found.lifetime_value_minor,
        "member_share_ppm": found.member_share_ppm(total_minor),
        "issued": found.issued,
        "burned": found.burned,
        "expired": found.expired,
        "redemption_ppm": found.redemption_ppm,
        "breakage_ppm": found.breakage_ppm,
        "expected_breakage_ppm": found.expected_breakage_ppm,
        "outstanding": found.outstanding,
        "liability_minor": found.liability_minor,
        "incremental": None
        if lift is None
        else {
            "difference_minor": lift.difference_minor,
            "low_minor": lift.low_minor,
            "high_minor": lift.high_minor,
            "finding": lift.finding.name.lower(),
            "members_missing": lift.members_missing,
            "sales_minor": found.incremental_sales_minor,
        },
        "campaigns": campaign_rows(found.campaigns),
        "months": [
            {
                "month": f"{month:%Y-%m}",
                "sales": one.sales,
                "revenue_minor": one.revenue_minor,
                "issued": one.issued,
                "burned": one.burned,
                "expired": one.expired,
            }
            for month, one in found.months.items()
        ],
    }


def page(name: str, found: Kpis, total_minor: int) -> str:
    """Return the page."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(what)}<span class='how'>{escape(how)}</span></th><td>{escape(value)}</td></tr>"
        for what, value, how in figures(found, total_minor)
    )
    body = (
        f"<h1>{escape(name)}</h1>"
        f'<p class="soft">Key figures from {found.period.first} to {found.period.last}.</p>'
        f"<h2>In all</h2>{table('<th>Figure</th><th>Value</th>', rows)}"
        f"{_months(found.months, found.currency)}{_campaigns(found)}"
    )
    return document(f"{name}: key figures", body)


def _months(months: dict[date, Month], currency: str) -> str:
    if not months:
        return "<p>Nothing was sold in the period.</p>"
    labels = [f"{month:%Y-%m}" for month in months]
    revenue = [plots.Series("revenue", [one.revenue_minor for one in months.values()], "new")]
    points = [
        plots.Series("issued", [one.issued for one in months.values()], "new"),
        plots.Series("burned", [one.burned for one in months.values()], "better"),
        plots.Series("expired", [one.expired for one in months.values()], "worse"),
    ]
    rows = "".join(
        f"<tr><th scope='row'>{label}</th><td>{one.sales:,}</td><td>{escape(money(one.revenue_minor, currency))}</td>"
        f"<td>{one.issued:,}</td><td>{one.burned:,}</td><td>{one.expired:,}</td></tr>"
        for label, one in zip(labels, months.values(), strict=True)
    )
    head = "<th>Month</th><th>Sales</th><th>Revenue</th><th>Issued</th><th>Burned</th><th>Expired</th>"
    sold = scrolled(
        plots.lines(labels, revenue, shown=lambda minor: short(minor // 10 ** exponent(currency)))
    )
    moved = scrolled(plots.lines(labels, points, shown=short))
    legend = key(("new", "issued"), ("better", "burned"), ("worse", "expired"))
    return f"<h2>Revenue of members, {escape(currency)}</h2>{sold}<h2>Points</h2>{legend}{moved}{table(head, rows)}"


def _campaigns(found: Kpis) -> str:
    if not found.campaigns:
        return ""
    rows = "".join(
        f"<tr><th scope='row'>{escape(one.campaign_id)}</th><td>{one.kind}</td><td>{one.sales:,}</td>"
        f"<td>{one.points:,}</td><td>{escape(money(one.discount_minor, found.currency))}</td>"
        f"<td>{escape(money(one.cost_minor, found.currency))}</td></tr>"
        for one in found.campaigns[:CAMPAIGNS_SHOWN]
    )
    head = "<th>Campaign</th><th>Kind</th><th>Times</th><th>Points</th><th>Taken off</th><th>Cost</th>"
    caption = "Before anything came back; a reward was paid for in points, which cost when they were given"
    return f"<h2>What campaigns cost</h2>{table(head, rows, caption)}"
