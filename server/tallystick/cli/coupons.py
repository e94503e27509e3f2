"""`tallystick coupons ...`: make unique codes of a coupon, see what became of them, end them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.amounts import new_id
from tallystick.cli.options import ADMIN_PROFILE
from tallystick.cli.output import EXIT_USAGE, CommandFailed, count
from tallystick.cli.remote import Remote, with_remote

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.v1 import coupon_pb2

PAGE_COUPONS = 1_000

app = typer.Typer(no_args_is_help=True)

BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch.")]


@app.command()
@with_remote(ADMIN_PROFILE)
def create(
    remote: Remote,
    coupon: Annotated[str, typer.Argument(metavar="COUPON", help="Id of a coupon without a shared code.")],
    count_: Annotated[
        int, typer.Option("--count", help="How many codes for whoever has them.", min=0, max=10_000)
    ] = 0,
    members: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="MEMBER", help="A code for this member alone; may be given again."),
    ] = None,
    batch_id: Annotated[str, typer.Option(help="Ask for the same batch again under its id.")] = "",
) -> None:
    """Make unique codes of a coupon of the rule set: so many, or one for each member that is named."""
    if bool(count_) == bool(members):
        raise CommandFailed(
            "say how many codes, or whose", mend="--count N, or --for MEMBER", code=EXIT_USAGE
        )
    printer = remote.printer
    batch = batch_id or new_id()

    async def work(client: Client) -> list[coupon_pb2.Coupon]:
        from tallystick.v1 import coupon_pb2

        request = coupon_pb2.CreateCouponsRequest(
            batch_id=batch,
            coupon_id=coupon,
            count=count_,
            member_ids=[await _member_id(client, text) for text in members or ()],
        )
        return list((await client.call(client.coupons.CreateCoupons, request)).coupons)

    made = remote.ask(work)
    printer.line(f"Batch {batch}: {count(len(made))} codes of {coupon}")
    for one in made:
        printer.line(one.code)
    printer.document({"batch_id": batch, "coupons": [_to_json(one) for one in made]})


@app.command("list")
@with_remote(ADMIN_PROFILE)
def list_coupons(
    remote: Remote,
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch; or --member.")] = "",
    member: Annotated[
        str, typer.Option(metavar="MEMBER", help="Member number, card, telephone number or e-mail address.")
    ] = "",
) -> None:
    """Show the codes of a batch or of a member, and what became of them."""
    if bool(batch) == bool(member):
        raise CommandFailed("say which batch, or whose codes", mend="BATCH, or --member", code=EXIT_USAGE)
    printer = remote.printer

    async def work(client: Client) -> list[coupon_pb2.Coupon]:
        from tallystick.v1 import coupon_pb2

        request = coupon_pb2.ListCouponsRequest(page_size=PAGE_COUPONS)
        if member:
            request.member_id = await _member_id(client, member)
        else:
            request.batch_id = batch
        found: list[coupon_pb2.Coupon] = []
        while True:
            page = await client.call(client.coupons.ListCoupons, request)
            found += page.coupons
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    coupons = remote.ask(work)
    for one in coupons:
        owner = f"  for {one.member_id}" if one.member_id else ""
        user = f"  by {one.used_by}" if one.used_by else ""
        printer.line(f"{one.code}  {one.coupon_id}  {_state(one)}{user}{owner}")
    if not coupons:
        printer.line("There are no codes.")
    printer.document({"coupons": [_to_json(one) for one in coupons]})


@app.command()
@with_remote(ADMIN_PROFILE)
def revoke(
    remote: Remote,
    batch: BatchArgument,
) -> None:
    """End the codes of a batch. What was used stays used; a checkout that holds one keeps it."""
    printer = remote.printer

    async def work(client: Client) -> int:
        from tallystick.v1 import coupon_pb2

        request = coupon_pb2.RevokeCouponsRequest(batch_id=batch)
        return (await client.call(client.coupons.RevokeCoupons, request)).revoked

    ended = remote.ask(work)
    printer.line(f"{count(ended)} codes that nobody had used have ended.")
    printer.document({"revoked": ended})


async def _member_id(client: Client, text: str) -> str:
    from tallystick.cli.shop import identify

    return (await identify(client, text, scanned=False)).member_id


def _state(coupon: coupon_pb2.Coupon) -> str:
    from tallystick.v1 import coupon_pb2

    return coupon_pb2.CouponState.Name(coupon.state).removeprefix("COUPON_STATE_").lower()


def _to_json(coupon: coupon_pb2.Coupon) -> dict[str, str]:
    return {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code,
        "state": _state(coupon),
        "member_id": coupon.member_id,
        "used_by": coupon.used_by,
    }
