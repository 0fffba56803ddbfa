"""The questions of docs/queries.md, read out of the page and asked in both ways that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from pipelines.cli import main
from tests.published_home import RULE, about, mark_unread, score, take_in
from warehouse.home import Home
from warehouse.snapshots import publish

PAGE = Path(__file__).parent.parent / "docs" / "queries.md"
QUESTIONS = {
    int(number): sql for number, sql in re.findall(r"^## (\d+)\. .*?^```sql\n(.*?)^```", PAGE.read_text(), re.M | re.S)
}
NOW = datetime.now(UTC).replace(microsecond=0)
URGENT_RULE = {"id": "bone", "text": "cannot hop", "tier": "urgent", "source": "source B"}
ASK = [
    {"column": "night_pain", "question": "Pain at night?", "why": "a"},
    {"column": "side", "question": "Side?", "why": "b"},
]


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


# Record, when it was submitted, and what differs from a plain routine score.
RECORDS: Mapping[str, tuple[datetime, dict[str, Any]]] = {
    "ill": (ago(hours=2), {"tier": "emergency", "clock_hours": 0, "red_flags": [RULE]}),
    "acked": (ago(hours=3), {"tier": "emergency", "clock_hours": 0, "red_flags": [RULE]}),
    "today": (ago(hours=4), {"tier": "same_day", "clock_hours": 24}),
    "ends": (ago(hours=330), {"tier": "urgent", "clock_hours": 336}),
    "late": (ago(days=200), {}),
    "calm": (ago(days=1), {"prediction_set": ["labral_tear"]}),
    "child": (ago(days=1), {"special": ["child"], "prediction_set": []}),
    "call": (ago(days=2), {"ask_by": NOW + timedelta(days=1), "questions_to_ask": ASK, "prediction_set": []}),
    "lower": (ago(days=3), {"tier": "urgent", "clock_hours": 336, "red_flags": [URGENT_RULE]}),
    "came": (ago(days=10), {"tier": "soon", "clock_hours": 1008}),
    "missed": (ago(days=10), {"tier": "soon", "clock_hours": 1008}),
    "shown": (ago(days=10), {"tier": "soon", "clock_hours": 1008}),
}
LINKED = {"late": "p-1", "came": "p-1", "calm": "p-2"}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A clinic with a record for each question, what its clinicians sent, and another clinic."""
    folder = tmp_path_factory.mktemp("asked")
    home = Home(folder / "home")
    rows = [
        {"record_id": record, "submitted_at": at, "patient_key": LINKED.get(record, "")}
        for record, (at, _) in RECORDS.items()
    ]
    again = {"record_id": "again", "submitted_at": ago(days=3), "patient_key": ""}
    take_in(home, "north", [*rows, again], folder)
    score(home, lambda record: RECORDS.get(record["record_id"], (NOW, {}))[1], ago(days=2))
    # a second form of one record, a form that cannot be read, and a clinic of its own, all of the last hour
    take_in(home, "north", [again | {"submitted_at": ago(hours=1), "side": "left"}], folder)
    take_in(home, "north", [{"record_id": "bad", "submitted_at": ago(hours=1), "pain_now": "eleven"}], folder)
    take_in(home, "south", [{"record_id": "s", "submitted_at": ago(hours=1)}], folder)
    mark_unread(home, {"bad": "emergency"})
    score(home, lambda record: {"tier": "urgent", "clock_hours": 336} if record["record_id"] == "again" else {}, NOW)
    said = [
        ("acked", {"status": "acknowledged", "decided_at": ago(hours=1)}),
        ("today", {"status": "seeen", "decided_at": ago(hours=1)}),
        ("lower", {"decided_tier": "routine", "reason": "examined", "decided_at": ago(hours=1)}),
    ]
    blank = {"status": "", "decided_tier": "", "reason": "", "decided_by": "Dr Ada"}
    take_in(
        home,
        "north",
        [{"record_id": of, "submitted_at": RECORDS[of][0], **blank, **_iso(what)} for of, what in said],
        folder,
    )
    outcomes = [
        ("came", "hip_flexor_strain", "no"),
        ("missed", "septic_arthritis", "no"),
        ("shown", "hip_flexor_strain", "yes"),
    ]
    take_in(
        home,
        "north",
        [
            {
                "record_id": record,
                "submitted_at": RECORDS[record][0],
                "recorded_at": ago(days=6).isoformat(),
                "attended": "yes",
                "confirmed_condition": condition,
                "found_by": "imaging",
                "differential_seen_before": seen,
            }
            for record, condition, seen in outcomes
        ],
        folder,
    )
    publish(home, about=about())
    return home


