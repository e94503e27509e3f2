"""Every method with every role and with what belongs to another program: nobody reaches beyond their own."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.rpc import code_pb2

from tallystick.core.ids import MemberId, ProgramId
from tallystick.security.keys import generate_signing_key
from tallystick.service.enrolment import canonical_jwk
from tallystick.v1 import options_pb2, store_pb2, webshop_pb2
from tests.rpc.handlers.world import (
    ADMIN,
    APP,
    IMPORTER,
    MANAGER,
    METHODS,
    OTHER,
    PAGE,
    RULES,
    SHOP,
    TILL,
    WEBSHOP,
    WIDGET,
    Caller,
    Refused,
    World,
    basket_of,
    everything_stored,
    message_of,
    new_id,
    origin_of,
)
from tests.service.paper_till import enrolled_till

ROLES = (TILL, WEBSHOP, APP, MANAGER, ADMIN, IMPORTER, WIDGET)
OF_ONE_MEMBER = (APP, WIDGET)
PUBLIC = ("EnrolDevice", "IssueToken")


def roles_of(name: str) -> frozenset[int]:
    return frozenset(METHODS[name].GetOptions().Extensions[options_pb2.allow].roles)


def body_of(name: str, ids: dict[str, str]) -> dict[str, Any]:
    """A well formed request of each method that names what ``ids`` says."""
    member = {"member_id": ids["member"]}
    moved = {**member, "command_id": new_id(), "origin": origin_of()}
    scan = {"assurance": "ASSURANCE_STATIC_CARD"}
    line = [{"line_no": 1, "quantity_milli": 1}]
    jwk = canonical_jwk(generate_signing_key().verify_key)
    text = "x@example.org"
    bodies: dict[str, dict[str, Any]] = {
        "Quote": {**member, **scan, "basket": basket_of(1), "origin": origin_of()},
        "PostSale": {**moved, **scan, "basket": basket_of(1)},
        "Earn": {**moved, **scan, "points": 1, "action_id": "a"},
        "Burn": {**moved, **scan, "points": 1, "reason": "r"},
        "Hold": {**moved, **scan, "spend": {"points": 1}, "ttl_s": 60},
        "Capture": {**moved, "hold_id": ids["command"]},
        "Void": {**moved, "hold_id": ids["command"]},
        "PostReturn": {**moved, "sale_id": ids["command"], "lines": line},
        "PreviewReturn": {**member, "sale_id": ids["command"], "lines": line, "origin": origin_of()},
        "Reverse": {**moved, "reversed_command_id": ids["command"], "reason": "r"},
        "Adjust": {**moved, "points": 1, "reason": "r"},
        "GetDecision": {"command_id": ids["command"]},
        "Identify": {"text": ids["number"], "channel": "CHANNEL_STORE"},
        "Enrol": {"member_id": new_id(), "text": "", "origin": origin_of()},
        "AddIdentifier": {**member, "text": text},
        "RemoveIdentifier": {**member, "identifier_id": "x"},
        "UpdateProfile": {**member, "given_name": "Eve"},
        "CreateEnrolmentCode": {
            "kind": "DEVICE_KIND_TILL",
            "role": "ROLE_TILL",
            "store_id": "s1",
            "label": "x",
        },
        "EnrolDevice": {"code": "0000-0000-0000", "program_id": SHOP, "public_jwk": jwk, "proof": "A" * 86},
        "ConfirmDevice": {"device_id": ids["device"], "fingerprint": "1"},
        "RevokeDevice": {"device_id": ids["device"]},
        "IssueToken": {"client_assertion": "x.y.z"},
        "RotateDeviceKey": {"public_jwk": jwk, "proof": "A" * 86},
        "CreateProgram": {"program_id": "p", "display_name": "P", "clock": "PROGRAM_CLOCK_LIVE"},
        "GetProgram": {"program_id": ids["program"]},
        "ValidateRuleSet": {"text": RULES},
        "PublishRuleSet": {"request_id": new_id(), "text": RULES},
        "PushAdvices": {"epoch": 1, "first_seq": 1},
        "RequestLeases": {"asks": [{**member, "lease_id": new_id()}]},
        "ReturnLease": {**member, "command_id": new_id(), "lease_id": ids["command"]},
        "IssueVoucher": {**member, **scan, "voucher_id": new_id(), "store_id": "s1", "points": 1},
        "RecoverAdvices": {"advices": [{"advice": "AAAA"}]},
        "ResolveInboxItem": {"item_id": ids.get("item", "x"), "action": "INBOX_ACTION_SEEN"},
        "GetExposure": {"store_id": "s1"},
        "ReinstateTill": {"till_id": ids["device"] or new_id()},
        "SetCashier": {"store_id": "s1", "cashier_id": "eva", "label": "Eva", "active": True},
        "ListCashiers": {"store_id": "s1"},
        "CheckPin": {"cashier_id": "eva", "pin": "4711"},
        "CreateCardBatch": {"batch_id": new_id(), "kind": "IDENTIFIER_KIND_NUMBER", "count": 1},
        "ListCards": {"batch_id": ids.get("batch") or new_id()},
        "ReportLost": {**member, "identifier_id": "x"},
        "ReplaceCard": {**member, "identifier_id": "x", "text": ids["number"]},
        "CreateCoupons": {"batch_id": new_id(), "coupon_id": "gift", "member_ids": [ids["member"]]},
        "ListCoupons": member,
        "RevokeCoupons": {"batch_id": ids.get("batch") or new_id()},
        "GetReview": {"review_id": ids.get("review") or new_id()},
        "DecideReview": {"review_id": ids.get("review") or new_id(), "verdict": "REVIEW_VERDICT_REFUSE"},
        "SetStaffMember": {**member, "store_id": "s1", "cashier_id": "eva"},
        "ListStaffMembers": {"store_id": "s1"},
        "ListSegmentMembers": {"segment_id": "regulars"},
        "GetExperiment": {"experiment_id": "try"},
        "GetKpis": {"first_on": "2026-03-01", "last_on": "2026-03-31"},
        "RegisterCardDevice": {**member, "public_jwk": jwk, "label": "Phone"},
        "RenewCredential": {**member, "device_id": ids.get("phone", "A" * 43)},
        "IssueWidgetToken": {**member, "origin": PAGE},
        "CreateClaim": {"claim_id": new_id(), "basket": basket_of(1), "origin": origin_of()},
        "NoteBasket": {**member, "basket_ref": "b-1"},
        "RedeemClaim": {**member, "code": ids.get("claim", "A" * 26)},
        "CancelClaim": {"claim_id": ids["command"] or new_id()},
        "SetWebhook": {
            "webhook_id": "mail",
            "url": "https://93.184.216.34/hook",
            "signing": "WEBHOOK_SIGNING_HMAC",
        },
        "DeleteWebhook": {"webhook_id": "theirs"},
        "ListDeliveries": {"webhook_id": "theirs"},
        "ReplayDeliveries": {"webhook_id": "theirs"},
        "RevokeCardDevice": {**member, "device_id": ids.get("phone", "A" * 43)},
        "SetSpendLock": {**member, "locked": True},
        "SetConsent": {**member, "purpose": "CONSENT_PURPOSE_OFFERS", "channel": "CONSENT_CHANNEL_SMS"},
        "EraseMe": {**member, "session_id": "x", "code": "123456"},
        "FinishAddPasskey": {**member, "session_id": "x", "credential_json": "{}"},
        "RemovePasskey": {**member, "passkey_id": "eA"},
        "RedeemReward": {**moved, **scan, "reward_id": "evening"},
        "CheckRedemption": {**member, "code": "2-2222-2222"},
        "UseRedemption": {**moved, "code": "2-2222-2222"},
        "CheckAccess": {**member, "articles": [{"sku": "A-1"}]},
        "IssueWalletPass": {**member, "wallet": "WALLET_KIND_APPLE"},
        "TransferPoints": {
            **member,
            **scan,
            "transfer_id": new_id(),
            "to_member_id": ids["member"],
            "points": 1,
            "origin": origin_of(),
        },
        "ConvertPoints": {
            **member,
            **scan,
            "transfer_id": new_id(),
            "partner_id": "cinema",
            "to_card": ids["number"] or "1",
            "points": 1,
            "origin": origin_of(),
        },
        "GetTransfer": {"transfer_id": ids["command"]},
        "CreateHousehold": {**member, "household_id": new_id()},
        "AskToJoinHousehold": {**member, "code": "0000000000"},
        "ConfirmHouseholdMember": {**member, "person_id": new_id()},
        "DonatePoints": {**moved, **scan, "project_id": "x", "points": 1},
        "SetPushSubscription": {
            **member,
            "endpoint": "https://push.example/a",
            "p256dh": "A" * 87,
            "auth": "A" * 22,
        },
        "SendTestNotification": {
            "address": "a@b.example",
            "occasion": "NOTIFICATION_OCCASION_AWARD",
        },
    }
    bodies["CreateProgram"]["program_id"] = "made-here"
    lists = ("ListMembers", "ListPrograms", "ListRuleSets", "ListDevices", "GetRuleSet", "ExpirePoints")
    of_notices = ("GetNotificationStats", "ListFailedNotifications", "RetryNotifications")
    if name in (
        *lists,
        *of_notices,
        "GetTotals",
        "GetServerInfo",
        "ListInbox",
        "ListCardBatches",
        "ListWebhooks",
        "ListReviews",
        "ListProjects",
        "ListPartners",
        "ListSegments",
    ):
        return {}
    return bodies.get(name, member)


def theirs(world: World) -> dict[str, str]:
    """A member, a sale and a device of the other program."""
    foreign = Caller(program_id=OTHER)
    member = world.enrol(caller=foreign)
    sale = world.sell(member, 10_000, foreign).posted.entry
    key = generate_signing_key()
    device = world.gateway.enrolment.add_confirmed(
        OTHER, kind=1, role=TILL, store_id="s1", label="Theirs", key=key.verify_key
    )
    till = enrolled_till(world.gateway, program_id=OTHER)
    caller = Caller(program_id=OTHER, device_id=till.device_id)
    world.send(till.batch(till.give_back(member, new_id())), caller)
    (item,) = world.send(store_pb2.ListInboxRequest(), caller).items
    number = world.number_of(member, foreign)
    command = str(sale.command_id)
    phone = registered_phone(world, member, OTHER)
    review = world.gateway.reviews.add(OTHER, "test", MemberId(member), {}, "1")
    assert review is not None
    return {
        "phone": phone,
        "review": review.review_id,
        "item": item.item_id,
        "member": member,
        "command": command,
        "device": device.device_id,
        "number": number,
        "program": OTHER,
    }


def registered_phone(world: World, member: str, program_id: str) -> str:
    """The id of a device that shows a member's code."""
    jwk = canonical_jwk(generate_signing_key().verify_key)
    issued = world.gateway.codes.register(ProgramId(program_id), MemberId(member), jwk, label="Phone")
    return issued.device.kid


