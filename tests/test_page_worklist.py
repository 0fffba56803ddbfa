"""The worklist page in process: what it says first, its order, filters, search and pages, and who sees which rows."""

from __future__ import annotations

import hashlib
import html
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.page.durations import duration
from pipelines.page.lists.filters import STATUSES, Filters, read_filters
from pipelines.page.lists.worklist_rows import PAGE_ROWS
from schemas.tiers import tiers
from tests.page_server import client
from tests.published_home import RULE, about, at, mark_unread, score, take_in
from warehouse.home import Home
from warehouse.open_snapshots import OpenSnapshots
from warehouse.snapshot_reading import connect, current_snapshot
from warehouse.snapshots import publish

if TYPE_CHECKING:
    from starlette.testclient import TestClient

EMERGENCY = {
    "tier": "emergency",
    "clock_hours": 0,
    "red_flags": [RULE],
    "headline": "F 24, <b>LEFT</b> groin, limps",
    "needs_review": True,
    "review_reason": "dangerous class not excluded",
}
CHILD = {"age_years": 11, "special": ["child", "pregnancy"], "tier": "urgent", "clock_hours": 336}
DONE = {"tier": "same_day", "clock_hours": 24}
SCORES: dict[str, dict[str, Any]] = {
    "ill": EMERGENCY,
    "child": CHILD,
    "came": DONE,
    "gone": DONE,
    "Q-7": {"tier": "same_day", "clock_hours": 24, "prediction_set": ["labral_tear"]},
    "far": {"tier": "soon", "clock_hours": 24 * 365 * 100},
}
MANY = 60
TOKENS = {"anna": "token-of-anna-0123456789abcdef", "rita": "token-of-rita-0123456789abcdef"}
ZONES = '[clinics.north]\nzone = "Europe/Berlin"\n[clinics.south]\nzone = "Asia/Tokyo"\n'


def person(name: str, role: str, *clinics: str) -> str:
    token = hashlib.sha256(TOKENS[name].encode()).hexdigest()
    named = ", ".join(f'"{clinic}"' for clinic in clinics)
    return f'[people.{name}]\nname = "{name}"\nrole = "{role}"\nclinics = [{named}]\ntoken_sha256 = "{token}"\n'


