"""The commands that read: what they print, what they refuse, and that they stay light."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from pipelines.console import visible
from pipelines.outcomes import UNEXPECTED, plain_ends
from schemas.form import questions
from tests.forked import Commands
from tests.published_home import RULE, SECTION_6, about, at, mark_unread, score, take_in
from warehouse import exports
from warehouse.home import Home
from warehouse.intake import load
from warehouse.snapshots import publish
from warehouse.sources import register

CHILD = {"age_years": 11, "special": ["child"], "tier": "urgent", "clock_hours": 336}
EMERGENCY = {
    "tier": "emergency",
    "clock_hours": 0,
    "red_flags": [RULE],
    "headline": "=cmd|' /C calc'!A0",
    "needs_review": True,
    "review_reason": "dangerous class not excluded",
    "tier_reason": "fever and cannot walk",
}
SCORES = {"a": {}, "ill": EMERGENCY, "child": CHILD}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two clinics with four records, a form that could not be read, a settings file."""
    folder = tmp_path_factory.mktemp("filled")
    home = Home(folder / "home")
    home.ensure()
    (home.root / "settings.toml").write_text('[clinics.north]\nzone = "Europe/Berlin"\n')
    north = [{"record_id": record, "submitted_at": at(0)} for record in SCORES]
    bad = {"record_id": "bad", "submitted_at": at(0), "pain_now": "\x1b[2Jeleven"}
    take_in(home, "north", [*north, bad], folder)
    take_in(home, "south", [{"record_id": "s", "submitted_at": at(1)}], folder)
    mark_unread(home, {"bad": "emergency"})
    score(home, lambda record: SCORES.get(record["record_id"], {}))
    publish(home, about=about())
    return home


def run(home: Home, *arguments: str, code: int = 0) -> Result:
    result = CliRunner(env={"HIPTRIAGE_HOME": str(home.root)}).invoke(main, arguments)
    assert result.exit_code == code, result.stderr
    if code:
        assert result.stderr.strip().splitlines()[-1].startswith("hiptriage: ")
        assert "Traceback" not in result.stderr
    return result


def test_the_table_says_first_what_could_not_be_read(filled: Home) -> None:
    lines = run(filled, "worklist").stdout.splitlines()
    assert lines[0] == "1 form could not be read, 1 with an emergency answer."
    head = "\n".join(lines[:8])
    for said in ("Snapshot of", "SAMPLE DATA", "generated from published likelihoods", "not yet signed by a clinician"):
        assert said in head
    assert "STALE" not in head
    assert max(map(len, lines)) <= 100
    assert lines[-1] == "4 of 4 open records."


def test_rows_stand_in_order_with_clinic_time_and_review_mark(filled: Home) -> None:
    shown = run(filled, "worklist", "--clinic", "north").stdout
    assert shown.index("EMERGENCY") < shown.index("URGENT") < shown.index("routine")
    # nothing is cut off at the edge
    assert {"REVIEW:", "dangerous", "class", "not", "excluded", "NOW,", "department"} <= set(shown.split())
    assert "OVERDUE" in shown  # the routine record of January, by now
    assert "CET" in shown or "CEST" in shown
    assert "south" not in shown


def test_options_of_the_worklist(filled: Home) -> None:
    assert "1 of 4 open records; --all shows every one." in run(filled, "worklist", "--limit", "1").stdout
    assert "4 of 4" in run(filled, "worklist", "--limit", "1", "--all").stdout
    only = json.loads(run(filled, "worklist", "--tier", "urgent", "--format", "json").stdout)
    assert [row["record_id"] for row in only] == ["child"]


