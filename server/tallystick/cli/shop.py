"""The commands of a till at the prompt: `sale`, `balance`, `enrol-member`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.amounts import new_id, parse_amount, parse_line, show_amount
from tallystick.cli.options import TILL_PROFILE
from tallystick.cli.output import EXIT_OK, EXIT_UNSOUND, EXIT_USAGE, CommandFailed, Printer, count
from tallystick.cli.remote import Remote, with_remote

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.v1 import identity_pb2, ledger_pb2, types_pb2

MemberOption = Annotated[
    str,
    typer.Option("--member", metavar="TEXT", help="Member number, card, telephone number or e-mail address."),
]
ScannedOption = Annotated[
    bool,
    typer.Option(
        "--scanned", help="The number came from the scanner, so it counts as a shown card and may burn."
    ),
]
QR_AIM_ID = "]Q1"


@with_remote(TILL_PROFILE)
def sale(
    remote: Remote,
    lines: Annotated[
        list[str], typer.Argument(metavar="LINE...", help="AMOUNT, or SKU:QUANTITY:AMOUNT[:CATEGORY,...].")
    ],
    member: MemberOption,
    scanned: ScannedOption = False,
    burn: Annotated[int, typer.Option(help="Burn exactly that many points, or refuse.", min=0)] = 0,
    burn_up_to: Annotated[
        int, typer.Option(help="Burn as many points as fit, at most that many.", min=0)
    ] = 0,
    reward: Annotated[list[str] | None, typer.Option(help="Take this reward; may be repeated.")] = None,
    reference: Annotated[str, typer.Option(help="Receipt number.")] = "",
    command_id: Annotated[str, typer.Option(help="Send a sale again under its id; it counts once.")] = "",
) -> None:
    """Post a sale and show what it earned and burned.

    A refusal is shown with its reason and ends with code 1.
    """
    if burn and burn_up_to:
        raise CommandFailed("--burn and --burn-up-to exclude each other", code=EXIT_USAGE)
    printer = remote.printer

    async def work(client: Client) -> int:
        from tallystick.v1 import ledger_pb2, types_pb2

        found = await identify(client, member, scanned=scanned)
        currency = found.active_worth.currency_code or "EUR"
        spend = None
        if burn or burn_up_to:
            spend = types_pb2.Spend(points=burn) if burn else types_pb2.Spend(points_max=burn_up_to)
        request = ledger_pb2.PostSaleRequest(
            command_id=command_id or new_id(),
            member_id=found.member_id,
            basket=basket_of(lines, currency),
            spend=spend,
            reward_ids=reward or (),
            assurance=found.assurance,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE, reference=reference),
            language_code="en",
        )
        answer = await client.call(client.ledger.PostSale, request)
        return show_decision(answer.decision, request.command_id, found, printer)

    raise typer.Exit(remote.ask(work))


@with_remote(TILL_PROFILE)
def balance(remote: Remote, member: MemberOption) -> None:
    """Show what a member has now."""
    printer = remote.printer

    async def work(client: Client) -> None:
        found = await identify(client, member, scanned=False)
        show_balance(found.balance, found.active_worth, printer)
        printer.document({"member_id": found.member_id, **balance_to_json(found.balance)})

    remote.ask(work)


@with_remote(TILL_PROFILE)
def enrol_member(
    remote: Remote,
    text: Annotated[
        str, typer.Argument(help="Telephone number, e-mail address or card number; or nothing.")
    ] = "",
    region: Annotated[str, typer.Option(help="Country of a telephone number without +, such as SE.")] = "",
) -> None:
    """Enrol a member from one field and show the new card as a QR code."""
    printer = remote.printer

    async def work(client: Client) -> None:
        from tallystick.v1 import identity_pb2, types_pb2

        request = identity_pb2.EnrolRequest(
            member_id=new_id(),
            text=text,
            region=region,
            origin=types_pb2.Origin(channel=types_pb2.CHANNEL_STORE),
        )
        answer = await client.call(client.identity.Enrol, request)
        if answer.WhichOneof("outcome") == "refused":
            raise CommandFailed(answer.refused.message, code=EXIT_UNSOUND)
        member = answer.enrolled.member
        printer.line(f"Member {member.number}")
        print_qr(member.number, printer)
        printer.document({"member_id": member.member_id, "number": member.number})

    remote.ask(work)


async def identify(client: Client, text: str, *, scanned: bool) -> identity_pb2.Identification:
    """The member that a text belongs to; CommandFailed with the server's reason when it leads to nobody."""
    from tallystick.v1 import identity_pb2, types_pb2

    request = identity_pb2.IdentifyRequest(
        text=text, aim_id=QR_AIM_ID if scanned else "", channel=types_pb2.CHANNEL_STORE
    )
    answer = await client.call(client.identity.Identify, request)
    if answer.WhichOneof("outcome") == "not_identified":
        raise CommandFailed(answer.not_identified.message, code=EXIT_UNSOUND)
    return answer.identified


