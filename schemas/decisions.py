"""The decision contract: what a clinician decided about a referral, as text in and typed rows out.

Belongs here: the decision form (``decision_form.csv``), its codes (``decision_problems.csv``), the split of a batch
into accepted and refused rows. Does not belong here: reading files, what a decision does to the published table
(``warehouse``).

A decision sets a status, a tier, or both. It says who decided and when, and never in free text why: a sentence about a
patient has no place in a table that many read. A decision is never edited: the newest one stands.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache

import polars as pl
import pyarrow as pa

from schemas.contract import Split
from schemas.follow_up import RowContract, answer_of, given, problem_of, split_rows
from schemas.form import Question, read_form
from schemas.problems import Problem, read_problems

REQUIRED = {
    "record_id": "missing_key",
    "clinic_id": "missing_key",
    "decided_at": "missing_time",
    "decided_by": "missing_name",
}
# Tiers that count without a reason: a row that nobody is told of must not hide that somebody is to be seen today.
COUNT_WITHOUT_REASON = ("emergency", "same_day")


@cache
def decision_form() -> tuple[Question, ...]:
    """Every question of the decision form, in its order."""
    return read_form("decision_form.csv")


@cache
def decision_problems() -> dict[str, Problem]:
    """Everything that can be wrong with a decision row, by code, with a plain sentence and how to mend it."""
    return read_problems("decision_problems.csv")


@cache
def decision_schema() -> pa.Schema:
    """One accepted decision a row: texts, and times in UTC."""
    return _contract().schema


def split_decisions(cells: pl.DataFrame, *, clinic: str | None, received_at: datetime) -> Split:
    """Split a batch of text decisions into accepted and refused ones; see ``schemas.follow_up.split_rows``."""
    return split_rows(cells, _contract(), clinic=clinic, received_at=received_at)


@cache
def _contract() -> RowContract:
    col = pl.col
    without_reason = given("decided_tier") & ~given("reason")
    is_fast = col("decided_tier").is_in(COUNT_WITHOUT_REASON).fill_null(False)
    return RowContract(
        form=decision_form(),
        problems=decision_problems(),
        required=REQUIRED,
        unreadable=problem_of,
        answer=answer_of,
        contradictions={
            "nothing_decided": ~given("status") & ~given("decided_tier"),
            "reason_not_given": without_reason & ~is_fast,
            "fast_without_reason": without_reason & is_fast,
            "before_the_form": col("decided_at") < col("submitted_at"),
            "closed_without_reason": (col("status") == "closed") & ~given("reason"),
        },
    )
