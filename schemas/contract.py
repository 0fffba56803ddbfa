"""The intake contract: text records in; accepted records, refused records and warnings out.

Belongs here: the one place that calls pandera, and the split it leads to. Does not belong here: reading files,
dispositions that need the warehouse's history (duplicate, superseded, conflicting), clinical meaning.

Privacy: frames of patient answers pass through here. pandera's errors carry whole frames and failing values, so they
are caught at this boundary, reduced to row, column and code, and never chained or logged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from importlib import resources

import pandera.polars as pandera
import polars as pl
from pandera.errors import SchemaErrors

from schemas.answers import problem_code, typed
from schemas.cell_problems import PROBLEM_SCHEMA, SHOWN_CHARACTERS, cell_codes, cell_texts, with_all_columns
from schemas.contradictions import contradictions
from schemas.form import FREE_TEXT_COLUMN, REQUIRED_COLUMNS, Question, form, form_digest, questions
from schemas.mapping.mapped import CELL_PROBLEMS
from schemas.problems import problems as all_problems

POLARS_TYPE = {
    "text": pl.String(),
    "timestamp": pl.Datetime("us", "UTC"),
    "choice": pl.String(),
    "integer": pl.Int32(),
    "number": pl.Float64(),
    "yesno": pl.Boolean(),
}
FUTURE_TOLERANCE = timedelta(hours=24)
_BLANK = dict.fromkeys(REQUIRED_COLUMNS, "missing_key") | {"submitted_at": "missing_time"}


@dataclass(frozen=True, slots=True)
class Split:
    """A batch split by the contract; ``row`` in every frame counts the batch's rows from 0.

    ``accepted``: row, the typed answers of ``schemas.records``, has_notes, canonical (the text whose SHA-256 is the
    intake hash: key, time and sorted non-blank answers), warnings (list of codes). ``refused``: row and the typed
    answers that could be read, the others null. ``rejections`` and ``warnings``: row, column (null for a whole
    record; of a mapping's check, its id), code; ``rejections`` also cell, the text that was refused. Warnings of
    severity ``note`` stand in ``warnings`` and not among a record's codes: nobody has to review them.
    """

    accepted: pl.DataFrame
    refused: pl.DataFrame
    rejections: pl.DataFrame
    warnings: pl.DataFrame


@cache
def contract_version() -> str:
    """First 12 hex digits of a SHA-256 over the form, the codes and the code that reads them."""
    digest = hashlib.sha256(form_digest().encode())
    for name in ("problems.csv", "answers.py", "contradictions.py", "cell_problems.py", "contract.py"):
        digest.update(resources.files("schemas").joinpath(name).read_bytes())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=32)
def readable_schema(columns: frozenset[str]) -> pandera.DataFrameSchema:
    """Text columns of the form: every cell blank or readable in its type and allowed range, required cells filled.

    ``columns``: those that the file has; the others are blank, and checking them would cost more than a small batch.
    """

    def readable(holds: pl.Expr) -> pandera.Check:
        return pandera.Check(lambda data: data.lazyframe.select(holds), name="readable")

    return pandera.DataFrameSchema(
        {
            column: pandera.Column(pl.String, readable(holds), nullable=column not in REQUIRED_COLUMNS)
            for column, holds in expected_readable(columns).items()
        }
    )


def expected_readable(columns: frozenset[str]) -> dict[str, pl.Expr]:
    """What ``readable_schema`` asks of each column, true where it holds or the cell is blank."""
    asked = [q for q in form() if q.column in columns or q.column in REQUIRED_COLUMNS]
    return {question.column: problem_code(question).is_null() for question in asked}


@lru_cache(maxsize=32)
def plausible_schema(columns: frozenset[str]) -> pandera.DataFrameSchema:
    """Typed answers inside the plausible range where the form states one; one column a contradiction, never true.

    ``columns``: those that the file has.
    """

    def check(name: str, holds: pl.Expr) -> pandera.Check:
        return pandera.Check(lambda data: data.lazyframe.select(holds), name=name)

    holds = expected_plausible(columns)
    # A contradiction is checked as a column of its own: a check over whole frames writes every failing row out as text.
    ranges = {
        q.column: pandera.Column(POLARS_TYPE[q.type], check("implausible", holds[q.column]), nullable=True)
        for q in form()
        if q.column in holds
    }
    flags = {code: pandera.Column(pl.Boolean, check("consistent", holds[code])) for code in contradictions()}
    return pandera.DataFrameSchema(ranges | flags)


def expected_plausible(columns: frozenset[str]) -> dict[str, pl.Expr]:
    """What ``plausible_schema`` asks of each column and of each contradiction, true where it holds."""
    ranges = {
        q.column: pl.col(q.column).is_between(*q.plausible_range)
        for q in form()
        if q.plausible_range and q.column in columns
    }
    return ranges | {code: pl.col(code).not_() for code in contradictions()}


@lru_cache(maxsize=32)
def stored_schema(columns: frozenset[str] | None = None) -> pandera.DataFrameSchema:
    """Typed answers as the warehouse gives them back: required cells filled, every answer allowed.

    ``columns``: those that hold an answer, by default all; a column of blanks breaks nothing unless it is required.
    """

    def allowed(question: Question) -> list[pandera.Check]:
        if question.type == "choice":
            return [pandera.Check.isin(question.choices)]
        if question.allowed_range:
            return [pandera.Check.in_range(*question.allowed_range)]
        return []

    return pandera.DataFrameSchema(
        {
            q.column: pandera.Column(POLARS_TYPE[q.type], allowed(q), nullable=q.column not in REQUIRED_COLUMNS)
            for q in form()
            if q.column != FREE_TEXT_COLUMN and (columns is None or q.column in columns or q.column in REQUIRED_COLUMNS)
        }
    )


def contract_breaks(records: pl.DataFrame) -> pl.DataFrame:
    """Row and column of every cell of stored records (shape ``schemas.records.record_schema``) outside the contract."""
    answered = frozenset(
        column for column in records.columns if column in questions() and records[column].null_count() < records.height
    )
    schema = stored_schema(answered)
    return failures(schema, records.select([*schema.columns])).select("row", "column")


def failures(
    schema: pandera.DataFrameSchema, frame: pl.DataFrame, holds: Mapping[str, pl.Expr] | None = None
) -> pl.DataFrame:
    """Row, column and check of every failure; values are dropped here and the error is not chained.

    ``holds``: what the schema asks of each of its columns, where the caller has it at hand. Columns that hold in every
    row are then left out of what pandera goes through: it takes some ten milliseconds a column, however few the rows.
    """
    failures = pl.DataFrame(schema={"row": pl.UInt32(), "column": pl.String(), "check": pl.String()})
    if holds is not None:
        schema = schema.select_columns(_in_doubt(schema, frame, holds))
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        failures = errors.failure_cases.select(
            pl.col("index").cast(pl.UInt32).alias("row"), pl.col("column"), pl.col("check")
        )
    if failures["row"].null_count():
        raise RuntimeError("the contract failed without naming a row: the frame does not have the form's columns")
    return failures


def _in_doubt(schema: pandera.DataFrameSchema, frame: pl.DataFrame, holds: Mapping[str, pl.Expr]) -> list[str]:
    """Columns of the schema that are not there or of another type, have a forbidden blank, or do not hold in a row."""
    there = [name for name, column in schema.columns.items() if frame.schema.get(name) == column.dtype.type]
    stands = frame.select(
        (holds[name].all() & (pl.lit(schema.columns[name].nullable) | (pl.col(name).null_count() == 0))).alias(name)
        for name in there
    )
    return [name for name in schema.columns if name not in there or not stands[name].item()]


@cache
def _severities() -> dict[str, str]:
    return {code: problem.severity for code, problem in all_problems().items()}


def _clinic_and_clock(answers: pl.DataFrame, clinic: str | None, received_at: datetime) -> pl.DataFrame:
    wrong_clinic = pl.col("clinic_id") != clinic if clinic else pl.lit(False)
    in_future = pl.col("submitted_at") > received_at + FUTURE_TOLERANCE
    rows = answers.with_row_index("row")
    return pl.concat(
        [
            rows.filter(condition).select("row", pl.lit(column).alias("column"), pl.lit(code).alias("code"))
            for condition, column, code in (
                (wrong_clinic, "clinic_id", "other_clinic"),
                (in_future, "submitted_at", "in_future"),
            )
        ]
    ).cast(PROBLEM_SCHEMA)  # type: ignore[arg-type]


def canonical_text() -> pl.Expr:
    """Key, time and sorted non-blank answers as one text: equal for two records exactly when they say the same."""
    parts = []
    for question in sorted(form(), key=lambda q: q.column):
        value = pl.col(question.column)
        text = value.dt.to_string("%Y-%m-%dT%H:%M:%S%.6f") if question.type == "timestamp" else value.cast(pl.String)
        parts.append(pl.lit(f"{question.column}=") + text)
    return pl.concat_str(parts, separator="\x1f", ignore_nulls=True).alias("canonical")


def split(
    cells: pl.DataFrame, *, clinic: str | None, received_at: datetime, problems: pl.DataFrame | None = None
) -> Split:
    """Split a batch of text records into accepted and refused ones.

    ``cells``: one text column for each column of the form that the file has (others ignored), one row a record.
    ``clinic``: the clinic the file came from; a blank ``clinic_id`` column is filled with it and a cell that differs
    is rejected; None when each row names its own. ``received_at``: when the batch arrived (UTC). ``problems``: what a
    mapping found (``schemas.mapping.mapped``); of one cell it says more than the contract, which sees it blank.
    """
    found = pl.DataFrame(schema=CELL_PROBLEMS) if problems is None else problems
    severity = found["code"].replace_strict(_severities(), return_dtype=pl.String)
    of_mapping = found.filter(severity == "reject").with_columns(pl.col("cell").str.head(SHOWN_CHARACTERS))
    columns = frozenset(cells.columns)
    text = with_all_columns(cells, [q.column for q in form()])
    if clinic:
        text = text.with_columns(pl.col("clinic_id").fill_null(clinic))
    answers = text.select(typed(question) for question in form())
    of_contract = pl.concat(
        [
            cell_codes(
                text,
                failures(readable_schema(columns), text, expected_readable(columns)),
                lambda column: problem_code(questions()[column]),
                _BLANK,
            ),
            _clinic_and_clock(answers, clinic, received_at),
        ]
    ).join(of_mapping, on=["row", "column"], how="anti")
    of_contract = of_contract.with_columns(cell_texts(text, of_contract))
    rejections = pl.concat([of_contract, of_mapping.select(of_contract.columns)]).sort("row", "column", "code")
    refused_rows = rejections["row"].unique().implode()
    rows = answers.with_row_index("row").with_columns(
        pl.col(FREE_TEXT_COLUMN).is_not_null().alias("has_notes"), canonical_text()
    )
    is_refused = pl.col("row").is_in(refused_rows)
    refused = rows.filter(is_refused).drop("canonical", FREE_TEXT_COLUMN)
    accepted = rows.filter(~is_refused).drop(FREE_TEXT_COLUMN)
    odd = found.filter(severity.is_in(["warn", "note"])).join(accepted.select("row"), on="row", how="semi")
    # A check of a mapping has an id of its own, which says more than no column.
    odd = odd.with_columns(pl.coalesce("column", "cell").alias("column")).select(list(PROBLEM_SCHEMA))
    warnings = pl.concat([_warn_codes(accepted, columns), odd]).sort("row", "code")
    to_review = warnings.filter(warnings["code"].replace_strict(_severities(), return_dtype=pl.String) == "warn")
    codes = to_review.group_by("row").agg(pl.col("code").unique().sort().alias("warnings"))
    accepted = accepted.join(codes, on="row", how="left", maintain_order="left").with_columns(
        pl.col("warnings").fill_null(pl.lit([], pl.List(pl.String)))
    )
    return Split(accepted, refused, rejections, warnings)


def _warn_codes(accepted: pl.DataFrame, columns: frozenset[str]) -> pl.DataFrame:
    contradicting = [expression.fill_null(False).alias(code) for code, expression in contradictions().items()]
    found = failures(plausible_schema(columns), accepted.with_columns(contradicting), expected_plausible(columns))
    of_cell = pl.col("check") == "implausible"
    warnings = found.select(
        accepted["row"].gather(found["row"]).alias("row"),
        pl.when(of_cell).then(pl.col("column")).alias("column"),
        pl.when(of_cell).then(pl.col("check")).otherwise(pl.col("column")).alias("code"),
    )
    return warnings.cast(PROBLEM_SCHEMA).sort("row", "code")  # type: ignore[arg-type]
