"""`tallystick webhook ...`: who is told of events, and what became of the messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.options import ADMIN_PROFILE
from tallystick.cli.output import EXIT_USAGE, CommandFailed, Printer, count
from tallystick.cli.remote import Remote, with_remote

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.v1 import webshop_pb2

SIGNINGS = ("hmac", "ed25519")
STATES = ("all", "waiting", "delivered", "failed")
PAGE_SIZE = 200

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The endpoint's short name, such as mail-system.")]


@app.command("set")
@with_remote(ADMIN_PROFILE)
def set_(
    remote: Remote,
    name: NameArgument,
    url: Annotated[str, typer.Argument(help="Where messages go: https, or http to this machine.")],
    events: Annotated[
        list[str] | None,
        typer.Option("--event", help="Tell of this kind only; may be repeated. Default: all."),
    ] = None,
    signing: Annotated[str, typer.Option(help="hmac (a shared secret) or ed25519 (a public key).")] = "hmac",
    paused: Annotated[bool, typer.Option("--paused", help="Let messages wait.")] = False,
    rotate_key: Annotated[
        bool, typer.Option("--rotate-key", help="Make a new key; the old one signs too for 24 hours.")
    ] = False,
) -> None:
    """Make an endpoint or change it, and show what verifies its messages. A secret is shown this once."""
    from tallystick.v1 import webshop_pb2

    if signing not in SIGNINGS:
        raise CommandFailed(f"'{signing}' is no signing", mend=f"use {', '.join(SIGNINGS)}", code=EXIT_USAGE)
    printer = remote.printer
    request = webshop_pb2.SetWebhookRequest(
        webhook_id=name,
        url=url,
        event_types=events or [],
        signing=webshop_pb2.WebhookSigning.Value(f"WEBHOOK_SIGNING_{signing.upper()}"),
        paused=paused,
        rotate_key=rotate_key,
    )

    async def work(client: Client) -> None:
        answer = await client.call(client.webhooks.SetWebhook, request)
        _show(printer, answer.webhook)
        if answer.webhook.verification_key:
            printer.line(f"Verify messages with {answer.webhook.verification_key}")
        printer.document(_webhook(answer.webhook))

    remote.ask(work)


@app.command("list")
@with_remote(ADMIN_PROFILE)
def list_(
    remote: Remote,
) -> None:
    """List the endpoints, what waits for them and what was given up."""
    from tallystick.v1 import webshop_pb2

    printer = remote.printer

    async def work(client: Client) -> None:
        answer = await client.call(client.webhooks.ListWebhooks, webshop_pb2.ListWebhooksRequest())
        for webhook in answer.webhooks:
            _show(printer, webhook)
        printer.line(f"{count(len(answer.webhooks))} endpoints")
        printer.document({"webhooks": [_webhook(webhook) for webhook in answer.webhooks]})

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def delete(
    remote: Remote,
    name: NameArgument,
) -> None:
    """End an endpoint and forget what waits for it."""
    from tallystick.v1 import webshop_pb2

    printer = remote.printer

    async def work(client: Client) -> None:
        await client.call(client.webhooks.DeleteWebhook, webshop_pb2.DeleteWebhookRequest(webhook_id=name))
        printer.line(f"{name} is told no more.")
        printer.document({"webhook_id": name})

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def deliveries(
    remote: Remote,
    name: NameArgument,
    state: Annotated[str, typer.Option(help="all, waiting, delivered or failed.")] = "all",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show, the newest first.")] = 50,
) -> None:
    """List messages to an endpoint: what became of them, and what it answered last."""
    from tallystick.v1 import webshop_pb2

    if state not in STATES:
        raise CommandFailed(f"'{state}' is no state", mend=f"use {', '.join(STATES)}", code=EXIT_USAGE)
    wanted = "UNSPECIFIED" if state == "all" else state.upper()
    printer = remote.printer

    async def work(client: Client) -> None:
        found: list[webshop_pb2.Delivery] = []
        token = ""
        while len(found) < limit:
            request = webshop_pb2.ListDeliveriesRequest(
                webhook_id=name,
                state=webshop_pb2.DeliveryState.Value(f"DELIVERY_STATE_{wanted}"),
                page_size=min(PAGE_SIZE, limit - len(found)),
                page_token=token,
            )
            page = await client.call(client.webhooks.ListDeliveries, request)
            found += page.deliveries
            token = page.next_page_token
            if not token:
                break
        for one in found:
            printer.line(_line(one))
        printer.line(f"{count(len(found))} messages")
        printer.document({"deliveries": [_delivery(one) for one in found]})

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def replay(
    remote: Remote,
    name: NameArgument,
    since: Annotated[
        str, typer.Option(help="All since then, such as 2026-03-01T12:00:00Z. Default: those that failed.")
    ] = "",
) -> None:
    """Send messages once more; a receiver knows them by their ids."""
    from tallystick.v1 import webshop_pb2

    printer = remote.printer
    request = webshop_pb2.ReplayDeliveriesRequest(webhook_id=name)
    if since:
        request.since.FromDatetime(_instant(since))

    async def work(client: Client) -> None:
        answer = await client.call(client.webhooks.ReplayDeliveries, request)
        printer.line(f"{count(answer.replayed)} messages wait again.")
        printer.document({"replayed": answer.replayed})

    remote.ask(work)


def _instant(text: str) -> datetime:
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(
            f"'{text}' is no instant", mend="write it like 2026-03-01T12:00:00Z", code=EXIT_USAGE
        ) from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)


def _show(printer: Printer, webhook: webshop_pb2.Webhook) -> None:
    values = _webhook(webhook)
    printer.line(f"{webhook.webhook_id}, {values['state']}")
    printer.table(
        [
            ("url", webhook.url),
            ("told of", ", ".join(webhook.event_types) or "everything"),
            ("signed by", values["signing"]),
            ("waiting", count(webhook.waiting)),
            ("failed", count(webhook.failed)),
        ]
    )


def _webhook(webhook: webshop_pb2.Webhook) -> dict[str, Any]:
    from tallystick.v1 import webshop_pb2

    state = webshop_pb2.WebhookState.Name(webhook.state).removeprefix("WEBHOOK_STATE_")
    signing = webshop_pb2.WebhookSigning.Name(webhook.signing).removeprefix("WEBHOOK_SIGNING_")
    return {
        "webhook_id": webhook.webhook_id,
        "url": webhook.url,
        "event_types": list(webhook.event_types),
        "signing": signing.lower(),
        "verification_key": webhook.verification_key,
        "state": state.lower(),
        "waiting": webhook.waiting,
        "failed": webhook.failed,
    }


def _delivery(one: webshop_pb2.Delivery) -> dict[str, Any]:
    from tallystick.v1 import webshop_pb2

    return {
        "message_id": one.message_id,
        "event_type": one.event_type,
        "state": webshop_pb2.DeliveryState.Name(one.state).removeprefix("DELIVERY_STATE_").lower(),
        "tries": one.tries,
        "occurred_at": one.occurred_at.ToJsonString(),
        "next_try_at": one.next_try_at.ToJsonString() if one.HasField("next_try_at") else None,
        "last_answer": one.last_answer,
    }


def _line(one: webshop_pb2.Delivery) -> str:
    values = _delivery(one)
    told = f"{values['occurred_at']}  {one.event_type}  {values['state']}  {one.message_id}"
    if one.tries:
        told += f"  tried {one.tries} times, last answer {one.last_answer}"
    return told + (f", again at {values['next_try_at']}" if values["next_try_at"] else "")
