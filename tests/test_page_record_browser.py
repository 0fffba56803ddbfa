"""A record as a clinician uses it: a real browser on a desktop, on a phone and on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pypdfium2
import pytest

from pipelines.page import rendering
from tests.page_server import CLINIC, Served, client, serious
from tests.published_home import about, at, score, take_in
from warehouse.home import Home
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.snapshots import publish

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

STYLE = (Path(rendering.__file__).parent / "static" / "style.css").read_text("utf-8")
MARGINS_MM, A4_MM, PIXELS_AN_INCH = (12, 12), (210, 297), 96
LONG = "a long text about the hip that nobody can shorten without losing what it says, "
FLAG = {"id": "septic", "text": LONG * 3, "tier": "emergency", "source": LONG * 2}
# More of everything than any record of the sample clinic has.
FULL = {
    "tier": "emergency",
    "clock_hours": 0,
    "headline": "F 24, LEFT " + "groin + outer hip + " * 20,
    "side": "both",
    "worse_side": "right",
    "pain_sites": ["anterior_hip", "lower_abdomen", "posterior_thigh", "thigh_unspecified"] * 5,
    "tier_reason": LONG * 5,
    "destination": LONG * 4,
    "first_imaging": LONG * 4,
    "needs_review": True,
    "review_reason": LONG * 8,
    "red_flags": [FLAG] * 30,
    "until_seen": [f"Consider: {LONG}" * 2] * 15,
    "questions_to_ask": [{"column": "night_pain", "question": LONG * 2, "why": LONG}] * 5,
    "prediction_set": ["septic_arthritis", "labral_tear", "hip_flexor_strain"] * 9,
    "special": ["child", "pregnancy", "imaged"],
}


@pytest.fixture(scope="module")
def full_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A record that fills every part, and one that fills none, in a table that is stale and has a banner."""
    folder = tmp_path_factory.mktemp("full")
    home = Home(folder / "home")
    take_in(home, CLINIC, [{"record_id": record, "submitted_at": at(0)} for record in ("full", "bare")], folder)
    score(home, lambda record: FULL if record["record_id"] == "full" else {"red_flags": [], "until_seen": []})
    publish(home, about=about(banner=f"RULES ONLY: {LONG}"))
    (home.root / "settings.toml").write_text("stale_hours = 0.000001\n")
    return home


@pytest.fixture
def paper(browser: Browser) -> Iterator[Page]:
    """A tab as wide as the printed part of A4, that shows what paper would."""
    inches = [(whole - sum(MARGINS_MM)) / 25.4 for whole in A4_MM]
    context = browser.new_context(
        viewport={"width": round(inches[0] * PIXELS_AN_INCH), "height": round(inches[1] * PIXELS_AN_INCH)}
    )
    tab = context.new_page()
    tab.emulate_media(media="print")
    yield tab
    context.close()


def printed(home: Home, tab: Page, record: str) -> None:
    """The sheet of a record, put into the tab."""
    with client(home) as asking:
        text = asking.get(f"/record/print?clinic={CLINIC}&record={record}").text
    tab.set_content(re.sub(r"<link[^>]*>", f"<style>{STYLE}</style>", text))


def pages(tab: Page) -> int:
    return len(pypdfium2.PdfDocument(tab.pdf(prefer_css_page_size=True)))


def records(home: Home) -> list[str]:
    """Every record, the one with the most to say first."""
    size = """list_sum(list_transform(red_flags, lambda f: length(f.text))) + length(to_json(until_seen))
              + length(to_json(questions_to_ask))"""
    with connect(current_snapshot(home), CLINIC) as connection:
        found = connection.execute(f"SELECT record_id FROM referrals ORDER BY {size} DESC NULLS LAST").fetchall()
    return [record for (record,) in found]


def test_the_records_with_most_to_say_are_one_sheet_of_paper(sample_home: Home, paper: Page) -> None:
    most_to_say = records(sample_home)[:30]
    assert len(most_to_say) == 30
    for place, record in enumerate(most_to_say):
        printed(sample_home, paper, record)
        bottom = paper.locator("main").bounding_box()
        assert bottom and bottom["y"] + bottom["height"] < (A4_MM[1] - sum(MARGINS_MM)) / 25.4 * PIXELS_AN_INCH
        if place < 3:
            assert pages(paper) == 1


