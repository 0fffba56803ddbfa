"""Working the list as a clinician does: a real server, a real browser, desktop and phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.page_server import PATIENCE, Served, serious, serving
from tests.test_page_entries import EMERGENCY, PLAIN, RULE, emptied, make_home, run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A home whose records came two hours ago, and the server on it."""

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Earlier:
            return cls.fromtimestamp((datetime.now(UTC) - timedelta(hours=2)).timestamp(), tz)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("warehouse.sources.datetime", Earlier)
        home = make_home(tmp_path_factory.mktemp("ward"))
    with serving(home) as running:
        yield running


@pytest.fixture(params=SIZES)
def tab(request: pytest.FixtureRequest, browser: Browser, ward: Served) -> Iterator[Page]:
    """A tab of this size, with nothing entered yet."""
    width, height = SIZES[request.param]
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=request.param == "phone")
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE * 1000)
    opened.goto(f"{ward.address}/?clinic=north")
    yield opened
    context.close()
    emptied(ward.home)


def record(tab: Page, ward: Served, record_id: str) -> None:
    tab.goto(f"{ward.address}/record?clinic=north&record={record_id}")


def fits(tab: Page) -> bool:
    """Whether nobody has to scroll sideways."""
    return bool(tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_an_emergency_is_acknowledged_with_one_button(tab: Page, ward: Served) -> None:
    block = tab.get_by_role("region", name="not acknowledged in time")
    assert block.get_by_role("listitem").count() == 1
    assert block.bounding_box()["y"] < tab.get_by_role("link", name=PLAIN).first.bounding_box()["y"]  # type: ignore[index]
    assert (serious(tab), fits(tab)) == ([], True)
    # By keyboard alone: from the name to the button.
    block.get_by_label("Your name or staff number").focus()
    tab.keyboard.type("Dr Adams")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent").startswith("Acknowledge")
    tab.keyboard.press("Enter")
    tab.get_by_text("entered, not yet published: acknowledged by Dr Adams").first.wait_for()
    assert block.count() == 0
    assert tab.url == f"{ward.address}/?clinic=north"


def test_a_tier_below_a_rule_is_decided_after_reading_the_rule(tab: Page, ward: Served) -> None:
    record(tab, ward, EMERGENCY)
    tab.get_by_text("Confirm or change the tier").click()
    form = tab.locator("form", has=tab.get_by_role("button", name="Decide", exact=True))
    form.get_by_label("Tier", exact=True).select_option("soon")
    form.get_by_label("What it rests on").select_option(label="examined")
    form.get_by_label("Your name or staff number").fill("Dr Adams")
    assert (serious(tab), fits(tab)) == ([], True)
    form.get_by_role("button", name="Decide").click()
    tab.get_by_role("heading", name="This is lower than a rule that fired").wait_for()
    for said in (RULE["text"], RULE["source"]):
        assert tab.get_by_text(said).first.is_visible()
    assert (serious(tab), fits(tab)) == ([], True)
    decide = tab.get_by_role("button", name="Decide soon")
    decide.click()
    assert tab.get_by_label("I have read these and decide lower").evaluate("box => !box.validity.valid")
    tab.get_by_label("I have read these and decide lower").check()
    decide.click()
    tab.get_by_text(re.compile("Once published: open, tier soon")).first.wait_for()
    assert tab.get_by_text(RULE["text"]).first.is_visible()


def test_an_outcome_is_mended_where_it_is_doubtful_and_comes_back_after_a_run(tab: Page, ward: Served) -> None:
    record(tab, ward, PLAIN)
    tab.get_by_text("Enter the outcome").first.click()
    tab.get_by_label("Did the person come?").select_option("yes")
    tab.get_by_label("Condition that was confirmed").select_option(label="Labral tear")
    assert (serious(tab), fits(tab)) == ([], True)
    tab.get_by_role("button", name="Enter the outcome").click()
    tab.get_by_role("alert").get_by_text("is this as you mean it?").wait_for()
    assert tab.get_by_label("Condition that was confirmed").input_value() == "labral_tear"
    assert (serious(tab), fits(tab)) == ([], True)
    tab.get_by_label("How it was found").select_option("imaging")
    tab.get_by_role("button", name="Enter the outcome").click()
    tab.get_by_text("entered, not yet published: outcome: came, labral tear").first.wait_for()
    if tab.viewport_size == {"width": 390, "height": 844}:
        run(ward.home)  # once, at the end: the home is shared
        tab.reload()
        assert tab.get_by_text("not yet published").count() == 0
        assert tab.get_by_text("Published: seen").is_visible()
