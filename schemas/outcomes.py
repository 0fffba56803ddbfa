"""The outcome contract: what became of a referral, as text in and typed rows out.

Belongs here: the outcome form (``outcome_form.csv``), its codes (``outcome_problems.csv``), the split of a batch into
accepted and refused rows, the Arrow shape of accepted ones. Does not belong here: reading files, finding the intake
record that an outcome belongs to (``warehouse``), what an outcome teaches (``models.outcome_learning``).

An outcome is never edited: a correction is a further row of the same record with a later ``recorded_at``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from functools import cache

import polars as pl
import pyarrow as pa

from schemas.answers import problem_code, typed
from schemas.contract import Split
from schemas.follow_up import RowContract, split_rows
from schemas.form import Question, read_form
from schemas.problems import Problem, read_problems

REQUIRED = {
    "record_id": "missing_key",
    "clinic_id": "missing_key",
    "submitted_at": "missing_time",
    "recorded_at": "missing_time",
    "attended": "missing_answer",
}
ALSO_AT_MOST = 2
ALSO_SEPARATOR = ";"


@cache
def outcome_form() -> tuple[Question, ...]:
    """Every question of the outcome form, in its order."""
    return read_form("outcome_form.csv")


@cache
def outcome_problems() -> dict[str, Problem]:
    """Everything that can be wrong with an outcome row, by code, with a plain sentence and how to mend it."""
    return read_problems("outcome_problems.csv")


@cache
def nameable_conditions() -> frozenset[str]:
    """The ids that ``confirmed_condition`` may hold, as the form lists them: those of the catalogue."""
    (question,) = (q for q in outcome_form() if q.column == "confirmed_condition")
    return frozenset(question.allowed.split("|"))


@cache
def outcome_schema() -> pa.Schema:
    """One accepted outcome a row: texts, times in UTC, and ``attended`` as a boolean.

    ``also_confirmed`` holds at most two ids, different from ``confirmed_condition`` and each other, joined by ``;``.
    """
    return _contract(nameable_conditions()).schema


def _listed() -> pl.Expr:
    """What ``also_confirmed`` names, as a list without white space and blanks; empty where the cell is blank."""
    parts = pl.col("also_confirmed").fill_null("").str.split(ALSO_SEPARATOR).list.eval(pl.element().str.strip_chars())
    return parts.list.eval(pl.element().filter(pl.element() != ""))


def _further() -> pl.Expr:
    """The same, sorted, each once, without the first condition."""
    return _listed().list.set_difference(pl.concat_list("confirmed_condition")).list.sort()


def _unreadable(question: Question, conditions: Collection[str]) -> pl.Expr:
    """The code for a cell that cannot be read, null for one that can; blank cells are fine here."""
    cell = pl.col(question.column)
    unknown = pl.lit("not_a_condition")
    if question.column == "confirmed_condition":
        return pl.when(~cell.is_in(conditions)).then(unknown)
    if question.column == "also_confirmed":
        known = _listed().list.eval(pl.element().is_in(conditions)).list.all()
        too_many = _further().list.len() > ALSO_AT_MOST
        return pl.when(~known).then(unknown).when(too_many).then(pl.lit("too_many_conditions"))
    return problem_code(question)


def _typed(question: Question) -> pl.Expr:
    answer = typed(question)
    return (answer == "yes") if question.column == "attended" else answer


def _contradictions() -> dict[str, pl.Expr]:
    """Expressions over typed outcomes by code: true where a row contradicts itself, else null or false."""
    col = pl.col
    named = col("confirmed_condition").is_not_null()
    found = col("found_by") != "not_confirmed"
    return {
        "before_the_form": col("recorded_at") < col("submitted_at"),
        "not_attended_but_confirmed": ~col("attended") & named,
        "not_confirmed_but_named": ~found & named,
        "also_without_first": ~named & col("also_confirmed").is_not_null(),
        "repeated_condition": _further().list.len() < _listed().list.len(),
        "found_but_not_named": found & ~named,
        "how_not_said": named & col("found_by").is_null(),
        "harm_disagrees": (col("harm") == "none") & (col("harm_related") == "yes"),
        "relation_not_said": (col("harm") != "none") & col("harm_related").is_null(),
    }


@cache
def _contract(conditions: frozenset[str]) -> RowContract:
    ids = sorted(conditions)
    return RowContract(
        form=outcome_form(),
        problems=outcome_problems(),
        required=REQUIRED,
        unreadable=lambda question: _unreadable(question, ids),
        answer=_typed,
        contradictions=_contradictions(),
        flags=frozenset({"attended"}),
    )


def split_outcomes(
    cells: pl.DataFrame, *, clinic: str | None, received_at: datetime, conditions: Collection[str]
) -> Split:
    """Split a batch of text outcomes into accepted and refused ones.

    ``cells``: one text column for each column of the outcome form that the file has (others ignored), one row an
    outcome. ``clinic``: fills a blank ``clinic_id``, and a cell that differs is rejected; None when each row names its
    own. ``received_at``: when the batch arrived (UTC). ``conditions``: the ids of the catalogue. Gives the frames of
    ``schemas.contract.Split``: accepted rows hold row, the columns of ``outcome_schema`` and warnings (list of codes).
    """
    parts = split_rows(cells, _contract(frozenset(conditions)), clinic=clinic, received_at=received_at)
    also = pl.when(_further().list.len() > 0).then(_further().list.join(ALSO_SEPARATOR)).alias("also_confirmed")
    return replace(parts, accepted=parts.accepted.with_columns(also))
