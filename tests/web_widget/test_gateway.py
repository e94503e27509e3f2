"""The element before a real gateway: its file, its calls from another origin, and the card as the gateway writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.e2e.support.processes import survivors
from tests.web.support.browser import watched
from tests.web.support.office import Office
from tests.web_card.support.gateway import RULES, Gateway
from tests.web_widget.shop import Answers, open_shop

pytestmark = pytest.mark.timeout(180)

POINTS = 1_250


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[str, Answers]]:
    """A shop of another origin whose member has points at a real gateway."""
    gateway, answers = Gateway(tmp_path), Answers()
    try:
        with open_shop(gateway.origin, answers) as address:
            gateway.settings["TALLYSTICK_CORS_ORIGINS"] = address
            gateway.start()
            with Office(gateway) as office:
                office.publish(RULES)
                answers.member_id, _ = office.member(POINTS)
                answers.token = office.token
                yield address, answers
    finally:
        gateway.kill()
    assert survivors() == []


def test_a_shop_of_another_origin_shows_the_card_of_a_real_gateway(
    context: BrowserContext, shop: tuple[str, Answers]
) -> None:
    address, answers = shop
    page = context.new_page()
    seen = watched(page)
    page.goto(address)
    element = page.locator("tallystick-rewards")
    expect(element).to_have_attribute("state", "ready")
    expect(page.locator("[part=balance]")).to_have_text("1,250 points")
    expect(page.locator("[part=tier]")).to_have_text("bronze")
    expect(page.locator("[part=next-tier]")).to_have_text("€100.00 to silver")
    expect(page.locator("[part=next-reward]")).to_have_text("3,750 points to €75.00 off")
    page.get_by_role("checkbox", name="Use points").check()
    expect(page.locator("[part=chosen]")).to_have_text("1,200 points = €12.00 off")
    page.get_by_label("€5.00 off").check()
    expect(page.locator("[part=chosen]")).to_have_text("1,100 points = €11.00 off")
    assert page.evaluate("heard.at(-1)") == {"points": 1_100, "rewardIds": ["free-mug"]}
    assert seen.complaints == []

    answers.token = "forged"
    page.reload()
    expect(element).to_have_attribute("state", "away")
