"""A webshop's line to its gateway.

    with Shop.open("/var/lib/shop/loyalty") as shop:
        quote = shop.quote(member_id, basket, points="max")

Ids of sales, holds, voids, returns, claims and members are the caller's: make each with `new_id()` and store it with
the order before the call. After a crash or without an answer the same call with the same id is safe: it takes effect
once and answers what was decided first. The same id with other content is refused with COMMAND_ID_REUSED.

Calls raise Refused, Away, NotAllowed or BadRequest, see `tallystick_webshop.errors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tallystick.core.basket import Assurance
from tallystick.security.device_profile import (
    Profile,
    ProfileDamaged,
    ProfileMissing,
    read_profile,
)
from tallystick.security.keys import SigningKey
from tallystick.v1 import (
    app_pb2,
    app_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    types_pb2,
    webshop_pb2,
    webshop_pb2_grpc,
)
from tallystick_webshop import answers
from tallystick_webshop.basket import Article, Basket, Points, ReturnLine, is_whole, spend_to_pb
from tallystick_webshop.connection import DEADLINE_S, Connection, enrol
from tallystick_webshop.errors import BadRequest
from tallystick_webshop.posting import SIGNED_IN, Posting, assurance_to_pb, origin_to_pb, time_to_pb
from tallystick_webshop.results import (
    Balance,
    Card,
    Claim,
    Earned,
    Enrolment,
    Held,
    HoldRef,
    Member,
    Movement,
    NewMember,
    Opening,
    Quote,
    Returned,
    ReturnEffects,
    Sale,
    Voided,
    WidgetToken,
    Wish,
)

HOLD_TTL_S: Final = 900
TTL_MAX_S: Final = 2_592_000
STATEMENT_MAX: Final = 100
ARTICLES_MAX: Final = 100


class Shop:
    """One connection of one webshop; safe to use from several threads, one per process (open it after a fork)."""

    def __init__(self, profile: Profile, key: SigningKey, *, deadline_s: float = DEADLINE_S) -> None:
        self.profile = profile
        self._connection = Connection(profile, key, deadline_s=deadline_s)
        self._call = self._connection.call
        channel = self._connection.channel
        self._ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
        self._identity = identity_pb2_grpc.IdentityServiceStub(channel)
        self._webshop = webshop_pb2_grpc.WebshopServiceStub(channel)
        self._app = app_pb2_grpc.AppServiceStub(channel)

    @classmethod
    def open(cls, directory: str | Path, *, server: str = "", deadline_s: float = DEADLINE_S) -> Self:
        """Open the shop that was enrolled in a directory (`Shop.enrol`, or a profile of `tallystick device enrol`).

        ``server`` overrules the profile's address. Nothing is sent: a gateway that is away is met by the first call.
        """
        try:
            profile, key = read_profile(Path(directory))
        except ProfileMissing as error:
            raise BadRequest(str(error), mend="enrol the shop with Shop.enrol, or correct the path") from None
        except ProfileDamaged as error:
            raise BadRequest(str(error), mend="empty the directory and enrol the shop again") from error
        return cls(replace(profile, server=server or profile.server), key, deadline_s=deadline_s)

    @staticmethod
    def enrol(
        directory: str | Path, *, server: str, program_id: str, code: str, issuer: str, tls_ca: str = ""
    ) -> Enrolment:
        """Make this shop's key in a directory and register it with a manager's one-time code.

        Show the fingerprint to the manager, who confirms it; then `open` works. Repeating it with the same code is
        safe: the key is made once.
        """
        return enrol(
            Path(directory), server=server, program_id=program_id, code=code, issuer=issuer, tls_ca=tls_ca
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    # Members

    def member(
        self, *, number: str = "", email: str = "", phone: str = "", code: str = "", region: str = ""
    ) -> Member | None:
        """Identify a member by exactly one of these; None when nobody has it.

        ``code`` is what a scanner read off a card or a phone; it counts once, so that it is sent once. ``region`` is
        the country (two capital letters) of a telephone number without a country code. What a buyer merely typed
        proves nothing: its assurance lets the member earn, and not burn.
        """
        given = [
            (kind, text) for kind, text in zip(_KINDS, (number, email, phone, code), strict=True) if text
        ]
        if len(given) != 1:
            raise BadRequest(f"{len(given)} ways to identify a member", mend="give exactly one")
        ((kind, text),) = given
        request = identity_pb2.IdentifyRequest(
            text=text, kind=kind, region=region, channel=types_pb2.CHANNEL_WEBSHOP
        )
        found = self._call(self._identity.Identify, request, once=bool(code))
        if found.HasField("identified"):
            return answers.member_of(found.identified)
        if found.not_identified.reason == identity_pb2.IDENTITY_REFUSAL_REASON_UNKNOWN:
            return None
        raise answers.identity_refused_of(found.not_identified)

    def enrol_member(
        self, member_id: str, *, email: str = "", phone: str = "", card: str = "", region: str = ""
    ) -> NewMember:
        """Make a member of one field, or of none: they get a number in any case. ``member_id`` is yours.

        Refused with TAKEN when somebody else has the address, the telephone or the card.
        """
        kinds = (_KINDS[1], _KINDS[2], identity_pb2.IDENTIFIER_KIND_UNSPECIFIED)
        given = [(kind, text) for kind, text in zip(kinds, (email, phone, card), strict=True) if text]
        if len(given) > 1:
            raise BadRequest("several fields to join with", mend="give one")
        kind, text = given[0] if given else (identity_pb2.IDENTIFIER_KIND_UNSPECIFIED, "")
        request = identity_pb2.EnrolRequest(
            member_id=member_id, text=text, kind=kind, region=region, origin=origin_to_pb("", None)
        )
        made = self._call(self._identity.Enrol, request)
        if made.HasField("refused"):
            raise answers.identity_refused_of(made.refused)
        return answers.new_member_of(made.enrolled)

    def balance(self, member_id: str) -> Balance:
        """Return what a member has now."""
        found = self._call(self._ledger.GetBalance, ledger_pb2.GetBalanceRequest(member_id=member_id))
        return answers.balance_of(found.balance, found.active_worth)

    def statement(self, member_id: str, *, limit: int = 20, language: str = "") -> tuple[Movement, ...]:
        """Return a member's newest movements of points, 1 to 100 of them; ``language`` (BCP 47) is that of why."""
        if not 1 <= limit <= STATEMENT_MAX:
            raise BadRequest(f"a statement of {limit}", mend=f"ask for 1 to {STATEMENT_MAX}")
        request = ledger_pb2.ListEntriesRequest(member_id=member_id, page_size=limit, language_code=language)
        return tuple(map(answers.movement_of, self._call(self._ledger.ListEntries, request).entries))

    def card(self, member_id: str) -> Card:
        """Return what an account page shows of a member: points, ladder, rewards, coupons, what expires."""
        return answers.card_of(
            self._call(self._app.GetCard, app_pb2.GetCardRequest(member_id=member_id)).card
        )

    def widget_token(self, member_id: str, origin: str) -> WidgetToken:
        """Buy a token for the page of a member who is signed in. ``origin`` is the page's: "https://shop.example"."""
        request = webshop_pb2.IssueWidgetTokenRequest(member_id=member_id, origin=origin)
        sold = self._call(self._webshop.IssueWidgetToken, request)
        return WidgetToken(sold.access_token, sold.expires_in_s)

    def openings(self, articles: Sequence[Article], *, member_id: str = "") -> tuple[Opening, ...]:
        """Say which articles may be sold to a member now, or to a guest: up to 100, answered in their order."""
        if not 1 <= len(articles) <= ARTICLES_MAX:
            raise BadRequest(f"{len(articles)} articles", mend=f"ask about 1 to {ARTICLES_MAX}")
        asked = [
            webshop_pb2.AccessArticle(sku=one.sku, categories=one.categories, brand=one.brand)
            for one in articles
        ]
        request = webshop_pb2.CheckAccessRequest(member_id=member_id, articles=asked)
        return tuple(map(answers.opening_of, self._call(self._webshop.CheckAccess, request).articles))

    def earn(self, earn_id: str, member_id: str, action: str, *, subject: str = "") -> Earned:
        """Post the points of an action of the rule set, such as a review of the article ``subject``.

        Store ``earn_id`` before this call. Refused with ACTION_UNKNOWN, ACTION_LIMIT or ACTION_NOT_NOW.
        """
        request = ledger_pb2.EarnRequest(
            command_id=earn_id,
            member_id=member_id,
            action_id=action,
            subject=subject,
            assurance=assurance_to_pb(SIGNED_IN),
            origin=origin_to_pb("", None),
        )
        return answers.earned_of(self._call(self._ledger.Earn, request).decision)

    # What a member wants

    def set_consent(
        self, member_id: str, *, granted: bool, purpose: str = "reminders", channel: str = "email"
    ) -> None:
        """Note a member's yes or no to messages: points, offers, personal, reminders, by email, sms or push."""
        try:
            request = app_pb2.SetConsentRequest(
                member_id=member_id,
                purpose=app_pb2.ConsentPurpose.Value(f"CONSENT_PURPOSE_{purpose.upper()}"),
                channel=app_pb2.ConsentChannel.Value(f"CONSENT_CHANNEL_{channel.upper()}"),
                granted=granted,
            )
        except ValueError:
            raise BadRequest(
                f"a consent to {purpose} by {channel}",
                mend="give one of points, offers, personal, reminders, and one of email, sms, push",
            ) from None
        self._call(self._app.SetConsent, request)

    def set_wish_list(self, member_id: str, wishes: Sequence[Wish]) -> bool:
        """Replace a member's wish list, at most 50 articles; False when the member wants no reminders: none is kept."""
        items = [
            webshop_pb2.WishItem(sku=one.sku, name=one.name, wished_at=time_to_pb(one.wished_at))
            for one in wishes
        ]
        request = webshop_pb2.SetWishListRequest(member_id=member_id, items=items)
        return bool(self._call(self._webshop.SetWishList, request).kept)

    def wish_list(self, member_id: str) -> tuple[Wish, ...]:
        """Return a member's wish list in its order."""
        request = webshop_pb2.GetWishListRequest(member_id=member_id)
        return tuple(map(answers.wish_of, self._call(self._webshop.GetWishList, request).items))

    def note_basket(
        self,
        member_id: str,
        basket_ref: str,
        basket: Basket | None,
        *,
        at: datetime | None = None,
        page_url: str = "",
    ) -> bool:
        """Say what a member has in the basket, None when it was emptied, so that it can be reminded of once.

        ``at`` is when the member changed it, ``page_url`` where it is found again. An order needs no call: the gateway
        sees its sale. Returns whether it is kept: not when the member wants no reminders or has ordered since.
        """
        request = webshop_pb2.NoteBasketRequest(
            member_id=member_id,
            basket_ref=basket_ref,
            basket=None if basket is None else basket.to_pb(),
            seen_at=time_to_pb(at),
            page_url=page_url,
        )
        return bool(self._call(self._webshop.NoteBasket, request).kept)

    # The checkout

    def quote(
        self,
        member_id: str,
        basket: Basket,
        *,
        points: Points = None,
        rewards: Sequence[str] = (),
        coupons: Sequence[str] = (),
        assurance: Assurance = SIGNED_IN,
        language: str = "",
    ) -> Quote:
        """Say what the sale of a basket would do. Nothing is reserved: hold before you take money.

        ``language`` (BCP 47, such as "sv") is that of why, and of the text of a refusal.
        """
        request = ledger_pb2.QuoteRequest(
            member_id=member_id,
            basket=basket.to_pb(),
            spend=spend_to_pb(points),
            reward_ids=rewards,
            coupon_codes=coupons,
            assurance=assurance_to_pb(assurance),
            origin=origin_to_pb("", None),
            language_code=language,
        )
        return answers.quote_of(self._call(self._ledger.Quote, request))

    def hold(
        self,
        hold_id: str,
        member_id: str,
        basket: Basket,
        *,
        points: Points = None,
        rewards: Sequence[str] = (),
        coupons: Sequence[str] = (),
        ttl_s: int = HOLD_TTL_S,
        order: str = "",
        assurance: Assurance = SIGNED_IN,
    ) -> Held:
        """Reserve the points, rewards and coupons of a basket for ``ttl_s`` seconds, before the buyer pays.

        Store ``hold_id`` with the order before this call. What is neither captured nor voided runs out by itself.
        """
        spend = spend_to_pb(points)
        if spend is None and not rewards and not coupons:
            raise BadRequest("a hold of nothing", mend="give points, rewards or coupons; else use `sell`")
        if not is_whole(ttl_s) or not 1 <= ttl_s <= TTL_MAX_S:
            raise BadRequest(f"a hold for {ttl_s!r} seconds", mend=f"give 1 to {TTL_MAX_S}")
        request = ledger_pb2.HoldRequest(
            command_id=hold_id,
            member_id=member_id,
            basket=basket.to_pb(),
            spend=spend,
            reward_ids=rewards,
            coupon_codes=coupons,
            ttl_s=ttl_s,
            assurance=assurance_to_pb(assurance),
            origin=origin_to_pb(order, None),
        )
        return answers.held_of(self._call(self._ledger.Hold, request).decision, ttl_s)

    def capture(
        self,
        sale_id: str,
        hold: HoldRef,
        basket: Basket,
        *,
        order: str,
        at: datetime | None = None,
    ) -> Sale:
        """Turn a hold into the sale of an order. ``basket`` is the final one, the hold's or a changed one.

        What the final basket does not need goes back. Store ``sale_id`` with the order before this call: returns
        name it.
        """
        posting = Posting.capture(sale_id, hold, basket, order=order, at=at)
        return answers.sale_of(self._call(self._ledger.Capture, posting.request).decision)

    def void(self, void_id: str, hold: HoldRef, *, order: str = "") -> Voided:
        """Give a hold back: the order came to nothing. One that ran out is refused with HOLD_EXPIRED: it is back."""
        posting = Posting.void(void_id, hold, order=order, at=None)
        return answers.voided_of(self._call(self._ledger.Void, posting.request).decision)

    def sell(
        self,
        sale_id: str,
        member_id: str,
        basket: Basket,
        *,
        order: str,
        points: Points = None,
        rewards: Sequence[str] = (),
        coupons: Sequence[str] = (),
        at: datetime | None = None,
        assurance: Assurance = SIGNED_IN,
    ) -> Sale:
        """Post the sale of an order that needs no hold. Store ``sale_id`` with the order before this call."""
        posting = Posting.sale(
            sale_id,
            member_id,
            basket,
            order=order,
            at=at,
            points=points,
            rewards=rewards,
            coupons=coupons,
            assurance=assurance,
        )
        return answers.sale_of(self._call(self._ledger.PostSale, posting.request).decision)

    def preview_return(self, member_id: str, sale_id: str, lines: Sequence[ReturnLine]) -> ReturnEffects:
        """Say what a return would pay back, take back and give back, without doing it."""
        request = ledger_pb2.PreviewReturnRequest(
            member_id=member_id,
            sale_id=sale_id,
            lines=[line.to_pb() for line in lines],
            origin=origin_to_pb("", None),
        )
        return answers.preview_of(self._call(self._ledger.PreviewReturn, request))

    def give_back(
        self,
        return_id: str,
        member_id: str,
        sale_id: str,
        lines: Sequence[ReturnLine],
        *,
        order: str = "",
        at: datetime | None = None,
    ) -> Returned:
        """Post goods brought back against a sale, in as many returns as it takes. Store ``return_id`` before."""
        posting = Posting.give_back(return_id, member_id, sale_id, lines, order=order, at=at)
        return answers.returned_of(self._call(self._ledger.PostReturn, posting.request).decision)

    def post(self, posting: Posting) -> Sale | Voided | Returned | Claim:
        """Post what a shop has stored. Away, NotAllowed: keep it and try again; Refused and BadRequest are final."""
        request = posting.request
        match posting.kind:
            case "sale":
                return answers.sale_of(self._call(self._ledger.PostSale, request).decision)
            case "capture":
                return answers.sale_of(self._call(self._ledger.Capture, request).decision)
            case "void":
                return answers.voided_of(self._call(self._ledger.Void, request).decision)
            case "return":
                return answers.returned_of(self._call(self._ledger.PostReturn, request).decision)
            case _:
                return answers.claim_of(posting.id, self._call(self._webshop.CreateClaim, request))

    # Guests

    def claim(self, claim_id: str, basket: Basket, *, order: str, at: datetime | None = None) -> Claim:
        """Keep a guest's order for whoever opens its link. ``claim_id`` is from then on the sale's id."""
        posting = Posting.claim(claim_id, basket, order=order, at=at)
        return answers.claim_of(claim_id, self._call(self._webshop.CreateClaim, posting.request))

    def redeem_claim(self, member_id: str, code: str) -> Sale:
        """Give a guest's order to a member who has its link. Refused with UNKNOWN, TAKEN or OVER."""
        request = webshop_pb2.RedeemClaimRequest(member_id=member_id, code=code)
        answer = self._call(self._webshop.RedeemClaim, request)
        if answer.HasField("decision"):
            return answers.sale_of(answer.decision)
        raise answers.claim_refused_of(answer.refused)

    def cancel_claim(self, claim_id: str) -> str:
        """End a claim whose order came to nothing.

        Returns "" when that was done, else the member who has redeemed it: then the goods are a return of theirs.
        Refused with CLAIM_UNKNOWN when there is none, so that nobody has redeemed it: it may never have been made.
        """
        answer = self._call(self._webshop.CancelClaim, webshop_pb2.CancelClaimRequest(claim_id=claim_id))
        return "" if answer.cancelled else answer.member_id


_KINDS: Final = (
    identity_pb2.IDENTIFIER_KIND_NUMBER,
    identity_pb2.IDENTIFIER_KIND_EMAIL,
    identity_pb2.IDENTIFIER_KIND_PHONE,
    identity_pb2.IDENTIFIER_KIND_UNSPECIFIED,
)