async def identify_person(client: Client, text: str) -> str:
    """The id of the member who has it: in a household a person, not the account that all share."""
    found = await identify(client, text, scanned=False)
    return found.presented_by or found.member_id


def basket_of(lines: list[str], currency: str) -> types_pb2.Basket:
    """The basket of lines as typed."""
    from tallystick.v1 import types_pb2

    typed = [parse_line(text) for text in lines]
    return types_pb2.Basket(
        currency_code=currency,
        prices_include_tax=True,
        lines=[
            types_pb2.Line(
                sku=line.sku,
                quantity_milli=line.quantity_milli,
                amount_minor=parse_amount(line.amount, currency),
                categories=line.categories,
            )
            for line in typed
        ],
    )


def show_decision(
    decision: ledger_pb2.Decision, command_id: str, found: identity_pb2.Identification, printer: Printer
) -> int:
    """Print a decision on a sale; the exit code."""
    from tallystick.v1 import ledger_pb2

    if decision.WhichOneof("outcome") == "refused":
        reason = ledger_pb2.RefusalReason.Name(decision.refused.reason).removeprefix("REFUSAL_REASON_")
        printer.line(f"Refused: {decision.refused.message} ({reason})")
        printer.document({"refused": reason, "details": dict(decision.refused.details)})
        return EXIT_UNSOUND
    entry, benefits = decision.posted.entry, decision.posted.benefits
    again = ", as before: this id was posted already" if decision.replayed else ""
    printer.line(f"Posted{again}: {count(benefits.earned_points)} points earned")
    if benefits.burned_points:
        off = show_amount(benefits.discount_minor, benefits.currency_code)
        printer.line(f"  {count(benefits.burned_points)} points burned, {off} off")
    printer.line(f"  to pay {show_amount(benefits.payable_minor, benefits.currency_code)}")
    for told in entry.explanations:
        printer.line(f"  {told.points:+,}  {told.text}")
    show_balance(entry.balance_after, None, printer)
    printer.line(f"  sale {command_id}")
    printer.document(
        {
            "sale_id": command_id,
            "member_id": found.member_id,
            "replayed": decision.replayed,
            "earned_points": benefits.earned_points,
            "burned_points": benefits.burned_points,
            "discount_minor": benefits.discount_minor,
            "payable_minor": benefits.payable_minor,
            "currency": benefits.currency_code,
            "balance": balance_to_json(entry.balance_after),
        }
    )
    return EXIT_OK


def show_balance(balance: types_pb2.Balance, worth: types_pb2.Money | None, printer: Printer) -> None:
    """Print a balance on one line."""
    parts = [f"{count(balance.active)} points"]
    if worth is not None and worth.currency_code:
        parts.append(f"worth {show_amount(worth.amount_minor, worth.currency_code)}")
    others = (("pending", balance.pending), ("held", balance.held), ("debt", balance.debt))
    parts += [f"{count(points)} {name}" for name, points in others if points]
    if balance.tier_id:
        parts.append(f"tier {balance.tier_id}")
    printer.line(f"  balance: {', '.join(parts)}")


def balance_to_json(balance: types_pb2.Balance) -> dict[str, int | str]:
    """A balance as plain values."""
    return {
        "active": balance.active,
        "pending": balance.pending,
        "held": balance.held,
        "debt": balance.debt,
        "tier": balance.tier_id,
    }


def print_qr(text: str, printer: Printer) -> None:
    """Draw a QR code with half blocks; on a terminal in black and white, whatever its own colours are."""
    if printer.as_json:
        return
    import qrcode

    code = qrcode.QRCode(border=2, error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(text)
    code.print_ascii(out=sys.stdout, tty=sys.stdout.isatty(), invert=True)
    sys.stdout.flush()
