"""Monitoring: small counts never leave, and a change is called out when there is one and not before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import knowledge_files
from models.evaluation.estimates import LEAST_CELL
from models.monitoring.arrivals import by_week, freshness, volume
from models.monitoring.drift import Compared, distance, drift
from models.monitoring.findings import Finding, overall
from models.monitoring.limits import monitoring_limits, signature
from models.monitoring.outcomes import Confirmed, calibration, sensitivity
from models.monitoring.suppression import in_words, people, suppressed, suppressed_counts
from schemas.form import form
from tests.published_home import about, at, published, score_again, take_in
from warehouse import monitoring, snapshots
from warehouse.home import Home
from warehouse.monitoring import BLANK, Windows
from warehouse.snapshot_changes import NOT_THERE, snapshot_changes
from warehouse.store import opened

TODAY = date(2026, 6, 1)
COUNTS = st.integers(0, 30) | st.integers(0, 2000)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, dict[str, int]]:
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    cells = draw(st.lists(COUNTS, min_size=rows * columns, max_size=rows * columns))
    return {f"r{i}": {f"c{j}": cells[i * columns + j] for j in range(columns)} for i in range(rows)}


@given(tables())
@settings(max_examples=150, deadline=None)
def test_what_is_shown_is_true_and_large(counts: dict[str, dict[str, int]]) -> None:
    for name, row in suppressed(counts).items():
        for column, shown in row.items():
            assert shown is None or shown == counts[name][column] >= LEAST_CELL
            assert shown is not None or counts[name][column] < LEAST_CELL or len(counts) + len(row) > 2


@given(tables())
@settings(max_examples=150, deadline=None)
def test_no_hidden_count_follows_from_the_totals(counts: dict[str, dict[str, int]]) -> None:
    shown = suppressed(counts)
    rows, columns = list(counts), list(next(iter(counts.values())))
    hidden = [(r, c) for r in rows for c in columns if shown[r][c] is None]
    # One equation for each total that says more than a cell does by itself.
    lines = [[(r, c) for c in columns] for r in rows if len(columns) > 1]
    lines += [[(r, c) for r in rows] for c in columns if len(rows) > 1]
    equations = np.array([[float(cell in line) for cell in hidden] for line in lines]).reshape(len(lines), len(hidden))
    for place, (r, c) in enumerate(hidden):
        whole = all(shown[r][other] is None for other in columns) and all(shown[other][c] is None for other in rows)
        alone = np.eye(len(hidden))[place]
        known = np.linalg.matrix_rank(np.vstack([equations, alone])) == np.linalg.matrix_rank(equations)
        assert whole or not known
    for line in lines:
        there = [cell for cell in line if cell in hidden]
        if there and len(there) < len(line):
            assert len(there) >= 2
            assert sum(counts[r][c] for r, c in there) >= LEAST_CELL


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"a": 7, "b": 8, "c": 90}, {"a": None, "b": None, "c": 90}),
        ({"a": 8, "b": 9}, {"a": 8, "b": 9}),
        ({"a": 0, "b": 0, "c": 40, "d": 50}, {"a": None, "b": None, "c": None, "d": 50}),
        ({"a": 3}, {"a": None}),
        ({}, {}),
    ],
)
def test_counts_in_a_row(counts: dict[str, int], shown: dict[str, int | None]) -> None:
    assert suppressed_counts(counts) == shown
    assert "7" not in {in_words(count) for count in shown.values()}
    assert [people(n) for n in (0, 7, 8, 1200)] == ["7 or fewer", "7 or fewer", "8", "1,200"]


SPREADS = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 500), min_size=1)


@given(SPREADS, SPREADS)
@settings(max_examples=60, deadline=None)
def test_the_distance_is_one_of_two_ways_and_bounded(one: dict[str, int], other: dict[str, int]) -> None:
    apart = distance(one, other)
    assert 0 <= apart <= 1
    assert apart == pytest.approx(distance(other, one))
    assert distance(one, {name: 3 * n for name, n in one.items()}) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("reference", "recent", "state"),
    [
        ({"yes": 300, "no": 300}, {"yes": 100, "no": 100}, "ok"),
        ({"yes": 300, "no": 300}, {"yes": 20, "no": 180}, "moved"),
        ({"yes": 300, "blank": 300}, {"blank": 200}, "moved"),  # a question that is lost
        ({"yes": 300, "no": 300}, {"yes": 9, "no": 90}, "too_few_to_say"),
        ({"yes": 99}, {"no": 5000}, "too_few_to_say"),
        ({"yes": 50_000, "no": 50_000}, {"yes": 52_000, "no": 48_000}, "ok"),  # certain, and too small to matter
        ({}, {}, "too_few_to_say"),
    ],
)
def test_a_spread_moves_when_the_change_is_large_and_no_chance(
    reference: dict[str, int], recent: dict[str, int], state: str
) -> None:
    (found,) = drift([Compared("q", reference, recent)], monitoring_limits().drift.answers)
    assert (found.subject, found.state) == ("q", state)


def test_many_questions_of_the_same_people_raise_no_alarm_by_chance() -> None:
    drawn = np.random.default_rng(5)
    same = [
        Compared(str(n), *({"a": int(a), "b": 120 - int(a)} for a in drawn.binomial(120, 0.3, size=2)))
        for n in range(300)
    ]
    assert [finding.state for finding in drift(same, monitoring_limits().drift.answers)] == ["ok"] * 300


def days(*ago: int, forms: int = 5) -> dict[date, int]:
    return {TODAY - timedelta(days=n): forms for n in ago}


@pytest.mark.parametrize(
    ("ago", "state"),
    [
        (range(3, 30), "ok"),  # daily, silent for a long weekend
        (range(4, 30), "late"),
        (range(14, 120, 7), "ok"),  # weekly, one week missed
        (range(15, 120, 7), "late"),
        ([day for day in range(4, 60) if (TODAY - timedelta(days=day)).weekday() < 5], "ok"),  # weekends are usual
        (range(0, 5), "too_few_to_say"),
        ((), "too_few_to_say"),
        ((*range(9, 30), -400), "late"),  # a file dated into the future hides no silence
    ],
)
def test_a_clinic_is_late_by_its_own_habit(ago: list[int], state: str) -> None:
    assert freshness("north", days(*ago), TODAY, monitoring_limits().freshness).state == state


@pytest.mark.parametrize(
    ("weeks", "state"),
    [
        ([20] * 9, "ok"),
        ([2, *[20] * 8], "low"),
        ([0, *[20] * 8], "low"),
        ([9, *[20] * 8], "ok"),  # less than half, and within chance
        ([0, *[9] * 8], "too_few_to_say"),
        ([0, 20, 20, 20], "too_few_to_say"),
        ([0, 20, 20, 20, 20], "low"),
        ([], "too_few_to_say"),
    ],
)
def test_volume_is_low_far_below_a_usual_week(weeks: list[int], state: str) -> None:
    by_day = {TODAY - timedelta(days=7 * place + 7): n for place, n in enumerate(weeks)}
    assert volume("north", by_day | {TODAY: 0}, TODAY, monitoring_limits().volume).state == state


@given(st.dictionaries(st.dates(date(2025, 1, 1), date(2026, 12, 31)), st.integers(0, 50)))
@settings(max_examples=60, deadline=None)
def test_weeks_hold_every_form_once(by_day: dict[date, int]) -> None:
    weeks = by_week(by_day)
    assert sum(weeks.values()) == sum(by_day.values())
    assert all(monday.weekday() == 0 for monday in weeks)
    assert list(weeks) == sorted(weeks)


def people_with(n: int, given_to_true: float, really: float, *, seed: int = 3) -> list[Confirmed]:
    """``n`` people: the model gives one of two conditions ``given_to_true``, and is right that often: ``really``."""
    right = np.random.default_rng(seed).random(n) < really
    spread = {"hernia": given_to_true, "sciatica": 1 - given_to_true}
    return [Confirmed("hernia" if hit else "sciatica", "soon", spread) for hit in right]


def test_calibration_is_judged_from_enough_outcomes_and_by_its_whole_interval() -> None:
    limits = monitoring_limits().calibration
    fair = people_with(400, 0.7, 0.7) + people_with(400, 0.9, 0.9, seed=4)
    boastful = people_with(400, 0.95, 0.6) + people_with(400, 0.8, 0.5, seed=4)
    assert calibration("m", fair, limits).finding.state == "ok"
    found = calibration("m", boastful, limits)
    assert (found.finding.state, found.finding.certain) == ("moved", True)
    assert any(one["observed"] for one in found.bins)
    few = fair[: limits.least_outcomes - 1]
    children = [replace(one, built_for=False) for one in fair]
    by_rules = [replace(one, differential={}) for one in fair]
    for too_few in (few, few + children, few + by_rules, []):
        assert calibration("m", too_few, limits).finding.state == "too_few_to_say"
    assert calibration("m", fair[: limits.least_outcomes], limits).finding.state != "too_few_to_say"


def test_no_bin_tells_of_few_people() -> None:
    nearly_always = (
        people_with(300, 0.97, 1.0) + [Confirmed("sciatica", "soon", {"hernia": 0.97, "sciatica": 0.03})] * 5
    )
    assert not any(one["observed"] for one in calibration("m", nearly_always, monitoring_limits().calibration).bins)


@pytest.mark.parametrize(
    ("seen", "missed", "state", "certain"),
    [(29, 0, "too_few_to_say", False), (30, 0, "ok", False), (30, 3, "low", False), (40, 40, "low", True)],
)
def test_sensitivity_of_dangerous_conditions(seen: int, missed: int, state: str, certain: bool) -> None:
    confirmed = [Confirmed("tumour", "urgent", {})] * (seen - 1) + [Confirmed("tumour", "emergency", {})]
    confirmed += [Confirmed("tumour", "soon", {})] * missed + [Confirmed("hernia", "self_care", {})] * 500
    found = sensitivity("all", confirmed, ["tumour", "septic_arthritis"], monitoring_limits().sensitivity)
    assert (found.state, found.certain) == (state, certain)
    # With the exact share and number, the few who were missed could be counted.
    assert set(found.figures) <= {"low", "high"}
    assert state == "too_few_to_say" or f"about {round(seen + missed, -1)} people" in found.sentence


def test_limits_are_data_unsigned_and_change_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    assert monitoring_limits().signed_by is None
    assert signature() == "limits not yet signed by a clinician"
    read: list[str] = []
    monkeypatch.setattr(knowledge_files, "digest_of", lambda paths: read.extend(path.name for path in paths) or "v")
    knowledge_files.catalogue_version.__wrapped__()
    assert "decision_costs.yaml" in read
    assert "monitoring_limits.yaml" not in read


def test_what_is_called_out_stands_before_what_is_fine() -> None:
    ok, few, late = (Finding("c", state, "") for state in ("ok", "too_few_to_say", "late"))  # type: ignore[arg-type]
    assert overall([ok, few, late]) == "late"
    assert overall([few, ok]) == "ok"
    assert overall([few]) == overall([]) == "too_few_to_say"


NOW = datetime(2026, 3, 1, tzinfo=UTC)
EARLY, LATE = NOW - timedelta(days=100), NOW - timedelta(days=10)


@pytest.fixture(scope="module")
def clinics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Two clinics with forms that came in in both windows, a refused one, outcomes, and two snapshots."""
    folder = tmp_path_factory.mktemp("monitored")
    home = Home(folder / "home")
    rows = [
        {"record_id": f"r{n}", "submitted_at": at(n), "systemic__fever": n % 2, "age_years": 20 + n, "side": "left"}
        for n in range(12)
    ]
    early = take_in(home, "north", rows[:8], folder)
    late = take_in(home, "north", [*rows[8:], {"record_id": "bad", "submitted_at": "never"}], folder)
    take_in(home, "south", [{"record_id": "s", "submitted_at": at(0), "age_years": 30}], folder)
    with opened(home, "date for a test") as connection:
        for batch, moment in ((early, EARLY), (late, LATE)):
            for table in ("intake_file", "intake_valid", "intake_quarantine"):
                connection.execute(f"UPDATE {table} SET received_at = ? WHERE batch_id = ?", [moment, batch])
    published(home)
    score_again(home, lambda row: {"tier": "soon", "model_version": "m2"}, NOW + timedelta(days=1))
    outcomes = [("r0", "hernia"), ("r1", "septic_arthritis"), ("r2", "hernia")]
    with opened(home, "tell outcomes for a test") as connection:
        for place, (record, condition) in enumerate(outcomes):
            connection.execute(
                "INSERT INTO outcome VALUES ('b', ?, ?, 'h', ?, 'north', ?, ?, true, ?, NULL, 'imaging', 'no', NULL, "
                "NULL, NULL)",
                [place, NOW, record, at(int(record[1:])), NOW, condition],
            )
        connection.execute("INSERT INTO withdrawn_record VALUES ('north', 'r2', 'restrict', ?)", [NOW])
    snapshots.publish(home, about=about(model_version="m2"))
    yield home
    shutil.rmtree(folder)


