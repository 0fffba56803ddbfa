"""Files with rows: what a spreadsheet may hold, what is left out of them, who gets one, and that none is half."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import duckdb
import openpyxl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from models.imaging import PREGNANCY
from models.sensitive_rules import settled_by_sensitive_answers
from pipelines.cli import main
from pipelines.page import exporting
from pipelines.page.sensitive import disclosed
from schemas.problems import problems
from schemas.sensitive_parts import sensitive_columns, sensitive_parts
from tests.page_people import PAGE, PEOPLE, TOKENS, entries
from tests.page_server import client
from tests.published_home import RULE, SECTION_6, about, at, mark_unread, score, take_in
from warehouse import workbook_export
from warehouse.home import Home
from warehouse.snapshot_reading import current_snapshot
from warehouse.snapshots import publish

if TYPE_CHECKING:
    from starlette.testclient import TestClient

BERLIN = ZoneInfo("Europe/Berlin")
CLINIC = '[clinics.north]\nzone = "Europe/Berlin"\n'
CANARY = "history__pregnant"
FORMULA = "=cmd|' /C calc'!A0"
TOLD = {
    "headline": FORMULA,
    "special": ["pregnancy", "safeguarding_review", "imaged"],
    "first_imaging": f"decide with radiology ({PREGNANCY}): MRI",
    "review_reason": f"{problems()['pregnancy_disagrees'].sentence}; too thin",
    "needs_review": True,
    "reasons": [
        {"column": CANARY, "answer": "1", "condition": "labral_tear", "direction": "for", "weight": 1.0},
        {"column": "night_pain", "answer": "1", "condition": "labral_tear", "direction": "for", "weight": -0.5},
    ],
    "questions_to_ask": [
        {"column": CANARY, "question": "Pregnant", "why": "it may be"},
        {"column": "night_pain", "question": "Pain at night?", "why": "could make it urgent"},
    ],
    "rule_status": [
        {"id": "pregnancy_cannot_walk", "result": "no", "missing": []},
        {"id": "testicular_pain", "result": "not_asked", "missing": []},
        {"id": "pregnancy_weight_bearing_pain", "result": "cannot_tell", "missing": [CANARY, "weight_bearing"]},
        {"id": "septic", "result": "no", "missing": []},
    ],
    "red_flags": [RULE],
    "tier": "emergency",
    "clock_hours": 0,
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two clinics; of one a record whose row tells of sensitive answers, and a form that could not be read."""
    folder = tmp_path_factory.mktemp("exports")
    home = Home(folder / "home")
    rows = [{"record_id": record, "submitted_at": at(0)} for record in ("told", "plain")]
    take_in(home, "north", [*rows, {"record_id": "bad", "submitted_at": at(0), "pain_now": "eleven"}], folder)
    take_in(home, "south", [{"record_id": "s", "submitted_at": at(0)}], folder)
    mark_unread(home, {"bad": "emergency"})
    score(home, lambda record: TOLD if record["record_id"] == "told" else {})
    publish(home, about=about())
    (home.root / "settings.toml").write_text(PAGE + PEOPLE + CLINIC)
    return home


@pytest.fixture
def clinician(filled: Home) -> Iterator[TestClient]:
    with client(filled, headers={"Authorization": f"Bearer {TOKENS['anna']}"}) as asking:
        yield asking


def export(asking: TestClient, table: str, form: str, clinic: str = "north") -> bytes:
    answer = asking.get(f"/export?clinic={clinic}&table={table}&format={form}")
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(len(answer.content))
    return answer.content


