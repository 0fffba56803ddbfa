"""REDCap exports and FHIR responses of our own form: a tick is 1, and no tick says nothing but beside none of these."""

from __future__ import annotations

import polars as pl
import pytest

from schemas.form import form, questions
from schemas.mapping import fhir, redcap
from schemas.mapping.mapped import Mapped
from schemas.mapping.plan import Plan, plan_for
from schemas.problems import FileRefused

WHEN = "2026-10-31T09:30:00Z"
SEVERAL = "\x1f"


def plan(columns: list[str], format: str = "csv", delimiter: str = ",") -> Plan:
    typed = format != "csv"
    return plan_for(tuple(columns), typed=typed, delimiter=delimiter, format=format, mappings=[], clinic_known=True)


def read(rows: list[dict[str, str | None]], format: str = "csv") -> Mapped:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))
    chosen = plan(columns, format)
    assert chosen.name == ("fhir" if format == "fhir" else "redcap")
    return chosen.to_form(frame.select(chosen.wanted))


def redcap_row(**cells: str | None) -> dict[str, str | None]:
    return {"record_id": "1", "submitted_at": WHEN} | cells


def values(made: Mapped, column: str) -> list[str | None]:
    return made.cells[column].to_list()


def test_every_column_has_one_name_in_redcap() -> None:
    names = redcap.field_names()
    assert sorted(names.values()) == sorted(questions())
    assert names["systemic___fever"] == "systemic__fever"
    assert names["imaging_xray"] == "imaging__xray"
    assert names["exam_fadir"] == "exam__fadir"
    assert names["pain_site_thigh_unspecified"] == "pain_site__thigh_unspecified"  # asked of the clinician
    assert all("__" not in name for name in names if "___" not in name)


def test_unticked_boxes_are_blank_unless_none_of_these_was_ticked_on_a_completed_form() -> None:
    def group(fever: str, none: str, complete: str) -> dict[str, str | None]:
        return redcap_row(
            systemic___fever=fever, systemic___none_of_these=none, runner_form_complete=complete, pain_site___groin="0"
        )

    made = read(
        [group("1", "0", "2"), group("0", "0", "2"), group("0", "1", "2"), group("0", "1", "1"), group("", "", "")]
    )
    assert values(made, "systemic__fever") == ["1", None, "0", None, None]
    assert values(made, "systemic__none_of_these") == [None, None, "1", "1", None]
    assert values(made, "pain_site__groin") == [None] * 5  # the group has no none_of_these
    assert made.problems.is_empty() and made.set_aside.is_empty()


def test_each_instrument_has_its_own_completion() -> None:
    row = redcap_row(
        systemic___fever="0",
        systemic___none_of_these="1",
        runner_form_complete="2",
        neuro___numb_leg="0",
        neuro___none_of_these="1",
        second_complete="0",
    )
    made = read([row])
    assert (values(made, "systemic__fever"), values(made, "neuro__numb_leg")) == (["0"], [None])
    moved = {"runner_form_complete": "2", "second_complete": "0"} | row
    assert values(read([moved]), "systemic__fever") == [None]  # out of order: all of them have to say so
    without = {name: cell for name, cell in row.items() if not name.endswith("_complete")}
    assert values(read([without]), "neuro__numb_leg") == ["0"]


def test_findings_of_the_clinician_and_lone_questions_say_no_themselves() -> None:
    made = read([redcap_row(exam_fadir="0", night_pain="0", imaging_xray="normal", weight_kg="72.5", a___b="1")])
    assert [values(made, c) for c in ("exam__fadir", "night_pain", "imaging__xray", "weight_kg")] == [
        ["0"],
        ["0"],
        ["normal"],
        ["72.5"],
    ]


def test_what_is_no_tick_is_left_for_the_contract_to_refuse() -> None:
    made = read([redcap_row(systemic___fever="Checked", pain_now="-99")])
    assert values(made, "systemic__fever") == ["Checked"]
    assert values(made, "pain_now") == ["-99"]