def test_a_stale_snapshot_is_marked(filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = filled.root / "settings.toml"
    kept = settings.read_text()
    settings.write_text(f"stale_hours = 0.000001\n{kept}")
    try:
        for arguments in (("worklist",), ("explain", "north/a")):
            assert "STALE" in run(filled, *arguments).stdout
        for arguments in (("sql", "SELECT 1"), ("worklist", "--format", "csv")):
            assert "STALE" in run(filled, *arguments).stderr
    finally:
        settings.write_text(kept)


def test_json_holds_exactly_the_published_columns(filled: Home) -> None:
    result = run(filled, "worklist", "--format", "json")
    rows = sorted(json.loads(result.stdout), key=lambda row: (row["clinic_id"], row["record_id"]))
    assert {tuple(row) for row in rows} == {tuple(SECTION_6)}
    assert [(row["clinic_id"], row["record_id"]) for row in rows] == [
        ("north", "a"),
        ("north", "child"),
        ("north", "ill"),
        ("south", "s"),
    ]
    assert rows[0]["submitted_at"] == at(0).isoformat() and rows[0]["submitted_at"].endswith("+00:00")
    assert rows[0]["differential"][0] == {"condition": "hip_flexor_strain", "probability": 0.7}
    assert [row["probability"] for row in rows[0]["differential"]] == [0.7, 0.3]
    assert result.stderr.startswith("1 form could not be read")
    assert json.loads(run(filled, "worklist", "--format", "json", "--clinic", "south").stdout)[0]["record_id"] == "s"


def test_files_are_written_for_their_owner(filled: Home, tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    run(filled, "worklist", "--format", "parquet", "--output", str(file))
    table = pq.read_table(file)
    assert table.schema.names == SECTION_6 and table.num_rows == 4
    assert file.stat().st_mode & 0o777 == 0o600
    for form in ("csv", "json", "table"):
        run(filled, "worklist", "--format", form, "--output", str(tmp_path / form))
    assert (tmp_path / "csv").read_text() == run(filled, "worklist", "--format", "csv").stdout
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["csv", "json", "out.parquet", "table"]
    run(filled, "worklist", "--format", "parquet", code=2)
    run(filled, "worklist", "--format", "xlsx", code=2)
    run(filled, "worklist", "--format", "csv", "--output", str(tmp_path / "none" / "x.csv"), code=2)


def test_csv_is_the_worklist_and_no_formula(filled: Home) -> None:
    rows = list(csv.DictReader(io.StringIO(run(filled, "worklist", "--format", "csv").stdout)))
    assert [row["effective_tier"] for row in rows] == ["emergency", "urgent", "routine", "routine"]
    assert rows[0]["headline"] == "'=cmd|' /C calc'!A0"
    assert rows[1]["most_likely"] == "the model is not built for children"
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


CELLS = [
    ("=1+1", "'=1+1"),
    ("+1", "'+1"),
    ("-1", "'-1"),
    ("@x", "'@x"),
    ("\tx", "'\tx"),
    ("\rx", "'\rx"),
    ("\nx", "'\nx"),
    ("＝1", "'＝1"),  # noqa: RUF001
    (-3, -3),
    (-0.5, -0.5),
    ("a-b", "a-b"),
    ("", ""),
    (None, None),
    (True, "true"),
    (at(0), "2026-01-05T08:00:00+00:00"),
    ([at(0)], '["2026-01-05T08:00:00+00:00"]'),
]


@pytest.mark.parametrize(("value", "cell"), CELLS)
def test_safe_cell(value: Any, cell: Any) -> None:
    assert exports.safe_cell(value) == cell


def test_csv_of_any_query_is_safe(filled: Home) -> None:
    shown = run(filled, "sql", "SELECT '=1' AS \"=x\", -3 AS n, -2.5::DOUBLE AS d, [-1] AS l", "--format", "csv").stdout
    assert list(csv.reader(io.StringIO(shown))) == [["'=x", "n", "d", "l"], ["'=1", "-3", "-2.5", "[-1]"]]


def test_explain_shows_the_basis_in_reading_order(filled: Home) -> None:
    shown = run(filled, "explain", "north/ill").stdout
    parts = [
        "1 form could not be read",
        "north/ill",
        "EMERGENCY: now",
        "why: fever and cannot walk",
        "REVIEW by a person: dangerous class not excluded",
        "RED FLAGS THAT FIRED",
        "source: source A",
        "asked and absent: septic",
        "not asked: cauda",
        "UNTIL SEEN",
        "most likely: Hip flexor strain",
        "possible: Septic arthritis",
        "cannot be excluded: Septic arthritis",
        "not tested on this clinic's patients",
        "70 %",
        questions()["night_pain"].question,
        "ASK NEXT",
        "CONTRIBUTING",
        "SAFETY NET",
        "versions: model m1",
        "intake hash",
        "record 2 of file",
    ]
    flat = " ".join(shown.split())
    places = [flat.index(part, flat.index("north/ill") if part != parts[0] else 0) for part in parts]
    assert places == sorted(places)


def test_a_child_is_shown_no_percentage(filled: Home) -> None:
    shown = run(filled, "explain", "north/child").stdout
    assert "not built for children" in shown and "most likely" in shown
    assert "%" not in shown


@pytest.mark.parametrize("record", ["north/nobody", "west/a", "north", "north/", "/a", "north/' OR true --"])
def test_explain_of_nobody(filled: Home, record: str) -> None:
    run(filled, "explain", record, code=2)


def test_sql_formats_and_errors(filled: Home) -> None:
    rows = json.loads(run(filled, "sql", "SELECT record_id FROM worklist LIMIT 1", "--format", "json").stdout)
    assert rows == [{"record_id": "ill"}]
    assert "ill" in run(filled, "sql", "SELECT record_id FROM worklist", "--clinic", "north").stdout
    for wrong in ("SELECT nothing FROM referrals", "SELEC 1", "DELETE FROM referrals", "SELECT * FROM '/etc/passwd'"):
        assert len(run(filled, "sql", wrong, code=2).stderr.strip().splitlines()[-1]) < 300
    # an error over rows names no value of a row
    failed = run(filled, "sql", "SELECT headline::INTEGER FROM referrals", code=2)
    assert "calc" not in failed.output and "groin" not in failed.output


ONLY_THIS = "only the current snapshot can be read"
READS_ONLY = "only SELECT statements are answered: a snapshot is read-only"
HOSTILE = [
    ("COPY referrals TO '{file}'", READS_ONLY),
    ("COPY (SELECT 1) TO '{file}' (FORMAT parquet)", READS_ONLY),
    ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'", READS_ONLY),
    ("EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1", READS_ONLY),
    ("EXPORT DATABASE '{file}'", READS_ONLY),
    ("ATTACH '{file}' AS x", READS_ONLY),
    ('DETACH "clinic north"', READS_ONLY),
    ("INSTALL httpfs", READS_ONLY),
    ("LOAD httpfs", READS_ONLY),
    ("SET threads = 64", READS_ONLY),
    ("SET enable_external_access = true", READS_ONLY),
    ("RESET memory_limit", READS_ONLY),
    ("PRAGMA memory_limit = '9GB'", READS_ONLY),
    ("CREATE TABLE x AS SELECT 1", READS_ONLY),
    ("INSERT INTO form VALUES (1)", READS_ONLY),
    ("UPDATE \"clinic north\".referrals SET tier = 'routine'", READS_ONLY),
    ("DROP VIEW referrals", READS_ONLY),
    ("CALL pragma_database_list()", READS_ONLY),
    ("BEGIN", READS_ONLY),
    ("CHECKPOINT", READS_ONLY),
    ("SELECT 1; SELECT 2", "exactly one SELECT"),
    ("", "exactly one SELECT"),
    ("FROM read_csv('/etc/passwd')", ONLY_THIS),
    ("FROM read_text('/etc/passwd')", ONLY_THIS),
    ("FROM read_blob('/etc/passwd')", ONLY_THIS),
    ("FROM read_parquet('*')", ONLY_THIS),
    ("FROM glob('*')", ONLY_THIS),
    ("FROM sniff_csv('/etc/passwd')", ONLY_THIS),
    ("SELECT * FROM '/etc/passwd'", "no such table"),
    ("FROM duckdb_databases()", ONLY_THIS),
    ("FROM duckdb_databases", "no such table"),
    ("FROM system.main.duckdb_databases", "no such table"),
    ("FROM pragma_database_list", "no such table"),
    ("PRAGMA database_list", "no such table"),
    ("FROM duckdb_settings() WHERE name = 'allowed_paths'", ONLY_THIS),
    ("FROM pg_catalog.pg_settings", "no such table"),
    ("FROM duckdb_secrets()", ONLY_THIS),
    ("FROM duckdb_extensions()", ONLY_THIS),
    ("SELECT current_setting('secret_directory')", ONLY_THIS),
    ("SELECT Pg_Catalog.Current_Setting('home_directory')", ONLY_THIS),
    ("SELECT getenv('HOME')", ONLY_THIS),
    ("FROM query('FROM duckdb_databases()')", ONLY_THIS),
    ("FROM query_table('duckdb_databases')", ONLY_THIS),
    ("FROM json_execute_serialized_sql(json_serialize_sql('FROM duckdb_databases()'))", ONLY_THIS),
    ("SELECT (SELECT max(path) FROM duckdb_databases())", ONLY_THIS),
    ("WITH a AS (FROM duckdb_databases()) FROM a", ONLY_THIS),
    ("WITH a AS (WITH duckdb_databases AS (SELECT 1) FROM duckdb_databases) FROM duckdb_databases", "no such table"),
    ("EXPLAIN SELECT path FROM duckdb_databases()", ONLY_THIS),
    ("SUMMARIZE duckdb_databases", "no such table"),
    ("FROM checkpoint()", ONLY_THIS),
    ("FROM enable_logging()", ONLY_THIS),
    ("SELECT write_log('x')", ONLY_THIS),
    ("SELECT list_sum(range(4000000000))", "more memory"),
    ("SELECT headline::INTEGER FROM referrals", "ConversionException"),
]


@pytest.mark.parametrize(("statement", "said"), HOSTILE)
def test_a_hostile_statement_is_refused_in_one_sentence(
    filled: Home, tmp_path: Path, statement: str, said: str
) -> None:
    done = run(filled, "sql", statement.format(file=tmp_path / "out"), code=2)
    last = done.stderr.strip().splitlines()[-1]
    assert said in last and len(last) < 400
    assert str(filled.root) not in done.output and "/root" not in done.output and "calc" not in done.output
    assert not list(tmp_path.iterdir())


ENDLESS = [
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1",
    "FROM range(1000000000) a, range(1000000000) b WHERE hash(a.range, b.range) = 1",
]


@pytest.mark.parametrize("statement", ENDLESS)
def test_a_statement_without_an_end_is_stopped(filled: Home, statement: str) -> None:
    done = run(filled, "sql", statement, "--seconds", "1", "--format", "csv", code=2)
    assert done.stderr.strip().splitlines()[-1] == (
        "hiptriage: the statement was stopped after 1 s of work: ask for less at once"
    )


@pytest.mark.slow
def test_a_statement_that_does_not_listen_ends_with_the_program(commands: Commands, filled: Home) -> None:
    deaf = "SELECT levenshtein(repeat('ab', 200000), repeat('ba', 200000))"
    done = commands("sql", deaf, "--seconds", "1", home=filled.root)
    assert done.code == 2 and "stopped after 1 s" in done.err.splitlines()[-1]


ASKED = [
    'SELECT count(*) FROM "clinic north".main.referrals',
    "SELECT table_name FROM information_schema.tables WHERE table_name = 'referrals'",
    "WITH ours AS (FROM form) SELECT count(*) FROM ours",
    "EXPLAIN SELECT * FROM worklist",
    "explain analyze SELECT count(*) FROM worklist",
    "DESCRIBE referrals",
    "SHOW TABLES",
    "SUMMARIZE form",
    "VALUES (1)",
    "SELECT unnest(red_flags).id FROM referrals",
    "FROM generate_series(1, 3) JOIN range(3) r ON true",
]


@pytest.mark.parametrize("statement", ASKED)
def test_whatever_reads_the_snapshot_is_answered(filled: Home, statement: str) -> None:
    assert run(filled, "sql", statement).stdout


def test_every_table_can_be_asked(filled: Home) -> None:
    for table in ("unread_forms", "referral_history", "lineage", "publication", "conditions", "form"):
        assert json.loads(run(filled, "sql", f"FROM {table}", "--format", "json").stdout)
    found = json.loads(run(filled, "sql", "SELECT count(*) AS n FROM conditions", "--format", "json").stdout)
    assert found == [{"n": 3}]  # once, though every clinic's file holds them


def test_quarantine_list_shows_no_cell_and_show_does(filled: Home) -> None:
    listed = run(filled, "quarantine", "list").stdout
    assert "1 x not_a_whole_number [pain_now]: the cell is not a whole number" in listed
    assert "write digits only" in listed
    assert "eleven" not in listed
    batch = listed.split()[0]
    shown = run(filled, "quarantine", "show", batch, "4").stdout
    assert "eleven" in shown and "record_id,submitted_at" in shown
    assert "\x1b" not in shown and "\\x1b" in shown
    run(filled, "quarantine", "show", batch, "1", code=2)


def test_a_file_refused_whole_is_listed_with_its_reason_and_said_first_everywhere(home: Home, tmp_path: Path) -> None:
    take_in(home, "north", [{"record_id": "a", "submitted_at": at(0)}], tmp_path)
    score(home)
    (tmp_path / "Jane Canary.csv").write_text("record_id,side\na,left\n")
    batch, _ = register(home, tmp_path / "Jane Canary.csv", clinic="north", data_kind="sample")
    load(home, batch.batch_id)
    publish(home, about=about())
    listed = run(home, "quarantine", "list").stdout
    assert "the whole file: a required column is missing (submitted_at)" in listed
    assert "Canary" not in listed
    said = "1 file could not be read at all: nobody knows what is in it; hiptriage quarantine list. 0 forms"
    assert run(home, "worklist").stdout.startswith(said)
    assert " ".join(run(home, "explain", "north/a").stdout.split()).startswith(said)
    assert run(home, "sql", "FROM refused_files").stderr.startswith(said)


def test_the_blank_form_is_what_is_asked(filled: Home, tmp_path: Path) -> None:
    columns = run(filled, "form").stdout.strip().split(",")
    assert {"record_id", "clinic_id", "submitted_at", "notes"} <= set(columns)
    assert not {"exam__hop", "exam__fulcrum", "exam__reproducible_snap", "weekly_km_change_pct"} & set(columns)
    run(filled, "form", "--format", "csv", "--output", str(tmp_path / "form.csv"))
    assert (tmp_path / "form.csv").read_text().strip().split(",") == columns


def test_models_are_listed_from_their_manifests(home: Home) -> None:
    assert "* " in run(home, "model", "list").stdout
    folder = home.models / "abc123"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"model_version": "abc123", "n": 7, "classes": ["x"]}))
    assert "  abc123" in run(home, "model", "list").stdout
    (home.models / "current").write_text("abc123\n")
    assert "* abc123" in run(home, "model", "list").stdout
    assert "n: 7" in run(home, "model", "show").stdout
    run(home, "model", "show", "nothing", code=2)
    (home.models / "current").write_text("gone\n")
    run(home, "model", "list", code=4)


