"""Which reading a header gets, and which headers are refused because answers would be lost without a word."""

from __future__ import annotations

import string

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.form import form, questions
from schemas.mapping.mapped import Mapped
from schemas.mapping.mapping_file import Mapping, load_mapping
from schemas.mapping.near import nearly_named, one_slip
from schemas.mapping.plan import Plan, plan_for
from schemas.problems import FileRefused

KEYS = ("record_id", "clinic_id", "submitted_at")
ALL = tuple(q.column for q in form())


def plan(
    *columns: str, typed: bool = False, delimiter: str = ",", mappings: tuple[Mapping, ...] = (), **more: object
) -> Plan:
    known = bool(more.get("clinic_known", False))
    kind = str(more.get("format", "workbook" if typed else "csv"))
    return plan_for(columns, typed=typed, delimiter=delimiter, format=kind, mappings=mappings, clinic_known=known)


def refused(*columns: str, **more: object) -> tuple[str, tuple[str, ...]]:
    with pytest.raises(FileRefused) as error:
        plan(*columns, **more)  # type: ignore[arg-type]
    return error.value.code, error.value.columns


def own(typed: bool = False, delimiter: str = ",", **cells: list[str | None]) -> Mapped:
    rows = max(map(len, cells.values()))
    frame = pl.DataFrame({key: ["x"] * rows for key in KEYS} | cells, schema=dict.fromkeys([*KEYS, *cells], pl.String))
    return plan(*frame.columns, typed=typed, delimiter=delimiter).to_form(frame)


def clinics_mapping(name: str = "m", **changes: object) -> Mapping:
    rules = {
        "name": name,
        "version": "1",
        "source": "s",
        "columns": {"record_id": {"from": "Nr"}, "submitted_at": {"from": "When"}, "sex": {"from": "S"}},
    }
    return load_mapping(yaml.safe_dump(rules | changes).encode())


def test_the_forms_own_names_are_taken_as_they_are() -> None:
    chosen = plan(*ALL, "colour")
    assert (chosen.name, chosen.mapping, chosen.unread_columns) == ("form", None, ("colour",))
    assert chosen.unread == 1
    cells = pl.DataFrame({column: [" 1,5 ", None, ""] for column in ALL})
    made = chosen.to_form(cells.with_columns(pl.Series("row", [0, 1, 2], pl.UInt32)))
    assert made.cells.equals(cells)
    assert made.problems.is_empty() and made.set_aside.is_empty()


@pytest.mark.parametrize(
    ("columns", "code", "named"),
    [
        (("a", "b"), "no_header", ()),
        ((), "no_header", ()),
        (("record_id", "record_id"), "duplicate_column", ("record_id",)),
        (("record_id", "", ""), "duplicate_column", ()),
        (("record_id", "clinic_id"), "missing_column", ("submitted_at",)),
        ((*KEYS, "nigth_pain"), "nearly_a_column", ("night_pain",)),
        ((*KEYS, "night_pains"), "nearly_a_column", ("night_pain",)),
        ((*KEYS, "Night Pain"), "nearly_a_column", ("night_pain",)),
        ((*KEYS, "systemic_fever"), "nearly_a_column", ("systemic__fever",)),
        ((*KEYS, "imaging_xray"), "nearly_a_column", ("imaging__xray",)),
        (("Record-ID", "Clinic-ID", "Submitted-At"), "nearly_a_column", tuple(sorted(KEYS))),
        ((*KEYS, "SEX"), "nearly_a_column", ("sex",)),
    ],
)
def test_headers_that_are_refused(columns: tuple[str, ...], code: str, named: tuple[str, ...]) -> None:
    assert refused(*columns) == (code, named)


@pytest.mark.parametrize("beside", ["colour", "weight", "x" * 200, "", "^.*$"])
def test_names_that_merely_stand_beside_the_forms(beside: str) -> None:
    assert plan(*KEYS, beside).unread_columns == (beside,)


def test_a_near_name_is_no_loss_where_the_column_itself_is_there() -> None:
    assert plan(*KEYS, "night_pain", "night_pain2").unread_columns == ("night_pain2",)


def test_the_clinic_may_be_named_from_outside() -> None:
    assert refused("record_id", "submitted_at") == ("missing_column", ("clinic_id",))
    assert plan("record_id", "submitted_at", clinic_known=True).wanted == ("record_id", "submitted_at")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ALL), st.data())