def test_a_renamed_record_identifier_is_the_first_column() -> None:
    for of_redcap in ("systemic___fever", "redcap_survey_identifier", "redcap_event_name"):
        made = read([{"study_id": "7", "submitted_at": WHEN, of_redcap: "1", "form_complete": "2"}])
        assert values(made, "record_id")[0].partition(".")[0] == "7"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "columns",
    [
        ["submitted_at", "form_complete"],
        ["patient_name", "submitted_at", "age_years", "training_complete"],  # a table that REDCap never saw
        ["form_complete", "systemic___fever", "submitted_at"],
    ],
)
def test_the_first_column_of_any_other_table_is_no_record_identifier(columns: list[str]) -> None:
    with pytest.raises(FileRefused) as refused:
        plan(columns)
    assert (refused.value.code, refused.value.columns) == ("missing_column", ("record_id",))


def test_a_ticked_box_that_the_form_does_not_have_is_told_and_leaves_its_group_open() -> None:
    def row(plague: str | None, none: str) -> dict[str, str | None]:
        return redcap_row(systemic___plague=plague, systemic___none_of_these=none, systemic___fever="0", other___x="1")

    made = read([row("1", "1"), row("0", "1"), row("", "1"), row("?", "0")])
    assert made.problems.rows() == [
        (0, "systemic__fever", "not_mapped", "1"),
        (3, "systemic__fever", "not_mapped", "?"),
    ]
    assert values(made, "systemic__fever") == [None, "0", "0", None]
    assert plan(["record_id", "submitted_at", "systemic___plague", "other___x"]).unread_columns == ("other___x",)


def test_events_and_repeats_make_the_key_and_link_the_person() -> None:
    place = {"redcap_event_name": "", "redcap_repeat_instrument": "", "redcap_repeat_instance": ""}
    rows = [
        redcap_row(**place),
        redcap_row(**place | {"redcap_event_name": "visit_1_arm_1"}),
        redcap_row(**place | {"redcap_event_name": "visit_1_arm_1", "redcap_repeat_instance": "2"}),
        redcap_row(**place | {"redcap_repeat_instrument": "runner_form", "redcap_repeat_instance": "3"}),
    ]
    made = read(rows)
    assert values(made, "record_id") == ["1", "1.visit_1_arm_1", "1.visit_1_arm_1.2", "1.runner_form.3"]
    assert values(made, "patient_key") == ["1"] * 4
    assert values(read([row | {"patient_key": "p"} for row in rows]), "patient_key") == ["p"] * 4
    assert "patient_key" not in read([redcap_row(form_complete="2")]).cells.columns


def test_rows_of_other_instruments_are_set_aside() -> None:
    boxes = {"systemic___fever": "0", "runner_form_complete": "0", "redcap_repeat_instance": ""}
    rows: list[dict[str, str | None]] = [
        redcap_row(redcap_repeat_instrument="", blood_pressure="", weight_kg="70", **boxes),
        redcap_row(redcap_repeat_instrument="bp", blood_pressure="120", weight_kg="", **boxes) | {"submitted_at": ""},
        redcap_row(redcap_repeat_instrument="bp", blood_pressure="", weight_kg="70", **boxes) | {"submitted_at": ""},
        redcap_row(redcap_repeat_instrument="", blood_pressure="", weight_kg="", **boxes)
        | {"submitted_at": " ", "systemic___fever": "1"},
    ]
    made = read(rows)
    assert made.set_aside.to_list() == [1] and made.set_aside.dtype == pl.UInt32
    assert made.cells.height == 4
    once = [{name: cell for name, cell in row.items() if not name.startswith("redcap")} for row in rows]
    assert read(once).set_aside.is_empty()  # without events or repeats an empty row is a record that says nothing


def test_a_row_that_cannot_be_read_is_not_set_aside() -> None:
    columns = ["record_id", "submitted_at", "weight_kg", "redcap_event_name"]
    chosen = plan(columns, delimiter=";")
    made = chosen.to_form(pl.DataFrame([["1", "", "1,234", "e"]], schema=columns, orient="row"))
    assert made.problems["code"].to_list() == ["ambiguous_number"]
    assert made.set_aside.is_empty()


@pytest.mark.parametrize(
    "strange", ["a___-1", "a____1", "___", "a___", "check_one___1", "^.*$", "redcap_survey_identifier"]
)
def test_foreign_columns_do_no_harm(strange: str) -> None:
    made = read([redcap_row(**{strange: "1", "x_complete": "2"})])
    assert set(made.cells.columns) == {"record_id", "submitted_at"}


