"""Mapping files: what is refused on loading, and what a good one makes of a clinic's cells. Nothing is guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from importlib import resources
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contract import split
from schemas.form import form, questions
from schemas.mapping.against_form import red_flag_columns
from schemas.mapping.mapped import CELL_PROBLEMS, Mapped
from schemas.mapping.mapping_file import Mapping, MappingRefused, load_mapping
from schemas.mapping.plan import plan_for
from schemas.mapping.redcap import is_checkbox
from schemas.mapping.units import source_of, units_to

BASE: dict[str, Any] = {
    "name": "north-clinic",
    "version": "3",
    "source": "export of the clinic's own tool",
    "columns": {"record_id": {"from": "Id"}, "submitted_at": {"from": "When"}},
}
SIGNED = {"signed_by": "Dr. A. Example", "signed_on": "2026-11-01"}
WHEN = "2026-10-31T09:30:00Z"


def written(**changes: Any) -> bytes:
    """The base mapping with ``columns`` added to its own and everything else set, as the bytes of its file."""
    columns = BASE["columns"] | changes.pop("columns", {})
    return yaml.safe_dump(BASE | changes | {"columns": columns}, allow_unicode=True, sort_keys=False).encode()


def mapping(**changes: Any) -> Mapping:
    return load_mapping(written(**changes))


def applied(rules: Mapping, typed: bool = False, **cells: list[str | None]) -> Mapped:
    """What the mapping makes of records with these cells; identifiers and times are added."""
    rows = max(map(len, cells.values()))
    given = {"Id": [f"r{n}" for n in range(rows)], "When": [WHEN] * rows} | cells
    frame = pl.DataFrame(given, schema=dict.fromkeys(given, pl.String))
    plan = plan_for(tuple(frame.columns), typed=typed, delimiter=",", format="csv", mappings=[rules], clinic_known=True)
    assert plan.mapping is rules
    made = plan.to_form(pl.DataFrame([frame.get_column(column) for column in plan.wanted]))
    assert made.cells.height == frame.height
    assert dict(made.problems.schema) == CELL_PROBLEMS
    return made


def refusal(text: bytes) -> str:
    with pytest.raises(MappingRefused) as refused:
        load_mapping(text)
    return str(refused.value)


def test_a_mapping_says_what_it_is() -> None:
    loaded = mapping(columns={"sex": {"from": "Sex", "values": {"Yes": "female"}}})
    assert (loaded.described, loaded.reads) == ("north-clinic version 3", ("Id", "When", "Sex"))
    assert loaded.gives == {"record_id", "submitted_at", "sex"}
    assert loaded.text.startswith("name: north-clinic")


def test_the_digest_is_of_what_it_says() -> None:
    first, reordered = mapping(), load_mapping(b"# a note\n" + yaml.safe_dump(BASE, sort_keys=True).encode())
    assert first.digest == reordered.digest
    assert first.digest != mapping(version="4").digest


def test_answers_are_texts_whatever_yaml_would_make_of_them() -> None:
    text = written(columns={"night_pain": {"from": "Night", "values": {"Yes": "1", "No": "0"}}}, zone="Europe/Berlin")
    plain = text.replace(b"'", b"")  # Yes, No, 1 and 0 without quotation marks
    assert b"Yes: 1" in plain and b"No: 0" in plain
    made = applied(load_mapping(plain), Night=["Yes", "No", ""])
    assert made.cells["night_pain"].to_list() == ["1", "0", None]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": ({"colour": "red"}, "colour"),
    "unknown field of a column": ({"columns": {"sex": {"from": "S", "valeus": {"f": "female"}}}}, "columns.sex.valeus"),
    "name": ({"name": "North Clinic"}, "name"),
    "version": ({"version": "0"}, "version"),
    "draft": ({"reviewed": "false"}, "draft"),
    "draft in other words": ({"reviewed": "no"}, "draft"),
    "half a signature": ({"signed_by": "Dr. A. Example"}, "signed_on"),
    "no such column": ({"columns": {"sexx": {"from": "S"}}}, "sexx"),
    "answer not allowed": ({"columns": {"sex": {"from": "S", "values": {"f": "woman"}}}}, "columns.sex.values"),
    "blank answer": ({"columns": {"sex": {"from": "S", "values": {"f": ""}}}}, "columns.sex.values"),
    "number out of range": ({"columns": {"pain_now": {"from": "P", "values": {"lots": "11"}}}}, "columns.pain_now"),
    "values of a key": ({"columns": {"patient_key": {"from": "P", "values": {"a": "b"}}}}, "columns.patient_key"),
    "value that is blank too": (
        {"columns": {"sex": {"from": "S", "values": {"NaN": "female"}}}, "blank": ["NaN"]},
        "columns.sex.values",
    ),
    "two columns without join": ({"columns": {"notes": {"from": ["A", "B"]}}}, "columns.notes.join"),
    "joined numbers": ({"columns": {"weight_kg": {"from": ["A", "B"], "join": "."}}}, "columns.weight_kg.join"),
    "unknown unit": ({"columns": {"weight_kg": {"from": "W", "unit": "miles"}}}, "columns.weight_kg.unit"),
    "unit of a text": ({"columns": {"notes": {"from": "W", "unit": "kg"}}}, "columns.notes.unit"),
    "one unit for two": ({"columns": {"height_cm": {"from": ["F", "I"], "unit": ["ft"]}}}, "columns.height_cm.unit"),
    "decimal of a choice": ({"columns": {"sex": {"from": "S", "decimal": "comma"}}}, "columns.sex.decimal"),
    "date of a number": (
        {"columns": {"weight_kg": {"from": "W", "date": {"order": "ymd", "zone": "Europe/Berlin"}}}},
        "columns.weight_kg.date",
    ),
    "no zone": ({"columns": {"submitted_at": {"from": "When", "date": {"order": "dmy"}}}}, "submitted_at.date.zone"),
    "no such zone": ({"zone": "Europe/Atlantis"}, "zone"),
    "a path for a zone": ({"zone": "../../etc/passwd"}, "zone"),
    "unknown order": (
        {"columns": {"submitted_at": {"from": "When", "date": {"order": "?", "zone": "Europe/Berlin"}}}},
        "order",
    ),
    "constant not allowed": ({"constants": {"completed_by": "the dog"}}, "constants.completed_by"),
    "constant key": ({"constants": {"patient_key": "p1"}}, "constants.patient_key"),
    "constant no to a red flag": ({"constants": {"systemic__fever": "0"}}, "constants.systemic__fever"),
    "given twice": (
        {"columns": {"sex": {"from": "S", "values": {"f": "female"}}}, "constants": {"sex": "female"}},
        "sex: it is filled",
    ),
    "ignored and read": ({"ignored": ["Id"]}, "ignored"),
    "box of a choice": ({"boxes": [{"from": "B", "values": {"x": "sex"}}]}, "boxes.0.values"),
    "option named twice": (
        {"boxes": [{"from": "B", "values": {"x": "relief__rest"}, "no_box": ["x"]}]},
        "boxes.0.no_box",
    ),
    "options that cannot be told apart": (
        {
            "boxes": [
                {
                    "from": "B",
                    "separator": ", ",
                    "values": {"a": "relief__rest", "b": "relief__nsaid", "a, b": "relief__lying"},
                }
            ]
        },
        "boxes.0.separator",
    ),
    "ticks without their columns": (
        {"boxes": [{"from": ["A"], "ticked": ["x"], "values": {"B": "relief__rest"}}]},
        "boxes.0.values",
    ),
    "no without none of these": (
        {"boxes": [{"from": ["A"], "ticked": ["x"], "values": {"A": "relief__rest"}, "unticked": "no"}]},
        "boxes.0.unticked",
    ),
    "pair of texts": (
        {"boxes": [{"from": "B", "values": {"x": "relief__rest"}, "unticked": "no", "pair": "true"}]},
        "boxes.0.ticked",
    ),
    "check without a condition": ({"checks": [{"id": "a", "severity": "warn", "sentence": "s"}]}, "checks.0"),
    "condition of two minds": (
        {
            "checks": [
                {
                    "id": "a",
                    "severity": "warn",
                    "sentence": "s",
                    "all": [{"column": "A", "above": "1", "below": "2"}],
                }
            ]
        },
        "checks.0.all.0",
    ),
    "not a regular expression": (
        {"checks": [{"id": "a", "severity": "note", "sentence": "s", "all": [{"column": "A", "matches": "("}]}]},
        "checks.0.all.0",
    ),
    "look-around": (
        {"checks": [{"id": "a", "severity": "note", "sentence": "s", "all": [{"column": "A", "matches": "a(?=b)"}]}]},
        "checks.0.all.0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_with_the_form_is_refused_by_field(case: str) -> None:
    changes, field = REFUSED[case]
    sentence = refusal(written(**changes))
    assert field in sentence and "\n" not in sentence


def test_required_columns_have_to_be_covered() -> None:
    sentence = refusal(yaml.safe_dump(BASE | {"columns": {"record_id": {"from": "Id"}}}).encode())
    assert "submitted_at" in sentence and "clinic_id" not in sentence


def test_a_refusal_shows_no_text_of_the_source() -> None:
    secret = "Mrs Planted"
    for changes in (
        {"columns": {"sex": {"from": secret, "values": {secret: "woman"}}}},
        {"boxes": [{"from": secret, "values": {secret: "sex"}}]},
        {"blank": {secret: secret}},
        {"checks": [{"id": "a", "severity": "warn", "sentence": secret, "all": [{"column": secret, "one_of": []}]}]},
    ):
        assert secret not in refusal(written(**changes))


HOSTILE = {
    "python object": b"!!python/object/apply:os.system ['true']",
    "alias bomb": b"a: &a [x]\nb: [*a, *a]",
    "deep": b"a: " + b"[" * 5000,
    "key twice": b"name: a\nname: b",
    "not utf-8": b"name: \xff\xfe",
    "a list": b"- a",
    "nothing": b"",
    "a number": b"5",
    "two documents": b"a: b\n---\nc: d",
    "null byte": b"name: a\0b",
    "huge": b"#" * ((1 << 20) + 1),
    "key that is a table": b"? {a: b}\n: c",
    "include": b"columns: !include /etc/passwd",
    "tag of a number": b"version: !!int x",
    "tag of a fraction": b"version: !!float x",
    "tag of a truth": b"reviewed: !!bool maybe",
    "tag of a day": b"source: !!timestamp 2001-99-99",
    "tag of a table": b"columns: !!map {a: b}",
    "tag without a name": b"source: ! x",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_yaml_is_refused_with_one_sentence(case: str) -> None:
    assert refusal(HOSTILE[case]).startswith("the mapping cannot be used: ")


def test_cells_are_stripped_and_blank_texts_are_blank() -> None:
    rules = mapping(
        columns={"sex": {"from": "S", "values": {"F": "female"}, "blank": ["?"]}, "notes": {"from": "N"}},
        blank=["NaN"],
    )
    made = applied(rules, S=[" F ", "NaN", "?", "", None, "f"], N=["a", " ", "NaN", "nan", None, "?"])
    assert made.cells["sex"].to_list() == ["female", None, None, None, None, None]
    assert made.cells["notes"].to_list() == ["a", None, None, "nan", None, "?"]
    assert made.problems.rows() == [(5, "sex", "not_mapped", "f")]


def test_joined_cells() -> None:
    rules = mapping(
        columns={
            "patient_key": {"from": ["A", "B"], "join": "-"},
            "notes": {"from": ["A", "B"], "join": "; "},
            "side": {"from": ["A", "B"], "join": "|", "values": {"x|": "left", "|x": "right", "x|x": "both"}},
        }
    )
    made = applied(rules, A=["x", "", "x", ""], B=["", "x", "x", ""])
    assert made.cells["patient_key"].to_list() == [None, None, "x-x", None]  # half a key would be another's
    assert made.cells["notes"].to_list() == ["x", "x", "x; x", None]
    assert made.cells["side"].to_list() == ["left", "right", "both", None]


def test_several_answers_where_one_is_taken() -> None:
    made = applied(mapping(columns={"sex": {"from": "S"}}), typed=True, S=["female\x1fmale", "female"])
    assert made.problems.rows() == [(0, "sex", "several_answers", "female\x1fmale")]
    assert made.cells["sex"].to_list() == [None, "female"]


def test_typed_yes_and_no() -> None:
    made = applied(mapping(columns={"days_off_help": {"from": "D"}}), typed=True, D=["true", "false", None, "1"])
    assert made.cells["days_off_help"].to_list() == ["1", "0", None, "1"]


def test_only_if_reads_the_cell_where_the_condition_holds() -> None:
    rule = {
        "from": "S",
        "values": {"L": "left"},
        "only_if": [{"column": "Hurts", "is_not_blank": "true"}, {"column": "Hurts", "not_one_of": ["none"]}],
    }
    made = applied(mapping(columns={"side": rule}), S=["L", "L", "L", "?"], Hurts=["hip", "none", "", "none"])
    assert made.cells["side"].to_list() == ["left", None, None, None]
    assert made.problems.is_empty()


UNITS = [
    ("weight_kg", "lb", "150", "68.04"),
    ("weight_kg", "stone", "11", "69.85"),
    ("weight_kg", "kg", "72.57477920", "72.5747792"),
    ("height_cm", "in", "70.5", "179.07"),
    ("height_cm", "m", "1.54", "154"),
    ("weekly_km", "miles", "26.2", "42.16"),
    ("years_running", "months", "18", "1.5"),
    ("duration_weeks", "days", "10", "1.43"),
    ("duration_weeks", "months", "3", "13.04"),
    ("temperature_c", "F", "100.4", "38"),
    ("temperature_c", "degrees F", "-4", "-20"),
    ("age_years", "months", "227", "18"),  # completed years
    ("age_years", "years", "41.0", "41"),
    ("cadence_spm", "strides/min", "82.5", "165"),
    ("crp_mg_l", "mg/dL", "0.3", "3"),
]


@pytest.mark.parametrize(("column", "unit", "text", "expected"), UNITS)
def test_units_convert_without_noise(column: str, unit: str, text: str, expected: str) -> None:
    made = applied(mapping(columns={column: {"from": "X", "unit": unit}}), X=[text, ""])
    assert made.cells[column].to_list() == [expected, None]


def test_every_unit_has_a_source_and_the_forms_units_are_known() -> None:
    for question in form():
        for unit in units_to(question.unit).values():
            assert source_of(unit)
    assert {"kg", "cm", "weeks", "years"} <= {q.unit for q in form() if q.unit in units_to(q.unit)}


def test_a_unit_does_not_make_a_number_of_anything_else() -> None:
    rules = mapping(columns={"weight_kg": {"from": "W", "unit": "lb"}, "age_years": {"from": "A", "unit": "years"}})
    made = applied(rules, W=["1e3", "1,234", "abc", "\u0661\u0665\u0660"], A=["5.5", "40", "x", ""])
    assert made.cells["weight_kg"].to_list() == [None] * 4
    assert made.cells["age_years"].to_list() == ["5.5", "40", None, None]  # 5.5 is for the contract to refuse
    assert made.problems["code"].to_list() == ["not_a_number"] * 5


@settings(max_examples=60, deadline=None)
@given(
    st.decimals(min_value="-99999", max_value="99999", allow_nan=False, places=6),
    st.sampled_from([("weight_kg", "lb"), ("height_cm", "ft"), ("temperature_c", "F"), ("duration_weeks", "years")]),
    st.integers(0, 6),
)
def test_conversion_is_exact_arithmetic(number: Any, of: tuple[str, str], decimals: int) -> None:
    column, name = of
    unit = units_to(questions()[column].unit)[name]
    exact = (Fraction(f"{number:f}") - unit.less) * unit.factor
    scaled = abs(exact) * 10**decimals
    expected = Fraction(int(scaled + Fraction(1, 2)), 10**decimals) * (-1 if exact < 0 else 1)
    rule = {"from": "X", "unit": name, "decimals": str(decimals)}
    (text,) = applied(mapping(columns={column: rule}), X=[f"{number:f}"]).cells[column]
    assert Fraction(text) == expected
    assert "." not in text or not text.endswith(("0", "."))
    assert text != "-0"


def test_feet_and_inches_are_added() -> None:
    rules = mapping(columns={"height_cm": {"from": ["Ft", "In"], "unit": ["ft", "in"], "decimals": "1"}})
    made = applied(rules, Ft=["5", "6", "", "5"], In=["11", "0", "", ""])
    assert made.cells["height_cm"].to_list() == ["180.3", "182.9", None, None]
    assert made.problems.select("row", "column", "code").rows() == [(3, "height_cm", "not_a_number")]


def test_a_declared_decimal_comma() -> None:
    made = applied(
        mapping(columns={"weight_kg": {"from": "W"}}, decimal="comma"),
        W=["72,5", "1.234", "72.5", "72", "1.234,5", "0,125", "1,234"],
    )
    assert made.cells["weight_kg"].to_list() == ["72.5", None, None, "72", None, "0.125", "1.234"]
    assert made.problems.select("row", "code").rows() == [
        (1, "ambiguous_number"),
        (2, "not_a_number"),
        (4, "not_a_number"),
    ]


def dated(order: str, zone: str = "Europe/Berlin", **more: str) -> Mapping:
    return mapping(columns={"submitted_at": {"from": "When", "date": {"order": order, "zone": zone} | more}})


TIMES = [
    ("dmy", "Europe/Berlin", "31.12.2025 9:05", "2025-12-31T08:05:00.000000Z", None),
    ("dmy", "Europe/Berlin", "12/31/2025 09:05", None, "bad_time"),
    ("mdy", "America/Edmonton", "7/4/2026 1:02:03 PM", "2026-07-04T19:02:03.000000Z", None),
    ("mdy", "America/Edmonton", "7/4/2026 12:02 am", "2026-07-04T06:02:00.000000Z", None),
    ("mdy", "America/Edmonton", "7/4/2026 13:02 PM", None, "bad_time"),
    ("ymd", "UTC", "2026/02/29 10:00", None, "bad_time"),
    ("ymd", "UTC", "2026-2-8 24:00", None, "bad_time"),
    ("ymd", "UTC", "2026-2-8 23:59:60", None, "bad_time"),
    ("ymd", "UTC", "26-02-08 10:00", None, "bad_time"),
    ("ymd", "UTC", "0000-02-08 10:00", None, "bad_time"),
    ("ymd", "UTC", "2026-02-08", None, "bad_time"),
    ("ymd", "Europe/Berlin", "2026-10-25 02:30", None, "ambiguous_time"),  # came twice
    ("ymd", "Europe/Berlin", "2026-03-29 02:30", None, "ambiguous_time"),  # never came
    ("ymd", "Europe/Berlin", "2026-10-25 02:30 GMT+2", "2026-10-25T02:30:00.000000+02:00", None),
    ("iso", "with_offset", "2026-10-31T09:30:00+01:00", "2026-10-31T09:30:00.000000+01:00", None),
    ("iso", "with_offset", "2026-10-31T09:30:00", None, "time_without_offset"),
    ("iso", "with_offset", "2026-10-31T09:30:00+15:00", None, "bad_time"),
    ("iso", "UTC", "2026-1-5T09:30:00", None, "bad_time"),
    ("iso", "UTC", "yesterday", None, "bad_time"),
    ("iso", "UTC", "", None, None),
]


@pytest.mark.parametrize(("order", "zone", "text", "expected", "code"), TIMES)
def test_times_as_declared(order: str, zone: str, text: str, expected: str | None, code: str | None) -> None:
    made = applied(dated(order, zone), When=[text])
    assert made.cells["submitted_at"].to_list() == [expected]
    assert made.problems.rows() == ([(0, "submitted_at", code, text)] if code else [])


@settings(max_examples=30, deadline=None)
@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC)),
    st.sampled_from(["Europe/London", "America/Edmonton", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_a_local_time_comes_back_as_the_same_moment_or_is_ambiguous(moment: datetime, zone: str) -> None:
    local = pl.Series([moment]).dt.convert_time_zone(zone).dt.to_string("%d/%m/%Y %H:%M:%S")[0]
    made = applied(dated("dmy", zone), When=[local])
    if made.problems.is_empty():
        assert datetime.fromisoformat(made.cells["submitted_at"][0]) == moment
    else:
        assert made.problems["code"].to_list() == ["ambiguous_time"]


def test_a_date_alone_needs_a_declared_time_of_day() -> None:
    made = applied(dated("ymd", "UTC", time="12:00"), When=["2026-10-31", "2026-10-31 09:00"])
    assert made.cells["submitted_at"].to_list() == ["2026-10-31T12:00:00.000000Z", "2026-10-31T09:00:00.000000Z"]


RELIEF = {
    "from": "Helps",
    "separator": ", ",
    "values": {
        "Rest": "relief__rest",
        "Rest, then ice": "relief__lying",
        "Tablets (ibuprofen, naproxen)": "relief__nsaid",
        "Nothing": "relief__none",
    },
    "no_box": ["Ice"],
}


@settings(max_examples=80, deadline=None)
@given(st.sets(st.sampled_from([*RELIEF["values"], *RELIEF["no_box"]])))
def test_options_that_hold_the_separator_are_cut_whole(chosen: set[str]) -> None:
    made = applied(mapping(boxes=[RELIEF]), Helps=[", ".join(sorted(chosen))])
    ticked = {column for column in made.cells.columns if made.cells[column][0] == "1"}
    assert ticked == {RELIEF["values"][option] for option in chosen if option in RELIEF["values"]}
    assert made.problems.is_empty()


def test_an_option_that_is_not_named_is_told_and_the_others_still_count() -> None:
    made = applied(mapping(boxes=[RELIEF]), Helps=["Rest, Prayer", "Resting", "", "Nothing"])
    assert made.problems.select("row", "code", "cell").rows() == [
        (0, "not_mapped", "Rest, Prayer"),
        (1, "not_mapped", "Resting"),
    ]
    assert made.cells["relief__rest"].to_list() == ["1", None, None, None]
    assert made.cells["relief__none"].to_list() == [None, None, None, "1"]


def test_lists_of_typed_formats_are_cut_at_their_own_ends() -> None:
    made = applied(mapping(boxes=[RELIEF]), typed=True, Helps=["Rest\x1fRest, then ice", "Ice\x1fsomething"])
    assert made.cells["relief__rest"].to_list() == ["1", None]
    assert made.cells["relief__lying"].to_list() == ["1", None]
    assert made.problems["row"].to_list() == [1]


def test_one_question_over_several_columns() -> None:
    box = {"from": ["J1", "J2"], "values": {"Knee": "pain_site__knee", "Hip": "pain_site__groin"}}
    made = applied(mapping(boxes=[box]), J1=["Knee", "", "Hop"], J2=["Hip", "", "Hup"])
    assert made.cells["pain_site__knee"].to_list() == ["1", None, None]
    assert made.cells["pain_site__groin"].to_list() == ["1", None, None]
    assert made.problems["cell"].to_list() == ["Hop", "Hup"]


FEVER = {
    "from": ["Fever", "Rash", "None"],
    "values": {"Fever": "systemic__fever", "Rash": "systemic__rash", "None": "systemic__none_of_these"},
    "ticked": ["x"],
    "not_ticked": ["o"],
}


def test_an_unticked_box_is_blank() -> None:
    made = applied(mapping(boxes=[FEVER]), Fever=["x", "o", "", "?"], Rash=["o"] * 4, **{"None": ["o", "x", "x", ""]})
    assert made.cells["systemic__fever"].to_list() == ["1", None, None, None]
    assert made.cells["systemic__rash"].to_list() == [None] * 4
    assert made.problems.rows() == [(3, "systemic__fever", "not_mapped", "?")]


def test_an_unticked_red_flag_means_no_only_beside_none_of_these_and_with_a_signature() -> None:
    box = FEVER | {"unticked": "no"}
    assert "signed_by" in refusal(written(boxes=[box]))
    made = applied(mapping(boxes=[box], **SIGNED), Fever=["x", "o", ""], Rash=["o"] * 3, **{"None": ["o", "x", "x"]})
    assert made.cells["systemic__fever"].to_list() == ["1", "0", "0"]
    assert made.cells["systemic__rash"].to_list() == [None, "0", "0"]
    assert made.cells["systemic__none_of_these"].to_list() == [None, "1", "1"]


def test_none_of_these_says_nothing_where_an_option_was_not_understood() -> None:
    box = {
        "from": "S",
        "separator": ";",
        "values": {"Fever": "systemic__fever", "None": "systemic__none_of_these"},
        "unticked": "no",
    }
    made = applied(mapping(boxes=[box], **SIGNED), S=["None", "None;Fevers"])
    assert made.cells["systemic__fever"].to_list() == ["0", None]


def test_a_pair_takes_yes_and_no() -> None:
    box = {
        "from": ["Night", "Rest"],
        "values": {"Night": "night_pain", "Rest": "rest_pain"},
        "ticked": ["Yes"],
        "not_ticked": ["No"],
        "unticked": "no",
        "pair": "true",
    }
    assert "signed_by" in refusal(written(boxes=[box]))
    made = applied(mapping(boxes=[box], **SIGNED), Night=["Yes", "No", ""], Rest=["No", "No", "Yes"])
    assert made.cells["night_pain"].to_list() == ["1", "0", None]
    assert made.cells["rest_pain"].to_list() == ["0", "0", "1"]


MAY_BE_BOXES = sorted({q.column for q in form() if is_checkbox(q)} | red_flag_columns())


@pytest.mark.parametrize("column", MAY_BE_BOXES)
def test_what_says_no_may_be_an_unticked_box(column: str) -> None:
    words = mapping(columns={column: {"from": "X", "values": {"Ja": "1", "Nein": "0"}}})
    assert applied(words, X=["Nein"]).cells[column].to_list() == ["0"]
    for changes in (
        {"columns": {column: {"from": "X"}}},
        {"columns": {column: {"from": "X", "values": {"1": "1", "0": "0"}}}},
        {"constants": {column: "0"}},
    ):
        assert column in refusal(written(**changes))
        load_mapping(written(**changes, **SIGNED))


@pytest.mark.parametrize("trace", ["0", "false", "Unchecked", "-", "leer", "nicht angekreuzt", "no answer", "N/A"])
def test_only_a_word_of_the_answer_no_is_taken_for_no_without_a_signature(trace: str) -> None:
    changes = {"columns": {"pain_site__groin": {"from": "P", "values": {"Checked": "1", "NO": "0", trace: "0"}}}}
    assert "columns.pain_site__groin" in refusal(written(**changes))
    load_mapping(written(**changes, **SIGNED))
    pair = {"from": ["P"], "values": {"P": "pain_site__groin"}, "ticked": ["1"], "unticked": "no", "pair": "true"}
    assert "boxes.0.not_ticked" in refusal(written(boxes=[pair | {"not_ticked": [trace]}]))
    load_mapping(written(boxes=[pair | {"not_ticked": ["No", "Nein"]}]))


def test_lone_questions_and_what_a_clinician_found_are_answered_either_way() -> None:
    lone = {"exam__fadir", "pain_site__hip_unspecified", "days_off_help", "cleared_by_doctor"}
    assert lone.isdisjoint(MAY_BE_BOXES)
    made = applied(mapping(columns={column: {"from": "X"} for column in sorted(lone)}), X=["0"])
    assert made.cells.row(0, named=True).items() >= dict.fromkeys(lone, "0").items()


def test_a_column_that_cannot_be_asked_for_is_named() -> None:
    assert "called row" in refusal(written(columns={"notes": {"from": "row"}}))
    assert "called row" in refusal(written(applies_to=["row"]))


def test_every_safety_question_counts_as_a_red_flag() -> None:
    safety = {q.column for q in form() if q.type == "yesno" and q.step == 1}
    assert safety <= red_flag_columns()
    assert {"night_pain", "systemic__fever", "neuro__none_of_these"} <= red_flag_columns()


CHECKS = [
    ({"all": [{"column": "A", "one_of": ["x", "y"]}]}, [True, False, False, False]),
    ({"all": [{"column": "A", "not_one_of": ["x"]}]}, [False, True, True, False]),
    ({"all": [{"column": "A", "matches": "^[0-9]+$"}]}, [False, True, False, False]),
    ({"all": [{"column": "A", "is_blank": "true"}]}, [False, False, False, True]),
    ({"all": [{"column": "A", "is_not_blank": "true"}]}, [True, True, True, False]),
    ({"all": [{"column": "A", "above": "11"}]}, [False, True, False, False]),
    ({"all": [{"column": "A", "below": "-1.5"}]}, [False, False, True, False]),
    ({"all": [{"column": "A", "above": "11"}, {"column": "A", "one_of": ["x"]}]}, [False] * 4),
    ({"any": [{"column": "A", "above": "11"}, {"column": "A", "one_of": ["x"]}]}, [True, True, False, False]),
]


@pytest.mark.parametrize(("conditions", "met"), CHECKS)
@pytest.mark.parametrize(
    ("severity", "code"), [("reject", "source_check"), ("warn", "source_oddity"), ("note", "source_note")]
)
def test_checks(conditions: dict[str, Any], met: list[bool], severity: str, code: str) -> None:
    check = {"id": "odd", "severity": severity, "sentence": "it is odd"} | conditions
    made = applied(mapping(checks=[check]), A=["x", "12", "-2,5", ""])
    assert made.problems.rows() == [(row, None, code, "odd") for row, is_met in enumerate(met) if is_met]


def test_hostile_column_names_are_names() -> None:
    names = ["^.*$", "*", "~0", "=0", "0", "a\nb", "x answer", "rows", "code", ""]
    columns = {"notes": {"from": names[:-1], "join": "/"}}
    made = applied(mapping(columns=columns), **{name: [str(place)] for place, name in enumerate(names)})
    assert made.cells["notes"].to_list() == ["0/1/2/3/4/5/6/7/8"]


def test_empty_blocks_and_constants() -> None:
    rules = mapping(constants={"completed_by": "clinician"}, boxes=[RELIEF])
    made = applied(rules, Helps=["Rest", "Rest"])
    assert made.cells["completed_by"].to_list() == ["clinician"] * 2
    assert applied(rules, Id=[], When=[], Helps=[]).cells.height == 0


# The worked example: rows of our own making, one for each defect that the real table has.

EXAMPLE = load_mapping(resources.files("schemas.mapping").joinpath("running-injury-clinic.yaml").read_bytes())
CLEAN = {
    "sub_id": "900001",
    "datestring": "2012-07-03 9:25",
    "filename": "20120703T092550.json",
    "age": "41",
    "Height": "173.1",
    "Weight": "67.6",
    "Gender": "Female",
    "InjDefn": "Continuing to train in pain",
    "InjJoint": "Hip/Pelvis",
    "InjSide": "Right",
    "InjDuration": "21",
    "InjJoint2": "No Injury",
    "InjSide2": "Right",
    "Activities": "running, cycling",
    "Level": "Recreational",
    "YrsRunning": "2.5",
    "RaceTimeHrs": "1",
    "RaceTimeMins": "45",
    "RaceTimeSecs": "00",
}
DEFECTS: list[tuple[dict[str, str], set[tuple[str | None, str]], bool]] = [
    ({}, set(), True),
    ({"age": "255"}, {("age_years", "outside_allowed")}, False),
    ({"Height": "0"}, {("height_cm", "outside_allowed")}, False),
    ({"Height": "999"}, {("height_cm", "outside_allowed")}, False),
    ({"Weight": "1564"}, {("weight_kg", "outside_allowed")}, False),
    ({"RaceTimeHrs": "HH"}, {("race_time_not_filled_in", "source_note")}, True),
    ({"Height": "NaN", "InjDuration": "NaN", "YrsRunning": "", "Level": "null"}, set(), True),
    ({"Activities": "running,\r\ncycling"}, {("line_break_in_a_cell", "source_note")}, True),
    ({"InjDefn": "No injury"}, {("no_injury_with_a_joint", "source_oddity")}, True),
    ({"InjDefn": "No injury", "InjJoint": "No injury,No injury"}, set(), True),
    ({"YrsRunning": "999"}, {("years_running_999", "source_note")}, True),
    ({"Gender": "Unknown"}, set(), True),
    ({"InjJoint": "Elbow"}, {("pain_site__hip_unspecified", "not_mapped")}, False),
]


def example(rows: list[dict[str, str]]) -> Mapped:
    cells = pl.DataFrame([CLEAN | {"filename": f"s{place}.json"} | row for place, row in enumerate(rows)])
    plan = plan_for(
        tuple(cells.columns), typed=False, delimiter=",", format="csv", mappings=[EXAMPLE], clinic_known=True
    )
    return plan.to_form(cells.select(plan.wanted))


def test_the_worked_example_finds_each_defect_and_refuses_no_clean_row() -> None:
    made = example([row for row, _, _ in DEFECTS])
    received = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=1)
    parts = split(made.cells, clinic="calgary", received_at=received, problems=made.problems)
    told = pl.concat([parts.rejections.select("row", "column", "code"), parts.warnings])
    for row, (_, expected, accepted) in enumerate(DEFECTS):
        assert set(told.filter(pl.col("row") == row).select("column", "code").rows()) == expected, row
        assert (row in parts.accepted["row"].to_list()) is accepted, row
    assert parts.accepted["patient_key"].unique().to_list() == ["900001"]  # the visits of one person are linked
    first = parts.accepted.row(0, named=True)
    assert (first["height_cm"], first["duration_weeks"], first["side"]) == (173.1, 3.0, "right")
    assert first["pain_site__hip_unspecified"] is True and first["pain_site__knee"] is None
    assert first["submitted_at"] == datetime(2012, 7, 3, 15, 25, tzinfo=UTC)


def test_the_worked_example_takes_no_side_from_a_person_without_an_injury() -> None:
    made = example([{"InjDefn": "No injury", "InjJoint": "No Injury"}, {"InjSide": "Bi-lateral"}])
    assert made.cells["side"].to_list() == [None, "both"]