@pytest.mark.parametrize(
    "arguments",
    [("worklist",), ("explain", "north/a"), ("sql", "SELECT 1"), ("quarantine", "list"), ("quarantine", "show")],
)
def test_before_anything_is_published(home: Home, arguments: tuple[str, ...]) -> None:
    assert "nothing has been published yet" in run(home, *arguments, code=2).stderr


def test_settings_that_cannot_be_used(home: Home) -> None:
    (home.root / "settings.toml").write_text("stale_hours = 'x'\n")
    (home.snapshots / "current").write_text("20260101T000000000000Z-abcdef\n")
    run(home, "worklist", code=2)  # the snapshot named is not there
    (home.root / "settings.toml").write_text("no toml")
    run(home, "worklist", code=2)


def test_an_unexpected_error_tells_no_value() -> None:
    with pytest.raises(click.ClickException) as caught, plain_ends():
        raise ValueError("F 24 groin")
    assert caught.value.exit_code == UNEXPECTED
    assert "groin" not in caught.value.message and "ValueError" in caught.value.message
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\rb", "‮reversed", "\x00"])
def test_no_text_drives_the_terminal(text: str) -> None:
    assert visible(text).isprintable() and visible(text) != text


LIGHT = """
import sys
from click.testing import CliRunner
from pipelines.cli import main
done = CliRunner().invoke(main, sys.argv[1:])
heavy = {"dagster", "sklearn", "polars", "scipy", "pandas", "pyarrow", "pandera"} & set(sys.modules)
print(done.exit_code, sorted(heavy))
"""


@pytest.mark.parametrize(
    "arguments",
    [("worklist",), ("worklist", "--format", "json"), ("explain", "north/a"), ("sql", "SELECT 1"), ("model", "list")],
)
def test_readers_import_nothing_heavy(filled: Home, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments],
        env={"HIPTRIAGE_HOME": str(filled.root)},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "0 []"


def test_times_of_the_views_are_utc_text(filled: Home) -> None:
    asked = "SELECT see_by FROM worklist WHERE record_id = 's'"
    (row,) = json.loads(run(filled, "sql", asked, "--format", "json").stdout)
    assert datetime.fromisoformat(row["see_by"]) == at(1) + timedelta(weeks=18)
