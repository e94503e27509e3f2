"""What the shop itself remembers of rewards: who is a member, what is on hold, what was sold, what is to be posted."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class MemberLink(models.Model):
    """A user of the shop who is a member of the program. Two users may share a membership, as a household does."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="tallystick_link",
        verbose_name=_("User"),
    )
    member_id = models.UUIDField(_("Member id"), db_index=True)
    created_at = models.DateTimeField(_("Linked at"), default=timezone.now)

    class Meta:
        verbose_name = _("Member link")
        verbose_name_plural = _("Member links")

    def __str__(self) -> str:
        return str(self.member_id)


class Joining(models.Model):
    """A user who is about to join: the member id that was minted, so that a repetition makes no second member."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    member_id = models.UUIDField()

    class Meta:
        verbose_name = _("Joining")
        verbose_name_plural = _("Joinings")

    def __str__(self) -> str:
        return str(self.member_id)


class Checkout(models.Model):
    """Points reserved for one basket. Its key is the hold's id, stored before the gateway is asked.

    HOLDING -> HELD -> PLACED, or -> DROPPED when the customer does not buy after all, or -> LAPSED when the time of
    the hold was over. A state changes by a conditional update, so of a placing and a dropping exactly one wins.
    """

    class State(models.TextChoices):
        """How far it has come."""

        HOLDING = "holding", _("Asking for a hold")
        HELD = "held", _("On hold")
        PLACED = "placed", _("Ordered")
        DROPPED = "dropped", _("Given back")
        LAPSED = "lapsed", _("Run out")

    OPEN = (State.HOLDING, State.HELD)

    hold_id = models.UUIDField(_("Hold id"), primary_key=True)
    basket_id = models.BigIntegerField(_("Basket"), db_index=True)
    member_id = models.UUIDField(_("Member id"))
    state = models.CharField(_("State"), max_length=8, choices=State.choices, default=State.HOLDING)
    fingerprint = models.CharField(_("Fingerprint of the basket"), max_length=64)
    points = models.BigIntegerField(_("Points"), default=0)
    discount_minor = models.BigIntegerField(_("Discount in minor units"), default=0)
    # What the hold answered: per line the discount, and the price without tax after it, in minor units.
    line_discounts = models.JSONField(default=list)
    line_nets = models.JSONField(default=list)
    basket_json = models.JSONField(default=dict)
    choice_json = models.JSONField(default=dict)
    created_at = models.DateTimeField(_("Made at"), default=timezone.now)
    expires_at = models.DateTimeField(_("Held until"), null=True)

    class Meta:
        verbose_name = _("Checkout")
        verbose_name_plural = _("Checkouts")
        constraints = [
            models.UniqueConstraint(
                fields=["basket_id"],
                condition=models.Q(state__in=["holding", "held"]),
                name="tallystick_one_open_checkout",
            )
        ]

    def __str__(self) -> str:
        return str(self.hold_id)

    def move(self, to: Any, *since: Any) -> bool:
        """Change the state if it is one of ``since``; say whether this call did it."""
        moved = Checkout.objects.filter(pk=self.pk, state__in=since).update(state=to)
        if moved:
            self.state = to
        return bool(moved)


class Wanting(models.Model):
    """Something that a user has changed and the gateway is to hear of, once it has been quiet until ``due_at``."""

    class Kind(models.TextChoices):
        """What it is."""

        WISHES = "wishes", _("Wish list")
        BASKET = "basket", _("Basket")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(_("Kind"), max_length=8, choices=Kind.choices)
    changed_at = models.DateTimeField(_("Changed at"))
    due_at = models.DateTimeField(_("Told at"), db_index=True)

    class Meta:
        verbose_name = _("Change to be told")
        verbose_name_plural = _("Changes to be told")
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="tallystick_one_change")]

    def __str__(self) -> str:
        return f"{self.kind} {self.user_id}"


class OrderSale(models.Model):
    """What an order is to the program: the sale it became, or the claim that a guest may redeem."""

    order = models.OneToOneField("order.Order", on_delete=models.CASCADE, related_name="tallystick_sale")
    # The id of the sale in the ledger; of a guest's order, the claim's, which is the sale's from then on.
    sale_id = models.UUIDField(_("Sale id"), unique=True)
    member_id = models.UUIDField(_("Member id"), null=True)
    points = models.BigIntegerField(_("Points used"), default=0)
    discount_minor = models.BigIntegerField(_("Discount in minor units"), default=0)
    earned_points = models.BigIntegerField(_("Points earned"), null=True)
    # The basket as it was told to the gateway, and which line of the order each of its lines is.
    basket_json = models.JSONField(default=dict)
    line_ids = models.JSONField(default=list)
    # Whether the gateway was asked to keep a guest's order, so that it may know the id.
    claim_sent = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("Sale")
        verbose_name_plural = _("Sales")

    def __str__(self) -> str:
        return str(self.sale_id)

    @property
    def is_claim(self) -> bool:
        """Whether it waits for a guest."""
        return self.member_id is None


class Posting(models.Model):
    """Something that the gateway has to hear, written in the transaction that made it true.

    Its key is the command's id, so however often it is sent it takes effect once. Postings of one order are sent in the
    order of ``seq``; those that nothing has decided yet are sent again with growing pauses.
    """

    class State(models.TextChoices):
        """What became of it."""

        WAITING = "waiting", _("To be posted")
        POSTED = "posted", _("Posted")
        REFUSED = "refused", _("Refused")

    seq = models.BigAutoField(primary_key=True)
    command_id = models.UUIDField(_("Command id"), unique=True)
    kind = models.CharField(_("Kind"), max_length=16)
    intent = models.TextField(_("What is posted"))
    sale = models.ForeignKey(OrderSale, null=True, on_delete=models.SET_NULL, related_name="postings")
    checkout = models.ForeignKey(Checkout, null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(_("State"), max_length=8, choices=State.choices, default=State.WAITING)
    tries = models.PositiveIntegerField(_("Tries"), default=0)
    due_at = models.DateTimeField(_("Next try"), default=timezone.now)
    created_at = models.DateTimeField(_("Made at"), default=timezone.now)
    posted_at = models.DateTimeField(_("Answered at"), null=True)
    reason = models.CharField(_("Reason"), max_length=64, blank=True)
    message = models.CharField(_("Message"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("Posting")
        verbose_name_plural = _("Postings")
        indexes = [models.Index(fields=["state", "due_at"], name="tallystick_due")]

    def __str__(self) -> str:
        return f"{self.kind} {self.command_id}"
