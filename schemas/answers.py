"""From the text of a cell to a typed answer: one pattern a type, matched before any cast.

Belongs here: what text each type of column may hold, and the cast once it matches. Does not belong here: which
record is refused for it (``schemas.contract``). Casting first would be unsafe: engines read 5.5 as 6, 1_000 as 1000
and a time without offset in the session's own zone.
"""

from __future__ import annotations

import polars as pl

from schemas.form import Question

WHOLE_NUMBER = r"^-?(0|[1-9][0-9]{0,8})$"
NUMBER = r"^-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,17})?$"  # 17 digits: what a binary number takes to be written exactly
# Seconds of 60 would become the next minute; no place on Earth is more than 14 hours from UTC.
TIME_WITHOUT_OFFSET = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
TIME = TIME_WITHOUT_OFFSET + r"(Z|[+-](0[0-9]|1[0-3]):?[0-5][0-9]|[+-]14:?00)$"
KEY_PATTERNS = {
    "record_id": r"^[A-Za-z0-9._-]{1,64}$",
    "patient_key": r"^[A-Za-z0-9._-]{1,64}$",
    "clinic_id": r"^[a-z0-9-]{1,32}$",
}
NOTES_CHARACTERS = 4000
EARLIEST_YEAR, LATEST_YEAR = 1900, 2200


def blank_as_null(columns: list[str]) -> list[pl.Expr]:
    """Cells without the white space around them; a cell of white space only becomes null."""
    stripped = (pl.col(column).str.strip_chars() for column in columns)
    return [pl.when(cell.str.len_bytes() > 0).then(cell) for cell in stripped]


def to_utc(cell: pl.Expr) -> pl.Expr:
    """An ISO 8601 time with offset as a UTC time; null where the text is none or the date does not exist."""
    seconds = cell.str.replace(r"^(.{10})[T ](.{5})(Z|[+-].*)$", "${1}T${2}:00${3}").str.replace(" ", "T")
    offset = seconds.str.replace(r"Z$", "+00:00").str.replace(r"([+-][0-9]{2})([0-9]{2})$", "${1}:${2}")
    time = offset.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False)
    year = time.dt.year()
    return pl.when(cell.str.contains(TIME) & year.is_between(EARLIEST_YEAR, LATEST_YEAR)).then(time)


def typed(question: Question) -> pl.Expr:
    """The column's answer in its own type (``schemas.records``); null where the cell is blank or cannot be read."""
    cell = pl.col(question.column)
    match question.type:
        case "timestamp":
            answer = to_utc(cell)
        case "yesno":
            answer = pl.when(cell == "1").then(True).when(cell == "0").then(False)
        case "choice":
            answer = pl.when(cell.is_in(list(question.choices))).then(cell)
        case "integer" | "number":
            answer = _number(question, cell)
        case _:
            pattern = KEY_PATTERNS.get(question.column)
            answer = pl.when(cell.str.contains(pattern)).then(cell) if pattern else cell
    return answer.alias(question.column)


def _number(question: Question, cell: pl.Expr) -> pl.Expr:
    low, high = question.allowed_range or (float("-inf"), float("inf"))
    pattern = WHOLE_NUMBER if question.type == "integer" else NUMBER
    number = pl.when(cell.str.contains(pattern)).then(cell).cast(pl.Float64)
    kept = pl.when(number.is_between(low, high)).then(number)
    return kept.cast(pl.Int32) if question.type == "integer" else kept


def problem_code(question: Question) -> pl.Expr:
    """The code of ``problems.csv`` for a cell that cannot be read, null for one that can; blank cells are fine here."""
    cell = pl.col(question.column)
    unreadable = cell.is_not_null() & typed(question).is_null()
    match question.type:
        case "timestamp":
            no_offset = cell.str.contains(TIME_WITHOUT_OFFSET + "$")
            code = pl.when(no_offset).then(pl.lit("time_without_offset")).otherwise(pl.lit("bad_time"))
        case "yesno":
            code = pl.lit("not_yes_or_no")
        case "choice":
            code = pl.lit("not_a_choice")
        case "integer":
            whole = cell.str.contains(WHOLE_NUMBER)
            code = pl.when(whole).then(pl.lit("outside_allowed")).otherwise(pl.lit("not_a_whole_number"))
        case "number":
            numeric = cell.str.contains(NUMBER)
            code = pl.when(numeric).then(pl.lit("outside_allowed")).otherwise(pl.lit("not_a_number"))
        case _ if question.column in KEY_PATTERNS:
            code = pl.lit("bad_key")
        case _:
            unreadable = cell.str.len_chars() > NOTES_CHARACTERS
            code = pl.lit("too_long")
    return pl.when(unreadable).then(code)
