"""How one column of the form is read from a block, and what a block becomes once all of them are.

Belongs here: what every plan (mapping, REDCap, FHIR, the form's own names) has in common. Does not belong here: what
is read from where (``columns``, ``boxes``, ``redcap``, ``fhir``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from schemas.mapping.mapped import CELL_PROBLEMS, Mapped

SEVERAL = "\x1f"  # between the answers of a cell that holds several (``warehouse.formats.block``)
NO_CODE = pl.lit(None, pl.String)
NO_ROWS = pl.Series("row", [], pl.UInt32)


@dataclass(frozen=True, slots=True)
class Reading:
    """One column of the form.

    ``value``: its text, an expression over source columns. ``code``: the problem of a cell that cannot be read, null
    for one that can; None where there is nothing that could be wrong. ``text``: the source's own text of the cell, for
    the quarantine.
    """

    column: str
    value: pl.Expr
    code: pl.Expr | None = None
    text: pl.Expr | None = None


def mapped(source: pl.DataFrame, readings: Sequence[Reading], more: Iterable[pl.DataFrame] = ()) -> Mapped:
    """What ``readings`` make of a block; ``more`` are further problems (``CELL_PROBLEMS``)."""
    values = source.select(reading.value.cast(pl.String).alias(reading.column) for reading in readings)
    found = _codes(source, readings)
    values = values.with_columns(pl.when(found[column].is_null()).then(pl.col(column)) for column in found.columns)
    problems = pl.concat([_told(source, readings, found), *more]).sort("row", "column", "code")
    return Mapped(values, problems, NO_ROWS)


def problems_of(source: pl.DataFrame, reading: Reading) -> pl.DataFrame:
    """The problems of one reading whose value is of no use (``CELL_PROBLEMS``)."""
    return _told(source, [reading], _codes(source, [reading]))


def _codes(source: pl.DataFrame, readings: Sequence[Reading]) -> pl.DataFrame:
    """A column of codes for each reading that found any."""
    codes = source.select(reading.code.alias(reading.column) for reading in readings if reading.code is not None)
    return codes.select(column.name for column in codes if column.null_count() < column.len())


def _told(source: pl.DataFrame, readings: Sequence[Reading], found: pl.DataFrame) -> pl.DataFrame:
    problems = [pl.DataFrame(schema=CELL_PROBLEMS)]
    for reading in readings:
        if reading.column not in found.columns:
            continue
        text = NO_CODE if reading.text is None else reading.text
        told = source.with_columns(found[reading.column].alias("code")).with_row_index("row")
        told = told.filter(pl.col("code").is_not_null())
        cells = told.select("row", pl.lit(reading.column).alias("column"), "code", text.alias("cell"))
        problems.append(cells.cast(CELL_PROBLEMS))  # type: ignore[arg-type]
    return pl.concat(problems)


def stripped(cells: pl.DataFrame, blank: Sequence[str] = ()) -> pl.DataFrame:
    """Text columns without the white space around their cells; null where nothing or a text of ``blank`` is left."""
    texts = cells.select(pl.all().str.strip_chars())  # by itself, so that it is not worked out twice
    return texts.select(pl.when(~pl.all().is_in(["", *blank])).then(pl.all()))


def yes_or_no(cell: pl.Expr) -> pl.Expr:
    """``true`` and ``false`` as ``1`` and ``0``, other texts as they are."""
    return pl.when(cell == "true").then(pl.lit("1")).when(cell == "false").then(pl.lit("0")).otherwise(cell)


def holds_several(cell: pl.Expr) -> pl.Expr:
    """The code of cells that hold several answers where the form takes one."""
    return pl.when(cell.str.contains(SEVERAL, literal=True)).then(pl.lit("several_answers"))
