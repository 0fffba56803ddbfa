"""The worklist as a clinician uses it: a real server and a real browser, on a desktop, a phone and paper."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pypdfium2
import pytest

from tests.page_server import CLINIC, OTHER_CLINIC, Served, serious

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow


def address(served: Served, path: str = "/", clinic: str = CLINIC) -> str:
    return f"{served.address}{path}?clinic={clinic}"


def test_a_clinician_opens_filters_searches_and_turns_pages(served: Served, page: Page) -> None:
    page.goto(address(served))
    headings = page.get_by_role("heading").all_inner_texts()
    assert headings[0] == f"Worklist of {CLINIC}"
    assert re.match(r"\d+ forms could not be read, [1-9]\d* with an emergency answer", headings[1])
    assert headings.index("Who comes first") < headings.index(next(h for h in headings if h.startswith("s-")))
    rows = page.locator("ol.rows > li")
    assert rows.count() == 50
    assert re.search("CES?T", rows.first.inner_text())

    everything = page.get_by_role("status").inner_text()
    page.get_by_text("Narrow the list").click()
    page.get_by_label("Tier", exact=True).select_option("urgent")
    page.get_by_role("button", name="Show").click()
    assert page.url.endswith("tier=urgent&status=&condition=&search=")
    assert set(page.locator("ol.rows .badge").all_inner_texts()) == {"◆ URGENT"}
    assert page.get_by_label("Tier", exact=True).input_value() == "urgent"
    hidden = page.locator(".notice.red", has_text="hidden by the filter")
    assert "emergency and same-day rows are hidden by the filter" in hidden.inner_text()
    hidden.get_by_role("link", name="Show everything").click()
    assert page.get_by_role("status").inner_text() == everything

    page.get_by_role("link", name=re.compile("SAME DAY")).click()
    assert "tier=same_day" in page.url
    page.get_by_label("Record, or its beginning").fill("S-00")
    page.get_by_label("Tier", exact=True).select_option("")
    page.get_by_label("Record, or its beginning").press("Enter")
    assert page.get_by_role("status").inner_text().startswith("Records that begin with S-00: ")

    page.get_by_role("link", name="Show everything open").click()
    page.get_by_role("link", name="Page 2").click()
    assert page.locator("[aria-current=page]").inner_text().startswith("Page 2 of 2")
    assert 0 < rows.count() < 50


def test_whoever_comes_first_stands_on_the_first_screen(served: Served, page: Page) -> None:
    """Also below forms that could not be read."""
    page.goto(address(served, clinic=OTHER_CLINIC))
    assert page.locator("#unread-title").inner_text().startswith("2 forms could not be read")
    box = page.locator("ol.rows h3").first.bounding_box()
    assert box and box["y"] + box["height"] < 900


def test_the_keyboard_alone_reaches_the_first_record(served: Served, page: Page) -> None:
    page.goto(address(served))
    first = page.locator("ol.rows h3 a").first.get_attribute("href")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            "(e => [e.tagName, e.id || e.getAttribute('href') || e.textContent.trim(),"
            " getComputedStyle(e).outlineStyle])(document.activeElement)"
        )
        assert focus[2] != "none", focus  # where the keyboard is can be seen
        reached.append(focus[1])
        if focus[1] == "narrow":
            page.keyboard.press("Enter")
        if focus[1] == first:
            break
    assert reached[-1] == first
    order = [reached.index(name) for name in ("clinic", "tier", "status", "condition", "search")]
    assert order == sorted(order)
    assert not [one for one in reached if one == "/about"]  # the way round the menu was skipped


@pytest.mark.parametrize("path", ["/", "/about", "/print"])
def test_a_phone_needs_no_sideways_scroll_and_a_scan_finds_nothing_serious(
    served: Served, page: Page, browser: Browser, path: str, tmp_path: Path
) -> None:
    phone = browser.new_page(viewport={"width": 390, "height": 844})
    for tab, name in ((page, "desktop"), (phone, "phone")):
        tab.goto(address(served, path))
        assert tab.evaluate("document.documentElement.scrollWidth") <= tab.viewport_size["width"], name
        if tab is phone:  # everything that a wider page shows stands here too, and a scan takes long
            assert not serious(tab)
        tab.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    phone.close()


def test_the_page_works_without_scripts(served: Served, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address(served))
    page.get_by_text("Narrow the list").click()
    page.get_by_role("button", name="Show").click()
    assert page.locator("ol.rows > li").count() == 50
    context.close()


def test_the_list_on_paper(served: Served, page: Page, tmp_path: Path) -> None:
    page.goto(address(served))
    page.get_by_role("link", name=f"list of {CLINIC}").click()
    waiting = page.locator("table.sheet tbody tr").count()
    assert waiting > 50
    page.pdf(path=tmp_path / "list.pdf", prefer_css_page_size=True)
    document = pypdfium2.PdfDocument(tmp_path / "list.pdf")
    texts = [sheet.get_textpage().get_text_range() for sheet in document]
    assert [round(side) for side in document[0].get_size()] == [842, 595]  # A4, landscape
    for number, text in enumerate(texts, 1):
        assert f"page {number} of {len(texts)}" in text
        assert "SAMPLE DATA" in text
    rows = [text for text in texts if re.search(r"\bs-\d{4}\b", text)]
    assert all("Record and facts" in text for text in rows)  # the head of the table on each sheet
    assert texts[0].index("do not wait for this form") < texts[0].index("Who comes first")
    records = [row.split()[0] for row in page.locator("table.sheet tbody th").all_inner_texts()]
    printed = "".join(texts)
    assert all(record in printed for record in records)
    assert printed.rindex("do not wait for this form") > printed.rindex(records[-1])
    assert len(texts) <= waiting / 4
    document.close()


def test_another_clinics_clock_is_its_own(served: Served, page: Page) -> None:
    page.goto(address(served, clinic=OTHER_CLINIC))
    assert "JST" in page.locator("ol.rows > li").first.inner_text()
