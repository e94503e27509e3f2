"""`tallystick store ...`: the inbox of what needs a person, what a store can lose, its cashiers, and vouchers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.amounts import new_id
from tallystick.cli.options import ADMIN_PROFILE
from tallystick.cli.output import EXIT_UNSOUND, EXIT_USAGE, CommandFailed, Printer, count
from tallystick.cli.remote import Remote, with_remote

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.v1 import store_pb2

ACTIONS = ("post", "dismiss", "seen")
STATES = ("open", "posted", "dismissed", "seen")
PAGE_SIZE = 200

app = typer.Typer(no_args_is_help=True)

StoreOption = Annotated[str, typer.Option("--store", help="Only this store; empty for all.")]


@app.command()
@with_remote(ADMIN_PROFILE)
def inbox(
    remote: Remote,
    store: StoreOption = "",
    state: Annotated[str, typer.Option(help="open, posted, dismissed or seen.")] = "open",
) -> None:
    """List what tills reported that was adjusted, is parked or quarantined; the newest comes first."""
    from tallystick.v1 import store_pb2

    if state not in STATES:
        raise CommandFailed(f"'{state}' is no state", mend=f"use {', '.join(STATES)}", code=EXIT_USAGE)
    printer = remote.printer

    async def work(client: Client) -> None:
        found: list[store_pb2.InboxItem] = []
        token = ""
        while True:
            request = store_pb2.ListInboxRequest(
                store_id=store,
                state=store_pb2.InboxState.Value(f"INBOX_STATE_{state.upper()}"),
                page_size=PAGE_SIZE,
                page_token=token,
            )
            page = await client.call(client.store.ListInbox, request)
            found += page.items
            token = page.next_page_token
            if not token:
                break
        for item in found:
            _show_item(printer, item)
        printer.line(f"{count(len(found))} {state}")
        printer.document({"items": [_item(item) for item in found]})

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def resolve(
    remote: Remote,
    item_id: Annotated[str, typer.Argument(help="The item, as `store inbox` shows it.")],
    action: Annotated[str, typer.Argument(help="post, dismiss or seen.")],
    note: Annotated[str, typer.Option(help="Why; needed to dismiss.")] = "",
) -> None:
    """End an item: post what was quarantined after all, dismiss it, or mark an adjustment as read."""
    from tallystick.v1 import store_pb2

    if action not in ACTIONS:
        raise CommandFailed(f"'{action}' is no action", mend=f"use {', '.join(ACTIONS)}", code=EXIT_USAGE)
    if action == "dismiss" and not note:
        raise CommandFailed("to dismiss takes a reason", mend="add --note", code=EXIT_USAGE)
    printer = remote.printer

    async def work(client: Client) -> None:
        request = store_pb2.ResolveInboxItemRequest(
            item_id=item_id, action=store_pb2.InboxAction.Value(f"INBOX_ACTION_{action.upper()}"), note=note
        )
        answer = await client.call(client.store.ResolveInboxItem, request)
        _show_item(printer, answer.item)
        printer.document(_item(answer.item))
        if answer.item.state == store_pb2.INBOX_STATE_OPEN:
            raise CommandFailed("it could not be posted and stays open", code=EXIT_UNSOUND)

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def exposure(
    remote: Remote,
    store: Annotated[str, typer.Argument(help="The store.")],
) -> None:
    """Show what a store can lose at this moment, and how its tills are."""
    from tallystick.v1 import store_pb2

    printer = remote.printer

    async def work(client: Client) -> None:
        found = await client.call(client.store.GetExposure, store_pb2.GetExposureRequest(store_id=store))
        printer.line(f"Worst case now: {count(found.worst_case_points)} points")
        printer.table(
            [
                ("leased to the store", count(found.leased_points)),
                ("in vouchers", count(found.voucher_points)),
                ("paid for so far", count(found.lost_points)),
            ]
        )
        for till in found.tills:
            heard = till.last_contact_at.ToJsonString() if till.HasField("last_contact_at") else "never"
            status = store_pb2.TillStatus.Name(till.status).removeprefix("TILL_STATUS_").lower()
            printer.line(f"{till.label} ({till.till_id}), {status}")
            printer.table(
                [
                    ("heard of", heard),
                    ("queued then", count(till.queued)),
                    ("floor limit", f"{count(till.floor_points)} of {count(till.floor_cap_points)} points"),
                    ("forks", count(till.fences)),
                    ("leases", "keeps some of the store's" if till.keeps_leases else "none of its own"),
                ]
            )
        keepers = [till.label for till in found.tills if till.keeps_leases]
        if len(keepers) > 1:
            printer.line(
                f"! {' and '.join(keepers)} both keep leases. One till of a store is its hub: start the others with "
                "--hub TILL_ID@HOST:PORT. Until then a voucher may be taken twice, at the store's cost."
            )
        printer.document(_document(found))

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def reinstate(
    remote: Remote,
    till_id: Annotated[str, typer.Argument(help="The till.")],
) -> None:
    """Let a suspended till work again, after making sure that there is one of it."""
    from tallystick.v1 import store_pb2

    printer = remote.printer

    async def work(client: Client) -> None:
        request = store_pb2.ReinstateTillRequest(till_id=till_id)
        answer = await client.call(client.store.ReinstateTill, request)
        printer.line(f"{answer.till.label or till_id} works again, in epoch {answer.till.epoch}")
        printer.document(_document(answer.till))

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def cashier(
    remote: Remote,
    store: Annotated[str, typer.Argument(help="The store.")],
    cashier_id: Annotated[str, typer.Argument(help="The short name to sign in with; empty lists all.")] = "",
    label: Annotated[str, typer.Option(help="What colleagues call the person.")] = "",
    pin: Annotated[bool, typer.Option("--pin", help="Ask for a new PIN of 4 to 8 digits.")] = False,
    active: Annotated[
        bool, typer.Option("--active/--inactive", help="Whether the person may sign in.")
    ] = True,
) -> None:
    """List a store's cashiers, or make one, or change one."""
    from tallystick.v1 import store_pb2

    printer = remote.printer
    # Never as an option: what is typed there stays in the shell's history.
    digits = typer.prompt("PIN", hide_input=True, confirmation_prompt=True) if pin else ""

    async def work(client: Client) -> None:
        if cashier_id:
            request = store_pb2.SetCashierRequest(
                store_id=store, cashier_id=cashier_id, label=label or cashier_id, pin=digits, active=active
            )
            made = await client.call(client.store.SetCashier, request)
            cashiers = [made.cashier]
        else:
            listed = await client.call(
                client.store.ListCashiers, store_pb2.ListCashiersRequest(store_id=store)
            )
            cashiers = list(listed.cashiers)
        for one in cashiers:
            printer.line(f"{one.cashier_id}  {one.label}{'' if one.active else '  (may not sign in)'}")
        printer.document({"cashiers": [_document(one) for one in cashiers]})

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def voucher(
    remote: Remote,
    store: Annotated[str, typer.Argument(help="The one store that will take it.")],
    member: Annotated[str, typer.Argument(metavar="MEMBER_ID", help="The member.")],
    points: Annotated[int, typer.Option(help="How many points it is worth.", min=0)] = 0,
    reward: Annotated[str, typer.Option(help="Or the reward that it buys.")] = "",
) -> None:
    """Turn a member's points into a voucher and show its code."""
    from tallystick.v1 import store_pb2, types_pb2

    if bool(points) == bool(reward):
        raise CommandFailed("a voucher has a worth", mend="give --points or --reward", code=EXIT_USAGE)
    printer = remote.printer

    async def work(client: Client) -> None:
        request = store_pb2.IssueVoucherRequest(
            voucher_id=new_id(),
            member_id=member,
            store_id=store,
            assurance=types_pb2.ASSURANCE_DEVICE_CODE,
        )
        if reward:
            request.reward_id = reward
        else:
            request.points = points
        answer = await client.call(client.store.IssueVoucher, request)
        if answer.WhichOneof("result") != "voucher":
            raise CommandFailed(f"refused: {answer.refusal}", code=EXIT_UNSOUND)
        printer.line(f"Voucher {request.voucher_id} for {store}; its code:")
        printer.line(answer.voucher.digits)
        printer.document({"voucher_id": request.voucher_id, "digits": answer.voucher.digits})

    remote.ask(work)


