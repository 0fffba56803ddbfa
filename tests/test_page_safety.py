"""Nobody is overlooked or shown as less urgent than they are: what stands beside the rows, above the list, on paper."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.page_server import client
from tests.published_home import RULE, about, at, mark_unread, score, take_in
from tests.test_page_entries import Clinician, run
from warehouse.home import Home
from warehouse.snapshots import publish

SETTINGS = 'data_kind = "sample"\n[clinics.north]\nzone = "Europe/Berlin"\n'
RED = {"tier": "emergency", "red_flags": [RULE]}
EMERGENCIES = 8
SCORES: dict[str, dict[str, Any]] = {
    **{f"red-{number}": RED for number in range(EMERGENCIES)},
    "no-model": {"differential": [], "prediction_set": [], "contributing_factors": []},
    "fallen": {"tier": "urgent"},
}
PLAIN, TWICE = "plain", "red-0"


def override(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return SCORES.get(record["record_id"], {})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two clinics that share a record id; unread forms of a known record, of nobody known, and of the other clinic."""
    folder = tmp_path_factory.mktemp("safety")
    home = Home(folder / "home")
    home.ensure()
    (home.root / "settings.toml").write_text(SETTINGS)
    take_in(home, "north", [{"record_id": name, "submitted_at": at(0)} for name in (*SCORES, PLAIN)], folder)
    bad = [{"record_id": name, "submitted_at": at(1), "pain_now": "eleven"} for name in (PLAIN, "bad", "odd")]
    take_in(home, "north", bad, folder)
    take_in(home, "south", [{"record_id": name, "submitted_at": at(0)} for name in (PLAIN, "plainer")], folder)
    take_in(home, "south", [{"record_id": "far", "submitted_at": at(0), "pain_now": "eleven"}], folder)
    mark_unread(home, {PLAIN: "emergency", "bad": "same_day", "far": "emergency"})
    score(home, override)
    publish(home, about=about())
    return home


@pytest.fixture
def own(made: Home, tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    shutil.copytree(made.root, home.root, symlinks=True)
    yield home


def said(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def row_of(page: Any, record: str) -> str:
    (row,) = re.findall(
        rf'<li class="row[^"]*">(?:(?!</li>\n<li class="row).)*?>{record}</a>.*?</div>\n</li>', page.text, re.S
    )
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).split())


def test_a_form_that_was_not_read_stands_with_its_record_and_with_no_other(made: Home) -> None:
    local = client(made)
    line = "a form of this record could not be read and is not in what stands here, possible tier: EMERGENCY"
    north = local.get("/?clinic=north")
    assert line in row_of(north, PLAIN) and line not in row_of(north, "fallen")
    assert line not in said(local.get("/?clinic=south"))
    record = said(local.get(f"/record?clinic=north&record={PLAIN}"))
    assert "could not be read: what stands here does not hold it. Possible tier: EMERGENCY" in record
    assert "what stands here does not hold it" not in said(local.get(f"/record?clinic=south&record={PLAIN}"))
    assert line.capitalize().replace("emergency", "EMERGENCY") in said(local.get("/print?clinic=north"))
    assert line in said(local.get(f"/record/print?clinic=north&record={PLAIN}"))


def test_unread_forms_say_by_how_long_they_are_overdue_and_what_is_folded(made: Home) -> None:
    page = client(made).get("/?clinic=north")
    text = said(page)
    assert re.search(r"3 forms could not be read, 1 with an emergency answer, 1 OVERDUE", text)
    assert re.search(r"Act by [^,;]+ , OVERDUE by \d+ minutes? ;", text) and "(now)" not in text
    assert "The 2 others, most pressing first: 1 possibly SAME DAY" in text
    paper = said(client(made).get("/print?clinic=north"))
    assert re.search(r"Form bad: SAME DAY, act by [^,]+, in 2[34] hours", paper) and "Form odd: nothing urgent" in paper


def test_few_of_many_unacknowledged_emergencies_push_the_list_down(own: Home) -> None:
    (own.root / "settings.toml").write_text(SETTINGS)
    someone = Clinician(own)
    late = someone.late(90)["late"]
    assert len(late) == EMERGENCIES
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipelines.page.entry_forms.entries.waiting_too_long", lambda since, *_: range(len(since)))
        page = someone.browser.get("/?clinic=north").text
    (block,) = re.findall(r'<section class="unacknowledged".*?</section>', page, re.S)
    at_once, folded = block.split("<details>")
    assert f"{EMERGENCIES} emergencies not acknowledged in time" in at_once
    assert at_once.count("Acknowledge<") == 5 and folded.count("Acknowledge<") == EMERGENCIES - 5
    assert f"{EMERGENCIES - 5} more not acknowledged in time" in folded
    assert len(set(re.findall(r'id="(unacknowledged-[0-9]+-by)"', block))) == EMERGENCIES


def test_who_was_made_more_urgent_stands_on_top_until_the_table_says_so(own: Home) -> None:
    someone = Clinician(own)
    assert "made more urgent here" not in someone.browser.get("/").text
    assert someone.enter("tier", PLAIN, decided_tier="emergency", reason="examined").status_code == 303
    assert someone.enter("tier", "fallen", decided_tier="routine", reason="examined", read="yes").status_code == 303
    for path in ("/", "/?clinic=north&tier=soon", "/print?clinic=north"):
        text = said(someone.browser.get(path))
        top = text[text.index("1 record made more urgent here") : text.index("Who comes first", 900)]
        assert f"{PLAIN} " in top and "EMERGENCY , in the list below still routine" in top, path
        assert "fallen" not in top
    assert "made more urgent" not in said(someone.browser.get("/?clinic=south"))
    sheet = said(someone.browser.get(f"/record/print?clinic=north&record={PLAIN}"))
    assert "Decided since, not yet published: EMERGENCY" in sheet and "entered, not yet published" in sheet
    run(own)
    text = said(someone.browser.get("/?clinic=north"))
    assert "made more urgent here" not in text and "EMERGENCY 9" in text


