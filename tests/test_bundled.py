"""The bundled files: every rule and every code between them, nothing lost, no diagnosis, and made by their tool."""

from __future__ import annotations

import csv
import importlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from models.catalogue import load_catalogue
from models.cohort import generate
from models.rules import YES, evaluate, load_rules, rule_tiers
from schemas.form import questions
from schemas.problems import problems
from schemas.records import record_schema
from warehouse import intake, sources
from warehouse.home import PACKAGE, Home
from warehouse.ledger import Reconciled
from warehouse.settings import DataKind
from warehouse.store import opened

ROOT = PACKAGE.parent
BUNDLED = PACKAGE / "bundled"
FILES: dict[str, DataKind] = {"sample-clinic": "sample", "published-cases": "published_case"}
SOURCES = BUNDLED / "published-cases-sources.csv"
ANSWERS_OF_THE_CASES = {"condition", "diagnosis", "also", "urgency", "weak", "tier", "outcome", "confirmed"}
MOST_RAISED_BY_CANNOT_TELL = 0.1  # product page, section 5


@dataclass(frozen=True)
class Loaded:
    """Both files in one home: the counts of each, and frames of what became of the sample clinic's forms."""

    counts: dict[str, Reconciled]
    accepted: pl.DataFrame
    unread: pl.DataFrame
    rejected: pl.DataFrame
    warned: pl.DataFrame
    versions: pl.DataFrame


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    home = Home(tmp_path_factory.mktemp("bundled"))
    home.ensure()
    counts = {}
    for clinic, kind in FILES.items():
        batch, _ = sources.register(home, BUNDLED / f"{clinic}.csv", clinic=clinic, data_kind=kind)
        counts[clinic] = intake.load(home, batch.batch_id)
    columns = ", ".join(f'v."{field.name}"' for field in record_schema())
    of_sample = f"batch_id = '{counts['sample-clinic'].batch_id}'"
    queries = {
        "accepted": f"SELECT {columns} FROM intake_valid v JOIN intake_disposition USING (batch_id, record_number) "
        f"WHERE disposition = 'accepted' AND {of_sample}",
        "unread": f"SELECT * FROM intake_unread WHERE {of_sample}",
        "rejected": f"SELECT record_number, unnest(problems).code AS code FROM intake_quarantine WHERE {of_sample}",
        "warned": f"SELECT code, column_name FROM intake_warning WHERE {of_sample}",
        "versions": f"SELECT record_id, patient_key, submitted_at FROM intake_valid WHERE {of_sample}",
    }
    with opened(home, "test") as connection:
        frames = {name: pl.DataFrame(pl.from_arrow(connection.sql(text).arrow())) for name, text in queries.items()}
    return Loaded(counts, **frames)


def header(file: Path) -> list[str]:
    with file.open(encoding="utf-8", newline="") as opened_file:
        return next(csv.reader(opened_file))


def test_the_counts_add_up_and_every_disposition_occurs_in_the_sample_clinic(loaded: Loaded) -> None:
    assert all(counts.balanced and counts.refusal is None for counts in loaded.counts.values())
    sample = loaded.counts["sample-clinic"]
    assert sample.unknown_columns == 0
    assert sample.accepted > 250
    assert min(sample.quarantined, sample.duplicate, sample.superseded, sample.warned) > 0


def test_every_published_case_is_accepted_without_a_warning(loaded: Loaded) -> None:
    counts = loaded.counts["published-cases"]
    assert (counts.received, counts.accepted, counts.warned, counts.unknown_columns) == (68, 68, 0, 0)


# What a file of our own columns in UTF-8 cannot have: of other formats, mappings, withdrawn records; and of defects.
ELSEWHERE = {
    "bad_bytes", "bad_json", "repeated_key", "entered_in_error", "not_mapped", "several_answers", "ambiguous_number",
    "ambiguous_time", "source_check", "source_oddity", "withdrawn", "contract_broken",
}  # fmt: skip


