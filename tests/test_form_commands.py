"""``hiptriage form``: every kind of blank form, and the dry runs of what comes back."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from schemas.form import form
from schemas.mapping.mapping_file import MappingRefused, load_mapping
from tests.commands import hiptriage
from tests.filled_forms import answers_of, csv_export, redcap_export, response_of

CLINICS_OWN = "Participant,Submitted,Age,Sex,Which hip?,Remarks\np1,31.01.2026 09:30,41,F,Left,secret-one\n"
MAPPING = """\
name: north-survey
version: 3
source: "survey tool of the north clinic"
zone: Europe/Berlin
columns:
  record_id: {from: Participant}
  submitted_at: {from: Submitted, date: {order: dmy}}
  age_years: {from: Age}
  sex: {from: Sex, values: {F: female, M: male}}
  side: {from: "Which hip?", values: {Left: left, Right: right}}
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that does not exist, and must not after any of these commands."""
    home = tmp_path / "home"
    monkeypatch.setenv("HIPTRIAGE_HOME", str(home))
    return home


def run(*arguments: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["form", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def written(folder: Path, content: str | bytes, name: str = "export") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


# Blank forms


def test_without_options_it_is_the_header_of_the_canonical_file() -> None:
    assert run().stdout == ",".join(q.column for q in form() if q.ask == "ask") + "\n"
    assert run("--format", "csv").stdout == run().stdout


@pytest.mark.parametrize(
    ("kind", "begins"),
    [("csv", "record_id,"), ("redcap", "Variable / Field Name,"), ("fhir", "{\n"), ("html", "<!DOCTYPE html>")],
)
def test_each_kind_goes_to_the_terminal_or_to_a_file(kind: str, begins: str, tmp_path: Path) -> None:
    shown = run("--format", kind).stdout
    assert shown.lstrip().startswith(begins)
    run("--format", kind, "--output", tmp_path / "blank")
    assert (tmp_path / "blank").read_text("utf-8") == shown


def test_one_sheet_alone_and_the_clinics_number() -> None:
    runner = run("--format", "html", "--for", "runner", "--phone", "0800 123").stdout
    assert "call 0800 123 now" in runner and "form for the clinician" not in runner
    assert "exam__hop" in run("--format", "html", "--for", "clinician").stdout
    assert json.loads(run("--format", "fhir", "--for", "clinician").stdout)["name"] == "HipPainClinician"
    assert "runner_form" not in run("--format", "redcap", "--for", "clinician").stdout
    assert "age_years" not in run("--for", "clinician").stdout
    run("--phone", "<script>", code=2)
    run("--format", "pdf", code=2)


# map


def test_a_draft_is_marked_and_refused_until_somebody_has_checked_it(tmp_path: Path) -> None:
    file = written(tmp_path, CLINICS_OWN)
    draft = run("map", file).stdout
    assert "reviewed: false" in draft and "NOT MAPPED" in draft and '"Remarks"' in draft
    assert "secret-one" not in draft
    with pytest.raises(MappingRefused, match="draft"):
        load_mapping(draft.encode())
    kept = tmp_path / "m.yaml"
    result = run("map", file, "--name", "north-survey", "--output", kept)
    assert kept.read_text("utf-8").replace("north-survey", "draft") == draft
    assert "form check" in result.stderr
    assert "is a draft" in run("check", file, "--mapping", kept, code=4).stderr
    run("map", file, "--name", "Jane Doe", code=2)
    run("map", tmp_path / "nothing", code=2)


def test_a_file_without_records_has_a_draft_too(tmp_path: Path) -> None:
    assert "reviewed: false" in run("map", written(tmp_path, CLINICS_OWN.splitlines()[0] + "\n")).stdout
    assert "the whole file would be refused" in run("map", written(tmp_path, b""), code=4).stderr


# check


def test_a_clean_file_is_counted_and_nothing_is_stored(tmp_path: Path, nowhere: Path) -> None:
    records = [answers_of(seed) for seed in (1, 2, 3, 5, 6)]
    responses = [response_of(record) for record in records]
    for content, reading in (
        (csv_export(records), "form"),
        (gzip.compress(csv_export(records)), "form"),
        (redcap_export(records), "redcap"),
        (json.dumps(responses).encode(), "fhir"),
    ):
        before = sorted(tmp_path.iterdir())
        said = run("check", written(tmp_path, content)).stdout
        assert "records: 5, would be accepted: 5, would be quarantined: 0" in said
        assert f"({reading})" in said
        assert "nothing was stored" in said
        assert sorted(tmp_path.iterdir()) in (before, sorted([*before, tmp_path / "export"]))
    assert not nowhere.exists()


def test_what_would_be_quarantined_is_told_by_code_and_column_without_cells(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "record_id,clinic_id,submitted_at,age_years,pain_now,side,colour\n"
        "secret-a,north,2026-01-31T09:30:00Z,secret-b,11,left,green\n"
        "secret-c,north,2026-01-31T09:30:00Z,41,12,middle,green\n"
        "secret-d,north,2026-01-31T09:30:00Z,97,1,left,green\n"
        "secret-e,north\n"
        "secret-f,south,2026-01-31T09:30:00Z,41,1,left,green\n",
    )
    result = run("check", file, "--clinic", "north", code=3)
    said = result.stdout
    assert "records: 5, would be accepted: 1, would be quarantined: 4" in said
    assert "columns read: 6, not read: 1" in said
    assert "2 x outside_allowed [pain_now]" in said and "allowed: whole number 0 to 10" in said
    assert "1 x not_a_choice [side]" in said and "left, right, both" in said
    assert "1 x cell_count: " in said and "1 x other_clinic [clinic_id]" in said
    assert "would be accepted, with:\n  1 x implausible [age_years]" in said
    assert "4 of 5 records would be quarantined" in result.stderr
    for cell in ("secret", "middle", "green", "97"):
        assert cell not in result.output


def test_a_mapping_is_tried_before_it_is_kept(tmp_path: Path, nowhere: Path) -> None:
    mapping = written(tmp_path, MAPPING, "m.yaml")
    good = run("check", written(tmp_path, CLINICS_OWN), "--mapping", mapping, "--clinic", "north").stdout
    assert "read with: north-survey version 3" in good
    assert "columns read: 5, not read: 1" in good
    assert "records: 1, would be accepted: 1" in good
    odd = CLINICS_OWN.replace("Left", "Middle")
    said = run("check", written(tmp_path, odd), "--mapping", mapping, "--clinic", "north", code=3).stdout
    assert "1 x not_mapped [side]" in said and "Middle" not in said
    assert not nowhere.exists()


CHECKS = """
checks:
  - id: too_young
    severity: {severity}
    sentence: nobody of that age comes to this clinic
    all: [{{column: Age, below: 200}}]