def test_what_was_entered_about_an_earlier_form_does_not_hush_a_newer_one(own: Home, tmp_path: Path) -> None:
    someone = Clinician(own)
    assert someone.enter("status", TWICE, status="acknowledged").status_code == 303
    assert TWICE not in {one["record"] for one in someone.late(90)["late"]}
    # A run that began before the entry lay in landing publishes a newer form.
    take_in(own, "north", [{"record_id": TWICE, "submitted_at": at(2), "systemic__fever": "1"}], tmp_path)
    score(own, override)
    publish(own, about=about())
    assert TWICE in {one["record"] for one in someone.late(90)["late"]}
    assert "Once published: acknowledged" not in said(someone.browser.get(f"/record?clinic=north&record={TWICE}"))


def test_a_reported_concern_stands_with_its_record(own: Home) -> None:
    someone = Clinician(own)
    assert someone.enter("concern", PLAIN, concern="wrong_record").status_code == 303
    run(own)
    line = "safety concern reported: this is another person's record"
    assert line in row_of(someone.browser.get("/?clinic=north"), PLAIN)
    assert line not in said(someone.browser.get("/?clinic=south"))
    top = said(someone.browser.get(f"/record?clinic=north&record={PLAIN}")).partition("See by")[0]
    assert line.capitalize() in top
    assert line in said(someone.browser.get(f"/record/print?clinic=north&record={PLAIN}"))


SEARCHES = [
    ("clinic=north&search=plain&tier=emergency", [], "3 more records begin with plain in your clinics"),
    ("clinic=north&search=plain", [PLAIN], "2 more records begin with plain in your clinics"),
    ("search=plain", [PLAIN, PLAIN, "plainer"], ""),
    ("search=nobody", [], ""),
]


@pytest.mark.parametrize(("query", "found", "more"), SEARCHES)
def test_a_search_says_what_the_other_filters_leave_out(made: Home, query: str, found: list[str], more: str) -> None:
    page = client(made).get(f"/?{query}")
    assert sorted(re.findall(r'<h3><a href="/record\?clinic=[^"]*">([^<]*)</a>', page.text)) == sorted(found)
    assert (more in said(page)) if more else (" more record" not in said(page))


def test_other_clinics_are_told_of_with_their_unread_emergencies(made: Home) -> None:
    text = said(client(made).get("/?clinic=south"))
    assert f"Your other clinics: {EMERGENCIES} emergency and same-day rows wait there, and 1 form with" in text
    text = said(client(made).get("/?clinic=north"))
    assert "Your other clinics: 0 emergency and same-day rows wait there, and 1 form with" in text


def test_what_no_model_scored_is_not_read_as_unlikely(made: Home) -> None:
    local = client(made)
    said_of_filter = "1 open record has no likely conditions, because no model scored it"
    assert said_of_filter in said(local.get("/?clinic=north&condition=septic_arthritis"))
    assert said_of_filter not in said(local.get("/?clinic=north"))
    record = said(local.get("/record?clinic=north&record=no-model"))
    assert "None is likely" not in record and "nothing is said of them" in record
    scored = said(local.get(f"/record?clinic=north&record={PLAIN}"))
    assert "What trained the model: generated from published likelihoods" in scored


def test_a_decision_that_does_not_stand_is_not_taken_for_the_tier(own: Home, tmp_path: Path) -> None:
    someone = Clinician(own)
    assert someone.enter("tier", "fallen", decided_tier="routine", reason="examined", read="yes").status_code == 303
    run(own)
    decided = said(someone.browser.get("/record?clinic=north&record=fallen"))
    assert "Decided routine by Dr X" in decided and "does not stand" not in decided
    SCORES["fallen"] = {"tier": "same_day"}
    take_in(own, "north", [{"record_id": "fallen", "submitted_at": datetime.now(UTC)}], tmp_path)
    score(own, override)
    SCORES["fallen"] = {"tier": "urgent"}
    publish(own, about=about())
    for path in ("/record", "/record/print"):
        text = said(someone.browser.get(f"{path}?clinic=north&record=fallen"))
        assert "Decided routine by Dr X" in text and "does not stand any more" in text, path


def test_each_sheet_of_the_list_says_whose_and_how_old_it_is(own: Home) -> None:
    (own.root / "settings.toml").write_text("stale_hours = 0.000001\n" + SETTINGS)
    publish(own, about=about(banner="RULES ONLY: the model is suspended"))
    (head,) = re.findall(r"<thead>.*?</tr>", client(own).get("/print?clinic=north").text, re.S)
    for text in ("north, as at 20", "printed 20", "SAMPLE DATA", "STALE: this table", "RULES ONLY: the model"):
        assert text in head, text


def test_entries_that_cannot_be_listed_are_told_and_hide_no_list(own: Home) -> None:
    shutil.rmtree(own.entered, ignore_errors=True)
    own.entered.mkdir()
    (own.entered / "north").write_text("not a folder")
    text = said(client(own).get("/?clinic=north"))
    assert "Entries of this page that cannot be read any more, and nobody knows what they said: 1" in text
    assert f"EMERGENCY {EMERGENCIES}" in text
