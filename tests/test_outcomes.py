"""The outcome contract: what is read, what is refused with which code, what is warned of."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.knowledge_files import condition_ids
from schemas.contract import Split
from schemas.outcomes import REQUIRED, outcome_form, outcome_problems, outcome_schema, split_outcomes
from schemas.tiers import tiers

RECEIVED = datetime(2026, 11, 1, 12, tzinfo=UTC)
GOOD = {
    "record_id": "r-1",
    "clinic_id": "north",
    "submitted_at": "2026-10-01T09:30:00+01:00",
    "recorded_at": "2026-10-20T10:00:00Z",
    "attended": "yes",
    "confirmed_condition": "labral_tear",
    "found_by": "imaging",
    "differential_seen_before": "no",
    "harm": "none",
}
NOBODY_CAME = {"attended": "no", "confirmed_condition": None, "found_by": None}
NOT_FOUND = {"confirmed_condition": "", "found_by": "not_confirmed"}


def together(changes: list[dict[str, str | None]], clinic: str | None = "north") -> Split:
    """One split over many rows, each ``GOOD`` with the given changes."""
    rows = [GOOD | change for change in changes]
    columns = sorted({name for row in rows for name in row})
    cells = pl.DataFrame({c: [row.get(c) for row in rows] for c in columns}, dict.fromkeys(columns, pl.String))
    return split_outcomes(cells, clinic=clinic, received_at=RECEIVED, conditions=condition_ids())


READ = [
    ({}, "confirmed_condition", "labral_tear"),
    ({}, "attended", True),
    (NOBODY_CAME, "attended", False),
    (NOBODY_CAME, "confirmed_condition", None),
    (NOT_FOUND, "found_by", "not_confirmed"),
    ({"recorded_at": "2026-10-20 10:00+02:00"}, "recorded_at", datetime(2026, 10, 20, 8, tzinfo=UTC)),
    ({"clinic_id": " "}, "clinic_id", "north"),
    ({"also_confirmed": " snapping_hip ; hernia;"}, "also_confirmed", "hernia;snapping_hip"),
    ({"also_confirmed": ";"}, "also_confirmed", None),
    ({"tier_in_hindsight": "soon"}, "tier_in_hindsight", "soon"),
    ({"differential_seen_before": None}, "differential_seen_before", None),
]


@pytest.fixture(scope="module")
def read() -> Split:
    return together([change for change, _, _ in READ])


@pytest.mark.parametrize("place", range(len(READ)), ids=[f"{column}={answer}" for _, column, answer in READ])
def test_a_row_that_can_be_read_becomes_a_typed_outcome(read: Split, place: int) -> None:
    _, column, answer = READ[place]
    row = read.accepted.filter(pl.col("row") == place)
    assert row[column].to_list() == [answer]
    assert row["warnings"].to_list() == [[]]


REFUSED = [
    ({"record_id": ""}, "record_id", "missing_key"),
    ({"record_id": "Jo Smith"}, "record_id", "bad_key"),
    ({"clinic_id": "south"}, "clinic_id", "other_clinic"),
    ({"submitted_at": None}, "submitted_at", "missing_time"),
    ({"recorded_at": "20/10/2026"}, "recorded_at", "bad_time"),
    ({"recorded_at": "2026-10-20T10:00:00"}, "recorded_at", "time_without_offset"),
    ({"recorded_at": "2026-11-02T12:00:01Z"}, "recorded_at", "in_future"),
    ({"recorded_at": "2026-10-01T08:29:59Z"}, None, "before_the_form"),
    ({"attended": None}, "attended", "missing_answer"),
    ({"attended": "1"}, "attended", "not_a_choice"),
    ({"found_by": "MRI"}, "found_by", "not_a_choice"),
    ({"harm": "death"}, "harm", "not_a_choice"),
    ({"harm_related": "maybe"}, "harm_related", "not_a_choice"),
    ({"tier_in_hindsight": "now"}, "tier_in_hindsight", "not_a_choice"),
    ({"confirmed_condition": "Labral tear"}, "confirmed_condition", "not_a_condition"),
    ({"also_confirmed": "hernia;flu"}, "also_confirmed", "not_a_condition"),
    ({"also_confirmed": "hernia;tumour;sciatica"}, "also_confirmed", "too_many_conditions"),
    (NOBODY_CAME | {"confirmed_condition": "hernia"}, None, "not_attended_but_confirmed"),
    ({"found_by": "not_confirmed"}, None, "not_confirmed_but_named"),
    (NOT_FOUND | {"also_confirmed": "hernia"}, None, "also_without_first"),
]


@pytest.fixture(scope="module")
def refused() -> Split:
    return together([change for change, _, _ in REFUSED])


@pytest.mark.parametrize("place", range(len(REFUSED)), ids=[code for _, _, code in REFUSED])
def test_a_row_that_cannot_be_used_is_refused_with_its_code_only(refused: Split, place: int) -> None:
    _, column, code = REFUSED[place]
    assert refused.rejections.filter(pl.col("row") == place).select("column", "code").rows() == [(column, code)]
    assert place in refused.refused["row"]
    assert place not in refused.accepted["row"]


WARNED = {
    "repeated_condition": {"also_confirmed": "labral_tear;hernia;hernia;snapping_hip"},
    "found_but_not_named": {"confirmed_condition": None},
    "how_not_said": {"found_by": None},
    "harm_disagrees": {"harm": "none", "harm_related": "yes"},
    "relation_not_said": {"harm": "worsened"},
}


@pytest.fixture(scope="module")
def warned() -> Split:
    return together(list(WARNED.values()))


@pytest.mark.parametrize("code", WARNED)
def test_an_odd_row_goes_on_with_a_warning(warned: Split, code: str) -> None:
    assert warned.rejections.height == 0
    assert warned.accepted["warnings"].to_list()[list(WARNED).index(code)] == [code]
    assert code in warned.warnings["code"]


def test_a_condition_named_twice_counts_once(warned: Split) -> None:
    assert warned.accepted["also_confirmed"][0] == "hernia;snapping_hip"


def test_every_code_has_a_case_and_a_sentence() -> None:
    found_in_the_warehouse = {"conflicting_version", "no_such_record", "no_such_version"}
    cases = {code for _, _, code in REFUSED} | set(WARNED) | found_in_the_warehouse
    assert cases == set(outcome_problems())
    assert all(problem.sentence and problem.mend for problem in outcome_problems().values())


def test_the_form_names_the_tiers_and_its_required_columns() -> None:
    columns = {question.column: question for question in outcome_form()}
    assert columns["tier_in_hindsight"].choices == tuple(tiers())
    assert set(REQUIRED) <= set(columns)


def test_accepted_rows_have_the_stored_shape(read: Split) -> None:
    stored = read.accepted.select(outcome_schema().names).to_arrow().cast(outcome_schema())
    assert stored.num_rows == read.accepted.height


def test_without_a_clinic_each_row_names_its_own() -> None:
    parts = together([{"clinic_id": "south"}, {"clinic_id": None}], clinic=None)
    assert parts.accepted["clinic_id"].to_list() == ["south"]
    assert parts.rejections["code"].to_list() == ["missing_key"]


cells = st.one_of(
    st.none(), st.sampled_from(["yes", "no", "", "hernia", ";;", "hernia;hernia", "not_confirmed"]), st.text(max_size=6)
)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from([q.column for q in outcome_form()]), cells, max_size=5), min_size=1, max_size=5
    )
)
def test_every_row_is_accepted_or_refused_whatever_its_cells_hold(changes: list[dict[str, str | None]]) -> None:
    parts = together(changes, clinic=None)
    assert sorted(parts.accepted["row"].to_list() + parts.refused["row"].to_list()) == list(range(len(changes)))
    assert set(parts.refused["row"]) == set(parts.rejections["row"])
    assert set(parts.rejections["code"]) | set(parts.warnings["code"]) <= set(outcome_problems())
    named = parts.accepted.filter(pl.col("confirmed_condition").is_not_null())
    assert named["attended"].all()
    assert (named["found_by"] != "not_confirmed").fill_null(True).all()