def _show_item(printer: Printer, item: store_pb2.InboxItem) -> None:
    shown = _item(item)
    why = ", ".join(shown["reasons"]) or "no reason"
    printer.line(f"{item.item_id}  {shown['verdict']}: {why}")
    rows = [("store, till", f"{item.store_id}, {item.till_id}"), ("came", shown["received_at"])]
    rows += [(name.replace("_", " "), value) for name, value in sorted(shown["details"].items())]
    if item.note:
        rows.append(("note", item.note))
    printer.table(rows)


def _item(item: store_pb2.InboxItem) -> dict[str, Any]:
    from tallystick.v1 import advice_pb2, store_pb2

    verdict = item.verdict
    reasons = [advice_pb2.VerdictReason.Name(one).removeprefix("VERDICT_REASON_") for one in verdict.reasons]
    return {
        "item_id": item.item_id,
        "store_id": item.store_id,
        "till_id": item.till_id,
        "state": store_pb2.InboxState.Name(item.state).removeprefix("INBOX_STATE_").lower(),
        "verdict": advice_pb2.VerdictKind.Name(verdict.kind).removeprefix("VERDICT_KIND_").lower(),
        "reasons": reasons,
        "details": dict(verdict.details),
        "received_at": item.received_at.ToJsonString(),
        "note": item.note,
    }


def _document(message: Any) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