def test_arrivals_are_counted_by_clinic_and_day(clinics: Home) -> None:
    with monitoring.monitored(clinics) as connection:
        found = {(a.clinic_id, a.day): (a.files, a.forms) for a in monitoring.arrivals(connection)}
    assert found["north", EARLY.date()] == (1, 7)  # one of the eight was withdrawn
    assert found["north", LATE.date()] == (1, 5)  # refused forms arrived too
    assert sum(forms for (clinic, _), (_, forms) in found.items() if clinic == "south") == 1


def test_answers_are_spread_by_window_and_blank_counts(clinics: Home) -> None:
    windows = Windows.before(NOW, recent_days=28, reference_days=168)
    with monitoring.monitored(clinics) as connection:
        spreads = monitoring.answer_spreads(connection, windows, {"age_years": (25, 30)}, least_records=1)
        assert monitoring.answer_spreads(connection, windows, {}, least_records=5) == []
    found = {spread.subject: (dict(spread.reference), dict(spread.recent)) for spread in spreads}
    assert {spread.clinic_id for spread in spreads} == {"north"}  # south has no reference
    assert found["systemic__fever"] == ({"yes": 4, "no": 3, BLANK: 0}, {"yes": 2, "no": 2, BLANK: 0})
    assert found["age_years"] == ({"0": 4, "1": 3, BLANK: 0}, {"1": 2, "2": 2, BLANK: 0})
    assert found["side"] == ({"left": 7, BLANK: 0}, {"left": 4, BLANK: 0})
    assert found["night_pain"] == ({BLANK: 7}, {BLANK: 4})
    assert not {question.column for question in form() if question.sensitivity == "sensitive"} & set(found)
    assert not {"record_id", "patient_key", "notes", "submitted_at"} & set(found)