def test_every_slip_of_the_keyboard_is_seen(column: str, data: st.DataObject) -> None:
    if len(column) < 4:
        return
    place = data.draw(st.integers(0, len(column) - 1))
    letter = data.draw(st.sampled_from(string.ascii_lowercase))
    slips = {
        column[:place] + letter + column[place:],
        column[:place] + column[place + 1 :],
        column[:place] + letter + column[place + 1 :],
        column[:place] + column[place : place + 2][::-1] + column[place + 2 :],
    } - {column}
    for slip in slips:
        assert one_slip(slip, column) and one_slip(column, slip)
        if len(slip) >= 4:
            assert nearly_named([slip], [column]) == (column,)


def test_two_slips_are_another_name() -> None:
    assert not one_slip("abcd", "bcda") and not one_slip("abcd", "abxy") and not one_slip("abcd", "badc")
    assert nearly_named(["nihgt_pian"], ALL) == ()


def test_a_known_column_is_never_taken_for_another_that_it_resembles() -> None:
    assert nearly_named(["exam__fadir"], ["exam__fair"])  # two tests of the hip whose names differ by a letter
    assert plan(*KEYS, "exam__fadir").unread == plan(*KEYS, "exam__fair").unread == 0


def test_a_decimal_comma_where_it_does_not_part_cells() -> None:
    texts = ["72,5", "72.5", "1,234", "1.234", "0,125", "1234,567", "72", " 7,25 ", "1.234,5", ""]
    for delimiter in (";", "\t"):
        made = own(delimiter=delimiter, weight_kg=texts, age_years=["4,5"] * len(texts))
        read = made.cells["weight_kg"].to_list()
        assert read == ["72.5", "72.5", None, None, "0.125", "1234.567", "72", "7.25", "1.234,5", None]
        assert made.problems.rows() == [
            (2, "weight_kg", "ambiguous_number", "1,234"),
            (3, "weight_kg", "ambiguous_number", "1.234"),
        ]
        assert made.cells["age_years"].to_list() == ["4,5"] * len(texts)
    assert own(weight_kg=texts).cells["weight_kg"].to_list() == texts


def test_typed_formats() -> None:
    made = own(typed=True, night_pain=["true", "false", "1", "True"], sex=["male\x1fother", "true", None, "male"])
    assert made.cells["night_pain"].to_list() == ["1", "0", "1", "True"]
    assert made.cells["sex"].to_list() == [None, "true", None, "male"]
    assert made.problems.rows() == [(0, "sex", "several_answers", "male\x1fother")]


def test_a_clinics_mapping_comes_first() -> None:
    columns = ("Nr", "When", "S", "extra", "redcap_event_name")
    chosen = plan(*columns, mappings=(clinics_mapping(), clinics_mapping("other", applies_to="Q")), clinic_known=True)
    assert (chosen.name, chosen.wanted) == ("m version 1", ("Nr", "When", "S"))
    assert chosen.unread_columns == ("extra", "redcap_event_name")
    ignoring = clinics_mapping(ignored=["extra"])
    assert plan(*columns, mappings=(ignoring,), clinic_known=True).unread_columns == ("redcap_event_name",)


def test_mappings_that_fit_ill() -> None:
    fitting = clinics_mapping()
    assert (
        refused("Nr", "When", "S", mappings=(fitting, clinics_mapping("n")), clinic_known=True)[0] == "several_mappings"
    )
    named = clinics_mapping(applies_to=["Nr"])
    assert refused("Nr", "When", mappings=(named,), clinic_known=True) == ("mapping_does_not_fit", ())
    assert refused("Nr", "When", "S", mappings=(fitting,)) == ("missing_column", ("clinic_id",))
    assert refused("x", "y", mappings=(fitting,), clinic_known=True)[0] == "no_header"


def own_names(**columns: object) -> Mapping:
    """A mapping that takes keys and times under the form's names, and the weight in pounds from Gewicht."""
    same = {"record_id": {"from": "record_id"}, "submitted_at": {"from": "submitted_at"}}
    return clinics_mapping(columns=same | {"weight_kg": {"from": "Gewicht", "unit": "lb"}} | columns)


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ({"from": "systemic__fever", "values": {"1": "1"}, "blank": ["0"]}, {}),
        ({"from": "systemic__fever", "values": {"1": "1"}}, {"blank": ["0"]}),
    ],
)
def test_a_mapping_is_never_dropped_because_a_column_is_lacking(rule: object, changes: dict[str, object]) -> None:
    declared = clinics_mapping(
        columns={
            "record_id": {"from": "record_id"},
            "submitted_at": {"from": "submitted_at"},
            "systemic__fever": rule,
            "side": {"from": "Seite", "values": {"links": "left"}},
        },
        **changes,
    )
    columns = ("record_id", "submitted_at", "systemic__fever")
    assert refused(*columns, mappings=(declared,), clinic_known=True) == ("mapping_does_not_fit", ())
    assert plan(*columns, "Seite", mappings=(declared,), clinic_known=True).mapping is declared


