"""The contract's services, each with the object that answers it."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.rpc.convert.pages import PageTokens
from tallystick.rpc.handlers.admin import AdminHandlers
from tallystick.rpc.handlers.app import AppHandlers
from tallystick.rpc.handlers.cards import CardHandlers
from tallystick.rpc.handlers.coupons import CouponHandlers
from tallystick.rpc.handlers.identity import IdentityHandlers
from tallystick.rpc.handlers.insight import InsightHandlers
from tallystick.rpc.handlers.ledger import LedgerHandlers
from tallystick.rpc.handlers.member import MemberHandlers
from tallystick.rpc.handlers.member_code import CodeHandlers
from tallystick.rpc.handlers.notification import NO_CARRIERS, NotificationHandlers
from tallystick.rpc.handlers.reviews import ReviewHandlers
from tallystick.rpc.handlers.rewards import RewardHandlers
from tallystick.rpc.handlers.sharing import SharingHandlers
from tallystick.rpc.handlers.sign_in import PasskeyHandlers, SignInHandlers
from tallystick.rpc.handlers.store import StoreHandlers
from tallystick.rpc.handlers.till import TillHandlers
from tallystick.rpc.handlers.webhooks import WebhookHandlers
from tallystick.rpc.handlers.webshop import WebshopHandlers
from tallystick.rpc.service import Service
from tallystick.service.gateway import Gateway
from tallystick.service.notices import Carrier
from tallystick.service.notification_ports import Way
from tallystick.service.pass_maker import PassMaker
from tallystick.v1 import (
    admin_pb2,
    app_pb2,
    card_pb2,
    coupon_pb2,
    identity_pb2,
    insight_pb2,
    ledger_pb2,
    member_code_pb2,
    member_pb2,
    notification_pb2,
    review_pb2,
    reward_pb2,
    sharing_pb2,
    store_pb2,
    till_pb2,
    webshop_pb2,
)


class CardAppHandlers(AppHandlers, PasskeyHandlers):
    """Answers AppService whole."""


def services(
    gateway: Gateway, *, passes: PassMaker | None = None, carriers: Mapping[Way, Carrier] = NO_CARRIERS
) -> list[Service]:
    """Return all services on a gateway, for the adapters to serve.

    ``passes`` makes passes for wallets; ``carriers`` send messages on trial, by channel.
    """
    pages = PageTokens(lambda: gateway.keys().blind_index_key)
    ledger = LedgerHandlers(gateway, pages)
    return [
        Service(ledger_pb2.DESCRIPTOR.services_by_name["LedgerService"], ledger),
        Service(
            identity_pb2.DESCRIPTOR.services_by_name["IdentityService"], IdentityHandlers(gateway, ledger)
        ),
        Service(member_pb2.DESCRIPTOR.services_by_name["MemberService"], MemberHandlers(gateway, pages)),
        Service(member_code_pb2.DESCRIPTOR.services_by_name["CodeService"], CodeHandlers(gateway)),
        Service(app_pb2.DESCRIPTOR.services_by_name["SignInService"], SignInHandlers(gateway)),
        Service(till_pb2.DESCRIPTOR.services_by_name["TillService"], TillHandlers(gateway, pages)),
        Service(store_pb2.DESCRIPTOR.services_by_name["StoreService"], StoreHandlers(gateway, pages)),
        Service(card_pb2.DESCRIPTOR.services_by_name["CardService"], CardHandlers(gateway, pages)),
        Service(app_pb2.DESCRIPTOR.services_by_name["AppService"], CardAppHandlers(gateway, passes=passes)),
        Service(coupon_pb2.DESCRIPTOR.services_by_name["CouponService"], CouponHandlers(gateway, pages)),
        Service(reward_pb2.DESCRIPTOR.services_by_name["RewardService"], RewardHandlers(gateway, ledger)),
        Service(insight_pb2.DESCRIPTOR.services_by_name["InsightService"], InsightHandlers(gateway, pages)),
        Service(webshop_pb2.DESCRIPTOR.services_by_name["WebshopService"], WebshopHandlers(gateway, ledger)),
        Service(webshop_pb2.DESCRIPTOR.services_by_name["WebhookService"], WebhookHandlers(gateway, pages)),
        Service(
            review_pb2.DESCRIPTOR.services_by_name["ReviewService"], ReviewHandlers(gateway, ledger, pages)
        ),
        Service(sharing_pb2.DESCRIPTOR.services_by_name["SharingService"], SharingHandlers(gateway, ledger)),
        Service(
            notification_pb2.DESCRIPTOR.services_by_name["NotificationService"],
            NotificationHandlers(gateway, pages, carriers=carriers),
        ),
        Service(admin_pb2.DESCRIPTOR.services_by_name["AdminService"], AdminHandlers(gateway, pages)),
    ]
