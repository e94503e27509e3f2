"""The simulation as one HTML page: no script, no request, readable in light and dark and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tallystick.core.currency import exponent
from tallystick.reports import plots
from tallystick.reports.comparison import Comparison, Group, Projection
from tallystick.reports.history import History

_STYLE = """
:root{color-scheme:light dark;--ink:#1b2430;--soft:#5b6675;--paper:#fff;--rule:#e1e6ec;--new:#2457d6;
--old:#7d8896;--better:#1d8a5f;--worse:#c2503a;--even:#c3cad3;--in:#fff;--on:#1b2430}
@media(prefers-color-scheme:dark){:root{--ink:#e8edf3;--soft:#9aa7b6;--paper:#12171e;--rule:#2a333e;--new:#7aa2ff;
--old:#8593a3;--better:#46b98a;--worse:#e5806b;--even:#4a5563;--in:#0d1116;--on:#e8edf3}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:860px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.15rem;margin:40px 0 8px}
p{margin:4px 0;max-width:66ch}
.soft{color:var(--soft)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding:0 0 6px}
th,td{padding:7px 10px;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{color:var(--soft);font-weight:600}
tbody th{font-weight:400}
.how{display:block;color:var(--soft);font-size:.85rem;white-space:normal;max-width:52ch}
svg{width:100%;min-width:520px;height:auto;display:block;margin:8px 0}
.grid{stroke:var(--rule)}
.tick,.name{fill:var(--soft);font:12px system-ui,sans-serif}
.name{fill:var(--ink)}
.in{fill:var(--in);font:600 12px system-ui,sans-serif}
.in.even{fill:var(--on)}
.line{fill:none;stroke-width:2.5;stroke-linejoin:round}
.line.new{stroke:var(--new)}.line.old{stroke:var(--old)}.line.better{stroke:var(--better)}.line.worse{stroke:var(--worse)}
.dot.new{fill:var(--new)}.dot.old{fill:var(--old)}.dot.better{fill:var(--better)}.dot.worse{fill:var(--worse)}
rect.better{fill:var(--better)}rect.worse{fill:var(--worse)}rect.even{fill:var(--even)}
.key{display:flex;flex-wrap:wrap;gap:4px 18px;color:var(--soft);font-size:.9rem}
.key i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;vertical-align:-1px}
i.new{background:var(--new)}i.old{background:var(--old)}i.better{background:var(--better)}i.worse{background:var(--worse)}
i.even{background:var(--even)}
ul{padding-left:20px;margin:6px 0}
"""


def page(
    history: History,
    currency: str,
    new: Projection,
    old: Projection | None,
    comparison: Comparison | None,
    figures: Sequence[tuple[str, str, str]],
) -> str:
    """Return the page. ``figures`` are the rows of the first table: what, under the new rules, under the old ones."""
    parts = [
        f"<h1>{escape(new.name)}</h1>",
        (
            f'<p class="soft">Simulated on {history.sales:,} sales and {history.returns:,} returns of '
            f"{len(history.members):,} members, {history.lines:,} lines, from {escape(history.source)}.</p>"
        ),
        _figures(figures, old),
        _months(new, old),
    ]
    if comparison is not None:
        parts.append(_winners(comparison, currency))
    parts.append(_notes(history, new))
    return document(f"Simulation: {new.name}", "".join(parts))


def document(title: str, body: str) -> str:
    """Return a whole page around a body."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
    )
    return f"{head}<body><main>{body}</main></body></html>\n"


def money(minor: int, currency: str) -> str:
    """An amount for people: 1,234.50 EUR."""
    digits = exponent(currency)
    sign, size = ("-" if minor < 0 else ""), abs(minor)
    whole, rest = divmod(size, 10**digits)
    return f"{sign}{whole:,}{f'.{rest:0{digits}d}' if digits else ''} {currency}"


def _figures(figures: Sequence[tuple[str, str, str]], old: Projection | None) -> str:
    head = "<th>Figure</th><th>This rule set</th>" + (
        f"<th>{escape(old.name)} (compared)</th>" if old else ""
    )
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(mine)}</td>"
        f"{f'<td>{escape(other)}</td>' if old else ''}</tr>"
        for name, mine, other in figures
    )
    return f"<h2>In all</h2>{table(head, rows)}"


def scrolled(plot: str) -> str:
    """A plot or table that may be wider than the page."""
    return f'<div class="scroll" tabindex="0">{plot}</div>'


