"""Counts for managers: nothing that could tell of a few people, also not by taking one figure from another."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.estimates import LEAST_CELL
from models.monitoring.rounding import rounded, rounded_parts
from tests.page_people import PAGE, PEOPLE, TOKENS, entries
from tests.page_server import client
from tests.published_home import about, at, score, take_in
from warehouse.home import Home
from warehouse.snapshots import publish

if TYPE_CHECKING:
    from starlette.testclient import TestClient

# Per clinic: tiers of its records. Of 31 in north, 3 are emergencies: they would follow from the total.
NORTH = ["emergency"] * 3 + ["soon"] * 12 + ["routine"] * 16
SOUTH = ["urgent"] * 4


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two clinics: one whose rare tier would follow from its total, and one that is small as a whole."""
    folder = tmp_path_factory.mktemp("counted")
    home = Home(folder / "home")
    for clinic, some in (("north", NORTH), ("south", SOUTH)):
        rows = [{"record_id": f"{clinic}-{tier}-{n}", "submitted_at": at(0)} for n, tier in enumerate(some)]
        take_in(home, clinic, rows, folder)
    score(home, lambda record: {"tier": record["record_id"].split("-")[1]})
    came = {"recorded_at": at(1).isoformat(), "attended": "yes", "confirmed_condition": "labral_tear"}
    sent = [{"record_id": f"north-soon-{n}", "submitted_at": at(0), **came} for n in range(3, 12)]
    take_in(home, "north", [row | {"found_by": "imaging"} for row in sent], folder)
    publish(home, about=about())
    (home.root / "settings.toml").write_text(PAGE + PEOPLE)
    return home


@pytest.fixture
def manager(counted: Home) -> Iterator[TestClient]:
    with client(counted, headers={"Authorization": f"Bearer {TOKENS['mona']}"}) as asking:
        yield asking


def tables(html: str) -> dict[str, dict[str, str]]:
    """Every table of the page by caption: what stands in its rows."""
    return {
        caption: dict(re.findall(r'<th scope="row">([^<]+)</th><td class="amount">([^<]+)</td>', body))
        for caption, body in re.findall(r"<caption>([^<]+)<.*?</caption>(.*?)</table>", html, re.S)
    }


def test_what_is_shown_and_what_is_hidden(manager: TestClient) -> None:
    shown = tables(manager.get("/aggregates?clinic=north").text)
    assert shown["By tier"] == {
        "EMERGENCY": "hidden",
        "SAME DAY": "hidden",
        "URGENT": "hidden",
        "soon": "10",
        "routine": "15",
        "self-care": "hidden",
    }
    # 9 of 31 were seen; nobody is closed
    assert shown["Where they stand"] == {"waiting to be seen": "20", "seen": "10", "closed": "hidden"}
    assert shown["Waiting, by status"] == {"open": "20", "acknowledged": "hidden", "booked": "hidden"}
    assert shown["Waiting, by when they have to be seen"]["overdue"] == "20"
    assert shown["By what came back"] == {"outcome sent": "10", "no outcome yet": "20"}
    assert shown["By likeliest condition"]["Hip flexor strain"] == "30"


def test_a_small_clinic_tells_nothing(manager: TestClient) -> None:
    text = manager.get("/aggregates?clinic=south").text
    assert "Referrals: 7 or fewer." in text and "hidden" in text
    for rows in tables(text).values():
        assert set(rows.values()) <= {"hidden"}


def test_the_page_says_what_hidden_means(manager: TestClient) -> None:
    text = " ".join(manager.get("/aggregates").text.split())
    assert "A count of 7 or fewer, none at all included, is hidden" in text
    assert "a hidden count need not be small" in text


def test_a_filter_shows_the_same_figures(manager: TestClient) -> None:
    sections = re.findall(r"<section.*?</section>", manager.get("/aggregates").text, re.S)
    assert [tables(section) for section in sections] == [
        tables(manager.get(f"/aggregates?clinic={clinic}").text) for clinic in ("north", "south")
    ]


def test_no_record_is_named(manager: TestClient) -> None:
    text = manager.get("/aggregates").text
    assert "north-" not in text.replace("clinic-north", "") and "groin" not in text


@pytest.mark.parametrize(
    ("who", "status"), [("mona", 200), ("anna", 200), ("alan", 200), ("rita", 403), ("ward", 403), (None, 401)]
)
def test_who_may_see_them(counted: Home, who: str | None, status: int) -> None:
    headers = {"Authorization": f"Bearer {TOKENS[who]}"} if who else {}
    with client(counted, headers=headers) as asking:
        assert asking.get("/aggregates").status_code == status


def test_another_clinic_is_not_there(counted: Home) -> None:
    with client(counted, headers={"Authorization": f"Bearer {TOKENS['anna']}"}) as asking:
        assert asking.get("/aggregates?clinic=south").status_code == 404
        assert "south" not in asking.get("/aggregates").text


def test_it_is_logged(counted: Home, manager: TestClient) -> None:
    manager.get("/aggregates?clinic=north")
    last = entries(counted)[-1]
    assert (last["who"], last["what"], last["clinic"]) == ("mona", "aggregates", "north")


PARTS = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 40), min_size=2, max_size=5).filter(
    lambda counts: sum(counts.values()) >= LEAST_CELL  # a smaller sum is not shown, so nobody can start from it
)


@given(PARTS)
@settings(max_examples=400, deadline=None)
def test_no_small_count_follows_from_what_is_shown(counts: dict[str, int]) -> None:
    """Every way to fill in the table that fits the exact sum and what is shown: a hidden 1-7 has several values."""
    shown, total = rounded_parts(counts), sum(counts.values())
    known = {part: count for part, count in shown.items() if count is not None}
    hidden = [part for part in shown if part not in known]
    assert all(counts[part] >= LEAST_CELL and abs(counts[part] - count) <= 2 for part, count in known.items())
    assert all(count % 5 == 0 for count in known.values())
    rests = {
        total - sum(filled) for filled in itertools.product(*(range(count - 2, count + 3) for count in known.values()))
    }
    for part in hidden:
        if 0 < counts[part] < LEAST_CELL:
            at_most = LEAST_CELL - 1 if len(hidden) == 1 else total
            possible = {
                value
                for rest in rests
                for value in ([rest] if len(hidden) == 1 else range(rest + 1))
                if 0 <= value <= at_most
            }
            assert len(possible) >= 3, (counts, shown)


@pytest.mark.parametrize(("count", "near"), [(8, 10), (12, 10), (13, 15), (17, 15), (18, 20), (2_500_002, 2_500_000)])
def test_counts_are_rounded_to_the_nearest_5(count: int, near: int) -> None:
    assert rounded(count) == near


def test_the_smallest_other_goes_too_where_rounding_would_tell() -> None:
    # 12 and 12 are shown as 10 and 10: of 31 people, 11 less or more 4 are left, and only 7 of these is 7 or fewer
    assert rounded_parts({"a": 12, "b": 12, "c": 7}) == {"a": None, "b": 10, "c": None}
    assert rounded_parts({"a": 12, "b": 12, "c": 0}) == {"a": 10, "b": 10, "c": None}
    assert rounded_parts({"a": 3}) == {"a": None}
