"""From what pandera found to the code and text of each refused cell: one way for every kind of file.

Belongs here: what every contract of this package does with a frame of text cells. Does not belong here: what a cell
may hold (``schemas.answers``, the contracts themselves).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from schemas.answers import blank_as_null

PROBLEM_SCHEMA = {"row": pl.UInt32(), "column": pl.String(), "code": pl.String()}
SHOWN_CHARACTERS = 1000  # of a refused cell; the whole of it stands in the record's original text


def with_all_columns(cells: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The ``columns`` of ``cells`` in that order, those that the file lacks blank, blank cells null."""
    missing = [pl.lit(None, pl.String).alias(column) for column in columns if column not in cells.columns]
    return cells.with_columns(missing).select(columns).with_columns(blank_as_null(list(columns)))


def cell_codes(
    text: pl.DataFrame, found: pl.DataFrame, code_of: Callable[[str], pl.Expr], blank: Mapping[str, str]
) -> pl.DataFrame:
    """Row, column and code of each unreadable or missing cell; the code is worked out for failing cells only.

    ``found``: row, column and check, which is ``readable`` where a cell cannot be read. ``code_of``: for a column, the
    code of a cell that cannot be read. ``blank``: the code of a blank cell, by required column.
    """
    codes = [pl.DataFrame(schema=PROBLEM_SCHEMA)]
    for (column, check), group in found.group_by("column", "check", maintain_order=True):
        name = str(column)
        if check == "readable":
            code = text[group["row"]].select(code_of(name)).to_series()
        else:
            code = pl.Series([blank[name]] * group.height)
        codes.append(pl.DataFrame({"row": group["row"], "column": [name] * group.height, "code": code}, PROBLEM_SCHEMA))
    return pl.concat(codes)


def cell_texts(text: pl.DataFrame, rejections: pl.DataFrame) -> pl.Series:
    """The text of each rejected cell (its beginning), in the order of ``rejections``.

    Null where the cell was blank or the whole row is meant.
    """
    cells = pl.Series("cell", [None] * rejections.height, dtype=pl.String)
    for (column,), group in rejections.with_row_index("place").group_by("column"):
        if column is not None:
            shown = text[str(column)].gather(group["row"]).str.head(SHOWN_CHARACTERS)
            cells = cells.scatter(group["place"], shown)
    return cells
