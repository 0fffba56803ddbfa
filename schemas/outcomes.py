"""The outcome contract: what became of a referral, as text in and typed rows out.

Belongs here: the outcome form (``outcome_form.csv``), its codes (``outcome_problems.csv``), the split of a batch into
accepted and refused rows, the Arrow shape of accepted ones. Does not belong here: reading files, finding the intake
record that an outcome belongs to (``warehouse``), what an outcome teaches (``models.outcome_learning``).

An outcome is never edited: a correction is a further row of the same record with a later ``recorded_at``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection
from datetime import datetime
from functools import cache
from importlib import resources

import pandera.polars as pandera
import polars as pl
import pyarrow as pa

from schemas.answers import blank_as_null, problem_code, typed
from schemas.contract import FUTURE_TOLERANCE, POLARS_TYPE, Split, failures
from schemas.form import Question
from schemas.problems import Problem
from schemas.records import ARROW_TYPE

REQUIRED = {
    "record_id": "missing_key",
    "clinic_id": "missing_key",
    "submitted_at": "missing_time",
    "recorded_at": "missing_time",
    "attended": "missing_answer",
}
ALSO_AT_MOST = 2
ALSO_SEPARATOR = ";"
_PROBLEM_SCHEMA = {"row": pl.UInt32(), "column": pl.String(), "code": pl.String()}


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("schemas").joinpath(name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def outcome_form() -> tuple[Question, ...]:
    """Every question of the outcome form, in its order."""
    rows = _rows("outcome_form.csv")
    return tuple(Question(**{**row, "step": int(row["step"])}) for row in rows)  # type: ignore[arg-type]


@cache
def outcome_problems() -> dict[str, Problem]:
    """Everything that can be wrong with an outcome row, by code, with a plain sentence and how to mend it."""
    return {row["code"]: Problem(**row) for row in _rows("outcome_problems.csv")}  # type: ignore[arg-type]


@cache
def outcome_schema() -> pa.Schema:
    """One accepted outcome a row: texts, times in UTC, and ``attended`` as a boolean.

    ``also_confirmed`` holds at most two ids, different from ``confirmed_condition`` and each other, joined by ``;``.
    """
    kinds = {q.column: ARROW_TYPE[q.type] for q in outcome_form()} | {"attended": pa.bool_()}
    return pa.schema(list(kinds.items()))


def _listed() -> pl.Expr:
    """What ``also_confirmed`` names, as a list without white space and blanks; empty where the cell is blank."""
    parts = pl.col("also_confirmed").fill_null("").str.split(ALSO_SEPARATOR).list.eval(pl.element().str.strip_chars())
    return parts.list.eval(pl.element().filter(pl.element() != ""))


def _further() -> pl.Expr:
    """The same, sorted, each once, without the first condition."""
    return _listed().list.set_difference(pl.concat_list("confirmed_condition")).list.sort()


def _unreadable(question: Question, conditions: list[str]) -> pl.Expr:
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


def _readable_schema(conditions: list[str]) -> pandera.DataFrameSchema:
    def readable(question: Question) -> pandera.Check:
        code = _unreadable(question, conditions)
        return pandera.Check(lambda data: data.lazyframe.select(code.is_null()), name="readable")

    return pandera.DataFrameSchema(
        {q.column: pandera.Column(pl.String, readable(q), nullable=q.column not in REQUIRED) for q in outcome_form()}
    )


def _typed_schema(clinic: str | None, received_at: datetime) -> pandera.DataFrameSchema:
    def holds(name: str, test: Callable[[pl.Expr], pl.Expr]) -> pandera.Check:
        return pandera.Check(lambda data: data.lazyframe.select(test(pl.col(data.key))), name=name)

    latest = received_at + FUTURE_TOLERANCE
    checks = {
        q.column: holds("in_future", lambda time: time <= latest) for q in outcome_form() if q.type == "timestamp"
    }
    if clinic:
        checks["clinic_id"] = holds("other_clinic", lambda cell: cell == clinic)
    kinds = {q.column: POLARS_TYPE[q.type] for q in outcome_form()} | {"attended": pl.Boolean()}
    columns = {column: pandera.Column(kind, checks.get(column), nullable=True) for column, kind in kinds.items()}
    # Contradictions are checked as columns of their own, so that pandera writes no other cell of a failing row out.
    consistent = holds("consistent", lambda flag: flag.not_())
    return pandera.DataFrameSchema(columns | {c: pandera.Column(pl.Boolean, consistent) for c in _contradictions()})


def split_outcomes(
    cells: pl.DataFrame, *, clinic: str | None, received_at: datetime, conditions: Collection[str]
) -> Split:
    """Split a batch of text outcomes into accepted and refused ones.

    ``cells``: one text column for each column of the outcome form that the file has (others ignored), one row an
    outcome. ``clinic``: fills a blank ``clinic_id``, and a cell that differs is rejected; None when each row names its
    own. ``received_at``: when the batch arrived (UTC). ``conditions``: the ids of the catalogue. Gives the frames of
    ``schemas.contract.Split``: accepted rows hold row, the columns of ``outcome_schema`` and warnings (list of codes).
    """
    text = _with_all_columns(cells)
    if clinic:
        text = text.with_columns(pl.col("clinic_id").fill_null(clinic))
    ids = sorted(conditions)
    unread = failures(_readable_schema(ids), text)
    rows = text.select(_typed(q) for q in outcome_form()).with_row_index("row")
    flagged = rows.with_columns(flag.fill_null(False).alias(code) for code, flag in _contradictions().items())
    found = failures(_typed_schema(clinic, received_at), flagged).select(
        "row",
        pl.when(pl.col("check") != "consistent").then(pl.col("column")).alias("column"),
        pl.when(pl.col("check") == "consistent").then(pl.col("column")).otherwise(pl.col("check")).alias("code"),
    )
    severity = found["code"].replace_strict(
        {c: p.severity for c, p in outcome_problems().items()}, return_dtype=pl.String
    )
    rejections = pl.concat([_cell_codes(text, unread, ids), found.filter(severity == "reject")]).sort("row", "column")
    is_refused = pl.col("row").is_in(rejections["row"].unique().implode())
    warnings = found.filter(severity == "warn").filter(~is_refused).sort("row", "code")
    codes = warnings.group_by("row").agg(pl.col("code").unique().sort().alias("warnings"))
    also = pl.when(_further().list.len() > 0).then(_further().list.join(ALSO_SEPARATOR)).alias("also_confirmed")
    accepted = rows.filter(~is_refused).with_columns(also).join(codes, on="row", how="left")
    no_codes = pl.lit([], pl.List(pl.String))
    accepted = accepted.sort("row").with_columns(pl.col("warnings").fill_null(no_codes))
    return Split(accepted, rows.filter(is_refused), rejections, warnings)


def _with_all_columns(cells: pl.DataFrame) -> pl.DataFrame:
    columns = [q.column for q in outcome_form()]
    missing = [pl.lit(None, pl.String).alias(column) for column in columns if column not in cells.columns]
    return cells.with_columns(missing).select(columns).with_columns(blank_as_null(columns))


def _cell_codes(text: pl.DataFrame, unread: pl.DataFrame, conditions: list[str]) -> pl.DataFrame:
    """Row, column and code of each unreadable or missing cell."""
    questions = {q.column: q for q in outcome_form()}
    found = [pl.DataFrame(schema=_PROBLEM_SCHEMA)]
    for (column, check), group in unread.group_by("column", "check", maintain_order=True):
        name = str(column)
        if check == "readable":
            codes = text[group["row"]].select(_unreadable(questions[name], conditions)).to_series()
        else:
            codes = pl.Series([REQUIRED[name]] * group.height)
        found.append(
            pl.DataFrame({"row": group["row"], "column": [name] * group.height, "code": codes}, _PROBLEM_SCHEMA)
        )
    return pl.concat(found)
