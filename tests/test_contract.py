"""The contract: for each kind of cell what is read, what is refused with which code, what is warned of."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import contract
from schemas.contract import Split, contract_breaks, contract_version, split
from schemas.form import REQUIRED_COLUMNS, form, questions
from schemas.mapping.mapped import CELL_PROBLEMS
from schemas.outcomes import split_outcomes
from schemas.problems import problems
from schemas.records import answer_schema

RECEIVED = datetime(2026, 11, 1, 12, tzinfo=UTC)
# Found by a mapping, and tested with it.
OF_A_MAPPING = {"not_mapped", "several_answers", "ambiguous_number", "ambiguous_time"}
GOOD = {"record_id": "r-1", "clinic_id": "north", "submitted_at": "2026-10-31T09:30:00+01:00"}


def one(**cells: str | None) -> Split:
    row = GOOD | cells
    return split(
        pl.DataFrame({k: [v] for k, v in row.items()}, schema=dict.fromkeys(row, pl.String)),
        clinic="north",
        received_at=RECEIVED,
    )


def together(rows: list[dict[str, str | None]]) -> Split:
    """One split over many records: the contract is made for batches, and a test a cell would be slow."""
    full = [GOOD | {"record_id": f"r-{place}"} | row for place, row in enumerate(rows)]
    columns = sorted({name for row in full for name in row})
    frame = pl.DataFrame({name: [row.get(name) for row in full] for name in columns}, dict.fromkeys(columns, pl.String))
    return split(frame, clinic="north", received_at=RECEIVED)


READ = [
    ("age_years", "0", 0),
    ("age_years", " 31 ", 31),
    ("age_years", "", None),
    ("age_years", "   ", None),
    ("duration_weeks", "2.5", 2.5),
    ("weekly_km_change_pct", "-3", -3.0),
    ("temperature_c", "36.60", 36.6),
    ("systemic__fever", "1", True),
    ("systemic__fever", "0", False),
    ("systemic__fever", None, None),
    ("weight_bearing", "cannot", "cannot"),
    ("patient_key", "P_1.a-b", "P_1.a-b"),
    ("submitted_at", "2026-10-31 09:30Z", datetime(2026, 10, 31, 9, 30, tzinfo=UTC)),
    ("submitted_at", "2026-10-31T09:30:15.25+0530", datetime(2026, 10, 31, 4, 0, 15, 250000, tzinfo=UTC)),
]


@pytest.fixture(scope="module")
def read() -> Split:
    return together([{column: cell} for column, cell, _ in READ])


@pytest.mark.parametrize("place", range(len(READ)), ids=[f"{c}={v!r}" for c, v, _ in READ])
def test_a_cell_that_can_be_read_becomes_its_answer(read: Split, place: int) -> None:
    column, _, answer = READ[place]
    assert place not in read.rejections["row"]
    assert read.accepted.filter(pl.col("row") == place)[column].to_list() == [answer]


REFUSED = [
    ("record_id", "", "missing_key"),
    ("record_id", "Jo Smith", "bad_key"),
    ("record_id", "x" * 65, "bad_key"),
    ("record_id", "ok\nno", "bad_key"),
    ("clinic_id", "south", "other_clinic"),
    ("clinic_id", "North", "bad_key"),
    ("patient_key", "a b", "bad_key"),
    ("submitted_at", "", "missing_time"),
    ("submitted_at", "2026-10-31T09:30:00", "time_without_offset"),
    ("submitted_at", "31/10/2026 09:30", "bad_time"),
    ("submitted_at", "2026-02-30T09:30:00Z", "bad_time"),
    ("submitted_at", "0000-01-01T00:00:00Z", "bad_time"),
    ("submitted_at", "2026-11-02T12:00:01Z", "in_future"),
    ("systemic__fever", "yes", "not_yes_or_no"),
    ("systemic__fever", "2", "not_yes_or_no"),
    ("systemic__fever", "01", "not_yes_or_no"),
    ("systemic__fever", "1.0", "not_yes_or_no"),
    ("weight_bearing", "Cannot", "not_a_choice"),
    ("age_years", "5.5", "not_a_whole_number"),
    ("age_years", "1_000", "not_a_whole_number"),
    ("age_years", "007", "not_a_whole_number"),
    ("age_years", "+7", "not_a_whole_number"),
    ("age_years", "0x10", "not_a_whole_number"),
    ("age_years", "121", "outside_allowed"),
    ("age_years", "٣١", "not_a_whole_number"),
    ("temperature_c", "nan", "not_a_number"),
    ("temperature_c", "inf", "not_a_number"),
    ("temperature_c", "1e400", "not_a_number"),
    ("temperature_c", "36,6", "not_a_number"),
    ("temperature_c", "98.6", "outside_allowed"),
    ("notes", "x" * 4001, "too_long"),
]


@pytest.fixture(scope="module")
def refused() -> Split:
    return together([{column: cell} for column, cell, _ in REFUSED])


@pytest.mark.parametrize("place", range(len(REFUSED)), ids=[f"{c}={v[:12]!r}" for c, v, _ in REFUSED])
def test_a_cell_that_cannot_be_read_refuses_its_record_with_a_code(refused: Split, place: int) -> None:
    column, _, code = REFUSED[place]
    assert (column, code) in refused.rejections.filter(pl.col("row") == place).select("column", "code").rows()
    assert place in refused.refused["row"]
    assert place not in refused.accepted["row"]


WARNED = {
    "implausible": {"age_years": "3"},
    "none_and_some": {"systemic__fever": "1", "systemic__none_of_these": "1"},
    "sides_disagree": {"side": "left", "worse_side": "right"},
    "worst_below_now": {"pain_now": "7", "pain_worst": "5"},
    "fever_disagrees": {"systemic__fever": "0", "temperature_c": "38.2"},
    "pregnancy_disagrees": {"history__pregnant": "1", "history__possible_pregnancy": "0"},
    "sex_disagrees": {"sex": "male", "history__menstrual_irregularity": "1"},
    "surgery_disagrees": {"history__hip_implant": "1", "history__prior_hip_surgery": "0"},
    "lump_disagrees": {"local__lump": "0", "local__lump_growing": "1"},
    "walking_disagrees": {"weight_bearing": "cannot", "running_now": "as_usual"},
    "fall_disagrees": {"mechanism__fall": "1", "history__recent_fall": "0"},
    "relief_disagrees": {"relief__none": "1", "relief__rest": "1"},
    "constant_disagrees": {"behaviour__constant": "1", "behaviour__comes_and_goes": "1"},
    "laboratory_disagrees": {"crp_mg_l": "80", "lab__raised_crp_esr": "0"},
    "longer_than_life": {"age_years": "20", "years_running": "30"},
}


def test_every_warning_code_has_a_case() -> None:
    assert set(WARNED) | {"source_oddity"} == {
        code for code, problem in problems().items() if problem.severity == "warn"
    }


@pytest.fixture(scope="module")
def warned() -> Split:
    return together(list(WARNED.values()))


@pytest.mark.parametrize("code", WARNED)
def test_an_odd_record_goes_on_with_a_warning(warned: Split, code: str) -> None:
    assert warned.rejections.height == 0
    assert warned.accepted["warnings"].to_list()[list(WARNED).index(code)] == [code]


def test_a_warning_needs_all_its_answers() -> None:
    halves = [
        (code, {name: cell for name, cell in answers.items() if name != column})
        for code, answers in WARNED.items()
        for column in answers
    ]
    parts = together([rest for _, rest in halves])
    for (code, _), codes in zip(halves, parts.accepted["warnings"].to_list(), strict=True):
        assert code not in codes


def test_every_cell_code_has_a_case() -> None:
    asked = {code for code, problem in problems().items() if problem.severity == "reject" and problem.scope == "cell"}
    assert asked == {code for _, _, code in REFUSED} | OF_A_MAPPING


def test_what_a_mapping_found_stands_beside_what_the_contract_found() -> None:
    cells = pl.DataFrame(
        {
            "record_id": ["a", "b", "c"],
            "submitted_at": [GOOD["submitted_at"], None, GOOD["submitted_at"]],
            "age_years": ["30", "x", "40"],
        }
    )
    problems = pl.DataFrame(
        [
            (0, None, "source_note", "template_left"),
            (0, None, "source_oddity", "no_injury"),
            (1, "submitted_at", "ambiguous_time", "2026-10-25 02:30"),
            (1, None, "source_note", "template_left"),
        ],
        schema=CELL_PROBLEMS,
        orient="row",
    )
    parts = split(cells, clinic="north", received_at=RECEIVED, problems=problems)
    assert parts.rejections.rows() == [
        (1, "age_years", "not_a_whole_number", "x"),
        (1, "submitted_at", "ambiguous_time", "2026-10-25 02:30"),
    ]
    assert parts.accepted["warnings"].to_list() == [["source_oddity"], []]
    assert parts.warnings.rows() == [(0, "template_left", "source_note"), (0, "no_injury", "source_oddity")]


def test_a_nearly_empty_record_is_valid_and_a_missing_clinic_is_filled() -> None:
    parts = one(clinic_id=None)
    assert parts.accepted["clinic_id"].to_list() == ["north"]
    assert parts.accepted["has_notes"].to_list() == [False]


def test_unreadable_cells_of_a_refused_record_are_null_and_the_others_kept() -> None:
    parts = one(age_years="old", systemic__fever="1")
    assert parts.refused.select("age_years", "systemic__fever").row(0) == (None, True)


def test_free_text_leaves_the_contract_only_inside_the_text_to_be_hashed() -> None:
    parts = one(notes="CANARY")
    assert "notes" not in parts.accepted.columns
    assert "CANARY" not in str(parts.accepted.drop("canonical").rows())


def test_equal_answers_give_equal_canonical_text_however_written() -> None:
    same = one(temperature_c="36.6", submitted_at="2026-10-31T08:30:00Z").accepted["canonical"][0]
    assert one(temperature_c="36.60", submitted_at="2026-10-31T09:30+01:00").accepted["canonical"][0] == same
    assert one(temperature_c="36.7", submitted_at="2026-10-31T08:30:00Z").accepted["canonical"][0] != same


cells = st.one_of(
    st.none(), st.sampled_from(["0", "1", "", "5.5", "left", "-1", "1e9", "=1+1", "\x00", "‮"]), st.text(max_size=8)
)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from([q.column for q in form()]), cells, max_size=6), min_size=1, max_size=6)
)
def test_every_record_is_accepted_or_refused_whatever_its_cells_hold(rows: list[dict[str, str | None]]) -> None:
    columns = {name: [(GOOD | row).get(name) for row in rows] for name in questions()}
    parts = split(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)), clinic=None, received_at=RECEIVED)
    assert sorted(parts.accepted["row"].to_list() + parts.refused["row"].to_list()) == list(range(len(rows)))
    assert set(parts.refused["row"]) == set(parts.rejections["row"])
    assert set(parts.rejections["code"]) | set(parts.warnings["code"]) <= set(problems())
    stored = parts.accepted.select(answer_schema().names)
    assert contract_breaks(stored).is_empty()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([None, "1", "0", "left", "2", "38.5", "2026-01-02T10:00:00Z", "x"]), min_size=1),
    st.data(),
)
def test_columns_that_hold_in_every_row_are_left_to_nobody_and_change_nothing(
    cells: list[str | None], data: st.DataObject
) -> None:
    """pandera is asked about columns in doubt only: it has to find what it would find in all of them."""
    columns = data.draw(st.lists(st.sampled_from([q.column for q in form()]), min_size=1, max_size=6, unique=True))
    asked = frozenset(columns)
    frame = pl.DataFrame({column: pl.Series(cells, dtype=pl.String) for column in asked.union(REQUIRED_COLUMNS)})
    schema, holds = contract.readable_schema(asked), contract.expected_readable(asked)
    order = ("column", "check", "row")
    shortened, whole = contract.failures(schema, frame, holds), contract.failures(schema, frame)
    assert shortened.sort(order).equals(whole.sort(order))


def test_a_stored_record_that_breaks_the_contract_is_found() -> None:
    stored = one(age_years="30").accepted.select(answer_schema().names)
    assert contract_breaks(stored).is_empty()
    broken = contract_breaks(stored.with_columns(pl.lit(500, pl.Int32).alias("age_years")))
    assert broken.rows() == [(0, "age_years")]


def test_the_contract_version_is_short_and_stable() -> None:
    assert len(contract_version()) == 12
    assert contract_version() == contract_version()


def test_of_a_huge_refused_cell_only_the_beginning_is_kept_beside_its_code() -> None:
    huge, start = "x" * 5000, "x" * 1000
    assert one(age_years=huge).rejections["cell"].to_list() == [start]
    cells = pl.DataFrame({name: [cell] for name, cell in GOOD.items()})
    problems = pl.DataFrame([(0, "age_years", "not_mapped", huge)], schema=CELL_PROBLEMS, orient="row")
    parts = split(cells, clinic="north", received_at=RECEIVED, problems=problems)
    assert parts.rejections["cell"].to_list() == [start]
    row = GOOD | {"recorded_at": GOOD["submitted_at"], "attended": huge}
    outcome = pl.DataFrame({name: [cell] for name, cell in row.items()})
    parts = split_outcomes(outcome, clinic="north", received_at=RECEIVED, conditions=["tumour"])
    assert parts.rejections["cell"].to_list() == [start]
