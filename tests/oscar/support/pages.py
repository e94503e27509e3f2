"""What a customer does in the shop, through the pages alone."""

from __future__ import annotations

import re
from typing import Protocol

from playwright.sync_api import Page, expect


class Address(Protocol):
    """A shop, as far as a customer cares."""

    @property
    def url(self) -> str: ...


class Customer:
    """A browser in the shop."""

    def __init__(self, page: Page, webshop: Address) -> None:
        self.page = page
        self.webshop = webshop

    def goes(self, path: str) -> None:
        self.page.goto(self.webshop.url + path)

    def leaves_by(self, button: str) -> None:
        """Press something that leads to another page, and wait for that."""
        with self.page.expect_navigation():
            self.page.click(button)

    def signs_in(self, who: tuple[str, str]) -> None:
        self.goes("/accounts/login/")
        self.page.fill("#id_login-username", who[0])
        self.page.fill("#id_login-password", who[1])
        self.page.click("button[name=login_submit]")
        self.page.wait_for_url(re.compile(r"/accounts/|/$"))

    def takes(self, title: str, quantity: int = 1) -> None:
        """Put some of an article into the basket."""
        self.goes("/catalogue/")
        self.page.click(f"article.product_pod h3 a[title='{title}']")
        self.leaves_by("#add_to_basket_form button")
        if quantity != 1:
            self.goes("/basket/")
            row = self.page.locator("#basket_formset .basket-items", has_text=title)
            row.locator("input[name$=-quantity]").fill(str(quantity))
            with self.page.expect_response(lambda answer: answer.request.method == "POST"):
                row.locator("button:has-text('Update')").click()

    def empties_the_basket(self) -> None:
        """Take out what somebody has left, and use nothing."""
        self.goes("/basket/")
        while self.page.locator("#basket_formset .basket-items").count():
            with self.page.expect_response(lambda answer: answer.request.method == "POST"):
                self.page.locator("#basket_formset [data-behaviours=remove]").first.click()
            self.goes("/basket/")

    def uses(self, points: int) -> None:
        """Use points on the basket page."""
        self.goes("/basket/")
        self.page.fill("#tallystick-points", str(points))
        self.leaves_by("form.tallystick-points button.btn-primary")

    def reviews(self, way: str = "card") -> None:
        """Go through the checkout as far as the page with the button that orders."""
        self.goes("/checkout/")
        if "shipping-address" in self.page.url:
            self.leaves_by("button.ship-address")
        self.page.check(f"#way-{way}")
        self.page.click("#view_preview")
        expect(self.page.locator("#place-order")).to_be_visible()

    def buys_as_guest(self, email: str) -> None:
        """Go through the whole checkout without an account."""
        self.goes("/checkout/")
        self.page.fill("#id_username", email)
        self.page.check("input[name=options][value=anonymous]")
        self.page.click("button:has-text('Continue')")
        for name, text in (
            ("first_name", "Gus"),
            ("last_name", "Guest"),
            ("line1", "Ringstrasse 1"),
            ("line4", "Berlin"),
            ("postcode", "10969"),
        ):
            self.page.fill(f"#id_{name}", text)
        self.page.click("#new_shipping_address button[type=submit]")
        self.page.check("#way-card")
        self.page.click("#view_preview")
        self.orders()

    def orders(self) -> None:
        """Press the button."""
        self.leaves_by("#place-order")

    def returns(self, number: str, pieces: dict[str, int]) -> int:
        """Return goods as the staff do; return what the page says to pay back, in minor units."""
        self.goes(f"/rewards/staff/returns/{number}/")
        for title, count in pieces.items():
            self.page.get_by_label(title).fill(str(count))
        self.page.click("text=Show what it pays back")
        shown = self.page.locator("#tallystick-preview p").first.inner_text()
        self.page.click("text=Return the goods")
        self.page.wait_for_url(re.compile(f"/orders/{number}/"))
        return round(float(re.sub(r"[^0-9.]", "", shown)) * 100)

    def total_minor(self) -> int:
        """The total on the page with the button, or on that of the order."""
        text = self.page.locator("h3.price_color").last.inner_text()
        return round(float(re.sub(r"[^0-9.]", "", text)) * 100)

    def has_ordered(self) -> str:
        """The number of the order that the page thanks for."""
        expect(self.page).to_have_url(re.compile("/checkout/thank-you/"))
        return self.page.locator("p.lead strong").inner_text()

    def told(self) -> str:
        """What the page says at its top."""
        return " ".join(self.page.locator("#messages .alert, .alert").all_inner_texts())
