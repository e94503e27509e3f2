"""The customer's pages: the account, joining, using points on the basket, and the points of a guest's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import condition
from django.views.generic import TemplateView, View

from tallystick_oscar import claims, linking
from tallystick_oscar.choice import Choice, choose
from tallystick_oscar.forms import CodeForm, UseForm
from tallystick_oscar.gateway import calling
from tallystick_oscar.models import MemberLink, OrderSale
from tallystick_oscar.panel import account_of, forget_card, widget_etag, widget_file
from tallystick_oscar.pricing import member_of, rewards_of
from tallystick_oscar.using import use
from tallystick_oscar.words import notice_away, notice_of
from tallystick_webshop import Away, ShopError

_NOT_LINKED = {
    "expired": _("This link is too old. Please ask for a new one."),
    "damaged": _("This link is not complete. Please copy all of it, or ask for a new one."),
    "other_account": _("This link belongs to another account. Please sign in with that one."),
    "unknown": _("We do not know this code. Please show a fresh one in your card."),
    "no_proof": _("A number alone is no proof. Please use the code that your card shows on the phone."),
    "blocked": _("This membership cannot be used at the moment."),
    "linked_already": _("Your account has another membership already. Take that one off first."),
}


class AccountView(LoginRequiredMixin, TemplateView):
    """Points, level, what comes next, what expires, and the latest movements."""

    template_name = "tallystick_oscar/account.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        member_id = member_of(self.request.user)
        found = account_of(member_id) if member_id else None
        return {
            **super().get_context_data(**kwargs),
            "page_title": gettext("Rewards"),
            "active_tab": "rewards",
            "member_id": member_id,
            "account": found,
            "away": notice_away() if member_id and found is None else "",
            "code_form": CodeForm(),
            "email": getattr(self.request.user, "email", ""),
        }


class _MemberAction(LoginRequiredMixin, View):
    """Something that makes a user a member: what goes wrong becomes a message, and the account page follows."""

    def _do(self, action: Callable[[], object]) -> HttpResponse:
        try:
            action()
        except linking.NotLinked as error:
            messages.error(self.request, _NOT_LINKED[error.reason])
        except Away:
            messages.warning(self.request, gettext("That is not possible right now. Please try again later."))
        except ShopError as error:
            messages.error(self.request, notice_of(error))
        else:
            messages.success(
                self.request, gettext("You are a member. Points for your orders come to this account.")
            )
        return redirect("tallystick:account")


class JoinView(_MemberAction):
    """Join, or link, by the account's address: at once when the shop knows it to be the user's, else by a mail."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        if not getattr(request.user, "email", ""):
            messages.error(request, gettext("Your account has no e-mail address."))
            return redirect("tallystick:account")
        if linking.is_confirmed(request.user):
            return self._do(lambda: linking.join(request.user))
        linking.send_link(request)
        messages.success(request, gettext("We have sent you a mail. Open the link in it to become a member."))
        return redirect("tallystick:account")


class ConfirmView(_MemberAction):
    """The link in the mail."""

    http_method_names = ["get"]

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        return self._do(lambda: linking.confirm(request.user, token))


class CodeView(_MemberAction):
    """Link by the code that the card shows."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        form = CodeForm(request.POST)
        if not form.is_valid():
            messages.error(request, gettext("Please enter the code that your card shows."))
            return redirect("tallystick:account")
        return self._do(lambda: linking.by_code(request.user, form.cleaned_data["code"]))


class UnlinkView(LoginRequiredMixin, View):
    """Take the membership off the account; it goes on without the shop."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        MemberLink.objects.filter(user_id=request.user.pk).delete()
        choose(request.session, Choice())
        messages.success(
            request, gettext("Your account is no longer linked. Your points stay with your card.")
        )
        return redirect("tallystick:account")


class UseView(View):
    """Choose what the basket uses. What the form holds is only a wish: the gateway decides."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        rewards, form = rewards_of(request), UseForm(request.POST)
        if rewards is None:
            messages.error(request, gettext("Sign in and join to use points."))
        elif not form.is_valid():
            messages.error(request, gettext("Please enter a whole number of points."))
        elif use(request, **form.changes(rewards.choice)):
            messages.success(request, gettext("Your basket is up to date."))
        return redirect("basket:summary")


class WidgetTokenView(View):
    """A token for the widget on the basket page, for the member who is signed in, good for a few minutes."""

    http_method_names = ["get"]

    def get(self, request: HttpRequest) -> HttpResponse:
        member_id = member_of(request.user)
        if member_id is None:
            return JsonResponse({"reason": "signed_out"}, status=401)
        origin = f"{request.scheme}://{request.get_host()}"
        try:
            with calling() as shop:
                token = shop.widget_token(member_id, origin)
        except ShopError:
            return JsonResponse({"reason": "away"}, status=503)
        answer = JsonResponse(
            {"token": token.access_token, "expires_in_s": token.expires_in_s, "member_id": member_id}
        )
        answer["Cache-Control"] = "no-store"
        return answer


class WidgetFileView(View):
    """The element itself, from the shop's own origin: pages load nothing from anywhere else."""

    http_method_names = ["get", "head"]

    @method_decorator(condition(etag_func=lambda _request: widget_etag()))
    def get(self, request: HttpRequest) -> HttpResponse:
        file = widget_file()
        if file is None:
            raise Http404
        return HttpResponse(file.read_bytes(), content_type="text/javascript; charset=utf-8")


class ClaimView(TemplateView):
    """The points of an order that no member placed: whoever has the link may have them, once."""

    template_name = "tallystick_oscar/claim.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sale = self._sale()
        context: dict[str, Any] = {
            **super().get_context_data(**kwargs),
            "order": sale.order,
            "taken": not sale.is_claim,
            "member_id": member_of(self.request.user),
            "url": "",
        }
        if sale.is_claim:
            try:
                context["url"] = claims.ask(sale).url
            except ShopError:
                context["away"] = True
        return context

    def post(self, request: HttpRequest, **_kwargs: str) -> HttpResponse:
        sale, member_id = self._sale(), member_of(request.user)
        if member_id is None:
            return redirect("tallystick:account")
        try:
            earned = claims.redeem(sale, member_id)
        except Away:
            messages.warning(request, gettext("That is not possible right now. Please try again later."))
        except claims.Taken:
            messages.error(request, gettext("The points of this order have been taken already."))
        except ShopError as error:
            messages.error(request, notice_of(error))
        else:
            forget_card(member_id)
            messages.success(request, gettext("%(points)d points were added.") % {"points": earned})
        return redirect("tallystick:account")

    def _sale(self) -> OrderSale:
        number, token = self.kwargs["number"], self.kwargs["token"]
        if not claims.is_token(number, token):
            raise Http404
        return get_object_or_404(OrderSale.objects.select_related("order"), order__number=number)