def claim_code(world: World) -> str:
    """The code of a guest's sale."""
    body = {"claim_id": new_id(), "basket": basket_of(1), "origin": origin_of()}
    made = world.send(ParseDict(body, webshop_pb2.CreateClaimRequest()), Caller(WEBSHOP))
    return str(made.code)


def outcome(world: World, request: Message, caller: Caller) -> str:
    """What a call came to: OK, a status with its reason, or the refusal in an OK answer."""
    try:
        answer = world.send(request, caller)
    except Refused as refused:
        return f"{code_pb2.Code.Name(refused.code)} {refused.reason}"
    if hasattr(answer, "decision") and answer.decision.HasField("refused"):
        return "REFUSED"
    if getattr(answer, "refusal", "") or any(one.refusal for one in getattr(answer, "answers", ())):
        return "REFUSED"
    for field in ("refused", "not_identified"):
        if any(one.name == field for one in answer.DESCRIPTOR.fields) and answer.HasField(field):
            return "REFUSED"
    return "OK"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_role_that_is_not_listed_may_not_call(world: World, name: str) -> None:
    ids = {"member": new_id(), "command": new_id(), "device": new_id(), "number": "1", "program": SHOP}
    for role in ROLES:
        caller = Caller(role, member_id=ids["member"] if role in OF_ONE_MEMBER else "", web_origin=PAGE)
        got = outcome(world, message_of(name, body_of(name, ids)), caller)
        allowed = name in PUBLIC or role in roles_of(name)
        assert (got == "PERMISSION_DENIED ROLE_NOT_ALLOWED") is not allowed, (role, got)


