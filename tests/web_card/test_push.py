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
TRIES = 400
TRY_MS = 50


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


def shown_with(page: Page, body: str) -> list[dict[str, str]]:
    """What is shown once a message with this text is among it.

    Asked again and again: ``wait_for_function`` takes the promise of an asynchronous question for a yes.
    """
    for _ in range(TRIES):
        shown: list[dict[str, str]] = page.evaluate(SHOWN)
        if any(one["body"] == body for one in shown):
            return shown
        page.wait_for_timeout(TRY_MS)
    raise AssertionError(f"{body!r} was not shown")


def test_a_push_message_is_shown_and_a_newer_one_of_its_id_takes_its_place(card: Card) -> None:
    page = card.page
    page.context.grant_permissions(["notifications"])
    session = page.context.new_cdp_session(page)
    number = registration_of(session, page)
    origin = page.evaluate("location.origin")
    shown = []
    for body in ("You have 10 points.", "You have 20 points."):
        said = json.dumps({"title": "Points earned: 10", "body": body, "tag": "0190"})
        session.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": origin, "registrationId": number, "data": said},
        )
        shown = shown_with(page, body)
    (newest,) = shown
    assert (newest["title"], newest["body"]) == ("Points earned: 10", "You have 20 points.")
    assert newest["icon"].endswith("/icon-192.png")