@pytest.mark.parametrize("record", ["full", "bare"])
def test_the_fullest_record_is_one_sheet_and_says_what_is_left_out(full_home: Home, paper: Page, record: str) -> None:
    printed(full_home, paper, record)
    assert pages(paper) == 1
    shown = paper.locator("main").inner_text()
    for always in ("STALE", "RULES ONLY", "SAMPLE DATA", "As at", "sticker", "not yet signed by a clinician"):
        assert always in shown
    assert shown.count("Stop: do not wait for this form") == 2
    assert shown.rstrip().endswith("now.")
    if record == "bare":
        assert "SIDE NOT STATED" in shown and "more: see the page" not in shown
        return
    listed = len(paper.locator("li", has_text="EMERGENCY").all())
    more = re.search(r"(\d+) more: see the page of this record", shown)
    assert more and listed + int(more[1]) == len(FULL["red_flags"])
    assert "(see the page of this record)" in shown
    assert "BOTH SIDES, worse RIGHT" in shown
    assert "%" not in shown


def opened(served: Served, tab: Page, record: str) -> None:
    tab.goto(f"{served.address}/record?clinic={CLINIC}&record={record}")


def test_the_first_screen_says_what_a_clinician_needs(served: Served, page: Page) -> None:
    record = records(served.home)[0]
    page.goto(f"{served.address}/?clinic={CLINIC}&search={record}")
    page.get_by_role("link", name=record).first.click()
    for part in ("How urgent", "Red flags that fired", "Until seen"):
        place = page.get_by_label(part) if part == "How urgent" else page.get_by_role("heading", name=part, exact=True)
        box = place.bounding_box()
        assert box and box["y"] + box["height"] < 900, part
    assert "Why: " in page.get_by_label("How urgent").inner_text()
    # what is beside the flags: the first of what to do until seen stands on the screen as well
    first = page.locator("#until-seen li").first.bounding_box()
    assert first and first["y"] + first["height"] < 900
    assert serious(page) == []


def test_on_a_phone_nothing_runs_off_the_side(served: Served, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for record in records(served.home)[:3]:
        opened(served, page, record)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        box = page.get_by_role("link", name=re.compile("^Until seen")).bounding_box()
        assert box and box["y"] + box["height"] < 844
    assert serious(page) == []


def answered(tab: Page) -> Any:
    return tab.get_by_text(re.compile("^The tier would"))


def test_what_if_by_keyboard_from_the_record_and_for_any_question(served: Served, page: Page) -> None:
    record = next(one for one in records(served.home) if asks(served.home, one))
    opened(served, page, record)
    control = page.locator(".record-try").first
    control.locator("select").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    answered(page).wait_for()
    assert "Nothing is saved here" in page.locator("main").inner_text()
    assert page.get_by_role("heading", name="With this answer").count() == 1
    assert serious(page) == []
    page.get_by_label("Unanswered question").select_option("temperature_c")
    page.get_by_role("button", name="Choose").click()
    page.get_by_label(re.compile("^If Temperature")).fill("39.5")
    page.get_by_role("button", name="See the tier").click()
    answered(page).wait_for()
    assert page.get_by_role("heading", level=2).first.inner_text() == "Temperature: 39.5 degrees C"
    page.get_by_role("link", name=re.compile("^Back to record")).click()
    assert page.url.endswith(f"record={record}")


def asks(home: Home, record: str) -> bool:
    """Whether the first question worth asking is one of yes or no, and the temperature is open too."""
    with client(home) as asking:
        page = asking.get(f"/record?clinic={CLINIC}&record={record}").text
        rest = asking.get(f"/record/what-if?clinic={CLINIC}&record={record}").text
    return "<select" in page.partition('class="record-try"')[2][:900] and 'value="temperature_c"' in rest
