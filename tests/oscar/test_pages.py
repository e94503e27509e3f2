"""The pages that this application adds: joining, the account, a guest's points; for everybody, from the shop alone."""

from __future__ import annotations

import email
import re
from email import policy
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.support.processes import ROOT
from tests.oscar.support.pages import Customer
from tests.oscar.support.webshop import OTHER, SHOPPER, STAFF, Webshop
from tests.web.support.browser import DESKTOP, PHONE, open_context, watched
from tools import web

pytestmark = pytest.mark.timeout(300)

AXE = ROOT / web.WORKSPACE / "node_modules" / "axe-core" / "axe.min.js"
OURS = (
    ".tallystick-panel",
    ".tallystick-account",
    ".tallystick-order",
    "#tallystick-return",
    "#demo-payment",
)
STRANGER = ("gustav@shop.example", "gustav-likes-filters")


def findings(page: Page) -> list[str]:
    """What axe finds in what this application and its demo add to the page."""
    page.evaluate(AXE.read_text())
    selectors = [one for one in OURS if page.locator(one).count()]
    assert selectors, page.url
    found = page.evaluate(
        "include => axe.run({include}, {resultTypes: ['violations']})", [[one] for one in selectors]
    )
    return [f"{page.url}: {one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]


def mails(webshop: Webshop) -> list[str]:
    """The texts of all mails that the shop has sent, the oldest first."""
    files = sorted((webshop.data / "mail").glob("*"), key=lambda file: file.stat().st_mtime_ns)
    texts = []
    for file in files:
        for part in re.split(r"^-{79}$", file.read_text(), flags=re.MULTILINE):
            if part.strip():
                message = email.message_from_string(part.strip(), policy=policy.default)
                body = message.get_body(("plain",))
                texts.append(f"To: {message['To']}\n{body.get_content() if body else ''}")
    return texts


def test_a_customer_joins_by_a_mail_and_sees_the_account(
    customer: Customer, webshop: Webshop, tmp_path: Path
) -> None:
    webshop.add_user(*STRANGER)
    customer.signs_in(STRANGER)
    customer.goes("/rewards/")
    assert findings(customer.page) == []
    customer.page.click("text=Join or link")
    expect(customer.page.locator("#messages")).to_contain_text("We have sent you a mail")
    (mail,) = [text for text in mails(webshop) if STRANGER[0] in text]
    link = re.search(r"http://\S+/rewards/join/\S+", mail)
    assert link

    customer.page.goto(link[0])

    expect(customer.page.locator("#messages")).to_contain_text("You are a member")
    expect(customer.page.locator(".tallystick-figures")).to_contain_text("Member number")
    assert findings(customer.page) == []
    customer.page.goto(link[0])
    assert len(webshop.rows("SELECT 1 FROM tallystick_oscar_memberlink WHERE user_id = "
                            "(SELECT id FROM auth_user WHERE email = ?)", STRANGER[0])) == 1  # fmt: skip


def test_the_link_of_one_account_does_nothing_for_another(customer: Customer, webshop: Webshop) -> None:
    webshop.add_user("hanna@shop.example", "hanna-likes-mugs")
    customer.signs_in(("hanna@shop.example", "hanna-likes-mugs"))
    customer.goes("/rewards/")
    customer.page.click("text=Join or link")
    (mail,) = [text for text in mails(webshop) if "hanna@" in text]
    link = re.search(r"http://\S+/rewards/join/\S+", mail)
    assert link
    customer.page.context.clear_cookies()
    customer.signs_in(OTHER)

    customer.page.goto(link[0])
    expect(customer.page.locator("#messages")).to_contain_text("belongs to another account")
    customer.page.goto(link[0][:-5] + "AAAA/")
    expect(customer.page.locator("#messages")).to_contain_text("not complete")


def test_a_number_is_no_proof(customer: Customer, webshop: Webshop) -> None:
    webshop.unlink()
    card = webshop.gateway.member(10)
    customer.signs_in(OTHER)
    customer.goes("/rewards/")
    customer.page.fill("#id_code", card.number)
    customer.page.click("text=Link this card")
    expect(customer.page.locator("#messages")).to_contain_text("A number alone is no proof")
    assert webshop.rows("SELECT 1 FROM tallystick_oscar_memberlink WHERE member_id = ?",
                        card.member_id.replace("-", "")) == []  # fmt: skip


def test_the_points_of_a_guests_order_go_to_whoever_has_the_link_and_only_once(
    browser: Browser, customer: Customer, webshop: Webshop
) -> None:
    customer.takes("Kettle")
    customer.buys_as_guest("guest@shop.example")
    number = customer.has_ordered()
    link = customer.page.locator(".tallystick-order a").get_attribute("href")
    assert link is not None
    (mail,) = [text for text in mails(webshop) if "guest@shop.example" in text]
    assert webshop.url + link in mail

    card, late = webshop.gateway.member(0), webshop.gateway.member(0)
    for who, member, said in ((SHOPPER, card, "59 points were added"), (OTHER, late, "taken already")):
        webshop.link(who[0], member.member_id)
        with open_context(browser) as context:
            one = Customer(context.new_page(), webshop)
            one.signs_in(who)
            one.goes(link)
            button = one.page.locator("text=Add the points to my account")
            if button.count():
                button.click()
            expect(one.page.locator("body")).to_contain_text(said)
    assert webshop.gateway.office.balance(card.member_id).active == 59
    assert webshop.gateway.office.balance(late.member_id).active == 0
    customer.goes(link.replace(number, "999999"))
    expect(customer.page.locator("body")).to_contain_text("not found", ignore_case=True)
    webshop.gateway.verified()


def test_pages_are_for_everybody_and_come_from_the_shop_alone(
    browser: Browser, webshop: Webshop, tmp_path: Path
) -> None:
    card = webshop.gateway.member(1_000)
    webshop.link(SHOPPER[0], card.member_id)
    found: list[str] = []
    for size, name in ((PHONE, "phone"), (DESKTOP, "desktop")):
        with open_context(browser, size=size) as context:
            page = context.new_page()
            seen = watched(page)
            customer = Customer(page, webshop)
            customer.signs_in(SHOPPER)
            customer.empties_the_basket()
            customer.takes("Single farm, 250 g")
            customer.uses(55)
            found += findings(page)
            page.screenshot(path=tmp_path / f"basket-{name}.png", full_page=True)
            customer.goes("/checkout/")
            if "shipping-address" in page.url:
                page.click("button.ship-address")
            page.wait_for_selector("#demo-payment")
            found += findings(page)
            page.click("#view_preview")
            page.wait_for_selector("#place-order")
            page.screenshot(path=tmp_path / f"preview-{name}.png", full_page=True)
            customer.orders()
            number = customer.has_ordered()
            found += findings(page)
            page.screenshot(path=tmp_path / f"thanks-{name}.png", full_page=True)
            customer.goes("/rewards/")
            found += findings(page)
            page.screenshot(path=tmp_path / f"account-{name}.png", full_page=True)
            overflow = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert overflow <= 0, name
            page.context.clear_cookies()
            customer.signs_in(STAFF)
            customer.goes(f"/rewards/staff/returns/{number}/")
            page.get_by_label("Single farm, 250 g").fill("1")
            page.click("text=Show what it pays back")
            found += findings(page)
            page.screenshot(path=tmp_path / f"return-{name}.png", full_page=True)
            foreign = {one.url for one in seen.requests if not one.url.startswith((webshop.url, "data:"))}
            assert foreign == set()
    assert found == []


def test_a_swedish_customer_reads_swedish(browser: Browser, webshop: Webshop) -> None:
    card = webshop.gateway.member(1_000)
    webshop.link(SHOPPER[0], card.member_id)
    with open_context(browser, locale="sv-SE") as context:
        customer = Customer(context.new_page(), webshop)
        customer.signs_in(SHOPPER)
        customer.empties_the_basket()
        customer.takes("Mug, 300 ml")
        customer.uses(100)
        expect(customer.page.locator(".tallystick-panel")).to_contain_text("Du sparar")
        expect(customer.page.locator(".tallystick-panel")).to_contain_text("poäng")
        customer.goes("/rewards/")
        expect(customer.page.locator(".tallystick-account")).to_contain_text("Senaste händelser")
