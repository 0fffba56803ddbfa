"""Safety concerns: what is read and refused, that none is lost or replaced, and what they do to the published table."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.alerting.composing import Facts, compose, message
from pipelines.alerting.facts import new_concerns
from pipelines.commands.explain import explain
from schemas.contract import Split
from schemas.problems import FileRefused
from schemas.safety_concerns import (
    REQUIRED,
    safety_concern_form,
    safety_concern_problems,
    safety_concern_schema,
    split_safety_concerns,
)
from schemas.what_is_wrong import explained
from tests.published_home import about, at, published, score, take_in
from tests.test_follow_up import DECISION, Rows, bring, held, landed, shown, visit, word
from warehouse import follow_up, ledger
from warehouse.home import Home
from warehouse.settings import Settings
from warehouse.snapshot_reading import connect, current_snapshot, read_manifest
from warehouse.snapshots import publish
from warehouse.store import WAREHOUSE_VERSION, opened, sql_type
from warehouse.withdrawing import erasure, withdrawal
from warehouse.withdrawing.search import Named, look
from warehouse.withdrawing.terms import Agreed

RECEIVED = datetime(2026, 11, 1, 12, tzinfo=UTC)
GOOD = {
    "record_id": "r-1",
    "clinic_id": "north",
    "submitted_at": "2026-10-01T09:30:00+01:00",
    "reported_at": "2026-10-02T10:00:00Z",
    "reported_by": "Dr. A. O'Neill-Smith",
    "concern": "tier_too_low",
}
FOUND_IN_THE_WAREHOUSE = {"no_such_record", "no_such_version"}


def together(changes: list[dict[str, str | None]], clinic: str | None = "north") -> Split:
    """One split over many rows, each ``GOOD`` with the given changes."""
    rows = [GOOD | change for change in changes]
    columns = sorted({name for row in rows for name in row})
    cells = pl.DataFrame({c: [row.get(c) for row in rows] for c in columns}, dict.fromkeys(columns, pl.String))
    return split_safety_concerns(cells, clinic=clinic, received_at=RECEIVED)


# Every line here is worth a word: what is read, with its warnings.
READ: list[tuple[dict[str, str | None], str, object, list[str]]] = [
    ({}, "concern", "tier_too_low", []),
    ({}, "reported_by", "Dr. A. O'Neill-Smith", []),
    ({"reported_by": "4711"}, "reported_by", "4711", []),
    ({"reported_at": "2026-10-20 10:00+02:00"}, "reported_at", datetime(2026, 10, 20, 8, tzinfo=UTC), []),
    ({"submitted_at": ""}, "submitted_at", None, []),
    ({"record_id": " ", "submitted_at": None}, "record_id", None, []),
    ({"clinic_id": " "}, "clinic_id", "north", []),
    # a clock that was wrong keeps no concern out
    ({"reported_at": "2026-10-01T08:29:59Z"}, "record_id", "r-1", ["before_the_form"]),
    ({"reported_at": "2026-11-02T12:00:00Z"}, "reported_at", datetime(2026, 11, 2, 12, tzinfo=UTC), []),
]


def test_a_row_that_can_be_read_becomes_a_typed_concern() -> None:
    parts = together([change for change, *_ in READ])
    assert parts.rejections.is_empty()
    rows = parts.accepted.sort("row").to_dicts()
    assert [(row[column], row["warnings"]) for row, (_, column, _, _) in zip(rows, READ, strict=True)] == [
        (answer, warnings) for *_, answer, warnings in READ
    ]
    stored = parts.accepted.select(safety_concern_schema().names).to_arrow().cast(safety_concern_schema())
    assert stored.num_rows == len(READ)


REFUSED: list[tuple[dict[str, str | None], str | None, str]] = [
    ({"record_id": "Jo Smith"}, "record_id", "bad_key"),
    ({"clinic_id": "south"}, "clinic_id", "other_clinic"),
    ({"reported_at": None}, "reported_at", "missing_time"),
    ({"reported_at": "20/10/2026"}, "reported_at", "bad_time"),
    ({"reported_at": "2026-10-20T10:00:00"}, "reported_at", "time_without_offset"),
    ({"reported_at": "2026-11-02T12:00:01Z"}, "reported_at", "in_future"),
    ({"reported_by": None}, "reported_by", "missing_name"),
    ({"reported_by": "=cmd()"}, "reported_by", "bad_name"),
    ({"concern": None}, "concern", "missing_answer"),
    ({"concern": "she fell"}, "concern", "not_a_choice"),
    # a form without its record: taken for one about the program, nobody would look at the patient
    ({"record_id": ""}, None, "form_without_record"),
]


def test_a_row_that_cannot_be_used_is_refused_with_its_code() -> None:
    parts = together([change for change, *_ in REFUSED])
    found = parts.rejections.sort("row").select("row", "column", "code").rows()
    assert found == [(place, column, code) for place, (_, column, code) in enumerate(REFUSED)]
    assert parts.accepted.is_empty()
    nowhere = together([{"clinic_id": None}], clinic=None)
    assert nowhere.rejections.select("column", "code").rows() == [("clinic_id", "missing_key")]


def test_every_code_has_a_case_and_a_sentence_and_nowhere_is_room_for_a_sentence() -> None:
    cases = {code for *_, code in REFUSED} | {"missing_key"} | {code for *_, codes in READ for code in codes}
    assert cases | FOUND_IN_THE_WAREHOUSE == set(safety_concern_problems())
    assert all(problem.sentence and problem.mend for problem in safety_concern_problems().values())
    assert set(REQUIRED) <= {question.column for question in safety_concern_form()}
    free = [question.column for question in safety_concern_form() if question.type == "text"]
    assert free == ["record_id", "clinic_id", "reported_by"]
    assert "red_flag_missed" in explained("not_a_choice", "concern", "safety_concern").allowed
    assert explained("form_without_record", None, "safety_concern").mend


COLUMNS = tuple(question.column for question in safety_concern_form())


@pytest.mark.parametrize(
    ("columns", "contents"),
    [
        (COLUMNS, "safety_concern"),
        (("record_id", "reported_at", "concern"), "safety_concern"),
        (("record_id", "Reported at", "reported_byy"), "safety_concern"),
        (("record_id", "submitted_at", "pain_now", "concern"), "intake"),
    ],
)
def test_a_file_is_recognised_by_two_of_its_marks(columns: tuple[str, ...], contents: str) -> None:
    assert follow_up.contents_of(columns) == contents


@pytest.mark.parametrize(
    "columns",
    [
        (*COLUMNS, "decided_at"),
        ("record_id", "reported_at", "attended"),
        ("record_id", "reported_at", "concern", "systemic__fever"),
        ("record_id", "decided_at", "recorded_at", "reported_at"),
    ],
)
def test_a_file_of_several_kinds_is_refused(columns: tuple[str, ...]) -> None:
    with pytest.raises(FileRefused) as refused:
        follow_up.contents_of(columns)
    assert refused.value.code == "mixed_contents"


def concern(
    day: float, said: str = "tier_too_low", by: str = "Dr A", record: str | None = "a"
) -> dict[str, str | None]:
    """A concern reported on a day."""
    return {"record_id": record, "reported_at": at(day).isoformat(), "reported_by": by, "concern": said}


def test_no_concern_replaces_or_contradicts_another_one(home: Home) -> None:
    first = concern(2)
    rows = [
        first,
        first,  # the very same
        concern(2, by="Dr B"),  # another clinician at the same instant
        concern(2, "red_flag_missed"),  # something else at the same instant
        concern(1),  # older than the newest
        concern(2, record=None),  # the program as a whole
        concern(2, record=None),
        first | {"submitted_at": at(0).isoformat()},
        concern(2, "all of it"),  # cannot be read
    ]
    counts = bring(home, Rows(rows))
    assert (counts.contents, counts.received, counts.accepted, counts.duplicate) == ("safety_concern", 9, 6, 2)
    assert (counts.superseded, counts.quarantined) == (0, 1)
    assert "a file of safety concerns" in ledger.sentence(counts)
    again = bring(home, Rows([concern(2, record=None), first, concern(0.5), concern(2, by="Dr C")]))
    assert (again.accepted, again.duplicate, again.quarantined, again.superseded) == (2, 2, 0, 0)
    assert held(home, "SELECT count(*), count(record_id) FROM safety_concern") == [(8, 7)]
    # of a record that has not arrived it is kept and told; of none there is nothing to tell
    assert held(home, "SELECT DISTINCT record_id, code FROM intake_warning") == [("a", "no_such_record")]
    entered = held(home, "SELECT event, versions, counts FROM audit ORDER BY entry_number")
    assert [(event, "safety_concern" in versions) for event, versions, _ in entered] == [("arrival", True)] * 2
    assert not any("Dr " in said for entry in entered for said in entry)


def test_a_file_without_its_columns_is_refused_whole(home: Home) -> None:
    for columns, missing in ((COLUMNS[1:], ("record_id",)), (COLUMNS[:-1], ("concern",))):
        with pytest.raises(FileRefused) as refused:
            bring(home, Rows([concern(1)], columns))
        assert (refused.value.code, refused.value.columns) == ("missing_column", missing)


def test_the_table_holds_what_the_contract_accepts(home: Home) -> None:
    found = held(home, "SELECT column_name, column_type FROM (DESCRIBE safety_concern)")
    kinds = {name: kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") for name, kind in found}
    arrived = {"batch_id", "record_number", "received_at", "content_hash"}
    assert {name: kind for name, kind in kinds.items() if name not in arrived} == {
        field.name: sql_type(field.type) for field in safety_concern_schema()
    }


LOW, MISSED = "tier too low", "red flag missed"
SAID = "a safety concern was reported on 2026-01-{:02d} UTC: {}: look at it"
# name, decisions and outcomes, concerns, what the review reason says, status
CASES: list[tuple[str, list[dict[str, object]], list[dict[str, str | None]], str | None, str]] = [
    ("none", [], [], None, "open"),
    ("a tier that is too low", [], [concern(1)], SAID.format(6, LOW), "open"),
    ("a red flag missed", [], [concern(1, "red_flag_missed")], SAID.format(6, MISSED), "open"),
    ("both", [], [concern(2), concern(1, "red_flag_missed"), concern(1)], SAID.format(7, f"{MISSED}, {LOW}"), "open"),
    ("another one", [], [concern(1, "tier_too_high"), concern(1, "wrong_facts")], None, "open"),
    ("decided on since", [word(2, tier="soon")], [concern(1)], None, "open"),
    ("acknowledged since", [word(2, "acknowledged")], [concern(1)], None, "acknowledged"),
    ("decided on before", [word(1, "booked", "soon")], [concern(2)], SAID.format(7, LOW), "booked"),
    ("decided on at the same time", [word(1, "booked")], [concern(1)], SAID.format(6, LOW), "booked"),
    ("decided on in between", [word(2, "booked")], [concern(1), concern(3)], SAID.format(8, LOW), "booked"),
    ("a visit is no decision", [visit(2)], [concern(1)], SAID.format(6, LOW), "seen"),
    ("nothing is reopened", [word(1, "closed")], [concern(2)], SAID.format(7, LOW), "closed"),
]


def of_record(name: str, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [row | {"record_id": name.replace(" ", "-")} for row in rows]


def test_a_concern_that_no_decision_followed_is_looked_at_and_changes_nothing_else(home: Home, tmp_path: Path) -> None:
    names = [name.replace(" ", "-") for name, *_ in CASES]
    forms = [{"record_id": name, "submitted_at": at(0)} for name in (*names, "decided-ahead", "reported-ahead")]
    take_in(home, "north", forms, tmp_path)
    score(home, lambda record: {"scored_at": record["submitted_at"]})
    ahead = [datetime.now(UTC) + timedelta(hours=hours) for hours in (10, 11)]
    words = [row for name, said, *_ in CASES for row in of_record(name, said)]
    words.append(DECISION | {"record_id": "decided-ahead", "decided_at": ahead[1].isoformat()})
    for mark in ("decided_at", "recorded_at"):
        bring(home, Rows([row for row in words if mark in row]))
    concerns = [row for name, _, said, *_ in CASES for row in of_record(name, said)]
    concerns += [
        concern(0, record=name) | {"reported_at": ahead[0].isoformat()} for name in ("decided-ahead", "reported-ahead")
    ]
    assert bring(home, Rows(concerns)).accepted == len(concerns)
    # nothing was said later than it arrived: a clock that runs ahead hides no concern, and keeps none for hours
    bring(home, Rows([DECISION | {"record_id": "reported-ahead", "decided_at": datetime.now(UTC).isoformat()}]))
    publish(home, about=about())
    of_tomorrow = f"a safety concern was reported on {ahead[0]:%Y-%m-%d} UTC: {LOW}: look at it"
    expected = {name: (reason, status) for name, (*_, reason, status) in zip(names, CASES, strict=True)}
    expected |= {"decided-ahead": (of_tomorrow, "booked"), "reported-ahead": (None, "booked")}
    found = shown(home, "SELECT record_id, needs_review, review_reason, status FROM referrals")
    assert {name: (reason, status) for name, _, reason, status in found} == expected
    assert all(needs_review is (reason is not None) for _, needs_review, reason, _ in found)
    moved = "tier <> 'routine' OR effective_tier <> coalesce(decided_tier, 'routine')"
    assert shown(home, f"SELECT record_id FROM referrals WHERE {moved}") == []


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str]:
    """A home with concerns of three clinics, and the snapshot of before they came."""
    folder = tmp_path_factory.mktemp("reported")
    home = Home(folder / "home")
    for clinic in ("north", "south"):
        take_in(home, clinic, [{"record_id": name, "submitted_at": at(0)} for name in "ab"], folder)
    score(home)
    first = publish(home, about=about()).snapshot_id
    bring(home, Rows([concern(1)]))
    rows = [concern(2, "red_flag_missed", "Dr B"), concern(1, record="x"), concern(3, "other", record=None)]
    bring(home, Rows([*rows, concern(1, "no such code")]))
    bring(home, Rows([concern(1, record=None) | {"clinic_id": "west"}]), "")
    publish(home, about=about())
    return home, first


def test_every_concern_is_published_also_of_no_record_and_of_a_clinic_without_any(reported: tuple[Home, str]) -> None:
    home, first = reported
    found = shown(home, "SELECT clinic_id, record_id, concern, reported_by FROM safety_concerns ORDER BY ALL")
    assert found == [
        ("north", "a", "red_flag_missed", "Dr B"),
        ("north", "a", "tier_too_low", "Dr A"),
        ("north", "x", "tier_too_low", "Dr A"),
        ("north", None, "other", "Dr A"),
        ("west", None, "tier_too_low", "Dr A"),
    ]
    assert shown(home, "SELECT contents, record_id, error_codes FROM unread_follow_up") == [
        ("safety_concern", "a", ["not_a_choice"])
    ]
    assert shown(home, "SELECT count(*) FROM unread_forms") == [(0,)]
    files = shown(home, "SELECT count(DISTINCT file_sha256), count(received_at) FROM safety_concerns")
    assert files == [(3, 5)]
    before, now = (read_manifest(home.snapshots / name)["clinics"] for name in (first, current_snapshot(home).id))
    assert before["south"]["files"] == now["south"]["files"]  # nothing new there


def test_new_concerns_are_told_once_in_counts(reported: tuple[Home, str]) -> None:
    home, first = reported
    assert new_concerns(home, first) == {"north": 5, "west": 1}
    assert new_concerns(home, current_snapshot(home).id) == {}
    assert new_concerns(home, "gone") == {"north": 5, "west": 1}
    alerts = compose(Facts(new_concerns=new_concerns(home, first)), Settings(), at(5))
    assert [(one.kind, one.clinic, one.count, one.once) for one in alerts] == [
        ("safety_concern", "north", 5, True),
        ("safety_concern", "west", 1, True),
    ]
    told = message(alerts, Settings(), "here", at(5)).text
    assert "5 new safety concerns reported" in told
    assert not any(one in told for one in ("Dr ", "too_low", "north/a"))


def test_explain_shows_the_concerns_of_a_record(reported: tuple[Home, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIPTRIAGE_HOME", str(reported[0].root))
    told = CliRunner().invoke(explain, ["north/a"])
    assert told.exit_code == 0
    part = told.output.partition("SAFETY CONCERNS REPORTED BY CLINICIANS")[2].split("\n\n")[0].split("\n")
    assert [line.strip().partition(",")[0] for line in part if line] == ["red flag missed", "tier too low"]
    assert "Dr B" in part[1] and "2026-01-07" in part[1]
    assert "SAFETY CONCERNS" not in CliRunner().invoke(explain, ["north/b"]).output


def test_a_snapshot_of_before_has_no_concerns_and_can_be_read(reported: tuple[Home, str]) -> None:
    home, _ = reported
    snapshot = current_snapshot(home)
    older = deepcopy(dict(snapshot.manifest))
    for clinic in older["clinics"].values():
        del clinic["rows"]["safety_concerns"]
    with connect(replace(snapshot, manifest=older), "north") as connection:
        assert connection.execute("SELECT count(*) FROM safety_concerns").fetchall() == [(0,)]


def test_a_withdrawn_record_takes_its_concerns_along(home: Home) -> None:
    landed(home, "forms", "record_id,submitted_at\n" + "".join(f"{name},2026-01-05T08:00:00Z\n" for name in "abc"))
    columns = "record_id,submitted_at,reported_at,reported_by,concern\n"
    rows = [f"{name},,2026-01-06T08:00:00Z,Dr Zorblax,red_flag_missed\n" for name in ("a", "b", "c", "")]
    landed(home, "concerns", columns + "".join(rows))
    for name, withdraw in (("a", withdrawal.restrict), ("b", withdrawal.erase)):
        with opened(home, "test") as connection:
            found = look(connection, home, Named("north", name), in_files=True)
            assert found.decided == 1  # so that it is not erased without a further word
            withdraw(connection, home, found, Agreed("Dr B", "patient_request"))
    late = [row.replace("-06T", "-09T") for row in rows]
    counts = landed(home, "late", columns + "".join(late))
    assert (counts.accepted, counts.quarantined, counts.withdrawn) == (3, 1, 1)
    erasure.go_on(home)
    published(home)
    erasure.end(home)
    of_each = "SELECT record_id, count(*) FROM {} GROUP BY 1 ORDER BY 1"
    assert held(home, of_each.format("safety_concern")) == [("a", 2), ("c", 2), (None, 2)]
    assert shown(home, of_each.format("safety_concerns")) == [("c", 2), (None, 2)]
    assert shown(home, "SELECT record_id, needs_review FROM referrals") == [("c", True)]


def test_a_warehouse_of_before_gets_the_table(home: Home) -> None:
    held(home, "DROP TABLE safety_concern")
    held(home, f"UPDATE warehouse_version SET version = {WAREHOUSE_VERSION - 1}")
    assert held(home, "SELECT count(*) FROM safety_concern") == [(0,)]
