"""What a customer's browser asks of the shop on the way to what a test is about, without showing the pages.

A page costs a browser five times what it costs the shop. The cookies are those of the browser, and the shop gets the
same forms; that its pages lead there in a browser is what the tests of buying and of the pages see.
"""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin

from playwright.sync_api import APIResponse

from tests.oscar.support.pages import Customer
from tests.oscar.support.webshop import Webshop

REDIRECT = 302


class Form(HTMLParser):
    """A form of a page: where it goes, and its fields as the page has them; what is not ticked is none."""

    def __init__(self, answer: APIResponse, form_id: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str | float | bool] = {}
        self._id = form_id
        self._page = answer.url
        self._inside = False
        self.feed(answer.text())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._inside = given.get("id") == self._id
            if self._inside:
                self.action = urljoin(self._page, given.get("action") or "")
        elif tag == "input" and self._inside and given.get("type") != "checkbox":
            self.fields[given.get("name") or ""] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


def sign_in(customer: Customer, who: tuple[str, str]) -> None:
    """Sign somebody in."""
    form = _form(customer, "/accounts/login/", "login_form")
    given = {"login-username": who[0], "login-password": who[1], "login_submit": "Log In"}
    _send(customer, form, **given)


def empty_the_basket(customer: Customer) -> None:
    """Take out what somebody has left."""
    form = _form(customer, "/basket/", "basket_formset")
    if form.action:
        count = int(str(form.fields["form-TOTAL_FORMS"]))
        _send(customer, form, **{f"form-{number}-DELETE": "on" for number in range(count)})
        assert not _form(customer, "/basket/", "basket_formset").action


def put(customer: Customer, webshop: Webshop, title: str, quantity: int = 1) -> None:
    """Put some of an article into the basket."""
    ((slug, key),) = webshop.rows("SELECT slug, id FROM catalogue_product WHERE title = ?", title)
    form = _form(customer, f"/catalogue/{slug}_{key}/", "add_to_basket_form")
    _send(customer, form, quantity=str(quantity))


def _form(customer: Customer, path: str, form_id: str) -> Form:
    answer = customer.page.request.get(customer.webshop.url + path)
    assert answer.ok, answer.status
    return Form(answer, form_id)


def _send(customer: Customer, form: Form, **fields: str) -> None:
    # The page that a form leads to is not asked for.
    answer = customer.page.request.post(form.action, form={**form.fields, **fields}, max_redirects=0)
    assert answer.status == REDIRECT, answer.text()