def _iso(what: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in what.items()}


# By question: what the clinic "north" of the home has to answer, as columns of the answer.
ANSWERS: Mapping[int, tuple[tuple[str, ...], list[tuple[Any, ...]]]] = {
    1: (
        ("record_id", "effective_tier", "overdue"),
        [
            ("acked", "emergency", True),
            ("ill", "emergency", True),
            ("today", "same_day", False),
            ("ends", "urgent", False),
            ("late", "routine", True),
        ],
    ),
    2: (("record_id", "status"), [("acked", "acknowledged"), ("ill", "open"), ("late", "open")]),
    3: (("record_id", "tier_reason"), [("ill", "reason of ill")]),
    4: (("what", "record_id", "possible_tier"), [("form", "bad", "emergency"), ("decision", "today", None)]),
    5: (
        ("effective_tier", "waiting", "overdue"),
        [("emergency", 2, 2), ("same_day", 1, 0), ("urgent", 2, 0), ("routine", 5, 1)],
    ),
    6: (("record_id", "question"), [("call", "Pain at night?"), ("call", "Side?")]),
    7: (
        ("record_id", "is_child", "not_excluded"),
        [
            ("acked", False, "septic_arthritis"),
            ("ill", False, "septic_arthritis"),
            ("today", False, "septic_arthritis"),
            ("ends", False, "septic_arthritis"),
            ("again", False, "septic_arthritis"),
            ("late", False, "septic_arthritis"),
            ("lower", False, "septic_arthritis"),
            ("child", True, ""),
        ],
    ),
    8: (("record_id", "before", "now_computed"), [("again", "routine", "urgent")]),
    9: (
        ("record_id", "decided_by", "decided_tier", "reason", "tier_of_rule", "rule"),
        [("lower", "Dr Ada", "routine", "examined", "urgent", "cannot hop")],
    ),
    10: (
        ("confirmed_condition", "confirmed", "named_first", "among_first_three"),
        [("hip_flexor_strain", 1, 1, 1), ("septic_arthritis", 1, 0, 1)],
    ),
    11: (("effective_tier", "seen", "median_days_to_visit"), [("soon", 3, 4.0)]),
    12: (
        ("patient_key", "record_id", "confirmed"),
        [("p-1", "late", None), ("p-1", "came", "hip_flexor_strain")],
    ),
}


def test_every_question_has_an_answer() -> None:
    assert sorted(QUESTIONS) == sorted(ANSWERS) == list(range(1, 13))


@pytest.mark.parametrize("number", ANSWERS)
def test_the_command_answers(asked: Home, number: int) -> None:
    environment = {"HIPTRIAGE_HOME": str(asked.root)}
    arguments = ["sql", QUESTIONS[number], "--clinic", "north", "--format", "json"]
    done = CliRunner(env=environment).invoke(main, arguments)
    assert done.exit_code == 0, done.stderr
    columns, rows = ANSWERS[number]
    assert [tuple(row[column] for column in columns) for row in json.loads(done.stdout)] == rows


@pytest.mark.parametrize("number", ANSWERS)
def test_a_client_of_ones_own_answers_the_same(asked: Home, number: int) -> None:
    current = (asked.snapshots / "current").read_text().strip()
    with duckdb.connect(asked.snapshots / current / "north.duckdb", read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        result = connection.execute(QUESTIONS[number])
        names = [column[0] for column in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    columns, wanted = ANSWERS[number]
    assert [tuple(row[column] for column in columns) for row in rows] == wanted


def test_days_overdue_are_days(asked: Home) -> None:
    done = CliRunner(env={"HIPTRIAGE_HOME": str(asked.root)}).invoke(
        main, ["sql", QUESTIONS[2], "--clinic", "north", "--format", "json"]
    )
    (late,) = [row for row in json.loads(done.stdout) if row["record_id"] == "late"]
    assert late["days_overdue"] == pytest.approx(200 - 18 * 7, abs=0.2)


def test_all_clinics_are_one_table(asked: Home) -> None:
    done = CliRunner(env={"HIPTRIAGE_HOME": str(asked.root)}).invoke(main, ["sql", QUESTIONS[8], "--format", "json"])
    found = {(row["clinic_id"], row["record_id"], row["before"]) for row in json.loads(done.stdout)}
    assert found == {("north", "again", "routine"), ("south", "s", "new")}
