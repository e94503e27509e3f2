"""How a user of the shop becomes a member: by a mail to the account's address, or by a code that the card shows."""

from __future__ import annotations

from typing import Any

from django.core import signing
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse

from tallystick_oscar import conf
from tallystick_oscar.gateway import calling
from tallystick_oscar.models import Joining, MemberLink
from tallystick_webshop import Assurance, Member, Refused, new_id

SALT = "tallystick_oscar.linking"
LINK_S = 3600
"""How long the link in the mail is good for, in seconds."""


class NotLinked(Exception):
    """Why a user is not a member now: ``reason`` is a stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def send_link(request: Any) -> None:
    """Send the mail that proves whose address the account has."""
    user = request.user
    token = signing.dumps({"user": user.pk, "email": user.email}, salt=SALT)
    context = {
        "user": user,
        "link": request.build_absolute_uri(reverse("tallystick:confirm", args=[token])),
        "minutes": LINK_S // 60,
    }
    send_mail(
        render_to_string("tallystick_oscar/mail/link_subject.txt", context).strip(),
        render_to_string("tallystick_oscar/mail/link_body.txt", context),
        None,
        [user.email],
    )


def confirm(user: Any, token: str) -> MemberLink:
    """Link a user who has opened the mail. Raises NotLinked, or what the gateway says."""
    try:
        told = signing.loads(token, salt=SALT, max_age=LINK_S)
    except signing.SignatureExpired:
        raise NotLinked("expired") from None
    except signing.BadSignature:
        raise NotLinked("damaged") from None
    if not isinstance(told, dict) or told.get("user") != user.pk or told.get("email") != user.email:
        raise NotLinked("other_account")
    return join(user)


def join(user: Any) -> MemberLink:
    """Link a user to the member with the account's address, or make one. The address must be known to be theirs."""
    with calling(patient=True) as shop:
        found = shop.member(email=user.email)
        if found is not None:
            return link(user, found)
        joining, _made = Joining.objects.get_or_create(user=user, defaults={"member_id": new_id()})
        try:
            made = shop.enrol_member(str(joining.member_id), email=user.email)
        except Refused as error:
            if error.reason != "TAKEN":
                raise
            # Somebody else was faster with this very address: then it is a member by now.
            found = shop.member(email=user.email)
            if found is None:
                raise
            return link(user, found)
    linked = _link(user, made.member_id)
    Joining.objects.filter(user=user).delete()
    return linked


def by_code(user: Any, text: str) -> MemberLink:
    """Link a user by the code that their card or their wallet shows now. Raises NotLinked, or what the gateway says.

    What can be read off a plastic card proves little, so it has to be a code that is signed.
    """
    with calling(patient=True) as shop:
        found = shop.member(code=text)
    if found is None:
        raise NotLinked("unknown")
    if found.assurance < Assurance.SERVER_CODE:
        raise NotLinked("no_proof")
    return link(user, found)


def link(user: Any, member: Member) -> MemberLink:
    """Link a user to a member who was identified with proof."""
    if member.blocked:
        raise NotLinked("blocked")
    return _link(user, member.member_id)


def _link(user: Any, member_id: str) -> MemberLink:
    linked, made = MemberLink.objects.get_or_create(user=user, defaults={"member_id": member_id})
    if not made and str(linked.member_id) != member_id:
        raise NotLinked("linked_already")
    return linked


def is_confirmed(user: Any) -> bool:
    """Say whether the shop itself knows that the account's address is the user's own."""
    confirmed = conf.load("TALLYSTICK_EMAIL_CONFIRMED")
    return bool(confirmed is not None and confirmed(user))
