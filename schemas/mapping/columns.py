"""From a mapping's ``columns`` to readings: joining, value maps, numbers and units, times.

Belongs here: one column of the form from one or several cells. Does not belong here: questions with several boxes
(``boxes``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from schemas.form import FREE_TEXT_COLUMN, Question, questions
from schemas.mapping.conditions import all_hold
from schemas.mapping.mapping_rules import ColumnRule, DateRule, MappingFile
from schemas.mapping.numbers import converted, decimal_declared
from schemas.mapping.readings import NO_CODE, Reading, holds_several, yes_or_no
from schemas.mapping.times import read_times
from schemas.mapping.units import units_to

At = Callable[[str], pl.Expr]


@dataclass(frozen=True, slots=True)
class ColumnCells:
    """How one column of the form is read; ``helpers``: columns to add to the block first."""

    reading: Reading
    helpers: dict[str, pl.Expr]


def column_reading(rules: MappingFile, column: str, *, at: At, original: At, typed: bool) -> ColumnCells:
    """How ``column`` is read.

    ``at``: a source column without white space around its cells and with file-wide blank texts null. ``original``: the
    same as it came. ``typed``: the format has true, false and lists of its own.
    """
    question, rule = questions()[column], rules.columns[column]
    parts = [_blanked(at(source), rule.blank) for source in rule.sources]
    text = pl.concat_str([original(source).fill_null("") for source in rule.sources], separator=rule.join or " ")
    helpers = {}
    if rule.unit:
        value, code = _with_units(rules, question, rule, parts)
    elif rule.values is not None:
        whole = _joined(question, rule, parts)
        # A column of its own, because both the answer and its absence are asked for.
        helpers[f"{column} answer"] = whole.replace_strict(rule.values, default=None, return_dtype=pl.String)
        value = pl.col(f"{column} answer")
        code = pl.when(value.is_null() & whole.is_not_null()).then(pl.lit("not_mapped"))
    else:
        value, code = _one_text(rules, question, rule, _joined(question, rule, parts), typed=typed)
    if typed:
        code = pl.coalesce(*(holds_several(part) for part in parts), code)
    if rule.only_if:
        read = all_hold(rule.only_if, at)
        value, code = pl.when(read).then(value), pl.when(read).then(code)
    return ColumnCells(Reading(column, value, code, text), helpers)


def _blanked(cell: pl.Expr, blank: tuple[str, ...]) -> pl.Expr:
    return pl.when(~cell.is_in(list(blank))).then(cell) if blank else cell


def _joined(question: Question, rule: ColumnRule, parts: list[pl.Expr]) -> pl.Expr:
    """The parts as one text; blank where all are blank.

    A key or a time with a part missing is blank, because half of it would name something else. Free text and value
    maps take what there is.
    """
    if len(parts) == 1:
        return parts[0]
    join = rule.join or ""
    if question.column == FREE_TEXT_COLUMN:
        whole = pl.concat_str(parts, separator=join, ignore_nulls=True)
    elif rule.values is not None:
        whole = pl.concat_str([part.fill_null("") for part in parts], separator=join)
    else:
        whole = pl.concat_str(parts, separator=join)
    return pl.when(pl.any_horizontal(part.is_not_null() for part in parts)).then(whole)


def _one_text(
    rules: MappingFile, question: Question, rule: ColumnRule, cell: pl.Expr, *, typed: bool
) -> tuple[pl.Expr, pl.Expr]:
    if question.type == "timestamp" and (rule.date or rules.zone):
        date = rule.date or DateRule(order="iso")
        return read_times(cell, order=date.order, zone=date.zone or rules.zone or "", clock=date.time)
    if question.type in ("integer", "number"):
        return decimal_declared(cell, rule.decimal or rules.decimal)
    if question.type == "yesno" and typed:
        return yes_or_no(cell), NO_CODE
    return cell, NO_CODE


def _with_units(
    rules: MappingFile, question: Question, rule: ColumnRule, parts: list[pl.Expr]
) -> tuple[pl.Expr, pl.Expr]:
    read = [decimal_declared(part, rule.decimal or rules.decimal) for part in parts]
    units = [units_to(question.unit)[name] for name in rule.unit]
    value = converted(
        [(text, unit) for (text, _), unit in zip(read, units, strict=True)],
        decimals=rule.decimals,
        whole=question.type == "integer",
    )
    given = pl.any_horizontal(part.is_not_null() for part in parts)
    no_number = pl.when(given & value.is_null()).then(pl.lit("not_a_number"))
    return value, pl.coalesce(*(code for _, code in read), no_number)
