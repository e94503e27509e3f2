"""`tallystick notify ...`: messages on trial, and what became of those that members were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.options import ADMIN_PROFILE
from tallystick.cli.output import EXIT_FAILED, EXIT_USAGE, CommandFailed, count
from tallystick.cli.remote import Remote, with_remote

if TYPE_CHECKING:
    from tallystick.cli.client import Client
    from tallystick.v1 import notification_pb2

CHANNELS = ("email", "sms", "push", "wallet", "webhook")
PAGE_SIZE = 200

app = typer.Typer(no_args_is_help=True)


@app.command("test")
@with_remote(ADMIN_PROFILE)
def send_test(
    remote: Remote,
    to: Annotated[str, typer.Option(help="A mail address, or a telephone number such as +46701234567.")],
    occasion: Annotated[
        str, typer.Option(help="What to tell of, such as points_expiring.")
    ] = "points_expiring",
    language: Annotated[str, typer.Option(help="en, sv, pl, nb or lv.")] = "en",
) -> None:
    """Send a message with made-up values, as members would get it."""
    from tallystick.v1 import notification_pb2

    wanted = f"NOTIFICATION_OCCASION_{occasion.upper()}"
    known = notification_pb2.NotificationOccasion.keys()[1:]
    if wanted not in known:
        names = ", ".join(_word(name) for name in known)
        raise CommandFailed(f"'{occasion}' is no occasion", mend=f"use {names}", code=EXIT_USAGE)
    printer = remote.printer
    request = notification_pb2.SendTestNotificationRequest(
        address=to,
        occasion=notification_pb2.NotificationOccasion.Value(wanted),
        language_code=language,
    )

    async def work(client: Client) -> None:
        answer = await client.call(client.notifications.SendTestNotification, request)
        printer.line(answer.title)
        printer.line(answer.text)
        printer.line(f"Sent: {answer.answer}." if answer.sent else f"Not sent: {answer.answer}.")
        printer.document(
            {"sent": answer.sent, "answer": answer.answer, "title": answer.title, "text": answer.text}
        )
        if not answer.sent:
            raise CommandFailed(
                "the message was not taken", mend="look at the answer above", code=EXIT_FAILED
            )

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def status(
    remote: Remote,
) -> None:
    """Count the messages of the last 90 days: what they tell of, how they went, what became of them."""
    from tallystick.v1 import notification_pb2

    printer = remote.printer

    async def work(client: Client) -> None:
        request = notification_pb2.GetNotificationStatsRequest()
        answer = await client.call(client.notifications.GetNotificationStats, request)
        channels = [_channel(one) for one in answer.channels]
        printer.line(f"Channels: {', '.join(channels) or 'none'}")
        rows = [
            {
                "occasion": _occasion(one.occasion),
                "channel": _channel(one.channel),
                "state": _state(one.state),
                "count": one.count,
            }
            for one in answer.counts
        ]
        for one, row in zip(answer.counts, rows, strict=True):
            printer.line(f"{row['occasion']}  {row['channel']}  {row['state']}  {count(one.count)}")
        printer.line(f"{count(sum(one.count for one in answer.counts))} messages")
        printer.document({"channels": channels, "counts": rows})

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def dead(
    remote: Remote,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show, the newest first.")] = 50,
) -> None:
    """List messages that were given up."""
    from tallystick.v1 import notification_pb2

    printer = remote.printer

    async def work(client: Client) -> None:
        found: list[notification_pb2.Notification] = []
        token = ""
        while len(found) < limit:
            request = notification_pb2.ListFailedNotificationsRequest(
                page_size=min(PAGE_SIZE, limit - len(found)), page_token=token
            )
            page = await client.call(client.notifications.ListFailedNotifications, request)
            found += page.notifications
            token = page.next_page_token
            if not token:
                break
        rows = [_row(one) for one in found]
        for row in rows:
            printer.line(
                f"{row['made_at']}  {row['occasion']}  {row['channel']}  {row['notification_id']}  "
                f"tried {row['tries']} times, last answer {row['answer']}"
            )
        printer.line(f"{count(len(rows))} messages")
        printer.document({"notifications": rows})

    remote.ask(work)


@app.command()
@with_remote(ADMIN_PROFILE)
def retry(
    remote: Remote,
    channel: Annotated[str, typer.Option(help="Those tried by this channel only. Default: all.")] = "",
) -> None:
    """Let messages that were given up wait again, unless it is too late for them."""
    from tallystick.v1 import notification_pb2

    if channel and channel not in CHANNELS:
        raise CommandFailed(f"'{channel}' is no channel", mend=f"use {', '.join(CHANNELS)}", code=EXIT_USAGE)
    printer = remote.printer
    name = f"NOTIFICATION_CHANNEL_{channel.upper() or 'UNSPECIFIED'}"
    request = notification_pb2.RetryNotificationsRequest(
        channel=notification_pb2.NotificationChannel.Value(name)
    )

    async def work(client: Client) -> None:
        answer = await client.call(client.notifications.RetryNotifications, request)
        printer.line(f"{count(answer.retried)} messages wait again.")
        printer.document({"retried": answer.retried})

    remote.ask(work)


def _row(one: notification_pb2.Notification) -> dict[str, Any]:
    return {
        "notification_id": one.notification_id,
        "member_id": one.member_id,
        "occasion": _occasion(one.occasion),
        "channel": _channel(one.channel),
        "made_at": one.made_at.ToJsonString(),
        "tries": one.tries,
        "answer": one.answer,
    }


def _word(name: str) -> str:
    for prefix in ("NOTIFICATION_OCCASION_", "NOTIFICATION_CHANNEL_", "NOTIFICATION_STATE_"):
        name = name.removeprefix(prefix)
    return "none" if name == "UNSPECIFIED" else name.lower()


def _occasion(number: notification_pb2.NotificationOccasion.ValueType) -> str:
    from tallystick.v1 import notification_pb2

    return _word(notification_pb2.NotificationOccasion.Name(number))


def _channel(number: notification_pb2.NotificationChannel.ValueType) -> str:
    from tallystick.v1 import notification_pb2

    return _word(notification_pb2.NotificationChannel.Name(number))


def _state(number: notification_pb2.NotificationState.ValueType) -> str:
    from tallystick.v1 import notification_pb2

    return _word(notification_pb2.NotificationState.Name(number))
