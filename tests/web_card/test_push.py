"""Push messages on the phone: the card's service worker shows them, the newest of one id."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import CDPSession, Page

from tests.web_card.support.card import Card

SHOWN = """async () => {
  const registration = await navigator.serviceWorker.ready;
  const found = await registration.getNotifications();
  return found.map(({ title, body, tag, icon }) => ({ title, body, tag, icon }));
}"""
WAIT_MS = 20_000


def registration_of(session: CDPSession, page: Page) -> str:
    """The browser's own number of the card's service worker."""
    found: list[dict[str, Any]] = []
    session.on("ServiceWorker.workerRegistrationUpdated", lambda event: found.extend(event["registrations"]))
    session.send("ServiceWorker.enable")
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    for _ in range(200):
        if found:
            return str(found[-1]["registrationId"])
        page.wait_for_timeout(50)
    raise AssertionError("the service worker was not registered")


def test_a_push_message_is_shown_and_a_newer_one_of_its_id_takes_its_place(card: Card) -> None:
    page = card.page
    page.context.grant_permissions(["notifications"])
    session = page.context.new_cdp_session(page)
    number = registration_of(session, page)
    origin = page.evaluate("location.origin")
    for body in ("You have 10 points.", "You have 20 points."):
        said = json.dumps({"title": "Points earned: 10", "body": body, "tag": "0190"})
        session.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": origin, "registrationId": number, "data": said},
        )
        page.wait_for_function(
            f"async () => (await ({SHOWN})()).some((one) => one.body === {json.dumps(body)})",
            timeout=WAIT_MS,
        )
    (shown,) = page.evaluate(SHOWN)
    assert (shown["title"], shown["body"]) == ("Points earned: 10", "You have 20 points.")
    assert shown["icon"].endswith("/icon-192.png")