def _months(new: Projection, old: Projection | None) -> str:
    labels = [line.month.strftime("%Y-%m") for line in new.months]
    outstanding = [plots.Series("this rule set", [line.outstanding for line in new.months], "new")]
    if old is not None:
        outstanding.insert(0, plots.Series("compared", [line.outstanding for line in old.months], "old"))
    flows = [
        plots.Series("issued", [line.flow.issued - line.flow.taken_back for line in new.months], "new"),
        plots.Series("burned", [line.flow.burned - line.flow.given_back for line in new.months], "better"),
        plots.Series("expired", [line.flow.expired for line in new.months], "worse"),
    ]
    rows = "".join(
        f"<tr><th scope='row'>{label}</th><td>{line.flow.issued - line.flow.taken_back:,}</td>"
        f"<td>{line.flow.burned - line.flow.given_back:,}</td><td>{line.flow.expired:,}</td>"
        f"<td>{line.outstanding:,}</td></tr>"
        for label, line in zip(labels, new.months, strict=True)
    )
    head = "<th>Month</th><th>Issued</th><th>Burned</th><th>Expired</th><th>Outstanding at its end</th>"
    compared = key(("new", "this rule set"), *([("old", "compared")] if old else []))
    return (
        f"<h2>Points outstanding</h2>{compared}{scrolled(plots.lines(labels, outstanding, shown=short))}"
        f"<h2>Points by month</h2>{key(('new', 'issued'), ('better', 'burned'), ('worse', 'expired'))}"
        f"{scrolled(plots.lines(labels, flows, shown=short))}"
        f"{table(head, rows)}"
    )


def _winners(comparison: Comparison, currency: str) -> str:
    groups = [*comparison.segments, *comparison.tiers]
    bars = scrolled(plots.shares([(group.name, group.better, group.even, group.worse) for group in groups]))
    rows = "".join(_group_row(group, currency) for group in groups)
    half = len(comparison.histogram) // 2
    places = [(at - half, count) for at, (_, count) in enumerate(comparison.histogram)]
    histogram = scrolled(
        plots.bars(places, name_of=lambda place: money(place * comparison.bin_minor, currency), shown=short)
    )
    head = "<th>Group</th><th>Members</th><th>Better off</th><th>As before</th><th>Worse off</th><th>Change in all</th>"
    marks = key(("better", "better off"), ("even", "as before"), ("worse", "worse off"))
    step = escape(money(comparison.bin_minor, currency))
    caption = "By what was bought, and by the tier reached under the compared rule set"
    return (
        f"<h2>Who wins, who loses</h2>{marks}{bars}{table(head, rows, caption)}"
        f"<h2>Change for each member</h2><p class='soft'>Members by how much more or less they get, in steps of "
        f"{step}; the outermost bars hold all that lies further out.</p>{histogram}"
    )


def table(head: str, rows: str, caption: str = "") -> str:
    """A table of rows that are HTML already."""
    above = f"<caption>{caption}</caption>" if caption else ""
    return scrolled(f"<table>{above}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")


def _group_row(group: Group, currency: str) -> str:
    return (
        f"<tr><th scope='row'>{escape(group.name)}</th><td>{group.members:,}</td><td>{group.better:,}</td>"
        f"<td>{group.even:,}</td><td>{group.worse:,}</td><td>{escape(money(group.change_minor, currency))}</td></tr>"
    )


def _notes(history: History, new: Projection) -> str:
    notes = [
        "People are taken to buy and to ask for points as they did: a better program may change both.",
        "Points left at the end are counted at their value as a discount, less the share that is expected to expire.",
        *history.notes,
        *(
            f"{count:,} times points or rewards asked for were not given: {why}."
            for why, count in new.dropped.items()
        ),
        *(f"{count:,} sales or returns were not posted: {why}." for why, count in new.refused.items()),
    ]
    return f"<h2>What this rests on</h2><ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>"


def key(*entries: tuple[str, str]) -> str:
    """What the colours of a plot mean: (class, name)."""
    marks = "".join(f'<span><i class="{css}"></i>{escape(name)}</span>' for css, name in entries)
    return f'<p class="key">{marks}</p>'


def short(value: int) -> str:
    """1.2 M for 1,234,567: what fits beside an axis."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(value) >= size:
            return f"{value / size:.1f}".removesuffix(".0") + f" {unit}"
    return str(value)
