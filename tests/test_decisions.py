"""The decision contract: what is read, what is refused with which code, what is warned of."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contract import Split
from schemas.decisions import REQUIRED, decision_form, decision_problems, decision_schema, split_decisions
from schemas.outcomes import outcome_problems
from schemas.tiers import tiers

RECEIVED = datetime(2026, 11, 1, 12, tzinfo=UTC)
GOOD = {
    "record_id": "r-1",
    "clinic_id": "north",
    "submitted_at": "2026-10-01T09:30:00+01:00",
    "decided_at": "2026-10-02T10:00:00Z",
    "decided_by": "Dr. A. O'Neill-Smith",
    "status": "booked",
    "decided_tier": "soon",
    "reason": "examined",
}
FOUND_IN_THE_WAREHOUSE = {"conflicting_version", "no_such_record", "no_such_version"}


def together(changes: list[dict[str, str | None]], clinic: str | None = "north") -> Split:
    """One split over many rows, each ``GOOD`` with the given changes."""
    rows = [GOOD | change for change in changes]
    columns = sorted({name for row in rows for name in row})
    cells = pl.DataFrame({c: [row.get(c) for row in rows] for c in columns}, dict.fromkeys(columns, pl.String))
    return split_decisions(cells, clinic=clinic, received_at=RECEIVED)


READ = [
    ({}, "decided_tier", "soon"),
    ({}, "decided_by", "Dr. A. O'Neill-Smith"),
    ({"decided_by": "  Zoë Čapková, 3 "}, "decided_by", "Zoë Čapková, 3"),
    ({"decided_by": "4711"}, "decided_by", "4711"),
    ({"decided_at": "2026-10-20 10:00+02:00"}, "decided_at", datetime(2026, 10, 20, 8, tzinfo=UTC)),
    ({"submitted_at": ""}, "submitted_at", None),
    ({"clinic_id": " "}, "clinic_id", "north"),
    ({"decided_tier": None, "reason": None}, "status", "booked"),
    ({"status": ""}, "decided_tier", "soon"),
    ({"decided_at": "2026-11-02T12:00:00Z"}, "decided_at", datetime(2026, 11, 2, 12, tzinfo=UTC)),
]


@pytest.fixture(scope="module")
def read() -> Split:
    return together([change for change, _, _ in READ])


@pytest.mark.parametrize("place", range(len(READ)), ids=[f"{column}={answer}" for _, column, answer in READ])
def test_a_row_that_can_be_read_becomes_a_typed_decision(read: Split, place: int) -> None:
    _, column, answer = READ[place]
    row = read.accepted.filter(pl.col("row") == place)
    assert row[column].to_list() == [answer]
    assert row["warnings"].to_list() == [[]]


REFUSED = [
    ({"record_id": ""}, "record_id", "missing_key", None),
    ({"record_id": "Jo Smith"}, "record_id", "bad_key", "Jo Smith"),
    ({"clinic_id": "south"}, "clinic_id", "other_clinic", "south"),
    ({"decided_at": None}, "decided_at", "missing_time", None),
    ({"decided_at": "20/10/2026"}, "decided_at", "bad_time", "20/10/2026"),
    ({"decided_at": "2026-10-20T10:00:00"}, "decided_at", "time_without_offset", "2026-10-20T10:00:00"),
    ({"decided_at": "2026-11-02T12:00:01Z"}, "decided_at", "in_future", "2026-11-02T12:00:01Z"),
    ({"submitted_at": "soon"}, "submitted_at", "bad_time", "soon"),
    ({"decided_at": "2026-10-01T08:29:59Z"}, None, "before_the_form", None),
    ({"decided_by": None}, "decided_by", "missing_name", None),
    ({"decided_by": "<script>"}, "decided_by", "bad_name", "<script>"),
    ({"decided_by": "-1+2"}, "decided_by", "bad_name", "-1+2"),
    ({"decided_by": "Jo\u202eneS"}, "decided_by", "bad_name", "Jo\u202eneS"),
    ({"decided_by": "x" * 65}, "decided_by", "bad_name", "x" * 65),
    ({"status": "open"}, "status", "not_a_choice", "open"),
    ({"decided_tier": "now"}, "decided_tier", "not_a_choice", "now"),
    ({"status": "seeen", "decided_tier": None, "reason": None}, "status", "not_a_choice", "seeen"),
    ({"reason": "she fell"}, "reason", "not_a_choice", "she fell"),
    ({"reason": None}, None, "reason_not_given", None),
    ({"status": None, "decided_tier": None}, None, "nothing_decided", None),
]


@pytest.fixture(scope="module")
def refused() -> Split:
    return together([change for change, *_ in REFUSED])


@pytest.mark.parametrize("place", range(len(REFUSED)), ids=[case[2] for case in REFUSED])
def test_a_row_that_cannot_be_used_is_refused_with_its_code_and_cell(refused: Split, place: int) -> None:
    _, column, code, cell = REFUSED[place]
    found = refused.rejections.filter(pl.col("row") == place)
    assert found.select("column", "code", "cell").rows() == [(column, code, cell)]
    assert place in refused.refused["row"]
    assert place not in refused.accepted["row"]


def test_a_closing_without_a_reason_is_told() -> None:
    parts = together([{"status": "closed", "decided_tier": None, "reason": None}, {"status": "closed"}])
    assert parts.accepted["warnings"].to_list() == [["closed_without_reason"], []]
    assert parts.rejections.height == 0


def test_a_tier_that_must_not_wait_counts_without_a_reason() -> None:
    fast = ["emergency", "same_day"]
    parts = together([{"decided_tier": tier, "reason": None} for tier in tiers()])
    assert parts.accepted["decided_tier"].to_list() == fast
    assert parts.accepted["warnings"].to_list() == [["fast_without_reason"]] * 2
    assert set(parts.rejections["code"]) == {"reason_not_given"}


def test_every_code_has_a_case_and_a_sentence() -> None:
    cases = (
        {code for _, _, code, _ in REFUSED} | {"closed_without_reason", "fast_without_reason"} | FOUND_IN_THE_WAREHOUSE
    )
    assert cases == set(decision_problems())
    assert set(outcome_problems()) >= FOUND_IN_THE_WAREHOUSE
    assert all(problem.sentence and problem.mend for problem in decision_problems().values())


def test_the_form_names_the_tiers_and_its_required_columns() -> None:
    columns = {question.column: question for question in decision_form()}
    assert columns["decided_tier"].choices == tuple(tiers())
    assert set(REQUIRED) <= set(columns)
    free = [q.column for q in decision_form() if q.type == "text"]
    assert free == ["record_id", "clinic_id", "decided_by"]  # nowhere could a sentence about a patient stand


def test_accepted_rows_have_the_stored_shape(read: Split) -> None:
    stored = read.accepted.select(decision_schema().names).to_arrow().cast(decision_schema())
    assert stored.num_rows == read.accepted.height


cells = st.one_of(
    st.none(),
    st.sampled_from(["closed", "soon", "examined", "", "2026-10-20T10:00:00Z", "north"]),
    st.text(max_size=6),
)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from([q.column for q in decision_form()]), cells, max_size=5), min_size=1, max_size=5
    )
)
def test_every_row_is_accepted_or_refused_whatever_its_cells_hold(changes: list[dict[str, str | None]]) -> None:
    parts = together(changes, clinic=None)
    assert sorted(parts.accepted["row"].to_list() + parts.refused["row"].to_list()) == list(range(len(changes)))
    assert set(parts.refused["row"]) == set(parts.rejections["row"])
    assert set(parts.rejections["code"]) | set(parts.warnings["code"]) <= set(decision_problems())
    assert (parts.accepted["status"].is_not_null() | parts.accepted["decided_tier"].is_not_null()).all()
    tier = parts.accepted["decided_tier"]
    assert (tier.is_null() | tier.is_in(["emergency", "same_day"]) | parts.accepted["reason"].is_not_null()).all()