def test_only_two_methods_are_public() -> None:
    assert sorted(name for name in METHODS if options_pb2.ROLE_PUBLIC in roles_of(name)) == sorted(PUBLIC)


# What names nothing of another program, because it makes something new, lists one's own, or takes a text.
NAMES_NOTHING = frozenset(
    {
        "CreateEnrolmentCode",
        "CheckPin",
        "CreateCardBatch",
        "CreateClaim",
        "CreateProgram",
        "DeleteWebhook",
        "Enrol",
        "ExpirePoints",
        "GetExposure",
        "GetKpis",
        "GetRuleSet",
        "GetServerInfo",
        "GetTotals",
        "ListCardBatches",
        "ListCashiers",
        "ListDevices",
        "ListInbox",
        "ListMembers",
        "ListPartners",
        "ListPrograms",
        "ListReviews",
        "ListProjects",
        "ListRuleSets",
        "ListStaffMembers",
        "ListSegments",
        "ListWebhooks",
        "PublishRuleSet",
        "RecoverAdvices",
        "RotateDeviceKey",
        "SetCashier",
        "SetWebhook",
        "ValidateRuleSet",
        "GetNotificationStats",
        "ListFailedNotifications",
        "RetryNotifications",
        "SendTestNotification",
    }
)
REFUSED_AS_UNKNOWN = frozenset(
    {
        "Quote",
        "PostSale",
        "Earn",
        "Burn",
        "Hold",
        "Capture",
        "Void",
        "PostReturn",
        "PreviewReturn",
        "Reverse",
        "Adjust",
        "Identify",
        "IssueVoucher",
        "RedeemClaim",
        "RedeemReward",
        "RequestLeases",
        "ConvertPoints",
        "DonatePoints",
        "TransferPoints",
    }
)


