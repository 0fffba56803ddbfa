"""Files that carry the form's own column names: the blank CSV filled in, or the same table in another format.

Belongs here: what such a file needs beyond taking its columns as they are, which for a CSV with commas is nothing.
Does not belong here: what a cell may hold (``schemas.contract``).
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from schemas.form import questions
from schemas.mapping.mapped import CELL_PROBLEMS, Mapped
from schemas.mapping.numbers import decimal_seen
from schemas.mapping.readings import NO_ROWS, Reading, holds_several, mapped, stripped, yes_or_no

DELIMITERS_WITH_COMMA = (";", "\t")  # a comma between digits is a decimal sign where it does not part cells


class OwnNames:
    """Takes the form's columns of a block as they are, but for what format and delimiter ask for."""

    def __init__(self, columns: Iterable[str], *, typed: bool, delimiter: str) -> None:
        self._columns = list(columns)
        with_comma = delimiter in DELIMITERS_WITH_COMMA
        self._readings = [own_reading(c, pl.col(c), typed=typed, with_comma=with_comma) for c in self._columns]
        self._as_they_are = not typed and not with_comma

    def __call__(self, cells: pl.DataFrame) -> Mapped:
        """The block in the form's words."""
        if self._as_they_are:
            return Mapped(cells.select(self._columns), pl.DataFrame(schema=CELL_PROBLEMS), NO_ROWS)
        return mapped(stripped(cells.select(self._columns)), self._readings)


def own_reading(column: str, cell: pl.Expr, *, typed: bool, with_comma: bool) -> Reading:
    """How a cell that stands under a name of the form is read.

    ``typed``: the format has true, false and lists; of a list the form takes one answer. ``with_comma``: a decimal
    comma may stand in numbers.
    """
    question = questions()[column]
    if question.type == "number" and with_comma:
        value, code = decimal_seen(cell)
        return Reading(column, value, pl.coalesce(holds_several(cell), code), cell)
    if not typed:
        return Reading(column, cell)
    return Reading(column, yes_or_no(cell) if question.type == "yesno" else cell, holds_several(cell), cell)
