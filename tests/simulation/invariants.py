"""What must hold when a simulated life has healed; every breach is a sentence."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tallystick.core.advice import CLOCK_SLACK_MS, TillStatus, VerdictKind
from tallystick.core.entry import Entry, EntryKind
from tallystick.core.ids import CommandId, MemberId
from tallystick.core.state import Hold, HoldKind, HoldStatus
from tallystick.service.ports import InboxItem, InboxState
from tallystick.storage.verify import verify
from tallystick.wire.advices import Unreadable, id_text, parse_advice
from tests.simulation.clockwork import DAY_MS
from tests.simulation.server import CLUB
from tests.simulation.simulation import Simulation
from tests.simulation.town import RULES, STORES

GRACE_MS = 7 * DAY_MS
"""How long after its end a lease still stands, by the rules of a simulation."""

RIGHTS = {"by_lease": "lease", "by_voucher": "voucher", "by_floor": "floor"}


def breaches(simulation: Simulation) -> list[str]:
    """Return everything that does not hold; empty when all is well."""
    books = _Books(simulation)
    return [
        *simulation.witness.wrong,
        *_books_balance(simulation),
        *_nothing_lost(simulation, books),
        *_reports_arrive(simulation, books),
        *_nothing_twice(books),
        *_nobody_pays_for_nothing(simulation, books),
        *_time_is_the_gateways(simulation, books),
        *_leases_hold(books),
        *_hubs_agree(simulation, books),
        *_members_are_safe(books),
        *_promises_kept(simulation, books),
        *_losses_within_caps(simulation, books),
        *_copies_are_noticed(simulation, books),
        *_everybody_agrees(simulation, books),
        *_queues_are_empty(simulation, books),
    ]


class _Books:
    """The ledger and the inbox as they are at the end."""

    def __init__(self, simulation: Simulation) -> None:
        store = simulation.server.store
        self.members = [member.member_id for member in store.members(CLUB, after="", limit=10_000)]
        self.entries: dict[MemberId, list[Entry]] = {
            member: [entry for entry, _ in store.read_entries(CLUB, member, before_seq=None, limit=100_000)]
            for member in self.members
        }
        self.recorded_ms: dict[str, int] = {
            entry.command_id: recorded_ms
            for member in self.members
            for entry, recorded_ms in store.read_entries(CLUB, member, before_seq=None, limit=100_000)
        }
        with store.snapshot(CLUB) as snapshot:
            self.holds = {hold.hold_id: hold for _, hold in snapshot.holds()}
        self.by_id: dict[str, list[Entry]] = defaultdict(list)
        for entries in self.entries.values():
            for entry in entries:
                self.by_id[entry.command_id].append(entry)
        self.inbox: dict[str, list[InboxItem]] = defaultdict(list)
        for state in InboxState:
            for item in store.read_inbox(CLUB, store_id="", state=state, before=None, limit=100_000):
                self.inbox[_advice_id(item)].append(item)

    def shortfall(self, store_id: str) -> int:
        """Return what a store has paid for."""
        return -sum(
            entry.moves.store_loss
            for entries in self.entries.values()
            for entry in entries
            if entry.origin.store_id == store_id
        )


def _advice_id(item: InboxItem) -> str:
    try:
        return id_text(parse_advice(item.raw).advice_id)
    except Unreadable:
        return f"unreadable {item.item_id}"


def _books_balance(simulation: Simulation) -> Iterator[str]:
    """P1: the ledger sums to zero, nothing is negative, every hash fits."""
    report = verify(simulation.server.store, CLUB)
    if not report.ok:
        yield f"the books do not verify: {report.first}"


def _nothing_lost(simulation: Simulation, books: _Books) -> Iterator[str]:
    """Whatever a cashier was shown as done is in the ledger, or lies where a person sees it."""
    for sale in simulation.sales:
        found = books.by_id.get(sale.sale_id)
        if found:
            if found[0].moves.burned != sale.burned and sale.honest:
                yield f"sale {sale.sale_id} burned {sale.burned} at the till and {found[0].moves.burned} in the books"
            asked = found[0].claimed_points == -1
            if -found[0].moves.issued != sale.earned and sale.honest and not asked:
                yield f"sale {sale.sale_id} earned {sale.earned} at the till and {-found[0].moves.issued} in the books"
            continue
        items = books.inbox.get(sale.sale_id, [])
        if sale.honest:
            yield f"sale {sale.sale_id} of an honest till is not in the books ({[i.verdict for i in items]})"
        elif not items and not _was_overwritten(simulation, sale.machine.till_id):
            yield f"sale {sale.sale_id} is gone"


def _reports_arrive(simulation: Simulation, books: _Books) -> Iterator[str]:
    """What an honest till took back or undid is in the books or lies open; what is sold when all is well is there."""
    for advice_id, machine in simulation.reported:
        if machine.honest and not books.by_id.get(advice_id) and not books.inbox.get(advice_id):
            yield f"report {advice_id} of till {machine.till_id[-2:]} is gone"
    for sale_id, machine in simulation.proved:
        if not books.by_id.get(sale_id):
            yield f"till {machine.till_id[-2:]} sells, and what it sells reaches the books no more"


def _was_overwritten(simulation: Simulation, till_id: str) -> bool:
    """A disk that was replaced by its backup took with it what was not uploaded; a stolen till uploads nothing."""
    return simulation.did["restore"] > 0 or till_id in simulation.stolen


def _nothing_twice(books: _Books) -> Iterator[str]:
    for command_id, entries in books.by_id.items():
        if len(entries) > 1:
            yield f"command {command_id} has {len(entries)} entries"
    for member, entries in books.entries.items():
        for sale in entries:
            back: Counter[int] = Counter()
            for entry in entries:
                if entry.reverses_seq == sale.seq and entry.kind is EntryKind.RETURN:
                    for part in entry.detail.returned:
                        back[part.line_no] += part.quantity_milli
            for line_no, quantity in back.items():
                if quantity > sale.detail.lines[line_no - 1].quantity_milli:
                    yield f"member {member}: more of line {line_no} came back than was sold"
            amends = [entry for entry in entries if entry.reverses_seq == sale.seq]
            restored = sum(entry.detail.restored_points for entry in amends)
            due = sum(entry.detail.due_points for entry in amends)
            sold = sale.kind in (EntryKind.SALE, EntryKind.CAPTURE)
            if sold and (restored > sale.moves.burned or due > -sale.moves.issued):
                yield (
                    f"member {member}: of {sale.moves.burned} burned and {-sale.moves.issued} earned points of entry "
                    f"{sale.seq}, {restored} were given back and {due} taken"
                )


def _nobody_pays_for_nothing(simulation: Simulation, books: _Books) -> Iterator[str]:
    """Points that the gateway took in a sale that no till came to know as done were given back."""
    confirmed = {sale.sale_id for sale in simulation.sales}
    tills = {machine.till_id: machine for machine in simulation.machines}
    for entries in books.entries.values():
        undone = {entry.reverses_seq for entry in entries}
        for entry in entries:
            machine = tills.get(entry.origin.till_id)
            asked = entry.kind is EntryKind.SALE and entry.claimed_points == -1
            if not asked or machine is None or not machine.honest or not entry.moves.burned:
                continue
            known = entry.command_id in confirmed or machine.running.sale_done(entry.command_id) is not None
            if not known and entry.seq not in undone:
                yield f"sale {entry.command_id} took {entry.moves.burned} points, and no goods left the shop"


def _time_is_the_gateways(simulation: Simulation, books: _Books) -> Iterator[str]:
    """No entry is of the future, no lease goes back before its grace, and a stolen till tells nothing that counts."""
    for entries in books.entries.values():
        for entry in entries:
            hold = books.holds.get(CommandId(entry.hold_id))
            ran_out = entry.kind is EntryKind.HOLD_RELEASE and hold and hold.kind is not HoldKind.CHECKOUT
            if ran_out and hold and entry.origin.occurred_ms < hold.ends_ms + GRACE_MS:
                yield f"hold {hold.hold_id} was taken back before its grace was over"
            recorded_ms = books.recorded_ms[entry.command_id]
            if entry.origin.occurred_ms > recorded_ms:
                yield f"entry {entry.seq} of {entry.member_id} is of the future"
            told = entry.claimed_points != -1 and not books.inbox.get(entry.command_id)
            if told and recorded_ms > simulation.stolen.get(entry.origin.till_id, recorded_ms):
                yield f"entry {entry.seq} of {entry.member_id} comes from a till that had been stolen"


def _leases_hold(books: _Books) -> Iterator[str]:
    """Burns accepted against a lease or voucher never exceed it, whatever tills say."""
    used: Counter[str] = Counter()
    size: dict[str, int] = {}
    for entries in books.entries.values():
        for entry in entries:
            if entry.kind in (EntryKind.LEASE, EntryKind.VOUCHER):
                size[entry.command_id] = entry.moves.held
            for part in entry.detail.explanations:
                if part.code in ("by_lease", "by_voucher"):
                    used[dict(part.args).get("hold_id", "none")] -= part.points
        for entry in entries:
            of_lease = _burned_of(books, entry.command_id, "by_lease")
            for hold in (*of_lease, *_burned_of(books, entry.command_id, "by_voucher")):
                if hold.store_id != entry.origin.store_id:
                    yield f"store {entry.origin.store_id} burned of hold {hold.hold_id}, which is of {hold.store_id}"
    for hold_id, points in used.items():
        if points > size.get(hold_id, 0):
            yield f"{points} points were burned of hold {hold_id}, which had {size.get(hold_id, 0)}"


def _hubs_agree(simulation: Simulation, books: _Books) -> Iterator[str]:
    """What a hub gave for a sale is what the sale took, and of leases that had not ended or been given back by then."""
    returned_ms = {
        entry.hold_id: books.recorded_ms[entry.command_id]
        for entries in books.entries.values()
        for entry in entries
        if entry.kind is EntryKind.VOID
    }
    for sale in simulation.sales:
        hub = sale.machine.hub_machine or sale.machine
        by_lease = sum(points for kind, points in sale.authority if kind == "lease")
        if not sale.honest or not by_lease:
            continue
        given = hub.db.number("SELECT sum(points) FROM lease_use WHERE advice_id = ?", sale.sale_id)
        if given != by_lease:
            yield f"sale {sale.sale_id} took {by_lease} points of leases, and its store's hub gave {given}"
        for hold in _burned_of(books, sale.sale_id, "by_lease"):
            late_ms = sale.at_ms - hold.ends_ms
            if late_ms > CLOCK_SLACK_MS and not simulation.hostile:
                yield f"sale {sale.sale_id} burned of a lease {late_ms // 1000} seconds after its end"
            told_ms = books.recorded_ms[sale.sale_id]
            if returned_ms.get(hold.hold_id, told_ms) < told_ms:
                yield f"sale {sale.sale_id} burned of a lease that had been given back when it was told of"


def _burned_of(books: _Books, sale_id: str, code: str) -> Iterator[Hold]:
    for entry in books.by_id.get(sale_id, []):
        for part in entry.detail.explanations:
            hold = books.holds.get(CommandId(dict(part.args).get("hold_id", "")))
            if part.code == code and hold is not None:
                yield hold


def _members_are_safe(books: _Books) -> Iterator[str]:
    """Whatever a till says, a sale takes no more of a balance than the floor limit beyond leases and vouchers."""
    cap = RULES["offline"]["floor"]["sale_points"]
    for member, entries in books.entries.items():
        for entry in entries:
            taken = -sum(part.points for part in entry.detail.explanations if part.code == "by_floor")
            if taken > cap:
                yield f"member {member}: entry {entry.seq} took {taken} points of the balance by the floor limit"


def _promises_kept(simulation: Simulation, books: _Books) -> Iterator[str]:
    """P2: of an honest till, all that a lease or a bound voucher allowed was honoured in full."""
    for sale in simulation.sales:
        entries = books.by_id.get(sale.sale_id)
        if not sale.honest or not entries or not sale.burned:
            continue
        if entries[0].claimed_points == -1:
            # The gateway had sold it as a request before the till stood in: the balance paid, which is as good.
            continue
        promised: Counter[str] = Counter()
        for kind, points in sale.authority:
            promised[kind] += points
        honoured: Counter[str] = Counter()
        for part in entries[0].detail.explanations:
            if part.code in RIGHTS:
                honoured[RIGHTS[part.code]] -= part.points
        had = entries[0].active_after + entries[0].moves.issued
        for kind in ("lease", "voucher"):
            if honoured[kind] < promised[kind] and had > 0:
                yield f"sale {sale.sale_id}: the store paid by {kind} though the member had {had} points"
            if honoured[kind] < promised[kind] and not _told_too_late(simulation, entries[0]):
                yield (
                    f"sale {sale.sale_id}: {promised[kind]} points by {kind} were promised "
                    f"and {honoured[kind]} honoured"
                )


def _told_too_late(simulation: Simulation, entry: Entry) -> bool:
    """Whether a sale was told of after the grace of a lease or voucher behind it: beyond the promise."""
    store = simulation.server.store
    entries = store.read_entries(CLUB, entry.member_id, before_seq=None, limit=100_000)
    recorded = next(at for found, at in entries if found.seq == entry.seq)
    with store.snapshot(CLUB) as snapshot:
        return any(
            hold.kind is not HoldKind.CHECKOUT
            and hold.status is HoldStatus.EXPIRED
            and recorded >= hold.ends_ms + GRACE_MS
            for member_id, hold in snapshot.holds()
            if member_id == entry.member_id
        )


def _losses_within_caps(simulation: Simulation, books: _Books) -> Iterator[str]:
    """P3: what an honest store paid for is at most what its tills burned within their floor limits.

    And what they burned by right, but told of after its grace: then the points had gone back, and may be spent. A till
    that crashed as soon as it had kept a sale told nobody by what right; it is at most the floor limit of one sale.
    """
    told = {sale.sale_id for sale in simulation.sales}
    floor_sale = RULES["offline"]["floor"]["sale_points"]
    for store_id in STORES:
        tills = [one for one in [*simulation.machines, *simulation.extra] if one.store_id == store_id]
        if not all(machine.honest for machine in tills):
            continue
        by_floor = sum(
            points
            for sale in simulation.sales
            if sale.machine.store_id == store_id
            for kind, points in sale.authority
            if kind == "floor"
        )
        by_floor += sum(
            min(-entry.moves.store_loss, floor_sale)
            for entries in books.entries.values()
            for entry in entries
            if entry.origin.store_id == store_id
            and entry.moves.store_loss < 0
            and entry.command_id not in told
        )
        too_late = sum(
            points
            for sale in simulation.sales
            if sale.machine.store_id == store_id
            and (entries := books.by_id.get(sale.sale_id))
            and _told_too_late(simulation, entries[0])
            for kind, points in sale.authority
            if kind != "floor"
        )
        lost = books.shortfall(store_id)
        if lost > by_floor + too_late:
            yield (
                f"store {store_id} paid for {lost} points, burned {by_floor} within its floor limits "
                f"and told too late of {too_late}"
            )


def _copies_are_noticed(simulation: Simulation, books: _Books) -> Iterator[str]:
    """Of two different advices for one place, at most one was taken; two that go on are suspended."""
    taken: dict[tuple[str, int, int], bytes] = {}
    for machine in [*simulation.machines, *simulation.extra]:
        for epoch, seq, digest, advice_id in machine.db.read(
            "SELECT epoch, seq, digest, advice_id FROM advice WHERE verdict_kind IN (1, 2, 3)"
        ):
            entries = books.by_id.get(advice_id, [])
            if any(entry.kind is EntryKind.SALE and entry.claimed_points == -1 for entry in entries):
                # The gateway had sold it when it was asked to, so it is known; the copy's next advice shows the fork.
                continue
            if taken.setdefault((machine.till_id, epoch, seq), digest) != digest:
                yield f"till {machine.till_id[-2:]} has two advices at place {seq} of epoch {epoch}, and both count"
    for till_id, suspended in simulation.duels:
        if not suspended:
            yield f"till {till_id[-2:]} and its copy upload in turns, and both stay trusted"


def _everybody_agrees(simulation: Simulation, books: _Books) -> Iterator[str]:
    """After healing every till shows what the gateway has: the balance, and what is leased to its store."""
    chains = {chain.till_id: chain for chain in simulation.server.store.read_tills(CLUB, store_id="")}
    for machine in simulation.machines:
        if machine.line.revoked or chains[machine.till_id].status is TillStatus.SUSPENDED:
            continue
        for member_id in books.members:
            known = machine.snapshot.member(member_id)
            account = simulation.server.account(member_id)
            if known is None:
                yield f"till {machine.till_id[-2:]} does not know member {member_id}"
                continue
            if known.status == 2:
                continue
            if known.seq != account.seq:
                yield f"till {machine.till_id[-2:]} is at entry {known.seq} of {member_id}, the books at {account.seq}"
            shown, leased = machine.shown(member_id), machine.leased(member_id)
            if machine.honest and shown != account.active + leased:
                yield (
                    f"till {machine.till_id[-2:]} shows {shown} points of {member_id}, the books {account.active} "
                    f"and {leased} leased"
                )


def _queues_are_empty(simulation: Simulation, books: _Books) -> Iterator[str]:
    for machine in [*simulation.machines, *simulation.extra]:
        queued = machine.running.status().queued
        if queued and not machine.line.revoked:
            yield f"till {machine.till_id[-2:]} still has {queued} advices"
    for items in books.inbox.values():
        for item in items:
            if item.state is InboxState.OPEN and item.verdict.kind is VerdictKind.PARKED:
                sale_id = item.waits_for
                if books.by_id.get(CommandId(sale_id)):
                    yield f"item {item.item_id} waits for {sale_id}, which is there"
