"""The card on a phone, driven as its owner does."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.web_card.support.gateway import Gateway, new_address

PHONE = (390, 844)


class Card:
    """One page of the card app."""

    def __init__(self, page: Page, gateway: Gateway) -> None:
        self.page = page
        self.gateway = gateway

    def at(self, testid: str) -> Locator:
        """Return a part of the page by its name."""
        return self.page.get_by_test_id(testid)

    def shows(self, testid: str) -> Locator:
        """Wait until a part is on screen, and return it."""
        found = self.at(testid)
        expect(found).to_be_visible()
        return found

    def tap(self, testid: str) -> None:
        """Tap a part."""
        self.at(testid).click()

    def open(self, query: str = "") -> None:
        """Open the card's address."""
        self.page.goto(self.gateway.url + query)

    def go(self, path: str) -> None:
        """Go to a view: "" is the card itself, "more/devices" one below."""
        self.page.evaluate("(path) => { location.hash = `#/${path}`; }", path)
        self.shows(path or "card")

    def sign_up(self, address: str = "") -> str:
        """Sign in by e-mail, from the sign-in view to the card; return the address."""
        address = address or new_address()
        self.shows("sign-in")
        self.at("email").fill(address)
        self.tap("send")
        self.shows("code-field").fill(self.gateway.code_for(address))
        self.tap("finish")
        self.shows("code")
        return address

    def sign_out(self) -> None:
        """Sign out, from any view of the card to the sign-in view."""
        self.go("more")
        self.tap("sign-out")
        self.tap("sign-out-yes")
        self.shows("sign-in")

    @property
    def digits(self) -> str:
        """What the QR on screen says."""
        return self.shows("code").get_attribute("data-text") or ""

    @property
    def member_number(self) -> str:
        """The number below the code, without its gaps."""
        return self.shows("number").inner_text().replace(" ", "")

    def is_kept(self) -> None:
        """Wait until the phone could do without a network: everything is in the service worker's cache."""
        self.page.evaluate("async () => { await navigator.serviceWorker.ready; }")

    def keeps_the_card(self) -> None:
        """Wait until the phone's database has what the gateway said of the card, which comes after its code."""
        self.page.wait_for_function(KEEPS_CARD)

    def outlives_its_first_day(self) -> None:
        """Let two days pass for the device, at the gateway and on the phone, which then renews its credential."""
        self.gateway.age_devices()
        self.page.evaluate(AGE)
        self.page.reload()
        self.shows("balance")
        expect(self.at("new-device")).to_have_count(0)

    def member_id(self) -> str:
        """Return the member whose card this is, from what the phone keeps."""
        return str(self.page.evaluate(DEVICE_FIELD, "memberId"))


DEVICE_FIELD = """(name) => new Promise((resolve, reject) => {
    const request = indexedDB.open("tallystick-card");
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
        const shelf = request.result.transaction("kept").objectStore("kept").get("demo/device");
        shelf.onsuccess = () => { request.result.close(); resolve(shelf.result[name]); };
    };
})"""

KEEPS_CARD = """() => new Promise((resolve, reject) => {
    const request = indexedDB.open("tallystick-card");
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
        const shelf = request.result.transaction("kept").objectStore("kept").get("demo/card");
        shelf.onsuccess = () => { request.result.close(); resolve(shelf.result !== undefined); };
    };
})"""

AGE = """() => new Promise((resolve, reject) => {
    const request = indexedDB.open("tallystick-card");
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
        const change = request.result.transaction("kept", "readwrite");
        const shelf = change.objectStore("kept");
        const asked = shelf.get("demo/device");
        asked.onsuccess = () => shelf.put({ ...asked.result, renewMs: 0 }, "demo/device");
        change.oncomplete = () => { request.result.close(); resolve(); };
    };
})"""
