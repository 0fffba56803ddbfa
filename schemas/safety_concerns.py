"""The safety concern contract: what a clinician reports as unsafe, as text in and typed rows out.

Belongs here: the safety concern form (``safety_concern_form.csv``), its codes (``safety_concern_problems.csv``), the
split of a batch into accepted and refused rows. Does not belong here: reading files, what a concern does to the
published table (``warehouse``), telling it on (``pipelines.alerting``).

A concern is about a referral, or about the program as a whole where it names no record. It says in a code what is wrong
and never in free text: a sentence about a patient has no place in a table that many read. A concern is never edited and
replaces no other: each stands beside all that came before.
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
    "clinic_id": "missing_key",
    "reported_at": "missing_time",
    "reported_by": "missing_name",
    "concern": "missing_answer",
}


@cache
def safety_concern_form() -> tuple[Question, ...]:
    """Every question of the safety concern form, in its order."""
    return read_form("safety_concern_form.csv")


@cache
def safety_concern_problems() -> dict[str, Problem]:
    """Everything that can be wrong with a safety concern, by code, with a plain sentence and how to mend it."""
    return read_problems("safety_concern_problems.csv")


@cache
def safety_concern_schema() -> pa.Schema:
    """One accepted safety concern a row: texts, and times in UTC; ``record_id`` is null for the program as a whole."""
    return _contract().schema


def split_safety_concerns(cells: pl.DataFrame, *, clinic: str | None, received_at: datetime) -> Split:
    """Split a batch of text safety concerns into accepted and refused ones; see ``schemas.follow_up.split_rows``.

    A row without a record is accepted without a warning, whatever its other cells say.
    """
    return split_rows(cells, _contract(), clinic=clinic, received_at=received_at)


@cache
def _contract() -> RowContract:
    return RowContract(
        form=safety_concern_form(),
        problems=safety_concern_problems(),
        required=REQUIRED,
        unreadable=problem_of,
        answer=answer_of,
        contradictions={
            # It lost its record: taken for a concern about the program, nobody would look at the patient.
            "form_without_record": given("submitted_at") & ~given("record_id"),
            "before_the_form": pl.col("reported_at") < pl.col("submitted_at"),
        },
    )
