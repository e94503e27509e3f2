"""`tallystick rewards ...`: buy rewards that need no basket, see them, hand them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli.amounts import new_id
from tallystick.cli.options import ADMIN_PROFILE
from tallystick.cli.output import EXIT_UNSOUND, CommandFailed
from tallystick.cli.remote import Remote, with_remote

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.v1 import ledger_pb2, reward_pb2, types_pb2

app = typer.Typer(no_args_is_help=True)

MemberArgument = Annotated[
    str, typer.Argument(metavar="MEMBER", help="Member number, card, telephone number or e-mail address.")
]
CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="What the member shows.")]
IdOption = Annotated[str, typer.Option("--id", help="Ask again under the id of the first time.")]


@app.command()
@with_remote(ADMIN_PROFILE)
def buy(
    remote: Remote,
    member: MemberArgument,
    reward: Annotated[str, typer.Argument(metavar="REWARD", help="An experience or a product.")],
    command_id: IdOption = "",
) -> None:
    """Buy a reward for a member's points. A number that is typed burns as much as the rule set lets it."""
    printer, made_id = remote.printer, command_id or new_id()

    async def work(client: Client) -> reward_pb2.RedeemRewardResponse:
        from tallystick.cli.shop import identify
        from tallystick.v1 import reward_pb2

        found = await identify(client, member, scanned=False)
        request = reward_pb2.RedeemRewardRequest(
            command_id=made_id,
            member_id=found.member_id,
            reward_id=reward,
            assurance=found.assurance,
            origin=_origin(),
        )
        return await client.call(client.rewards.RedeemReward, request)

    answer = remote.ask(work)
    _require_posted(answer.decision)
    printer.line(_line(answer.redemption))
    printer.document({"redemption": _to_json(answer.redemption)})


@app.command("list")
@with_remote(ADMIN_PROFILE)
def list_redemptions(remote: Remote, member: MemberArgument) -> None:
    """Show what a member has bought, newest first, and what became of it."""
    printer = remote.printer

    async def work(client: Client) -> list[reward_pb2.Redemption]:
        from tallystick.v1 import reward_pb2

        request = reward_pb2.ListRedemptionsRequest(member_id=await _member_id(client, member))
        return list((await client.call(client.rewards.ListRedemptions, request)).redemptions)

    found = remote.ask(work)
    for one in found:
        printer.line(_line(one))
    if not found:
        printer.line("Nothing was bought.")
    printer.document({"redemptions": [_to_json(one) for one in found]})


@app.command()
@with_remote(ADMIN_PROFILE)
def check(remote: Remote, member: MemberArgument, code: CodeArgument) -> None:
    """Say what a code stands for, without using it."""
    printer = remote.printer

    async def work(client: Client) -> reward_pb2.Redemption:
        from tallystick.v1 import reward_pb2

        request = reward_pb2.CheckRedemptionRequest(member_id=await _member_id(client, member), code=code)
        return (await client.call(client.rewards.CheckRedemption, request)).redemption

    found = remote.ask(work)
    printer.line(_line(found))
    printer.document({"redemption": _to_json(found)})


@app.command()
@with_remote(ADMIN_PROFILE)
def use(remote: Remote, member: MemberArgument, code: CodeArgument, command_id: IdOption = "") -> None:
    """Note that what a code stands for was handed out: once."""
    printer, made_id = remote.printer, command_id or new_id()

    async def work(client: Client) -> reward_pb2.UseRedemptionResponse:
        from tallystick.v1 import reward_pb2

        request = reward_pb2.UseRedemptionRequest(
            command_id=made_id, member_id=await _member_id(client, member), code=code, origin=_origin()
        )
        return await client.call(client.rewards.UseRedemption, request)

    answer = remote.ask(work)
    _require_posted(answer.decision)
    printer.line(_line(answer.redemption))
    printer.document({"redemption": _to_json(answer.redemption)})


async def _member_id(client: Client, text: str) -> str:
    from tallystick.cli.shop import identify

    return (await identify(client, text, scanned=False)).member_id


def _origin() -> types_pb2.Origin:
    from tallystick.v1 import types_pb2

    return types_pb2.Origin(channel=types_pb2.CHANNEL_STORE)


def _require_posted(decision: ledger_pb2.Decision) -> None:
    if decision.HasField("refused"):
        raise CommandFailed(decision.refused.message, code=EXIT_UNSOUND)


def _line(one: reward_pb2.Redemption) -> str:
    return f"{one.code}  {one.reward_name or one.reward_id}  {one.points} points  {_state(one)}"


def _state(one: reward_pb2.Redemption) -> str:
    from tallystick.v1 import reward_pb2

    return reward_pb2.RedemptionState.Name(one.state).removeprefix("REDEMPTION_STATE_").lower()


def _to_json(one: reward_pb2.Redemption) -> dict[str, object]:
    return {
        "redemption_id": one.redemption_id,
        "member_id": one.member_id,
        "reward_id": one.reward_id,
        "reward_name": one.reward_name,
        "points": one.points,
        "code": one.code,
        "state": _state(one),
        "used_store_id": one.used_store_id,
    }