def override(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return SCORES.get(record["record_id"], {})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Three clinics: rows of several tiers, seen and closed ones, unread forms, one of which names no clinic."""
    folder = tmp_path_factory.mktemp("page")
    home = Home(folder / "home")
    home.ensure()
    (home.root / "settings.toml").write_text(ZONES)
    north = [{"record_id": record, "submitted_at": at(0)} for record in SCORES]
    bad = {"record_id": "bad", "submitted_at": at(0), "pain_now": "eleven canary"}
    take_in(home, "north", [*north, bad], folder)
    take_in(home, "south", [{"record_id": f"s{n:03}", "submitted_at": at(n / 100)} for n in range(MANY)], folder)
    take_in(home, "west", [{"record_id": "west-canary", "submitted_at": at(0)}], folder)
    take_in(home, "", [{"record_id": "lost", "clinic_id": "", "submitted_at": at(0)}], folder)
    said = {"submitted_at": "", "decided_at": at(1).isoformat(), "decided_by": "Dr A"}
    done = {"came": ("seen", ""), "gone": ("closed", "known_to_clinic"), "Q-7": ("booked", "")}
    take_in(home, "north", [{"record_id": r, **said, "status": s, "reason": w} for r, (s, w) in done.items()], folder)
    mark_unread(home, {"bad": "emergency"})
    score(home, override)
    publish(home, about=about())
    return home


@pytest.fixture(scope="module")
def local(made: Home) -> TestClient:
    return client(made)


@pytest.fixture
def named(made: Home, tmp_path: Path) -> Iterator[Any]:
    """Asks as a named person: anna is a clinician of north, rita a reader of north and south."""
    home = Home(tmp_path / "home")
    shutil.copytree(made.root, home.root, symlinks=True)
    people = person("anna", "clinician", "north") + person("rita", "reader", "north", "south")
    (home.root / "settings.toml").write_text(ZONES + people)
    asking = client(home)
    return lambda who, path: asking.get(path, headers={"Authorization": f"Bearer {TOKENS[who]}"})


def shown(page: Any) -> str:
    """The page as a reader has it: without tags, each space once."""
    assert page.status_code == 200, page.status_code
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def records(page: Any) -> list[str]:
    return re.findall(r'<h3><a href="/record\?clinic=[^"]*">([^<]*)</a>', page.text)


def test_what_could_not_be_read_comes_first_with_what_to_do(local: TestClient) -> None:
    page = shown(local.get("/?clinic=north"))
    order = [
        "Table as of",
        "SAMPLE DATA",
        "2 forms could not be read, 1 with an emergency answer",
        "Form bad",
        "Possible tier: EMERGENCY",
        "Act by",
        "Telephone the person; the analyst sees the cells with hiptriage quarantine show",
        "names no clinic",
        "4 open records",
        "Who comes first",
        "place 1",
    ]
    places = [page.index(said, page.index("forms could not") if n > 2 else 0) for n, said in enumerate(order)]
    assert places == sorted(places)
    assert "canary" not in page


def test_rows_stand_in_the_order_of_the_published_worklist(local: TestClient, made: Home) -> None:
    for clinic in ("north", None):
        with connect(current_snapshot(made), clinic) as connection:
            published = [row[0] for row in connection.execute("SELECT record_id FROM worklist").fetchall()]
        pages = [local.get(f"/?page={number}" + (f"&clinic={clinic}" if clinic else "")) for number in (1, 2)]
        found = records(pages[0]) + (records(pages[1]) if len(published) > PAGE_ROWS else [])
        assert found == published


def test_a_row_says_who_when_why_and_what_is_missing(local: TestClient) -> None:
    page = shown(local.get("/?clinic=north"))
    for said in (
        "ill : F 24, <b>LEFT</b> groin, limps",  # escaped, so that it stands there as it was written
        "NOW, emergency department (clock: 2026-01-05 09:00 CET)",
        "OVERDUE by",
        "fever and cannot walk",
        "dangerous class not excluded",
        "most likely: Hip flexor strain",
        "possible: Septic arthritis",
        "cannot be excluded: Septic arthritis",
        "weights from published figures, not tested on this clinic's patients",
        "Pain at night?",
        "booked",
        "in 5",  # in 52.. weeks, of the row whose clock is far
    ):
        assert said in page, said
    assert "calibrated" not in page
    child = page[page.index("child :") :].partition("place ")[0]
    assert "the model is not built for children" in child and "most likely" not in child


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", ["ill", "Q-7", "child", "far"]),
        ("tier=same_day", ["Q-7"]),
        ("tier=routine", []),
        ("status=booked", ["Q-7"]),
        ("status=seen", ["came"]),
        ("status=closed", ["gone"]),
        ("status=all", ["ill", "Q-7", "child", "far", "came", "gone"]),
        ("review=1", ["ill"]),
        ("overdue=1", ["ill", "Q-7", "child"]),
        ("condition=labral_tear", ["Q-7"]),
        ("condition=septic_arthritis&overdue=1&tier=urgent", ["child"]),
        ("search=g", ["gone"]),
        ("search=q-7", ["Q-7"]),
        ("search=Q-7&tier=soon", []),
        ("search=nobody", []),
    ],
)
def test_filters_leave_these_rows_and_say_what_they_hide(local: TestClient, query: str, left: list[str]) -> None:
    page = local.get(f"/?clinic=north&{query}")
    assert records(page) == left
    text = shown(page)
    fast = {"ill", "Q-7"}
    hidden = len(fast - set(left))
    said = f"{hidden} emergency and same-day {'row is' if hidden == 1 else 'rows are'} hidden by the filter"
    assert (said in text) == (hidden > 0)
    assert ("hidden by the filter" in text) == (hidden > 0)
    assert ("seen and closed ones among them" in text) == query.startswith("search")
    # What is counted by tier is everything open, whatever is filtered.
    assert "EMERGENCY 1" in text and "SAME DAY 1" in text and "everything open 4" in text


def test_what_the_address_gets_wrong_is_said_and_left_out(local: TestClient) -> None:
    page = local.get("/?clinic=north&tier=xx-canary&status=';--&condition=%00&review=2&overdue=yes&page=-1&search=")
    text = shown(page)
    assert records(page) == ["ill", "Q-7", "child", "far"] and "canary" not in page.text
    for what in ("a tier", "a status", "a condition", "a kind of review", "a kind of overdue", "a page"):
        assert f"The address asks for {what} that" in text
    assert "longer than any record id" in shown(local.get(f"/?search={'a' * 300}"))
    assert local.get("/?clinic=nowhere").status_code == 404
    assert "There is no page 99." in shown(local.get("/?clinic=south&page=99"))


@given(
    query=st.dictionaries(
        st.sampled_from(["tier", "status", "review", "overdue", "condition", "search", "page"]),
        st.text(max_size=12) | st.sampled_from([*tiers(), *STATUSES, "all", "1", "labral_tear", "' OR 1=1 --"]),
    )
)
@settings(max_examples=60, deadline=None)
def test_no_value_of_an_address_reaches_the_statement(query: dict[str, str]) -> None:
    filters = read_filters(query, ("labral_tear",))
    sql, bound = filters.sql()
    everything, _ = Filters("urgent", "open", True, True, "labral_tear", "s", 1).sql()
    assert set(sql.split(" AND ")) <= {*everything.split(" AND "), "place IS NOT NULL", "true"}
    assert set(bound.values()) <= {value.strip() for value in query.values()}
    assert 1 <= filters.page <= 1_000_000


def test_pages_of_fifty_hold_each_record_once(local: TestClient) -> None:
    first, second = local.get("/?clinic=south"), local.get("/?clinic=south&page=2")
    assert len(records(first)) == PAGE_ROWS
    assert sorted(records(first) + records(second)) == [f"s{n:03}" for n in range(MANY)]
    assert "This is page 2 of 2: rows 51 to 60." in shown(second)


def test_nobody_reads_a_row_of_a_clinic_that_is_not_theirs(named: Any) -> None:
    assert named("anna", "/?clinic=south").status_code == 404
    for path in ("/", "/?status=all", "/?search=w", "/?clinic=north", "/?condition=septic_arthritis"):
        for who in TOKENS:
            page = named(who, path)
            assert "west" not in page.text, (who, path)
            if who == "anna":
                assert "south" not in page.text and "s001" not in page.text
    both = named("rita", "/")
    assert len(records(both)) == PAGE_ROWS and "all of yours" in both.text
    assert named("rita", "/?clinic=west").status_code == named("rita", "/print?clinic=west").status_code == 404
    assert "Your other clinics: 2 emergency and same-day rows wait there" in shown(named("rita", "/?clinic=south"))
    assert "Your other clinics" not in shown(named("anna", "/"))


def test_sensitive_marks_are_for_clinicians_of_the_clinic(named: Any) -> None:
    assert "pregnant, or may be" in shown(named("anna", "/"))
    reader = shown(named("rita", "/?clinic=north"))
    assert "pregnant" not in reader and "shown to clinicians of this clinic only" in reader
    assert "pregnant" not in shown(named("anna", "/print?clinic=north"))


def test_paper_holds_everything_open_with_the_stop_text_at_both_ends(local: TestClient) -> None:
    page = local.get("/print?clinic=south")
    text = shown(page)
    assert [f"s{n:03}" in text for n in range(MANY)] == [True] * MANY
    assert page.text.count('class="tick"') == MANY
    assert text.count("Stop: do not wait for this form.") == 2
    assert "as at" in text and "SAMPLE DATA" in text and "never to replace it" in text
    assert "JST" in text and "1 form could not be read" in text
    assert local.get("/print").status_code == 404
    north = shown(local.get("/print?clinic=north"))
    assert "Form bad: EMERGENCY, act by" in north
    assert [record in north for record in ("far F 24", "came F 24", "gone F 24")] == [True, False, False]


def test_the_page_about_the_page_says_what_it_is_not_for(named: Any, made: Home) -> None:
    text = shown(named("rita", "/about"))
    for said in (
        "Not for patients to use alone, and nobody reads a form in real time",
        "generated from published likelihoods; no patient record",
        "not yet signed by a clinician",
        "m1",
        current_snapshot(made).id,
        "do not wait for this form",
    ):
        assert said in text, said
    assert "calibrated" not in text


def test_an_old_table_is_red_and_a_suspended_model_says_rules_only(made: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(made.root, home.root, symlinks=True)
    publish(home, about=about(banner="RULES ONLY: the model is suspended"))
    (home.root / "settings.toml").write_text("stale_hours = 0.000001\n")
    page = client(home).get("/?clinic=north").text
    red = re.findall(r'<p class="notice red" role="alert">([^<]*)</p>', page)
    assert red[0].startswith("STALE: this table was made") and red[1] == "RULES ONLY: the model is suspended"


def test_an_empty_table_is_said_plainly(home: Home) -> None:
    publish(home, about=about())
    assert "holds nothing of your clinics" in shown(client(home).get("/"))


DURATIONS = [
    (timedelta(seconds=59), "0 minutes"),
    (timedelta(minutes=1), "1 minute"),
    (timedelta(minutes=119), "119 minutes"),
    (timedelta(hours=2), "2 hours"),
    (timedelta(hours=47, minutes=59), "47 hours"),
    (timedelta(days=2), "2 days"),
    (timedelta(days=55), "55 days"),
    (timedelta(days=56), "8 weeks"),
    (timedelta(days=-3), "3 days"),
]


@pytest.mark.parametrize(("length", "words"), DURATIONS)
def test_lengths_of_time_in_words(length: timedelta, words: str) -> None:
    assert duration(length) == words


def test_readers_never_mix_two_tables_while_new_ones_are_published(made: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(made.root, home.root, symlinks=True)
    asking, folder = client(home), tmp_path
    # By the id of a snapshot, how many records of south are open in it.
    open_in = {current_snapshot(home).id: MANY}

    def read(number: int) -> tuple[str, int, int, int]:
        page = asking.get("/?clinic=south" + ("&status=all", "", "&page=2")[number % 3])
        text = shown(page)
        (snapshot,) = re.findall(r"Snapshot ([0-9TZ]+-[0-9a-f]{6})", text)
        counted = re.search(r"everything open (\d+)", text)
        by_tier = sum(int(n) for n in re.findall(r"(?:EMERGENCY|SAME DAY|URGENT|soon|routine|self-care) (\d+)", text))
        assert counted
        return snapshot, int(counted[1]), by_tier, len(records(page))

    with asking, ThreadPoolExecutor(8) as readers:  # one server, with one event loop
        answers = []
        for round_ in range(3):
            reading = [readers.submit(read, number) for number in range(12)]
            take_in(home, "south", [{"record_id": f"new{round_}", "submitted_at": at(2)}], folder)
            score(home, override)
            publish(home, about=about())
            open_in[current_snapshot(home).id] = MANY + round_ + 1
            answers += [one.result() for one in reading]
        answers.append(read(1))
    assert len({snapshot for snapshot, *_ in answers}) > 1
    for snapshot, counted, by_tier, rows in answers:
        assert counted == by_tier == open_in[snapshot]
        assert rows in (PAGE_ROWS, open_in[snapshot] - PAGE_ROWS)


def test_a_table_that_is_not_current_any_more_is_not_kept_open(made: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(made.root, home.root, symlinks=True)
    kept_open, old = OpenSnapshots(home), current_snapshot(home)

    def held(snapshot_id: str) -> bool:
        links = Path("/proc/self/fd").iterdir()
        return any(f"{home.snapshots / snapshot_id}/" in str(link.readlink()) for link in links if link.is_symlink())

    with kept_open.reading(old, ("north",), places=datetime.now(UTC)) as reading:
        publish(home, about=about())
        new = current_snapshot(home)
        with kept_open.reading(new, ("north",)):
            assert held(old.id) and held(new.id)
        # Who began with the old one reads it to the end.
        assert reading.cursor.execute("SELECT count(*) FROM place").fetchone() == (len(SCORES),)
    assert not held(old.id) and held(new.id)
    with kept_open.reading(old, ("north",)):  # a request that resolved the pointer just before
        assert held(old.id)
    assert not held(old.id) and held(new.id)
    publish(home, about=about())
    kept_open.close_outdated()
    assert not held(new.id)