def run(home: Home, *arguments: str) -> str:
    done = CliRunner(env={"HIPTRIAGE_HOME": str(home.root)}).invoke(main, arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def rows_of(book: bytes, sheet: str) -> list[dict[str, Any]]:
    opened = openpyxl.load_workbook(io.BytesIO(book))
    names, *rows = opened[sheet].iter_rows()
    return [{name.value: cell for name, cell in zip(names, row, strict=True)} for row in rows]


def test_every_link_of_the_page_gives_a_file_named_by_clinic_and_snapshot(filled: Home, clinician: TestClient) -> None:
    text = clinician.get("/exports").text
    links = re.findall(r'href="(/export\?[^"]+)"', text)
    assert len(links) == 3 * 4 and "south" not in text
    snapshot = current_snapshot(filled).id
    for link in links:
        answer = clinician.get(link.replace("&amp;", "&"))
        named = re.fullmatch(r'attachment; filename="([A-Za-z0-9_.-]+)"', answer.headers["content-disposition"])
        assert named and answer.status_code == 200 and len(answer.content) > 0
        assert re.fullmatch(rf"hiptriage-(worklist|referrals|unread_forms)-north-{snapshot}\.\w+", named[1])
        assert answer.headers["cache-control"] == "no-store"


def test_csv_is_no_formula_and_numbers_stay_numbers(clinician: TestClient) -> None:
    rows = list(csv.DictReader(io.StringIO(export(clinician, "worklist", "csv").decode())))
    assert [row["record_id"] for row in rows] == ["told", "plain"]
    assert rows[0]["headline"] == f"'{FORMULA}" and float(rows[0]["priority_score"]) > 0


def test_json_and_parquet_hold_every_record(clinician: TestClient) -> None:
    rows = json.loads(export(clinician, "referrals", "json"))
    assert [tuple(row) for row in rows] == [tuple(SECTION_6)] * 2
    table = pq.read_table(io.BytesIO(export(clinician, "referrals", "parquet")))
    assert table.schema.names == SECTION_6
    assert sorted(table["record_id"].to_pylist()) == sorted(row["record_id"] for row in rows) == ["plain", "told"]


def test_a_workbook_holds_texts_numbers_and_dates_by_the_clinics_clock(clinician: TestClient) -> None:
    rows = rows_of(export(clinician, "worklist", "xlsx"), "worklist")
    headline = rows[0]["headline"]
    assert (headline.value, headline.data_type, headline.quotePrefix) == (FORMULA, "s", True)
    assert rows[0]["priority_score"].data_type == "n" and rows[0]["overdue"].value is True
    assert rows[0]["submitted_at"].value == at(0).astimezone(BERLIN).replace(tzinfo=None)
    assert rows[0]["submitted_at"].is_date


def test_a_workbook_says_what_it_is(filled: Home, clinician: TestClient) -> None:
    book = openpyxl.load_workbook(io.BytesIO(export(clinician, "worklist", "xlsx")))
    assert book.sheetnames == ["worklist", "about"]
    said = " ".join(str(cell) for row in book["about"].iter_rows(values_only=True) for cell in row)
    for words in (
        current_snapshot(filled).id,
        "Europe/Berlin",
        "never to replace it",
        "Not for patients",
        "1 form could not be read, 1 with an emergency answer",
        "SAMPLE DATA",
        "not yet signed by a clinician",
        "Hip pain with a fever",
        "are left out",
    ):
        assert words in said
    above = book["worklist"].oddHeader.center.text
    assert "SAMPLE DATA" in above and "Not for patients" in above and len(above) < 255


def test_what_tells_of_sensitive_answers_is_left_out(filled: Home, clinician: TestClient) -> None:
    row = next(row for row in json.loads(export(clinician, "referrals", "json")) if row["record_id"] == "told")
    assert row["special"] == ["imaged"]
    assert row["first_imaging"] == "decide with radiology: MRI"
    assert row["review_reason"] == "two sensitive answers contradict each other; too thin"
    assert [reason["column"] for reason in row["reasons"]] == ["night_pain"]
    assert [ask["column"] for ask in row["questions_to_ask"]] == ["sensitive", "night_pain"]
    assert row["questions_to_ask"][0]["question"] == "a question of the sensitive part of the form"
    assert [(rule["id"], rule["missing"]) for rule in row["rule_status"]] == [
        ("pregnancy_weight_bearing_pain", ["sensitive", "weight_bearing"]),
        ("septic", []),
    ]
    assert row["red_flags"] == [RULE] and row["effective_tier"] == "emergency"  # never hidden
    other = next(row for row in json.loads(export(clinician, "referrals", "json")) if row["record_id"] == "plain")
    whole = json.loads(run(filled, "worklist", "--format", "json", "--clinic", "north"))
    assert other == next(row for row in whole if row["record_id"] == "plain")


@pytest.mark.parametrize("table", ["worklist", "referrals"])
@pytest.mark.parametrize("form", ["csv", "xlsx", "json", "parquet"])
def test_no_format_names_a_sensitive_question(clinician: TestClient, table: str, form: str) -> None:
    content = export(clinician, table, form)
    if form == "xlsx":
        text = str([[cell.value for cell in row.values()] for row in rows_of(content, table)])
    elif form == "parquet":
        text = str(pq.read_table(io.BytesIO(content)).to_pylist())
    else:
        text = content.decode()
    for told in (
        *set(sensitive_columns()) - {"notes"},
        PREGNANCY,
        "'pregnancy'",
        '"pregnancy"',
        "safeguarding",
        "Pregnant",
    ):
        assert told not in text
    assert "told" in text


def test_the_command_leaves_out_the_same(filled: Home, clinician: TestClient, tmp_path: Path) -> None:
    arguments = ("worklist", "--clinic", "north", "--without-sensitive", "--format")
    printed = sorted(json.loads(run(filled, *arguments, "json")), key=lambda row: str(row["record_id"]))
    assert printed == json.loads(export(clinician, "referrals", "json"))
    assert run(filled, *arguments, "csv") == export(clinician, "worklist", "csv").decode()
    assert "safeguarding" in run(filled, "worklist", "--clinic", "north", "--format", "csv")
    book = tmp_path / "list.xlsx"
    run(filled, *arguments, "xlsx", "--output", str(book))
    assert book.stat().st_mode & 0o777 == 0o600
    mine, pages = (rows_of(of, "worklist") for of in (book.read_bytes(), export(clinician, "worklist", "xlsx")))
    assert [[cell.value for cell in row.values()] for row in mine] == [
        [cell.value for cell in row.values()] for row in pages
    ]


def test_a_file_and_the_page_leave_out_the_same_parts(filled: Home, clinician: TestClient) -> None:
    whole = json.loads(run(filled, "worklist", "--format", "json", "--clinic", "north"))
    shown = disclosed(next(row for row in whole if row["record_id"] == "told"), answers=False)
    row = next(row for row in json.loads(export(clinician, "referrals", "json")) if row["record_id"] == "told")
    # what is still to be asked stands on the page, for whoever telephones
    apart = {"questions_to_ask", "rule_status"}
    assert {name: row[name] for name in row.keys() - apart} == {name: shown[name] for name in shown.keys() - apart}
    assert [rule["id"] for rule in row["rule_status"]] == [rule["id"] for rule in shown["rule_status"]]


def test_the_list_of_sensitive_parts_names_what_is_there() -> None:
    assert PREGNANCY in "".join(part.left_out for part in sensitive_parts())
    named = {part.left_out for part in sensitive_parts()}
    assert {problems()[code].sentence for code in ("pregnancy_disagrees", "sex_disagrees")} <= named
    assert "testicular_pain" in settled_by_sensitive_answers() and "septic" not in settled_by_sensitive_answers()


@pytest.mark.parametrize(
    ("who", "address", "status"),
    [
        ("anna", "/export?clinic=north", 200),
        ("alan", "/export?clinic=south&format=json", 200),
        ("anna", "/export", 200),  # one clinic only: there is nothing to choose
        ("alan", "/export", 400),
        ("anna", "/export?clinic=south", 404),
        ("anna", "/export?clinic=_unassigned", 404),
        ("anna", "/export?clinic=../../etc/passwd", 404),
        ("anna", "/export?clinic=north&table=form", 400),
        ("anna", "/export?clinic=north&table=referrals;DROP", 400),
        ("anna", "/export?clinic=north&format=../x", 400),
        ("mona", "/export?clinic=north", 403),
        ("mona", "/exports", 403),
        ("rita", "/export?clinic=north", 403),
        ("ward", "/exports", 403),
        (None, "/export?clinic=north", 401),
    ],
)
def test_who_gets_which_file(filled: Home, who: str | None, address: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {TOKENS[who]}"} if who else {}
    with client(filled, headers=headers) as asking:
        answer = asking.get(address)
    assert answer.status_code == status
    assert status == 200 or "plain" not in answer.text


def test_an_export_is_logged_without_content(filled: Home, clinician: TestClient) -> None:
    export(clinician, "referrals", "csv")
    last = entries(filled)[-1]
    assert (last["who"], last["what"], last["clinic"]) == ("anna", "export", "north")
    assert "groin" not in json.dumps(last)


def test_more_files_at_once_than_it_can_write_are_put_off(clinician: TestClient) -> None:
    with exporting._a_place(), exporting._a_place():
        refused = clinician.get("/export?clinic=north")
        assert refused.status_code == 503 and "Try again" in refused.text
    assert clinician.get("/export?clinic=north").status_code == 200


def test_a_workbook_too_long_for_the_page_says_what_to_take(
    clinician: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "EXCEL_ROWS_AT_MOST", 1)
    refused = clinician.get("/export?clinic=north&format=xlsx")
    assert refused.status_code == 413 and "Take CSV" in refused.text
    assert clinician.get("/export?clinic=north&format=csv").status_code == 200


def test_a_damaged_snapshot_gives_no_half_file(filled: Home, clinician: TestClient) -> None:
    file = current_snapshot(filled).files["north"]
    whole = file.read_bytes()
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 0xFF
    file.chmod(0o600)
    file.write_bytes(broken)
    try:
        answer = clinician.get("/export?clinic=north")
    finally:
        file.write_bytes(whole)
    assert answer.status_code == 503 and "content-disposition" not in answer.headers


# Workbooks of any query.
CELLS = [
    ("=1+1", "=1+1", "s"),
    ("+1", "+1", "s"),
    ("-1", "-1", "s"),
    ("@x", "@x", "s"),
    ("\tx", "\tx", "s"),
    ("#N/A", "#N/A", "s"),
    ("a\x1b[2Jb", "a\\x1b[2Jb", "s"),
    ("a\x00\x0bb", "a\\x00\\x0bb", "s"),
    ("\u202ereversed", "\\u202ereversed", "s"),
    ("line\nbreak", "line\nbreak", "s"),
    ("_x0041_", "_x005F_x0041_", "s"),
    (-3, -3, "n"),
    (-0.5, -0.5, "n"),
    (2**60, str(2**60), "s"),
    (float("nan"), "nan", "s"),
    (float("-inf"), "-inf", "s"),
    (True, True, "b"),
    (None, None, "n"),
    ([-1, "=x"], '[-1, "=x"]', "s"),
    (datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 7, 1, 14), "d"),
    (datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 13), "d"),
    (datetime(1800, 1, 1, tzinfo=UTC), "1800-01-01T00:00:00+00:00", "s"),
]


