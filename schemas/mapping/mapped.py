"""What a mapping makes of a block of source cells."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

CELL_PROBLEMS = {"row": pl.UInt32(), "column": pl.String(), "code": pl.String(), "cell": pl.String()}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A block in the form's words.

    ``cells``: one text column for each column of the form that the source gives, as many rows as the source block and
    in its order. ``problems``: row (place in ``cells``), column (of the form; null for the whole record), code (of
    ``schemas/problems.csv``) and the source's own text of that cell; a cell with a problem that rejects is null in
    ``cells``. ``set_aside``: places of rows that are no intake records at all (rows of another REDCap instrument).
    """

    cells: pl.DataFrame
    problems: pl.DataFrame
    set_aside: pl.Series