"""


@pytest.mark.parametrize(("severity", "code", "ends"), [("note", "source_note", 0), ("reject", "source_check", 3)])
def test_a_check_of_the_mapping_is_told_in_its_own_words(severity: str, code: str, ends: int, tmp_path: Path) -> None:
    mapping = written(tmp_path, MAPPING + CHECKS.format(severity=severity), "m.yaml")
    said = run("check", written(tmp_path, CLINICS_OWN), "--mapping", mapping, "--clinic", "north", code=ends).stdout
    assert f"1 x {code} [too_young]: nobody of that age comes to this clinic" in said


def test_a_file_that_would_be_refused_says_why(tmp_path: Path) -> None:
    mapping = written(tmp_path, MAPPING, "m.yaml")
    own = written(tmp_path, CLINICS_OWN)
    assert "nearly one that the form has and the file lacks (sex)" in run("check", own, code=4).stderr
    nothing = written(tmp_path, "colour,weather\ngreen,wet\n", "nothing")
    assert "names no column of the intake form" in run("check", nothing, code=4).stderr
    assert "a required column is missing (clinic_id)" in run("check", own, "--mapping", mapping, code=4).stderr
    other = written(tmp_path, csv_export([answers_of(1)]))
    assert "a column that the file does not have" in run("check", other, "--mapping", mapping, code=4).stderr
    run("check", own, "--clinic", "North!", code=2)


def test_rows_of_other_instruments_are_set_aside_and_not_counted(tmp_path: Path) -> None:
    header, row = redcap_export([answers_of(2)]).decode().split("\r\n", 1)
    columns = header.split(",")
    other = ",".join("r9" if column == "record_id" else "" for column in columns)
    text = f"{header},redcap_repeat_instrument\r\n{row.rstrip()},\r\n{other},visits\r\n"
    said = run("check", written(tmp_path, text)).stdout
    assert "records: 1, would be accepted: 1, would be quarantined: 0" in said
    assert "rows set aside as no intake records: 1" in said


def test_columns_named_like_patterns_are_drafted(tmp_path: Path) -> None:
    draft = run("map", written(tmp_path, "Participant,*,^a.*$\np1,x,y\n")).stdout
    assert '"*"' in draft and '"^a.*$"' in draft


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("record_id,clinic_id,decided_at,decided_by,decided_tier", "decision"),
        ("record_id,clinic_id,submitted_at,recorded_at,attended", "outcome"),
    ],
)
def test_a_file_that_holds_no_forms_is_called_what_it_is(header: str, kind: str, tmp_path: Path) -> None:
    said = run("check", written(tmp_path, f"{header}\nr1,north,x,y,z\n")).stdout
    assert f"a file of {kind}s" in said and "accepted" not in said


def test_the_command_itself_is_quick_and_light(tmp_path: Path) -> None:
    done = hiptriage("form", "--format", "html", "--for", "runner", home=tmp_path / "home", PYTHONPROFILEIMPORTTIME="1")
    assert done.code == 0
    for heavy in ("dagster", "sklearn", "pandera"):
        assert f"| {heavy}\n" not in done.err and f" {heavy}\n" not in done.err