@pytest.mark.parametrize(
    ("columns", "code", "named"),
    [
        (["record_id", "systemic___fevr", "submitted_at"], "nearly_a_column", ("systemic__fever",)),
        (["record_id", "submitted_at", "imaging_xrays", "a_complete"], "nearly_a_column", ("imaging__xray",)),
        (
            ["record_id", "submitted_at", "imaging_xray", "imaging__xray", "a_complete"],
            "duplicate_column",
            ("imaging__xray",),
        ),
        (["record_id", "weight", "a_complete"], "missing_column", ("submitted_at",)),
    ],
)
def test_redcap_headers_that_are_refused(columns: list[str], code: str, named: tuple[str, ...]) -> None:
    with pytest.raises(FileRefused) as refused:
        plan(columns)
    assert (refused.value.code, refused.value.columns) == (code, named)


def response(**cells: str | None) -> dict[str, str | None]:
    about: dict[str, str | None] = {
        "QuestionnaireResponse.id": "a1",
        "QuestionnaireResponse.status": "completed",
        "QuestionnaireResponse.authored": WHEN,
        "QuestionnaireResponse.identifier": None,
        "QuestionnaireResponse.subject": None,
    }
    return about | {"sex": "female"} | cells


def test_every_column_is_reached_in_fhir() -> None:
    assert fhir.gives(tuple(fhir.link_ids())) == set(questions())
    boxes = [column for columns in redcap.box_groups().values() for column in columns]
    assert sorted([*boxes, *(fhir.link_ids() - redcap.box_groups().keys())]) == sorted(q.column for q in form())


def test_answers_of_a_response() -> None:
    made = read(
        [
            response(systemic=f"fever{SEVERAL}chills", night_pain="true", exam__fadir="false", pain_now="3"),
            response(systemic="none_of_these", night_pain="false", exam__fadir=None, pain_now=None),
            response(systemic=None, night_pain=None, exam__fadir="true", pain_now="3.5"),
        ],
        "fhir",
    )
    assert values(made, "systemic__fever") == ["1", "0", None]
    assert values(made, "systemic__rash") == [None, "0", None]
    assert values(made, "systemic__none_of_these") == [None, "1", None]
    assert values(made, "night_pain") == ["1", "0", None]
    assert values(made, "exam__fadir") == ["0", None, "1"]
    assert values(made, "pain_now") == ["3", None, "3.5"]
    assert values(made, "record_id") == ["a1"] * 3
    assert values(made, "submitted_at") == [WHEN] * 3
    assert made.problems.is_empty()


def test_the_forms_own_answers_come_before_facts_of_the_resource() -> None:
    identified = {"QuestionnaireResponse.identifier": "i9", "QuestionnaireResponse.subject": "p7"}
    later = "2026-11-01T00:00:00Z"
    made = read(
        [response() | identified, response(record_id="r1", submitted_at=later, patient_key="k1") | identified], "fhir"
    )
    assert values(made, "record_id") == ["i9", "r1"]
    assert values(made, "patient_key") == ["p7", "k1"]
    assert values(made, "submitted_at") == [WHEN, later]


def test_unknown_options_and_several_answers_are_told() -> None:
    made = read([response(systemic=f"fever{SEVERAL}flu{SEVERAL}none_of_these", sex=f"male{SEVERAL}female")], "fhir")
    assert made.problems.select("column", "code").rows() == [
        ("sex", "several_answers"),
        ("systemic__fever", "not_mapped"),
    ]
    assert values(made, "systemic__fever") == ["1"]
    assert values(made, "systemic__chills") == [None]


@pytest.mark.parametrize(
    ("columns", "code", "named"),
    [
        (["QuestionnaireResponse.id", "QuestionnaireResponse.authored", "1.2"], "no_header", ()),
        (["QuestionnaireResponse.id", "sex"], "missing_column", ("submitted_at",)),
        (
            ["QuestionnaireResponse.id", "QuestionnaireResponse.authored", "sex", "sistemic"],
            "nearly_a_column",
            ("systemic",),
        ),
        (
            ["QuestionnaireResponse.id", "QuestionnaireResponse.authored", "systemic", "systemic__fever"],
            "duplicate_column",
            ("systemic__fever",),
        ),
    ],
)
def test_responses_that_are_refused(columns: list[str], code: str, named: tuple[str, ...]) -> None:
    with pytest.raises(FileRefused) as refused:
        plan(columns, "fhir")
    assert (refused.value.code, refused.value.columns) == (code, named)