def test_every_code_that_a_record_of_our_own_form_can_get_occurs(loaded: Loaded) -> None:
    got = {"reject": set(loaded.rejected["code"]), "warn": set(loaded.warned["code"])}
    for severity, codes in got.items():
        expected = {code for code, problem in problems().items() if problem.severity == severity}
        assert codes == expected - ELSEWHERE, severity


def test_every_rule_fires_on_an_accepted_record(loaded: Loaded) -> None:
    status = evaluate(loaded.accepted, load_rules()).status
    silent = [rule.id for rule in load_rules().rules if not (status[rule.id] == YES).any()]
    assert silent == []


def test_rules_give_every_tier_and_leave_some_records_without_one(loaded: Loaded) -> None:
    given = rule_tiers(evaluate(loaded.accepted, load_rules()), load_rules(), loaded.accepted)["tier"]
    assert set(given) == {None, "emergency", "same_day", "urgent", "soon", "routine"}


def test_a_form_that_could_not_be_read_holds_an_emergency_answer(loaded: Loaded) -> None:
    tiers = rule_tiers(evaluate(loaded.unread, load_rules()), load_rules(), loaded.unread)["tier"]
    assert (tiers == "emergency").sum() >= 2


def test_some_people_come_again_some_records_are_corrected_and_some_forms_carry_a_note(loaded: Loaded) -> None:
    records_a_person = (
        loaded.versions.drop_nulls("patient_key")
        .group_by("patient_key")
        .agg(pl.col("record_id").n_unique())["record_id"]
    )
    assert (records_a_person == 2).sum() > 5 and (records_a_person == 3).any()
    assert (loaded.versions["record_id"].value_counts()["count"] > 1).sum() >= 8
    assert 3 <= loaded.accepted["has_notes"].sum() <= 12
    assert set(loaded.accepted["completed_by"]) == set(questions()["completed_by"].choices)


def test_the_sample_clinic_is_what_its_tool_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    tool = importlib.import_module("make_sample_clinic")
    tool.write(tmp_path / "again.csv")
    same = (tmp_path / "again.csv").read_bytes() == (BUNDLED / "sample-clinic.csv").read_bytes()
    assert same, "the knowledge changed since it was written: run .venv/bin/python tools/make_sample_clinic.py"


def test_the_bundled_files_stay_small() -> None:
    assert max(file.stat().st_size for file in BUNDLED.iterdir()) < 250_000


def test_no_bundled_file_holds_what_was_found_in_the_end() -> None:
    files = sorted(BUNDLED.glob("*.csv"))
    assert {file.stem for file in files} == {*FILES, SOURCES.stem}
    for file in files:
        assert not ANSWERS_OF_THE_CASES & set(header(file)), file.name
    for clinic in FILES:
        assert set(header(BUNDLED / f"{clinic}.csv")) <= set(questions())


def test_every_published_case_has_its_source_which_no_module_reads() -> None:
    assert header(SOURCES) == ["record_id", "title", "ref", "year", "peer_reviewed"]
    cases, named = (pl.read_csv(file, infer_schema=False) for file in (BUNDLED / "published-cases.csv", SOURCES))
    assert cases["record_id"].to_list() == named["record_id"].to_list()
    assert named.select("title", "ref").null_count().row(0) == (0, 0)
    code = [f for layer in ("schemas", "models", "warehouse", "pipelines") for f in (ROOT / layer).rglob("*.[psy]*")]
    assert {".py", ".sql", ".yaml"} <= {file.suffix for file in code}
    assert [f.name for f in code if f.suffix in (".py", ".sql", ".yaml") and SOURCES.stem in f.read_text("utf-8")] == []


def test_at_most_one_generated_record_in_ten_is_raised_because_a_rule_cannot_tell() -> None:
    records = generate(load_catalogue(), 2000, 20261115).records
    raised = rule_tiers(evaluate(records, load_rules()), load_rules(), records)["cannot_tell_raised"]
    rules = raised.drop_nulls().value_counts(sort=True).rows()
    assert 0 < raised.is_not_null().mean() <= MOST_RAISED_BY_CANNOT_TELL, rules