def test_tiers_are_those_that_a_form_came_to_first(clinics: Home) -> None:
    with monitoring.monitored(clinics) as connection:
        weeks = monitoring.tiers_by_week(connection, NOW - timedelta(days=365))["north"]
        (north,) = monitoring.tier_spreads(connection, Windows.before(NOW, recent_days=28, reference_days=168))
    assert [sum(tiers.values()) for tiers in weeks.values()] == [7, 4]
    assert {tier for tiers in weeks.values() for tier in tiers} == {"routine"}
    assert (north.reference, north.recent) == ({"routine": 7}, {"routine": 4})


def test_refusals_name_known_clinics_only(clinics: Home) -> None:
    with monitoring.monitored(clinics) as connection:
        assert monitoring.refusals(connection, NOW - timedelta(days=30)) == {"north": {"bad_time": 1}}
        assert monitoring.refusals(connection, NOW) == {}


def test_an_outcome_is_held_against_the_score_of_its_time(clinics: Home) -> None:
    with monitoring.monitored(clinics) as connection:
        found = monitoring.confirmed_outcomes(connection, NOW - timedelta(days=1))
    assert sorted((one.condition, one.tier, one.model_version) for one in found) == [
        ("hernia", "routine", "m1"),
        ("septic_arthritis", "routine", "m1"),
    ]  # the withdrawn record is not among them, and the later score by m2 does not count
    assert all(sum(one.differential.values()) == pytest.approx(1) for one in found)


def test_the_change_since_the_last_snapshot_is_counted_by_tier(clinics: Home) -> None:
    changed = snapshot_changes(clinics)
    assert changed is not None
    assert changed.tiers == {"routine": {"soon": 12, NOT_THERE: 1}}
    assert changed.unread == (1, 1)
    current = json.loads((clinics.snapshots / changed.after / "manifest.json").read_text())
    assert current["previous"] == changed.before


def test_without_an_earlier_snapshot_there_is_no_change(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.ensure()
    assert snapshot_changes(home) is None
    take_in(home, "north", [{"record_id": "a", "submitted_at": at(0)}], tmp_path)
    published(home)
    assert snapshot_changes(home) is None
