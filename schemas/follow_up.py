"""What the contracts of outcome, decision and safety concern files share: text rows in, accepted and refused rows out.

Belongs here: the split by a contract that another module states, and who may be named in a row. Does not belong here:
the forms, codes and contradictions themselves (``schemas.outcomes``, ``schemas.decisions``,
``schemas.safety_concerns``), reading files or finding the intake record that a row belongs to
(``warehouse.follow_up``).

Rows of all kinds are never edited: a correction is a further row with a later time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import pandera.polars as pandera
import polars as pl
import pyarrow as pa

from schemas.answers import problem_code, typed
from schemas.cell_problems import cell_codes, cell_texts, with_all_columns
from schemas.contract import FUTURE_TOLERANCE, POLARS_TYPE, Split, failures
from schemas.form import Question
from schemas.problems import Problem
from schemas.records import ARROW_TYPE

# Columns that hold a clinician's name or staff number.
PEOPLE = frozenset({"decided_by", "reported_by"})
NAME = r"^[\p{L}\p{Nd}][\p{L}\p{M}\p{Nd} .,'-]{0,63}$"  # signs that change or hide what is read are no letters
_GIVEN = " given"


@dataclass(frozen=True, slots=True)
class RowContract:
    """What the rows of one kind of file may hold.

    ``required``: the code of a blank cell by column. ``unreadable``: an expression over text columns with the code of a
    cell that cannot be read, null for one that can. ``answer``: the typed answer of a column. ``contradictions``:
    expressions over typed columns and ``given`` by code, true where a row contradicts itself, else null or false.
    ``flags``: choice columns whose answer is stored as a boolean.
    """

    form: tuple[Question, ...]
    problems: Mapping[str, Problem]
    required: Mapping[str, str]
    unreadable: Callable[[Question], pl.Expr]
    answer: Callable[[Question], pl.Expr]
    contradictions: Mapping[str, pl.Expr]
    flags: frozenset[str] = frozenset()

    @property
    def schema(self) -> pa.Schema:
        """One accepted row: the form's columns in their types, times in UTC."""
        kinds = {q.column: pa.bool_() if q.column in self.flags else ARROW_TYPE[q.type] for q in self.form}
        return pa.schema(list(kinds.items()))


def answer_of(question: Question) -> pl.Expr:
    """The column's answer in its own type, also of a column of PEOPLE; null where it is blank or cannot be read."""
    name = pl.col(question.column)
    return pl.when(name.str.contains(NAME)).then(name) if question.column in PEOPLE else typed(question)


def problem_of(question: Question) -> pl.Expr:
    """The code of a cell that cannot be read, also of a column of PEOPLE; null for one that can, or is blank."""
    if question.column in PEOPLE:
        return pl.when(~pl.col(question.column).str.contains(NAME)).then(pl.lit("bad_name"))
    return problem_code(question)


def given(column: str) -> pl.Expr:
    """For contradictions: whether anything stands in the cell, readable or not."""
    return pl.col(f"{column}{_GIVEN}")


def split_rows(cells: pl.DataFrame, contract: RowContract, *, clinic: str | None, received_at: datetime) -> Split:
    """Split a batch of text rows into accepted and refused ones.

    ``cells``: one text column for each column of the form that the file has (others ignored). ``clinic``: fills a blank
    ``clinic_id``, and a cell that differs is rejected; None when each row names its own. ``received_at``: when the
    batch arrived (UTC). Gives the frames of ``schemas.contract.Split``: accepted rows hold row, the columns of
    ``contract.schema`` and warnings (list of codes); rejections row, column, code and the refused text.
    """
    text = with_all_columns(cells, [q.column for q in contract.form])
    if clinic:
        text = text.with_columns(pl.col("clinic_id").fill_null(clinic))
    unread = failures(_readable_schema(contract), text)
    rows = text.select(contract.answer(q) for q in contract.form).with_row_index("row")
    known = rows.hstack(text.select(pl.col(q.column).is_not_null().alias(f"{q.column}{_GIVEN}") for q in contract.form))
    flags = (flag.fill_null(False).alias(code) for code, flag in contract.contradictions.items())
    found = failures(_typed_schema(contract, clinic, received_at), known.with_columns(flags)).select(
        "row",
        pl.when(pl.col("check") != "consistent").then(pl.col("column")).alias("column"),
        pl.when(pl.col("check") == "consistent").then(pl.col("column")).otherwise(pl.col("check")).alias("code"),
    )
    severity = found["code"].replace_strict(
        {code: problem.severity for code, problem in contract.problems.items()}, return_dtype=pl.String
    )
    asked = {q.column: q for q in contract.form}
    codes_of_cells = cell_codes(text, unread, lambda column: contract.unreadable(asked[column]), contract.required)
    rejections = pl.concat([codes_of_cells, found.filter(severity == "reject")])
    rejections = rejections.with_columns(cell_texts(text, rejections)).sort("row", "column", "code")
    is_refused = pl.col("row").is_in(rejections["row"].unique().implode())
    warnings = found.filter(severity == "warn").filter(~is_refused).sort("row", "code")
    codes = warnings.group_by("row").agg(pl.col("code").unique().sort().alias("warnings"))
    accepted = rows.filter(~is_refused).join(codes, on="row", how="left").sort("row")
    accepted = accepted.with_columns(pl.col("warnings").fill_null(pl.lit([], pl.List(pl.String))))
    return Split(accepted, rows.filter(is_refused), rejections, warnings)


def _readable_schema(contract: RowContract) -> pandera.DataFrameSchema:
    def readable(question: Question) -> pandera.Check:
        code = contract.unreadable(question)
        return pandera.Check(lambda data: data.lazyframe.select(code.is_null()), name="readable")

    return pandera.DataFrameSchema(
        {
            q.column: pandera.Column(pl.String, readable(q), nullable=q.column not in contract.required)
            for q in contract.form
        }
    )


def _typed_schema(contract: RowContract, clinic: str | None, received_at: datetime) -> pandera.DataFrameSchema:
    def holds(name: str, test: Callable[[pl.Expr], pl.Expr]) -> pandera.Check:
        return pandera.Check(lambda data: data.lazyframe.select(test(pl.col(data.key))), name=name)

    latest = received_at + FUTURE_TOLERANCE
    checks = {q.column: holds("in_future", lambda time: time <= latest) for q in contract.form if q.type == "timestamp"}
    if clinic:
        checks["clinic_id"] = holds("other_clinic", lambda cell: cell == clinic)
    kinds = {q.column: pl.Boolean() if q.column in contract.flags else POLARS_TYPE[q.type] for q in contract.form}
    columns = {column: pandera.Column(kind, checks.get(column), nullable=True) for column, kind in kinds.items()}
    # Contradictions are checked as columns of their own, so that pandera writes no other cell of a failing row out.
    consistent = holds("consistent", lambda flag: flag.not_())
    flags = {code: pandera.Column(pl.Boolean, consistent) for code in contract.contradictions}
    return pandera.DataFrameSchema(columns | flags)
