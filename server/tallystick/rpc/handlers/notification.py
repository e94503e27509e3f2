"""NotificationService: what members are told, where push messages go, and what became of the messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from tallystick.core.ids import Ms
from tallystick.rpc.call import Call
from tallystick.rpc.convert.notifications import (
    notification_to_pb,
    occasion_from_pb,
    shown_to_pb,
    stats_to_pb,
)
from tallystick.rpc.convert.pages import Mark as PageMark
from tallystick.rpc.convert.pages import PageTokens, page_size
from tallystick.rpc.handlers.access import visible_member
from tallystick.service.errors import FailedPrecondition
from tallystick.service.gateway import Gateway
from tallystick.service.notices import Carried, Carrier, Recipient
from tallystick.service.notification_ports import Notification, Way
from tallystick.service.notifications import Mark
from tallystick.v1 import notification_pb2 as pb

NO_CARRIERS: Mapping[Way, Carrier] = {}


class NotificationHandlers:
    """Answers NotificationService. ``carriers`` send messages on trial, by channel."""

    def __init__(
        self, gateway: Gateway, pages: PageTokens, *, carriers: Mapping[Way, Carrier] = NO_CARRIERS
    ) -> None:
        self._notifications = gateway.notifications
        self._pool = gateway.pool
        self._pages = pages
        self._carriers = carriers

    async def get_push_key(self, request: pb.GetPushKeyRequest, call: Call) -> pb.GetPushKeyResponse:
        caller, member_id = call.caller, visible_member(call.caller, request.member_id)
        key = self._notifications.push_key()
        has = await self._pool.run(
            self._notifications.has_push, caller.program_id, member_id, caller.device_id
        )
        return pb.GetPushKeyResponse(application_server_key=key, subscribed=has)

    async def set_push_subscription(
        self, request: pb.SetPushSubscriptionRequest, call: Call
    ) -> pb.SetPushSubscriptionResponse:
        caller = call.caller
        await self._pool.run(
            self._notifications.set_push,
            caller.program_id,
            visible_member(caller, request.member_id),
            caller.device_id,
            endpoint=request.endpoint,
            p256dh=request.p256dh,
            auth=request.auth,
        )
        return pb.SetPushSubscriptionResponse()

    async def remove_push_subscription(
        self, request: pb.RemovePushSubscriptionRequest, call: Call
    ) -> pb.RemovePushSubscriptionResponse:
        caller, member_id = call.caller, visible_member(call.caller, request.member_id)
        await self._pool.run(self._notifications.remove_push, caller.program_id, member_id, caller.device_id)
        return pb.RemovePushSubscriptionResponse()

    async def list_notifications(
        self, request: pb.ListNotificationsRequest, call: Call
    ) -> pb.ListNotificationsResponse:
        program_id, member_id = call.caller.program_id, visible_member(call.caller, request.member_id)
        scope = ("ListNotifications", program_id, member_id)
        marks, limit = self._pages.read(scope, request.page_token), page_size(request.page_size)
        found = await self._pool.run(
            self._notifications.list_of,
            program_id,
            member_id,
            language=request.language_code,
            before=_before(marks),
            limit=limit,
        )
        response = pb.ListNotificationsResponse(notifications=map(shown_to_pb, found))
        if len(found) == limit:
            response.next_page_token = self._pages.make(scope, _mark(found[-1].note))
        return response

    async def get_notification_stats(
        self, request: pb.GetNotificationStatsRequest, call: Call
    ) -> pb.GetNotificationStatsResponse:
        del request
        counts = await self._pool.run(self._notifications.counts, call.caller.program_id)
        return stats_to_pb(counts, self._notifications.ways)

    async def list_failed_notifications(
        self, request: pb.ListFailedNotificationsRequest, call: Call
    ) -> pb.ListFailedNotificationsResponse:
        program_id = call.caller.program_id
        scope = ("ListFailedNotifications", program_id)
        marks, limit = self._pages.read(scope, request.page_token), page_size(request.page_size)
        found = await self._pool.run(
            self._notifications.failed, program_id, before=_before(marks), limit=limit
        )
        response = pb.ListFailedNotificationsResponse(notifications=map(notification_to_pb, found))
        if len(found) == limit:
            response.next_page_token = self._pages.make(scope, _mark(found[-1]))
        return response

    async def retry_notifications(
        self, request: pb.RetryNotificationsRequest, call: Call
    ) -> pb.RetryNotificationsResponse:
        way = Way(request.channel) if request.channel else None
        retried = await self._pool.run(self._notifications.retry, call.caller.program_id, way)
        return pb.RetryNotificationsResponse(retried=retried)

    async def send_test_notification(
        self, request: pb.SendTestNotificationRequest, call: Call
    ) -> pb.SendTestNotificationResponse:
        is_mail = "@" in request.address
        carrier = self._carriers.get(Way.EMAIL if is_mail else Way.SMS)
        if carrier is None:
            _refuse_channel("email" if is_mail else "sms")
        notice = await self._pool.run(
            self._notifications.example,
            call.caller.program_id,
            occasion_from_pb(request.occasion),
            language=request.language_code,
        )
        recipient = Recipient(email=request.address) if is_mail else Recipient(phone=request.address)
        outcome = await carrier.send(notice, recipient)
        return pb.SendTestNotificationResponse(
            sent=outcome.carried is Carried.SENT,
            answer=outcome.answer,
            title=notice.title,
            text=notice.text,
        )


def _refuse_channel(channel: str) -> NoReturn:
    setting = {"email": "smtp_host", "sms": "sms_url"}[channel]
    raise FailedPrecondition(
        f"Messages cannot go by {channel}.", mend=f"Set {setting}.", reason="CHANNEL_OFF", channel=channel
    )


def _before(marks: tuple[PageMark, ...]) -> Mark | None:
    return (Ms(int(marks[0])), str(marks[1])) if marks else None


def _mark(note: Notification) -> list[PageMark]:
    return [note.made_ms, note.notification_id]