@pytest.mark.parametrize("name", sorted(set(METHODS) - NAMES_NOTHING - set(PUBLIC)))
def test_what_belongs_to_another_program_is_not_there(world: World, name: str) -> None:
    ids = theirs(world)
    before = everything_stored(world.store).count(ids["member"])
    for role in sorted(roles_of(name)):
        request = message_of(name, body_of(name, ids))
        member = new_id() if role in OF_ONE_MEMBER else ""
        got = outcome(world, request, Caller(role, member_id=member, web_origin=PAGE))
        unknown = "REFUSED" if name in REFUSED_AS_UNKNOWN and role not in OF_ONE_MEMBER else "NOT_FOUND"
        assert got.startswith(unknown), (role, got)
    foreign = Caller(ADMIN, program_id=OTHER)
    assert world.balance(ids["member"], foreign).active == 100
    after = everything_stored(world.store).count(ids["member"])
    assert after >= before


# What a member's own call comes to where it is not OK: neither wallets nor push are set up here, no such session, an
# unknown device, no household.
OWN = {
    "IssueWalletPass": "FAILED_PRECONDITION WALLET_OFF",
    "EraseMe": "REFUSED",
    "IssueVoucher": "REFUSED",
    "Earn": "PERMISSION_DENIED ACTION_NOT_ALLOWED",
    "RedeemReward": "REFUSED",
    "FinishAddPasskey": "REFUSED",
    "GetPushKey": "FAILED_PRECONDITION PUSH_OFF",
    "SetPushSubscription": "FAILED_PRECONDITION PUSH_OFF",
    "TransferPoints": "REFUSED",
    "DonatePoints": "REFUSED",
    "ConvertPoints": "REFUSED",
    "GetTransfer": "NOT_FOUND TRANSFER_NOT_FOUND",
    "InviteToHousehold": "FAILED_PRECONDITION HOUSEHOLD_CONFLICT",
    "AskToJoinHousehold": "PERMISSION_DENIED INVITATION_INVALID",
    "ConfirmHouseholdMember": "FAILED_PRECONDITION HOUSEHOLD_CONFLICT",
}


@pytest.mark.parametrize(
    ("name", "role"),
    sorted((name, role) for name in METHODS for role in OF_ONE_MEMBER if role in roles_of(name)),
)
def test_an_app_and_a_widget_reach_their_own_member_and_no_other(world: World, name: str, role: int) -> None:
    own, other = world.enrol(), world.enrol()
    world.sell(own, 10_000)
    app = Caller(role, store_id="", member_id=own, web_origin=PAGE)
    for member, expected in ((own, OWN.get(name, "OK")), (other, "NOT_FOUND MEMBER_NOT_FOUND")):
        ids = {"member": member, "command": new_id(), "device": "", "number": "", "program": SHOP}
        ids["phone"] = registered_phone(world, member, SHOP)
        ids["claim"] = claim_code(world)
        names_member = "member_id" in METHODS[name].input_type.fields_by_name
        got = outcome(world, message_of(name, body_of(name, ids)), app)
        assert got == (expected if names_member else OWN.get(name, "OK"))


@pytest.mark.parametrize(
    "name",
    [
        "ListMembers",
        "ListDevices",
        "ListPrograms",
        "GetTotals",
        "ListReviews",
        "ListRuleSets",
        "ListInbox",
        "GetExposure",
    ],
)
def test_lists_and_sums_hold_nothing_of_another_program(world: World, name: str) -> None:
    ids = theirs(world)
    answer = str(world.send(message_of(name, body_of(name, ids)), Caller(ADMIN)))
    assert ids["member"] not in answer
    assert ids["device"] not in answer
    assert OTHER not in answer
    assert "100" not in answer