class Rows:
    """A result of one column."""

    def __init__(self, values: list[Any]) -> None:
        self.description, self._left = [("=column",)], [(value,) for value in values]

    def fetchmany(self, size: int, /) -> list[Any]:
        given, self._left = self._left[:size], self._left[size:]
        return given


def written(values: list[Any]) -> list[Any]:
    stream = io.BytesIO()
    said = [("what", "=said")]
    workbook_export.write_workbook(Rows(values), stream, sheet="rows", about=said, heading="R&D", at=BERLIN)
    book = openpyxl.load_workbook(stream)
    assert book["rows"]["A1"].value == "=column" and book["rows"]["A1"].data_type == "s"
    assert book["about"]["B1"].data_type == "s"
    return [book["rows"].cell(place, 1) for place in range(2, len(values) + 2)]


def test_cells_of_a_workbook() -> None:
    found = written([value for value, _, _ in CELLS])
    assert [(cell.value, cell.data_type) for cell in found] == [(shown, kind) for _, shown, kind in CELLS]


@given(st.lists(st.text(), max_size=5))
@settings(max_examples=40, deadline=None)
def test_no_text_becomes_a_formula_or_breaks_a_workbook(texts: list[str]) -> None:
    assert all(cell.data_type in ("s", "n") for cell in written([f"{text}." for text in texts]))
    assert all(cell.data_type == "s" for cell in written([f"={text}" for text in texts]))


def test_a_text_longer_than_a_cell_says_that_it_was_cut() -> None:
    (cell,) = written(["x" * 40_000])
    assert len(cell.value) == workbook_export.TEXT_AT_MOST and cell.value.endswith(workbook_export.CUT)


def test_more_rows_than_a_sheet_holds_are_refused_and_leave_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(workbook_export, "ROWS_AT_MOST", 2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert len(written(["a", "b"])) == 2
    with pytest.raises(workbook_export.SheetFull):
        written(["a", "b", "c"])
    assert not list(tmp_path.iterdir())


def test_a_time_of_any_query_is_by_the_clock_of_the_zone() -> None:
    stream = io.BytesIO()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        result = connection.execute(
            "SELECT TIMESTAMPTZ '2026-10-25 00:30:00+00' AS t, DATE '2026-01-02' AS d, [1] AS l"
        )
        workbook_export.write_workbook(result, stream, sheet="rows", about=[], heading="", at=BERLIN)
    row = openpyxl.load_workbook(stream)["rows"][2]
    assert [cell.value for cell in row] == [datetime(2026, 10, 25, 2, 30), "2026-01-02", "[1]"]