def test_a_file_of_which_a_mapping_says_nothing_of_its_own_is_read_without_it() -> None:
    columns = ("record_id", "submitted_at", "sex")
    assert plan(*columns, mappings=(own_names(),), clinic_known=True).name == "form"
    assert refused(*columns, "Gewicht", mappings=(own_names(sex={"from": "S"}),), clinic_known=True)[0] == (
        "mapping_does_not_fit"
    )
    elsewhere = clinics_mapping(applies_to=["Q"])
    assert plan(*KEYS, "Nr", "When", mappings=(elsewhere,)).name == "form"
    for rule in (
        {"from": "age_years", "unit": "months"},
        {"from": "age_years", "decimal": "comma"},
        {"from": "age_years", "only_if": [{"column": "sex", "is_blank": "true"}]},
    ):
        ill = own_names(age_years=rule)
        assert refused(*columns[:2], "age_years", mappings=(ill,), clinic_known=True)[0] == "mapping_does_not_fit"


def test_records_that_leave_out_what_is_blank_need_not_have_every_column() -> None:
    rules = clinics_mapping(
        columns={
            "record_id": {"from": "Nr"},
            "submitted_at": {"from": "When"},
            "sex": {"from": "Sex", "values": {"F": "female"}},
            "side": {"from": "Seite", "values": {"links": "left"}},
        },
        checks=[
            {"id": "no-side", "severity": "note", "sentence": "s", "all": [{"column": "Seite", "is_blank": "true"}]}
        ],
    )
    for format in ("json", "fhir"):
        chosen = plan("Nr", "When", "Sex", "other", format=format, typed=True, mappings=(rules,), clinic_known=True)
        assert (chosen.mapping, chosen.wanted) == (rules, ("Nr", "When", "Sex"))
        made = chosen.to_form(pl.DataFrame({"Nr": ["1"], "When": ["2026-01-01T00:00:00Z"], "Sex": ["F"]}))
        assert (made.cells["sex"].to_list(), made.cells["side"].to_list()) == (["female"], [None])
        assert made.problems["code"].to_list() == ["source_note"]
        for columns in (("Nr", "When", "Sex", "Siete"), ("Nr", "When"), ("Nr", "Sex"), ("Nr", "Sex", "Seite")):
            code, _ = refused(*columns, format=format, typed=True, mappings=(rules,), clinic_known=True)
            assert code == "mapping_does_not_fit", columns
    assert refused("Nr", "When", "Sex", mappings=(rules,), clinic_known=True)[0] == "mapping_does_not_fit"


def test_facts_of_every_response_do_not_choose_a_mapping() -> None:
    rules = clinics_mapping(
        columns={
            "record_id": {"from": "QuestionnaireResponse.id"},
            "submitted_at": {"from": "QuestionnaireResponse.authored", "date": {"order": "iso", "zone": "with_offset"}},
            "patient_key": {"from": "QuestionnaireResponse.subject"},
            "sex": {"from": "1.10", "values": {"F": "female"}},
            "side": {"from": "1.12", "values": {"L": "left"}},
        }
    )
    facts = tuple(f"QuestionnaireResponse.{name}" for name in ("id", "authored", "identifier", "subject"))
    other: dict[str, object] = {"format": "fhir", "typed": True, "mappings": (rules,), "clinic_known": True}
    assert plan(*facts, "1.10", "1.11", **other).mapping is rules  # type: ignore[arg-type]
    assert plan(*facts, "sex", "systemic", **other).name == "fhir"  # type: ignore[arg-type]


def test_a_mapping_may_not_forget_a_column_of_the_form() -> None:
    for forgotten in ("night_pain", "nigth_pain"):
        columns = ("Nr", "When", "S", forgotten)
        assert refused(*columns, mappings=(clinics_mapping(),), clinic_known=True) == (
            "nearly_a_column",
            ("night_pain",),
        )
        ignoring = clinics_mapping(ignored=[forgotten])
        assert plan(*columns, mappings=(ignoring,), clinic_known=True).unread == 0


def test_a_wide_foreign_header_is_judged_quickly_and_refused() -> None:
    names = tuple(f"q{place}_{'abcdefgh'[place % 8] * 9}" for place in range(5000))
    assert refused(*names) == ("no_header", ())
    assert questions().keys().isdisjoint(names)
